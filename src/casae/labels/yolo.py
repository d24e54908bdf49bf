"""YOLO segmentation (docs.ultralytics.com/datasets/segment): a text file a picture, polygons as shares of its sides.

`images/` and `labels/` hold the same sub-folders; `data.yaml` names the classes. A line of five numbers is a box. As
YOLO takes it, a picture without a text file shows no defect. Polygons have no holes: writing loses them.
"""

from pathlib import Path, PurePosixPath

import numpy as np
import yaml

from casae.errors import DatasetError
from casae.files import find_images, write_whole
from casae.labels.labelset import LabelSet, Picture, known_size, text_of
from casae.labels.shapes import Shape, polygon
from casae.outlines import outlines_of, signed_area

PICTURES, LABELS, NAMES = "images", "labels", "data.yaml"


def read_yolo(file: Path) -> LabelSet:
    """Labels beside a `data.yaml`.

    Raises:
        DatasetError: a file is damaged; names the line.
        ImageError: a picture cannot be read.
    """
    classes, root = _names(file), file.parent
    pictures, without = [], 0
    for image in find_images(root / PICTURES):
        name = image.relative_to(root / PICTURES)
        text = (root / LABELS / name).with_suffix(".txt")
        height, width = known_size(image)
        shapes: tuple[Shape, ...] = ()
        if text.is_file() and height:
            lines = enumerate(text_of(text).splitlines(), start=1)
            found = (_shape(line, f"{text}: line {number}", classes, height, width) for number, line in lines)
            shapes = tuple(shape for shape in found if shape)
        without += not text.is_file()
        pictures.append(Picture(name.as_posix(), image, width, height, shapes, source=text if text.is_file() else file))
    if not pictures:
        raise DatasetError(f"{root}: no pictures in {PICTURES}/; name the {NAMES} of a folder that has both")
    notes = [f"{without} pictures have no file in {LABELS}/, which says that they show no defect"] if without else []
    return LabelSet("yolo", tuple(classes), tuple(pictures), {}, tuple(notes))


def _names(file: Path) -> list[str]:
    """Classes by their number.

    Raises:
        DatasetError: the file names none.
    """
    try:
        content = yaml.safe_load(text_of(file))
    except yaml.YAMLError as error:
        said = " ".join(str(error).split())[:120]
        raise DatasetError(f"{file}: no YAML ({said}); export it again") from error
    names = content.get("names") if isinstance(content, dict) else None
    if isinstance(names, dict) and sorted(names) == list(range(len(names))):
        names = [names[number] for number in range(len(names))]
    if not isinstance(names, list) or not names:
        raise DatasetError(f"{file}: names no classes; write such as names: [scratch, dent]")
    return [str(name) for name in names]


def _shape(line: str, place: str, classes: list[str], height: int, width: int) -> Shape | None:
    words = line.split()
    if not words:
        return None
    try:
        number, *shares = (float(word) for word in words)
    except ValueError as error:
        raise DatasetError(f"{place}: {error}; write a class and numbers from 0 to 1") from error
    if number != int(number) or not 0 <= number < len(classes):
        raise DatasetError(f"{place}: class {words[0]} is none of the {len(classes)} in {NAMES}; mend one")
    if len(shares) == 4:
        x, y, wide, high = shares
        left, right, top, bottom = x - wide / 2, x + wide / 2, y - high / 2, y + high / 2
        shares = [left, top, right, top, right, bottom, left, bottom]
    if len(shares) < 6 or len(shares) % 2:
        raise DatasetError(f"{place}: {len(shares)} numbers are neither a box nor a polygon; export it again")
    try:
        box, left_px, top_px = polygon(np.reshape(shares, (-1, 2)) * (width, height), height, width)
    except ValueError as error:
        raise DatasetError(f"{place}: {error}; write numbers from 0 to 1") from error
    return Shape.of(classes[int(number)], box, left_px, top_px)


def loses(labels: LabelSet) -> str:
    """What polygons cannot hold of these labels; empty if nothing."""
    shapes = (shape for picture in labels.pictures for shape in picture.shapes)
    holes = sum(signed_area(outline) < 0 for shape in shapes for outline in outlines_of(*np.nonzero(shape.pixels)))
    return f"{holes} holes: a polygon of YOLO has none" if holes else ""


def write_yolo(labels: LabelSet, file: Path) -> None:
    """Write `data.yaml` and a text file a picture, without holes.

    Raises:
        OutputError: the place cannot be written.
    """
    root = file.parent
    for picture in labels.pictures:
        lines = []
        for shape in picture.shapes:
            rows, columns = np.nonzero(shape.pixels)
            for outline in outlines_of(rows, columns):
                if signed_area(outline) < 0:
                    continue
                shares = np.add(outline, (shape.left, shape.top)) / (picture.width, picture.height)
                number = labels.classes.index(shape.defect_class)
                lines.append(" ".join([str(number), *(f"{share:.9g}" for share in shares.ravel())]))
        text = root / LABELS / PurePosixPath(picture.name).with_suffix(".txt")
        text.parent.mkdir(parents=True, exist_ok=True)
        write_whole(text, "".join(f"{line}\n" for line in lines))
    content = {"path": ".", "train": PICTURES, "val": PICTURES, "names": dict(enumerate(labels.classes))}
    write_whole(file, yaml.safe_dump(content, sort_keys=False, allow_unicode=True))
