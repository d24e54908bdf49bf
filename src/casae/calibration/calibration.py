"""A calibration: millimetres a pixel, how far that may be wrong, and what the lens bends."""

import hashlib
import json
from functools import cached_property
from pathlib import Path
from typing import Annotated, Literal, Self

import cv2
import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from casae.config import LARGEST_SCALE, SMALLEST_SCALE, Frozen
from casae.errors import ImageError, UsageError
from casae.files import settings_of, write_whole
from casae.image import Image

Pixels = Annotated[int, Field(ge=1, le=10**6)]
LONGEST = 32766  # px of a side that OpenCV's remap takes
Method = Literal["chessboard", "circles", "asymmetric circles", "ruler", "coin"]


class Lens(Frozen):
    """Camera matrix and distortion of OpenCV's pinhole model (Zhang 2000, IEEE TPAMI 22(11), 1330).

    Attributes:
        focal_px: of both axes.
        centre_x_px, centre_y_px: of the lens in the picture.
        radial: k1, k2; `tangential` p1, p2.
        residual_px: root mean square of what the model leaves of the marks' places.
    """

    focal_px: float = Field(gt=0)
    centre_x_px: float
    centre_y_px: float
    radial: tuple[float, float]
    tangential: tuple[float, float]
    residual_px: float = Field(ge=0)

    @property
    def matrix(self) -> NDArray[np.float64]:
        """Camera matrix (3, 3)."""
        focal, x, y = self.focal_px, self.centre_x_px, self.centre_y_px
        return np.array([[focal, 0, x], [0, focal, y], [0, 0, 1.0]])

    @property
    def distortion(self) -> NDArray[np.float64]:
        """k1, k2, p1, p2."""
        return np.array([*self.radial, *self.tangential])


class Calibration(Frozen):
    """A calibration file (TOML).

    Attributes:
        name: by which records call it.
        method: how it was found.
        mm_per_pixel: side of a pixel in the plane of the parts, in the middle of the picture.
        error_percent: that sizes in it may be wrong by: of 95 % of the lengths on the grid; of a ruler, half a pixel at
            either end; of a coin, how far it is from round.
        straight_error_percent: the same after the lens was straightened; None without a lens.
        width_px, height_px: of the pictures that it holds for; None where nobody said.
        tilt_degrees: between the grid and the plane straight before the camera; sizes differ with their direction by as
            much as its cosine is below 1.
        made: date.
        pictures_sha256: of the files that it was found from.
        lens: None where nothing tells what it bends.
    """

    name: str = Field(min_length=1, max_length=200)
    method: Method
    mm_per_pixel: float = Field(ge=SMALLEST_SCALE, le=LARGEST_SCALE)
    error_percent: float = Field(ge=0)
    straight_error_percent: float | None = Field(default=None, ge=0)
    width_px: Pixels | None = None
    height_px: Pixels | None = None
    tilt_degrees: float | None = None
    made: str = ""
    pictures_sha256: tuple[str, ...] = ()
    lens: Lens | None = None

    @property
    def sha256(self) -> str:
        """Of all that it says."""
        return hashlib.sha256(self.model_dump_json().encode()).hexdigest()

    def error(self, straightened: bool) -> float:
        """Per cent that sizes may be wrong by, with or without the lens straightened."""
        straight = self.straight_error_percent
        return self.error_percent if straight is None or not straightened else straight

    def check(self, shape: tuple[int, ...], source: str) -> None:
        """Whether it holds for a picture (H, W) or (H, W, 3).

        Raises:
            ImageError: the picture has another size.
        """
        if self.width_px is not None and (self.height_px, self.width_px) != shape[:2]:
            its = f"{shape[1]} x {shape[0]} px, calibration '{self.name}' is of {self.width_px} x {self.height_px}"
            raise ImageError(f"{source}: has {its}; calibrate at that size, or give --mm-per-pixel")

    def straightened(self, image: Image, source: str = "image") -> Image:
        """The image without what the lens bends, of the same size; its border repeats outwards.

        Raises:
            UsageError: nothing is known of the lens.
            ImageError: a side is longer than OpenCV can straighten.
        """
        if max(image.shape[:2]) > LONGEST:
            rule = f"has a side of {max(image.shape[:2])} px, and {LONGEST} is the longest that can be straightened"
            raise ImageError(f"{source}: {rule}; leave out --straighten")
        across, down = self._maps
        return cv2.remap(image, across, down, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)

    @cached_property
    def _maps(self) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        lens = self.lens
        if lens is None or self.width_px is None or self.height_px is None:
            raise UsageError(f"calibration '{self.name}': knows nothing of the lens; calibrate with a chessboard")
        size = self.width_px, self.height_px
        maps = cv2.initUndistortRectifyMap(lens.matrix, lens.distortion, np.eye(3), lens.matrix, size, cv2.CV_32FC1)
        return maps[0], maps[1]

    def write(self, file: Path) -> None:
        """Write the file.

        Raises:
            OutputError: the place cannot be written.
        """
        values = self.model_dump(mode="json", exclude_none=True)
        lens = values.pop("lens", None)
        lines = [f"{name} = {json.dumps(value, ensure_ascii=False)}" for name, value in values.items()]
        if lens:
            lines += ["", "[lens]", *(f"{name} = {json.dumps(value)}" for name, value in lens.items())]
        write_whole(file, "\n".join(lines) + "\n")

    @classmethod
    def read(cls, path: str | Path) -> Self:
        """Read a file that `casae calibrate` wrote.

        Raises:
            UsageError: it cannot be read or is none.
        """
        way = "write it anew with casae calibrate"
        return settings_of(cls, path, way, lambda *_: way)
