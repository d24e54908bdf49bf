"""What travels the road: a picture, what is found in it, and the whole inspection."""

import hashlib
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from casae.image import Image, check_image, decode_image, read_file
from casae.inspection.measurement import Measures
from casae.inspection.regions import Region
from casae.inspection.verdict import AcceptanceRules, Verdict


@dataclass(frozen=True, eq=False)
class Defect:
    """One defect of an image.

    Attributes:
        number: 1 is the largest.
        name: class.
        probability: of that class, by the compact CNN and, where the model has them, `SizeClasses`; 1 where it knows a
            single class.
        region: pixels, contours and minimum enclosing rectangle.
        measures: sizes, position, contrast.
    """

    number: int
    name: str
    probability: float
    region: Region
    measures: Measures


@dataclass(frozen=True, eq=False)
class Picture:
    """A decoded image and where it came from: source and sha256 as of `Inspection`."""

    source: str
    sha256: str
    image: Image

    @classmethod
    def of(cls, image: Image | str | Path) -> "Picture":
        """Read a file, or check an array (H, W) or (H, W, 3) RGB.

        Raises:
            ImageError: the file or array is no usable image.
        """
        if isinstance(image, np.ndarray):
            checked = check_image(image)
            return cls("array", hashlib.sha256(np.ascontiguousarray(image).tobytes()).hexdigest(), checked)
        data = read_file(image)
        return cls(str(image), hashlib.sha256(data).hexdigest(), decode_image(data, str(image)))


@dataclass(frozen=True, eq=False)
class Inspection:
    """What was found in one image.

    Attributes:
        source: path of the file; "array" for an array.
        sha256: of the file's bytes; of the array's bytes for an array.
        image: the picture itself, (H, W) or (H, W, 3) RGB, in full scale.
        probability: P(defect), float32 (H, W).
        mask: defective pixels of the reported regions, bool (H, W).
        defects: largest first.
        verdict: whether the part passes.
        rules: that decided.
        model: name of the model.
        model_sha256: of its file.
        gs: threshold that was applied; `core_gs` is what a pixel of every region passed as well.
        time: when it ended, with the offset from UTC.
    """

    source: str
    sha256: str
    image: Image
    probability: NDArray[np.float32]
    mask: NDArray[np.bool_]
    defects: tuple[Defect, ...]
    verdict: Verdict
    rules: AcceptanceRules
    model: str
    model_sha256: str
    gs: float
    core_gs: float
    time: datetime
