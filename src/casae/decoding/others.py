"""PNG, BMP, WebP, PGM and PPM."""

import re
from collections.abc import Iterator

import numpy as np

from casae.decoding.declared import DEFLATED, PNG, RUNS, Declared, check_written, cut_off, decode_by_opencv, several
from casae.decoding.jpeg import exif_orientation
from casae.errors import ImageError
from casae.image import FULL_SCALE, Image

ANIMATED = 2  # bit of WebP's flags
ZEROS = 256  # bytes at the end of a WebP, which is packed to the last bit
SPACE = rb"(?:\s|#[^\n]*\n)+"
PNM_HEAD = re.compile(rb"P[56]" + SPACE + rb"\d+" + SPACE + rb"\d+" + SPACE + rb"\d+\s")


def png_header(data: bytes) -> Declared:
    """Sides, of the IHDR chunk."""
    if data[12:16] != b"IHDR" or len(data) < 33:
        raise cut_off()
    width, height = int.from_bytes(data[16:20], "big"), int.from_bytes(data[20:24], "big")
    orientation = 1
    for kind, start, end in _png_chunks(data):
        if kind == b"acTL" and int.from_bytes(data[start : start + 4], "big") > 1:
            raise several(int.from_bytes(data[start : start + 4], "big"), "frames")
        if kind == b"eXIf":
            orientation = exif_orientation(data[start:end])
    return Declared(width, height, DEFLATED, orientation)


def _png_chunks(data: bytes) -> Iterator[tuple[bytes, int, int]]:
    """Kind, start and end of the chunks before IEND; raises ImageError where the file is cut off."""
    at = len(PNG)
    while data[at + 4 : at + 8] != b"IEND":
        size = int.from_bytes(data[at : at + 4], "big")
        yield data[at + 4 : at + 8], at + 8, at + 8 + size
        at += 12 + size
        if at + 8 > len(data):
            raise cut_off()


def bmp_header(data: bytes) -> Declared:
    """Sides, of the header of Windows or of OS/2."""
    if len(data) < 26:
        raise cut_off()
    size = int.from_bytes(data[14:18], "little")
    if size == 12:  # as of OS/2
        width, height = (int.from_bytes(data[at : at + 2], "little") for at in (18, 20))
        return Declared(width, height, 8)
    width, height = (abs(int.from_bytes(data[at : at + 4], "little", signed=True)) for at in (18, 22))
    compressed = int.from_bytes(data[30:34], "little") in (1, 2)
    return Declared(width, height, RUNS if compressed else 8)


def decode_bmp(data: bytes, declared: Declared) -> Image:
    """Decode after holding the length of an uncompressed file against its sides."""
    offset, compression = int.from_bytes(data[10:14], "little"), int.from_bytes(data[30:34], "little")
    bits = int.from_bytes(data[28:30], "little")
    plain = int.from_bytes(data[14:18], "little") >= 40 and compression in (0, 3)
    if plain and len(data) < offset + (declared.width * bits + 31) // 32 * 4 * declared.height:
        raise cut_off()
    image = decode_by_opencv(data, declared)
    if plain:
        downwards = int.from_bytes(data[22:26], "little", signed=True) < 0
        check_written(image if downwards else image[::-1])
    return image


def webp_header(data: bytes) -> Declared:
    """Sides, of a lossy, lossless or extended file."""
    kind = data[12:16]
    if int.from_bytes(data[4:8], "little") + 8 > len(data) or len(data) < 30:
        raise cut_off()
    if kind == b"VP8X":
        if data[20] & ANIMATED:
            raise several(max(2, data.count(b"ANMF")), "frames")
        width, height = (1 + int.from_bytes(data[at : at + 3], "little") for at in (24, 27))
    elif kind == b"VP8L":
        bits = int.from_bytes(data[21:25], "little")
        width, height = 1 + (bits & 0x3FFF), 1 + (bits >> 14 & 0x3FFF)
    else:
        width, height = (int.from_bytes(data[at : at + 2], "little") & 0x3FFF for at in (26, 28))
    if not data[-ZEROS:].strip(b"\0"):
        raise ImageError("ends in zeros: still being copied? Inspect it again")
    # Without loss, some bytes hold a picture of one value, however large.
    return Declared(width, height, DEFLATED if kind == b"VP8 " else float("inf"), _webp_orientation(data))


def webp_chunks(data: bytes) -> Iterator[int]:
    """Where the chunks of a WebP begin."""
    at = 12
    while at + 8 <= len(data):
        yield at
        size = int.from_bytes(data[at + 4 : at + 8], "little")
        at += 8 + size + size % 2


def _webp_orientation(data: bytes) -> int:
    for at in webp_chunks(data):
        if data[at : at + 4] == b"EXIF":
            size = int.from_bytes(data[at + 4 : at + 8], "little")
            return exif_orientation(data[at + 8 : at + 8 + size].removeprefix(b"Exif\0\0"))
    return 1


def pnm_header(data: bytes) -> Declared:
    """Sides and largest value, between which there may be comments."""
    wanted = {b"P1": 2, b"P4": 2}.get(data[:2], 3)
    lines = data[2:4096].split(b"\n")
    words = b" ".join(line.split(b"#")[0] for line in lines).split()
    try:
        width, height, *rest = (int(float(word)) for word in words[:wanted])
    except ValueError as error:
        raise cut_off() from error
    floating = data[:2] in (b"Pf", b"PF")
    return Declared(width, height, 8, white=0 if floating or not rest else rest[0])


def decode_pnm(data: bytes, declared: Declared) -> Image:
    """Decode, and stretch the largest value that the file names to that of its depth."""
    kind, white = data[:2], declared.white
    if kind in (b"P5", b"P6"):
        needed = declared.width * declared.height * (3 if kind == b"P6" else 1) * (2 if white > 255 else 1)
        if len(data) < needed:
            raise cut_off()
        if behind := _pictures_behind(data, needed):
            raise several(1 + behind, "pictures")
    image = decode_by_opencv(data if kind in (b"P5", b"P6") else data + b"\n", declared)  # which ends the last number
    full = FULL_SCALE.get(image.dtype, 1.0)
    as_stored = image.dtype == np.uint16 or kind in (b"P5", b"P6")  # OpenCV stretches texts of 8 bits itself
    if as_stored and 0 < white < full:
        image = np.minimum(np.rint(image * (full / white)), full).astype(image.dtype)
    if kind in (b"P5", b"P6"):
        check_written(image)
    return image


def _pictures_behind(data: bytes, needed: int) -> int:
    """How many pictures follow the first one of a PGM or PPM, whose pixels take so many bytes."""
    count = 0
    while (head := PNM_HEAD.match(data)) and PNM_HEAD.match(data, head.end() + needed):
        data, count = data[head.end() + needed :], count + 1
    return count
