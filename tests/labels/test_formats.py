import json
from pathlib import Path

import cv2
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from casae.datasets.registry import open_dataset
from casae.errors import DatasetError
from casae.labels.formats import FORMATS, WRITTEN, read_labels
from casae.labels.labelset import LabelSet, Picture
from casae.labels.shapes import Shape

CLASSES = ("dent", "Kratzer ü")
LOSSLESS = [name for name in WRITTEN if name not in ("yolo", "mvtec")]
UNUSUAL = np.array(  # a hole, a diagonal line one pixel wide, parts that touch, a single pixel
    [
        [1, 1, 1, 1, 0, 0, 0, 2],
        [1, 0, 0, 1, 0, 0, 2, 0],
        [1, 0, 2, 1, 0, 2, 0, 0],
        [1, 1, 1, 1, 2, 2, 2, 2],
        [0, 0, 0, 0, 0, 0, 0, 0],
        [0, 1, 0, 0, 0, 0, 0, 0],
    ],
    np.uint8,
)
small = arrays.arrays(np.uint8, st.tuples(st.integers(1, 30), st.integers(1, 30)), elements=st.integers(0, 2))


@st.composite
def boxes(draw):
    """Up to 4096 px wide: boxes over each other, those of value 0 make holes; many are one pixel wide."""
    height, width = draw(st.integers(1, 40)), draw(st.integers(1, 4096))
    label = np.zeros((height, width), np.uint8)
    for _ in range(draw(st.integers(0, 6))):
        top, left = draw(st.integers(0, height - 1)), draw(st.integers(0, width - 1))
        wide, high = draw(st.integers(1, width)), draw(st.sampled_from([1, height]))
        label[top : top + high, left : left + wide] = draw(st.integers(0, 2))
    return label


labels = st.one_of(small, boxes())


def shapes_of(label):
    found = (Shape.of(name, label == value) for value, name in enumerate(CLASSES, start=1))
    return tuple(shape for shape in found if shape)


def written(form: str, folder: Path, label, name="teil ü.png") -> Path:
    place = folder / FORMATS[form].pictures / name
    place.parent.mkdir(parents=True, exist_ok=True)
    height, width = label.shape
    place.write_bytes(cv2.imencode(".png", np.zeros(label.shape, np.uint8))[1])
    picture = Picture(name, place, width, height, shapes_of(label))
    file = FORMATS[form].file
    FORMATS[form].write(LabelSet("drawn", CLASSES, (picture,)), folder / file if file else folder)
    return folder


@pytest.mark.parametrize("form", LOSSLESS)
def test_holes_parts_and_thin_lines_come_back(form, tmp_path):
    data = open_dataset(f"{form}:{written(form, tmp_path / 'd', UNUSUAL)}")
    (sample,) = data.samples
    assert sample.name == "teil ü"
    assert data.classes == CLASSES
    assert np.array_equal(sample.draw(UNUSUAL.shape, 2), UNUSUAL)
    assert sample.label.present(2) == {1, 2}


@pytest.mark.parametrize("form", LOSSLESS)
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=25, deadline=None)
@given(label=labels)
def test_any_label_comes_back(form, tmp_path, label):
    folder = written(form, tmp_path / "d", label)
    (picture,) = read_labels(form, folder).pictures
    drawn = np.zeros(label.shape, np.uint8)
    for shape in picture.shapes:
        shape.draw(drawn, CLASSES.index(shape.defect_class) + 1)
    assert np.array_equal(drawn, label)


@pytest.mark.parametrize("form", LOSSLESS)
def test_a_second_time_the_file_is_the_same(form, tmp_path):
    folder = written(form, tmp_path / "d", UNUSUAL)
    beside = {"labelme": "teil ü.json", "voc": "SegmentationClass/teil ü.png"}
    file = folder / (FORMATS[form].file or beside[form])
    first = file.read_bytes()
    for _ in range(2):
        FORMATS[form].write(read_labels(form, folder), file if FORMATS[form].file else folder)
        second = file.read_bytes()
        first, before = second, first
    assert first == before


@pytest.mark.parametrize("form", LOSSLESS)
def test_a_label_says_its_own_hash_and_not_that_of_its_file(form, tmp_path):
    one = open_dataset(f"{form}:{written(form, tmp_path / 'a', UNUSUAL)}")
    same = open_dataset(f"{form}:{written(form, tmp_path / 'b', UNUSUAL)}")
    other = open_dataset(f"{form}:{written(form, tmp_path / 'c', UNUSUAL[::-1])}")
    assert one.sha256 == same.sha256 != other.sha256


def test_keys_that_we_do_not_know_are_kept(tmp_path):
    content = {
        "info": {"year": 2026},
        "categories": [{"id": 7, "name": "dent", "supercategory": "damage"}],
        "images": [{"id": 3, "file_name": "a.png", "width": 8, "height": 6, "lot": "B"}],
        "annotations": [
            {
                "id": 1,
                "image_id": 3,
                "category_id": 7,
                "segmentation": [[1, 1, 5, 1, 5, 4, 1, 4]],
                "iscrowd": 1,
                "by": "me",
            }
        ],
    }
    (tmp_path / "labels.json").write_bytes(
        b"\xef\xbb\xbf" + json.dumps(content, indent=2).replace("\n", "\r\n").encode()
    )
    (tmp_path / "a.png").write_bytes(cv2.imencode(".png", np.zeros((6, 8), np.uint8))[1])
    found = read_labels("coco", tmp_path)
    FORMATS["coco"].write(found, tmp_path / "again.json")
    again = json.loads((tmp_path / "again.json").read_text())
    assert again["info"] == {"year": 2026}
    assert again["categories"] == content["categories"]
    assert again["images"] == content["images"]
    assert (again["annotations"][0]["by"], again["annotations"][0]["iscrowd"]) == ("me", 1)
    assert again["annotations"][0]["area"] == 12


def coco(tmp_path, **changed) -> Path:
    content = {
        "categories": [{"id": 1, "name": "dent"}],
        "images": [{"id": 1, "file_name": "a.png", "width": 4, "height": 3}],
        "annotations": [{"id": 1, "image_id": 1, "category_id": 1, "segmentation": [[0, 0, 2, 0, 2, 2]]}],
    }
    (tmp_path / "l.json").write_text(json.dumps(content | changed))
    return tmp_path / "l.json"


def one(**changed):
    usual = {"id": 1, "image_id": 1, "category_id": 1, "segmentation": [[0, 0, 2, 0, 2, 2]]}
    return [usual | changed]


@pytest.mark.parametrize(
    ("annotations", "said"),
    [
        (one(category_id=9), "annotations[0].category_id: 9 is no id of a category"),
        (one(segmentation=[[1, 2, 3]]), "annotations[0].segmentation[0]: a polygon is a list of"),
        (one(segmentation=[[1, 2, 3, "x", 5, 6]]), 'annotations[0].segmentation[0][3]: is no number and is "x"'),
        (
            one(segmentation={"size": [4, 3], "counts": [12]}),
            "annotations[0].segmentation.size: is [4, 3], its picture",
        ),
        (one(segmentation={"size": [3, 4], "counts": [5]}), "annotations[0].segmentation.counts: runs cover 5 pixels"),
        (one(segmentation=[], bbox=[1, 2]), "annotations[0].bbox: must be x, y, width, height"),
        ("none", 'annotations: must be a list and is "none"'),
    ],
)
def test_a_damaged_file_is_one_line_with_the_place_and_the_rule(annotations, said, tmp_path):
    file = coco(tmp_path, annotations=annotations)
    with pytest.raises(DatasetError) as error:
        open_dataset(f"coco:{file}")
    assert str(error.value).startswith(f"{file}: {said}")
    assert "\n" not in str(error.value)


def test_no_json_is_said_with_its_line(tmp_path):
    (tmp_path / "l.json").write_text('{"images": [\n  oops')
    with pytest.raises(DatasetError, match=r"l\.json: line 2, column 3: no JSON"):
        open_dataset(f"coco:{tmp_path / 'l.json'}")


def test_polygons_of_one_region_are_a_union_and_a_box_stands_for_a_missing_outline(tmp_path):
    pieces = [[0, 0, 2, 0, 2, 2, 0, 2], [1, 1, 4, 1, 4, 3, 1, 3]]
    file = coco(tmp_path, annotations=[*one(segmentation=pieces), *one(segmentation=[], bbox=[3, 0, 1, 1])])
    (picture,) = read_labels("coco", file).pictures
    assert picture.shapes[0].mask(3, 4).tolist() == [[1, 1, 0, 0], [1, 1, 1, 1], [0, 1, 1, 1]]
    assert picture.shapes[1].mask(3, 4).tolist() == [[0, 0, 0, 1], [0] * 4, [0] * 4]


def test_two_pictures_of_one_name_in_two_folders_are_refused(tmp_path):
    for folder in ("one", "two"):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "a.png").write_bytes(cv2.imencode(".png", np.zeros((3, 4), np.uint8))[1])
    with pytest.raises(DatasetError, match=r"a\.png could be .*one/a\.png and .*two/a\.png"):
        open_dataset(f"coco:{coco(tmp_path)}")
    named = coco(tmp_path, images=[{"id": 1, "file_name": "two/a.png", "width": 4, "height": 3}])
    assert open_dataset(f"coco:{named}").samples[0].image == tmp_path / "two" / "a.png"


@pytest.mark.parametrize("orientation", range(1, 9))
def test_a_turned_picture_has_the_pixels_that_the_tool_showed(orientation, tmp_path):
    """Tools show a picture upright; one that counts in the file's own rows is noticed by the size."""
    stored = np.full((6, 9), 200, np.uint8)
    jpeg = cv2.imencode(".jpg", stored)[1].tobytes()
    exif = b"Exif\0\0II*\0\x08\0\0\0\x01\0\x12\x01\x03\0\x01\0\0\0" + bytes([orientation, 0, 0, 0]) + b"\0\0\0\0"
    (tmp_path / "a.jpg").write_bytes(jpeg[:2] + b"\xff\xe1" + (len(exif) + 2).to_bytes(2, "big") + exif + jpeg[2:])
    upright_shape = (9, 6) if orientation > 4 else (6, 9)
    height, width = upright_shape
    shown = coco(
        tmp_path,
        images=[{"id": 1, "file_name": "a.jpg", "width": width, "height": height}],
        annotations=one(segmentation=[[0, 0, 2, 0, 2, 1, 0, 1]]),
    )
    drawn = open_dataset(f"coco:{shown}").samples[0].draw(upright_shape, 1)
    assert np.argwhere(drawn).tolist() == [[0, 0], [0, 1]]
    if orientation > 4:
        raw = coco(
            tmp_path,
            images=[{"id": 1, "file_name": "a.jpg", "width": 9, "height": 6}],
            annotations=one(segmentation=[[0, 0, 2, 0, 2, 1, 0, 1]]),
        )
        drawn = open_dataset(f"coco:{raw}").samples[0].draw(upright_shape, 1)
        across = {5: [[0, 0], [1, 0]], 6: [[0, 5], [1, 5]], 7: [[7, 5], [8, 5]], 8: [[7, 0], [8, 0]]}
        assert np.argwhere(drawn).tolist() == across[orientation]


def test_the_pictures_of_the_file_itself_go_before_those_of_its_neighbours(tmp_path):
    for level, place in ((10, "images"), (20, "test/images")):
        (tmp_path / place).mkdir(parents=True)
        cv2.imwrite(str(tmp_path / place / "0001.png"), np.full((6, 8), level, np.uint8))
    content = {
        "categories": [{"id": 1, "name": "dent"}],
        "images": [{"id": 1, "file_name": "0001.png", "width": 8, "height": 6}],
        "annotations": [],
    }
    (tmp_path / "test" / "annotations.json").write_text(json.dumps(content))
    (sample,) = open_dataset(f"coco:{tmp_path / 'test' / 'annotations.json'}").samples
    assert sample.image == tmp_path / "test" / "images" / "0001.png"


@pytest.mark.parametrize(
    ("categories", "classes"),
    [
        ([(0, "parts", "none"), (1, "dent", "parts"), (2, "scratch", "parts")], ("dent", "scratch")),
        ([(0, "dent", "none"), (1, "dent", "dent")], ("dent",)),
        ([(1, "dent", "dent"), (2, "scratch", "scratch")], ("dent", "scratch")),
    ],
)
def test_the_root_that_roboflow_lists_is_no_class(categories, classes, tmp_path):
    cv2.imwrite(str(tmp_path / "a.png"), np.zeros((6, 8), np.uint8))
    annotation = {"id": 1, "image_id": 1, "category_id": categories[-1][0], "bbox": [1, 1, 3, 3], "segmentation": []}
    content = {
        "categories": [{"id": key, "name": name, "supercategory": above} for key, name, above in categories],
        "images": [{"id": 1, "file_name": "a.png", "width": 8, "height": 6}],
        "annotations": [annotation],
    }
    (tmp_path / "labels.json").write_text(json.dumps(content))
    data = open_dataset(f"coco:{tmp_path / 'labels.json'}")
    assert data.classes == classes
    assert data.samples[0].draw((6, 8), len(classes)).max() == len(classes)
