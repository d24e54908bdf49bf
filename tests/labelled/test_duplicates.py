import shutil
from dataclasses import replace

import cv2
import numpy as np
import pytest

from casae.datasets.registry import open_dataset
from casae.decoding import read_image
from casae.image import to_gray
from casae.inspection.grain import NOTHING, Fingerprints
from casae.labelled.duplicates import Likeness, identical, seen_in_test
from casae.labelled.images import LabelledImage, load


def images_of(grays) -> list[LabelledImage]:
    return [LabelledImage(f"{index:02d}", gray, np.zeros_like(gray)) for index, gray in enumerate(grays)]


def worn(gray: np.ndarray) -> np.ndarray:
    """Saved as JPEG, darker and smaller."""
    _, data = cv2.imencode(".jpg", (gray * 0.8 + 10).astype(np.uint8), [cv2.IMWRITE_JPEG_QUALITY, 80])
    return cv2.resize(cv2.imdecode(data, cv2.IMREAD_GRAYSCALE), None, fx=0.8, fy=0.8, interpolation=cv2.INTER_AREA)


def saved_again(gray: np.ndarray) -> np.ndarray:
    _, data = cv2.imencode(".jpg", gray, [cv2.IMWRITE_JPEG_QUALITY, 85])
    return cv2.imdecode(data, cv2.IMREAD_GRAYSCALE)


@pytest.fixture
def registered():
    """Parts of one design under one camera: shifted by less than 2 px, with new noise, light and a defect each."""
    rng = np.random.default_rng(0)
    y, x = np.mgrid[0:200, 0:300].astype(np.float32)

    def part() -> np.ndarray:
        across, down = rng.uniform(-2, 2, 2)
        surface = 120 + 40 * np.sin((x + across) / 2.2) + 10 * np.sin((y + down) / 21)
        surface[np.hypot(x - 150 - across, y - 90 - down) < 40] = 60
        surface = surface * rng.uniform(0.9, 1.1) + (x / 300 - 0.5) * rng.uniform(-15, 15)
        cv2.circle(surface, (int(rng.integers(20, 280)), int(rng.integers(20, 180))), 5, 20.0, -1)
        return (surface + rng.normal(0, 2, surface.shape)).clip(0, 255).astype(np.uint8)

    return images_of([part() for _ in range(16)])


def test_different_pictures_are_no_copies(components):
    images = load(open_dataset(f"folder:{components}"))
    assert Likeness(images).groups(images) == {}


def test_registered_parts_are_no_copies_of_each_other(registered):
    assert Likeness(registered).groups(registered) == {}


@pytest.mark.parametrize("change", [np.copy, saved_again, np.fliplr, lambda gray: np.rot90(gray, 2)])
def test_a_copy_of_a_registered_part_is_one(registered, change):
    copy = np.ascontiguousarray(change(registered[3].gray))
    assert Likeness(registered).copies_of(copy) == ["03"]
    both = [*registered, LabelledImage("copy", copy, np.zeros_like(copy))]
    assert Likeness(both).groups(both) == {"03": "03", "copy": "03"}


@pytest.mark.parametrize("shape", [(1000, 160), (1250, 55)])
def test_two_rails_are_not_copies(shape):
    """All have the same bright band along them, not quite at the same place."""
    rng = np.random.default_rng(0)

    def rail() -> np.ndarray:
        across = np.abs(np.arange(shape[1]) - shape[1] / 2 - rng.normal(0, 2))
        band = 90 + 80 / (1 + np.exp((across - shape[1] / 4) / 2))
        return (band + rng.normal(0, 12, shape)).clip(0, 255).astype(np.uint8)

    rails = images_of([rail() for _ in range(6)])
    likeness = Likeness(rails)
    assert likeness.groups(rails) == {}
    _, data = cv2.imencode(".jpg", rails[0].gray, [cv2.IMWRITE_JPEG_QUALITY, 80])
    assert likeness.copies_of(cv2.imdecode(data, cv2.IMREAD_GRAYSCALE)) == ["00"]


def test_two_shots_of_one_part_are_not_copies():
    """The same fixture and shading, other noise; two pictures tell nothing of what a set shares."""
    rng = np.random.default_rng(0)
    fixture = np.full((200, 300), 120.0)
    fixture[40:60, 30:270] = 30
    cv2.circle(fixture, (200, 130), 40, 200, 3)
    one, other = ((fixture + rng.normal(0, 4, fixture.shape)).clip(0, 255).astype(np.uint8) for _ in range(2))
    images = images_of([one, other])
    assert Likeness(images).groups(images) == {}
    assert Likeness(images).copies_of(worn(one)) == ["00"]


def test_pictures_without_any_grain_are_no_copies():
    images = images_of([np.zeros((50, 50), np.uint8), np.full((50, 50), 9, np.uint8), np.zeros((60, 50), np.uint8)])
    assert Likeness(images).groups(images) == {}
    assert identical(images[0].gray, images[0].gray.copy())
    assert not identical(images[0].gray, images[1].gray)


@pytest.mark.parametrize("turn", range(1, 8))
def test_turned_and_mirrored_copies_are_copies(components, tmp_path, turn):
    shutil.copytree(components, tmp_path / "part")
    dataset = open_dataset(f"folder:{tmp_path / 'part'}")
    images = load(dataset.split("train"))
    first = dataset.split("test").samples[0]
    mirrored = images[0].gray[:, ::-1] if turn > 3 else images[0].gray
    cv2.imwrite(str(first.image), worn(np.ascontiguousarray(np.rot90(mirrored, turn))))
    (said,) = seen_in_test(dataset, "train", images, Likeness(images), NOTHING)
    assert f"1 of 3 look like learned ones ({first.name})" in said


def test_copies_in_the_list_test_are_spoken_of(components, tmp_path):
    shutil.copytree(components, tmp_path / "part")
    dataset = open_dataset(f"folder:{tmp_path / 'part'}")
    images = load(dataset.split("train"))
    likeness = Likeness(images)
    assert seen_in_test(dataset, "train", images, likeness, NOTHING) == []
    first, second, third = dataset.split("test").samples
    cv2.imwrite(str(first.image), worn(images[0].gray))
    cv2.imwrite(str(second.image), images[1].gray)
    alike, learned = seen_in_test(
        dataset, "train", images, likeness, Fingerprints.of([to_gray(read_image(third.image))])
    )
    assert f"2 of 3 look like learned ones ({first.name}, {second.name})" in alike
    assert "the start weights have learned 1 of 3 images of it" in learned
    assert seen_in_test(replace(dataset, splits={}), "train", images, likeness, NOTHING) == []
    both = replace(dataset, splits={"test": tuple(image.name for image in images[:2])})
    assert "2 of its images are learned from" in seen_in_test(both, "train", images, likeness, NOTHING)[0]


def test_a_list_of_its_own_end_is_judged_by_its_own_test(components):
    dataset = open_dataset(f"folder:{components}")
    images = load(dataset.split("train"))
    names = [image.name for image in images]
    lists = {"train-clean": tuple(names), "test": tuple(names[:2]), "test-clean": dataset.splits["test"]}
    clean = replace(dataset, splits=lists)
    assert seen_in_test(clean, "train-clean", images, Likeness(images), NOTHING) == []
    learned = replace(clean, splits={**lists, "test-clean": tuple(names[:3])})
    (said,) = seen_in_test(learned, "train-clean", images, Likeness(images), NOTHING)
    assert "list 'test-clean' will be too good: 3 of its images" in said
