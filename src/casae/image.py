"""Images as arrays: check, turn gray, fit to a network's input, and bring maps back to the image's size.

Arrays are (row, column) or (row, column, RGB). Scaling follows the dtype, never the values: uint8 is divided by 255,
uint16 by 65535, float is taken as it is and must lie in 0..1.
"""

import math
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from casae.config import Fit
from casae.errors import ImageError

Image = NDArray[Any]

FULL_SCALE = {np.dtype(np.uint8): 255.0, np.dtype(np.uint16): 65535.0}
LONGEST_SIDE = 1_000_000  # px, of what a PNG can hold


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
    if max(shape[:2]) > LONGEST_SIDE:
        rule = f"a side of {LONGEST_SIDE:,} px is the longest"
        raise ImageError(f"{name}: is {shape[1]} x {shape[0]} px, too large: {rule}; cut it into parts")
    if np.issubdtype(image.dtype, np.floating):
        image = image.astype(np.float32, copy=False)
        lowest, highest = float(image.min()), float(image.max())
        if not (np.isfinite(lowest) and np.isfinite(highest)):
            count = int(np.count_nonzero(~np.isfinite(image)))
            raise ImageError(f"{name}: {count} values are NaN or infinite; replace them by what was measured")
        if lowest < 0 or highest > 1:
            rule = "divide by the camera's full scale first"
            raise ImageError(f"{name}: float values from {lowest:.4g} to {highest:.4g} leave 0..1; {rule}")
    else:
        image = image.astype(image.dtype.newbyteorder("="), copy=False)
    if image.dtype not in FULL_SCALE and image.dtype != np.float32:
        raise ImageError(f"{name}: dtype {image.dtype} has no known full scale; convert to uint8 or uint16")
    return image


def to_gray(image: Image) -> Image:
    """(H, W) or (H, W, 3) RGB -> (H, W) of the same dtype."""
    return cv2.cvtColor(image, cv2.COLOR_RGB2GRAY) if image.ndim == 3 else image


def as_seen(image: Image, channels: int) -> Image:
    """What networks of one or three channels see of (H, W) or (H, W, 3) RGB: gray (H, W), or (H, W, 3)."""
    if channels == 1:
        return to_gray(image)
    return cv2.cvtColor(image, cv2.COLOR_GRAY2RGB) if image.ndim == 2 else image


def planes(values: NDArray[np.float32]) -> NDArray[np.float32]:
    """(H, W) or (H, W, 3) -> channels first, (1, H, W) or (3, H, W)."""
    return values[None] if values.ndim == 2 else np.ascontiguousarray(np.moveaxis(values, 2, 0))


def transposed(image: Image) -> Image:
    """(H, W, ...) -> (W, H, ...), in memory of its own."""
    return np.ascontiguousarray(image.swapaxes(0, 1))


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


def gray_levels(image: Image) -> tuple[float, float]:
    """Mean and standard deviation of all values of an image, in units of full scale; the deviation is never 0.

    Of (H, W, 3) all channels are one set of values, so that what is between them stays.
    """
    means, deviations = cv2.meanStdDev(image)
    scale = FULL_SCALE.get(image.dtype, 1.0)
    mean = float(means.mean())
    deviation = float(deviations[0, 0]) if len(means) == 1 else math.sqrt((deviations**2 + means**2).mean() - mean**2)
    return mean / scale, deviation / scale + 1e-4


def sharpness(gray: Image) -> float:
    """How much neighbours in a row differ, in deviations of the picture (H, W): falls where it is out of focus.

    Light and contrast do not change it. Every eighth row is looked at.

    >>> round(sharpness(np.array([[0, 255, 0, 255]], np.uint8)), 1)
    2.0
    """
    rows = np.ascontiguousarray(gray[::8])
    if rows.shape[1] < 2:
        return 0.0
    scale = FULL_SCALE.get(gray.dtype, 1.0)
    steps = cv2.norm(rows[:, 1:], rows[:, :-1], cv2.NORM_L1) / rows[:, 1:].size / scale
    return steps / gray_levels(rows)[1]


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
        """(H, W, ...) -> (height, width, ...), same dtype."""
        return pad_to(resize(image, self.content_height, self.content_width), self.height, self.width)

    def take(self, values: Image, shape: tuple[int, ...]) -> Image:
        """(height, width) map -> (H, W) of an image of `shape`; the inverse of `put`."""
        return resize(values[: self.content_height, : self.content_width], shape[0], shape[1])


def encode(picture: NDArray[np.uint8], suffix: str, *parameters: int) -> bytes:
    """RGB or gray uint8 -> bytes of a .jpg or .png file; `parameters` are those of OpenCV's `imencode`."""
    bgr = cv2.cvtColor(picture, cv2.COLOR_RGB2BGR) if picture.ndim == 3 else picture
    done, data = cv2.imencode(suffix, bgr, parameters)
    if not done:
        raise ValueError(f"{suffix}: OpenCV cannot encode a picture of shape {picture.shape} as this")
    return bytes(data)
