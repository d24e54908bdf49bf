import unicodedata

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
        ("nan 0.5 0.5 0.5 0.5", "line 1: class nan is none of the 2"),
        ("inf 0.5 0.5 0.5 0.5", "line 1: class inf is none of the 2"),
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


def pair(folder, name, text="0 0.5 0.5 0.5 0.5\n", pictures="images", texts="labels"):
    for place in (folder / pictures, folder / texts):
        (place / name).parent.mkdir(parents=True, exist_ok=True)
    cv2.imwrite(str(folder / pictures / f"{name}.png"), np.zeros((10, 20), np.uint8))
    (folder / texts / f"{name}.txt").write_text(text)


@pytest.mark.parametrize("up", ["", "../"])
def test_pairs_of_folders_as_roboflow_writes_them_are_lists(up, tmp_path):
    for title, names in (("train", "ab"), ("valid", "c"), ("test", "d")):
        for name in names:
            pair(tmp_path / title, name)
    lists = "".join(
        f"{key}: {up}{title}/images\n" for key, title in (("train", "train"), ("val", "valid"), ("test", "test"))
    )
    (tmp_path / "data.yaml").write_text(f"{lists}nc: 1\nnames: ['dent']\n")
    data = open_dataset(f"yolo:{tmp_path / 'data.yaml'}")
    assert [sample.name for sample in data.samples] == ["test/d", "train/a", "train/b", "valid/c"]
    assert data.splits == {"train": ("train/a", "train/b"), "val": ("valid/c",), "test": ("test/d",)}
    assert all(sample.draw((10, 20), 1).sum() == 50 for sample in data.samples)
    assert data.notes == ()


def test_lists_may_be_folders_below_images_or_files_of_paths(tmp_path):
    for name in ("train/a", "val/b", "c"):
        pair(tmp_path, name)
    (tmp_path / "test.txt").write_text("./images/c.png\n")
    (tmp_path / "data.yaml").write_text(
        "path: .\ntrain: images/train\nval: [images/val]\ntest: test.txt\nnames: [dent]\n"
    )
    data = open_dataset(f"yolo:{tmp_path}")
    assert data.splits == {"train": ("train/a",), "val": ("val/b",), "test": ("c",)}


def test_a_picture_in_two_lists_makes_them_none(tmp_path):
    pair(tmp_path, "a")
    (tmp_path / "data.yaml").write_text("train: images\nval: images\nnames: [dent]\n")
    assert open_dataset(f"yolo:{tmp_path}").splits == {}


@pytest.mark.parametrize("place", ["../../secret/images", "/etc", "linked"])
def test_a_list_leads_out_of_no_folder(place, tmp_path):
    pair(tmp_path / "secret", "s")
    pair(tmp_path / "own", "a")
    (tmp_path / "own" / "linked").symlink_to(tmp_path / "secret" / "images")
    (tmp_path / "own" / "data.yaml").write_text(f"path: .\ntrain: {place}\nval: images\nnames: [dent]\n")
    data = open_dataset(f"yolo:{tmp_path / 'own'}")
    assert [sample.name for sample in data.samples] == ["a"]
    assert f"data.yaml: train: {place} is not in its folder and is passed over" in data.notes


def test_a_label_file_without_picture_is_said_and_umlauts_of_a_mac_are_met(tmp_path):
    pair(tmp_path, "a")
    (tmp_path / "labels" / "gone.txt").write_text("0 0.5 0.5 0.5 0.5\n")
    (tmp_path / "labels" / "classes.txt").write_text("dent\n")
    cv2.imwrite(str(tmp_path / "images" / unicodedata.normalize("NFC", "ü.png")), np.zeros((10, 20), np.uint8))
    (tmp_path / "labels" / unicodedata.normalize("NFD", "ü.txt")).write_text("0 0.5 0.5 0.5 0.5\n")
    (tmp_path / "data.yaml").write_text("names: [dent]\n")
    data = open_dataset(f"yolo:{tmp_path}")
    assert [sample.draw((10, 20), 1).any() for sample in data.samples] == [True, True]
    assert "1 files in labels/ belong to no picture, such as labels/gone.txt" in data.notes


def test_linked_folders_are_read(tmp_path):
    pair(tmp_path / "elsewhere", "a")
    (tmp_path / "own").mkdir()
    for name in ("images", "labels"):
        (tmp_path / "own" / name).symlink_to(tmp_path / "elsewhere" / name)
    (tmp_path / "own" / "data.yaml").write_text("names: [dent]\n")
    (sample,) = open_dataset(f"yolo:{tmp_path / 'own'}").samples
    assert sample.draw((10, 20), 1).sum() == 50
