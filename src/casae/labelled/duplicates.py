"""Find pictures that are learned from and held out at once.

It is the grain that is compared, noise and texture of a few pixels, which a saved, brightened or scaled copy keeps. On
a surface with fine structure of its own, the fingers of a solar cell, two parts of one design count as copies too.
"""

import time
from collections import Counter
from collections.abc import Sequence
from collections.abc import Set as AbstractSet
from dataclasses import replace
from typing import Any, NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

from casae.datasets.sample import Dataset
from casae.decoding import read_image
from casae.errors import DatasetError, ImageError
from casae.image import Image, to_gray, to_unit
from casae.labelled.images import LabelledImage

THUMBNAIL = 32  # px a side; what differs here is another picture
ALIKE, TURNED_ALIKE = 0.9, 0.97  # correlation of thumbnails from which the grain is looked at
TURNS = range(8)  # positions of a picture: as it is, turned by quarters, and the same mirrored
GRAIN_SIDE, NARROWEST = 128, 64  # px of the longer side at which grain is compared, and at least of the shorter one
SAME_GRAIN = 0.6  # correlation; on rolled steel other pictures have at most 0.07, copies in JPEG of quality 80 0.79
MOST_KNOWN = 1000  # grains of 64 kB, of narrow images 300, beside those of the held-out images
TRIES, STAYING = 10, 2  # for each picture in the place of a copy; images of a class that stay to learn from
FEW_ROWS = 61  # of so many, one
LONGEST = 20.0  # s of looking at list `test`
BLOCK = 8  # px; the middle of all blocks, so that edges of a fixture do not decide


class Sides(NamedTuple):
    """What is learned from and what is held out, and the images of both."""

    part: Dataset
    held: Dataset
    images: Sequence[LabelledImage]
    validation: Sequence[LabelledImage]


def keep_copies_together(
    dataset: Dataset, sides: Sides, *, fixed: bool, stay: AbstractSet[str] = frozenset()
) -> tuple[Sides, str]:
    """Learn from held-out pictures too where what is learned from shows them already, and hold out others.

    Args:
        dataset: all of it.
        sides: two parts of it, as drawn.
        fixed: the dataset says itself what is held out; then nothing is moved.
        stay: names of pictures that are not held out in the place of others.

    Returns:
        The sides, and what there is to say about them, empty if nothing.

    Raises:
        DatasetError: the very same picture, pixel for pixel, has to stay on both sides; names the pictures.
    """
    drawn, moved = sides.validation, set[str]()
    grains, fresh = Grains(MOST_KNOWN + len(sides.validation)), sides.images
    while sides.validation and (copies := _copies(fresh, sides.validation, grains)):
        staying = [image for image in sides.validation if image.name not in copies]
        if fixed or not staying or (_defective(sides.validation) and not _defective(staying)):
            same = [f"{held.name} = {ours.name}" for ours, held in copies.values() if _identical(ours, held)]
            if same:
                rule = "the same picture is learned from and held out; keep one, 'casae data check' names all"
                raise DatasetError(f"{_some(same)}: {rule}")
            look = f"held out are copies of learned pictures ({_some(sorted(copies))}), or parts of one design"
            return sides, f". Scores may be too good: {look}"
        moved |= copies.keys()
        fresh = [held for _, held in copies.values()]
        sides = _divided(dataset, sides, {image.name for image in sides.images} | copies.keys())
    if not moved:
        return sides, ""
    before = len(sides.validation)
    sides = _drawn_anew(dataset, sides, [image for image in drawn if image.name in moved], grains, stay | moved)
    others = f"{len(sides.validation) - before} others are held out in their place"
    return sides, f". {len(moved)} drawn pictures are not held out: they look like copies of learned ones; {others}"


def seen_in_test(dataset: Dataset, images: Sequence[LabelledImage], known: AbstractSet[str]) -> str:
    """What there is to say about pictures of list `test` that are learned from, empty if nothing.

    They are looked at one by one, for `LONGEST` seconds at most.

    Args:
        dataset: all of it.
        images: to learn from.
        known: names of those that start weights have learned.
    """
    if "test" not in dataset.splits:
        return ""
    learned, ours = {image.name for image in images}, np.stack([_thumbnail(image.gray) for image in images])
    grains, began, copies = Grains(), time.monotonic(), []
    judged = dataset.only(dataset.splits["test"], "test").samples
    samples = [sample for sample in judged if sample.name not in learned]
    looked_at = 0
    for sample in samples:
        if time.monotonic() - began > LONGEST:
            break
        looked_at += 1
        try:
            gray = to_gray(read_image(sample.image))
        except ImageError:
            continue
        image = LabelledImage(sample.name, gray, np.zeros((0, 0), np.uint8))
        if _copied(image, images, ours, grains) is not None:
            copies.append(sample.name)
    said = ""
    if len(samples) < len(judged):
        said += f". Scores of list 'test' will be too good: {len(judged) - len(samples)} of its images are learned from"
    if copies:
        count = f"{len(copies)} of {looked_at} look like learned ones ({_some(copies)}), or show parts of one design"
        said += f". Scores of list 'test' may be too good: {count}"
    if known & {sample.name for sample in samples}:
        said += ". Scores of list 'test' will be too good: the start weights have learned images of it"
    return said


class Grains:
    """Grain of images, looked at once however often they are compared; the last `most` looks are remembered."""

    def __init__(self, most: int = MOST_KNOWN) -> None:
        self._most = most
        self._known: dict[tuple[str, tuple[int, int]], NDArray[np.float32]] = {}

    def is_copy(self, one: LabelledImage, other: LabelledImage) -> bool:
        """Whether two images are one picture, perhaps saved, brightened or scaled in between; known by their names."""
        shape = one.gray.shape
        longest, shortest = max(*shape, *other.gray.shape), min(*shape, *other.gray.shape)
        scale = min(1.0, max(GRAIN_SIDE / longest, NARROWEST / shortest))
        size = _in_blocks(shape[1] * scale), _in_blocks(shape[0] * scale)
        correlation = np.einsum("bp,bp->b", self._blocks(one, size), self._blocks(other, size))
        return bool(2 * np.count_nonzero(correlation > SAME_GRAIN) > np.count_nonzero(correlation))

    def _blocks(self, image: LabelledImage, size: tuple[int, int]) -> NDArray[np.float32]:
        key = image.name, size
        if key not in self._known:
            if len(self._known) == self._most:
                del self._known[next(iter(self._known))]
            self._known[key] = _blocks(cv2.resize(to_unit(image.gray), size, interpolation=cv2.INTER_AREA))
        return self._known[key]


def _defective(images: Sequence[LabelledImage]) -> bool:
    return any(image.label.any() for image in images)


def _in_blocks(length: float) -> int:
    return BLOCK * max(1, round(length / BLOCK))


def _divided(dataset: Dataset, sides: Sides, ours: AbstractSet[str]) -> Sides:
    """The same images, those called `ours` to learn from and the others held out."""
    theirs = {image.name for side in (sides.images, sides.validation) for image in side} - ours
    both = [*sides.images, *sides.validation]
    return Sides(
        dataset.only(ours, sides.part.split_name),
        dataset.only(theirs, sides.held.split_name),
        [image for image in both if image.name in ours],
        [image for image in both if image.name in theirs],
    )


def _drawn_anew(
    dataset: Dataset, sides: Sides, moved: Sequence[LabelledImage], grains: Grains, stay: AbstractSet[str]
) -> Sides:
    """Hold out pictures without copies in the place of those that were moved, of good and defective ones as many.

    Two images of each class stay to learn from; `TRIES` are looked at for each.
    """
    images = sides.images
    wanted = Counter(bool(image.label.any()) for image in moved)
    left = Counter(value for image in images for value in _classes(image))
    thumbnails, fresh = np.stack([_thumbnail(image.gray) for image in images]), set[str]()
    order = np.random.default_rng(0).permutation(len(images)).tolist()
    for index in [index for index in order if images[index].name not in stay][: TRIES * len(moved)]:
        image, kind = images[index], bool(images[index].label.any())
        if wanted[kind] < 1 or any(left[value] <= STAYING for value in _classes(image)):
            continue
        others = [other for other in range(len(images)) if other != index]
        if _copied(image, [images[other] for other in others], thumbnails[others], grains) is None:
            left.subtract(_classes(image))
            wanted[kind] -= 1
            fresh.add(image.name)
    return _divided(dataset, sides, {image.name for image in images} - fresh)


def _classes(image: LabelledImage) -> set[int]:
    return {int(value) for value in np.unique(image.label)} - {0}


def _copies(
    images: Sequence[LabelledImage], validation: Sequence[LabelledImage], grains: Grains
) -> dict[str, tuple[LabelledImage, LabelledImage]]:
    """Of each held-out picture that is learned from as well: the learned one and itself, by its name."""
    ours = np.stack([_thumbnail(image.gray) for image in images])
    found = ((_copied(held, images, ours, grains), held) for held in validation)
    return {held.name: (one, held) for one, held in found if one is not None}


def _copied(
    image: LabelledImage, images: Sequence[LabelledImage], thumbnails: NDArray[np.float32], grains: Grains
) -> LabelledImage | None:
    """Which of `images`, whose thumbnails these are, shows the same picture as `image`, in whatever position; the very
    same one rather than a copy; None if none does.
    """
    small = _thumbnail(image.gray).reshape(THUMBNAIL, THUMBNAIL)
    for turn in TURNS:
        correlation = thumbnails @ _turned(small, turn).ravel() / THUMBNAIL**2
        alike = [images[index] for index in np.flatnonzero(correlation >= (TURNED_ALIKE if turn else ALIKE)).tolist()]
        if not alike:
            continue
        seen = replace(image, name=f"{image.name}\n{turn}", gray=_turned(image.gray, turn)) if turn else image
        same = next((one for one in alike if turn == 0 and _identical(one, seen)), None)
        copied = same or next((one for one in alike if grains.is_copy(one, seen)), None)
        if copied:
            return copied
    return None


def _turned(values: NDArray[Any], turn: int) -> NDArray[Any]:
    mirrored = values[:, ::-1] if turn >= len(TURNS) // 2 else values
    return np.ascontiguousarray(np.rot90(mirrored, turn))


def _identical(one: LabelledImage, other: LabelledImage) -> bool:
    """A few rows tell nearly always, and much sooner."""
    a, b = one.gray, other.gray
    return a.dtype == b.dtype and np.array_equal(a[::FEW_ROWS], b[::FEW_ROWS]) and np.array_equal(a, b)


def _some(names: Sequence[str]) -> str:
    return ", ".join(names[:3]) + (" ..." if len(names) > 3 else "")


def _thumbnail(image: Image) -> NDArray[np.float32]:
    values = cv2.resize(to_unit(image), (THUMBNAIL, THUMBNAIL), interpolation=cv2.INTER_AREA)
    return ((values - values.mean()) / max(float(values.std()), 1e-6)).ravel()


def _blocks(image: NDArray[np.float32]) -> NDArray[np.float32]:
    """Grain of an image, block by block: (blocks, `BLOCK` squared), each of length 1, or 0 where it has none."""
    grain = image - cv2.GaussianBlur(image, (0, 0), 2)
    rows, columns = (side // BLOCK for side in grain.shape)
    cut = grain[: rows * BLOCK, : columns * BLOCK].reshape(rows, BLOCK, columns, BLOCK)
    blocks = cut.swapaxes(1, 2).reshape(rows * columns, -1)
    length = np.linalg.norm(blocks, axis=1, keepdims=True)
    return np.divide(blocks, length, out=np.zeros_like(blocks), where=length > 0)
