"""Labelled images in memory: decoded once, cut into a part to learn from and a part to choose by."""

import itertools
from collections.abc import Container, Sequence
from dataclasses import dataclass

import cv2
import numpy as np
import torch
from numpy.typing import NDArray

from casae.config import MIN_AREA_PX, STRIDE, Fit, SegmenterSettings
from casae.datasets.sample import UNCLASSED, Dataset, Sample, read_label
from casae.errors import DatasetError
from casae.image import Frame, Image, read_image, scaled_shape, to_gray
from casae.inspection.regions import Rectangle, Region, find_regions

Pair = tuple[torch.Tensor, torch.Tensor]


LARGEST_TILE = 768  # px
FAINTEST = 0.25  # of what a line of one pixel covers at most; where it lies on a border it covers half of that
THINNEST = 3.0  # px of the input that a thin defect needs to be learned


@dataclass(frozen=True, eq=False)
class LabelledImage:
    """A decoded sample: gray (H, W) in its own dtype, label values (H, W) uint8."""

    name: str
    gray: Image
    label: NDArray[np.uint8]


@dataclass(frozen=True, eq=False)
class LabelledCrop:
    """A labelled defect: the image (H, W) that it is in, its pixels, and its class counted from 0."""

    gray: Image
    region: Region
    defect_class: int

    @property
    def rectangle(self) -> Rectangle:
        """Around the whole defect."""
        return self.region.rectangle


def load(dataset: Dataset) -> list[LabelledImage]:
    """Decode all labelled samples once."""
    images = []
    for sample in dataset.labelled.samples:
        gray = to_gray(read_image(sample.image))
        images.append(LabelledImage(sample.name, gray, read_label(sample, gray.shape, len(dataset.classes))))
    return images


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
    the images with and without defects, each a share and at least one, where there are two; evenly of each class where
    the reader knows an image's class; images in `known`, which start weights have learned, only where no others are.
    A share of 0 holds nothing out, a fold its own part.

    Raises:
        DatasetError: no such split, or too few labelled images in it.
        ImageError: a mask cannot be read.
    """
    part = dataset.split(split).labelled
    needed = fold.count if fold else 2
    if len(part.samples) < needed:
        raise DatasetError(f"{dataset.name}: {len(part.samples)} labelled images in '{split}'; label at least {needed}")
    if fold is None and "val" in dataset.splits and split != "val":
        validation = dataset.split("val").labelled
    else:
        held = _draw_held_out(part, share, np.random.default_rng(seed), fold, known)
        validation = part.only(held, f"validation part of {split}")
    outside = {sample.name for sample in part.samples} - {sample.name for sample in validation.samples}
    if not outside or (not validation.samples and share > 0):
        raise DatasetError(f"{dataset.name}: split '{split}' and list 'val' leave nothing to train on; separate them")
    return part.only(outside, split), validation


def _draw_held_out(
    part: Dataset, share: float, rng: np.random.Generator, fold: Fold | None, known: Container[str]
) -> set[str]:
    groups: dict[tuple[int | None, bool], list[str]] = {}
    for sample in part.samples:
        groups.setdefault((sample.mask_class, _is_good(sample)), []).append(sample.name)
    shuffled = {
        key: sorted((str(name) for name in rng.permutation(group)), key=known.__contains__)
        for key, group in groups.items()
    }
    if fold:  # dealt out like cards, so that each fold has its share of every class
        return set(list(itertools.chain(*shuffled.values()))[fold.index :: fold.count])
    if share == 0:
        return set()
    held: set[str] = set()
    for good in (False, True):
        turns = itertools.zip_longest(*(group for (_, is_good), group in shuffled.items() if is_good is good))
        kind = [name for turn in turns for name in turn if name is not None]
        held |= set(kind[: min(len(kind) - 1, max(1, round(share * len(kind))))])
    if held:
        return held
    return {next((group[0] for (_, is_good), group in shuffled.items() if is_good), next(iter(shuffled.values()))[0])}


def _is_good(sample: Sample) -> bool:
    return sample.defect_free or (sample.mask is not None and not read_image(sample.mask).any())


def input_size(images: Sequence[LabelledImage], size: int, fit: Fit, stride: int = STRIDE) -> tuple[int, int]:
    """(height, width) of the network's input: `size` is the longer side, the shorter one follows the typical image."""
    if fit == "squeeze":
        return size, size
    ratio = float(np.median([image.gray.shape[0] / image.gray.shape[1] for image in images]))
    shorter = max(stride, round(size * min(ratio, 1 / ratio) / stride) * stride)
    return (shorter, size) if ratio <= 1 else (size, shorter)


def tile_size(images: Sequence[LabelledImage], size: int, scale: float, stride: int = STRIDE) -> tuple[int, int]:
    """(height, width) of the tiles of an inspection: the typical image at `scale`, between `size` and `LARGEST_TILE`.

    Training shows parts of `size` px; a larger tile costs no more a pixel, and the network sees more around a defect.
    """
    typical = [float(np.median([image.gray.shape[axis] for image in images])) * scale for axis in (0, 1)]
    height, width = (max(size, min(LARGEST_TILE, -(-round(side) // stride) * stride)) for side in typical)
    return height, width


def choose_fit(images: Sequence[LabelledImage], settings: SegmenterSettings) -> tuple[Fit, float, str]:
    """How images meet the input, the scale at which they are cut into tiles, and why, in words.

    The thinnest tenth of the labelled defects shall keep `THINNEST` pixels. Tiles where images scaled to the input
    leave fewer, at the smallest scale that leaves as many: a tile then shows more around a defect, and few are needed.
    """
    if settings.fit in ("letterbox", "squeeze"):
        return settings.fit, 1.0, ""
    whole = min(1.0, float(np.median([settings.size / max(image.gray.shape) for image in images])))
    thickness = [_thickness(region) for image in images for region in find_regions(image.label > 0, 2)]
    thin = float(np.percentile(thickness, 10)) if thickness else THINNEST
    left = f"a thin labelled defect, {thin:.1f} px, has {thin * whole:.1f} px in an input of {settings.size} px"
    if settings.fit == "choose" and (whole == 1 or not thickness or thin * whole >= THINNEST):
        return "letterbox", 1.0, f". Scaled images: {left}; --tile cuts them into tiles" if whole < 1 else ""
    scale = settings.scale or round(max(whole, min(1.0, THINNEST / thin)), 2)
    return "tile", scale, f". Tiles: {left}; --scale sets another scale, --no-tile shows the network whole images"


def _thickness(region: Region) -> float:
    """Twice the largest distance from the outline, px."""
    inside = cv2.distanceTransform(np.pad(region.mask, 1).view(np.uint8), cv2.DIST_L2, cv2.DIST_MASK_PRECISE)
    return 2 * float(inside.max()) - 1


def scaled(image: LabelledImage, scale: float) -> LabelledImage:
    """An image at `scale`, and its defects as 0 and 1."""
    height, width = scaled_shape(image.gray.shape, scale)
    frame = Frame(height, width, height, width)
    return LabelledImage(image.name, frame.put(image.gray), input_target(image.label, frame))


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
    """The camera's largest gray value in units of full scale: below 1 where its 9 to 15 bits lie in 16."""
    if not images or any(image.gray.dtype != np.uint16 for image in images):
        return 1.0
    bits = max(int(image.gray.max()) for image in images).bit_length()
    return float(2.0 ** (max(8, bits) - 16))


def smallest_region(images: Sequence[LabelledImage]) -> int:
    """Area, px, from which a found region is reported: `MIN_AREA_PX`, or a quarter of the typical labelled defect."""
    areas = [region.area for image in images for region in find_regions(image.label > 0, 1)]
    return max(1, min(MIN_AREA_PX, int(np.median(areas)) // 4)) if areas else MIN_AREA_PX


def labelled_crops(images: Sequence[LabelledImage], classes: int, min_area_px: int) -> list[LabelledCrop]:
    """Every region of every class, found by the same code that inspection uses; defects without class are left out."""
    return [
        LabelledCrop(image.gray, region, value - 1)
        for image in images
        for value in range(1, min(classes + 1, UNCLASSED))
        for region in find_regions(image.label == value, min_area_px)
    ]
