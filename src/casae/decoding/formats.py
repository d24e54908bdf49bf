"""From the bytes of an image file to its pixels.

What is damaged, incomplete, too large or ambiguous is refused by name. The declared size is compared with the limit,
and with what the bytes can hold, before anything is decoded.
"""

import io
import os
import stat
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import cv2
import numpy as np

from casae.config import MAX_MEGAPIXELS
from casae.decoding.declared import FORMATS, LARGEST_PIXEL, PNG, Declared, check_size, decode_by_opencv, said_by
from casae.decoding.jpeg import JPEG, decode_jpeg, jpeg_header
from casae.decoding.others import (
    bmp_header,
    decode_bmp,
    decode_pnm,
    png_header,
    pnm_header,
    webp_chunks,
    webp_header,
)
from casae.decoding.tiff import TIFF_STARTS, decode_tiff, tiff_header
from casae.errors import ImageError
from casae.files import printable
from casae.image import Image, check_image

LATEST_NS = 2**63 - 1  # in the year 2262; databases and tables hold no later time of a file


class FileState(NamedTuple):
    """What tells cheaply whether a file is still the same: bytes, time of the last change in ns, inode."""

    size: int
    modified_ns: int
    inode: int

    @classmethod
    def of(cls, known: os.stat_result) -> "FileState":
        """From what the system says of a file."""
        return cls(known.st_size, min(known.st_mtime_ns, LATEST_NS), known.st_ino)


def read_image(path: str | Path, max_megapixels: float = MAX_MEGAPIXELS) -> Image:
    """Read a PNG, JPEG, BMP, TIFF, WebP, PGM or PPM file of 8 or 16 bits a channel.

    Transparency is dropped, CMYK becomes RGB, EXIF orientation is applied.

    Returns:
        (H, W) or (H, W, 3) RGB, uint8 or uint16, or float32 in 0..1 from a floating-point TIFF.

    Raises:
        ImageError: the file is missing, empty, damaged, still being written, of another format, holds several pictures,
            or is too large.
    """
    return decode_image(read_file(path, max_megapixels), printable(path), max_megapixels)


def read_file(path: str | Path, max_megapixels: float = MAX_MEGAPIXELS) -> bytes:
    """The bytes of a file. See `read_with_state`."""
    return read_with_state(path, max_megapixels)[0]


def read_with_state(path: str | Path, max_megapixels: float = MAX_MEGAPIXELS) -> tuple[bytes, FileState]:
    """The bytes of a file, and what it was when they were read.

    Raises:
        ImageError: it cannot be read, is no ordinary file, is larger than any picture of so many megapixels, or changed
            meanwhile.
    """
    name, most = printable(path), LARGEST_PIXEL * max_megapixels * 1e6
    try:
        if not stat.S_ISREG(Path(path).stat().st_mode):
            raise ImageError(f"{name}: is no ordinary file; name an image file")
        with Path(path).open("rb") as file:
            before = os.fstat(file.fileno())
            if before.st_size > most:
                raise ImageError(f"{name}: has {before.st_size / 1e9:.1f} GB, {_limit(max_megapixels)}")
            data = file.read()
            after = os.fstat(file.fileno())
    except OSError as error:
        raise ImageError(f"{name}: cannot be read ({error.strerror}); check the path and its permissions") from error
    except ValueError as error:
        raise ImageError(f"{name}: is no path ({error}); check it") from error
    if FileState.of(before) != FileState.of(after):
        raise ImageError(f"{name}: changes while it is read; inspect it again when it is whole")
    return data, FileState.of(after)


def decode_image(data: bytes, name: str, max_megapixels: float = MAX_MEGAPIXELS) -> Image:
    """Decode the bytes of an image file; `name` stands in error messages. See `read_image`."""
    if not data:
        raise ImageError(f"{name}: the file is empty; copy it again from the camera")
    header, decode = _format_of(data)
    if header is None or decode is None:
        raise ImageError(f"{name}: is damaged or not a {FORMATS} image; save it as PNG")
    try:
        declared = header(data)
        check_size(declared, len(data), max_megapixels)
        image = decode(data, declared)
    except ImageError as error:
        raise type(error)(f"{name}: {error}") from error
    except MemoryError as error:
        raise ImageError(f"{name}: does not fit into this machine's memory; save it smaller") from error
    except Exception as error:  # decoders raise whatever they like, all of which means the same to a user
        raise ImageError(f"{name}: damaged or unusual ({said_by(error)}); save it as an ordinary PNG") from error
    return check_image(image, name)


def size_of(path: str | Path, max_megapixels: float = MAX_MEGAPIXELS) -> tuple[int, int]:
    """(height, width) of the upright picture in a file, by its header alone.

    Raises:
        ImageError: see `read_image`.
    """
    data = read_file(path, max_megapixels)
    header, _ = _format_of(data)
    if header is None:
        raise ImageError(f"{path}: is damaged or not a {FORMATS} image; save it as PNG")
    try:
        declared = header(data)
        check_size(declared, len(data), max_megapixels)
    except ImageError as error:
        raise type(error)(f"{path}: {error}") from error
    turned = declared.orientation > 4
    return (declared.width, declared.height) if turned else (declared.height, declared.width)


def orientation_of(data: bytes) -> int:
    """How a file says that its picture is to be turned, as in EXIF, 1 to 8; 1 where it stands upright, or is none."""
    header, _ = _format_of(data)
    try:
        return 1 if header is None else header(data).orientation
    except Exception:  # of a damaged file, which is said where it is decoded
        return 1


def is_lossy(data: bytes) -> bool:
    """Whether a file keeps its pixels only roughly: JPEG, WebP with loss, TIFF with either inside."""
    if data.startswith(JPEG):
        return True
    if data.startswith(b"RIFF"):
        return b"VP8 " in (data[12:16], *(data[at : at + 4] for at in webp_chunks(data)))
    if data[:4] in TIFF_STARTS:
        import tifffile

        with tifffile.TiffFile(io.BytesIO(data)) as file:
            compression = file.pages[0].aspage().compression
            return str(getattr(compression, "name", compression)).startswith(("JPEG", "OJPEG", "WEBP"))
    return False


def is_transparent(data: bytes, decoded: Image) -> bool:
    """Whether a picture is transparent somewhere, or is a TIFF that could be; what it shows there depends on programs.

    Args:
        data: the bytes of its file.
        decoded: what `decode_image` makes of them.
    """
    if data[:4] in TIFF_STARTS:
        import tifffile

        with tifffile.TiffFile(io.BytesIO(data)) as file:
            return bool(file.pages[0].aspage().extrasamples)
    if decoded.ndim == 2:
        return False
    image = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_UNCHANGED)
    if image is None or image.ndim != 3 or image.shape[2] != 4:
        return False
    alpha = image[..., 3]
    return bool((alpha != np.iinfo(alpha.dtype).max).any())


def _limit(max_megapixels: float) -> str:
    return f"more than {max_megapixels:g} megapixels can have; save it smaller, or say --max-megapixels"


Reading = tuple[Callable[[bytes], Declared] | None, Callable[[bytes, Declared], Image] | None]


def _format_of(data: bytes) -> Reading:
    """How to read the header and the pixels of a file; None where its first bytes name no format that is read."""
    if data.startswith(JPEG):
        return jpeg_header, decode_jpeg
    if data.startswith(PNG):
        return png_header, decode_by_opencv
    if data[:4] in TIFF_STARTS:
        return tiff_header, decode_tiff
    if data.startswith(b"BM"):
        return bmp_header, decode_bmp
    if data.startswith(b"RIFF") and data[8:12] == b"WEBP":
        return webp_header, decode_by_opencv
    if data[:2] in (b"P1", b"P2", b"P3", b"P4", b"P5", b"P6", b"Pf", b"PF"):
        return pnm_header, decode_pnm
    return None, None
