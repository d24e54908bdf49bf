import os
import sys
import unicodedata

import cv2
import numpy as np
import PIL.Image
import pytest
import tifffile
from PIL.PngImagePlugin import PngInfo

from casae.calibration.calibration import Calibration
from casae.datasets.masks import label_values
from casae.datasets.registry import open_dataset, packaged_copies, packaged_splits
from casae.datasets.sample import KnownGood, Sample
from casae.errors import DatasetError, ImageError


@pytest.fixture
def folder(tmp_path):
    """Images a (labelled), b (unlabelled), c (free of defects)."""
    for part in ("images", "masks", "splits"):
        (tmp_path / part).mkdir()
    for name in "abc":
        cv2.imwrite(str(tmp_path / "images" / f"{name}.bmp"), np.full((4, 6), 90, np.uint8))
    mask = np.zeros((4, 6), np.uint8)
    cv2.imwrite(str(tmp_path / "masks" / "c.png"), mask)
    mask[1, 1:4] = [1, 2, 255]
    cv2.imwrite(str(tmp_path / "masks" / "a.png"), mask)
    (tmp_path / "splits" / "train.txt").write_text("c\na\n\n")
    (tmp_path / "dataset.toml").write_text('classes = ["dent", "scratch"]\nmm_per_pixel = 0.5\n')
    return tmp_path


def test_the_folder_format(folder):
    dataset = open_dataset(f"folder:{folder}")
    assert dataset.classes == ("dent", "scratch")
    assert dataset.mm_per_pixel == 0.5
    assert [sample.name for sample in dataset.samples] == ["a", "b", "c"]
    assert [sample.name for sample in dataset.labelled.samples] == ["a", "c"]
    assert [sample.name for sample in dataset.split("train").samples] == ["a", "c"]
    assert dataset.split("train").split_name == "train"
    assert dataset.split("all") is dataset
    label = dataset.samples[0].draw((4, 6), 2)
    assert label[1].tolist() == [0, 1, 2, 255, 0, 0]


def test_umlauts_of_a_mac_are_those_of_others(folder):
    for part, form in (("images", "NFD"), ("masks", "NFC")):
        name = unicodedata.normalize(form, "Tür")
        (folder / part / f"{name}.png").write_bytes((folder / "masks" / "a.png").read_bytes())
    dataset = open_dataset(f"folder:{folder}")
    assert not dataset.orphans
    assert "Tür" in {sample.name for sample in dataset.labelled.samples}


def test_what_is_kept_for_the_end_is_not_learned(folder):
    (folder / "splits" / "train.txt").unlink()
    (folder / "splits" / "test.txt").write_text("c\n")
    assert open_dataset(f"folder:{folder}").splits == {"train": ("a", "b"), "test": ("c",)}


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16"])
def test_lists_from_windows_are_read(folder, encoding):
    (folder / "splits" / "train.txt").write_text("c.bmp\r\na.bmp\r\n", encoding)
    (folder / "dataset.toml").write_text('classes = ["dent"]', encoding)
    assert open_dataset(f"folder:{folder}").splits == {"train": ("c", "a")}
    (folder / "splits" / "train.txt").write_bytes(b"caf\xe9")
    with pytest.raises(DatasetError, match=r"train\.txt: is no text in UTF-8"):
        open_dataset(f"folder:{folder}")


def test_good_parts_need_no_mask(folder):
    (folder / "good").mkdir()
    cv2.imwrite(str(folder / "good" / "a.png"), np.full((4, 6), 90, np.uint8))
    dataset = open_dataset(f"folder:{folder}")
    assert [sample.name for sample in dataset.labelled.samples] == ["a", "c", "good/a"]
    assert not dataset.samples[-1].draw((4, 6), 2).any()
    (folder / "images" / "good").mkdir()
    cv2.imwrite(str(folder / "images" / "good" / "a.bmp"), np.full((4, 6), 90, np.uint8))
    with pytest.raises(DatasetError, match=r"good/a.png: same name as .*images/good/a.bmp; rename one"):
        open_dataset(f"folder:{folder}")


def test_the_same_data_has_the_same_hash_wherever_it_lies(folder, tmp_path_factory):
    import shutil

    other = tmp_path_factory.mktemp("copy") / "data"
    shutil.copytree(folder, other)
    first = open_dataset(f"folder:{folder}").sha256
    assert open_dataset(f"folder:{other}").sha256 == first
    cv2.imwrite(str(other / "masks" / "a.png"), np.zeros((4, 6), np.uint8))
    assert open_dataset(f"folder:{other}").sha256 != first


def test_nanotwice(tmp_path):
    for part in ("Anomalous/images", "Anomalous/gt", "Normal"):
        (tmp_path / part).mkdir(parents=True)
    gray = np.full((4, 6), 90, np.uint8)
    cv2.imwrite(str(tmp_path / "Anomalous" / "images" / "ITIA1101.tif"), gray)
    cv2.imwrite(str(tmp_path / "Normal" / "ITIA1141.tif"), gray)
    smooth = np.zeros((4, 6, 3), np.uint8)
    smooth[1, 1:4] = np.array([[90], [140], [255]])
    cv2.imwrite(str(tmp_path / "Anomalous" / "gt" / "ITIA1101_gt.png"), smooth)
    dataset = open_dataset(f"nanotwice:{tmp_path}")
    labels = [sample.draw((4, 6), 1) for sample in dataset.labelled.samples]
    assert [label.sum() for label in labels] == [2, 0]
    assert len(dataset.splits["train10"]) == 10
    assert not dataset.orphans


def test_dagm(tmp_path):
    folder = tmp_path / "Class1" / "Test"
    (folder / "Label").mkdir(parents=True)
    for name in ("0002", "0003"):
        cv2.imwrite(str(folder / f"{name}.PNG"), np.full((4, 6), 90, np.uint8))
    mask = np.zeros((4, 6), np.uint8)
    mask[2, 2:4] = 255
    cv2.imwrite(str(folder / "Label" / "0002_label.PNG"), mask)
    dataset = open_dataset(f"dagm:{tmp_path}")
    assert [sample.name for sample in dataset.samples] == ["0002", "0003"]
    assert [sample.draw((4, 6), 1).sum() for sample in dataset.labelled.samples] == [2, 0]
    assert not dataset.orphans


@pytest.mark.parametrize(
    ("spec", "rule"),
    [
        ("folder", "a dataset is named folder:PATH"),
        ("kitti:here", "a dataset is named folder:PATH"),
        ("folder:nowhere", "nowhere: no such folder"),
    ],
)
def test_a_wrong_name_lists_the_right_ones(spec, rule):
    with pytest.raises(DatasetError, match=rule):
        open_dataset(spec)


@pytest.mark.parametrize(
    ("text", "rule"),
    [
        (None, "missing; write one line"),
        ("classes = 3", "list 1 to 200 different names"),
        ('classes = ["a", "a"]', "list 1 to 200 different names"),
        ('classes = ["a", 2]', "list 1 to 200 different names"),
        ("classes = [", "not valid TOML"),
        ('classes = ["a"]\nmm_per_pixel = -1', "mm_per_pixel"),
    ],
)
def test_wrong_settings_are_explained(folder, text, rule):
    (folder / "dataset.toml").unlink() if text is None else (folder / "dataset.toml").write_text(text)
    with pytest.raises(DatasetError, match=rule):
        open_dataset(f"folder:{folder}")


def test_a_split_that_does_not_fit_is_explained(folder):
    dataset = open_dataset(f"folder:{folder}")
    with pytest.raises(DatasetError, match="no split 'test'; there are: all, train"):
        dataset.split("test")
    (folder / "splits" / "test.txt").write_text("zebra\n")
    with pytest.raises(DatasetError, match="names 1 images that are not there: zebra"):
        open_dataset(f"folder:{folder}").split("test")


def test_labels_that_do_not_fit_are_explained(folder):
    sample = open_dataset(f"folder:{folder}").samples[0]
    with pytest.raises(DatasetError, match="mask is 6 x 4 px, its image 7 x 4; both must have one size"):
        sample.draw((4, 7), 2)
    cv2.imwrite(str(folder / "masks" / "a.png"), np.full((4, 6), 2, np.uint8))
    with pytest.raises(DatasetError, match=r"value 2 names no class; use 0\.\.1, or 255"):
        sample.draw((4, 6), 1)
    with pytest.raises(DatasetError, match="has no mask"):
        open_dataset(f"folder:{folder}").samples[1].draw((4, 6), 2)


def test_two_images_of_one_name_are_refused(folder):
    cv2.imwrite(str(folder / "images" / "a.png"), np.zeros((4, 6), np.uint8))
    with pytest.raises(DatasetError, match="same name as a"):
        open_dataset(f"folder:{folder}")


def test_strip_steel_takes_the_class_from_the_name(tmp_path):
    for folder in ("Source Images", "Ground truth"):
        (tmp_path / folder).mkdir()
    for name in ("In_1", "Pa_2", "Sc_3"):
        cv2.imwrite(str(tmp_path / "Source Images" / f"{name}.bmp"), np.zeros((2, 2), np.uint8))
        cv2.imwrite(str(tmp_path / "Ground truth" / f"{name}.png"), np.array([[0, 255], [0, 0]], np.uint8))
    dataset = open_dataset(f"sd-saliency-900:{tmp_path}")
    assert [sample.draw((2, 2), 3)[0, 1] for sample in dataset.samples] == [1, 2, 3]
    assert len(dataset.splits["train"]) == 540
    cv2.imwrite(str(tmp_path / "Source Images" / "Xx_4.bmp"), np.zeros((2, 2), np.uint8))
    with pytest.raises(DatasetError, match="Xx_4"):
        open_dataset(f"sd-saliency-900:{tmp_path}")


def test_neu_seg_has_the_published_folders(tmp_path):
    for split in ("training", "test"):
        for part in ("images", "annotations"):
            (tmp_path / part / split).mkdir(parents=True)
        cv2.imwrite(str(tmp_path / "images" / split / "000001.jpg"), np.zeros((8, 8), np.uint8))
        cv2.imwrite(str(tmp_path / "annotations" / split / "000001.png"), np.full((8, 8), 3, np.uint8))
    dataset = open_dataset(f"neu-seg:{tmp_path}")
    assert [s.name for s in dataset.split("train").samples] == ["training/000001"]
    assert dataset.split("test").samples[0].draw((8, 8), 3).max() == 3


def test_no_copies_stand_in_both_clean_lists_of_neu_seg():
    copies, lists = packaged_copies("neu-seg"), packaged_splits("neu-seg")
    learned, judged = (set(lists[name]) for name in ("train-clean", "test-clean"))
    assert (len(learned), len(judged), len(learned | judged)) == (3630, 840, 4470)
    groups = [{copies.get(name, name) for name in names} for names in (learned, judged)]
    assert not groups[0] & groups[1]
    published = [name for name in copies if name.startswith("test/")]
    both = {copies[name] for name in published} & {copies[name] for name in copies if name.startswith("training/")}
    assert sum(copies[name] in both for name in published) == 808
    assert packaged_copies("folder") == {}


def test_the_packaged_lists_do_not_overlap():
    steel = packaged_splits("sd-saliency-900")
    assert (len(steel["train"]), len(steel["test"])) == (540, 360)
    assert not set(steel["train"]) & set(steel["test"])
    for draw in range(5):
        few = steel[f"few30-{draw}"]
        assert len(few) == 30
        assert set(few) <= set(steel["train"])
    assert {name: len(names) for name, names in packaged_splits("nanotwice").items()} == {"train10": 10, "test": 30}
    assert {name: len(names) for name, names in packaged_splits("dagm").items()} == {"train": 60, "test": 82}


@pytest.mark.parametrize(
    ("spec", "images", "train"),
    [
        ("sd-saliency-900:{}/SD-saliency-900", 900, 540),
        ("neu-seg:{}/NEU_Seg", 4470, 3630),
        ("folder:{}/pool/welds", 321, None),
    ],
)
def test_the_public_datasets_are_read(real_data, spec, images, train):
    dataset = open_dataset(spec.format(real_data))
    assert len(dataset.samples) == images
    assert len(dataset.labelled.samples) == images
    if train:
        assert len(dataset.split("train").samples) == train
    assert dataset.samples[0].draw(cv2.imread(str(dataset.samples[0].image)).shape, len(dataset.classes)).any()


def test_what_is_kept_for_the_end_is_not_learned_whatever_the_reader(tmp_path):
    for folder in ("Anomalous/images", "Anomalous/gt", "Normal"):
        (tmp_path / folder).mkdir(parents=True)
    for name in ("ITIA1001", "ITIA1002"):
        cv2.imwrite(str(tmp_path / "Anomalous/images" / f"{name}.tif"), np.zeros((4, 4), np.uint8))
        cv2.imwrite(str(tmp_path / "Anomalous/gt" / f"{name}_gt.png"), np.zeros((4, 4), np.uint8))
    (tmp_path / "splits").mkdir()
    (tmp_path / "splits/test.txt").write_text("ITIA1002")
    assert [sample.name for sample in open_dataset(f"nanotwice:{tmp_path}").split("train").samples] == ["ITIA1001"]


@pytest.mark.parametrize("file", ["test.TXT", "Test.txt"])
@pytest.mark.parametrize("name", ["b", "b.bmp", "images/b.bmp", "images\\b"])
def test_a_list_is_found_however_it_is_written(folder, file, name):
    (folder / "splits/train.txt").unlink()
    (folder / "splits" / file).write_text(name)
    (folder / "splits/._test.txt").write_bytes(b"\0\5\x16\7\xff")  # what a Mac leaves on a stick
    dataset = open_dataset(f"folder:{folder}")
    assert dataset.splits == {"test": ("b",), "train": ("a", "c")}


@pytest.mark.parametrize(("file", "name"), [("valid.txt", "val"), ("Validation.TXT", "val"), ("testing.txt", "test")])
def test_lists_by_other_names_are_the_usual_ones(folder, file, name):
    for usual in (folder / "splits").iterdir():
        usual.unlink()
    (folder / "splits" / file).write_text("b")
    assert open_dataset(f"folder:{folder}").splits[name] == ("b",)


def test_a_misspelt_name_of_what_is_kept_for_the_end_is_not_learned(folder):
    (folder / "splits/train.txt").unlink()
    (folder / "splits/test.txt").write_text("bb")
    with pytest.raises(DatasetError, match="split 'test' names 1 images that are not there: bb"):
        open_dataset(f"folder:{folder}").split("train")


@pytest.mark.skipif(sys.platform != "linux", reason="one file elsewhere")
def test_a_list_that_is_there_twice_is_refused(folder):
    (folder / "splits/Train.txt").write_text("a")
    with pytest.raises(DatasetError, match="another list 'train'"):
        open_dataset(f"folder:{folder}")


def test_a_mask_with_transparency_is_refused(folder):
    mask = np.full((4, 6, 4), 255, np.uint8)
    cv2.imwrite(str(folder / "masks/a.png"), mask)  # opaque
    sample = open_dataset(f"folder:{folder}").samples[0]
    assert sample.draw((4, 6), 2).min() == 255
    mask[0, 0, 3] = 0
    cv2.imwrite(str(folder / "masks/a.png"), mask)
    with pytest.raises(ImageError, match="partly transparent"):
        sample.draw((4, 6), 2)
    (folder / "masks/a.png").unlink()
    tifffile.imwrite(folder / "masks/a.tif", mask[..., :2], photometric="minisblack", extrasamples=["unassalpha"])
    with pytest.raises(ImageError, match="partly transparent"):
        open_dataset(f"folder:{folder}").samples[0].draw((4, 6), 2)


def test_a_jpeg_names_no_classes(folder):
    (folder / "masks/a.png").unlink()
    cv2.imwrite(str(folder / "masks/a.jpg"), np.zeros((4, 6), np.uint8))
    with pytest.raises(ImageError, match=r"a\.jpg: JPEG changes gray values, .*; save masks as PNG"):
        open_dataset(f"folder:{folder}").samples[0].draw((4, 6), 2)


@pytest.fixture
def disc():
    """A white disc with soft edges on black, (64, 64) uint8."""
    return cv2.GaussianBlur(cv2.circle(np.zeros((64, 64), np.uint8), (30, 30), 12, 255, -1), (0, 0), 1.5)


@pytest.mark.parametrize("name", ["a.png", "a.jpg", "a.bmp", "deep.png"])
def test_of_one_class_a_mask_may_have_soft_edges(folder, disc, name):
    mask = disc.astype(np.uint16) * 257 if name == "deep.png" else disc
    cv2.imwrite(str(folder / name), mask)
    assert np.array_equal(label_values(folder / name, None, 1), np.where(disc > 127, 255, 0))


def test_gray_values_of_classes_are_not_taken_for_soft_edges(folder, disc):
    """Three classes in a set that lists one: nothing is thrown away in silence."""
    levels = np.zeros((64, 64), np.uint8)
    for index, value in enumerate((85, 170, 255)):
        levels[20 * index : 20 * index + 10, 5:50] = value
    cv2.imwrite(str(folder / "a.png"), levels)
    assert set(np.unique(label_values(folder / "a.png", None, 1))) == {0, 85, 170, 255}
    levels[disc > 0] = disc[disc > 0]
    cv2.imwrite(str(folder / "a.png"), levels)
    assert 85 in label_values(folder / "a.png", None, 1)
    cv2.imwrite(str(folder / "a.jpg"), levels)
    with pytest.raises(ImageError, match="JPEG changes gray values"):
        label_values(folder / "a.jpg", None, 1)
    cv2.imwrite(str(folder / "a.png"), disc)
    assert np.array_equal(label_values(folder / "a.png", None, 2), disc)


@pytest.mark.parametrize(
    ("values", "name"), [(range(25, 251, 25), "a.png"), ((*range(1, 10), 255), "a.png"), ((85, 170, 255), "a.jpg")]
)
def test_thin_lines_of_classes_are_not_taken_for_soft_edges(folder, values, name):
    levels = np.zeros((200, 64), np.uint8)
    for index, value in enumerate(values):
        levels[18 * index + 4 : 18 * index + 6, 5:50] = value
    cv2.imwrite(str(folder / name), levels, [cv2.IMWRITE_JPEG_QUALITY, 95])
    if name == "a.jpg":
        with pytest.raises(ImageError, match="JPEG changes gray values"):
            label_values(folder / name, None, 1)
    else:
        assert np.array_equal(label_values(folder / name, None, 1), levels)


def test_an_image_reduced_with_its_mask_has_soft_edges(folder):
    """Five gray values, no more."""
    mask = cv2.ellipse(np.zeros((256, 256), np.uint8), (120, 110), (60, 31), 30, 0, 360, 255, -1)
    half = cv2.resize(mask, (128, 128), interpolation=cv2.INTER_AREA)
    cv2.imwrite(str(folder / "a.png"), half)
    assert np.array_equal(label_values(folder / "a.png", None, 1), np.where(half > 127, 255, 0))


@pytest.mark.parametrize("kind", ["area.png", "area.jpg", "cubic.png"])
def test_what_a_reduced_line_leaves_of_itself_is_no_class(folder, kind):
    rng, fine = np.random.default_rng(0), np.zeros((1000, 1000), np.uint8)
    for begin, end in rng.integers(0, 1000, (12, 2, 2)):
        middle = begin + (end - begin) // 2 + rng.integers(-40, 40, 2)
        cv2.polylines(fine, [np.array([begin, middle, end], np.int32)], False, 255, int(rng.integers(1, 4)))
    how = cv2.INTER_AREA if kind.startswith("area") else cv2.INTER_CUBIC
    soft = cv2.resize(fine, (448, 448), interpolation=how)
    cv2.imwrite(str(folder / kind), soft, [cv2.IMWRITE_JPEG_QUALITY, 75] if kind.endswith("jpg") else [])
    read = cv2.imread(str(folder / kind), cv2.IMREAD_GRAYSCALE)
    assert np.array_equal(label_values(folder / kind, None, 1) > 0, read > 127)


def test_masks_that_would_be_read_as_empty_are_refused(folder):
    dim = np.zeros((64, 64), np.uint8)
    dim[8:40, 8:40] = 1
    cv2.imwrite(str(folder / "a.jpg"), dim, [cv2.IMWRITE_JPEG_QUALITY, 100])
    with pytest.raises(ImageError, match=r"a\.jpg: is a JPEG of \d at most, almost black; save masks as PNG"):
        label_values(folder / "a.jpg", None, 1)
    tifffile.imwrite(folder / "a.tif", dim.astype(np.float32) * 0.4)
    with pytest.raises(ImageError, match=r"holds fractions, 0\.4 at most"):
        label_values(folder / "a.tif", None, 1)


def test_a_mask_that_was_a_jpeg_once_and_a_black_one_are_read(folder, disc):
    cv2.imwrite(str(folder / "a.jpg"), np.where(disc > 127, 255, 0).astype(np.uint8), [cv2.IMWRITE_JPEG_QUALITY, 60])
    noisy = cv2.imread(str(folder / "a.jpg"), cv2.IMREAD_GRAYSCALE)
    cv2.imwrite(str(folder / "a.png"), noisy)
    assert np.array_equal(label_values(folder / "a.png", None, 1) > 0, noisy > 127)
    cv2.imwrite(str(folder / "a.jpg"), np.zeros((64, 64), np.uint8))
    assert not label_values(folder / "a.jpg", None, 1).any()


@pytest.mark.parametrize("bits", [1, 2, 4, 8])
def test_places_in_a_palette_are_exact(folder, bits):
    """Also where classes have one colour."""
    indices = np.random.default_rng(0).integers(0, 1 << bits, (9, 15), np.uint8)
    picture = PIL.Image.fromarray(indices)
    picture.putpalette([0, 0, 0, *[200, 0, 0] * ((1 << bits) - 1)])
    picture.save(folder / "a.png", bits=bits, pnginfo=comment("PLTE"))
    assert np.array_equal(label_values(folder / "a.png", None, 254), indices)


def comment(text: str) -> PngInfo:
    info = PngInfo()
    info.add_text("comment", text)
    return info


def test_a_palette_tells_what_is_background(folder):
    indices = np.zeros((64, 64), np.uint8)
    indices[20:40, 20:40] = 1
    picture = PIL.Image.fromarray(1 - indices)
    picture.putpalette([255, 255, 255, 0, 0, 0, 200, 0, 0])  # white on black, red unused
    picture.save(folder / "a.png")
    assert np.array_equal(label_values(folder / "a.png", None, 1), 255 * indices)
    with pytest.raises(ImageError, match="place 0 of its palette is background and must be black"):
        label_values(folder / "a.png", None, 2)


def test_places_in_a_palette_are_classes(folder):
    indices = np.random.default_rng(0).integers(0, 4, (16, 16), np.uint8)
    picture = PIL.Image.fromarray(indices)
    picture.putpalette([0, 0, 0, 128, 0, 0, 0, 128, 0, 128, 128, 0])
    picture.save(folder / "a.png")
    assert np.array_equal(label_values(folder / "a.png", None, 3), indices)
    picture.putpalette([0, 0, 0, 1, 1, 1, 2, 2, 2, 255, 255, 255])
    picture.save(folder / "a.png")
    assert np.array_equal(label_values(folder / "a.png", None, 3), np.where(indices == 3, 255, indices))


def test_masks_may_be_named_as_others_do(folder):
    (folder / "masks/a.png").rename(folder / "masks/a_GT.png")
    (folder / "images/b_mask.bmp").write_bytes((folder / "images/b.bmp").read_bytes())
    cv2.imwrite(str(folder / "masks/b_mask.png"), np.ones((4, 6), np.uint8))
    cv2.imwrite(str(folder / "masks/c_label.png"), np.ones((4, 6), np.uint8))
    cv2.imwrite(str(folder / "masks/d_label.png"), np.ones((4, 6), np.uint8))
    dataset = open_dataset(f"folder:{folder}")
    masks = {sample.name: sample.label and sample.label.files[0].name for sample in dataset.samples}
    assert masks == {"a": "a_GT.png", "b": None, "b_mask": "b_mask.png", "c": "c.png"}
    assert [mask.name for mask in dataset.orphans] == ["c_label.png", "d_label.png"]


def test_a_good_picture_may_have_a_mask(folder):
    (folder / "good").mkdir()
    (folder / "masks/good").mkdir()
    for name in ("x", "y"):
        cv2.imwrite(str(folder / f"good/{name}.png"), np.full((4, 6), 90, np.uint8))
    cv2.imwrite(str(folder / "masks/good/x.png"), np.zeros((4, 6), np.uint8))
    dataset = open_dataset(f"folder:{folder}")
    x, y = (sample for sample in dataset.samples if sample.name.startswith("good/"))
    assert (x.label.files[0].name, x.known_good, y.known_good) == ("x.png", False, True)
    assert dataset.orphans == ()


def test_a_value_of_16_bits_is_named_as_it_is(folder):
    cv2.imwrite(str(folder / "a.png"), np.full((4, 6), 65535, np.uint16))
    with pytest.raises(ImageError, match="value 65535 names no class; save masks with 8 bits a pixel"):
        label_values(folder / "a.png", None, 2)


def test_a_defect_without_class_may_have_16_bits(folder):
    cv2.imwrite(str(folder / "masks/a.png"), np.full((4, 6), 255, np.uint16))
    assert open_dataset(f"folder:{folder}").samples[0].draw((4, 6), 2).max() == 255


@pytest.mark.skipif(sys.platform != "linux", reason="other systems have no such names")
def test_a_name_that_is_no_utf8_is_told(folder):
    (folder / "images/a.bmp").rename(folder / "images" / os.fsdecode(b"t\xfcr.bmp"))
    with pytest.raises(DatasetError, match=r"t\\xfcr.bmp: the name is not UTF-8"):
        open_dataset(f"folder:{folder}")


def test_what_a_label_of_others_raises_is_named_with_its_file(tmp_path):
    class Table(KnownGood):
        def draw(self, shape, classes):
            raise ValueError("x is no number")

    label = Table(files=(tmp_path / "a.csv",))
    with pytest.raises(DatasetError, match=r"a\.csv: ValueError: x is no number; mend the file"):
        Sample("a", tmp_path / "a.png", label).draw((4, 4), 1)


def test_a_calibration_gives_the_scale(folder):
    found = Calibration(name="bench", method="ruler", mm_per_pixel=0.02, error_percent=1)
    found.write(folder / "bench.toml")
    settings = folder / "dataset.toml"
    settings.write_text('classes = ["dent", "scratch"]\ncalibration = "bench.toml"\n')
    data = open_dataset(f"folder:{folder}")
    assert (data.mm_per_pixel, data.calibration) == (0.02, found)
    settings.write_text(settings.read_text() + "mm_per_pixel = 0.1\n")
    with pytest.raises(DatasetError, match="has mm_per_pixel and calibration; keep one of them"):
        open_dataset(f"folder:{folder}")
