"""What a file says of itself, held against limits and against its bytes before anything is decoded."""

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from casae.errors import ImageError, TooLargeError
from casae.image import LONGEST_SIDE, Image

FORMATS = "PNG, JPEG, BMP, TIFF, WebP, PGM or PPM"
PNG = b"\x89PNG\r\n\x1a\n"
cv2.utils.logging.setLogLevel(cv2.utils.logging.LOG_LEVEL_SILENT)  # what is wrong with a picture we say ourselves
LARGEST_PIXEL = 8  # bytes: four channels of 16 bits
# Pixels that a byte of a file can stand for at most, by how it is compressed.
DEFLATED = 8 * 1032  # 1 bit a pixel
RUNS = 255


@dataclass(frozen=True)
class Declared:
    """What the header of a file says: the picture's sides in px, and how many pixels a byte can stand for at most."""

    width: int
    height: int
    density: float
    orientation: int = 1  # of EXIF, 1 to 8
    white: int = 0  # largest value of a PGM or PPM


def said_by(error: Exception) -> str:
    """What a decoder says, on one line and not too long."""
    text = " ".join(str(getattr(error, "err", "") or error).split())
    return text[:120] or type(error).__name__


def check_size(declared: Declared, size: int, max_megapixels: float) -> None:
    """Hold the declared sides against the limits and against the `size` of the file in bytes; raises ImageError."""
    width, height = declared.width, declared.height
    if width < 1 or height < 1:
        raise ImageError(f"its header says {width} x {height} px; copy it again from the camera")
    if max(width, height) > LONGEST_SIDE:
        rule = f"a side of {LONGEST_SIDE:,} px is the longest"
        raise TooLargeError(f"is {width} x {height} px, too large: {rule}; cut it into parts")
    if width * height > max_megapixels * 1e6:
        way = "save it smaller, or say --max-megapixels"
        raise TooLargeError(f"is {width} x {height} px, too large: {max_megapixels:g} megapixels are the limit; {way}")
    if width * height > declared.density * size:
        raise ImageError(f"is cut off: {size} bytes cannot hold {width} x {height} px; copy it again from the camera")


def decode_by_opencv(data: bytes, declared: Declared) -> Image:
    """Decode with OpenCV, in the depth and channels of the file, colours as RGB, upright; raises ImageError."""
    flags = cv2.IMREAD_ANYCOLOR | cv2.IMREAD_ANYDEPTH | cv2.IMREAD_IGNORE_ORIENTATION
    image = cv2.imdecode(np.frombuffer(data, np.uint8), flags)
    if image is None:
        raise ImageError(f"is damaged or not a {FORMATS} image; save it as PNG")
    return upright(cv2.cvtColor(image, cv2.COLOR_BGR2RGB) if image.ndim == 3 else image, declared.orientation)


def cut_off() -> ImageError:
    """The error for a file that ends too early."""
    return ImageError("the file is cut off before its end; copy it again from the camera")


def several(count: int, what: str) -> ImageError:
    """The error for a file of several frames or pages."""
    return ImageError(f"holds {count} {what}, and one picture a file is inspected; save each in a file of its own")


def check_written(image: Image) -> None:
    """Whether a file without compression ends in zeros that begin within a row, as one that is still being written.

    Args:
        image: its rows in the order of the file.
    """
    if image[-1].any():
        return
    drawn: NDArray[np.bool_] = (image != 0).any(axis=2) if image.ndim == 3 else image != 0
    filled = np.flatnonzero(drawn.any(axis=1))
    last = int(filled[-1]) if len(filled) else 0
    if last == 0:
        return
    end = int(np.flatnonzero(drawn[last])[-1]) + 1
    whole_before = drawn[last - 1].mean() > 0.9 and drawn[last, :end].mean() > 0.9
    if end < drawn.shape[1] and whole_before and drawn[last - 1, end:].mean() > 0.9:
        share = 1 - (last + end / drawn.shape[1]) / len(drawn)
        raise ImageError(f"its last {share:.0%} are zeros from within a row on: still being copied? Inspect it again")


def upright(image: Image, orientation: int) -> Image:
    """Apply the orientation of EXIF and TIFF 6.0 (tag 274), 1 to 8."""
    if orientation > 4:
        image = image.swapaxes(0, 1)
    across, down = orientation in (2, 3, 6, 7), orientation in (3, 4, 7, 8)
    return np.ascontiguousarray(image[:: -1 if down else 1, :: -1 if across else 1])
