"""Files as tools, systems and people really write them, each with what must come out."""

import base64
import json
import shutil
import unicodedata
import xml.etree.ElementTree as ET
from pathlib import Path

import cv2
import numpy as np
import pytest

from casae.datasets.convert import convert
from casae.datasets.names import as_listed, names_in
from casae.datasets.registry import open_dataset
from casae.errors import DatasetError, UsageError
from casae.labelled.split import draw_test
from casae.labels.runs import from_coco, to_coco

BOX = [[[10, 5, 40, 5, 40, 20, 10, 20]]]  # of COCO: 30 x 15 px


def picture(file: Path, height: int = 48, width: int = 64) -> Path:
    file.parent.mkdir(parents=True, exist_ok=True)
    encoded = cv2.imencode(file.suffix, np.full((height, width), 150, np.uint8))[1]
    file.write_bytes(encoded.tobytes())
    return file


def coco(file: Path, *names: str, ids: tuple[object, ...] = (), **shape: object) -> Path:
    """A COCO file with a box on each picture."""
    keys = ids or tuple(range(1, len(names) + 1))
    annotation = {"category_id": 1, "segmentation": BOX[0], "bbox": [10, 5, 30, 15], "area": 450, "iscrowd": 0} | shape
    content = {
        "images": [
            {"id": key, "file_name": name, "width": 64, "height": 48} for key, name in zip(keys, names, strict=True)
        ],
        "annotations": [{"id": key, "image_id": key} | annotation for key in keys],
        "categories": [{"id": 1, "name": "dent"}],
    }
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(json.dumps(content))
    return file


def pixels(dataset: str) -> dict[str, int | None]:
    """Labelled pixels of each picture, None where nobody labelled it."""
    data = open_dataset(dataset)
    return {
        sample.name: int((sample.draw((48, 64), len(data.classes)) > 0).sum()) if sample.labelled else None
        for sample in data.samples
    }


@pytest.mark.parametrize("name", ["images/a.png", "images\\a.png", "part/images/a.png"])
def test_folders_called_images_lose_no_label_in_yolo(tmp_path, name):
    picture(tmp_path / "in" / name.replace("\\", "/"))
    coco(tmp_path / "in" / "result.json", name)
    done = convert(f"coco:{tmp_path / 'in'}", f"yolo:{tmp_path / 'out'}")
    assert (done.pictures, done.differing, done.failures) == (1, 0, ())
    assert list(pixels(f"yolo:{tmp_path / 'out'}").values()) == [450]


def test_lists_hold_every_name_that_a_picture_may_have(tmp_path):
    names = [*(f"img{n}.tif" for n in range(8)), *(f"x.y.{n}" for n in range(4)), *(f"ä {n}" for n in range(4))]
    for name in names:
        picture(tmp_path / "images" / f"{name}.png")
        mask = np.zeros((48, 64), np.uint8)
        mask[5:20, 10:40] = 1
        (tmp_path / "masks").mkdir(exist_ok=True)
        cv2.imencode(".png", mask)[1].tofile(tmp_path / "masks" / f"{name}.png")
    (tmp_path / "dataset.toml").write_text('classes = ["dent"]\n')
    data = open_dataset(f"folder:{tmp_path}")
    drawn = draw_test(data, 0.5, 0, None).test
    (tmp_path / "splits").mkdir()
    (tmp_path / "splits" / "test.txt").write_text("".join(f"{as_listed(name, '.png')}\n" for name in drawn))
    assert set(open_dataset(f"folder:{tmp_path}").splits["test"]) == set(drawn)
    assert any(name.endswith(".tif") for name in drawn)
    (tmp_path / "list.txt").write_text("images/b.png\nimages/images/c.png\n")
    assert names_in(tmp_path / "list.txt") == ("b", "images/c")
    assert [as_listed(name, ".png") for name in ("b", "images/c", "d.jpg")] == ["b", "images/images/c", "d.jpg.png"]


@pytest.mark.parametrize("ids", [(20241130123456,), ("1",), (1.0,), ("a-b",)])
def test_coco_ids_are_only_ids(tmp_path, ids):
    picture(tmp_path / "a.png")
    coco(tmp_path / "c.json", "a.png", ids=ids)
    assert pixels(f"coco:{tmp_path / 'c.json'}") == {"a": 450}
    content = json.loads((tmp_path / "c.json").read_text())
    content["annotations"][0]["image_id"] = str(content["annotations"][0]["image_id"]).removesuffix(".0")
    (tmp_path / "c.json").write_text(json.dumps(content))
    assert pixels(f"coco:{tmp_path / 'c.json'}") == {"a": 450}


@pytest.mark.parametrize("outline", [[], [[]], None])
def test_a_coco_annotation_without_outline_is_its_box(tmp_path, outline):
    picture(tmp_path / "a.png")
    coco(tmp_path / "c.json", "a.png", segmentation=outline)
    assert pixels(f"coco:{tmp_path}") == {"a": 450}


@pytest.mark.parametrize("layout", ["{part}/{name}", "images/{part}/{name}"])
def test_the_layout_of_coco_itself(tmp_path, layout):
    for part in ("train2017", "val2017"):
        picture(tmp_path / layout.format(part=part, name="a.png"))
    for part in ("train2017", "val2017"):
        file = coco(tmp_path / "annotations" / f"instances_{part}.json", "a.png")
        (sample,) = open_dataset(f"coco:{file}").samples
        assert sample.image.parent.name == part


def test_names_lead_to_no_picture_elsewhere(tmp_path):
    secret = picture(tmp_path / "secret" / "s.png")
    for name in (str(secret), "../../secret/s.png"):
        coco(tmp_path / "in" / "labels" / "c.json", name)
        with pytest.raises(DatasetError, match="none of its 1 pictures is near"):
            open_dataset(f"coco:{tmp_path / 'in' / 'labels' / 'c.json'}")
    picture(tmp_path / "in" / "images" / "a.png")
    coco(tmp_path / "in" / "labels" / "c.json", "../images/a.png")  # beside it
    assert pixels(f"coco:{tmp_path / 'in' / 'labels' / 'c.json'}") == {"a": 450}


def test_files_that_a_mac_puts_beside_others_are_none(tmp_path):
    picture(tmp_path / unicodedata.normalize("NFD", "Teil_ü.png"))
    coco(tmp_path / "c.json", "Teil_ü.png")
    (tmp_path / "._c.json").write_bytes(b"\x00\x05")
    assert pixels(f"coco:{tmp_path}") == {"Teil_ü": 450}


def test_one_picture_labelled_twice_is_said_so(tmp_path):
    picture(tmp_path / "a.png")
    coco(tmp_path / "c.json", "a.png", "a.png")
    with pytest.raises(DatasetError, match=r"labels .*a\.png twice"):
        open_dataset(f"coco:{tmp_path}")


@pytest.mark.parametrize("seed", range(3))
def test_runs_of_few_columns_are_those_of_the_whole(seed):
    rng = np.random.default_rng(seed)
    for _ in range(50):
        mask = np.zeros((rng.integers(1, 20), rng.integers(1, 30)), bool)
        mask[:, rng.integers(0, mask.shape[1]) :] = rng.random((mask.shape[0], 1)) < 0.5
        assert (from_coco(to_coco(mask), *mask.shape) == mask).all()
    assert not from_coco([12], 3, 4).any()
    assert from_coco([0, 12], 3, 4).all()
    with pytest.raises(ValueError, match="cover"):
        from_coco([5], 3, 4)


def labelme(file: Path, path: str = "a.png", **changes: object) -> Path:
    shape = {"label": "dent", "shape_type": "polygon", "points": [[10, 5], [40, 5], [40, 20], [10, 20]]}
    content = {"imagePath": path, "imageData": None, "imageHeight": 48, "imageWidth": 64, "shapes": [shape]} | changes
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(json.dumps({key: value for key, value in content.items() if value != "left out"}))
    return file


def test_shapes_and_sizes_of_newer_labelmes(tmp_path):
    corners = [[10, 5], [40, 5], [40, 20], [10, 20]]
    kinds = {"a": "oriented_rectangle", "b": "rectangle", "c": "rotation"}
    for name, kind in kinds.items():
        picture(tmp_path / f"{name}.png")
        labelme(
            tmp_path / f"{name}.json",
            f"{name}.png",
            shapes=[{"label": "dent", "shape_type": kind, "points": corners}],
            imageHeight="left out",
            imageWidth=None,
        )
    assert pixels(f"labelme:{tmp_path}") == dict.fromkeys(kinds, 450)


def test_a_picture_within_a_labelme_file_is_told_of(tmp_path):
    inside = base64.b64encode(picture(tmp_path / "x" / "a.png").read_bytes()).decode()
    labelme(tmp_path / "in" / "a.json", "a.png", imageData=inside, imageHeight=None)
    picture(tmp_path / "in" / "b.png")
    labelme(tmp_path / "in" / "b.json", "b.png")
    data = open_dataset(f"labelme:{tmp_path / 'in'}")
    assert any("in it as imageData: save it from there" in note for note in data.notes)


def test_many_paths_of_another_machine_are_looked_up_once(tmp_path, monkeypatch):
    from casae.labels import labelset

    for number in range(30):
        picture(tmp_path / f"{number}.png")
        labelme(tmp_path / f"{number}.json", f"C:\\x\\other{number}.png")
    looked = []
    found = labelset.find_images
    monkeypatch.setattr(labelset, "find_images", lambda folder: looked.append(folder) or found(folder))
    assert len(open_dataset(f"labelme:{tmp_path}").labelled.samples) == 30
    assert len(looked) == 1


def studio(file: Path, *tasks: dict[str, object]) -> Path:
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(json.dumps(list(tasks)))
    return file


def rectangle(x: float, to_name: str = "image", **more: object) -> dict[str, object]:
    value = {"x": x, "y": 10, "width": 25, "height": 25, "rectanglelabels": ["dent"]}
    sizes = {"original_width": 64, "original_height": 48}
    return {"type": "rectanglelabels", "from_name": "label", "to_name": to_name, "value": value} | sizes | more


def test_labels_of_other_pictures_of_a_task_are_not_drawn_on_the_first(tmp_path):
    picture(tmp_path / "a.png")
    results = [rectangle(0), rectangle(50, "image2"), rectangle(50, item_index=1)]
    task = {"id": 1, "data": {"image": "a.png", "image2": "b.png"}, "annotations": [{"result": results}]}
    data = open_dataset(f"label-studio:{studio(tmp_path / 't.json', task)}")
    assert pixels(f"label-studio:{tmp_path / 't.json'}") == {"a": 16 * 12}
    assert any("2 results are of other pictures of their tasks" in note for note in data.notes)
    (tmp_path / "label_config.xml").write_text('<View><Image name="image2" value="$image2"/></View>')
    picture(tmp_path / "b.png")
    assert list(pixels(f"label-studio:{tmp_path / 't.json'}")) == ["b"]


def test_of_several_annotations_the_last_counts(tmp_path):
    picture(tmp_path / "a.png")
    annotations = [{"result": [rectangle(0)]}, {"result": [rectangle(0), rectangle(50)]}]
    task = {"id": 1, "data": {"image": "a.png"}, "annotations": annotations}
    assert pixels(f"label-studio:{studio(tmp_path / 't.json', task)}") == {"a": 2 * 16 * 12}


@pytest.mark.parametrize(
    ("address", "file"),
    [
        ("/data/upload/3/0123abcd-Teil_1_2.png", "Teil 1 (2).png"),
        ("s3://bucket/x/a b#ü.png", "a b#ü.png"),
        ("https://[x/a.png", "a.png"),
    ],
)
def test_addresses_of_label_studio(tmp_path, address, file):
    picture(tmp_path / file)
    task = {"id": 1, "data": {"lot": "4711", "photo": address}, "annotations": [{"result": [rectangle(0)]}]}
    studio(tmp_path / "t.json", task)
    assert list(pixels(f"label-studio:{tmp_path / 't.json'}").values()) == [16 * 12]


def test_the_small_export_of_label_studio_is_told_from_the_whole(tmp_path):
    studio(tmp_path / "t.json", {"image": "a.png", "label": [], "annotation_id": 1, "annotator": 1, "lead_time": 2.0})
    with pytest.raises(DatasetError, match=r"is of JSON-MIN.*export as JSON"):
        open_dataset(f"label-studio:{tmp_path / 't.json'}")


def test_brush_masks_of_any_control_and_good_pictures(tmp_path):
    for name in ("a", "b", "c"):
        picture(tmp_path / "images" / f"{name}.png")
    mask = np.zeros((48, 64), np.uint8)
    mask[5:20, 10:40] = 255
    cv2.imwrite(str(tmp_path / "task-1-annotation-1-by-1-my-label-dent-0.png"), mask)
    drawn = {"from_name": "my-label", "to_name": "image", "type": "brushlabels", "value": {}}
    studio(
        tmp_path / "t.json",
        {"id": 1, "data": {"image": "a.png"}, "annotations": [{"result": [drawn]}]},
        {"id": 2, "data": {"image": "b.png"}, "annotations": [{"result": []}]},
        {"id": 3, "data": {"image": "c.png"}, "annotations": []},
    )
    assert pixels(f"label-studio-png:{tmp_path}") == {"a": 450, "b": 0, "c": None}
    assert open_dataset(f"label-studio-png:{tmp_path}").classes == ("dent",)


@pytest.mark.parametrize("form", ["coco", "cvat", "labelme", "label-studio", "yolo", "mvtec", "severstal"])
def test_what_was_labelled_as_the_file_lies_is_written_upright(tmp_path, form):
    from PIL import Image

    exif = Image.Exif()
    exif[274] = 6
    (tmp_path / "in").mkdir()
    Image.fromarray(np.full((48, 64), 150, np.uint8)).save(tmp_path / "in" / "a.jpg", exif=exif)
    coco(tmp_path / "in" / "c.json", "a.jpg")  # 64 x 48, as it lies
    done = convert(f"coco:{tmp_path / 'in'}", f"{form}:{tmp_path / 'out'}", lossy=True)
    assert (done.differing, done.failures) == (0, ())
    (sample,) = open_dataset(f"{form}:{tmp_path / 'out'}").samples
    label = sample.draw((64, 48), 1) > 0
    assert label.shape == (64, 48)
    rows, columns = np.nonzero(label)
    assert (rows.min(), rows.max(), columns.min(), columns.max()) == (10, 39, 28, 42)  # turned clockwise
    if form == "coco":
        (told,) = json.loads((tmp_path / "out" / "annotations.json").read_text())["images"]
        assert (told["width"], told["height"]) == (48, 64)


@pytest.mark.parametrize("name", ["../../../escaped", "dust/fibre", "good", "a:b"])
def test_classes_are_one_folder_of_mvtec_and_lead_nowhere(tmp_path, name):
    picture(tmp_path / "in" / "a.png")
    file = coco(tmp_path / "in" / "c.json", "a.png")
    file.write_text(file.read_text().replace('"dent"', json.dumps(name)))
    with pytest.raises(UsageError, match="cannot be the name of a folder of defects"):
        convert(f"coco:{tmp_path / 'in'}", f"mvtec:{tmp_path / 'deep' / 'er' / 'out'}")
    shutil.rmtree(tmp_path / "deep")
    convert(f"coco:{tmp_path / 'in'}", f"mvtec:{tmp_path / 'deep' / 'er' / 'out'}", lossy=True)
    assert {each.name for each in tmp_path.iterdir()} == {"in", "deep"}
    assert {each.name for each in (tmp_path / "deep").iterdir()} == {"er"}
    assert list(pixels(f"mvtec:{tmp_path / 'deep' / 'er' / 'out'}").values()) == [450]


def yolo(root: Path, train: str) -> Path:
    for name in ("a", "b", "c"):
        picture(root / "images" / f"{name}.png")
        (root / "labels").mkdir(exist_ok=True)
        (root / "labels" / f"{name}.txt").write_text("0 0.5 0.5 0.5 0.5\n")
    (root / "data.yaml").write_text("train: train.txt\nval: val.txt\nnames: [dent]\n")
    (root / "train.txt").write_text(train)
    (root / "val.txt").write_text("./images/c.png\n")
    return root


def test_lists_of_another_machine_name_the_pictures_that_are_there(tmp_path):
    listed = "/content/ds/images/a.png\n/content/ds/images/b.png\nC:/x/gone.png\n"
    data = open_dataset(f"yolo:{yolo(tmp_path, listed)}")
    assert data.splits["train"] == ("a", "b")
    assert any("1 of its pictures are not in the folder" in note for note in data.notes)


def test_a_list_of_which_nothing_is_there_is_no_empty_list(tmp_path):
    listed = "/x/1.png\n/x/2.png\n"
    data = open_dataset(f"yolo:{yolo(tmp_path, listed)}")
    assert "train" not in data.splits
    assert any("2 of its pictures are not in the folder" in note for note in data.notes)


def test_yolo_learns_nothing_that_is_to_be_judged_on(tmp_path, components):
    done = convert(f"folder:{components}", f"yolo:{tmp_path / 'out'}", lossy=True)
    assert done.failures == ()
    before, after = open_dataset(f"folder:{components}"), open_dataset(f"yolo:{tmp_path / 'out'}")
    kept = {sample.name for sample in before.labelled.samples}
    content = (tmp_path / "out" / "data.yaml").read_text()
    for title, names in before.splits.items():
        assert f"{title}: {title}.txt" in content
        lines = (tmp_path / "out" / f"{title}.txt").read_text().splitlines()
        assert all((tmp_path / "out" / line).is_file() for line in lines)
        assert set(after.splits[title]) == set(names) & kept


def cvat(file: Path, *images: tuple[str, str]) -> Path:
    root = ET.Element("annotations")
    for name, subset in images:
        more = {"subset": subset} if subset else {}
        node = ET.SubElement(root, "image", {"name": name, "width": "64", "height": "48"} | more)
        ET.SubElement(node, "box", {"label": "dent", "xtl": "10", "ytl": "5", "xbr": "40", "ybr": "20"})
    ET.ElementTree(root).write(file)
    return file


def test_subsets_of_a_cvat_project_are_folders_and_lists(tmp_path):
    for subset in ("Train", "Test"):
        picture(tmp_path / "images" / subset / "a.png")
    picture(tmp_path / "images" / "Test" / "b.png")
    cvat(tmp_path / "annotations.xml", ("a.png", "Train"), ("a.png", "Test"), ("b.png", "Test"))
    data = open_dataset(f"cvat:{tmp_path}")
    assert pixels(f"cvat:{tmp_path}") == {"Train/a": 450, "Test/a": 450, "Test/b": 450}
    assert data.splits == {"train": ("Train/a",), "test": ("Test/a", "Test/b")}
    (tmp_path / "video.xml").write_text('<annotations><track id="0" label="x"/></annotations>')
    with pytest.raises(DatasetError, match="export as CVAT for images"):
        open_dataset(f"cvat:{tmp_path / 'video.xml'}")


@pytest.mark.parametrize("channel", [0, 1, 2])
@pytest.mark.parametrize("meaning", ["any", "binary"])
def test_a_mask_of_any_colour_marks_a_defect(tmp_path, channel, meaning):
    picture(tmp_path / "images" / "a.png")
    mask = np.zeros((48, 64, 3), np.uint8)
    mask[5:20, 10:40, channel] = 255
    (tmp_path / "masks").mkdir()
    cv2.imwrite(str(tmp_path / "masks" / "a.png"), mask)
    (tmp_path / "dataset.toml").write_text(f'classes = ["dent"]\nmasks = "{meaning}"\n')
    assert pixels(f"folder:{tmp_path}") == {"a": 450}


def test_masks_that_lost_their_values_are_refused(tmp_path):
    import tifffile

    values = np.zeros((96, 128), np.uint8)
    values[10:40, 10:60], values[50:80, 20:90] = 1, 2
    for name in ("a.webp", "a.tif"):
        root = tmp_path / name.removeprefix("a.")
        picture(root / "images" / "a.png", 96, 128)
        (root / "masks").mkdir()
        if name == "a.webp":
            encoded = cv2.imencode(".webp", values * 100, (cv2.IMWRITE_WEBP_QUALITY, 60))[1]
            (root / "masks" / name).write_bytes(encoded.tobytes())
        else:
            tifffile.imwrite(root / "masks" / name, values, compression="jpeg")
        (root / "dataset.toml").write_text('classes = ["dent", "dust"]\n')
        (sample,) = open_dataset(f"folder:{root}").samples
        with pytest.raises(Exception, match="changes gray values"):
            sample.draw((96, 128), 2)


@pytest.mark.parametrize("name", ["ISO 5817: crack", "#1 dent"])
def test_classes_that_a_list_of_voc_cannot_hold_are_told_before_anything_is_written(tmp_path, name):
    picture(tmp_path / "in" / "a.png")
    file = coco(tmp_path / "in" / "c.json", "a.png")
    file.write_text(file.read_text().replace('"dent"', json.dumps(name)))
    with pytest.raises(UsageError, match=r"cannot stand in labelmap\.txt"):
        convert(f"coco:{tmp_path / 'in'}", f"voc:{tmp_path / 'out'}")
    shutil.rmtree(tmp_path / "out")
    convert(f"coco:{tmp_path / 'in'}", f"voc:{tmp_path / 'out'}", lossy=True)
    assert pixels(f"voc:{tmp_path / 'out'}") == {"a": 450}


def test_more_classes_than_a_folder_holds_are_told_before_anything_is_written(tmp_path):
    picture(tmp_path / "in" / "a.png")
    file = coco(tmp_path / "in" / "c.json", "a.png")
    content = json.loads(file.read_text())
    content["categories"] = [{"id": number, "name": f"c{number}"} for number in range(1, 251)]
    file.write_text(json.dumps(content))
    with pytest.raises(UsageError, match="rename or join classes"):
        convert(f"coco:{tmp_path / 'in'}", f"folder:{tmp_path / 'out'}")
    assert not list((tmp_path / "out").iterdir())
