"""Severstal Steel Defect Detection (Kaggle 2019): a CSV of runs, pictures in `train_images/` beside it.

A row is picture, class and `start length start length ...`, counted from 1 down the columns. A picture without a row
shows no defect. Older files join picture and class by `_`.
"""

import csv
import io
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from casae.errors import DatasetError
from casae.files import find_images, write_whole
from casae.labels.labelset import LabelSet, Picture, known_size, text_of
from casae.labels.runs import flags_of, runs_of
from casae.labels.shapes import Shape

PICTURES, NAMES = "train_images", "classes.txt"  # beside the CSV; names of its classes, one a line, where there are any
Row = tuple[int, str, str]  # line of the file, class, runs
LONGEST = 2**27  # characters of the runs of a region; Python's csv takes 2**17 unless told otherwise


def read_severstal(file: Path) -> LabelSet:
    """Labels of a `train.csv`.

    Raises:
        DatasetError: the file is none of it; names the line.
        ImageError: a picture cannot be read.
    """
    drawn, names = _rows(file), _names(file.with_name(NAMES))
    folder = file.parent / PICTURES
    found = {picture.relative_to(folder).as_posix(): picture for picture in find_images(folder)}
    pictures = []
    for name, picture in found.items():
        height, width = known_size(picture)
        rows = drawn.pop(name, []) if height else []
        shapes = tuple(shape for row in rows if (shape := _shape(row, names, file, height, width)))
        pictures.append(Picture(name, picture, width, height, shapes, source=file))
    notes = [f"{name}: no such picture in {PICTURES}/" for name in drawn]
    used = {shape.defect_class for picture in pictures for shape in picture.shapes}
    others = sorted(used.difference(names), key=lambda value: (len(value), value))
    return LabelSet("severstal", (*names, *others), tuple(pictures), {}, tuple(notes))


def _names(file: Path) -> list[str]:
    """Names of ClassId 1, 2, ...; none without such a list, then its numbers are the names."""
    return [line.strip() for line in text_of(file).splitlines() if line.strip()] if file.is_file() else []


def _rows(file: Path) -> dict[str, list[Row]]:
    """The rows of each picture, those without runs left out."""
    reader = csv.DictReader(io.StringIO(text_of(file)))
    drawn: dict[str, list[Row]] = {}
    before = csv.field_size_limit(LONGEST)
    try:
        keys = set(reader.fieldnames or ())
        joined = "ImageId_ClassId" in keys
        if "EncodedPixels" not in keys or not (joined or {"ImageId", "ClassId"} <= keys):
            rule = "needs the columns ImageId, ClassId and EncodedPixels"
            raise DatasetError(f"{file}: line 1: {rule}; it has {', '.join(sorted(keys)) or 'none'}")
        for row in reader:
            if joined:
                name, _, value = (row["ImageId_ClassId"] or "").rpartition("_")
            else:
                name, value = row["ImageId"] or "", row["ClassId"] or ""
            runs = (row["EncodedPixels"] or "").strip()
            if runs:
                drawn.setdefault(name.strip(), []).append((reader.line_num, value.strip(), runs))
    except csv.Error as error:
        raise DatasetError(f"{file}: line {reader.line_num}: {error}; copy the file again") from error
    finally:
        csv.field_size_limit(before)
    return drawn


def _shape(row: Row, names: Sequence[str], file: Path, height: int, width: int) -> Shape | None:
    number, value, text = row
    if names and not (value.isdecimal() and 1 <= int(value) <= len(names)):
        raise DatasetError(f"{file}: line {number}: ClassId {value} is none of the {len(names)} in {NAMES}; mend one")
    try:
        return Shape.of(
            names[int(value) - 1] if names else value, _pixels([int(word) for word in text.split()], height, width)
        )
    except ValueError as error:
        raise DatasetError(f"{file}: line {number}: EncodedPixels: {error}; copy the file again") from error


def _pixels(numbers: list[int], height: int, width: int) -> NDArray[np.bool_]:
    """(height, width) bool; raises ValueError where these are no runs of such a picture."""
    if len(numbers) % 2:
        raise ValueError("a start has no length")
    starts = np.array(numbers[::2]) - 1
    lengths = np.array(numbers[1::2])
    ends = starts + lengths
    if (starts[1:] < ends[:-1]).any() or starts[0] < 0 or (lengths < 1).any() or ends[-1] > height * width:
        raise ValueError(f"runs must rise and lie in a picture of {width} x {height} px")
    edges = np.ravel([starts, ends], "F")
    runs = np.diff(np.concatenate([[0], edges, [height * width]]))
    return np.ascontiguousarray(flags_of(runs, height * width).reshape(width, height).T)


def write_severstal(labels: LabelSet, file: Path) -> None:
    """Write a `train.csv`, and the names of its classes beside it.

    Raises:
        OutputError: the place cannot be written.
    """
    stream = io.StringIO()
    writer = csv.writer(stream, lineterminator="\n")
    writer.writerow(["ImageId", "ClassId", "EncodedPixels"])
    for picture in labels.pictures:
        for number, name in enumerate(labels.classes, start=1):
            mask = np.zeros((picture.height, picture.width), np.uint8)
            for shape in picture.shapes:
                shape.draw(mask, 1 if shape.defect_class == name else 0)
            runs = runs_of(mask.T.ravel() > 0)
            starts = np.cumsum(runs)[:-1:2] + 1
            if mask.any():
                pairs = np.ravel([starts[: len(runs[1::2])], runs[1::2]], "F")
                writer.writerow([picture.name, number, " ".join(map(str, pairs.tolist()))])
    write_whole(file, stream.getvalue())
    write_whole(file.with_name(NAMES), "".join(f"{name}\n" for name in labels.classes))
