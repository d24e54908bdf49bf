"""Images on their way in: read, turn gray, fit to a network's input, and bring maps back to the image's size.

Arrays are (row, column) or (row, column, RGB). Scaling follows the dtype, never the values: uint8 is divided by 255,
uint16 by 65535, float is taken as it is and must lie in 0..1.
"""

import io
import itertools
import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import cv2
import numpy as np
from numpy.typing import NDArray

from casae.config import Fit
from casae.errors import ImageError

if TYPE_CHECKING:
    from tifffile import TiffPage

Image = NDArray[Any]

SUFFIXES = frozenset({".png", ".jpg", ".jpeg", ".bmp", ".tif", ".tiff", ".webp", ".pgm", ".ppm"})
JPEG = b"\xff\xd8"  # begins such files
FULL_SCALE = {np.dtype(np.uint8): 255.0, np.dtype(np.uint16): 65535.0}
TIFF_STARTS = (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")
TIFF_SAMPLES = {"MINISBLACK": 1, "MINISWHITE": 1, "PALETTE": 1, "RGB": 3, "YCBCR": 3, "SEPARATED": 4}


def read_image(path: str | Path) -> Image:
    """Read a PNG, JPEG, BMP, TIFF, WebP, PGM or PPM file of 8 or 16 bits a channel.

    Transparency is dropped, CMYK becomes RGB, EXIF orientation is applied, and of a TIFF with many pages the first is
    taken.

    Returns:
        (H, W) or (H, W, 3) RGB, uint8 or uint16, or float32 in 0..1 from a floating-point TIFF.

    Raises:
        ImageError: the file is missing, empty, truncated, of another format, or too large to decode.
    """
    return decode_image(read_file(path), str(path))


def read_file(path: str | Path) -> bytes:
    """The bytes of a file.

    Raises:
        ImageError: it cannot be read.
    """
    try:
        return Path(path).read_bytes()
    except OSError as error:
        raise ImageError(f"{path}: cannot be read ({error.strerror}); check the path and its permissions") from error


def decode_image(data: bytes, name: str) -> Image:
    """Decode the bytes of an image file; `name` stands in error messages. See `read_image`."""
    if not data:
        raise ImageError(f"{name}: the file is empty; copy it again from the camera")
    if _is_truncated(data):
        raise ImageError(f"{name}: the file is cut off before its end; copy it again from the camera")
    if data[:4] in TIFF_STARTS:
        return _decode_tiff(data, name)
    try:
        image = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_ANYCOLOR | cv2.IMREAD_ANYDEPTH)
    except cv2.error as error:
        raise ImageError(f"{name}: cannot be decoded ({error.err}); save it as an ordinary PNG") from error
    if image is None:
        raise ImageError(f"{name}: is damaged or not a PNG, JPEG, BMP, TIFF, WebP, PGM or PPM image; save it as PNG")
    return cv2.cvtColor(image, cv2.COLOR_BGR2RGB) if image.ndim == 3 else image


def check_image(image: Image, name: str = "image") -> Image:
    """Return an array that the road can travel with, without transparency or a singleton channel axis.

    Raises:
        ImageError: shape is not (H, W), (H, W, 1), (H, W, 3) or (H, W, 4), a side is 0, or the dtype is not uint8,
            uint16 or float in 0..1.
    """
    shape = image.shape
    if image.ndim == 3 and shape[2] == 1:
        image = image[:, :, 0]
    elif image.ndim == 3 and shape[2] == 4:
        image = image[:, :, :3]
    if image.ndim not in (2, 3) or (image.ndim == 3 and image.shape[2] != 3) or 0 in shape:
        raise ImageError(f"{name}: shape {shape} is no image; pass (H, W) gray or (H, W, 3) RGB")
    if np.issubdtype(image.dtype, np.floating):
        image = image.astype(np.float32, copy=False)
        if not (np.isfinite(image).all() and image.min() >= 0 and image.max() <= 1):
            raise ImageError(f"{name}: float values leave 0..1; divide by the camera's full scale first")
    else:
        image = image.astype(image.dtype.newbyteorder("="), copy=False)
    if image.dtype not in FULL_SCALE and image.dtype != np.float32:
        raise ImageError(f"{name}: dtype {image.dtype} has no known full scale; convert to uint8 or uint16")
    return image


def to_gray(image: Image) -> Image:
    """(H, W) or (H, W, 3) RGB -> (H, W) of the same dtype."""
    return cv2.cvtColor(image, cv2.COLOR_RGB2GRAY) if image.ndim == 3 else image


def to_unit(image: Image) -> NDArray[np.float32]:
    """Values in units of full scale: float32 in 0..1, by dtype."""
    scale = FULL_SCALE.get(image.dtype, 1.0)
    return np.multiply(image, np.float32(1 / scale), dtype=np.float32)


def brightened(image: Image, white: float) -> Image:
    """A 16-bit image whose largest value is `white` in units of full scale, brought to full scale; others as they are.

    Cameras of 10 or 12 bits fill the lower part of 16 bits.
    """
    if white == 1 or image.dtype != np.uint16:
        return image
    return np.minimum(image * (1 / white), FULL_SCALE[image.dtype]).astype(np.uint16)


def to_8bit(image: Image) -> NDArray[np.uint8]:
    """The same picture in uint8, by dtype; for showing and saving."""
    if image.dtype == np.uint8:
        return image
    return np.rint(to_unit(image).clip(0, 1) * 255).astype(np.uint8)


def gray_levels(gray: Image) -> tuple[float, float]:
    """Mean and standard deviation of a gray image (H, W) in units of full scale; the deviation is never 0."""
    mean, deviation = cv2.meanStdDev(gray)
    scale = FULL_SCALE.get(gray.dtype, 1.0)
    return float(mean[0, 0]) / scale, float(deviation[0, 0]) / scale + 1e-4


def standardise(values: NDArray[np.float32], levels: tuple[float, float]) -> NDArray[np.float32]:
    """(values - mean) / deviation, with the `gray_levels` of the image they are a part of."""
    mean, deviation = levels
    return (values - np.float32(mean)) / np.float32(deviation)


def resize(image: Image, height: int, width: int) -> Image:
    """Resize to (height, width): each side by area average when shrinking, bilinear when growing; dtype kept.

    OpenCV averages only where neither side grows, so a side that shrinks goes first, or lines across it would vanish.
    Far smaller ones in two steps, first by a whole factor, which OpenCV averages ten times as fast, to no less than
    twice the size.
    """
    factor = min(image.shape[0] // height, image.shape[1] // width) // 2
    whole = next((f for f in range(factor, 1, -1) if image.shape[0] % f == 0 and image.shape[1] % f == 0), 1)
    if whole > 1:
        smaller = image.shape[1] // whole, image.shape[0] // whole
        image = cv2.resize(image, smaller, interpolation=cv2.INTER_AREA)
    least = min(height, image.shape[0]), min(width, image.shape[1])
    if image.shape[:2] != least:
        image = cv2.resize(image, least[::-1], interpolation=cv2.INTER_AREA)
    if image.shape[:2] == (height, width):
        return image
    return cv2.resize(image, (width, height), interpolation=cv2.INTER_LINEAR)


def scaled_shape(shape: tuple[int, ...], scale: float) -> tuple[int, int]:
    """(H, W, ...) times `scale`, at least one pixel a side."""
    return max(1, round(shape[0] * scale)), max(1, round(shape[1] * scale))


def lies_across(shape: tuple[int, ...], height: int, width: int) -> bool:
    """Whether an image of `shape` stands where an input lies, or the other way round. Networks see it transposed."""
    return (shape[0] - shape[1]) * (height - width) < 0


def pad_to(image: Image, height: int, width: int) -> Image:
    """Fill up to at least (height, width) below and to the right with the image's mirror image."""
    below, right = max(0, height - image.shape[0]), max(0, width - image.shape[1])
    return cv2.copyMakeBorder(image, 0, below, 0, right, cv2.BORDER_REFLECT) if below or right else image


@dataclass(frozen=True)
class Frame:
    """How an image lies in a network's input: `height` x `width` px, the content at the top left.

    Content fills the frame when squeezed; when letterboxed it keeps its aspect ratio and the rest mirrors it, so that
    no artificial edge arises.
    """

    height: int
    width: int
    content_height: int
    content_width: int

    @classmethod
    def of(cls, shape: tuple[int, ...], height: int, width: int, fit: Fit) -> "Frame":
        """The frame for an image of `shape` (H, W, ...) in an input of height x width px."""
        if fit == "squeeze":
            return cls(height, width, height, width)
        return cls(height, width, *scaled_shape(shape, min(height / shape[0], width / shape[1])))

    def put(self, image: Image) -> Image:
        """(H, W) -> (height, width), same dtype."""
        return pad_to(resize(image, self.content_height, self.content_width), self.height, self.width)

    def take(self, values: Image, shape: tuple[int, ...]) -> Image:
        """(height, width) map -> (H, W) of an image of `shape`; the inverse of `put`."""
        return resize(values[: self.content_height, : self.content_width], shape[0], shape[1])


def find_images(path: Path) -> Iterable[Path]:
    """Image files under a folder, recursive, sorted; hidden ones left out."""
    return sorted(file for file in _images_under(path) if os.path.isfile(file))  # noqa: PTH113  # False where it may not look


def _images_under(path: Path) -> Iterator[Path]:
    """Also where links lead, each folder once, real ones before links; what may not be read is passed over."""
    seen: set[str] = set()
    waiting = [str(path)]
    while waiting:
        linked: list[str] = []
        for folder, folders, names in itertools.chain(*map(os.walk, waiting)):
            here = os.path.realpath(folder)
            folders[:] = [] if here in seen else [name for name in folders if not name.startswith(".")]
            if here in seen:
                continue
            seen.add(here)
            linked += [str(Path(folder, name)) for name in folders if os.path.islink(Path(folder, name))]  # noqa: PTH114
            images = (name for name in names if Path(name).suffix.lower() in SUFFIXES and not name.startswith("."))
            yield from (Path(folder, name) for name in images)
        waiting = linked


def _decode_tiff(data: bytes, name: str) -> Image:
    import tifffile

    try:
        with tifffile.TiffFile(io.BytesIO(data)) as file:
            page = file.pages[0].aspage()
            image = _colours_of(page, np.asarray(page.asarray()))
            turn = page.tags.valueof("Orientation", 1)
    except Exception as error:  # tifffile and imagecodecs raise many kinds, all of which mean the same to a user
        raise ImageError(f"{name}: damaged or unusual TIFF ({error}); save it as an ordinary PNG") from error
    return check_image(_upright(image, int(turn)), name)


def _colours_of(page: "TiffPage", image: Image) -> Image:
    """Samples of a TIFF page -> (H, W) or (H, W, 3) RGB in the dtype's full scale."""
    kind = page.photometric.name if page.photometric is not None else "RGB" if image.ndim == 3 else "MINISBLACK"
    if kind not in TIFF_SAMPLES:
        raise ValueError(f"colours as {kind}")
    if image.ndim == 3 and page.axes.startswith("S"):
        image = np.moveaxis(image, 0, -1)
    if image.ndim == 3:  # what follows is transparency
        image = image[..., 0] if TIFF_SAMPLES[kind] == 1 else image[..., : TIFF_SAMPLES[kind]]
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


def _upright(image: Image, orientation: int) -> Image:
    """Apply the orientation of TIFF 6.0 (tag 274), 1 to 8."""
    if orientation > 4:
        image = image.swapaxes(0, 1)
    across, down = orientation in (2, 3, 6, 7), orientation in (3, 4, 7, 8)
    return np.ascontiguousarray(image[:: -1 if down else 1, :: -1 if across else 1])


def _is_truncated(data: bytes) -> bool:
    """Whether the end marker of the format is missing; decoders would quietly fill the rest with gray."""
    if data.startswith(JPEG):
        return data.find(b"\xff\xd9", _jpeg_scan(data)) < 0
    if data.startswith(b"\x89PNG\r\n\x1a\n"):
        return b"IEND" not in data[-64:] and b"IEND" not in data
    if data.startswith(b"BM") and len(data) >= 26:
        return _bmp_is_truncated(data)
    return False


def _jpeg_scan(data: bytes) -> int:
    """Where a JPEG's own pixels begin, behind the thumbnails that its headers may hold; cameras append films, too."""
    at = 2
    while data[at : at + 1] == b"\xff" and data[at + 1 : at + 2] not in (b"", b"\xda"):
        padding = data[at + 1] == 0xFF
        at += 1 if padding else 2 + int.from_bytes(data[at + 2 : at + 4], "big")
    return at


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


def _bmp_is_truncated(data: bytes) -> bool:
    offset, compression = int.from_bytes(data[10:14], "little"), int.from_bytes(data[30:34], "little")
    if compression not in (0, 3):
        return False
    width, height = (abs(int.from_bytes(data[at : at + 4], "little", signed=True)) for at in (18, 22))
    bits = int.from_bytes(data[28:30], "little")
    return len(data) < offset + (width * bits + 31) // 32 * 4 * height
