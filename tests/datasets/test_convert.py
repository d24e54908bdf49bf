import dataclasses
import json
import shutil

import cv2
import numpy as np
import pytest

from casae.datasets import convert as module
from casae.datasets.convert import TARGETS, convert
from casae.datasets.registry import open_dataset
from casae.errors import UsageError
from casae.labels.formats import FORMATS


@pytest.fixture
def part(components, tmp_path):
    """Drawn parts, one of them with a defect without class, one that nobody labelled, one good."""
    components = shutil.copytree(components, tmp_path / "part")
    masks = sorted((components / "masks").iterdir())
    mask = cv2.imread(str(masks[0]), cv2.IMREAD_UNCHANGED)
    mask[2:6, 3:9] = 255
    cv2.imwrite(str(masks[0]), mask)
    masks[1].unlink()
    (components / "good").mkdir()
    (components / "images" / f"{masks[2].stem}.png").rename(components / "good" / f"{masks[2].stem}.png")
    masks[2].unlink()
    for file in (components / "splits").glob("*"):
        file.unlink()
    (components / "splits" / "test.txt").write_text(f"{masks[3].stem}\n")
    return components


def labels(spec):
    data = open_dataset(spec)
    drawn = {}
    for sample in data.samples:
        shape = cv2.imread(str(sample.image)).shape
        drawn[sample.name] = sample.draw(shape, len(data.classes)) if sample.labelled else None
    return data, drawn


@pytest.mark.parametrize("form", [form for form in TARGETS if form not in ("yolo", "mvtec")])
def test_there_and_back_every_pixel_is_as_before(form, part, tmp_path):
    there = convert(f"folder:{part}", f"{form}:{tmp_path / 'there'}", lossy=True)
    back = convert(f"{form}:{tmp_path / 'there'}", f"folder:{tmp_path / 'back'}")
    assert (there.differing, back.differing) == (0, 0)
    before, drawn = labels(f"folder:{part}")
    after, again = labels(f"folder:{tmp_path / 'back'}")
    assert after.classes == before.classes
    assert after.splits["test"] == before.splits["test"]
    says = form == "folder" or FORMATS[form].tells_unlabelled
    left_out = {name for name, label in drawn.items() if label is None and not says}
    assert again.keys() == drawn.keys() - left_out
    assert len(there.lost) == bool(left_out) + 2 * (form != "folder")  # and the scale, and the licence
    for name, label in again.items():
        assert (label is None) == (drawn[name] is None)
        assert label is None or np.array_equal(label, drawn[name])


@pytest.mark.parametrize("form", ["label-studio", "coco", "cvat", "labelme", "yolo"])
def test_names_with_signs_of_addresses_come_back(form, part, tmp_path):
    first = sorted((part / "good").iterdir())[0]
    first.rename(part / "good" / "Teil #3 100%?.png")
    done = convert(f"folder:{part}", f"{form}:{tmp_path / 'there'}", lossy=True)
    assert done.failures == ()


def test_a_picture_that_is_not_found_again_is_a_failure(part, tmp_path, monkeypatch):
    monkeypatch.setattr(module, "_name_in", lambda form, sample, picture: f"other/{sample.name}")
    done = convert(f"folder:{part}", f"coco:{tmp_path / 'there'}")
    assert all("is not found where coco:" in failure for failure in done.failures)
    assert len(done.failures) == done.pictures > 0


def test_lists_name_pictures_that_are_known_to_be_good_as_they_are_called_then(tmp_path):
    for name, place in (("0001", "Test"), ("0002", "Test"), ("0001", "Train")):
        file = tmp_path / "Class1" / place / f"{name}.PNG"
        file.parent.mkdir(parents=True, exist_ok=True)
        cv2.imwrite(str(file), np.zeros((16, 16), np.uint8))
    label = tmp_path / "Class1" / "Test" / "Label" / "0001_label.PNG"
    label.parent.mkdir()
    cv2.imwrite(str(label), np.full((16, 16), 255, np.uint8))
    data = open_dataset(f"dagm:{tmp_path}")
    names = tuple(sample.name for sample in data.samples)
    data = dataclasses.replace(data, splits={"train": names})
    assert any(sample.known_good for sample in data.samples)
    done = convert(data, f"folder:{tmp_path / 'mine'}")
    assert done.failures == ()
    assert len(open_dataset(f"folder:{tmp_path / 'mine'}").split("train").samples) == len(names)


def test_nothing_is_written_over(part, tmp_path):
    (tmp_path / "x").write_text("mine")
    with pytest.raises(UsageError, match="is not empty"):
        convert(f"folder:{part}", f"coco:{tmp_path}")
    with pytest.raises(UsageError, match="name FORMAT:FOLDER, a format of folder, coco"):
        convert(f"folder:{part}", f"dagm:{tmp_path / 'new'}")


@pytest.mark.parametrize("path", ["../pictures/a.png", "C:\\old place\\..\\pictures\\a.png", "/pictures/a.png"])
def test_a_path_in_a_label_file_leads_out_of_no_folder(path, tmp_path):
    (tmp_path / "pictures").mkdir()
    cv2.imwrite(str(tmp_path / "pictures" / "a.png"), np.zeros((4, 6), np.uint8))
    (tmp_path / "labels").mkdir()
    image = {"id": 1, "file_name": path, "width": 6, "height": 4}
    outline = {"id": 1, "image_id": 1, "category_id": 1, "segmentation": [[1, 1, 4, 1, 4, 3, 1, 3]]}
    content = {"images": [image], "annotations": [outline], "categories": [{"id": 1, "name": "dent"}]}
    shutil.copy(tmp_path / "pictures" / "a.png", tmp_path / "labels" / "a.png")
    (tmp_path / "labels" / "labels.json").write_text(json.dumps(content))
    convert(f"coco:{tmp_path / 'labels' / 'labels.json'}", f"folder:{tmp_path / 'deep' / 'out'}")
    written = {file for file in (tmp_path / "deep").rglob("*") if file.is_file()}
    assert {file.suffix for file in written} == {".png", ".toml"}
    assert len(written) == 3
    assert sorted(file.name for file in tmp_path.iterdir()) == ["deep", "labels", "pictures"]


def test_a_broken_picture_stops_no_other(part, tmp_path):
    names = sorted(file.stem for file in (part / "masks").iterdir())
    (part / "images" / f"{names[0]}.png").write_text("no image")
    cv2.imwrite(str(part / "masks" / f"{names[1]}.png"), np.zeros((3, 3), np.uint8))
    done = convert(f"folder:{part}", f"coco:{tmp_path / 'out'}")
    assert len(done.failures) == 2
    assert any(f"{names[0]}.png: is damaged" in failure for failure in done.failures)
    assert any(f"{names[1]}.png: mask is 3 x 3 px" in failure for failure in done.failures)
    assert (done.pictures, done.differing) == (9, 0)
