"""TIFF: one picture a file, every part of it there, no band left out."""

import io
import math
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

import numpy as np

from casae.config import MAX_MEGAPIXELS
from casae.decoding.declared import (
    DEFLATED,
    LARGEST_PIXEL,
    Declared,
    check_size,
    check_written,
    cut_off,
    several,
    upright,
)
from casae.decoding.jpeg import JPEG_DENSITY, jpeg_colours, jpeg_pixels
from casae.errors import ImageError
from casae.image import FULL_SCALE, Image

if TYPE_CHECKING:
    from tifffile import TiffFile, TiffPage

TIFF_STARTS = (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")
TIFF_SAMPLES = {"MINISBLACK": 1, "MINISWHITE": 1, "PALETTE": 1, "RGB": 3, "YCBCR": 3, "SEPARATED": 4}
ALPHA = (1, 2)  # of TIFF's ExtraSamples; 0 is a band that nobody explained
REDUCED, MASK = 1, 4  # bits of TIFF's NewSubfileType
UNBOUNDED = ("ZSTD", "LZMA", "LERC", "WEBP")  # some bytes hold a picture of one value; segments tell what is missing
TIFF_DENSITY = {"NONE": 8, "PACKBITS": 8 * 64, "LZW": 8 * 2731, "JPEG": JPEG_DENSITY}


def tiff_header(data: bytes) -> Declared:
    """Sides and compression of the only page."""
    page = _only_page(data)
    if page.imagedepth > 1:
        raise several(page.imagedepth, "layers")
    kind = _compression(page)
    is_bounded = not kind.startswith(("CCITT", *UNBOUNDED))
    density = TIFF_DENSITY.get(kind, DEFLATED) if is_bounded else float("inf")
    if page.is_tiled:
        check_size(Declared(page.tilewidth, page.tilelength, float("inf")), len(data), MAX_MEGAPIXELS)
    if page.samplesperpixel * max(1, page.bitspersample // 8) > 2 * LARGEST_PIXEL:
        bands = f"{page.samplesperpixel} bands of {page.bitspersample} bits"
        raise ImageError(f"holds {bands}; save one gray or RGB picture")
    return Declared(page.imagewidth, page.imagelength, density, _orientation(page))


def _only_page(data: bytes) -> "TiffPage":
    """The only picture of a TIFF in full resolution; smaller ones of itself and masks are passed over."""
    import tifffile

    with tifffile.TiffFile(io.BytesIO(data)) as file:
        whole = [page for page in _pages(file) if not page.subfiletype & (REDUCED | MASK)]
        if len(whole) > 1:
            raise several(len(file.pages), "pages")
        images = (file.imagej_metadata or {}).get("images", 1) if file.is_imagej else 1
        if images > 1:
            raise several(images, "pages")
        told: dict[str, Any] = (file.shaped_metadata or ({},))[0]
        stacked = told.get("shape", ())
        if len(whole) == 1 and math.prod(stacked) > math.prod(whole[0].shape):  # one page told for all of them
            raise several(math.prod(stacked) // math.prod(whole[0].shape), "planes")
        if not whole:
            raise ImageError("holds no picture in full resolution; save it as an ordinary PNG")
        return whole[0]


def _pages(file: "TiffFile") -> "Iterable[TiffPage]":
    return (page.aspage() for page in file.pages)


def _compression(page: "TiffPage") -> str:
    return str(getattr(page.compression, "name", page.compression))


def decode_tiff(data: bytes, declared: Declared) -> Image:
    """Decode the only page; raises ImageError where strips or tiles are missing."""
    import tifffile

    page = _only_page(data)
    _check_segments(page, data)
    with tifffile.TiffFile(io.BytesIO(data)) as file:
        page = file.pages[page.index].aspage()
        stored = np.asarray(page.asarray(maxworkers=1))
        image = _colours_of(page, stored)
    if _compression(page) == "NONE":
        _check_written(page, data, stored)
    return upright(image, _orientation(page))


def _check_written(page: "TiffPage", data: bytes, stored: Image) -> None:
    """As `check_written`, in the order in which the file has rows, planes or tiles."""
    if page.is_tiled:
        last = _last_drawn(page, data)
        if last is not None:
            check_written(np.concatenate([last, np.zeros_like(last[:1])]))
    elif stored.ndim == 3 and page.axes.startswith("S"):
        for plane in stored:
            check_written(plane)
    else:
        check_written(stored)


def _last_drawn(page: "TiffPage", data: bytes) -> Image | None:
    """The last tile that is not all zeros, in the order of the file; None where none follow it."""
    wide = page.bitspersample // 8
    for number, (offset, count) in enumerate(sorted(zip(page.dataoffsets, page.databytecounts, strict=True))[::-1]):
        tile = np.frombuffer(data, np.uint8, count, offset)
        if tile.any():
            is_last = number == 0 or not wide or count % (wide * page.tilelength)
            return None if is_last else np.asarray(tile.reshape(page.tilelength, -1, wide).any(axis=2))
    return None


def _orientation(page: "TiffPage") -> int:
    return int(page.tags.valueof("Orientation", 1))


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
        raise cut_off()
    if _compression(page) == "JPEG":
        tables = (page.jpegtables or b"")[:-2]
        for offset, count in zip(offsets, counts, strict=False):
            segment = data[offset : offset + count]
            whole = tables + segment[2:] if tables else segment
            if jpeg_colours(whole) in ("Gray", "YCbCr", "RGB"):
                jpeg_pixels(whole, "GRAY" if page.samplesperpixel == 1 else "RGB")


def _colours_of(page: "TiffPage", image: Image) -> Image:
    """Samples of a TIFF page -> (H, W) or (H, W, 3) RGB in the dtype's full scale."""
    kind = page.photometric.name if page.photometric is not None else "RGB" if image.ndim == 3 else "MINISBLACK"
    if kind not in TIFF_SAMPLES or (kind == "YCBCR" and _compression(page) != "JPEG"):
        raise ImageError(f"has its colours as {kind}; save it as an ordinary PNG")
    if image.ndim == 3 and page.axes.startswith("S"):
        image = np.moveaxis(image, 0, -1)
    if image.ndim == 3:
        image = _without_alpha(page, image, TIFF_SAMPLES[kind])
    if kind == "PALETTE":
        shift = 8 if page.colormap.max() > 255 else 0  # some write eight bits where there are sixteen
        return (page.colormap[:, image] >> shift).astype(np.uint8).transpose(1, 2, 0)
    if image.dtype == np.bool_:
        image = image.astype(np.uint8) * 255
    full = FULL_SCALE.get(image.dtype)
    if full is None:
        return 1 - image if kind == "MINISWHITE" else image
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
