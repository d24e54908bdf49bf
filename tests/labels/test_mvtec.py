import cv2
import numpy as np
import pytest

from casae.datasets.convert import convert
from casae.datasets.registry import open_dataset
from casae.errors import DatasetError, UsageError


def save(file, level=0):
    file.parent.mkdir(parents=True, exist_ok=True)
    cv2.imwrite(str(file), np.full((6, 8), level, np.uint8) if np.isscalar(level) else level)


@pytest.fixture
def bottle(tmp_path):
    for name in ("train/good/000", "test/good/000", "test/broken/000", "test/scratch/000", "test/scratch/001"):
        save(tmp_path / "bottle" / f"{name}.png")
    mask = np.zeros((6, 8), np.uint8)
    mask[2:4, 3:6] = 255
    save(tmp_path / "bottle" / "ground_truth" / "broken" / "000_mask.png", mask)
    save(tmp_path / "bottle" / "ground_truth" / "scratch" / "000_mask.png", mask.T[:6].repeat(2, 1)[:, :8])
    return tmp_path / "bottle"


def test_a_category_of_mvtec_is_a_dataset(bottle):
    data = open_dataset(f"mvtec:{bottle}")
    assert data.classes == ("broken", "scratch")
    assert [(sample.name, sample.labelled) for sample in data.samples] == [
        ("test/broken/000", True),
        ("test/good/000", True),
        ("test/scratch/000", True),
        ("test/scratch/001", False),
        ("train/good/000", True),
    ]
    assert data.samples[0].draw((6, 8), 2)[2:4, 3:6].tolist() == [[1, 1, 1]] * 2
    assert not data.samples[1].draw((6, 8), 2).any()
    rule = "1 defective pictures have no mask in ground_truth/, or one that shows nothing, and are not learned from"
    assert rule in data.notes


def test_white_may_be_1_and_an_empty_mask_is_no_label(bottle):
    mask = np.zeros((6, 8), np.uint8)
    mask[2:4, 3:6] = 1
    save(bottle / "ground_truth" / "broken" / "000_mask.png", mask)
    save(bottle / "ground_truth" / "scratch" / "000_mask.png", 0)
    broken, _, scratch, *_ = open_dataset(f"mvtec:{bottle}").samples
    assert np.array_equal(broken.draw((6, 8), 2), mask)
    assert not scratch.labelled


def test_a_defective_picture_of_train_is_written_where_it_is_judged(bottle, tmp_path):
    (bottle / "train" / "broken").mkdir()
    (bottle / "test" / "broken" / "000.png").rename(bottle / "train" / "broken" / "000.png")
    done = convert(f"mvtec:{bottle}", f"mvtec:{tmp_path / 'again'}")
    assert (done.differing, done.failures) == (0, ())
    assert (tmp_path / "again" / "test" / "broken" / "train" / "broken" / "000.png").is_file()


def test_there_and_back_names_and_pixels_stay(bottle, tmp_path):
    (bottle / "splits").mkdir()
    (bottle / "splits" / "test.txt").write_text("test/broken/000\n")
    there = convert(f"mvtec:{bottle}", f"folder:{tmp_path / 'folder'}")
    back = convert(f"folder:{tmp_path / 'folder'}", f"mvtec:{tmp_path / 'again'}")
    assert (there.differing, back.differing, back.pictures) == (0, 0, 4)  # one had no mask
    data = open_dataset(f"mvtec:{tmp_path / 'again'}")
    assert "test/scratch/000" in {sample.name for sample in data.samples}
    assert data.splits["test"] == ("test/broken/000",)


def test_two_classes_in_a_picture_are_asked_for(components, tmp_path):
    with pytest.raises(UsageError, match="pictures show several classes, and a folder of mvtec is of one; say --lossy"):
        convert(f"folder:{components}", f"mvtec:{tmp_path / 'out'}")
    done = convert(f"folder:{components}", f"mvtec:{tmp_path / 'lossy'}", lossy=True)
    assert done.differing > 0


def test_a_picture_in_no_folder_is_named(tmp_path):
    save(tmp_path / "test" / "loose.png")
    with pytest.raises(DatasetError, match="lies in no folder of its kind"):
        open_dataset(f"mvtec:{tmp_path}")
