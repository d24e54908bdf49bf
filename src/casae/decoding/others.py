"""PNG, BMP, WebP, PGM and PPM."""

import numpy as np

from casae.decoding.declared import DEFLATED, PNG, RUNS, Declared, check_written, cut_off, decode_by_opencv, several
from casae.image import FULL_SCALE, Image

ANIMATED = 2  # bit of WebP's flags


def png_header(data: bytes) -> Declared:
    """Sides, of the IHDR chunk."""
    if data[12:16] != b"IHDR" or len(data) < 33:
        raise cut_off()
    width, height = int.from_bytes(data[16:20], "big"), int.from_bytes(data[20:24], "big")
    return Declared(width, height, DEFLATED)


def decode_png(data: bytes, declared: Declared) -> Image:
    """Walk the chunks to IEND, so that a file cut off is found, then decode."""
    at = len(PNG)
    while data[at + 4 : at + 8] != b"IEND":
        kind, size = data[at + 4 : at + 8], int.from_bytes(data[at : at + 4], "big")
        if kind == b"acTL" and int.from_bytes(data[at + 8 : at + 12], "big") > 1:
            raise several(int.from_bytes(data[at + 8 : at + 12], "big"), "frames")
        at += 12 + size
        if at + 8 > len(data):
            raise cut_off()
    return decode_by_opencv(data, declared)


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
    return Declared(width, height, DEFLATED)


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
    image = decode_by_opencv(data, declared)
    if image.dtype == np.uint16 and 255 < white < 65535:
        full = FULL_SCALE[image.dtype]
        image = np.minimum(np.rint(image * (full / white)), full).astype(np.uint16)
    if kind in (b"P5", b"P6"):
        check_written(image)
    return image
