"""Named zones of a part, such as a sealing face, in which other rules hold."""

import hashlib
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Self

import numpy as np
from numpy.typing import NDArray
from pydantic import Field, model_validator

from casae.config import MAX_MEGAPIXELS, Frozen
from casae.decoding import decode_image, read_file
from casae.errors import ImageError, UsageError
from casae.files import settings_of
from casae.inspection.regions import Region
from casae.labels.shapes import polygon

Coordinate = Annotated[float, Field(ge=-1e6, le=1e6)]
Corner = tuple[Coordinate, Coordinate]


class Zone(Frozen):
    """A zone: a polygon, or the pixels of one value in the mask.

    Attributes:
        name: by which rules call it.
        polygon: its corners, (x, y) in px, pixel centres, origin top left.
        value: in the mask.
    """

    name: str = Field(min_length=1)
    polygon: tuple[Corner, ...] | None = Field(default=None, min_length=3)
    value: Annotated[int, Field(ge=1, le=255)] | None = None

    @model_validator(mode="after")
    def _is_one_of_both(self) -> Self:
        if (self.polygon is None) == (self.value is None):
            raise ValueError(f"{self.name}: give it a polygon or a value of the mask, one of both")
        return self


class _File(Frozen):
    zone: tuple[Zone, ...] = Field(min_length=1)
    mask: str | None = None

    @model_validator(mode="after")
    def _has_its_mask(self) -> Self:
        names = [zone.name for zone in self.zone]
        if len(set(names)) < len(names):
            raise ValueError("two zones have one name; give a zone one entry")
        if self.mask is None and any(zone.value is not None for zone in self.zone):
            raise ValueError('a value needs mask = "FILE"')
        return self


class Zones:
    """The zones of a part, for pictures that show it in one place.

    Args:
        zones: polygons, or values of the mask.
        mask: (H, W) uint8, None where there are polygons alone.
    """

    def __init__(self, zones: Sequence[Zone], mask: NDArray[np.uint8] | None = None) -> None:
        self.zones = tuple(zones)
        self.mask = mask
        self._drawn: dict[tuple[int, ...], dict[str, NDArray[np.bool_]]] = {}

    @property
    def names(self) -> tuple[str, ...]:
        """Of the zones."""
        return tuple(zone.name for zone in self.zones)

    @property
    def sha256(self) -> str:
        """Of all that they are."""
        told = repr([zone.model_dump() for zone in self.zones]).encode()
        return hashlib.sha256(told if self.mask is None else told + self.mask.tobytes()).hexdigest()

    def check(self, shape: tuple[int, ...], source: str) -> None:
        """Whether they are of a picture (H, W): a zone that is not on it would let pass what it is there for.

        Raises:
            ImageError: the picture has another size than the mask, or a zone lies outside of it.
        """
        height, width = shape
        if self.mask is not None and self.mask.shape != shape:
            its = f"{self.mask.shape[1]} x {self.mask.shape[0]}"
            raise ImageError(f"{source}: is {width} x {height} px, the mask of zones {its}; draw it as large")
        outside = [name for name, pixels in self._of_shape(shape).items() if not pixels.any()]
        if outside:
            rule = f"zone '{outside[0]}' lies outside of its {width} x {height} px"
            raise ImageError(f"{source}: {rule}; draw zones for pictures of this size")

    def of(self, region: Region, shape: tuple[int, ...]) -> tuple[str, ...]:
        """The zones that a region touches in a picture (H, W) that was checked."""
        return tuple(name for name, pixels in self._of_shape(shape).items() if pixels[region.at].any())

    def _of_shape(self, shape: tuple[int, ...]) -> dict[str, NDArray[np.bool_]]:
        drawn = self._drawn.get(shape)
        if drawn is None:
            drawn = {zone.name: self._draw(zone, shape) for zone in self.zones}
            self._drawn = {shape: drawn}
        return drawn

    def _draw(self, zone: Zone, shape: tuple[int, ...]) -> NDArray[np.bool_]:
        height, width = shape
        if zone.polygon is None:
            assert self.mask is not None  # `_File` sees to it
            return self.mask == zone.value
        drawn = np.zeros(shape, np.bool_)
        box, left, top = polygon(np.array(zone.polygon) + 0.5, height, width)
        drawn[top : top + box.shape[0], left : left + box.shape[1]] = box
        return drawn


def with_mask(path: str | Path, name: str) -> tuple[bytes, bytes | None]:
    """A file of zones whose mask is called `name` and lies beside it, and that mask; None where there is none.

    Raises:
        UsageError, ImageError: as `read_zones`.
    """
    content = _content(path)
    lines = [f"mask = {json.dumps(name)}"] if content.mask is not None else []
    for zone in content.zone:
        told = zone.model_dump(exclude_none=True)
        lines += ["[[zone]]", *(f"{key} = {json.dumps(value, ensure_ascii=False)}" for key, value in told.items())]
    mask = None if content.mask is None else read_file(Path(path).parent / content.mask)
    return ("\n".join(lines) + "\n").encode(), mask


def _content(path: str | Path) -> _File:
    known = "there are mask and, of a [[zone]], name, polygon, value"
    return settings_of(_File, path, "write such as [[zone]] and, below it, a name", lambda *_: known)


def read_zones(path: str | Path, max_megapixels: float = MAX_MEGAPIXELS) -> Zones:
    """Read a file of zones (TOML): `[[zone]]` tables with `name` and `polygon` or `value`, and `mask`.

    Raises:
        UsageError: not readable, or an unknown field.
        ImageError: the mask is no gray picture of 8 bits.
    """
    content = _content(path)
    mask = None
    if content.mask is not None:
        where = Path(path).parent / content.mask
        mask = decode_image(read_file(where, max_megapixels), str(where), max_megapixels)
        if mask.ndim != 2 or mask.dtype != np.uint8:
            raise ImageError(f"{where}: a mask of zones is a gray picture of 8 bits, one value a zone; draw it so")
        absent = [zone for zone in content.zone if zone.value is not None and not (mask == zone.value).any()]
        if absent:
            its = f"value {absent[0].value}, zone {absent[0].name!r}"
            raise UsageError(f"{path}: {where.name} has no pixel of {its}; check both")
    return Zones(content.zone, mask)
