"""The grain of a picture, noise and texture of a few pixels, which copies keep: saved again, scaled, turned."""

from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache, cached_property
from typing import Self

import cv2
import numpy as np
from numpy.typing import NDArray

from casae.image import Image, to_unit

GRAIN_SIDE, NARROWEST = 128, 64  # px of the longer side at which grain is compared, and at least of the shorter one
BLOCK = 8  # px
TURNS = 8  # positions of a picture: as it is, turned by quarters, and the same mirrored
BITS = 1024  # of a fingerprint
SAME = 0.5  # correlation of fingerprints; 16 deviations of chance, and nearly all JPEGs of quality 80 have more
DOUBT = 4.0  # pictures of whom every bit is as often set as not, counted beside the learned ones

LEARNED_FROM = 256  # pictures that tell what is shared
MOST_SHARED = 12  # components that are taken out
SHARED_BY, STRENGTH = 6.0, 2.5  # pictures at least, and how much of them: two copies alone have 2 and 2

Grain = NDArray[np.float32]


def reduced(gray: Image) -> Grain:
    """A picture (H, W) as it is compared, float32 in 0..1, its sides multiples of `BLOCK`."""
    scale = min(1.0, max(GRAIN_SIDE / max(gray.shape), NARROWEST / min(gray.shape)))
    rows, columns = (BLOCK * max(1, round(side * scale / BLOCK)) for side in gray.shape)
    return cv2.resize(to_unit(gray), (columns, rows), interpolation=cv2.INTER_AREA)


def grain_of(small: Grain) -> Grain:
    """The grain of a reduced picture (h, w), block after block, (pixels,) of length 1, or 0 where it has none."""
    fine = small - cv2.GaussianBlur(small, (0, 0), 2)
    rows, columns = (side // BLOCK for side in small.shape)
    return unit(fine.reshape(rows, BLOCK, columns, BLOCK).swapaxes(1, 2).ravel())


def unit(rows: Grain) -> Grain:
    """Rows brought to length 1; those of length 0 stay so."""
    length = np.sqrt((rows * rows).sum(axis=-1, keepdims=True))
    return np.divide(rows, length, out=np.zeros_like(rows), where=length > 1e-6)


def shared_by_many(grains: Grain) -> Grain:
    """Components that many of the grains (pictures, pixels) share, (components, pixels); see `SHARED_BY`."""
    order = np.random.default_rng(0).permutation(len(grains))[:LEARNED_FROM]
    seen = grains[order]
    strength, loads = np.linalg.eigh(seen @ seen.T)
    by = 1 / np.maximum((loads**4).sum(axis=0), 1e-12)  # how many pictures have a part in each
    chosen = np.flatnonzero((strength >= STRENGTH) & (by >= SHARED_BY))[::-1][:MOST_SHARED]
    return unit((loads[:, chosen].T @ seen).astype(np.float32))


def turned(small: Grain, turn: int) -> Grain:
    """A picture (h, w) in one of `TURNS` positions."""
    mirrored = small[:, ::-1] if turn >= TURNS // 2 else small
    return np.ascontiguousarray(np.rot90(mirrored, turn))


@dataclass(frozen=True, eq=False)
class Fingerprints:
    """Of pictures that were learned: whether another one is among them is told without keeping them.

    A bit says which of two pixels of the grain is brighter (as in BRIEF, Calonder et al. 2010). What many pictures
    share, such as the edges of a part, is taken out of all of them.

    Attributes:
        bits: (pictures, `BITS` / 8) uint8.
    """

    bits: NDArray[np.uint8]

    @classmethod
    def of(cls, pictures: Iterable[Image]) -> Self:
        """Of pictures (H, W)."""
        rows = [_fingerprint(reduced(gray)) for gray in pictures]
        return cls(np.packbits(np.array(rows, bool).reshape(-1, BITS), axis=1))

    @classmethod
    def read(cls, data: bytes) -> Self:
        """What `written` wrote; a part of a fingerprint at the end is left out."""
        count = 8 * len(data) // BITS
        return cls(np.frombuffer(data[: count * BITS // 8], np.uint8).reshape(count, BITS // 8))

    def written(self) -> bytes:
        """To keep."""
        return self.bits.tobytes()

    def joined(self, other: Self) -> "Fingerprints":
        """Of both; what is in both comes once."""
        return Fingerprints(np.unique(np.concatenate([self.bits, other.bits]), axis=0))

    def __len__(self) -> int:
        return len(self.bits)

    def knows(self, gray: Image) -> bool:
        """Whether a picture (H, W) is one of them, in whatever position."""
        if not len(self):
            return False
        usual, shared, known = self._own
        small = reduced(gray)
        seen = np.array([_fingerprint(turned(small, turn)) for turn in range(TURNS)], np.float32)
        return bool((_without(shared, unit(seen - usual)) @ known.T).max() > SAME)

    @cached_property
    def _own(self) -> tuple[Grain, Grain, Grain]:
        """The mean of each bit, the components that many share, and what is left of each picture, of length 1."""
        known = np.unpackbits(self.bits, axis=1).astype(np.float32)
        usual = ((known.sum(0) + DOUBT / 2) / (len(self) + DOUBT)).astype(np.float32)
        rows = unit(known - usual)
        shared = shared_by_many(rows)
        return usual, shared, _without(shared, rows)


def _without(shared: Grain, rows: Grain) -> Grain:
    return unit((rows - (rows @ shared.T) @ shared).astype(np.float32, copy=False))


@cache
def _pairs(pixels: int) -> NDArray[np.int64]:
    """Which pixels of a grain are compared, (2, `BITS`)."""
    return np.random.default_rng(pixels).integers(0, pixels, (2, BITS))


def _fingerprint(small: Grain) -> NDArray[np.bool_]:
    blocks = unit(grain_of(small).reshape(-1, BLOCK * BLOCK)).ravel()
    first, second = _pairs(blocks.size)
    return blocks[first] > blocks[second]


NOTHING = Fingerprints(np.zeros((0, BITS // 8), np.uint8))
"""Of no picture."""
