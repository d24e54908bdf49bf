import base64
import json

import cv2
import numpy as np
import pytest

from casae.datasets.registry import open_dataset
from casae.errors import DatasetError
from casae.labels.label_studio import read_label_studio
from casae.labels.runs import to_label_studio

HEIGHT, WIDTH = 10, 20


def result(kind, value, name="dent"):
    size = {"original_width": WIDTH, "original_height": HEIGHT, "image_rotation": 0, "id": "x"}
    return size | {"type": f"{kind}labels", "value": value | {f"{kind}labels": [name]}}


def export(tmp_path, *annotations, image="/data/upload/1/0a1b2c3d-a.png"):
    (tmp_path / "a.png").write_bytes(cv2.imencode(".png", np.zeros((HEIGHT, WIDTH), np.uint8))[1])
    file = tmp_path / "export.json"
    file.write_text(json.dumps([{"id": 1, "data": {"image": image}, "annotations": list(annotations)}]))
    return file


def pixels(tmp_path, *results):
    (picture,) = read_label_studio(export(tmp_path, {"result": list(results)})).pictures
    return [shape.mask(HEIGHT, WIDTH) for shape in picture.shapes]


def test_sizes_are_per_cent_and_brushes_may_have_holes(tmp_path):
    ring = np.zeros((HEIGHT, WIDTH), bool)
    ring[2:7, 3:8] = True
    ring[4, 5] = False
    polygon, rectangle, brush = pixels(
        tmp_path,
        result("polygon", {"points": [[10, 10], [50, 10], [50, 40], [10, 40]], "closed": True}),
        result("rectangle", {"x": 10, "y": 10, "width": 40, "height": 30, "rotation": 0}),
        result("brush", {"format": "rle", "rle": to_label_studio(ring)}),
    )
    assert np.array_equal(polygon, rectangle)
    assert (polygon.sum(), polygon[1:4, 2:10].all()) == (24, True)
    assert np.array_equal(brush, ring)


def test_classes_may_be_named_apart_from_what_is_drawn(tmp_path):
    size = {"original_width": WIDTH, "original_height": HEIGHT, "from_name": "label"}
    box = {"x": 10, "y": 10, "width": 40, "height": 30, "rotation": 0}
    drawn = [size | {"id": key, "type": "rectangle", "value": box} for key in ("one", "two")]
    named = [size | {"id": "one", "type": "labels", "value": box | {"labels": ["scratch"]}}]
    labels = read_label_studio(export(tmp_path, {"result": [*named, *drawn]}))
    assert [shape.defect_class for shape in labels.pictures[0].shapes] == ["scratch", ""]
    assert (labels.classes, labels.notes) == (("scratch",), ())


@pytest.mark.parametrize("alpha", [True, False])
def test_a_bitmask_is_what_is_not_transparent(alpha, tmp_path):
    spot = np.zeros((HEIGHT, WIDTH), np.uint8)
    spot[2:5, 3:9] = 255
    pixels_of = np.dstack([np.zeros((HEIGHT, WIDTH, 3), np.uint8), spot]) if alpha else spot
    text = "data:image/png;base64," + base64.b64encode(cv2.imencode(".png", pixels_of)[1]).decode()
    (mask,) = pixels(tmp_path, result("bitmask", {"imageDataURL": text}))
    assert np.array_equal(mask, spot > 0)
    with pytest.raises(DatasetError, match="its PNG is 20 x 10 px, its picture 40 x 10"):
        pixels(tmp_path, result("bitmask", {"imageDataURL": text}) | {"original_width": 40})


def test_results_that_draw_nothing_are_counted_and_alone_are_no_label(tmp_path):
    choice = {"type": "choices", "value": {"choices": ["NG"]}}
    point = {"type": "keypointlabels", "value": {"x": 1, "y": 1, "width": 1, "keypointlabels": ["dent"]}}
    labels = read_label_studio(export(tmp_path, {"result": [choice, point, point]}))
    assert not labels.pictures[0].labelled
    assert labels.notes == (
        "1 results of type choices draw nothing that casae knows and are left out",
        "2 results of type keypointlabels draw nothing that casae knows and are left out",
    )


def test_a_class_that_is_listed_twice_is_one(tmp_path):
    file = export(tmp_path, {"result": [result("rectangle", {"x": 10, "y": 10, "width": 40, "height": 30})]})
    tags = '<BrushLabels><Label value="dent"/></BrushLabels><PolygonLabels><Label value="dent"/></PolygonLabels>'
    (tmp_path / "label_config.xml").write_text(f"<View>{tags}</View>")
    assert read_label_studio(file).classes == ("dent",)


def test_a_turned_rectangle_keeps_its_sides_where_the_picture_is_no_square(tmp_path):
    (turned,) = pixels(tmp_path, result("rectangle", {"x": 50, "y": 20, "width": 20, "height": 20, "rotation": 90}))
    assert (turned.sum(), turned[2:6, 8:10].all()) == (8, True)


def test_an_upload_is_found_without_what_label_studio_put_before_its_name(tmp_path):
    data = open_dataset(f"label-studio:{export(tmp_path, {'result': []})}")
    assert data.samples[0].image == tmp_path / "a.png"
    assert data.samples[0].draw((HEIGHT, WIDTH), 1).sum() == 0
    local = open_dataset(f"label-studio:{export(tmp_path, {'result': []}, image='/data/local-files/?d=a.png')}")
    assert local.samples[0].image == tmp_path / "a.png"


def test_the_last_annotation_counts_and_a_cancelled_one_does_not(tmp_path):
    box = {"x": 0, "y": 0, "width": 50, "height": 50, "rotation": 0}
    old = {"updated_at": "2026-01-01", "result": [result("rectangle", box, "old")]}
    new = {"updated_at": "2026-02-01", "result": [result("rectangle", box, "new")]}
    cancelled = {"updated_at": "2026-03-01", "was_cancelled": True, "result": []}
    assert read_label_studio(export(tmp_path, old, new, cancelled)).classes == ("new",)
    (picture,) = read_label_studio(export(tmp_path, cancelled)).pictures
    assert not picture.labelled


def test_a_damaged_brush_is_named(tmp_path):
    file = export(tmp_path, {"result": [result("brush", {"format": "rle", "rle": [0, 0, 0, 8, 1]})]})
    with pytest.raises(DatasetError) as error:
        read_label_studio(file)
    assert str(error.value).startswith(f"{file}: [0].annotations[0].result[0].value: the brush mask")
