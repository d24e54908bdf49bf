import shutil
from dataclasses import replace

import cv2
import numpy as np
import pytest

from casae.datasets.registry import open_dataset
from casae.errors import DatasetError
from casae.labelled.duplicates import Grains, Sides, keep_copies_together, seen_in_test
from casae.labelled.images import LabelledImage, load


@pytest.fixture
def dataset(components):
    return open_dataset(f"folder:{components}")


def sides_of(dataset, learned: int) -> Sides:
    names = [sample.name for sample in dataset.samples]
    part, held = dataset.only(names[:learned], "train"), dataset.only(names[learned:], "held")
    return Sides(part, held, load(part), load(held))


def with_copy(sides: Sides, gray: np.ndarray) -> Sides:
    """The first held-out picture becomes this one."""
    first = sides.validation[0]
    return sides._replace(validation=[LabelledImage(first.name, gray, first.label), *sides.validation[1:]])


def worn(gray: np.ndarray) -> np.ndarray:
    """Saved as JPEG, darker and smaller."""
    _, data = cv2.imencode(".jpg", (gray * 0.8 + 10).astype(np.uint8), [cv2.IMWRITE_JPEG_QUALITY, 80])
    return cv2.resize(cv2.imdecode(data, cv2.IMREAD_GRAYSCALE), None, fx=0.8, fy=0.8, interpolation=cv2.INTER_AREA)


def test_different_pictures_stay_where_they_are(dataset):
    sides = sides_of(dataset, 8)
    kept, said = keep_copies_together(dataset, sides, fixed=False)
    assert said == ""
    assert kept == sides


def test_the_same_picture_on_both_sides_is_refused(dataset):
    sides = with_copy(sides_of(dataset, 8), sides_of(dataset, 8).images[0].gray.copy())
    with pytest.raises(
        DatasetError, match="component-0008 = component-0000: the same picture is learned from and held"
    ):
        keep_copies_together(dataset, sides, fixed=True)


@pytest.mark.parametrize("copy", [worn, np.copy])
def test_a_copy_is_learned_from_and_not_held_out(dataset, copy):
    sides = with_copy(sides_of(dataset, 8), copy(sides_of(dataset, 8).images[0].gray))
    kept, said = keep_copies_together(dataset, sides, fixed=False)
    assert [len(side) for side in (kept.images, kept.validation)] == [8, len(sides.validation)]
    assert sides.validation[0].name in {image.name for image in kept.images}
    assert {s.name for s in kept.part.samples} == {image.name for image in kept.images}
    assert {s.name for s in kept.held.samples} == {image.name for image in kept.validation}
    assert "1 drawn pictures are not held out" in said
    assert "1 others are held out in their place" in said


@pytest.mark.parametrize("order", [1, -1])
def test_the_same_picture_is_refused_beside_a_copy_of_it(dataset, order):
    sides = sides_of(dataset, 8)
    first = sides.images[0]
    twins = [first, LabelledImage("worn", worn(first.gray), first.label)][::order]
    sides = with_copy(sides._replace(images=[*twins, *sides.images[1:]]), first.gray.copy())
    with pytest.raises(DatasetError, match="component-0008 = component-0000: the same picture"):
        keep_copies_together(dataset, sides, fixed=True)


def test_own_lists_are_not_changed_but_talked_about(dataset):
    sides = with_copy(sides_of(dataset, 8), worn(sides_of(dataset, 8).images[0].gray))
    kept, said = keep_copies_together(dataset, sides, fixed=True)
    assert kept == sides
    assert "Scores may be too good: held out are copies of learned pictures (component-0008), or parts of one" in said


@pytest.mark.parametrize("shape", [(1000, 160), (1250, 55)])
def test_two_rails_are_not_copies(shape):
    """All have the same bright band along them, not quite at the same place."""
    rng = np.random.default_rng(0)

    def rail() -> np.ndarray:
        across = np.abs(np.arange(shape[1]) - shape[1] / 2 - rng.normal(0, 2))
        band = 90 + 80 / (1 + np.exp((across - shape[1] / 4) / 2))
        return (band + rng.normal(0, 12, shape)).clip(0, 255).astype(np.uint8)

    rails = [LabelledImage(str(index), rail(), np.zeros(shape, np.uint8)) for index in range(6)]
    grains = Grains()
    assert not any(grains.is_copy(rails[0], other) for other in rails[1:])
    _, data = cv2.imencode(".jpg", rails[0].gray, [cv2.IMWRITE_JPEG_QUALITY, 80])
    copy = LabelledImage("copy", cv2.imdecode(data, cv2.IMREAD_GRAYSCALE), rails[0].label)
    assert grains.is_copy(rails[0], copy)


def test_the_last_held_out_defect_stays(dataset):
    """A copy or not, without it nothing could be judged."""
    sides = with_copy(sides_of(dataset, 8), worn(sides_of(dataset, 8).images[0].gray))
    good = [LabelledImage(i.name, i.gray, np.zeros_like(i.label)) for i in sides.validation[1:]]
    sides = sides._replace(validation=[sides.validation[0], *good])
    kept, said = keep_copies_together(dataset, sides, fixed=False)
    assert kept == sides
    assert "Scores may be too good" in said


def test_two_shots_of_one_part_are_not_copies():
    """The same fixture and shading, other noise."""
    rng = np.random.default_rng(0)
    fixture = np.full((200, 300), 120.0)
    fixture[40:60, 30:270] = 30
    cv2.circle(fixture, (200, 130), 40, 200, 3)
    one, other = ((fixture + rng.normal(0, 4, fixture.shape)).clip(0, 255).astype(np.uint8) for _ in range(2))
    plain, wider = np.zeros((50, 50), np.uint8), np.zeros((60, 50), np.uint8)
    grays = {"one": one, "other": other, "worn": worn(one), "plain": plain, "wider": wider}
    images = {name: LabelledImage(name, gray, np.zeros_like(gray)) for name, gray in grays.items()}
    grains = Grains()
    assert not grains.is_copy(images["one"], images["other"])
    assert grains.is_copy(images["one"], images["worn"])
    assert not grains.is_copy(images["plain"], images["wider"])


@pytest.mark.parametrize("turn", range(1, 8))
def test_turned_and_mirrored_copies_are_copies(components, tmp_path, turn):
    shutil.copytree(components, tmp_path / "part")
    dataset = open_dataset(f"folder:{tmp_path / 'part'}")
    images = load(dataset.split("train"))
    first = dataset.split("test").samples[0]
    mirrored = images[0].gray[:, ::-1] if turn > 3 else images[0].gray
    cv2.imwrite(str(first.image), worn(np.ascontiguousarray(np.rot90(mirrored, turn))))
    assert f"1 of 3 look like learned ones ({first.name})" in seen_in_test(dataset, images, frozenset())


def test_copies_in_the_list_test_are_spoken_of(components, tmp_path):
    shutil.copytree(components, tmp_path / "part")
    dataset = open_dataset(f"folder:{tmp_path / 'part'}")
    images = load(dataset.split("train"))
    assert seen_in_test(dataset, images, frozenset()) == ""
    first, second, third = dataset.split("test").samples
    cv2.imwrite(str(first.image), worn(images[0].gray))
    cv2.imwrite(str(second.image), images[1].gray)
    said = seen_in_test(dataset, images, frozenset({third.name}))
    assert f"2 of 3 look like learned ones ({first.name}, {second.name})" in said
    assert "the start weights have learned images of it" in said
    assert seen_in_test(replace(dataset, splits={}), images, frozenset()) == ""
    both = replace(dataset, splits={"test": tuple(image.name for image in images[:2])})
    assert "2 of its images are learned from" in seen_in_test(both, images, frozenset())
    elsewhere = {**dataset.splits, "test": (*dataset.splits["test"], "not-copied-here")}
    assert "2 of 3" in seen_in_test(replace(dataset, splits=elsewhere), images, frozenset())


def test_bursts_do_not_empty_what_is_held_out(dataset):
    """Two of six pictures are there three times; three are held out, as drawn, and none of a burst."""
    rng = np.random.default_rng(0)
    single = [rng.integers(0, 255, (64, 64)).astype(np.uint8) for _ in range(6)]
    grays = [*single[:4], *3 * [single[4]], *3 * [single[5]]]
    names = [sample.name for sample in dataset.samples][: len(grays)]
    label = np.zeros((64, 64), np.uint8)
    label[20:30, 20:30] = 1
    images = [LabelledImage(name, gray, np.resize(label, gray.shape)) for name, gray in zip(names, grays, strict=True)]
    held = [images[0], images[4], images[7]]
    learned = [image for image in images if image not in held]
    part, validation = (dataset.only([image.name for image in side], "x") for side in (learned, held))
    sides = Sides(part, validation, learned, held)
    folded, _ = keep_copies_together(dataset, sides, fixed=False, stay=set(names))  # by folds each is judged once
    assert [image.name for image in folded.validation] == names[:1]
    kept, _ = keep_copies_together(dataset, sides, fixed=False)
    assert {image.name for image in kept.validation} <= set(names[:4])
    assert len(kept.validation) == 3
    assert len(kept.images) == len(images) - 3
    assert {sample.name for sample in kept.held.samples} == {image.name for image in kept.validation}
