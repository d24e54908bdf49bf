import shutil

import cv2
import numpy as np
import PIL.Image
import pytest

from casae.datasets.registry import open_dataset
from casae.errors import DatasetError
from casae.labelled.check import check
from casae.labelled.colour import channels_of


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
    (folder / "splits" / "train.txt").write_text("".join(f"component-{index:04d}\n" for index in range(8)))
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
    idle = "2 labelled images are in no list, so nothing learns from them, such as 'component-0009'"
    assert any(problem.startswith(idle) for problem in by_file["train.txt"])


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
    findings = check(open_dataset(f"folder:{folder}"))
    assert (findings.hidden == findings.coloured > 0) == told
    assert channels_of(open_dataset(f"folder:{folder}"), None)[0] == (3 if told else 1)
    assert channels_of(open_dataset(f"folder:{folder}"), 1) == (1, "as you say")


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


@pytest.fixture
def bars(tmp_path):
    """Eight bright images with a dark bar of class 1 + index % 2 each, in the folder: format."""
    for part in ("images", "masks"):
        (tmp_path / part).mkdir()
    for index in range(8):
        image = np.full((60, 80), 150 + index, np.uint8)
        label = np.zeros((60, 80), np.uint8)
        image[20:40, 10 + index : 30 + index] = 40
        label[20:40, 10 + index : 30 + index] = 1 + index % 2
        cv2.imwrite(str(tmp_path / f"images/{index}.png"), image)
        cv2.imwrite(str(tmp_path / f"masks/{index}.png"), label)
    (tmp_path / "dataset.toml").write_text('classes = ["inclusion", "scratch"]')
    return tmp_path


def told(folder):
    return [problem for _, problem in check(open_dataset(f"folder:{folder}")).problems]


def test_a_background_among_the_classes_is_said(bars):
    assert told(bars) == []
    (bars / "dataset.toml").write_text('classes = ["background", "inclusion", "scratch"]')
    (problem,) = told(bars)
    assert problem.startswith("class 1 is called 'background': mask value 0 is background and 1 the first class")


def test_a_border_to_be_ignored_is_said_and_can_be_ignored(bars):
    for file in (bars / "masks").iterdir():
        label = cv2.imread(str(file), cv2.IMREAD_UNCHANGED)
        grown = cv2.dilate(label, np.ones((5, 5), np.uint8))
        cv2.imwrite(str(file), np.where((grown > 0) & (label == 0), 255, label))
    assert told(bars) == [
        "255 runs around defects as a border and counts as a defect without class; say ignore = [255]"
    ]
    (bars / "dataset.toml").write_text('classes = ["inclusion", "scratch"]\nignore = [255]')
    assert told(bars) == []
    dataset = open_dataset(f"folder:{bars}")
    assert set(np.unique(dataset.samples[0].draw((60, 80), 2))) == {0, 1}
    assert dataset.notes == ("mask values 255 count as background, as dataset.toml says",)


def test_masks_of_single_defects_are_laid_over_each_other(bars):
    for name, columns in (("0_mask", slice(0, 5)), ("0_mask_1", slice(8, 12)), ("0_mask_2", slice(20, 30))):
        label = np.zeros((60, 80), np.uint8)
        label[:, columns] = 1
        cv2.imwrite(str(bars / f"masks/{name}.png"), label)
    (bars / "masks/0.png").unlink()
    dataset = open_dataset(f"folder:{bars}")
    label = dataset.samples[0].draw((60, 80), 2)
    assert np.flatnonzero(label[0]).tolist() == [*range(5), *range(8, 12), *range(20, 30)]
    assert dataset.notes == ("1 images have several masks each, which are laid over each other",)
    assert dataset.orphans == ()


def test_an_orientation_that_masks_may_not_have_is_said(bars):
    turned = PIL.Image.Exif()
    turned[274] = 3
    for file in sorted((bars / "images").iterdir()):
        PIL.Image.open(file).save(file.with_suffix(".jpg"), exif=turned.tobytes())
        file.unlink()
    (problem,) = told(bars)
    assert problem.startswith("8 labelled pictures carry an EXIF orientation and are turned")


def test_labels_of_another_program_are_named(bars):
    for file in (bars / "masks").iterdir():
        file.with_suffix(".json").write_text("{}")
        file.unlink()
    found = told(bars)
    assert any("masks/ holds 8 JSON files such as" in problem for problem in found)


@pytest.mark.parametrize(
    ("text", "rule"),
    [
        ("mm_per_pixl = 0.01", "mm_per_pixl: no such setting; mm_per_pixel is meant"),
        ("mm_per_pixel = inf", "mm_per_pixel inf"),
        ("mm_per_pixel = true", "mm_per_pixel True"),
        ("mm_per_pixel = 1e308", "mm_per_pixel"),
        ("masks = 'colours'", "masks 'colours'"),
        ("ignore = [256]", r"ignore #1 256"),
    ],
)
def test_a_setting_that_is_none_is_refused_by_name(bars, text, rule):
    (bars / "dataset.toml").write_text(f'classes = ["a", "b"]\n{text}\n')
    with pytest.raises(DatasetError, match=rule):
        open_dataset(f"folder:{bars}")


def test_what_masks_mean_can_be_said(bars):
    levels = np.zeros((60, 80), np.uint8)
    levels[:20], levels[30:50] = 100, 200
    cv2.imwrite(str(bars / "masks/0.png"), levels)
    (bars / "dataset.toml").write_text('classes = ["a"]')
    with pytest.raises(DatasetError, match=r"value 100, 200 names no class; use 0\.\.1, .* or say masks"):
        open_dataset(f"folder:{bars}").samples[0].draw((60, 80), 1)
    (bars / "dataset.toml").write_text('classes = ["a"]\nmasks = "binary"')
    label = open_dataset(f"folder:{bars}").samples[0].draw((60, 80), 1)
    assert (label > 0).sum() == 20 * 80


def test_remarks_in_the_settings_are_left_alone_and_other_keys_are_said(bars):
    (bars / "dataset.toml").write_text('classes = ["a", "b"]\nnote = "by Ann"\ncamera = 7\n')
    assert told(bars) == ["dataset.toml holds camera, which is no setting and does nothing"]
