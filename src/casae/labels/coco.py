"""COCO: one JSON file for many pictures (cocodataset.org/#format-data).

A list of polygons is a union; holes need runs (RLE), which is what we write. `iscrowd` says that a region stands for
several things, and never that it is a hole.
"""

import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from casae.files import write_whole
from casae.labels.json_node import Node
from casae.labels.labelset import Images, LabelSet, Picture
from casae.labels.runs import from_coco, to_coco
from casae.labels.shapes import Shape, polygon

PART = re.compile(r"(instances|annotations|labels)_")  # before the name of a folder, as COCO itself has it


def read_coco(file: Path) -> LabelSet:
    """Labels of a COCO file; pictures are looked for beside it, in `images/`, and above.

    Raises:
        DatasetError: the file is none of COCO; names the place in it.
    """
    whole = Node.of(file)
    categories = list(whole.at("categories").each())
    names = {node.at("id").key(): node.at("name").text() for node in categories}
    drawn: dict[str, list[Node]] = {}
    for node in whole.at("annotations").each():
        drawn.setdefault(node.at("image_id").key(), []).append(node)
    images = Images.near(file, PART.sub("", file.stem) if PART.match(file.stem) else "")
    pictures, notes = [], []
    for node in whole.at("images").each():
        key = node.at("id").key()
        picture = _picture(node, drawn.pop(key, []), names, images)
        pictures.append(picture)
        if picture.file is None:
            notes.append(f"{picture.name}: no such picture near {file.name}")
    if drawn:
        count = sum(map(len, drawn.values()))
        notes.append(
            f"{count} annotations belong to no picture of the file, such as {next(iter(drawn.values()))[0].place}"
        )
    used = {shape.defect_class for picture in pictures for shape in picture.shapes}
    pairs = [(str(node.value.get("supercategory")), node.value["name"]) for node in categories]
    above = {name for name, below in pairs if name != below} - used  # Roboflow lists such a root among the classes
    ordered = sorted(names, key=lambda key: (len(key), key) if key.isdecimal() else (99, key))
    classes = dict.fromkeys(names[key] for key in ordered if names[key] not in above)
    others = whole.others("images", "annotations", "categories")
    extra = others | {"categories": [node.value for node in categories]}
    return LabelSet("coco", tuple(classes), tuple(pictures), extra, tuple(notes))


def _picture(node: Node, drawn: list[Node], names: Mapping[str, str], images: Images) -> Picture:
    name, width, height = node.at("file_name").text(), node.at("width").whole(1), node.at("height").whole(1)
    found = (_shape(each, names, height, width) for each in drawn)
    return Picture(
        name=name,
        file=images.find(name, f"{node.file}: {node.place}"),
        width=width,
        height=height,
        shapes=tuple(shape for shape in found if shape),
        extra=node.others("file_name", "width", "height"),
        source=node.file,
    )


def _shape(node: Node, names: Mapping[str, str], height: int, width: int) -> Shape | None:
    category = node.at("category_id")
    if category.key() not in names:
        raise category.error(f"{category.value} is no id of a category")
    extra = node.others("image_id", "category_id", "segmentation", "bbox", "area", "id")
    pixels = _pixels(node, height, width)
    return Shape.of(names[category.key()], pixels, extra=extra)


def _pixels(node: Node, height: int, width: int) -> NDArray[np.bool_]:
    """(height, width) bool of an annotation; of one without outline, its box."""
    if not node.has("segmentation") or node.value["segmentation"] in ([], [[]]):
        box = node.at("bbox")
        numbers = box.numbers()
        if len(numbers) != 4:
            raise box.error("must be x, y, width, height")
        x, y, wide, high = numbers
        return _union([([[x, y], [x + wide, y], [x + wide, y + high], [x, y + high]], box)], height, width)
    outline = node.at("segmentation")
    if isinstance(outline.value, list):
        pieces = []
        for piece in outline.each():
            numbers = piece.numbers()
            if len(numbers) % 2 or len(numbers) < 6:
                raise piece.error("a polygon is a list of x, y, x, y of three corners at least")
            pieces.append((np.reshape(numbers, (-1, 2)).tolist(), piece))
        return _union(pieces, height, width)
    size = outline.at("size")
    if size.numbers() != [height, width]:
        raise size.error(f"is {size.value}, its picture has height {height} and width {width}")
    counts = outline.at("counts")
    runs = counts.value if isinstance(counts.value, str) else [each.whole() for each in counts.each()]
    try:
        return from_coco(runs, height, width)
    except ValueError as error:
        raise counts.error(str(error)) from error


def _union(pieces: list[tuple[list[list[float]], Node]], height: int, width: int) -> NDArray[np.bool_]:
    drawn = np.zeros((height, width), np.bool_)
    for corners, node in pieces:
        try:
            box, left, top = polygon(corners, height, width)
        except ValueError as error:
            raise node.error(str(error)) from error
        drawn[top : top + box.shape[0], left : left + box.shape[1]] |= box
    return drawn


def write_coco(labels: LabelSet, file: Path) -> None:
    """Write a COCO file with runs.

    Raises:
        OutputError: the place cannot be written.
    """
    known = _categories(labels)
    images: list[dict[str, Any]] = []
    annotations: list[dict[str, Any]] = []
    for number, picture in enumerate(labels.pictures, start=1):
        extra = dict(picture.extra) if labels.format == "coco" else {}
        image = extra | {"file_name": picture.name, "width": picture.width, "height": picture.height}
        image.setdefault("id", number)
        images.append(image)
        for shape in picture.shapes:
            annotations.append(_annotation(shape, picture, image["id"], known, len(annotations) + 1, labels.format))
    content = dict(labels.extra) if labels.format == "coco" else {"info": {"description": "written by casae"}}
    content |= {"images": images, "annotations": annotations, "categories": list(known.values())}
    write_whole(file, json.dumps(content, ensure_ascii=False) + "\n")


def _categories(labels: LabelSet) -> dict[str, dict[str, Any]]:
    """COCO's category of each class, as it came where it came from COCO."""
    given = labels.extra.get("categories", []) if labels.format == "coco" else []
    known = {str(category["name"]): dict(category) for category in given}
    taken = {category["id"] for category in known.values()}
    free = (number for number in range(1, len(taken) + len(labels.classes) + 1) if number not in taken)
    for name in labels.classes:
        if name not in known:
            known[name] = {"id": next(free), "name": name}
    return known


def _annotation(
    shape: Shape, picture: Picture, image: int, known: Mapping[str, Mapping[str, Any]], number: int, came_from: str
) -> dict[str, Any]:
    extra = dict(shape.extra) if came_from == "coco" else {}
    mask = shape.mask(picture.height, picture.width)
    return (
        {"iscrowd": 0}
        | extra
        | {
            "id": number,
            "image_id": image,
            "category_id": known[shape.defect_class]["id"],
            "segmentation": {"size": [picture.height, picture.width], "counts": to_coco(mask)},
            "bbox": [shape.left, shape.top, shape.width, shape.height],
            "area": shape.area,
        }
    )
