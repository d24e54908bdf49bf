"""One place that knows when two pictures are the same, perhaps saved again, brightened, scaled, turned or mirrored.

It is the grain that is compared, noise and texture of a few pixels, block by block, which such a copy keeps. Under one
camera the pictures of a part share much of it: its edges, the fingers of a solar cell, wherever within a pixel or two
it lies. What many pictures of a set share, its largest principal components, is taken out of all of them first.
"""

import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Self

import numpy as np
from numpy.typing import NDArray

from casae.datasets.sample import Dataset
from casae.decoding import read_image
from casae.errors import ImageError
from casae.image import Image, to_gray
from casae.inspection.grain import BLOCK, TURNS, Fingerprints, Grain, grain_of, reduced, shared_by_many, turned, unit
from casae.labelled.images import LabelledImage

SAME_GRAIN = (
    0.6  # correlation of a block; on rolled steel other pictures have at most 0.07, JPEG of quality 80 has 0.79
)
SAMPLED = 1024  # pixels that choose which pairs are looked at block by block
WORTH_A_LOOK = 0.2  # correlation of them; six deviations of chance
LONGEST = 20.0  # s of looking at list `test`

Shape = tuple[int, int]


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
        shared = shared_by_many(grains)
        blocks = np.stack([_blocks(grain, shared) for grain in grains])
        place = np.random.default_rng(0).integers(0, grains.shape[1], SAMPLED)
        return cls(names, shared, blocks, unit(blocks.reshape(len(grains), -1)[:, place]), place)

    def copies(self, grain: Grain) -> list[str]:
        """Names of the pictures that a grain (pixels,) is that of."""
        blocks = _blocks(grain, self.shared)
        likeness = self.sampled @ unit(blocks.ravel()[self.place])
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
        for turn in range(TURNS):
            seen = turned(small, turn)
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


def _blocks(grain: Grain, shared: Grain) -> Grain:
    """What a grain (pixels,) does not share, in blocks of length 1: (blocks, pixels of a block)."""
    own = (grain - (shared @ grain) @ shared).astype(np.float32, copy=False)
    return unit(own.reshape(-1, BLOCK * BLOCK))


def identical(one: Image, other: Image) -> bool:
    """Whether two pictures are the same, pixel for pixel."""
    return one.dtype == other.dtype and np.array_equal(one, other)


def seen_in_test(
    dataset: Dataset, split: str, images: Sequence[LabelledImage], likeness: Likeness, known: Fingerprints
) -> list[str]:
    """What there is to say about pictures of list `test` that are learned from; of `train-NAME` it is `test-NAME`.

    They are looked at one by one, for `LONGEST` seconds at most.

    Args:
        dataset: all of it.
        split: that is learned from.
        images: of it.
        likeness: of these images.
        known: pictures that start weights have learned.
    """
    test = split.replace("train", "test", 1) if split.startswith("train-") else "test"
    if test not in dataset.splits:
        return []
    learned, began, looked_at = {image.name for image in images}, time.monotonic(), 0
    copies, by_start = [], []
    judged = dataset.only(dataset.splits[test], test).samples
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
        if known.knows(gray):
            by_start.append(sample.name)
    said = []
    if len(samples) < len(judged):
        count = len(judged) - len(samples)
        said.append(f"Scores of list '{test}' will be too good: {count} of its images are learned from")
    if copies:
        count_of = f"{len(copies)} of {looked_at}"
        said.append(f"Scores of list '{test}' may be too good: {count_of} look like learned ones ({some(copies)})")
    if by_start:
        count_of = f"{len(by_start)} of {looked_at} images of it"
        said.append(f"Scores of list '{test}' will be too good: the start weights have learned {count_of}")
    return said


def some(names: Sequence[str]) -> str:
    """Three names at most."""
    return ", ".join(names[:3]) + (" ..." if len(names) > 3 else "")
