"""JPEG, by libjpeg-turbo, whose warnings are the only sign of damage between the markers."""

from collections.abc import Iterator

import cv2
import numpy as np
from numpy.typing import NDArray

from casae.decoding.declared import Declared, cut_off, said_by, upright
from casae.errors import ImageError
from casae.image import Image

JPEG = b"\xff\xd8"  # begins such files
LOSSLESS = (0xC3, 0xC7, 0xCB, 0xCF)  # starts of frames
JPEG_LS = 0xF7  # and that of another standard
JPEG_SEGMENTS = 4096  # before the pixels of a photograph there are some ten
JPEG_DENSITY = 512  # a block of 8 x 8 px needs a bit; two channels of four blocks share it in 4:2:0


def jpeg_header(data: bytes) -> Declared:
    """Sides and orientation, from the segments before the pixels."""
    orientation = 1
    for kind, start, end in _jpeg_segments(data):
        if kind == 0xE1 and data[start : start + 6] == b"Exif\0\0":
            orientation = exif_orientation(data[start + 6 : end])
        if 0xC0 <= kind <= 0xCF and kind not in (0xC4, 0xC8, 0xCC):  # start of frame
            height, width = (int.from_bytes(data[at : at + 2], "big") for at in (start + 1, start + 3))
            return Declared(width, height, JPEG_DENSITY, orientation)
        if kind == JPEG_LS:
            raise ImageError("is a JPEG-LS, which is not read; save it as PNG")
    raise cut_off()


def _jpeg_segments(data: bytes) -> Iterator[tuple[int, int, int]]:
    """Kind, start and end of the segments of a JPEG up to its first pixels."""
    at = 2
    for _ in range(JPEG_SEGMENTS):
        if data[at : at + 1] != b"\xff":
            return
        while data[at : at + 2] == b"\xff\xff":  # padding, which may be long
            padding = data[at : at + 65536]
            at += max(1, len(padding) - len(padding.lstrip(b"\xff")) - 1)
        kind = data[at + 1] if at + 1 < len(data) else 0
        end = at + 2 + int.from_bytes(data[at + 2 : at + 4], "big")
        if kind == 0xDA or end > len(data):
            return
        yield kind, at + 4, end
        at = end


def exif_orientation(exif: bytes) -> int:
    """Tag 274 of the first directory of an EXIF block; 1 where there is none."""
    order = {b"II*\0": "little", b"MM\0*": "big"}.get(exif[:4])
    if order is None:
        return 1

    def number(at: int, size: int) -> int:
        return int.from_bytes(exif[at : at + size], order)  # type: ignore[arg-type]  # one of the two

    directory = number(4, 4)
    for entry in range(number(directory, 2)):
        at = directory + 2 + 12 * entry
        if at + 12 > len(exif):
            break
        if number(at, 2) == 274:
            value = number(at + 8, 2)
            return value if 1 <= value <= 8 else 1
    return 1


def decode_jpeg(data: bytes, declared: Declared) -> Image:
    """By libjpeg-turbo, whose warnings are the only sign of damage between the markers."""
    colours = jpeg_colours(data)
    if colours == "Gray":
        image = jpeg_pixels(data, "GRAY")[..., 0]
    elif colours in ("YCbCr", "RGB"):
        image = jpeg_pixels(data, "RGB")
    else:
        jpeg_pixels(data, "CMYK")
        flags = cv2.IMREAD_COLOR | cv2.IMREAD_IGNORE_ORIENTATION
        image = cv2.cvtColor(cv2.imdecode(np.frombuffer(data, np.uint8), flags), cv2.COLOR_BGR2RGB)
    return upright(image, declared.orientation)


def jpeg_colours(data: bytes) -> str:
    """The colours of a JPEG: "Gray", "YCbCr", "RGB", "CMYK" or "YCCK"."""
    import simplejpeg

    try:
        return str(simplejpeg.decode_jpeg_header(data)[2])
    except ValueError as error:
        raise _damaged_jpeg(error, data) from error


def jpeg_pixels(data: bytes, colours: str) -> NDArray[np.uint8]:
    """Decode; raises ImageError where the decoder warns of damage."""
    import simplejpeg

    try:
        pixels: NDArray[np.uint8] = simplejpeg.decode_jpeg(data, colours, strict=True)
    except ValueError as error:
        raise _damaged_jpeg(error, data) from error
    return pixels


def _damaged_jpeg(error: ValueError, data: bytes) -> ImageError:
    for kind, start, _ in _jpeg_segments(data):
        if 0xC0 <= kind <= 0xCF and kind not in (0xC4, 0xC8, 0xCC) and (data[start] != 8 or kind in LOSSLESS):
            what = "compressed without loss" if kind in LOSSLESS else f"of {data[start]} bits"
            return ImageError(f"is a JPEG {what}, which is not read; save it as PNG")
    ends = data.rstrip(b"\0").endswith(b"\xff\xd9")
    if not ends or "premature end of jpeg file" in str(error).lower():
        return cut_off()
    return ImageError(f"is damaged ({said_by(error)}); copy it again from the camera")
