"""Random views of one labelled image: the geometry and the light that a camera at a line varies.

The paper turns 30 images into 3000 with rotation, translation, zoom, shear and elastic deformation (section 5.1);
image and mask move together. Flips and everything about light are ours. One `cv2.remap` applies all of the geometry at
once; `benchmarks/augmentation.py` times it beside kornia.
"""

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from casae.image import Image, gray_levels, to_8bit, to_unit

LARGEST_REMAPPED = 2**15 - 1  # px; OpenCV does not remap images of this side or more
ELASTIC_GRID = 5  # control points a side of the elastic displacement field
LONG = 2.0  # times as long as wide
SHADING_GRID = 4  # control points a side of uneven light
CONTRAST, SHADED = 0.1, 0.03  # deviation of an image's gray values from which on light and unevenness vary fully
TWO_TONES = 0.9  # of the variance of an image lies between two tones, as of a part and what is around it
AREA, LEFT = 16, 0.6  # a blur by this part of the longer side leaves as much of the variance of such areas
EDGE = 7  # px between them that are neither
SHADING = 0.2  # see docs/results/log.md

Levels = tuple[float, float]


@dataclass(frozen=True)
class Window:
    """A part of an image, height x width px around `centre` (x, y); it may reach over the image's edge."""

    height: int
    width: int
    centre: tuple[float, float]

    @classmethod
    def whole(cls, shape: tuple[int, ...]) -> "Window":
        """All of an image of `shape` (H, W)."""
        return cls(shape[0], shape[1], ((shape[1] - 1) / 2, (shape[0] - 1) / 2))


@dataclass(frozen=True)
class Augmentation:
    """How far a random view may leave the original; lengths are fractions of the image's longer side.

    Windows `LONG` times as long as wide vary across as much less as they are narrower.
    """

    quarter_turns: bool = True  # 0, 90, 180 or 270 degrees before the rotation; long windows: 0 or 180
    rotation: float = 15.0  # degrees, either way
    translation: float = 0.08
    zoom: float = 1.2  # factor, up or down
    shear: float = 0.06
    elastic: float = 0.012
    still: float = 0.0  # share of views that are only turned by quarters, flipped and moved by whole pixels
    gain: float = 0.15
    bias: float = 0.06
    gamma: float = 0.15
    drift: float = 1.0  # share of the change in brightness that stays; a tile is standardised by the unlit image
    shading: float = 0.0  # largest standard deviation of a smoothly uneven gain
    blur: float = 0.05  # probability of a slight Gaussian blur
    noise: float = 0.01  # largest standard deviation, in units of full scale

    def geometry(
        self, image: Image, label: NDArray[np.uint8], rng: np.random.Generator, window: Window | None = None
    ) -> tuple[Image, NDArray[np.uint8]]:
        """Move image and label together; what enters from outside mirrors the inside.

        Args:
            image: (H, W) or (H, W, 3).
            label: (H, W) uint8 of label values; moved without interpolation.
            window: what to look at; by default all of the image.

        Returns:
            The moved pair, of the window's shape and the same dtypes.
        """
        window = window or Window.whole(label.shape)
        height, width = window.height, window.width
        side = max(height, width)
        turn, narrow, reach = 90, 1.0, np.array([side, side])
        if side >= LONG * min(height, width):  # turned across, it would show its middle and mirror images of that
            turn, narrow, reach = 180, min(height, width) / side, np.array([width, height])
        still = rng.random() < self.still
        free = 0.0 if still else 1.0
        rotation = free * narrow * self.rotation
        angle = np.deg2rad(rng.uniform(-rotation, rotation) + turn * self.quarter_turns * rng.integers(4))
        scale = self.zoom ** (free * rng.uniform(-1, 1))
        flip = rng.choice([-1.0, 1.0])
        rotate = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
        shear = np.array([[flip, free * rng.uniform(-self.shear, self.shear)], [0, 1]])
        matrix = rotate @ shear / scale
        middle = np.array([(width - 1) / 2, (height - 1) / 2])
        shift = np.array(window.centre) + rng.uniform(-self.translation, self.translation, 2) * reach - matrix @ middle
        if still:
            matrix, shift = np.rint(matrix), np.rint(shift)
        field = rng.normal(0, free * narrow * self.elastic * side / 2, (ELASTIC_GRID, ELASTIC_GRID, 2)).astype(
            np.float32
        )
        bend = cv2.resize(field, (width, height), interpolation=cv2.INTER_CUBIC)
        x, y = np.meshgrid(np.arange(width, dtype=np.float32), np.arange(height, dtype=np.float32))
        map_x = (matrix[0, 0] * x + matrix[0, 1] * y + shift[0]).astype(np.float32) + bend[..., 0]
        map_y = (matrix[1, 0] * x + matrix[1, 1] * y + shift[1]).astype(np.float32) + bend[..., 1]
        border = cv2.BORDER_REFLECT_101
        if max(label.shape) >= LARGEST_REMAPPED:
            image, label, map_x, map_y = _around(image, label, map_x, map_y)
        moved = cv2.remap(image, map_x, map_y, cv2.INTER_LINEAR, borderMode=border)
        return moved, cv2.remap(label, map_x, map_y, cv2.INTER_NEAREST, borderMode=border)

    def light(
        self, image: NDArray[np.float32], rng: np.random.Generator, levels: Levels | None = None
    ) -> NDArray[np.float32]:
        """Vary gain, gamma, bias, evenness, focus and noise of an image float32; clipped to 0..1.

        Args:
            image: (H, W) or (H, W, 3) in units of full scale; colours stay what they are.
            rng: randomness of this view.
            levels: `visible_levels` of the whole image. Where it has little contrast, brightness and noise vary as
                much less, or they would drown what there is to see.
        """
        gain = 1 + rng.uniform(-self.gain, self.gain)
        bias = rng.uniform(-self.bias, self.bias)
        power = np.exp(rng.uniform(-self.gamma, self.gamma))
        lit = gain * np.power(image, power, dtype=np.float32) + bias
        calm, even = 1.0, 1.0
        if levels:
            mean, deviation = levels
            calm, even = min(1.0, deviation / CONTRAST), min(1.0, deviation / SHADED)
            lit -= np.float32((1 - calm * self.drift) * (gain * mean**power + bias - mean))
        if self.shading:
            grid = rng.normal(0, rng.uniform(0, even * self.shading), (SHADING_GRID, SHADING_GRID)).astype(np.float32)
            uneven = 1 + cv2.resize(grid, lit.shape[1::-1], interpolation=cv2.INTER_CUBIC)
            lit *= uneven if lit.ndim == 2 else uneven[..., None]
        if rng.random() < self.blur:
            lit = cv2.GaussianBlur(lit, (0, 0), rng.uniform(0.3, 1.2))
        lit = lit + rng.standard_normal(lit.shape, dtype=np.float32) * rng.uniform(0, calm * self.noise)
        return np.clip(lit, 0, 1).astype(np.float32, copy=False)

    def __call__(
        self,
        image: Image,
        label: NDArray[np.uint8],
        rng: np.random.Generator,
        window: Window | None = None,
        levels: Levels | None = None,
    ) -> tuple[NDArray[np.float32], NDArray[np.uint8]]:
        """Geometry, then light: the image comes back as float32 in 0..1; see the two methods."""
        moved, moved_label = self.geometry(image, label, rng, window)
        return self.light(to_unit(moved), rng, levels), moved_label


def visible_levels(image: Image, defect: NDArray[np.uint8]) -> Levels:
    """Mean and deviation of a gray image (H, W) for `Augmentation.light`, in units of full scale.

    Where a part lies on black, the deviation says how far one is from the other and not how much there is to see on
    it: then it is that of the more varied of both tones (Otsu 1979), without the labelled defects (H, W). Stripes and
    meshes of two tones are no such areas: what is left of them after a blur tells.
    """
    levels, gray, good = gray_levels(image), to_8bit(image), defect == 0
    if not good.any():
        return levels
    cut, _ = cv2.threshold(gray[good], 0, 255, cv2.THRESH_BINARY + cv2.THRESH_OTSU)
    tones, unit = (gray <= cut, gray > cut), to_unit(image)
    dark, bright = (unit[tone & good] for tone in tones)
    if not dark.size or not bright.size:
        return levels
    between = (
        dark.size * bright.size * (float(bright.mean()) - float(dark.mean())) ** 2 / (dark.size + bright.size) ** 2
    )
    whole = tones[1].astype(np.float32)
    blurred = cv2.blur(whole, (max(image.shape) // AREA + 1,) * 2)
    if between < TWO_TONES * float(unit[good].var()) or blurred.var() < LEFT * whole.var():
        return levels
    inner = [cv2.erode(tone.view(np.uint8), np.ones((EDGE, EDGE))).astype(bool) & good for tone in tones]
    return levels[0], min(levels[1], max(float(unit[area].std()) if area.any() else 0.0 for area in inner) + 1e-4)


AUGMENTATIONS = {
    "strong": Augmentation(
        quarter_turns=False,
        rotation=180,
        translation=0.10,
        zoom=1.3,
        shear=0.10,
        elastic=0.02,
        gain=0.25,
        bias=0.10,
        gamma=0.25,
        blur=0.15,
        noise=0.02,
        shading=SHADING,
    ),
    "medium": Augmentation(shading=SHADING),
}


def _around(
    image: Image, label: NDArray[np.uint8], map_x: NDArray[np.float32], map_y: NDArray[np.float32]
) -> tuple[Image, NDArray[np.uint8], NDArray[np.float32], NDArray[np.float32]]:
    """Of a very large pair, the part that the maps lead into, or that is mirrored where they lead; with its maps."""
    rows, columns = (_reached(a, n) for a, n in zip((map_y, map_x), label.shape, strict=True))
    return image[rows, columns], label[rows, columns], map_x - columns.start, map_y - rows.start


def _reached(places: NDArray[np.float32], length: int) -> slice:
    low, high = int(places.min()) - 1, int(places.max()) + 2
    beyond, before = max(0, high - length), max(0, -low)
    return slice(max(0, min(low, length - 1 - beyond)), min(length, max(high, before + 1) + 1))
