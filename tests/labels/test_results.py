import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from casae import Inspector
from casae.datasets.add import add
from casae.datasets.convert import convert
from casae.datasets.registry import open_dataset
from casae.decoding import read_image
from casae.errors import DatasetError, UsageError
from casae.inspection.regions import find_regions
from casae.labelled.check import check
from casae.labels.results import filled
from casae.line.run import inspect_files


@given(arrays.arrays(np.bool_, st.tuples(st.integers(1, 12), st.integers(1, 12))))
@settings(max_examples=150, deadline=None)
def test_outlines_are_filled_to_the_pixels_that_they_were_made_of(mask):
    again = np.zeros_like(mask)
    for region in find_regions(mask):
        pixels, left, top = filled([outline.tolist() for outline in region.outlines])
        again[top : top + pixels.shape[0], left : left + pixels.shape[1]] |= pixels
    assert np.array_equal(again, mask)


@pytest.fixture
def inspected(tmp_path, dark_model):
    """Two pictures and their results."""
    (tmp_path / "line").mkdir()
    for name, columns in (("a", 20), ("b", 30)):
        image = np.full((48, 64), 200, np.uint8)
        image[10:16, 10 : 10 + columns] = 20
        image[12:14, 14:18] = 200  # a hole
        cv2.imwrite(str(tmp_path / "line" / f"{name}.png"), image)
    inspect_files(Inspector(dark_model), sorted((tmp_path / "line").glob("*.png")), tmp_path / "out")
    return tmp_path


def test_results_are_labels(inspected, dark_model):
    data = open_dataset(f"results:{inspected / 'out'}")
    assert [sample.name for sample in data.samples] == ["a", "b"]
    for sample in data.samples:
        found = Inspector(dark_model).inspect(sample.image)
        label = sample.draw(found.mask.shape, len(data.classes))
        assert np.array_equal(label > 0, found.mask)
    done = convert(data, f"coco:{inspected / 'coco'}")
    assert (done.pictures, done.differing) == (2, 0)


def test_the_other_files_of_results_are_no_problem(inspected):
    assert check(open_dataset(f"results:{inspected / 'out'}")).problems == []


def test_pictures_that_changed_since_are_left_out(inspected):
    cv2.imwrite(str(inspected / "line" / "a.png"), np.zeros((48, 64), np.uint8))
    data = open_dataset(f"results:{inspected / 'out'}")
    assert [sample.name for sample in data.samples] == ["b"]
    assert "is another picture by now; left out" in data.notes[0]
    (inspected / "line" / "b.png").unlink()
    with pytest.raises(DatasetError):
        open_dataset(f"results:{inspected / 'out'}")


@pytest.mark.parametrize("setting", ['masks = "binary"', 'masks = "any"', "ignore = [255]"])
def test_nothing_is_added_to_masks_that_hold_no_classes(setting, inspected):
    part = inspected / "my-part"
    (part / "images").mkdir(parents=True)
    cv2.imwrite(str(part / "images" / "x.png"), np.full((9, 9), 99, np.uint8))
    (part / "dataset.toml").write_text(f'classes = ["stain", "glare"]\n{setting}\n')
    with pytest.raises(UsageError, match="do not hold a value for each class; convert it"):
        add(f"results:{inspected / 'out'}", f"folder:{part}")
    assert not (part / "masks").exists()


def test_results_are_added_to_a_dataset_once(inspected):
    part = inspected / "my-part"
    for folder in ("images", "masks", "splits"):
        (part / folder).mkdir(parents=True)
    cv2.imwrite(str(part / "images" / "a.png"), np.full((9, 9), 99, np.uint8))
    cv2.imwrite(str(part / "masks" / "a.png"), np.zeros((9, 9), np.uint8))
    (part / "dataset.toml").write_text('classes = ["scratch"]\nlicence = "ours"\n')
    (part / "splits" / "train.txt").write_text("a\n")
    source, target = f"results:{inspected / 'out'}", f"folder:{part}"
    with pytest.raises(UsageError, match="knows no class 'glare', only scratch; rename it, or say --new-classes"):
        add(source, target)
    done = add(source, target, new_classes=True)
    assert (done.added, done.known, done.failures) == (("a-2", "b"), 0, ())
    data = open_dataset(target)
    assert (data.classes, data.licence) == (("scratch", "glare"), "ours")
    assert data.splits["train"] == ("a", "a-2", "b")
    (sample,) = (sample for sample in data.samples if sample.name == "b")
    assert np.unique(sample.draw(read_image(sample.image).shape, 2)).tolist() == [0, 2]
    assert add(source, target).known == 2
    with pytest.raises(UsageError, match="pictures are added to folder:PATH"):
        add(source, f"coco:{inspected}")


def test_a_file_that_holds_no_inspection_is_named(tmp_path):
    (tmp_path / "inspections.jsonl").write_text("{}\n")
    with pytest.raises(DatasetError, match=r"inspections\.jsonl: line 1 is no inspection"):
        open_dataset(f"results:{tmp_path}")


def test_an_unknown_defect_is_a_label_without_class(tmp_path, telling_model):
    image = np.full((64, 64), 210, np.uint8)
    image[8:30, 8:30] = 0
    cv2.imwrite(str(tmp_path / "a.png"), image)
    inspect_files(Inspector(telling_model), [tmp_path / "a.png"], tmp_path / "out")
    data = open_dataset(f"results:{tmp_path / 'out'}")
    assert "unknown" not in data.classes
    assert set(np.unique(data.samples[0].draw(image.shape, len(data.classes)))) == {0, 255}
