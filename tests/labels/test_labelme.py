import base64
import json

import cv2
import numpy as np
import pytest

from casae.datasets.registry import open_dataset
from casae.errors import DatasetError
from casae.labels.labelme import read_labelme

HEIGHT, WIDTH = 12, 16


def labelme(tmp_path, *shapes, **changed):
    (tmp_path / "a.png").write_bytes(cv2.imencode(".png", np.zeros((HEIGHT, WIDTH), np.uint8))[1])
    content = {"version": "5.4.1", "imagePath": "a.png", "imageData": None, "imageHeight": HEIGHT, "imageWidth": WIDTH}
    (tmp_path / "a.json").write_text(json.dumps(content | {"shapes": list(shapes)} | changed))
    return tmp_path


def shape(kind, points, **more):
    return {"label": "dent", "shape_type": kind, "points": points, "group_id": None, "flags": {}} | more


def pixels(tmp_path, *shapes):
    (picture,) = read_labelme(labelme(tmp_path, *shapes)).pictures
    return [each.mask(HEIGHT, WIDTH) for each in picture.shapes]


def test_background_ends_what_lies_below_it_and_is_no_class(tmp_path):
    square = shape("rectangle", [[1, 1], [7, 7]])
    hole = shape("rectangle", [[3, 3], [5, 5]], label="_background_")
    unsure = shape("rectangle", [[9, 1], [12, 4]], label="__ignore__")
    whole = shape("rectangle", [[9, 6], [12, 9]])
    labels = read_labelme(
        labelme(tmp_path, square, hole, unsure, whole, shape("rectangle", [[0, 0], [1, 1]], label=""))
    )
    assert labels.classes == ("dent",)
    first, second, unnamed = (each.mask(HEIGHT, WIDTH) for each in labels.pictures[0].shapes)
    assert (first.sum(), first[3:5, 3:5].any(), second.sum(), unnamed.sum()) == (32, False, 9, 1)
    data = open_dataset(f"labelme:{tmp_path}")
    assert data.classes == ("dent",)
    assert data.samples[0].draw((HEIGHT, WIDTH), 1)[0, 0] == 255


def test_labels_without_a_picture_are_said_and_hidden_folders_are_passed_over(tmp_path):
    labelme(tmp_path, shape("rectangle", [[1, 1], [7, 7]]))
    (tmp_path / ".ipynb_checkpoints").mkdir()
    text = (tmp_path / "a.json").read_text()
    (tmp_path / ".ipynb_checkpoints" / "a-checkpoint.json").write_text(text)
    (tmp_path / "b.json").write_text(text.replace("a.png", "b.png"))
    data = open_dataset(f"labelme:{tmp_path}")
    assert [sample.name for sample in data.samples] == ["a"]
    assert data.notes == ("b.png: no such picture near b.json",)


def test_each_kind_of_shape_covers_its_pixels(tmp_path):
    polygon, rectangle, circle, strip = pixels(
        tmp_path,
        shape("polygon", [[1, 1], [4, 1], [4, 3], [1, 3]]),
        shape("rectangle", [[4, 3], [1, 1]]),
        shape("circle", [[5.5, 5.5], [5.5, 7.5]]),
        shape("linestrip", [[0.5, 0.5], [5.5, 0.5], [5.5, 4.5]]),
    )
    assert np.array_equal(polygon, rectangle)
    assert (polygon.sum(), polygon[1:3, 1:4].all()) == (6, True)
    assert circle[5].nonzero()[0].tolist() == [3, 4, 5, 6, 7]
    assert (strip[0, :6].all(), strip[:5, 5].all(), strip.sum()) == (True, True, 10)


def test_a_mask_lies_where_its_first_corner_is_whatever_the_second_says(tmp_path):
    bits = np.array([[1, 0, 1], [1, 1, 1]], np.uint8) * 255
    png = base64.b64encode(cv2.imencode(".png", bits)[1].tobytes()).decode()
    for last in ([6, 4], [7, 5]):
        (mask,) = pixels(tmp_path, shape("mask", [[4, 3], last], mask=png))
        assert np.argwhere(mask).tolist() == [[3, 4], [3, 6], [4, 4], [4, 5], [4, 6]]


def test_lines_and_points_are_spoken_of_and_pictures_without_a_file_are_unlabelled(tmp_path):
    (tmp_path / "b.png").write_bytes(cv2.imencode(".png", np.zeros((4, 4), np.uint8))[1])
    data = open_dataset(f"labelme:{labelme(tmp_path, shape('line', [[0, 0], [3, 3]]), shape('point', [[1, 1]]))}")
    assert "1 lines have no width and are drawn one pixel wide" in data.notes
    assert "1 points cover no pixel and are left out" in data.notes
    assert [(sample.name, sample.labelled) for sample in data.samples] == [("a", True), ("b", False)]


def test_a_picture_that_moved_with_its_file_is_found_by_its_name(tmp_path):
    of_windows = "..\\old place\\a.png"
    data = open_dataset(f"labelme:{labelme(tmp_path, imagePath=of_windows)}")
    assert data.samples[0].image == tmp_path / "a.png"
    data = open_dataset(f"labelme:{labelme(tmp_path, imagePath='other.jpg')}")
    assert data.samples[0].image == tmp_path / "a.png"


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        (shape("polygon", [[1, 1], [2, 2]]), "shapes[0].points: at least 3 corners"),
        (shape("circle", [[1, 1]]), "shapes[0].points: two points are due"),
        (shape("mask", [[1, 1], [2, 2]], mask="no base64!"), "shapes[0].mask: is no PNG"),
        (shape("cuboid", [[1, 1], [2, 2]]), "shapes[0].shape_type: is cuboid"),
    ],
)
def test_a_wrong_shape_is_named(wrong, said, tmp_path):
    with pytest.raises(DatasetError) as error:
        read_labelme(labelme(tmp_path, wrong))
    assert str(error.value).startswith(f"{tmp_path / 'a.json'}: {said}")


def test_a_folder_without_labels_says_so(tmp_path):
    with pytest.raises(DatasetError, match="no labelme file"):
        open_dataset(f"labelme:{tmp_path}")
