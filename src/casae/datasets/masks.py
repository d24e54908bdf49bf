"""From a mask's file to label values, whatever program painted it: gray values, a palette, or white on black."""

import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import cv2
import numpy as np
from numpy.typing import NDArray

from casae.datasets.sample import UNCLASSED
from casae.decoding import decode_image, is_lossy, is_transparent, read_file
from casae.errors import DatasetError, ImageError
from casae.image import FULL_SCALE, Image

CRUMB = 4  # px; fewer that hang together are noise
DIM_SHARE = 0.1  # of what is painted
DARK = 3  # of 255: a JPEG of 0 and 1
NOISE, BLOCK = 32, 8  # what a JPEG may make of black and white, of 255, and how many pixels beside an edge


Meaning = Literal["classes", "binary", "any"]
"""Of a mask's values: each names a class; or what is nearer to white than to black is defect; or what is not 0."""


@dataclass(frozen=True)
class MaskLabel:
    """A label in one mask file, or in several that are laid over each other.

    Attributes:
        files: the masks.
        value: None where the mask's values are label values; else the value that every pixel above 127 gets.
        meaning: of the values; None where nobody says it, then the masks of a single class may be either.
        ignored: values that count as background.
    """

    files: tuple[Path, ...]
    value: int | None = None
    meaning: Meaning | None = None
    ignored: tuple[int, ...] = ()

    def read(self, classes: int) -> NDArray[np.uint8]:
        """The values (H, W); those that name no class are still in it.

        Raises:
            DatasetError: the files have different sizes.
            ImageError: a file cannot be read as a mask.
        """
        first, *others = (self._read(file, classes) for file in self.files)
        for values, file in zip(others, self.files[1:], strict=True):
            if values.shape != first.shape:
                raise DatasetError(f"{file}: has another size than {self.files[0].name}; masks of one image must agree")
            first = np.where(values > 0, values, first)
        return first

    def _read(self, file: Path, classes: int) -> NDArray[np.uint8]:
        values = label_values(file, self.value, classes, self.meaning)
        return np.where(np.isin(values, self.ignored), np.uint8(0), values) if self.ignored else values

    def present(self, classes: int) -> set[int]:
        """See `casae.datasets.sample.Label`."""
        return {int(value) for value in np.unique(self.read(classes))} - {0}

    def draw(self, shape: tuple[int, ...], classes: int) -> NDArray[np.uint8]:
        """See `casae.datasets.sample.Label`."""
        return self.read(classes)


def mask_of(file: Path | None, value: int | None = None) -> MaskLabel | None:
    """The label in one mask file; None where there is none."""
    return None if file is None else MaskLabel((file,), value)


def label_values(file: Path, mask_class: int | None, classes: int, meaning: Meaning | None = None) -> NDArray[np.uint8]:
    """Read a mask, (H, W) uint8; values that name no class are still in it.

    Args:
        file: the mask. Of a PNG with a colour palette, the places in the palette are the values. Where there is a
            single class, whatever is nearer to white than to black in a mask with soft edges, or in a JPEG, is defect.
        mask_class: see `MaskLabel.value`.
        classes: how many there are.
        meaning: see `MaskLabel.meaning`.

    Raises:
        ImageError: it cannot be read, is partly transparent, is a colour picture, or a JPEG where gray values name
            several classes.
    """
    data = read_file(file)
    mask = decode_image(data, str(file))
    same = mask.ndim == 2 or (np.array_equal(mask[..., 0], mask[..., 1]) and np.array_equal(mask[..., 0], mask[..., 2]))
    by_class = mask_class is None and meaning in (None, "classes")
    if by_class and not (same and classes == 1):
        indices = _palette_indices(data, mask, file)
        if indices is not None:
            return indices
    if is_transparent(data, mask):
        raise ImageError(f"{file}: is partly transparent; flatten it on black and save it again")
    is_jpeg = is_lossy(data)
    if mask.ndim == 3:
        if not same and by_class and not (is_jpeg and np.ptp(mask, axis=2).max() <= NOISE):
            raise ImageError(f"{file}: a colour picture is no label mask; save gray values or a palette of classes")
        mask = mask[..., 0] if same else mask.max(axis=2)  # red or blue is as much a defect as white
    if meaning == "any" or mask_class is not None:
        cut = 0 if meaning == "any" and not is_jpeg else 127
        return np.where(mask > cut, np.uint8(mask_class or UNCLASSED), np.uint8(0))
    if meaning == "binary" or (meaning is None and classes == 1 and _is_white_on_black(mask, is_jpeg)):
        if is_jpeg and 0 < mask.max() <= DARK:
            raise ImageError(f"{file}: is a JPEG of {mask.max()} at most, almost black; save masks as PNG, 0 and 255")
        return np.where(mask > FULL_SCALE.get(mask.dtype, 1.0) / 2, np.uint8(UNCLASSED), np.uint8(0))
    rule = _no_levels(mask, is_jpeg)
    if rule:
        raise ImageError(f"{file}: {rule}; 'casae data check' names all masks like this")
    return mask.astype(np.uint8)


def _no_levels(mask: Image, is_jpeg: bool) -> str:
    """Why a mask's gray values cannot name classes, and what to do; empty if they can."""
    if is_jpeg:
        return "JPEG changes gray values, as WebP with loss does, and they name classes here; save masks as PNG"
    if mask.max() > UNCLASSED:
        return f"value {mask.max()} names no class; save masks with 8 bits a pixel"
    if (mask != np.rint(mask)).any():
        return f"holds fractions, {mask.max():g} at most, which name no class; save 0 and 255 with 8 bits"
    return ""


def _is_white_on_black(mask: Image, is_jpeg: bool) -> bool:
    """Whether gray values say how white a pixel is, as at soft edges, and not what class it has.

    Values of classes fill areas, or stand alone; those of soft edges change from pixel to pixel, beside white.
    """
    scale = FULL_SCALE.get(mask.dtype, 1.0)
    if is_jpeg and mask.max() <= NOISE:
        return True
    if 2 * float(mask.max()) <= scale:
        return False
    if not is_jpeg and np.isin(mask, (0, 1, scale)).all():
        return scale == 1 or not (mask == 1).any()
    noise, bright = NOISE * scale / 255, 2 * mask.astype(np.float64) > scale
    kernel = np.ones((3, 3), np.uint8)
    filled = cv2.dilate(mask, kernel) == cv2.erode(mask, kernel)
    if (filled & (mask > noise) & (mask < scale - noise)).any():
        return False
    near = cv2.dilate(bright.astype(np.uint8), np.ones((2 * BLOCK + 1, 2 * BLOCK + 1), np.uint8)) > 0
    painted = (mask > noise) if is_jpeg else (mask > 0) & ~(near & (mask <= noise))
    _, parts, sizes, _ = cv2.connectedComponentsWithStats(painted.astype(np.uint8))
    large = np.flatnonzero(sizes[:, cv2.CC_STAT_AREA] >= CRUMB)
    alone = np.isin(parts, np.setdiff1d(large, [0, *np.unique(parts[bright])]))
    return bool(np.count_nonzero(alone) <= DIM_SHARE * np.count_nonzero(painted))


def _palette_indices(data: bytes, mask: Image, file: Path) -> NDArray[np.uint8] | None:
    """Of a PNG with a palette of colours, the place of each pixel's colour in it; None of any other picture.

    A palette of grays alone is how programs save a gray picture in fewer bytes. The others are decoded once more, with
    each colour of the palette replaced by its place.
    """
    at = _palette_chunk(data)
    if at is None:
        return None
    size = int.from_bytes(data[at : at + 4], "big")
    entries = np.frombuffer(data, np.uint8, size, at + 8).reshape(-1, 3)
    if (entries == entries[:, :1]).all():
        return None
    if entries[0].any():
        raise ImageError(f"{file}: place 0 of its palette is background and must be black; save gray values instead")
    places = b"PLTE" + bytes(value for place in range(1 << data[24]) for value in (place,) * 3)
    chunk = (len(places) - 4).to_bytes(4, "big") + places + zlib.crc32(places).to_bytes(4, "big")
    seen = decode_image(data[:at] + chunk + data[at + 12 + size :], str(file))
    return np.ascontiguousarray(seen[..., 0] if seen.ndim == 3 else seen)


def _palette_chunk(data: bytes) -> int | None:
    """Where the palette of a PNG begins; None where it has none to go by."""
    if data[:8] != b"\x89PNG\r\n\x1a\n" or data[25] != 3:
        return None
    at = 8
    while data[at + 4 : at + 8] != b"PLTE":
        at += 12 + int.from_bytes(data[at : at + 4], "big")
        if at >= len(data):
            return None
    return at
