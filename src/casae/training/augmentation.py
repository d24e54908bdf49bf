"""Random views of one labelled image: the geometry and the light that a camera at a line varies.

The paper turns 30 images into 3000 with rotation, translation, zoom, shear and elastic deformation (section 5.1);
image and mask move together. Flips, gain, gamma, blur and noise are ours. One `cv2.remap` applies all of the geometry
at once; `benchmarks/augmentation.py` times it beside kornia.
"""

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

ELASTIC_GRID = 5  # control points a side of the elastic displacement field


@dataclass(frozen=True)
class Augmentation:
    """How far a random view may leave the original; lengths are fractions of the image's longer side."""

    rotation: float = 180.0  # degrees, either way
    translation: float = 0.10
    zoom: float = 1.3  # factor, up or down
    shear: float = 0.10
    elastic: float = 0.02
    gain: float = 0.25
    bias: float = 0.10
    gamma: float = 0.25
    blur: float = 0.15  # probability of a slight Gaussian blur
    noise: float = 0.02  # largest standard deviation, in units of full scale

    def geometry(
        self, image: NDArray[np.float32], label: NDArray[np.uint8], rng: np.random.Generator
    ) -> tuple[NDArray[np.float32], NDArray[np.uint8]]:
        """Move image and label together; what enters from outside mirrors the inside.

        Args:
            image: gray (H, W) float32 in 0..1.
            label: (H, W) uint8 of label values; moved without interpolation.

        Returns:
            The moved pair, same shapes and dtypes.
        """
        height, width = label.shape
        side = max(height, width)
        angle = np.deg2rad(rng.uniform(-self.rotation, self.rotation))
        scale = self.zoom ** rng.uniform(-1, 1)
        flip = rng.choice([-1.0, 1.0])
        rotate = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
        shear = np.array([[flip, rng.uniform(-self.shear, self.shear)], [0, 1]])
        matrix = rotate @ shear / scale
        centre = np.array([(width - 1) / 2, (height - 1) / 2])
        shift = centre + rng.uniform(-self.translation, self.translation, 2) * side - matrix @ centre
        field = rng.normal(0, self.elastic * side / 2, (ELASTIC_GRID, ELASTIC_GRID, 2)).astype(np.float32)
        bend = cv2.resize(field, (width, height), interpolation=cv2.INTER_CUBIC)
        x, y = np.meshgrid(np.arange(width, dtype=np.float32), np.arange(height, dtype=np.float32))
        map_x = (matrix[0, 0] * x + matrix[0, 1] * y + shift[0]).astype(np.float32) + bend[..., 0]
        map_y = (matrix[1, 0] * x + matrix[1, 1] * y + shift[1]).astype(np.float32) + bend[..., 1]
        border = cv2.BORDER_REFLECT_101
        moved = cv2.remap(image, map_x, map_y, cv2.INTER_LINEAR, borderMode=border)
        moved_label = cv2.remap(label, map_x, map_y, cv2.INTER_NEAREST, borderMode=border)
        return moved.astype(np.float32, copy=False), moved_label.astype(np.uint8, copy=False)

    def light(self, image: NDArray[np.float32], rng: np.random.Generator) -> NDArray[np.float32]:
        """Vary gamma, gain, bias, focus and noise of a gray image (H, W) float32 in 0..1; clipped to 0..1."""
        gain = 1 + rng.uniform(-self.gain, self.gain)
        bias = rng.uniform(-self.bias, self.bias)
        lit = gain * np.power(image, np.exp(rng.uniform(-self.gamma, self.gamma)), dtype=np.float32) + bias
        if rng.random() < self.blur:
            lit = cv2.GaussianBlur(lit, (0, 0), rng.uniform(0.3, 1.2))
        lit = lit + rng.standard_normal(lit.shape, dtype=np.float32) * rng.uniform(0, self.noise)
        return np.clip(lit, 0, 1).astype(np.float32, copy=False)

    def __call__(
        self, image: NDArray[np.float32], label: NDArray[np.uint8], rng: np.random.Generator
    ) -> tuple[NDArray[np.float32], NDArray[np.uint8]]:
        """Geometry, then light; see the two methods for shapes."""
        moved, moved_label = self.geometry(image, label, rng)
        return self.light(moved, rng), moved_label


MILD = Augmentation(
    rotation=8,
    translation=0.05,
    zoom=1.1,
    shear=0.03,
    elastic=0.008,
    gain=0.1,
    bias=0.04,
    gamma=0.1,
    blur=0.05,
    noise=0.008,
)
