"""One place that knows when two pictures are the same, perhaps saved again, brightened, scaled, turned or mirrored.

It is the grain that is compared, noise and texture of a few pixels, block by block, which such a copy keeps. Under one
camera the pictures of a part share much of it: its edges, the fingers of a solar cell, wherever within a pixel or two
it lies. What many pictures of a set share, its largest principal components, is taken out of all of them first.
"""

import time
from collections.abc import Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from typing import Any, Self

import cv2
import numpy as np
from numpy.typing import NDArray

from casae.datasets.sample import Dataset
from casae.decoding import read_image
from casae.errors import ImageError
from casae.image import Image, to_gray, to_unit
from casae.labelled.images import LabelledImage

TURNS = range(8)  # positions of a picture: as it is, turned by quarters, and the same mirrored
GRAIN_SIDE, NARROWEST = 128, 64  # px of the longer side at which grain is compared, and at least of the shorter one
BLOCK = 8  # px
SAME_GRAIN = (
    0.6  # correlation of a block; on rolled steel other pictures have at most 0.07, JPEG of quality 80 has 0.79
)
LEARNED_FROM = 256  # pictures that tell what is shared
MOST_SHARED = 12  # components that are taken out
SHARED_BY, STRENGTH = 6.0, 2.5  # pictures at least, and how much of them: two copies alone have 2 and 2
SAMPLED = 1024  # pixels that choose which pairs are looked at block by block
WORTH_A_LOOK = 0.2  # correlation of them; six deviations of chance
LONGEST = 20.0  # s of looking at list `test`

Shape = tuple[int, int]
Grain = NDArray[np.float32]


@dataclass(frozen=True, eq=False)
class _Shelf:
    """The grains of pictures of one shape, without what they share.

    Attributes:
        names: of the pictures.
        shared: what they share, (components, pixels), each of length 1 and at right angles to the others.
        blocks: (pictures, blocks, pixels of a block), each of length 1, or 0 where it has no grain.
        sampled: some pixels of each, (pictures, `SAMPLED`), of length 1.
        place: which pixels these are.
    """

    names: Sequence[str]
    shared: Grain
    blocks: Grain
    sampled: Grain
    place: NDArray[np.int64]

    @classmethod
    def of(cls, names: Sequence[str], grains: Grain) -> Self:
        """Of pictures of one shape, (pictures, pixels)."""
        shared = _shared(grains)
        blocks = np.stack([_blocks(grain, shared) for grain in grains])
        place = np.random.default_rng(0).integers(0, grains.shape[1], SAMPLED)
        return cls(names, shared, blocks, _unit(blocks.reshape(len(grains), -1)[:, place]), place)

    def copies(self, grain: Grain) -> list[str]:
        """Names of the pictures that a grain (pixels,) is that of."""
        blocks = _blocks(grain, self.shared)
        likeness = self.sampled @ _unit(blocks.ravel()[self.place])
        looked_at = np.flatnonzero(likeness > WORTH_A_LOOK)
        if not len(looked_at):
            return []
        correlation = np.einsum("nbp,bp->nb", self.blocks[looked_at], blocks)
        same = 2 * np.count_nonzero(correlation > SAME_GRAIN, axis=1) > np.count_nonzero(correlation, axis=1)
        return [self.names[index] for index in looked_at[same].tolist()]


class Likeness:
    """What is usual among the pictures of a set, and which are copies.

    Args:
        images: of the set; their grains are kept, 50 kB each.
    """

    def __init__(self, images: Sequence[LabelledImage]) -> None:
        shelves: dict[Shape, list[tuple[str, Grain]]] = {}
        for image in images:
            small = reduced(image.gray)
            shelves.setdefault(small.shape, []).append((image.name, grain_of(small)))
        self._shelves = {
            shape: _Shelf.of([name for name, _ in each], np.stack([grain for _, grain in each]))
            for shape, each in shelves.items()
        }

    def copies_of(self, gray: Image, but: str = "") -> list[str]:
        """Names of the pictures of the set that show the same as this one (H, W), in whatever position.

        Args:
            gray: the picture.
            but: name of itself, where it is in the set.
        """
        found: set[str] = set()
        small = reduced(gray)
        for turn in TURNS:
            seen = _turned(small, turn)
            shelf = self._shelves.get(seen.shape)
            if shelf is not None:
                found.update(shelf.copies(grain_of(seen)))
        return sorted(found - {but})

    def groups(self, images: Sequence[LabelledImage]) -> dict[str, str]:
        """Of every picture of the set that has copies in it: the first one of them all, by name."""
        first = {image.name: image.name for image in images}

        def root(name: str) -> str:
            while first[name] != name:
                name = first[name]
            return name

        for image in images:
            for other in self.copies_of(image.gray, image.name):
                one, two = sorted((root(image.name), root(other)))
                first[two] = one
        together = {name: root(name) for name in first}
        leaders = [name for name, leader in together.items() if name != leader]
        shared = {together[name] for name in leaders}
        return {name: leader for name, leader in together.items() if leader in shared}


def reduced(gray: Image) -> Grain:
    """A picture (H, W) as it is compared, float32 in 0..1, its sides multiples of `BLOCK`."""
    scale = min(1.0, max(GRAIN_SIDE / max(gray.shape), NARROWEST / min(gray.shape)))
    rows, columns = (BLOCK * max(1, round(side * scale / BLOCK)) for side in gray.shape)
    return cv2.resize(to_unit(gray), (columns, rows), interpolation=cv2.INTER_AREA)


def grain_of(small: Grain) -> Grain:
    """The grain of a reduced picture (h, w), block after block, (pixels,) of length 1, or 0 where it has none."""
    fine = small - cv2.GaussianBlur(small, (0, 0), 2)
    rows, columns = (side // BLOCK for side in small.shape)
    return _unit(fine.reshape(rows, BLOCK, columns, BLOCK).swapaxes(1, 2).ravel())


def _blocks(grain: Grain, shared: Grain) -> Grain:
    """What a grain (pixels,) does not share, in blocks of length 1: (blocks, pixels of a block)."""
    own = (grain - (shared @ grain) @ shared).astype(np.float32, copy=False)
    return _unit(own.reshape(-1, BLOCK * BLOCK))


def _unit(rows: Grain) -> Grain:
    """Rows brought to length 1; those of length 0 stay so."""
    length = np.sqrt((rows * rows).sum(axis=-1, keepdims=True))
    return np.divide(rows, length, out=np.zeros_like(rows), where=length > 1e-6)


def _shared(grains: Grain) -> Grain:
    """Components that many of the grains (pictures, pixels) share, (components, pixels); see `SHARED_BY`."""
    order = np.random.default_rng(0).permutation(len(grains))[:LEARNED_FROM]
    seen = grains[order]
    strength, loads = np.linalg.eigh(seen @ seen.T)
    by = 1 / np.maximum((loads**4).sum(axis=0), 1e-12)  # how many pictures have a part in each
    chosen = np.flatnonzero((strength >= STRENGTH) & (by >= SHARED_BY))[::-1][:MOST_SHARED]
    return _unit((loads[:, chosen].T @ seen).astype(np.float32))


def identical(one: Image, other: Image) -> bool:
    """Whether two pictures are the same, pixel for pixel."""
    return one.dtype == other.dtype and np.array_equal(one, other)


def seen_in_test(
    dataset: Dataset, images: Sequence[LabelledImage], likeness: Likeness, known: AbstractSet[str]
) -> list[str]:
    """What there is to say about pictures of list `test` that are learned from.

    They are looked at one by one, for `LONGEST` seconds at most.

    Args:
        dataset: all of it.
        images: to learn from.
        likeness: of these images.
        known: names of those that start weights have learned.
    """
    if "test" not in dataset.splits:
        return []
    learned, began, copies, looked_at = {image.name for image in images}, time.monotonic(), [], 0
    judged = dataset.only(dataset.splits["test"], "test").samples
    samples = [sample for sample in judged if sample.name not in learned]
    for sample in samples:
        if time.monotonic() - began > LONGEST:
            break
        looked_at += 1
        try:
            gray = to_gray(read_image(sample.image))
        except ImageError:
            continue
        if likeness.copies_of(gray):
            copies.append(sample.name)
    said = []
    if len(samples) < len(judged):
        count = len(judged) - len(samples)
        said.append(f"Scores of list 'test' will be too good: {count} of its images are learned from")
    if copies:
        count_of = f"{len(copies)} of {looked_at}"
        said.append(f"Scores of list 'test' may be too good: {count_of} look like learned ones ({some(copies)})")
    if known & {sample.name for sample in samples}:
        said.append("Scores of list 'test' will be too good: the start weights have learned images of it")
    return said


def some(names: Sequence[str]) -> str:
    """Three names at most."""
    return ", ".join(names[:3]) + (" ..." if len(names) > 3 else "")


def _turned(values: NDArray[Any], turn: int) -> NDArray[Any]:
    mirrored = values[:, ::-1] if turn >= len(TURNS) // 2 else values
    return np.ascontiguousarray(np.rot90(mirrored, turn))
