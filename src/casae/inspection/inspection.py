"""What travels the road: a picture, what is found in it, and the whole inspection, which needs nothing else."""

import hashlib
import secrets
import time
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from casae.calibration.calibration import Calibration
from casae.config import MAX_MEGAPIXELS, Frozen, Looks
from casae.decoding import FileState, decode_image, read_with_state
from casae.errors import ImageError
from casae.files import printable
from casae.image import Image, check_image
from casae.inspection.measurement import Measures
from casae.inspection.regions import Region
from casae.inspection.rules import AcceptanceRules
from casae.inspection.verdict import Judged, Verdict

if TYPE_CHECKING:
    from casae.inspection.record import InspectionRecord

PillowMode = {"1": "L", "P": "RGB", "PA": "RGB", "LA": "L", "CMYK": "RGB", "YCbCr": "RGB", "HSV": "RGB", "LAB": "RGB"}


class Part(Frozen):
    """The part that a picture shows, as far as the line says; the names are those of OPC 40100.

    Attributes:
        serial: of the part.
        batch: that it was made in.
        product: what it is, such as an article number.
        station: where the picture was taken.
        recipe: that the line works by, such as its product's program.
    """

    serial: str | None = None
    batch: str | None = None
    product: str | None = None
    station: str | None = None
    recipe: str | None = None


@dataclass(frozen=True)
class Conditions:
    """What an inspection hangs on beside the picture.

    Attributes:
        model: its name; `model_sha256` of its file.
        gs: threshold, where regions end; a pixel of every region passes `core_gs` as well.
        min_area_px: smaller regions are not reported.
        join_px: pieces of one class at most so far apart are one defect; 0 joins none.
        mm_per_pixel: scale, None where there is none.
        calibration: that it comes from, None where it was given as a number.
        straightened: pictures were freed from what the lens bends.
        rules: that decide.
        roi_sha256: of the region of interest, None without one; `zones_sha256` of the zones likewise.
        looks: at the picture, of which the mean counts.
        precision: that the segmenter computes in; `classifier_precision` is the classifier's, None without one.
    """

    model: str
    model_sha256: str
    gs: float
    core_gs: float
    min_area_px: int
    join_px: float
    mm_per_pixel: float | None
    calibration: Calibration | None
    straightened: bool
    rules: AcceptanceRules
    roi_sha256: str | None
    zones_sha256: str | None
    looks: Looks
    precision: str
    classifier_precision: str | None


@dataclass(frozen=True, eq=False)
class Defect:
    """One defect of an image.

    Attributes:
        number: 1 is the largest.
        name: class.
        probability: of that class, by the compact CNN and, where the model has them, `SizeClasses`; 1 where it knows a
            single class.
        region: pixels, outlines and minimum enclosing rectangle.
        measures: sizes, position, contrast.
        zones: of the part that it touches.
        novelty: how unlike learned defects it is, in units of the limit, beyond which its class is "unknown"; None
            where the model cannot tell.
        nearest: of an unknown defect, the class that it would be.
    """

    number: int
    name: str
    probability: float
    region: Region
    measures: Measures
    zones: tuple[str, ...] = ()
    novelty: float | None = None
    nearest: str | None = None

    @property
    def judged(self) -> Judged:
        """What a verdict looks at."""
        return Judged(self.name, self.probability, self.measures, self.region.outlines, self.zones)


@dataclass(frozen=True, eq=False)
class Picture:
    """A decoded image and where it came from.

    Attributes:
        source: path of the file; "array" or "bytes" for what came without one.
        sha256: of the file's bytes; of the array's bytes for an array.
        image: (H, W) or (H, W, 3) RGB.
        file: what the file was when it was read, None without one.
        part: that it shows, as far as somebody said.
        camera: that took it, None where nobody said.
        taken_at: when; of a file, when it was changed last, unless somebody said. None where that is not known.
    """

    source: str
    sha256: str
    image: Image
    file: FileState | None = None
    part: Part = field(default_factory=Part)
    camera: str | None = None
    taken_at: datetime | None = None

    @classmethod
    def of(cls, image: Any, max_megapixels: float = MAX_MEGAPIXELS) -> "Picture":
        """Read a file, decode its bytes, or take an array.

        Args:
            image: a path; the bytes of an image file; an array (H, W) or (H, W, 3) RGB, also of Pillow, or of torch,
                there (3, H, W) as well.
            max_megapixels: larger files are refused.

        Raises:
            ImageError: it is no usable image.
        """
        if isinstance(image, str | Path):
            data, state = read_with_state(image, max_megapixels)
            source = printable(image)
            decoded = decode_image(data, source, max_megapixels)
            return cls(source, hashlib.sha256(data).hexdigest(), decoded, state, taken_at=_time_of(state))
        if isinstance(image, bytes | bytearray | memoryview):
            data = bytes(image)
            return cls("bytes", hashlib.sha256(data).hexdigest(), decode_image(data, "bytes", max_megapixels))
        array = _array_of(image)
        checked = check_image(array)
        return cls("array", hashlib.sha256(np.ascontiguousarray(array).tobytes()).hexdigest(), checked)


def _time_of(state: FileState) -> datetime | None:
    """When a file was changed; None where its clock was far from ours."""
    try:
        return datetime.fromtimestamp(state.modified_ns / 1e9).astimezone()
    except (ValueError, OverflowError, OSError):
        return None


def _array_of(image: Any) -> NDArray[Any]:
    """The array behind an image object.

    Raises:
        ImageError: there is none.
    """
    kind = type(image)
    if isinstance(image, np.ndarray):
        return image
    if kind.__module__.startswith("torch"):
        array = np.asarray(image.detach().cpu())
        channels_first = array.ndim == 3 and array.shape[0] in (1, 3) and array.shape[2] not in (1, 3, 4)
        return np.ascontiguousarray(np.moveaxis(array, 0, -1)) if channels_first else array
    if kind.__module__.startswith("PIL."):
        return np.asarray(image.convert(PillowMode[image.mode]) if image.mode in PillowMode else image)
    if hasattr(image, "__array__"):
        return np.asarray(image)
    raise ImageError(f"image: {kind.__name__} is no image; pass a path, the bytes of a file, or an array")


@dataclass(frozen=True, eq=False)
class Inspection:
    """What was found in one image, and everything that it hangs on.

    Attributes:
        id: UUIDv7; sorted by it, inspections stand in the order of time.
        time: when it ended, with the offset from UTC.
        source: path of the file; "array" or "bytes" for what came without one.
        sha256: of the file's bytes; of the array's bytes for an array.
        file: what the file was when it was read, None without one.
        part: that the picture shows, as far as somebody said.
        camera: that took it, None where nobody said.
        taken_at: when, None where that is not known; see `Picture`.
        conditions: model, thresholds, rules and the like.
        image: the picture itself, (H, W) or (H, W, 3) RGB, in full scale, straightened where that was asked for; all
            places are in it.
        full_scale: gray value of the file that counts as white, in units of its dtype's largest; below 1 for a camera
            of 10 or 12 bits in 16.
        probability: P(defect), float32 (H, W).
        mask: defective pixels of the reported regions, bool (H, W).
        defects: largest first.
        specks: number of regions sure enough to report, but smaller than the smallest area.
        novelty: how unlike learned pictures this one is, in units of the limit; None where the model cannot tell.
        brightness: mean gray, in units of full scale.
        sharpness: see `casae.image.sharpness`.
        verdict: whether the part passes.
    """

    id: str
    time: datetime
    source: str
    sha256: str
    file: FileState | None
    part: Part
    camera: str | None
    taken_at: datetime | None
    conditions: Conditions
    image: Image
    full_scale: float
    probability: NDArray[np.float32]
    mask: NDArray[np.bool_]
    defects: tuple[Defect, ...]
    specks: int
    novelty: float | None
    brightness: float
    sharpness: float
    verdict: Verdict

    def record(self) -> "InspectionRecord":
        """What is written about it."""
        from casae.inspection.record import record_of

        return record_of(self)

    def to_dict(self) -> dict[str, Any]:
        """Its record, as JSON has it."""
        return self.record().model_dump(mode="json", by_alias=True)

    def overlay(self) -> NDArray[np.uint8]:
        """The picture with its defects marked, (h, w, 3) uint8 RGB; see `casae.inspection.overlay.draw_overlay`."""
        from casae.inspection.overlay import draw_overlay

        return draw_overlay(self)

    def _repr_html_(self) -> str:
        """What a notebook shows."""
        from casae.inspection.overlay import show

        return show(self)


def new_id() -> str:
    """A UUIDv7 (RFC 9562): milliseconds since 1970, then the part of the millisecond, then chance."""
    milliseconds, nanoseconds = divmod(time.time_ns(), 1_000_000)
    value = milliseconds << 80 | 7 << 76 | (nanoseconds * 4096 // 1_000_000) << 64 | 2 << 62 | secrets.randbits(62)
    digits = f"{value:032x}"
    return "-".join((digits[:8], digits[8:12], digits[12:16], digits[16:20], digits[20:]))
