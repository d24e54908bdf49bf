"""What an inspection found, as labels to correct: `results:FOLDER`, read from its `inspections.jsonl`."""

import hashlib
import json
from collections.abc import Mapping, Sequence
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np
from numpy.typing import NDArray

from casae.errors import DatasetError
from casae.files import common_folder, path_of, within
from casae.labels.labelset import LabelSet, Picture, text_of
from casae.labels.shapes import Shape

FILE = "inspections.jsonl"


def read_results(file: Path) -> LabelSet:
    """The newest inspection of every picture that still is what it was then.

    Raises:
        DatasetError: the file cannot be read, or a line of it is none of an inspection.
    """
    newest: dict[str, Mapping[str, Any]] = {}
    for number, line in enumerate(text_of(file).splitlines(), start=1):
        try:
            record = json.loads(line)
            newest[record["source"]] = record
        except (ValueError, KeyError, TypeError) as error:
            raise DatasetError(f"{file}: line {number} is no inspection; name what casae inspect wrote") from error
    common = common_folder({path_of(source).parent for source in newest})
    pictures, notes = [], []
    for source, record in newest.items():
        image, name = path_of(source), PurePosixPath(within(source, common)).as_posix()
        problem = _problem(image, record)
        if problem:
            notes.append(f"{source}: {problem}; left out")
            continue
        try:
            shapes = tuple(_shape(defect) for defect in record["defects"])
            width, height = int(record["width_px"]), int(record["height_px"])
        except (ValueError, KeyError, TypeError) as error:
            raise DatasetError(f"{file}: {source}: {error!r} in its record; inspect it anew") from error
        pictures.append(Picture(name, image, width, height, shapes, source=file))
    classes = {shape.defect_class for picture in pictures for shape in picture.shapes if shape.defect_class}
    return LabelSet("results", tuple(sorted(classes)), tuple(pictures), {}, tuple(notes))


def _problem(image: Path, record: Mapping[str, Any]) -> str:
    """Why the places in a record are none in the picture; empty if they are."""
    if record.get("straightened"):
        return "was straightened before it was inspected"
    try:
        same = hashlib.sha256(image.read_bytes()).hexdigest() == record.get("sha256")
    except OSError:
        return "is not there any more"
    return "" if same else "is another picture by now"


def _shape(defect: Mapping[str, Any]) -> Shape:
    pixels, left, top = filled(defect["polygons"])
    unknown = defect.get("nearest_class") is not None  # a person says what it is
    shape = Shape.of("" if unknown else str(defect["class"]), pixels, left, top)
    if shape is None:
        raise ValueError("a polygon encloses nothing")
    return shape


def filled(polygons: Sequence[Sequence[Sequence[float]]]) -> tuple[NDArray[np.bool_], int, int]:
    """The pixels that outlines go round, holes left out: (h, w) of a box, its left and its top.

    Args:
        polygons: (x, y) of pixel corners, pixel centres at whole numbers; every side is upright or level.

    Raises:
        ValueError: they are no such outlines.
    """
    rings = [np.rint(np.asarray(polygon, np.float64) + 0.5).astype(np.int64) for polygon in polygons]
    corners = np.concatenate(rings)
    (left, top), (right, bottom) = corners.min(0), corners.max(0)
    if (right - left) * (bottom - top) > 2**31:
        raise ValueError("an outline is larger than any picture")
    flips = np.zeros((bottom - top, right - left + 1), np.uint8)
    for ring in rings:
        for (x, y), (_, below) in zip(ring, np.roll(ring, -1, axis=0), strict=True):
            flips[min(y, below) - top : max(y, below) - top, x - left] ^= 1
    return np.bitwise_xor.accumulate(flips, axis=1)[:, :-1] > 0, int(left), int(top)
