"""Labelled images in memory: decoded once, cut into a part to learn from and a part to choose by."""

import math
import os
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from casae.datasets.sample import Dataset
from casae.decoding import read_image
from casae.errors import DatasetError
from casae.image import Frame, Image, as_seen, gray_levels, scaled_shape, to_gray
from casae.models.bundle import Brightness

MEMORY_SHARE = 0.25  # of the machine, for decoded images; preparing their views takes twice as much for a while
CONTAINER_LIMITS = (  # of cgroups, version 2 and 1
    Path("/sys/fs/cgroup/memory.max"),
    Path("/sys/fs/cgroup/memory/memory.limit_in_bytes"),
)
DARKEST = 1e-4  # mean gray, in full scales: of a black picture nothing is darker
HOT = 1e-4  # of the pixels of an image may be brighter than a camera's white
FAINTEST = 0.25  # of what a line of one pixel covers at most; where it lies on a border it covers half of that


@dataclass(frozen=True, eq=False)
class LabelledImage:
    """A decoded sample.

    Attributes:
        name: of the sample.
        pixels: what is learned of it, gray (H, W) or RGB (H, W, 3), in its own dtype.
        label: its values, (H, W) uint8.
    """

    name: str
    pixels: Image
    label: NDArray[np.uint8]

    @cached_property
    def gray(self) -> Image:
        """The picture (H, W)."""
        return to_gray(self.pixels)


def load(dataset: Dataset, *, all_good: bool = True, channels: int = 1) -> list[LabelledImage]:
    """Decode the labelled samples once.

    Args:
        dataset: already cut to the split.
        channels: 1 keeps gray alone, 3 colours.
        all_good: else only as many of those known to be free of defects as this machine's memory holds, at random.

    Raises:
        DatasetError: a mask does not fit, or the memory does not hold what is needed.
        ImageError: an image or mask cannot be read.
    """
    samples, size, most = dataset.labelled.samples, 0, MEMORY_SHARE * _memory()
    good = [] if all_good else [sample for sample in samples if sample.known_good]
    drawn = (good[index] for index in np.random.default_rng(0).permutation(len(good)))
    images: dict[str, LabelledImage] = {}
    needed = [sample for sample in samples if all_good or not sample.known_good]
    for sample in (*needed, *drawn):
        if size > most and len(images) >= len(needed):
            break
        pixels = as_seen(read_image(sample.image), channels)
        image = LabelledImage(sample.name, pixels, sample.draw(pixels.shape, len(dataset.classes)))
        images[sample.name] = image
        size += pixels.nbytes + image.label.nbytes
        if size > most and len(images) <= len(needed):
            kind = "images" if all_good else "images with masks"
            held = f"{len(images)} of {len(needed)} {kind} of '{dataset.split_name}' fill"
            way_out = "name fewer in a list, --split, or save them smaller"
            raise DatasetError(f"{dataset.name}: {held} {MEMORY_SHARE:.0%} of the memory; {way_out}")
    return [images[sample.name] for sample in samples if sample.name in images]


def _memory() -> float:
    """Bytes of memory that this process may use; infinite where the system does not say."""
    limits = [math.inf]
    with suppress(AttributeError, ValueError, OSError):  # other systems
        limits.append(float(os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")))
    for file in CONTAINER_LIMITS:
        with suppress(OSError, ValueError):  # not in a container, or "max"
            limits.append(float(file.read_text()))
    return min(limits) / int(os.environ.get("LOCAL_WORLD_SIZE", "1"))  # of several processes that train together


def scaled(image: LabelledImage, scale: float) -> LabelledImage:
    """An image at `scale`; a defective pixel gets the label value that covers most of it."""
    height, width = scaled_shape(image.label.shape, scale)
    frame = Frame(height, width, height, width)
    target, values = input_target(image.label, frame), np.unique(image.label[image.label > 0])
    if len(values) > 1:
        covered = [frame.put((image.label == value).astype(np.float32)) for value in values]
        target *= values[np.argmax(covered, axis=0)]
    return LabelledImage(image.name, frame.put(image.pixels), target)


def input_target(label: NDArray[np.uint8], frame: Frame) -> NDArray[np.uint8]:
    """Label values (H, W) -> defect mask (height, width) uint8 of 0 and 1 in the network's input.

    A pixel of the input is defective where half of it is. Of what is too thin to cover half a pixel, the most covered
    one across it is taken, or it would vanish from what the network learns.
    """
    defect = (label > 0).astype(np.float32)
    covered = frame.put(defect)
    target = covered >= 0.5
    step = max(label.shape[0] / frame.content_height, label.shape[1] / frame.content_width)
    if step > 1:
        near = np.pad(covered, 1)
        up, down, left, right = near[:-2, 1:-1], near[2:, 1:-1], near[1:-1, :-2], near[1:-1, 2:]
        crest = ((covered >= up) & (covered > down)) | ((covered >= left) & (covered > right))
        target |= crest & (covered > FAINTEST / step)
    return target.astype(np.uint8)


def white_of(images: Sequence[LabelledImage]) -> float | None:
    """The camera's largest gray value in units of full scale: below 1 where its 9 to 15 bits lie in 16.

    Of each image, `HOT` of the pixels are left out, and of its defects, which may be small and bright, a tenth: hot
    ones show any value. None where no image has 16 bits.
    """
    brightest = [
        int(np.quantile(values, share, method="lower"))
        for image in images
        if image.gray.dtype == np.uint16
        for values, share in ((image.gray, 1 - HOT), (image.gray[image.label > 0], 0.9))
        if values.size
    ]
    return float(2.0 ** (max(8, max(brightest).bit_length()) - 16)) if brightest else None


def brightness_of(images: Sequence[LabelledImage]) -> Brightness:
    """Mean gray of the darkest and of the brightest image, which are in full scale."""
    means = [max(gray_levels(image.gray)[0], DARKEST) for image in images]
    return Brightness(darkest=round(min(means), 4), brightest=round(max(means), 4))
