"""CVAT for images, XML 1.1 (docs.cvat.ai, "CVAT for image"): one file for many pictures.

0, 0 is the outer corner of the first pixel. The runs of a `<mask>` count row by row inside its box.
"""

import xml.etree.ElementTree as ET
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from casae.errors import DatasetError
from casae.files import write_whole
from casae.labels.labelset import Images, LabelSet, Picture
from casae.labels.runs import flags_of
from casae.labels.shapes import Shape, ellipse, line, polygon
from casae.labels.xml_file import parsed_xml

LISTS = {"validation": "val", "valid": "val", "training": "train", "testing": "test"}  # by other names
PIXELLESS = ("points", "skeleton", "cuboid", "tag")
Box = tuple[NDArray[np.bool_], int, int]


def read_cvat(file: Path) -> LabelSet:
    """Labels of an `annotations.xml`; pictures are looked for beside it, in `images/`, and above.

    Raises:
        DatasetError: the file is none of CVAT's; names the place in it.
    """
    root = parsed_xml(file)
    if root.tag == "annotations" and root.find("image") is None and root.find("track") is not None:
        raise DatasetError(f"{file}: is CVAT for video, which has tracks; export as CVAT for images")
    if root.tag != "annotations":
        raise DatasetError(f"{file}: begins with <{root.tag}>, CVAT for images with <annotations>; export as that")
    images = Images.near(file)
    pictures = tuple(_picture(node, file, images) for node in root.iter("image"))
    named = [name.text.strip() for name in root.findall("./meta//labels/label/name") if name.text]
    drawn = {shape.defect_class for picture in pictures for shape in picture.shapes}
    classes = list(dict.fromkeys([*named, *sorted(drawn)]))
    notes = [f"{picture.name}: no such picture near {file.name}" for picture in pictures if picture.file is None]
    skipped = sum(1 for image in root.iter("image") for node in image if node.tag in PIXELLESS)
    if skipped:
        notes.append(f"{skipped} points, skeletons, cuboids and tags cover no pixel and are left out")
    return LabelSet("cvat", tuple(classes), pictures, {"meta": _meta(root)}, tuple(notes), _subsets(pictures))


def _subsets(pictures: tuple[Picture, ...]) -> dict[str, tuple[str, ...]]:
    """Lists of a project, where its tasks are of several subsets."""
    lists: dict[str, list[str]] = {}
    for picture in pictures:
        title = str(picture.extra.get("subset", "")).lower()
        lists.setdefault(LISTS.get(title, title), []).append(picture.name)
    return {title: tuple(names) for title, names in lists.items() if title} if len(lists) > 1 else {}


def _meta(root: ET.Element) -> str | None:
    meta = root.find("meta")
    return None if meta is None else ET.tostring(meta, encoding="unicode")


def _picture(node: ET.Element, file: Path, images: Images) -> Picture:
    name = _text(node, "name", file)
    place = f"{file}: image '{name}'"
    width, height = round(_number(node, "width", place)), round(_number(node, "height", place))
    if width < 1 or height < 1:
        raise DatasetError(f"{place}: is {width} x {height} px; export it again")
    shapes = tuple(shape for each in _in_order(node, place) if (shape := _shape(each, place, height, width)))
    extra: dict[str, Any] = {key: node.attrib[key] for key in node.attrib if key not in ("name", "width", "height")}
    extra |= {"tags": [ET.tostring(each, encoding="unicode") for each in node if each.tag == "tag"]}
    within = f"{node.attrib['subset']}/{name}" if node.attrib.get("subset") else name
    found = images.find(within, place) if within != name else None
    if found is not None and found.parent.name == node.attrib.get("subset"):
        name = within
    return Picture(name, found or images.find(name, place), width, height, shapes, extra=extra, source=file)


def _in_order(node: ET.Element, place: str) -> Iterator[ET.Element]:
    """The shapes of a picture, those below first."""
    drawn = [each for each in node if each.tag not in PIXELLESS]
    return iter(sorted(drawn, key=lambda each: _number(each, "z_order", place) if "z_order" in each.attrib else 0.0))


def _shape(node: ET.Element, place: str, height: int, width: int) -> Shape | None:
    name = node.get("label")
    place = f"{place}: {node.tag} '{name}'"
    if name is None:
        raise DatasetError(f"{place}: has no label; export it again")
    try:
        box, left, top = _drawn(node, place, height, width)
    except ValueError as error:
        raise DatasetError(f"{place}: {error}; export it again") from error
    kept = {key: value for key, value in node.attrib.items() if key in ("occluded", "source", "z_order", "group_id")}
    inner = [ET.tostring(each, encoding="unicode").strip() for each in node]
    return Shape.of(name, box, left, top, {"attributes": kept, "inner": inner})


def _drawn(node: ET.Element, place: str, height: int, width: int) -> Box:
    """The pixels of a shape; raises ValueError where its numbers do not make one."""
    match node.tag:
        case "polygon":
            return polygon(_points(node, place), height, width)
        case "polyline":
            return line(_points(node, place), height, width)
        case "box":
            left, top, right, bottom = (_number(node, key, place) for key in ("xtl", "ytl", "xbr", "ybr"))
            corners = np.array([[left, top], [right, top], [right, bottom], [left, bottom]])
            turned = _number(node, "rotation", place) if "rotation" in node.attrib else 0.0
            return polygon(_turned(corners, turned), height, width)
        case "ellipse":
            x, y, across, along = (_number(node, key, place) for key in ("cx", "cy", "rx", "ry"))
            turned = _number(node, "rotation", place) if "rotation" in node.attrib else 0.0
            return ellipse((x, y), (across, along), height, width, turned)
        case "mask":
            left, top, wide, high = (round(_number(node, key, place)) for key in ("left", "top", "width", "height"))
            runs = [int(run) for run in _text(node, "rle", place).split(",")]
            return flags_of(runs, wide * high).reshape(high, wide), left, top
    raise ValueError(f"<{node.tag}> is no shape that casae knows")


def _turned(corners: NDArray[np.float64], degrees: float) -> NDArray[np.float64]:
    """Corners turned clockwise about their middle."""
    middle = corners.mean(0)
    cosine, sine = np.cos(np.deg2rad(degrees)), np.sin(np.deg2rad(degrees))
    away = corners - middle
    return middle + np.stack([away @ (cosine, -sine), away @ (sine, cosine)], axis=1)


def _points(node: ET.Element, place: str) -> list[list[float]]:
    return [[float(number) for number in pair.split(",")] for pair in _text(node, "points", place).split(";")]


def _text(node: ET.Element, key: str, place: Path | str) -> str:
    text = node.get(key)
    if text is None:
        raise DatasetError(f"{place}: <{node.tag}> has no {key}; export it again")
    return text


def _number(node: ET.Element, key: str, place: str) -> float:
    text = _text(node, key, place)
    try:
        number = float(text)
    except ValueError:
        number = float("nan")
    if not abs(number) < 1e7:
        raise DatasetError(f"{place}: {key} {text!r} is no place in a picture; export it again")
    return number


def write_cvat(labels: LabelSet, file: Path) -> None:
    """Write an `annotations.xml` with masks.

    Raises:
        OutputError: the place cannot be written.
    """
    root = ET.Element("annotations")
    ET.SubElement(root, "version").text = "1.1"
    own = labels.format == "cvat"
    root.append(ET.fromstring(labels.extra["meta"]) if own and labels.extra.get("meta") else _meta_of(labels))
    for number, picture in enumerate(labels.pictures):
        given = {key: str(value) for key, value in picture.extra.items() if key != "tags"} if own else {}
        size = {"width": str(picture.width), "height": str(picture.height)}
        node = ET.SubElement(root, "image", {"id": str(number)} | given | {"name": picture.name} | size)
        for shape in picture.shapes:
            node.append(_written(shape, own))
        for tag in picture.extra.get("tags", []) if own else []:
            node.append(ET.fromstring(tag))
    ET.indent(root)
    write_whole(file, '<?xml version="1.0" encoding="utf-8"?>\n' + ET.tostring(root, encoding="unicode") + "\n")


def _meta_of(labels: LabelSet) -> ET.Element:
    """The list of classes, as CVAT writes it."""
    meta = ET.Element("meta")
    names = ET.SubElement(ET.SubElement(meta, "task"), "labels")
    for name in labels.classes:
        ET.SubElement(ET.SubElement(names, "label"), "name").text = name
    return meta


def _written(shape: Shape, own: bool) -> ET.Element:
    kept = dict(shape.extra.get("attributes", {})) if own else {}
    place = {"left": shape.left, "top": shape.top, "width": shape.width, "height": shape.height}
    attributes = {"source": "file", "occluded": "0", "z_order": "0"} | kept | {"label": shape.defect_class}
    attributes |= {"rle": ", ".join(map(str, shape.runs.tolist()))} | {key: str(at) for key, at in place.items()}
    node = ET.Element("mask", attributes)
    for inner in shape.extra.get("inner", []) if own else []:
        node.append(ET.fromstring(inner))
    return node
