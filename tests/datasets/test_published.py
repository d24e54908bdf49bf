"""Small trees in the layouts in which the sets are published."""

import cv2
import numpy as np
import pytest

from casae.datasets.registry import open_dataset


def picture(file, shape=(12, 10), value=90):
    file.parent.mkdir(parents=True, exist_ok=True)
    cv2.imwrite(str(file), np.full(shape, value, np.uint8))


def mask(file, value=255, shape=(12, 10)):
    file.parent.mkdir(parents=True, exist_ok=True)
    pixels = np.zeros(shape, np.uint8)
    pixels[2:4, 3:6] = value
    cv2.imwrite(str(file), pixels)


def drawn(data, name):
    (sample,) = (sample for sample in data.samples if sample.name == name)
    return sample.draw((12, 10), len(data.classes))


def test_kolektor_sdd(tmp_path):
    for item in ("kos01", "kos02"):
        for part in range(2):
            picture(tmp_path / item / f"Part{part}.jpg")
            mask(tmp_path / item / f"Part{part}_label.bmp", value=part)
    data = open_dataset(f"kolektor-sdd:{tmp_path}")
    assert [sample.name for sample in data.samples] == ["kos01/Part0", "kos01/Part1", "kos02/Part0", "kos02/Part1"]
    assert (drawn(data, "kos01/Part0").sum(), drawn(data, "kos01/Part1").sum()) == (0, 6)
    assert data.licence.endswith("not for commercial use")


def test_kolektor_sdd2(tmp_path):
    for part, name, value in (("train", "10000", 0), ("train", "10001", 255), ("test", "20000", 255)):
        picture(tmp_path / part / f"{name}.png")
        mask(tmp_path / part / f"{name}_GT.png", value)
    data = open_dataset(f"kolektor-sdd2:{tmp_path}")
    assert data.splits == {"train": ("train/10000", "train/10001"), "test": ("test/20000",)}
    assert (drawn(data, "train/10000").sum(), drawn(data, "test/20000").sum()) == (0, 6)


def test_visa(tmp_path):
    root = tmp_path / "candle"
    for name in ("0000", "0001"):
        picture(root / "Data" / "Images" / "Normal" / f"{name}.JPG")
    picture(root / "Data" / "Images" / "Anomaly" / "000.JPG")
    mask(root / "Data" / "Masks" / "Anomaly" / "000.png", value=3)
    (root / "image_anno.csv").write_text("image,label,mask\n")
    (tmp_path / "split_csv").mkdir()
    (tmp_path / "split_csv" / "1cls.csv").write_text(
        "object,split,label,image,mask\n"
        "candle,train,normal,candle/Data/Images/Normal/0000.JPG,\n"
        "candle,test,normal,candle/Data/Images/Normal/0001.JPG,\n"
        "candle,test,anomaly,candle/Data/Images/Anomaly/000.JPG,candle/Data/Masks/Anomaly/000.png\n"
        "pcb1,train,normal,pcb1/Data/Images/Normal/0000.JPG,\n"
    )
    data = open_dataset(f"visa:{root}")
    assert data.splits == {"train": ("Normal/0000",), "test": ("Normal/0001", "Anomaly/000")}
    assert drawn(data, "Anomaly/000").sum() == 6
    assert [sample.known_good for sample in data.samples] == [False, True, True]


def test_magnetic_tile(tmp_path):
    for folder in ("MT_Blowhole", "MT_Break", "MT_Crack", "MT_Fray", "MT_Uneven", "MT_Free"):
        picture(tmp_path / folder / "Imgs" / "exp1_num_4727.jpg")
        mask(tmp_path / folder / "Imgs" / "exp1_num_4727.png", value=0 if folder == "MT_Free" else 255)
    data = open_dataset(f"magnetic-tile:{tmp_path}")
    assert data.classes == ("blowhole", "break", "crack", "fray", "uneven")
    assert drawn(data, "MT_Uneven/exp1_num_4727").max() == 5
    assert drawn(data, "MT_Blowhole/exp1_num_4727").max() == 1
    assert drawn(data, "MT_Free/exp1_num_4727").max() == 0


@pytest.mark.parametrize("whole", [True, False])
def test_rsdds(tmp_path, whole):
    for kind in ("Type-I RSDDs dataset", "Type-II RSDDs dataset"):
        picture(tmp_path / kind / "Rail surface images" / "rail_1.jpg")
        mask(tmp_path / kind / "GroundTruth" / "rail_1.jpg")
    data = open_dataset(f"rsdds:{tmp_path if whole else tmp_path / 'Type-I RSDDs dataset'}")
    names = [sample.name for sample in data.samples]
    assert names == (["type-1/rail_1", "type-2/rail_1"] if whole else ["rail_1"])
    assert drawn(data, names[0])[2:4, 3:6].all()


def test_masks_in_which_anything_is_a_defect(tmp_path):
    picture(tmp_path / "images" / "a.png")
    mask(tmp_path / "masks" / "a.png", value=7)
    (tmp_path / "dataset.toml").write_text('classes = ["dent"]\nmasks = "any"\n')
    assert np.unique(drawn(open_dataset(f"folder:{tmp_path}"), "a")).tolist() == [0, 255]
