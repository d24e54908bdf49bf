"""From the bytes of an image file to its pixels.

What is damaged, incomplete, too large or ambiguous is refused by name. The declared size is compared with the limit,
and with what the bytes can hold, before anything is decoded.
"""

import io
import os
import stat
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

from casae.config import MAX_MEGAPIXELS
from casae.errors import ImageError
from casae.files import printable
from casae.image import FULL_SCALE, LONGEST_SIDE, Image, check_image

if TYPE_CHECKING:
    from tifffile import TiffFile, TiffPage

FORMATS = "PNG, JPEG, BMP, TIFF, WebP, PGM or PPM"
JPEG = b"\xff\xd8"  # begins such files
PNG = b"\x89PNG\r\n\x1a\n"
TIFF_STARTS = (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")
TIFF_SAMPLES = {"MINISBLACK": 1, "MINISWHITE": 1, "PALETTE": 1, "RGB": 3, "YCBCR": 3, "SEPARATED": 4}
ALPHA = (1, 2)  # of TIFF's ExtraSamples; 0 is a band that nobody explained
LARGEST_PIXEL = 8  # bytes: four channels of 16 bits
JPEG_SEGMENTS = 4096  # before the pixels of a photograph there are some ten
REDUCED, MASK = 1, 4  # bits of TIFF's NewSubfileType
ANIMATED = 2  # bit of WebP's flags

# Pixels that a byte of a file can stand for at most, by how it is compressed.
DEFLATED = 8 * 1032  # 1 bit a pixel
JPEG_DENSITY = 512  # a block of 8 x 8 px needs a bit; two channels of four blocks share it in 4:2:0
RUNS = 255
TIFF_DENSITY = {"NONE": 8, "PACKBITS": 8 * 64, "LZW": 8 * 2731, "JPEG": JPEG_DENSITY}


class FileState(NamedTuple):
    """What tells cheaply whether a file is still the same: bytes, time of the last change in ns, inode."""

    size: int
    modified_ns: int
    inode: int

    @classmethod
    def of(cls, known: os.stat_result) -> "FileState":
        """From what the system says of a file."""
        return cls(known.st_size, known.st_mtime_ns, known.st_ino)


@dataclass(frozen=True)
class Declared:
    """What the header of a file says: the picture's sides in px, and how many pixels a byte can stand for at most."""

    width: int
    height: int
    density: float
    orientation: int = 1  # of EXIF, 1 to 8
    white: int = 0  # largest value of a PGM or PPM


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
        _check_size(declared, len(data), max_megapixels)
        image = decode(data, declared)
    except ImageError as error:
        raise ImageError(f"{name}: {error}") from error
    except MemoryError as error:
        raise ImageError(f"{name}: does not fit into this machine's memory; save it smaller") from error
    except Exception as error:  # decoders raise whatever they like, all of which means the same to a user
        raise ImageError(f"{name}: damaged or unusual ({_said(error)}); save it as an ordinary PNG") from error
    return check_image(image, name)


def orientation_of(data: bytes) -> int:
    """The EXIF orientation of a JPEG, 1 to 8; 1 where it stands upright, and for files that are none."""
    if not data.startswith(JPEG):
        return 1
    try:
        return _jpeg_header(data).orientation
    except ImageError:
        return 1


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


def _said(error: Exception) -> str:
    """What a decoder says, on one line and not too long."""
    text = " ".join(str(getattr(error, "err", "") or error).split())
    return text[:120] or type(error).__name__


def _limit(max_megapixels: float) -> str:
    return f"more than {max_megapixels:g} megapixels can have; save it smaller, or say --max-megapixels"


def _check_size(declared: Declared, size: int, max_megapixels: float) -> None:
    width, height = declared.width, declared.height
    if width < 1 or height < 1:
        raise ImageError(f"its header says {width} x {height} px; copy it again from the camera")
    if max(width, height) > LONGEST_SIDE:
        rule = f"a side of {LONGEST_SIDE:,} px is the longest"
        raise ImageError(f"is {width} x {height} px, too large: {rule}; cut it into parts")
    if width * height > max_megapixels * 1e6:
        way = "save it smaller, or say --max-megapixels"
        raise ImageError(f"is {width} x {height} px, too large: {max_megapixels:g} megapixels are the limit; {way}")
    if width * height > declared.density * size:
        raise ImageError(f"is cut off: {size} bytes cannot hold {width} x {height} px; copy it again from the camera")


Reading = tuple[Callable[[bytes], Declared] | None, Callable[[bytes, Declared], Image] | None]


def _format_of(data: bytes) -> Reading:
    """How to read the header and the pixels of a file; None where its first bytes name no format that is read."""
    if data.startswith(JPEG):
        return _jpeg_header, _decode_jpeg
    if data.startswith(PNG):
        return _png_header, _decode_png
    if data[:4] in TIFF_STARTS:
        return _tiff_header, _decode_tiff
    if data.startswith(b"BM"):
        return _bmp_header, _decode_bmp
    if data.startswith(b"RIFF") and data[8:12] == b"WEBP":
        return _webp_header, _decode_by_opencv
    if data[:2] in (b"P1", b"P2", b"P3", b"P4", b"P5", b"P6", b"Pf", b"PF"):
        return _pnm_header, _decode_pnm
    return None, None


def _decode_by_opencv(data: bytes, declared: Declared) -> Image:
    image = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_ANYCOLOR | cv2.IMREAD_ANYDEPTH)
    if image is None:
        raise ImageError(f"is damaged or not a {FORMATS} image; save it as PNG")
    return cv2.cvtColor(image, cv2.COLOR_BGR2RGB) if image.ndim == 3 else image


def _cut_off() -> ImageError:
    return ImageError("the file is cut off before its end; copy it again from the camera")


# JPEG


def _jpeg_header(data: bytes) -> Declared:
    """Sides and orientation, from the segments before the pixels."""
    orientation = 1
    for kind, start, end in _jpeg_segments(data):
        if kind == 0xE1 and data[start : start + 6] == b"Exif\0\0":
            orientation = _exif_orientation(data[start + 6 : end])
        if 0xC0 <= kind <= 0xCF and kind not in (0xC4, 0xC8, 0xCC):  # start of frame
            height, width = (int.from_bytes(data[at : at + 2], "big") for at in (start + 1, start + 3))
            return Declared(width, height, JPEG_DENSITY, orientation)
    raise _cut_off()


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


def _exif_orientation(exif: bytes) -> int:
    """Tag 274 of the first directory; 1 where there is none."""
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


def _decode_jpeg(data: bytes, declared: Declared) -> Image:
    """By libjpeg-turbo, whose warnings are the only sign of damage between the markers."""
    colours = _jpeg_colours(data)
    if colours == "Gray":
        image = _jpeg_pixels(data, "GRAY")[..., 0]
    elif colours in ("YCbCr", "RGB"):
        image = _jpeg_pixels(data, "RGB")
    else:
        _jpeg_pixels(data, "CMYK")
        flags = cv2.IMREAD_COLOR | cv2.IMREAD_IGNORE_ORIENTATION
        image = cv2.cvtColor(cv2.imdecode(np.frombuffer(data, np.uint8), flags), cv2.COLOR_BGR2RGB)
    return _upright(image, declared.orientation)


def _jpeg_colours(data: bytes) -> str:
    """The colours of a JPEG: "Gray", "YCbCr", "RGB", "CMYK" or "YCCK"."""
    import simplejpeg

    try:
        return str(simplejpeg.decode_jpeg_header(data)[2])
    except ValueError as error:
        raise _damaged_jpeg(error, data) from error


def _jpeg_pixels(data: bytes, colours: str) -> NDArray[np.uint8]:
    import simplejpeg

    try:
        pixels: NDArray[np.uint8] = simplejpeg.decode_jpeg(data, colours, strict=True)
    except ValueError as error:
        raise _damaged_jpeg(error, data) from error
    return pixels


def _damaged_jpeg(error: ValueError, data: bytes) -> ImageError:
    ends = data.rstrip(b"\0").endswith(b"\xff\xd9")
    if not ends or "premature end of jpeg file" in str(error).lower():
        return _cut_off()
    return ImageError(f"is damaged ({_said(error)}); copy it again from the camera")


# PNG


def _png_header(data: bytes) -> Declared:
    if data[12:16] != b"IHDR" or len(data) < 33:
        raise _cut_off()
    width, height = int.from_bytes(data[16:20], "big"), int.from_bytes(data[20:24], "big")
    return Declared(width, height, DEFLATED)


def _decode_png(data: bytes, declared: Declared) -> Image:
    at = len(PNG)
    while data[at + 4 : at + 8] != b"IEND":
        kind, size = data[at + 4 : at + 8], int.from_bytes(data[at : at + 4], "big")
        if kind == b"acTL" and int.from_bytes(data[at + 8 : at + 12], "big") > 1:
            raise _several(int.from_bytes(data[at + 8 : at + 12], "big"), "frames")
        at += 12 + size
        if at + 8 > len(data):
            raise _cut_off()
    return _decode_by_opencv(data, declared)


def _several(count: int, what: str) -> ImageError:
    return ImageError(f"holds {count} {what}, and one picture a file is inspected; save each in a file of its own")


# BMP


def _bmp_header(data: bytes) -> Declared:
    if len(data) < 26:
        raise _cut_off()
    size = int.from_bytes(data[14:18], "little")
    if size == 12:  # as of OS/2
        width, height = (int.from_bytes(data[at : at + 2], "little") for at in (18, 20))
        return Declared(width, height, 8)
    width, height = (abs(int.from_bytes(data[at : at + 4], "little", signed=True)) for at in (18, 22))
    compressed = int.from_bytes(data[30:34], "little") in (1, 2)
    return Declared(width, height, RUNS if compressed else 8)


def _decode_bmp(data: bytes, declared: Declared) -> Image:
    offset, compression = int.from_bytes(data[10:14], "little"), int.from_bytes(data[30:34], "little")
    bits = int.from_bytes(data[28:30], "little")
    plain = int.from_bytes(data[14:18], "little") >= 40 and compression in (0, 3)
    if plain and len(data) < offset + (declared.width * bits + 31) // 32 * 4 * declared.height:
        raise _cut_off()
    image = _decode_by_opencv(data, declared)
    if plain:
        downwards = int.from_bytes(data[22:26], "little", signed=True) < 0
        _check_written(image if downwards else image[::-1])
    return image


def _check_written(image: Image) -> None:
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


# WebP


def _webp_header(data: bytes) -> Declared:
    kind = data[12:16]
    if int.from_bytes(data[4:8], "little") + 8 > len(data) or len(data) < 30:
        raise _cut_off()
    if kind == b"VP8X":
        if data[20] & ANIMATED:
            raise _several(max(2, data.count(b"ANMF")), "frames")
        width, height = (1 + int.from_bytes(data[at : at + 3], "little") for at in (24, 27))
    elif kind == b"VP8L":
        bits = int.from_bytes(data[21:25], "little")
        width, height = 1 + (bits & 0x3FFF), 1 + (bits >> 14 & 0x3FFF)
    else:
        width, height = (int.from_bytes(data[at : at + 2], "little") & 0x3FFF for at in (26, 28))
    return Declared(width, height, DEFLATED)


# PGM, PPM and their kind


def _pnm_header(data: bytes) -> Declared:
    """Sides and largest value, between which there may be comments."""
    wanted = {b"P1": 2, b"P4": 2}.get(data[:2], 3)
    lines = data[2:4096].split(b"\n")
    words = b" ".join(line.split(b"#")[0] for line in lines).split()
    try:
        width, height, *rest = (int(float(word)) for word in words[:wanted])
    except ValueError as error:
        raise _cut_off() from error
    floating = data[:2] in (b"Pf", b"PF")
    return Declared(width, height, 8, white=0 if floating or not rest else rest[0])


def _decode_pnm(data: bytes, declared: Declared) -> Image:
    kind, white = data[:2], declared.white
    if kind in (b"P5", b"P6"):
        needed = declared.width * declared.height * (3 if kind == b"P6" else 1) * (2 if white > 255 else 1)
        if len(data) < needed:
            raise _cut_off()
    image = _decode_by_opencv(data, declared)
    if image.dtype == np.uint16 and 255 < white < 65535:
        full = FULL_SCALE[image.dtype]
        image = np.minimum(np.rint(image * (full / white)), full).astype(np.uint16)
    if kind in (b"P5", b"P6"):
        _check_written(image)
    return image


# TIFF


def _tiff_header(data: bytes) -> Declared:
    page = _only_page(data)
    if page.imagedepth > 1:
        raise _several(page.imagedepth, "layers")
    density = TIFF_DENSITY.get(_compression(page), DEFLATED)
    if page.is_tiled:
        _check_size(Declared(page.tilewidth, page.tilelength, float("inf")), len(data), MAX_MEGAPIXELS)
    if page.samplesperpixel * max(1, page.bitspersample // 8) > 2 * LARGEST_PIXEL:
        bands = f"{page.samplesperpixel} bands of {page.bitspersample} bits"
        raise ImageError(f"holds {bands}; save one gray or RGB picture")
    return Declared(page.imagewidth, page.imagelength, density)


def _only_page(data: bytes) -> "TiffPage":
    """The only picture of a TIFF in full resolution; smaller ones of itself and masks are passed over."""
    import tifffile

    with tifffile.TiffFile(io.BytesIO(data)) as file:
        whole = [page for page in _pages(file) if not page.subfiletype & (REDUCED | MASK)]
        if len(whole) > 1:
            raise _several(len(file.pages), "pages")
        images = (file.imagej_metadata or {}).get("images", 1) if file.is_imagej else 1
        if images > 1:
            raise _several(images, "pages")
        if not whole:
            raise ImageError("holds no picture in full resolution; save it as an ordinary PNG")
        return whole[0]


def _pages(file: "TiffFile") -> "Iterable[TiffPage]":
    return (page.aspage() for page in file.pages)


def _compression(page: "TiffPage") -> str:
    return str(getattr(page.compression, "name", page.compression))


def _decode_tiff(data: bytes, declared: Declared) -> Image:
    import tifffile

    page = _only_page(data)
    _check_segments(page, data)
    with tifffile.TiffFile(io.BytesIO(data)) as file:
        page = file.pages[page.index].aspage()
        stored = np.asarray(page.asarray(maxworkers=1))
        image = _colours_of(page, stored)
    if _compression(page) == "NONE" and not page.is_tiled and image.ndim <= 3:
        _check_written(image)
    return _upright(image, int(page.tags.valueof("Orientation", 1)))


def _check_segments(page: "TiffPage", data: bytes) -> None:
    """Whether every strip or tile is there, whole and undamaged; a missing one would be read as black."""
    offsets, counts = page.dataoffsets, page.databytecounts
    expected = int(np.prod(page.chunked))
    missing = expected - min(len(offsets), len(counts))
    if missing > 0:
        raise ImageError(f"{missing} of its {expected} parts are missing; save it again")
    if any(count <= 0 or offset <= 0 for offset, count in zip(offsets, counts, strict=False)):
        raise ImageError("parts of the picture are missing; save it again")
    if any(offset + count > len(data) for offset, count in zip(offsets, counts, strict=False)):
        raise _cut_off()
    if _compression(page) == "JPEG":
        tables = (page.jpegtables or b"")[:-2]
        for offset, count in zip(offsets, counts, strict=False):
            segment = data[offset : offset + count]
            whole = tables + segment[2:] if tables else segment
            if _jpeg_colours(whole) in ("Gray", "YCbCr", "RGB"):
                _jpeg_pixels(whole, "GRAY" if page.samplesperpixel == 1 else "RGB")


def _colours_of(page: "TiffPage", image: Image) -> Image:
    """Samples of a TIFF page -> (H, W) or (H, W, 3) RGB in the dtype's full scale."""
    kind = page.photometric.name if page.photometric is not None else "RGB" if image.ndim == 3 else "MINISBLACK"
    if kind not in TIFF_SAMPLES:
        raise ImageError(f"has its colours as {kind}; save it as an ordinary PNG")
    if image.ndim == 3 and page.axes.startswith("S"):
        image = np.moveaxis(image, 0, -1)
    if image.ndim == 3:
        image = _without_alpha(page, image, TIFF_SAMPLES[kind])
    if kind == "PALETTE":
        return (page.colormap[:, image] >> 8).astype(np.uint8).transpose(1, 2, 0)
    if image.dtype == np.bool_:
        image = image.astype(np.uint8) * 255
    full = FULL_SCALE.get(image.dtype)
    if full is None:
        return image
    white = 2**page.bitspersample - 1
    if 1 < white < full:
        image = np.rint(image * (full / white)).astype(image.dtype)
    if kind == "MINISWHITE":
        return np.iinfo(image.dtype).max - image
    if kind == "SEPARATED":
        ink = image / full
        return np.rint(full * (1 - ink[..., :3]) * (1 - ink[..., 3:])).astype(image.dtype)
    return image


def _without_alpha(page: "TiffPage", image: Image, samples: int) -> Image:
    """The samples of the colours; more of them are transparency, or bands that nobody may leave out unasked."""
    extra = image.shape[2] - samples
    known = tuple(int(each) for each in page.extrasamples)
    if extra > 0 and (len(known) < extra or any(each not in ALPHA for each in known)):
        raise ImageError(f"holds {image.shape[2]} bands, of which {extra} have no stated meaning; save gray or RGB")
    return image[..., 0] if samples == 1 else image[..., :samples]


def _upright(image: Image, orientation: int) -> Image:
    """Apply the orientation of EXIF and TIFF 6.0 (tag 274), 1 to 8."""
    if orientation > 4:
        image = image.swapaxes(0, 1)
    across, down = orientation in (2, 3, 6, 7), orientation in (3, 4, 7, 8)
    return np.ascontiguousarray(image[:: -1 if down else 1, :: -1 if across else 1])
