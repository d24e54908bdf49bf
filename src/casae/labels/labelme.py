"""labelme: one JSON file a picture, beside it (github.com/wkentaro/labelme).

0, 0 is the outer corner of the first pixel. A `mask` shape is a PNG in a box whose second corner is its last pixel; as
that corner drifts between versions, the first one and the PNG's own size count.
"""

import base64
import binascii
import json
import math
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np
from numpy.typing import NDArray

from casae.decoding import decode_image
from casae.errors import DatasetError, ImageError
from casae.files import write_whole
from casae.image import Image, encode
from casae.labels.json_node import Node
from casae.labels.labelset import Images, LabelSet, Picture, known_size, text_of
from casae.labels.shapes import Shape, ellipse, line, polygon

VERSION = "5.5.0"  # whose keys we write
LIST = "labels.txt"  # classes in their order
NO_CLASSES = ("_background_", "__ignore__")  # what labelme itself calls so; drawn over a defect, it ends there
Box = tuple[NDArray[np.bool_], int, int]


def read_labelme(folder: Path) -> LabelSet:
    """Labels of a folder of labelme files, sub-folders too.

    Raises:
        DatasetError: a file is damaged; names the place in it.
    """
    files = sorted(file for file in folder.rglob("*.json") if not _is_hidden(file.relative_to(folder)))
    pictures, notes, classes, near = [], [], set(), dict[Path, Images]()
    thin = points = 0
    for file in files:
        node = Node.of(file)
        if not node.has("shapes"):
            notes.append(f"{file.relative_to(folder)}: holds no shapes and is passed over")
            continue
        for each in node.at("shapes").each():
            kind = each.value.get("shape_type") if isinstance(each.value, dict) else None
            thin += kind in ("line", "linestrip")
            points += kind in ("point", "points")
        picture = _picture(node, folder, near)
        classes |= {shape.defect_class for shape in picture.shapes if shape.defect_class}
        pictures.append(picture)
        if picture.file is None:
            inside = ", but in it as imageData: save it from there" if node.has("imageData") else ""
            notes.append(f"{picture.name}: no such picture near {file.relative_to(folder)}{inside}")
    if not pictures:
        raise DatasetError(f"{folder}: no labelme file (NAME.json with shapes) in it; name the folder that holds them")
    if thin:
        notes.append(f"{thin} lines have no width and are drawn one pixel wide")
    if points:
        notes.append(f"{points} points cover no pixel and are left out")
    listed = [name for name in _listed(folder / LIST) if name in classes]
    ordered = (*listed, *sorted(classes.difference(listed)))
    return LabelSet("labelme", ordered, tuple(pictures), {}, tuple(notes))


def _is_hidden(path: Path) -> bool:
    return any(part.startswith(".") for part in path.parts)


def _listed(file: Path) -> list[str]:
    """Names of the list that labelme's `--labels` takes; none without one. `__ignore__` and the like are no classes."""
    if not file.is_file():
        return []
    names = (line.strip() for line in text_of(file).splitlines())
    return [name for name in names if name and not name.startswith("_")]


def _picture(node: Node, folder: Path, near: dict[Path, Images]) -> Picture:
    path = node.at("imagePath").text().replace("\\", "/")
    beside = node.file.parent
    images = near.setdefault(beside, Images([beside], [beside]))
    file = images.find(path, f"{node.file}: imagePath") or next(iter(images.named(node.file.stem)), None)
    height, width = _size(node, file)
    name = (beside / PurePosixPath(path).name).relative_to(folder).as_posix()
    shapes: list[Shape] = []
    for each in node.at("shapes").each():
        shape = _shape(each, height, width)
        if shape and shape.defect_class in NO_CLASSES:
            shapes = [left for below in shapes if (left := below.without(shape.mask(height, width)))]
        elif shape:
            shapes.append(shape)
    extra = node.others("imagePath", "imageData", "imageHeight", "imageWidth", "shapes")
    return Picture(name, file, width, height, tuple(shapes), extra=extra, source=node.file)


def _size(node: Node, file: Path | None) -> tuple[int, int]:
    """(height, width) as the file says, else of the picture, beside it or within."""
    if node.has("imageHeight") and node.has("imageWidth"):
        return node.at("imageHeight").whole(1), node.at("imageWidth").whole(1)
    if file is not None:
        return known_size(file)
    if node.has("imageData"):
        height, width = _decoded(node.at("imageData"), "picture").shape[:2]
        return height, width
    raise node.error("has no imageHeight, and its picture is not near; put the picture beside it")


def _shape(node: Node, height: int, width: int) -> Shape | None:
    kind = node.at("shape_type").text() if node.has("shape_type") else "polygon"
    if kind in ("point", "points"):
        return None
    places = node.at("points")
    corners = [each.numbers() for each in places.each()]
    try:
        box, left, top = _drawn(kind, corners, node, height, width)
    except ValueError as error:
        raise places.error(str(error)) from error
    extra = node.others("label", "points", "mask", "shape_type") | {"shape_type": kind}
    return Shape.of(node.at("label").text(), box, left, top, extra)


def _drawn(kind: str, corners: list[list[float]], node: Node, height: int, width: int) -> Box:
    """The pixels of a shape; raises ValueError where its points do not make one."""
    match kind:
        case "polygon":
            return polygon(corners, height, width)
        case "oriented_rectangle" | "rotation":
            return polygon(corners, height, width)
        case "rectangle" if len(corners) == 4:  # as other programs write it
            return polygon(corners, height, width)
        case "rectangle":
            (x0, y0), (x1, y1) = _pair(corners)
            return polygon([[x0, y0], [x1, y0], [x1, y1], [x0, y1]], height, width)
        case "circle":
            centre, edge = _pair(corners)
            radius = math.dist(centre, edge)
            return ellipse(centre, (radius, radius), height, width)
        case "line" | "linestrip":
            return line(corners, height, width)
        case "mask":
            (left, top), _ = _pair(corners)
            return _bitmap(node.at("mask")), round(left), round(top)
        case _:
            raise node.at("shape_type").error(f"is {kind}, which casae does not know; draw it as a polygon or a mask")


def _pair(corners: list[list[float]]) -> tuple[list[float], list[float]]:
    if len(corners) != 2 or any(len(corner) != 2 for corner in corners):
        raise ValueError("two points are due")
    return corners[0], corners[1]


def _bitmap(node: Node) -> NDArray[np.bool_]:
    pixels = _decoded(node, "PNG")
    return (pixels if pixels.ndim == 2 else pixels[..., 0]) > 0


def _decoded(node: Node, what: str) -> Image:
    try:
        return decode_image(base64.b64decode(node.text(), validate=True), f"the {what}")
    except (binascii.Error, ImageError) as error:
        raise node.error(f"is no {what} in base64 ({error})") from error


def write_labelme(labels: LabelSet, folder: Path) -> None:
    """Write a JSON file beside each picture of a folder, with masks.

    Raises:
        OutputError: the place cannot be written.
    """
    write_whole(folder / LIST, "".join(f"{name}\n" for name in ("__ignore__", "_background_", *labels.classes)))
    for picture in labels.pictures:
        if not picture.labelled:
            continue
        extra = dict(picture.extra) if labels.format == "labelme" else {}
        content = {"version": VERSION, "flags": {}} | extra
        content |= {
            "shapes": [_written(shape, labels.format) for shape in picture.shapes],
            "imagePath": PurePosixPath(picture.name).name,
            "imageData": None,
            "imageHeight": picture.height,
            "imageWidth": picture.width,
        }
        file = (folder / picture.name).with_suffix(".json")
        file.parent.mkdir(parents=True, exist_ok=True)
        write_whole(file, json.dumps(content, ensure_ascii=False, indent=2) + "\n")


def _written(shape: Shape, came_from: str) -> dict[str, Any]:
    png = encode(shape.pixels.astype(np.uint8) * np.uint8(255), ".png")
    kept = dict(shape.extra) if came_from == "labelme" else {}
    usual: dict[str, Any] = {"group_id": None, "description": "", "flags": {}}
    return (
        usual
        | kept
        | {
            "label": shape.defect_class,
            "points": [[shape.left, shape.top], [shape.left + shape.width - 1, shape.top + shape.height - 1]],
            "shape_type": "mask",
            "mask": base64.b64encode(png).decode(),
        }
    )
