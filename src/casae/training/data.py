"""Labelled images in memory: decoded once, cut into a part to learn from and a part to choose by."""

import itertools
import math
import os
from collections import Counter
from collections.abc import Container, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from casae.config import MIN_AREA_PX
from casae.datasets.masks import label_values, read_label
from casae.datasets.sample import UNCLASSED, Dataset, Sample
from casae.errors import DatasetError
from casae.image import Frame, Image, read_image, scaled_shape, to_gray
from casae.inspection.regions import Rectangle, Region, find_regions

MEMORY_SHARE = 0.25  # of the machine, for decoded images; preparing their views takes twice as much for a while
HOT = 1e-4  # of the pixels of an image may be brighter than a camera's white
THIN = 8  # times as long as thick
FAINTEST = 0.25  # of what a line of one pixel covers at most; where it lies on a border it covers half of that


@dataclass(frozen=True, eq=False)
class LabelledImage:
    """A decoded sample: gray (H, W) in its own dtype, label values (H, W) uint8."""

    name: str
    gray: Image
    label: NDArray[np.uint8]


@dataclass(frozen=True, eq=False)
class LabelledCrop:
    """A labelled defect: the image that it is in, its pixels, and its class counted from 0."""

    image: LabelledImage
    region: Region
    defect_class: int

    @property
    def gray(self) -> Image:
        """The image (H, W)."""
        return self.image.gray

    @property
    def rectangle(self) -> Rectangle:
        """Around the whole defect."""
        return self.region.rectangle


def load(dataset: Dataset, *, all_good: bool = True) -> list[LabelledImage]:
    """Decode the labelled samples once.

    Args:
        dataset: already cut to the split.
        all_good: else only as many of those known to be free of defects as this machine's memory holds, at random.

    Raises:
        DatasetError: a mask does not fit, or the memory does not hold what is needed.
        ImageError: an image or mask cannot be read.
    """
    samples, size, most = dataset.labelled.samples, 0, MEMORY_SHARE * _memory()
    good = [] if all_good else [sample for sample in samples if sample.defect_free]
    drawn = (good[index] for index in np.random.default_rng(0).permutation(len(good)))
    images: dict[str, LabelledImage] = {}
    needed = [sample for sample in samples if all_good or not sample.defect_free]
    for sample in (*needed, *drawn):
        if size > most and len(images) >= len(needed):
            break
        gray = to_gray(read_image(sample.image))
        image = LabelledImage(sample.name, gray, read_label(sample, gray.shape, len(dataset.classes)))
        images[sample.name] = image
        size += gray.nbytes + image.label.nbytes
        if size > most and len(images) <= len(needed):
            kind = "images" if all_good else "images with masks"
            held = f"{len(images)} of {len(needed)} {kind} of '{dataset.split_name}' fill"
            way_out = "name fewer in a list, --split, or save them smaller"
            raise DatasetError(f"{dataset.name}: {held} {MEMORY_SHARE:.0%} of the memory; {way_out}")
    return [images[sample.name] for sample in samples if sample.name in images]


def _memory() -> float:
    """Bytes of this machine's memory; infinite where the system does not say."""
    try:
        return float(os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE"))
    except (AttributeError, ValueError, OSError):  # other systems
        return math.inf


@dataclass(frozen=True)
class Fold:
    """Part `index`, counted from 0, of `count` equal parts is held out."""

    index: int
    count: int


def hold_out(
    dataset: Dataset,
    split: str,
    share: float,
    seed: int,
    fold: Fold | None = None,
    known: Container[str] = frozenset(),
) -> tuple[Dataset, Dataset]:
    """Cut a split into a part to train on and a part to choose by; the two never overlap.

    A list `val` of the dataset is the second part. Without one, `share` of the split is held out, drawn by `seed`: of
    the images with and without defects, each a share and at least one, where there are two; of each class one, as far
    as the share goes, and then in proportion, but of a class never the last image, nor one of the last two where
    others do; images in `known`, which start
    weights have learned, only where no others are.
    A share of 0 holds nothing out, a fold its own part.

    Raises:
        DatasetError: no such split, or too few labelled images in it; of folds, too few with a defect.
        ImageError: a mask cannot be read.
    """
    part = dataset.split(split).labelled
    needed = fold.count if fold else 2
    if len(part.samples) < needed:
        few = f"{dataset.name}: {len(part.samples)} labelled images in '{split}'{dataset.strays}"
        raise DatasetError(f"{few}; label at least {needed}")
    if fold is None and "val" in dataset.splits and split != "val":
        validation = dataset.split("val").labelled
    else:
        held = _draw_held_out(part, share, np.random.default_rng(seed), fold, known)
        validation = part.only(held, f"validation part of {split}")
    outside = {sample.name for sample in part.samples} - {sample.name for sample in validation.samples}
    if validation.split_name == "val" and not validation.samples:
        raise DatasetError(f"{dataset.name}: list 'val' holds no labelled image; label some, or delete splits/val.txt")
    if not outside or (not validation.samples and share > 0):
        raise DatasetError(f"{dataset.name}: split '{split}' and list 'val' leave nothing to train on; separate them")
    return part.only(outside, split), validation


def _draw_held_out(
    part: Dataset, share: float, rng: np.random.Generator, fold: Fold | None, known: Container[str]
) -> set[str]:
    classes = {sample.name: _classes_of(sample, len(part.classes)) for sample in part.samples}
    left = Counter(itertools.chain(*classes.values()))
    groups: dict[tuple[int | None, bool], list[str]] = {}
    for sample in part.samples:
        rarest = min(classes[sample.name], key=lambda value: (left[value], value), default=sample.mask_class)
        groups.setdefault((rarest, not classes[sample.name]), []).append(sample.name)
    shuffled = {
        key: sorted((str(name) for name in rng.permutation(group)), key=known.__contains__)
        for key, group in groups.items()
    }
    if fold:  # dealt out like cards, so that each fold has its share of every class, and none all of the defects
        if sum(map(bool, classes.values())) < 2:
            raise DatasetError(f"{part.name}: folds need two images with labelled defects; label more")
        groups_in_turn = (shuffled[key] for key in sorted(shuffled, key=lambda key: key[1]))
        return set(list(itertools.chain(*groups_in_turn))[fold.index :: fold.count])
    if share == 0:
        return set()
    held: set[str] = set()
    for good in (False, True):
        alike = [group for (_, is_good), group in shuffled.items() if is_good is good]
        places = [(place / len(group), name) for group in alike for place, name in enumerate(group)]
        kind = [name for _, name in sorted(places, key=lambda pair: pair[0])]  # of each class one, then in proportion
        wanted = min(len(kind) - 1, max(1, round(share * len(kind))))
        for least in (2, 1):  # images of a class that stay to learn from
            taken = _taken([name for name in kind if name not in held], wanted, classes, left, least)
            held |= taken
            wanted -= len(taken)
    if held:
        return held
    return {next((group[0] for (_, is_good), group in shuffled.items() if is_good), next(iter(shuffled.values()))[0])}


def _taken(
    names: Sequence[str], wanted: int, classes: Mapping[str, set[int]], left: Counter[int], least: int
) -> set[str]:
    """The first `wanted` that leave each of their classes `least` images to learn from; `left` counts down."""
    taken: set[str] = set()
    for name in names:
        if len(taken) < wanted and all(left[value] > least for value in classes[name]):
            left.subtract(classes[name])
            taken.add(name)
    return taken


def _classes_of(sample: Sample, classes: int) -> set[int]:
    """Label values of the defects in an image; none in one without."""
    if sample.defect_free or sample.mask is None:
        return set()
    return {int(value) for value in np.unique(label_values(sample.mask, sample.mask_class, classes))} - {0}


def scaled(image: LabelledImage, scale: float) -> LabelledImage:
    """An image at `scale`; a defective pixel gets the label value that covers most of it."""
    height, width = scaled_shape(image.gray.shape, scale)
    frame = Frame(height, width, height, width)
    target, values = input_target(image.label, frame), np.unique(image.label[image.label > 0])
    if len(values) > 1:
        covered = [frame.put((image.label == value).astype(np.float32)) for value in values]
        target *= values[np.argmax(covered, axis=0)]
    return LabelledImage(image.name, frame.put(image.gray), target)


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


def white_of(images: Sequence[LabelledImage]) -> float:
    """The camera's largest gray value in units of full scale: below 1 where its 9 to 15 bits lie in 16.

    Of each image, `HOT` of the pixels are left out, and of its defects, which may be small and bright, a tenth: hot
    ones show any value.
    """
    brightest = [
        int(np.quantile(values, share, method="lower"))
        for image in images
        if image.gray.dtype == np.uint16
        for values, share in ((image.gray, 1 - HOT), (image.gray[image.label > 0], 0.9))
        if values.size
    ]
    return float(2.0 ** (max(8, max(brightest).bit_length()) - 16)) if brightest else 1.0


def smallest_region(images: Sequence[LabelledImage]) -> int:
    """Area, px, from which a found region is reported: `MIN_AREA_PX`, or a quarter of the typical labelled defect.

    The class with the smallest defects decides, but none of which so few pixels are labelled that they may be slips of
    the brush. An image's typical one of a class is that in which its median pixel of the class lies, so that crumbs
    beside a defect do not count.
    """
    typical: dict[int, list[int]] = {}
    labelled: Counter[int] = Counter()
    for image in images:
        for value in np.unique(image.label[image.label > 0]):
            areas = sorted(region.area for region in find_regions(image.label == value, 1))
            middle = int(np.searchsorted(np.cumsum(areas), sum(areas) / 2))
            typical.setdefault(int(value), []).append(areas[middle])
            labelled[int(value)] += sum(areas)
    fewest = min(MIN_AREA_PX, max(labelled.values(), default=0))
    medians = [float(np.median(areas)) for value, areas in typical.items() if labelled[value] >= fewest]
    smallest = min(medians, default=4.0 * MIN_AREA_PX)
    return max(1, min(MIN_AREA_PX, int(smallest) // 4))


def thickness(region: Region) -> float:
    """Of a band with the area and outline of the region, px."""
    return 2 * region.area / max(region.perimeter, 1)


def is_thin(region: Region) -> bool:
    """Whether a region is so long that it is often found in pieces."""
    return region.rectangle.length >= THIN * thickness(region)


def labelled_crops(images: Sequence[LabelledImage], classes: int, min_area_px: int) -> list[LabelledCrop]:
    """Every region of every class, found by the same code that inspection uses; defects without class are left out."""
    return [
        LabelledCrop(image, region, value - 1)
        for image in images
        for value in range(1, min(classes + 1, UNCLASSED))
        for region in find_regions(image.label == value, min_area_px)
    ]
