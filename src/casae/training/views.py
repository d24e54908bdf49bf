"""Endless random views of labelled images.

Every view is a function of (seed, epoch, position) alone: the same seed gives the same training, with any number of
loader processes and across an interruption.
"""

import copy
import itertools
import math
import signal
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Self

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch.utils.data import DataLoader, Sampler
from torch.utils.data import Dataset as TorchDataset

from casae.config import Fit
from casae.image import Frame, Image, gray_levels, lies_across, planes, standardise, to_gray, to_unit, transposed
from casae.inspection.classification import classifier_input
from casae.inspection.regions import Rectangle, Region, enclosing_rectangle, find_regions
from casae.labelled.defects import LabelledCrop, is_thin, thickness
from casae.labelled.images import LabelledImage, input_target
from casae.training import crew
from casae.training.augmentation import Augmentation, Window, visible_levels

Pair = tuple[torch.Tensor, torch.Tensor]

AROUND_DEFECTS = 0.6  # share of tiles that are drawn around a defect
STILL = 0.4  # share of tiles, see docs/results/log.md
DRIFT = 0.25  # of the brightness of tiles: an inspection knows that of the whole image, and parts differ a little
COARSE_LEAST = 4.0  # px of a coarse view that a defect is thick
RIM = 3  # px around a pasted defect over which it passes into its new place
OTHER_SEED = 2**32  # beyond those that a person may choose
POINTS = 2000  # pixels remembered of a region, at most


class SegmenterViews(TorchDataset[Pair]):
    """What views for the segmenter have in common: image (channels, h, w) float32, defect (h, w) float32 of 0 and 1.

    However many images are free of defects, half of the views are of the others.

    Args:
        pairs: image, gray (H, W) or RGB (H, W, 3), and defect of each.
        views: an epoch, at least.
        paste: probability that a view gets the defects of another one as well.
        standardised: bring values to mean 0 and deviation 1 by those of the whole image; else it is in 0..1.
    """

    def __init__(
        self,
        pairs: Sequence[tuple[Image, NDArray[np.uint8]]],
        views: int,
        seed: int,
        paste: float = 0.0,
        standardised: bool = False,
    ) -> None:
        self.standardised = standardised
        self.pairs, self.paste, self.augmentation = pairs, paste, Augmentation()
        self._levels = [gray_levels(image) for image, _ in pairs] if standardised else []
        self.light_levels = [visible_levels(to_gray(image), defect) for image, defect in pairs]
        self.views, self.seed = max(views, len(pairs)), seed
        self._donors = [index for index, (_, defect) in enumerate(pairs) if defect.any()]
        self._shown = balanced(self._donors, len(pairs))

    def __getitem__(self, position: int) -> Pair:
        place, rng = draw(position, self.views, len(self._shown), self.seed)
        index = self._shown[place]
        image, defect = self.view(index, rng)
        if self._donors and rng.random() < self.paste:
            donor = self._donors[int(rng.integers(len(self._donors)))]
            image, defect = pasted(image, defect, *self.view(donor, rng))
        if self.standardised:
            image = standardise(image, self._levels[index])
        return torch.from_numpy(planes(image)), torch.from_numpy(defect.astype(np.float32))

    def view(self, index: int, rng: np.random.Generator) -> tuple[NDArray[np.float32], NDArray[np.uint8]]:
        """A random view of image `index`: (h, w) or (h, w, 3) float32 in 0..1, defect (h, w) uint8 of 0 and 1."""
        raise NotImplementedError

    def augmented(self, augmentation: Augmentation, stage: int = 1) -> Self:
        """The same images under another augmentation; each stage of a training sees other views of them."""
        other = copy.copy(self)
        other.augmentation, other.seed = augmentation, self.seed + (stage - 1) * OTHER_SEED
        return other

    def evenly(self) -> Self:
        """The same images, each as often as the others, however few show a defect."""
        other = copy.copy(self)
        other._shown = list(range(len(self.pairs)))
        return other

    def __len__(self) -> int:
        return self.views


class AlternatingViews(SegmenterViews):
    """Of two views that follow each other, one is of the first kind and one of the second; both have one shape."""

    def __init__(self, first: SegmenterViews, second: SegmenterViews) -> None:
        self.kinds = first, second
        self.views, self.seed = 2 * len(first), first.seed

    def __getitem__(self, position: int) -> Pair:
        # By how many bits are set, or each of two processes that take turns would see one kind alone.
        return self.kinds[position.bit_count() % 2][position // 2]

    def augmented(self, augmentation: Augmentation, stage: int = 1) -> Self:
        """See `SegmenterViews.augmented`."""
        first, second = self.kinds
        return type(self)(first.augmented(augmentation, stage), second.augmented(augmentation, stage))

    def evenly(self) -> Self:
        """See `SegmenterViews.evenly`."""
        first, second = self.kinds
        return type(self)(first.evenly(), second.evenly())


class MaskViews(SegmenterViews):
    """Random views of whole images, scaled to the network's input; `target` brings a label there."""

    def __init__(
        self,
        images: Sequence[LabelledImage],
        height: int,
        width: int,
        fit: Fit,
        views: int,
        seed: int,
        paste: float = 0.0,
        target: Callable[[NDArray[np.uint8], Frame], NDArray[np.uint8]] = input_target,
    ) -> None:
        pairs = []
        for pixels, label in (_lying_as(image, height, width) for image in images):
            frame = Frame.of(pixels.shape, height, width, fit)
            pairs.append((to_unit(frame.put(pixels)), target(label, frame)))
        super().__init__(pairs, views, seed, paste)

    def view(self, index: int, rng: np.random.Generator) -> tuple[NDArray[np.float32], NDArray[np.uint8]]:
        """See `SegmenterViews.view`."""
        return self.augmentation(*self.pairs[index], rng, levels=self.light_levels[index])


class TileViews(SegmenterViews):
    """Random tiles, drawn around defects and around background.

    A small defect is looked at as often as a large one: first a region is drawn, then a pixel of it. Of an image with
    several classes, each comes as often as the root of how many regions it has, or a scratch among pores would hardly
    be seen. Smaller regions than `min_area` px are left out where there are others.
    """

    def __init__(
        self,
        images: Sequence[LabelledImage],
        height: int,
        width: int,
        views: int,
        seed: int,
        paste: float = 0.0,
        standardised: bool = False,
        min_area: float = 1,
    ) -> None:
        lying = [_lying_as(image, height, width) for image in images]
        pairs = [(pixels, (label > 0).view(np.uint8)) for pixels, label in lying]
        super().__init__(pairs, views, seed, paste, standardised)
        self.height, self.width = height, width
        self.places = [_Places.of(label, min_area) for _, label in lying]

    def augmented(self, augmentation: Augmentation, stage: int = 1) -> Self:
        """See `SegmenterViews.augmented`.

        The light stays even: what is smooth in a tile may be a part of a defect. And `STILL` of the views are not
        resampled, or the grain of an inspection would be half as strong again as any that was learned from.
        """
        return super().augmented(replace(augmentation, shading=0.0, still=STILL, drift=DRIFT), stage)

    def view(self, index: int, rng: np.random.Generator) -> tuple[NDArray[np.float32], NDArray[np.uint8]]:
        """See `SegmenterViews.view`."""
        pixels, defect = self.pairs[index]
        window = Window(self.height, self.width, self._centre(self.places[index], pixels.shape, rng))
        return self.augmentation(pixels, defect, rng, window, self.light_levels[index])

    def _centre(self, places: "_Places", shape: tuple[int, ...], rng: np.random.Generator) -> tuple[float, float]:
        if places.regions and rng.random() < AROUND_DEFECTS:
            region = places.regions[int(np.searchsorted(places.until, rng.random(), "right"))]
            x, y = region[rng.integers(len(region))] + rng.uniform(-0.4, 0.4, 2) * (self.width, self.height)
        else:
            x, y = rng.uniform(0, 1, 2) * (shape[1], shape[0])
        return _inside(x, shape[1], self.width), _inside(y, shape[0], self.height)


class CoarseViews(SegmenterViews):
    """Random views of whole images that are also cut into tiles; of their defects only those that are large here."""

    def __init__(
        self, images: Sequence[LabelledImage], height: int, width: int, views: int, seed: int, standardised: bool
    ) -> None:
        pairs, levels = [], []
        for pixels, label in (_lying_as(image, height, width) for image in images):
            frame = Frame.of(pixels.shape, height, width, "letterbox")
            kept = np.zeros_like(label)
            for region in find_regions(label > 0, 1):
                if thickness(region) * frame.content_width / label.shape[1] >= COARSE_LEAST:
                    kept[region.at] = 1
            pairs.append((frame.put(pixels), input_target(kept, frame)))
            levels.append(gray_levels(pixels))
        super().__init__(pairs, views, seed, standardised=standardised)
        self._levels = levels if standardised else []

    def view(self, index: int, rng: np.random.Generator) -> tuple[NDArray[np.float32], NDArray[np.uint8]]:
        """See `SegmenterViews.view`."""
        return self.augmentation(*self.pairs[index], rng, levels=self.light_levels[index])

    def augmented(self, augmentation: Augmentation, stage: int = 1) -> Self:
        """See `SegmenterViews.augmented`; the light stays even, which a large defect may be a part of."""
        return super().augmented(replace(augmentation, shading=0.0, drift=DRIFT), stage)


def _lying_as(image: LabelledImage, height: int, width: int) -> tuple[Image, NDArray[np.uint8]]:
    """Pixels and label as the network sees them, see `casae.image.lies_across`."""
    if lies_across(image.label.shape, height, width):
        return transposed(image.pixels), transposed(image.label)
    return image.pixels, image.label


def _inside(centre: float, length: int, window: int) -> float:
    """An image larger than a window has no need of its mirror image."""
    half = window / 2
    return float(np.clip(centre, min(half, length / 2), max(length - half, length / 2)))


class CropViews(TorchDataset[Pair]):
    """Random views of defects for the compact CNN: crop (channels, 227, 227) float32 in 0..1, class.

    The rectangle itself is disturbed, as a rectangle around a found region differs from that around a drawn one; and
    that of a thin defect is often around a piece, as inspections find hairlines and fibres in pieces.

    Args:
        crops: to look at.
        views: an epoch.
        seed: of the views.
        repeats: of each class: how often a crop of it comes while one of the commonest class comes once.
    """

    def __init__(
        self, crops: Sequence[LabelledCrop], views: int, seed: int, repeats: Sequence[int] | None = None
    ) -> None:
        self.crops, self.views, self.seed = crops, views, seed
        self.augmentation = Augmentation()
        images = {id(crop.image): crop.image for crop in crops}
        levels = {key: visible_levels(image.gray, image.label) for key, image in images.items()}
        self._levels = [levels[id(crop.image)] for crop in crops]
        shown = range(len(crops))
        self._shown = [index for index in shown for _ in range(repeats[crops[index].defect_class] if repeats else 1)]

    def __len__(self) -> int:
        return self.views

    def __getitem__(self, position: int) -> Pair:
        place, rng = draw(position, self.views, len(self._shown), self.seed)
        index = self._shown[place]
        crop = self.crops[index]
        view = classifier_input(crop.pixels, _disturbed(_piece(crop.region, rng), rng))
        view = view[:: rng.choice([-1, 1]), :: rng.choice([-1, 1])]
        view = self.augmentation.light(np.ascontiguousarray(view), rng, self._levels[index])
        return torch.from_numpy(planes(view)), torch.tensor(crop.defect_class)


class EpochSampler(Sampler[int]):
    """Positions that go on counting from epoch to epoch, from `position` on.

    Lightning's own `set_epoch` starts at 0 again after an interruption, so it is counted here.

    Args:
        views: of an epoch.
        processes: that share them, in turn; `process` is the place of this one among them.
    """

    def __init__(self, views: int, processes: int = 1, process: int = 0) -> None:
        self.views, self.processes, self.process = views, processes, process
        self.length, self.position = views // processes, 0

    def __iter__(self) -> Iterator[int]:
        start = self.position
        epoch = start // self.length
        self.position = (epoch + 1) * self.length
        places = range(start - epoch * self.length, self.length)
        return (epoch * self.views + place * self.processes + self.process for place in places)

    def __len__(self) -> int:
        return self.length


def draw(position: int, views: int, count: int, seed: int) -> tuple[int, np.random.Generator]:
    """Which of `count` items a position shows, and the randomness of its view.

    Within `count` positions of one epoch every item comes once.
    """
    epoch, place = divmod(position, views)
    turn, step = divmod(place, count)
    order = np.random.default_rng([seed, epoch, turn]).permutation(count)
    return int(order[step]), np.random.default_rng([seed, epoch, turn, step, 1])


def balanced(defective: Sequence[int], count: int) -> list[int]:
    """Indices of all `count` images, the defective ones as often as it takes to be as many as the others."""
    indices, others = list(range(count)), count - len(defective)
    if not defective:
        return indices
    repeated = itertools.islice(itertools.cycle(defective), max(0, others - len(defective)))
    return indices + list(repeated)


def pasted(
    image: NDArray[np.float32], defect: NDArray[np.uint8], other: NDArray[np.float32], added: NDArray[np.uint8]
) -> tuple[NDArray[np.float32], NDArray[np.uint8]]:
    """An image with the defects of another one of the same shape, brought to the brightness of their new place.

    Cut-paste of labelled defects as in Ghiasi et al. 2021 (arXiv:2012.07177), with a soft rim.

    Args:
        image: (H, W) or (H, W, 3) in 0..1; stays as it is.
        defect: its defects (H, W) of 0 and 1; stays as it is.
        other: of the same shape; the defects come from it.
        added: its defects (H, W) of 0 and 1.
    """
    if not added.any():
        return image, defect
    kernel = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * RIM + 1,) * 2)
    near = cv2.dilate(added, kernel)
    rim = (cv2.dilate(near, kernel) > near) & (added == 0)
    rim = rim if rim.any() else near > 0
    cover = cv2.GaussianBlur(near.astype(np.float32), (0, 0), RIM / 2)
    level = (image[rim].mean(0) - other[rim].mean(0)).astype(np.float32)
    mixed = image + (cover if image.ndim == 2 else cover[..., None]) * (other + level - image)
    return np.clip(mixed, 0, 1), np.maximum(np.where(near > 0, 0, defect).astype(np.uint8), added)


def loader(views: SegmenterViews | CropViews, batch: int) -> DataLoader[Pair]:
    """Batches prepared by one process beside the training; of several that train together, the share of this one."""
    sampler = EpochSampler(len(views), crew.count(), crew.rank())
    return DataLoader(
        views, crew.share_of(batch), sampler=sampler, num_workers=1, persistent_workers=True, worker_init_fn=_begin
    )


def _begin(worker: int) -> None:
    """Ctrl-C is for the training, which ends its step and still needs this process until then."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    cv2.setNumThreads(1)


def part_of(region: Region, rng: np.random.Generator) -> NDArray[np.int32]:
    """Pixels (x, y) that a random window on a thin region shows, (N, 2)."""
    points = region.pixels
    half = rng.uniform(2 * thickness(region), region.rectangle.length / 2)
    near = np.abs(points - points[rng.integers(len(points))]).max(axis=1) <= half
    return points[near]


def _piece(region: Region, rng: np.random.Generator) -> Rectangle:
    """The rectangle around a thin region or, half of the time, around what a window on it shows."""
    if not is_thin(region) or rng.random() < 0.5:
        return region.rectangle
    return enclosing_rectangle(part_of(region, rng))


def _disturbed(rectangle: Rectangle, rng: np.random.Generator) -> Rectangle:
    size = rng.uniform(0.85, 1.2, 2)
    shift = rng.uniform(-0.05, 0.05, 2) @ (rectangle.axes * [[rectangle.length], [rectangle.width]])
    return Rectangle(
        (rectangle.centre[0] + shift[0], rectangle.centre[1] + shift[1]),
        rectangle.length * size[0],
        rectangle.width * size[1],
        rectangle.angle + rng.uniform(-8, 8),
    )


@dataclass(frozen=True, eq=False)
class _Places:
    """Where the defects of an image are.

    Attributes:
        regions: pixels (x, y) of each, (N, 2), thinned out evenly in large ones.
        until: running sum of how probable each is, up to 1.
    """

    regions: Sequence[NDArray[np.int32]]
    until: NDArray[np.float64]

    @classmethod
    def of(cls, label: NDArray[np.uint8], min_area: float) -> Self:
        """Of regions in label values (H, W) that have `min_area` px; of crumbs where there is nothing else."""
        found = find_regions(label > 0)
        regions = [region for region in found if region.area >= min_area] or found
        values = [int(np.bincount(label[region.at]).argmax()) for region in regions]
        count = np.bincount(values, minlength=1)
        until = np.cumsum([1 / math.sqrt(count[value]) for value in values])
        return cls([r.pixels[:: 1 + r.area // POINTS].copy() for r in regions], until / max(until, default=1))
