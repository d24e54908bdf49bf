"""Labels in colour on their pictures, and many of them on one sheet."""

from collections.abc import Callable, Sequence
from pathlib import Path, PurePosixPath

import cv2
import numpy as np
from numpy.typing import NDArray

from casae.datasets.sample import UNCLASSED, Dataset
from casae.decoding import read_image
from casae.errors import DatasetError, ImageError
from casae.files import write_whole
from casae.image import Image, encode, resize
from casae.inspection.overlay import to_rgb

COLOURS = (  # RGB, of Okabe and Ito 2008, to be told apart by colour-blind people
    (230, 159, 0),
    (86, 180, 233),
    (0, 158, 115),
    (240, 228, 66),
    (0, 114, 178),
    (213, 94, 0),
    (204, 121, 167),
)
PLAIN = (255, 0, 0)  # of a defect without class
SHARE = 0.35  # of the colour inside a defect
THUMB, COLUMNS, CAPTION, GAP = 320, 4, 26, 8  # px, of a sheet
ON_A_SHEET = 48
FONT, TEXT = cv2.FONT_HERSHEY_SIMPLEX, 0.45

Rgb = NDArray[np.uint8]


def write_labels(
    part: Dataset, folder: Path, done: Callable[[object], object] = lambda name: None
) -> tuple[list[Path], list[str]]:
    """Write each labelled picture with its label, and sheets of `ON_A_SHEET`.

    Returns:
        The sheets, and why pictures could not be drawn.

    Raises:
        OutputError: the folder cannot be written.
        DatasetError: nothing is labelled.
    """
    samples = part.labelled.samples
    if not samples:
        raise DatasetError(f"{part.name}: no labelled picture in '{part.split_name}'; label some")
    failures: list[str] = []
    sheets: list[Path] = []
    waiting: list[tuple[str, Rgb]] = []
    for index, sample in enumerate(samples, start=1):
        try:
            image = read_image(sample.image)
            picture = drawn(image, sample.draw(image.shape, len(part.classes)))
        except (ImageError, DatasetError) as error:
            failures.append(str(error))
        else:
            write_whole(folder / PurePosixPath(f"{sample.name}.jpg"), encode(picture, ".jpg"))
            scale = min(1.0, THUMB / max(picture.shape[:2]))
            small = resize(picture, *(max(1, round(side * scale)) for side in picture.shape[:2]))
            waiting.append((sample.name, small))
        if waiting and (len(waiting) == ON_A_SHEET or index == len(samples)):
            file = folder / f"sheet-{len(sheets) + 1}.jpg"
            write_whole(file, encode(sheet(waiting, part.classes), ".jpg"))
            sheets.append(file)
            waiting = []
        done(sample.name)
    if not sheets:
        raise DatasetError(f"{part.name}: none of its pictures can be drawn, {failures[0]}")
    return sheets, failures


def colour_of(value: int) -> tuple[int, int, int]:
    """Of a label value."""
    return PLAIN if value == UNCLASSED else COLOURS[(value - 1) % len(COLOURS)]


def drawn(image: Image, label: NDArray[np.uint8]) -> Rgb:
    """A picture (H, W) or (H, W, 3) with its label (H, W) in colour, outlined outside the defects: (H, W, 3)."""
    picture = to_rgb(image)
    line = max(1, round(min(picture.shape[:2]) / 300))
    around = np.ones((2 * line + 1, 2 * line + 1), np.uint8)
    for value in np.unique(label[label > 0]):
        inside, colour = label == value, np.array(colour_of(int(value)))
        picture[inside] = ((1 - SHARE) * picture[inside] + SHARE * colour).astype(np.uint8)
        picture[(cv2.dilate(inside.view(np.uint8), around) > 0) & (label == 0)] = colour
    return picture


def sheet(pictures: Sequence[tuple[str, Rgb]], classes: Sequence[str]) -> Rgb:
    """Pictures with their names below them, and the colours of the classes on top: (H, W, 3)."""
    columns = min(COLUMNS, max(1, len(pictures)))
    width = columns * (THUMB + GAP) + GAP
    tiles = [_tile(name, picture) for name, picture in pictures]
    rows = [tiles[start : start + columns] for start in range(0, len(tiles), columns)]
    bands = [_legend(classes, width)]
    for row in rows:
        height = max(tile.shape[0] for tile in row)
        band = np.full((height + GAP, width, 3), 255, np.uint8)
        for column, tile in enumerate(row):
            left = GAP + column * (THUMB + GAP)
            band[: tile.shape[0], left : left + THUMB] = tile
        bands.append(band)
    return np.concatenate(bands)


def _tile(name: str, picture: Rgb) -> Rgb:
    scale = THUMB / max(picture.shape[:2])
    height, width = (max(1, round(side * scale)) for side in picture.shape[:2])
    small = resize(picture, height, width)
    tile = np.full((height + CAPTION, THUMB, 3), 255, np.uint8)
    tile[:height, :width] = small
    longest = THUMB // 8
    shown = name if len(name) <= longest else f"...{name[3 - longest :]}"
    cv2.putText(tile, _ascii(shown), (2, height + 18), FONT, TEXT, (40, 40, 40), 1, cv2.LINE_AA)
    return tile


def _legend(classes: Sequence[str], width: int) -> Rgb:
    entries = [(name, colour_of(value)) for value, name in enumerate(classes, start=1)]
    lines: list[list[tuple[str, tuple[int, int, int], int]]] = [[]]
    left = GAP
    for name, colour in entries:
        wide = 30 + cv2.getTextSize(_ascii(name), FONT, TEXT, 1)[0][0] + 16
        if left + wide > width and lines[-1]:
            lines.append([])
            left = GAP
        lines[-1].append((name, colour, left))
        left += wide
    legend = np.full((GAP + 24 * len(lines), width, 3), 255, np.uint8)
    for row, line in enumerate(lines):
        for name, colour, at in line:
            top = GAP + 24 * row
            cv2.rectangle(legend, (at, top), (at + 20, top + 14), colour, -1)
            cv2.putText(legend, _ascii(name), (at + 28, top + 12), FONT, TEXT, (20, 20, 20), 1, cv2.LINE_AA)
    return legend


def _ascii(text: str) -> str:
    """OpenCV's fonts know no other characters."""
    return text.encode("ascii", "replace").decode()
