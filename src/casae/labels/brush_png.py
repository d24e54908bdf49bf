"""Label Studio, "Brush labels to PNG": a mask for each region, and the JSON export for what their pictures are called.

The masks are called `task-ID-annotation-ID-by-N-CONTROL-CLASS-NUMBER.png`, white on black, as large as the picture.
Of a task, the annotation of the largest ID counts.
"""

import re
from pathlib import Path

import numpy as np

from casae.decoding import read_image
from casae.errors import DatasetError
from casae.image import to_gray
from casae.labels.json_node import Node
from casae.labels.label_studio import address_of, annotation_of, find_uploaded, name_of
from casae.labels.labelset import Images, LabelSet, Picture
from casae.labels.shapes import Shape

NAME = re.compile(r"task-(\d{1,12})-annotation-(\d{1,12})-by-(.*)-(\d{1,9})\.png")  # who, control and class between
USUAL = "tag"  # name of the control that Label Studio proposes


def read_brush_png(folder: Path) -> LabelSet:
    """Labels of a folder of such masks with one JSON export in it.

    Raises:
        DatasetError: there is no such mask, or not one export; masks of a task that it lacks.
        ImageError: a mask cannot be read.
    """
    masks: dict[int, list[tuple[int, int, str, Path]]] = {}
    exports = [file for file in sorted(folder.glob("*.json")) if not file.name.startswith(".")]
    controls = _controls(exports[0]) if len(exports) == 1 else {USUAL}
    for file in sorted(folder.rglob("*.png")):
        parts = NAME.fullmatch(file.name)
        name = next((after for each in controls if parts and (after := parts[3].partition(f"-{each}-")[2])), None)
        if parts and name:
            masks.setdefault(int(parts[1]), []).append((int(parts[2]), int(parts[4]), name, file))
    if not masks or len(exports) != 1:
        rule = (
            "holds no mask such as task-1-annotation-1-by-1-tag-dent-0.png" if not masks else f"has {len(exports)} JSON"
        )
        raise DatasetError(f"{folder}: {rule}; put the masks and one JSON export of the same project there")
    images, pictures, notes = Images.near(exports[0]), [], []
    for task in Node.of(exports[0]).each():
        number, name = task.at("id").whole(0), name_of(address_of(task))
        image = find_uploaded(images, name, f"{task.file}: {task.place}")
        drawn = masks.pop(number, [])
        newest = max((annotation for annotation, *_ in drawn), default=0)
        shapes, height, width = [], 0, 0
        for _, _, defect_class, file in (each for each in drawn if each[0] == newest):
            mask = to_gray(read_image(file))
            height, width = mask.shape
            shape = Shape.of(defect_class, np.asarray(mask > 0))
            shapes += [shape] if shape else []
        pictures.append(
            Picture(name, image, width, height, tuple(shapes), bool(drawn) or _is_good(task), source=exports[0])
        )
        if image is None:
            notes.append(f"{name}: no such picture near {exports[0].name}")
    if masks:
        first = next(iter(masks.values()))[0][3]
        raise DatasetError(f"{first}: {exports[0].name} has no task of this number; export both from one project")
    classes = {shape.defect_class for picture in pictures for shape in picture.shapes}
    return LabelSet("label-studio-png", tuple(sorted(classes)), tuple(pictures), {}, tuple(notes))


def _controls(export: Path) -> set[str]:
    """Names of what draws in the labelling interface, as results have them; they stand in the names of masks."""
    found = {USUAL}
    for task in Node.of(export).each():
        annotation = annotation_of(task)
        for result in [] if annotation is None else annotation.at("result").each():
            if result.has("from_name"):
                found.add(result.at("from_name").text())
    return found


def _is_good(task: Node) -> bool:
    """Whether somebody looked and drew nothing."""
    annotation = annotation_of(task)
    return annotation is not None and not list(annotation.at("result").each())
