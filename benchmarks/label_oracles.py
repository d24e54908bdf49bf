"""Whether other programs see in our label files what casae sees: Datumaro, and the Label Studio SDK.

    python -m venv oracles && oracles/bin/pip install datumaro label-studio-sdk
    python benchmarks/label_oracles.py labels              # draws and writes, with casae
    oracles/bin/python benchmarks/label_oracles.py labels --check   # reads, without casae

Draws 40 labels with holes, touching regions, lines one pixel wide and single pixels, writes them as COCO, CVAT, VOC and
Label Studio, and counts the pixels in which what the others read differs.
"""

import argparse
import json
import shutil
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

CLASSES = ("dent", "scratch")
COUNT = 40
Label = NDArray[np.uint8]


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("folder", type=Path)
    options.add_argument("--check", action="store_true")
    given = options.parse_args()
    if given.check:
        check(given.folder)
    else:
        make(given.folder)


def make(folder: Path) -> None:
    from casae.datasets.convert import convert

    drawn = folder / "drawn"
    for part in ("images", "masks"):
        (drawn / part).mkdir(parents=True)
    rng = np.random.default_rng(0)
    for index in range(COUNT):
        label = _label(rng)
        cv2.imwrite(str(drawn / "images" / f"{index:03d}.png"), rng.integers(0, 255, label.shape, np.uint8))
        cv2.imwrite(str(drawn / "masks" / f"{index:03d}.png"), label)
    (drawn / "dataset.toml").write_text(f'classes = {json.dumps(CLASSES)}\nmasks = "classes"\n')
    for form in ("coco", "cvat", "voc", "label-studio"):
        convert(f"folder:{drawn}", f"{form}:{folder / form}")
    standard = folder / "coco" / "annotations"  # where Datumaro looks
    standard.mkdir()
    shutil.move(folder / "coco" / "annotations.json", standard / "instances_default.json")


def _label(rng: np.random.Generator) -> Label:
    height, width = (int(side) for side in rng.integers(20, 300, 2))
    label = np.zeros((height, width), np.uint8)
    for _ in range(int(rng.integers(0, 6))):
        value, kind = int(rng.integers(1, 3)), int(rng.integers(4))
        x, y, to_x, to_y = (int(at) for at in rng.integers(0, (width, height, width, height)))
        if kind == 0:
            cv2.circle(label, (x, y), int(rng.integers(3, 30)), value, -1)
            cv2.circle(label, (x, y), 2, 0, -1)
        elif kind == 1:
            cv2.line(label, (x, y), (to_x, to_y), value, 1)
        elif kind == 2:
            label[rng.random(label.shape) < 0.002] = value
        else:
            cv2.rectangle(label, (x, y), (to_x, to_y), value, -1)
    return label


def check(folder: Path) -> None:
    files = (folder / "drawn" / "masks").iterdir()
    true = {file.stem: np.asarray(cv2.imread(str(file), cv2.IMREAD_UNCHANGED), np.uint8) for file in files}
    places = {
        "coco": (folder / "coco", "coco_instances"),
        "cvat": (folder / "cvat" / "annotations.xml", "cvat"),
        "voc": (folder / "voc", "voc_segmentation"),
    }
    for form, (place, name) in places.items():
        _report(f"{form}, Datumaro", _by_datumaro(place, name, true), true)
    _report("label-studio, its SDK", _by_sdk(folder / "label-studio" / "tasks.json", true), true)


def _report(title: str, found: dict[str, Label], true: dict[str, Label]) -> None:
    differing = sum(int((found.get(name, np.zeros_like(label)) != label).sum()) for name, label in true.items())
    print(f"{title}: {len(found)} of {len(true)} pictures, {differing} pixels differ")


def _by_datumaro(place: Path, form: str, true: dict[str, Label]) -> dict[str, Label]:
    from datumaro.components.annotation import AnnotationType
    from datumaro.components.dataset import Dataset

    data = Dataset.import_from(str(place), form)
    names = [category.name for category in data.categories()[AnnotationType.label].items]
    found = {}
    for item in data:
        name = Path(item.id).name
        label = np.zeros_like(true[name])
        masks = [each for each in item.annotations if each.type == AnnotationType.mask]  # boxes come beside them
        for shape in sorted(masks, key=lambda each: each.z_order):
            if names[shape.label] in CLASSES:  # VOC has background among them
                label[np.asarray(shape.image) > 0] = 1 + CLASSES.index(names[shape.label])
        found[name] = label
    return found


def _by_sdk(file: Path, true: dict[str, Label]) -> dict[str, Label]:
    from label_studio_sdk.converter.brush import decode_rle

    found = {}
    tasks: list[dict[str, Any]] = json.loads(file.read_text("utf-8"))
    for task in tasks:
        name = Path(task["data"]["image"]).stem
        label = np.zeros_like(true[name])
        for result in task["annotations"][0]["result"]:
            shape = (result["original_height"], result["original_width"], 4)
            inside = np.reshape(decode_rle(result["value"]["rle"]), shape)[..., 3] > 0
            label[inside] = 1 + CLASSES.index(result["value"]["brushlabels"][0])
        found[name] = label
    return found


if __name__ == "__main__":
    main()
