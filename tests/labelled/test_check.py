import shutil

import cv2
import numpy as np
import pytest

from casae.datasets.registry import open_dataset
from casae.labelled.check import check


@pytest.fixture
def folder(components, tmp_path):
    return shutil.copytree(components, tmp_path / "data")


def problems(folder):
    return {file.name: problem for file, problem in check(open_dataset(f"folder:{folder}")).problems}


def test_a_sound_dataset_is_counted(folder):
    findings = check(open_dataset(f"folder:{folder}"))
    assert findings.problems == []
    assert (findings.images, findings.unlabelled) == (12, 0)
    assert findings.sizes == {(256, 192): 12}
    assert findings.splits == {"train": 8, "val": 1, "test": 3}
    assert sum(findings.class_pixels.values()) == 12 * 256 * 192
    assert findings.defect_free == sum(
        not cv2.imread(str(mask), cv2.IMREAD_UNCHANGED).any() for mask in (folder / "masks").iterdir()
    )


def test_every_problem_is_named_by_file(folder):
    images, masks = folder / "images", folder / "masks"
    (masks / "component-0000.png").rename(masks / "stranger.png")
    cv2.imwrite(str(masks / "component-0001.png"), np.zeros((5, 5), np.uint8))
    cv2.imwrite(str(masks / "component-0002.png"), np.full((192, 256), 9, np.uint8))
    cv2.imwrite(str(masks / "component-0003.png"), np.random.default_rng(0).integers(0, 9, (192, 256, 3), np.uint8))
    (images / "component-0004.png").write_bytes(b"broken")
    (masks / "component-0005.png").write_bytes(b"")
    shutil.copy(images / "component-0006.png", images / "component-0011.png")
    (folder / "splits" / "test.txt").write_text("component-0007\ncomponent-0007\nghost\ncomponent-0011\n")
    found = check(open_dataset(f"folder:{folder}"))
    by_file = {}
    for file, problem in found.problems:
        by_file.setdefault(file.name, []).append(problem)
    assert found.unlabelled == 1
    assert by_file["stranger.png"] == ["no image of this name; name it like its image"]
    assert "5 x 5 px, its image 256 x 192" in by_file["component-0001.png"][0]
    assert "value 9 names no class" in by_file["component-0002.png"][0]
    assert "colour picture is no label" in by_file["component-0003.png"][0]
    assert "not a PNG" in by_file["component-0004.png"][0]
    assert "empty" in by_file["component-0005.png"][0]
    assert by_file["component-0011.png"] == ["same picture as component-0006.png across splits test, train; keep one"]
    assert any("ghost" in problem for problem in by_file["test.txt"])
    assert any("2 times" in problem for problem in by_file["test.txt"])
    assert any("'component-0007' is in 'train'" in problem for problem in by_file["test.txt"])


def test_masks_that_were_resized_by_mixing_class_numbers_are_suspected(folder):
    def redrawn(how):
        for index, mask in enumerate(sorted((folder / "masks").iterdir())):
            small = cv2.circle(np.zeros((48, 64), np.uint8), (20 + index, 20), 9, 1 + index % 4, -1)
            cv2.imwrite(str(mask), cv2.resize(small, (256, 192), interpolation=how))
        return problems(folder)

    assert "were they resized" in redrawn(cv2.INTER_LINEAR)["masks"]
    assert redrawn(cv2.INTER_NEAREST) == {}


def test_a_defect_on_another_is_no_rim(folder):
    for mask in (folder / "masks").iterdir():
        label = cv2.circle(np.zeros((192, 256), np.uint8), (100, 100), 40, 1, -1)
        cv2.imwrite(str(mask), cv2.circle(label, (100, 100), 10, 2, -1))
    assert problems(folder) == {}


def test_files_that_are_not_read_are_named(folder):
    (folder / "masks" / "component-0000.npy").write_bytes(b"")
    (folder / "masks" / ".hidden").write_bytes(b"")
    assert "1 of type .npy; save" in problems(folder)["masks"]


@pytest.mark.parametrize(("rust", "told"), [((50, 75, 150), True), ((95, 95, 200), False), ((40, 40, 40), False)])
def test_defects_that_only_colour_shows_are_told(folder, rust, told):
    rng = np.random.default_rng(0)
    for mask in (folder / "masks").iterdir():
        image = rng.normal(95, 4, (192, 256, 3)).round().astype(np.uint8)
        image[cv2.imread(str(mask), cv2.IMREAD_UNCHANGED) > 0] = rust  # blue, green, red
        cv2.imwrite(str(folder / "images" / mask.name), image)
    assert ("save red as gray images" in problems(folder).get("images", "")) == told


def test_inverted_masks_are_suspected(folder):
    for mask in (folder / "masks").iterdir():
        cv2.imwrite(str(mask), np.where(cv2.imread(str(mask), cv2.IMREAD_UNCHANGED), 0, 255).astype(np.uint8))
    assert "most show more defect than background, which is 0; are they inverted?" in problems(folder)["masks"]


def test_what_no_training_can_learn_is_a_problem(folder):
    for mask in (folder / "masks").iterdir():
        cv2.imwrite(str(mask), 255 * (cv2.imread(str(mask), cv2.IMREAD_UNCHANGED) > 0).astype(np.uint8))
    assert "no defect names its class; paint the values 1.." in problems(folder)["masks"]
    (folder / "masks").rename(folder / "ground_truth")
    assert "no defect is labelled; masks lie there, named like their images" in problems(folder)["masks"]
