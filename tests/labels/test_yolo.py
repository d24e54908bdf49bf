import cv2
import numpy as np
import pytest

from casae.datasets.convert import convert
from casae.datasets.registry import open_dataset
from casae.errors import DatasetError, UsageError
from casae.labelled.check import check


def yolo(tmp_path, text, names="names: [dent, scratch]\n"):
    for name in ("a.png", "b.png"):
        file = tmp_path / "images" / "train" / name
        file.parent.mkdir(parents=True, exist_ok=True)
        cv2.imwrite(str(file), np.zeros((10, 20), np.uint8))
    (tmp_path / "labels" / "train").mkdir(parents=True)
    (tmp_path / "labels" / "train" / "a.txt").write_text(text)
    (tmp_path / "data.yaml").write_text(names)
    return tmp_path


def test_polygons_and_boxes_are_shares_of_the_sides(tmp_path):
    text = "1 0.1 0.1 0.5 0.1 0.5 0.4 0.1 0.4\n0 0.75 0.5 0.1 0.2\n"
    data = open_dataset(f"yolo:{yolo(tmp_path, text)}")
    label = data.samples[0].draw((10, 20), 2)
    assert data.classes == ("dent", "scratch")
    assert ((label == 2).sum(), (label[1:4, 2:10] == 2).all()) == (24, True)
    assert ((label == 1).sum(), (label[4:6, 14:16] == 1).all()) == (4, True)
    assert data.samples[1].labelled
    assert "1 pictures have no file in labels/, which says that they show no defect" in data.notes


def test_a_broken_picture_is_named_and_the_others_are_read(tmp_path):
    folder = yolo(tmp_path, "0 0.5 0.5 0.5 0.5\n", "names: [dent]\n")
    (folder / "images" / "train" / "a.png").write_text("no image")
    data = open_dataset(f"yolo:{folder}")
    assert len(data.samples) == 2
    damaged = [file.name for file, problem in check(data).problems if "is damaged" in problem]
    assert damaged == ["a.png"]


def test_names_may_be_numbered(tmp_path):
    names = "names:\n  1: scratch\n  0: dent\n"
    data = open_dataset(f"yolo:{yolo(tmp_path, '', names)}")
    assert data.classes == ("dent", "scratch")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("7 0 0 1 0 1 1", "line 1: class 7 is none of the 2"),
        ("\n0 0 0 1 0 1", "line 2: 5 numbers are neither a box nor a polygon"),
        ("0 a b c d e f", "line 1: could not convert string to float: 'a'"),
        ("0 0 0 nan 0 1 1", "line 1: a corner is no place"),
    ],
)
def test_a_damaged_line_is_named(text, said, tmp_path):
    with pytest.raises(DatasetError) as error:
        open_dataset(f"yolo:{yolo(tmp_path, text)}")
    assert said in str(error.value)


def test_holes_are_lost_counted_and_asked_for(tmp_path):
    part = tmp_path / "part"
    for folder in ("images", "masks"):
        (part / folder).mkdir(parents=True)
    ring = np.zeros((20, 20), np.uint8)
    ring[5:12, 5:12] = 1
    ring[7:9, 7:10] = 0
    ring[15, 2:18] = 1
    ring[13, 13] = ring[12, 12] = 1
    cv2.imwrite(str(part / "images" / "a.png"), ring)
    cv2.imwrite(str(part / "masks" / "a.png"), ring)
    (part / "dataset.toml").write_text('classes = ["dent"]\nmasks = "classes"\n')
    with pytest.raises(UsageError, match="1 holes: a polygon of YOLO has none; say --lossy"):
        convert(f"folder:{part}", f"yolo:{tmp_path / 'out'}")
    done = convert(f"folder:{part}", f"yolo:{tmp_path / 'out'}", lossy=True)
    assert (done.differing, done.lost) == (6, ("1 holes: a polygon of YOLO has none",))
