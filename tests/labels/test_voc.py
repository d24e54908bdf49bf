import cv2
import numpy as np
import pytest

from casae.datasets.registry import open_dataset
from casae.errors import DatasetError


def voc(tmp_path, rgb, labelmap=None, listed=None):
    for folder, name, picture in (("JPEGImages", "a.jpg", rgb[..., 0]), ("SegmentationClass", "a.png", rgb[..., ::-1])):
        (tmp_path / folder).mkdir(exist_ok=True)
        cv2.imwrite(str(tmp_path / folder / name), picture)
    cv2.imwrite(str(tmp_path / "JPEGImages" / "b.jpg"), rgb[..., 0])
    if labelmap:
        (tmp_path / "labelmap.txt").write_text(labelmap)
    if listed:
        (tmp_path / "ImageSets" / "Segmentation").mkdir(parents=True)
        (tmp_path / "ImageSets" / "Segmentation" / "val.txt").write_text(listed)
    return open_dataset(f"voc:{tmp_path}")


def mask(*colours):
    return np.array([colours], np.uint8)


def test_colours_of_vocs_palette_are_its_places_and_the_undecided_border_is_background(tmp_path):
    data = voc(tmp_path, mask((0, 0, 0), (0, 128, 0), (128, 0, 0), (224, 224, 192)), listed="a\n")
    assert data.classes == ("class 1", "class 2")
    assert data.samples[0].draw((1, 4), 2).tolist() == [[0, 2, 1, 0]]
    assert not data.samples[1].labelled
    assert data.splits["val"] == ("a",)


def test_a_list_names_the_colours_in_its_order(tmp_path):
    labelmap = "# label:color_rgb:parts:actions\nbackground:0,0,0::\nscratch:250,50,83::\ndent:51,221,255::\n"
    data = voc(tmp_path, mask((51, 221, 255), (250, 50, 83), (0, 0, 0)), labelmap)
    assert data.classes == ("scratch", "dent")
    assert data.samples[0].draw((1, 3), 2).tolist() == [[2, 1, 0]]


@pytest.mark.parametrize(
    ("colour", "labelmap", "said"),
    [
        ((1, 2, 3), "dent:51,221,255::\n", r"a\.png: colour \(1, 2, 3\) names no class; list it in labelmap"),
        ((0, 0, 0), "dent:51,221::\n", r"labelmap\.txt: line 1: write name:red,green,blue"),
    ],
)
def test_what_is_not_listed_is_named(colour, labelmap, said, tmp_path):
    with pytest.raises(DatasetError, match=said):
        voc(tmp_path, mask(colour), labelmap)
