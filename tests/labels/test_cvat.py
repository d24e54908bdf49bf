import numpy as np
import pytest

from casae.errors import DatasetError
from casae.labels.cvat import read_cvat

HEIGHT, WIDTH = 12, 16
HEAD = "<annotations><version>1.1</version><meta><job><labels><label><name>scratch</name></label></labels></job></meta>"
IMAGE = f'<image id="0" name="a.png" width="{WIDTH}" height="{HEIGHT}">'


def cvat(tmp_path, shapes):
    file = tmp_path / "annotations.xml"
    file.write_text(f'<?xml version="1.0" encoding="utf-8"?>\n{HEAD}{IMAGE}{shapes}</image></annotations>')
    return file


def pixels(tmp_path, shapes):
    (picture,) = read_cvat(cvat(tmp_path, shapes)).pictures
    return [shape.mask(HEIGHT, WIDTH) for shape in picture.shapes]


def test_polygon_box_and_mask_cover_their_pixels(tmp_path):
    polygon, box, mask = pixels(
        tmp_path,
        '<polygon label="dent" points="1.00,1.00;4.00,1.00;4.00,3.00;1.00,3.00" z_order="0"/>'
        '<box label="dent" xtl="1.00" ytl="1.00" xbr="4.00" ybr="3.00" z_order="0"/>'
        '<mask label="scratch" rle="1, 2, 2, 1" left="5" top="2" width="3" height="2" z_order="0"/>',
    )
    assert np.array_equal(polygon, box)
    assert polygon.sum() == 6
    assert np.argwhere(mask).tolist() == [[2, 6], [2, 7], [3, 7]]  # row by row


def test_a_turned_box_is_turned_about_its_middle(tmp_path):
    (turned,) = pixels(tmp_path, '<box label="dent" xtl="2" ytl="4" xbr="10" ybr="6" rotation="90.0"/>')
    assert (turned.sum(), turned[1:9, 5:7].all()) == (16, True)


def test_classes_stand_in_the_order_of_the_project_and_higher_shapes_lie_above(tmp_path):
    labels = read_cvat(
        cvat(
            tmp_path,
            '<box label="dent" xtl="0" ytl="0" xbr="4" ybr="4" z_order="2"/>'
            '<box label="scratch" xtl="0" ytl="0" xbr="4" ybr="4" z_order="1"/><points label="dent" points="1,1"/>',
        )
    )
    assert labels.classes == ("scratch", "dent")
    assert [shape.defect_class for shape in labels.pictures[0].shapes] == ["scratch", "dent"]
    assert any("1 points, skeletons" in note for note in labels.notes)


@pytest.mark.parametrize(
    ("shapes", "said"),
    [
        (
            '<mask label="a" rle="1, 2" left="0" top="0" width="3" height="2"/>',
            "image 'a.png': mask 'a': runs cover 3 pixels",
        ),
        ('<box label="a" xtl="x" ytl="0" xbr="1" ybr="1"/>', "image 'a.png': box 'a': xtl 'x' is no place"),
        ('<polygon label="a" points="1,1;2"/>', "image 'a.png': polygon 'a': "),
        ("<box", "no XML"),
    ],
)
def test_a_damaged_file_is_one_line_with_the_place(shapes, said, tmp_path):
    with pytest.raises(DatasetError) as error:
        read_cvat(cvat(tmp_path, shapes))
    assert said in str(error.value)
    assert "\n" not in str(error.value)


def test_entities_are_refused_before_they_grow(tmp_path):
    file = tmp_path / "annotations.xml"
    file.write_text('<!DOCTYPE a [<!ENTITY b "bbbb">]><annotations>&b;</annotations>')
    with pytest.raises(DatasetError, match="declares entities"):
        read_cvat(file)
