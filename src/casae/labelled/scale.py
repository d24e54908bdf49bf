"""The size of a network's input, and the scale at which images meet it, chosen by the labelled defects."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np

from casae.config import Fit
from casae.image import lies_across
from casae.inspection.regions import Region, find_regions
from casae.inspection.segmentation import MOST_OVERLAP
from casae.labelled.defects import is_thin, smallest_region, thickness
from casae.labelled.images import LabelledImage
from casae.recipes import STRIDE, SegmenterSettings

LARGEST_TILE = 768  # px
LARGE = 0.6  # of a view that a defect is as wide as, of which a tile shows too little to tell it by
LEAST_FIT = 0.9  # of its scale an image may lose because an input's side is a multiple of the stride
NARROW = 2.0  # times as long as wide
BLOT = 2.0  # times as thick as the defect that it is on
THINNEST = 3.0  # px of the input that a thin defect needs to be learned
FEWEST = 3  # images of a class whose typical defect decides; or half of all
SMALLEST = 8.0  # px of the input, root of its area, that a small one needs
ENOUGH = 0.95  # of `SMALLEST`
MOST_PIXELS = 3e6  # of a scaled image, for the sake of small defects; thin ones would vanish


def input_size(images: Sequence[LabelledImage], size: int, fit: Fit, stride: int = STRIDE) -> tuple[int, int]:
    """(height, width) of the network's input: `size` is the longer side, the shorter one follows the typical image."""
    if fit == "squeeze":
        return size, size
    exact = size * float(np.median([min(image.gray.shape) / max(image.gray.shape) for image in images]))
    shorter = max(stride, round(exact / stride) * stride)
    if shorter < LEAST_FIT * exact:
        shorter += stride
    return _lying_as(images, shorter, size)


def tile_size(images: Sequence[LabelledImage], size: int, scale: float, stride: int = STRIDE) -> tuple[int, int]:
    """(height, width) of the tiles of an inspection: the typical image at `scale`, in as few parts as are small enough.

    Training shows parts of `size` px; a larger tile costs no more a pixel, and the network sees more around a defect.
    """
    most = max(size, LARGEST_TILE)
    shorter, longer = (float(np.median([side(image.gray.shape) for image in images])) * scale for side in (min, max))
    return _lying_as(images, _part_of(shorter, most, stride), _part_of(longer, most, stride))


def _part_of(length: float, most: int, stride: int) -> int:
    """Side of the tiles that cover a length, none larger than `most`."""
    parts = max(1, math.ceil((length - MOST_OVERLAP) / (most - MOST_OVERLAP)))
    return math.ceil((length + (parts - 1) * MOST_OVERLAP) / parts / stride) * stride


def view_size(tile: tuple[int, int], size: int, stride: int = STRIDE) -> tuple[int, int]:
    """(height, width) of the views to learn from: a square of `size`, or as many pixels of a narrower tile."""
    shorter = min(size, *tile)
    longer = min(max(tile), size * size // shorter // stride * stride)
    return (shorter, longer) if tile[0] <= tile[1] else (longer, shorter)


def outgrows(images: Sequence[LabelledImage], view: tuple[int, int], scale: float) -> bool:
    """Whether labelled defects of several images leave little around them in a view (height, width) at a scale.

    Only thick ones count: of a long thin one a piece is as plain as all of it.
    """
    smallest = LARGE * min(view) / scale
    large = sum(
        any(
            min(region.rectangle.length, region.rectangle.width) >= smallest
            for region in find_regions(image.label > 0, max(1, round(smallest)))
        )
        for image in images
    )
    return large >= min(FEWEST, max(1, sum(bool(image.label.any()) for image in images) / 2))


def _lying_as(images: Sequence[LabelledImage], shorter: int, longer: int) -> tuple[int, int]:
    """(height, width), lying or standing as most images do."""
    standing = sum(image.gray.shape[0] > image.gray.shape[1] for image in images)
    return (longer, shorter) if 2 * standing > len(images) else (shorter, longer)


@dataclass(frozen=True)
class Criterion:
    """Something that an input must show.

    Attributes:
        need: scale of the images at which it does, as far as that can be afforded; `wish` is that scale itself.
        met: whether images that are scaled to the input as a whole do.
        sentence: what they show.
        size_px: of what is to be seen, at full scale; 0 where that is no defect.
    """

    need: float
    wish: float
    met: bool
    sentence: str
    size_px: float = 0.0


def choose_fit(images: Sequence[LabelledImage], settings: SegmenterSettings) -> tuple[Fit, float, str]:
    """How images meet the input, the scale at which they are cut into tiles, and why, in words.

    Tiles where images scaled to the input as a whole do not meet every one of `criteria_of`, at the scale that the
    strictest of them needs: a tile then shows more around a defect, and few are needed.
    """
    if settings.fit in ("letterbox", "squeeze"):
        return settings.fit, 1.0, ""
    height, width = input_size(images, settings.size, "letterbox", settings.stride)
    wholes = [_whole(image.gray.shape, height, width) for image in images]
    criteria = criteria_of(images, wholes, settings.size)
    unmet = [criterion for criterion in criteria if not criterion.met]
    shown_whole = min(wholes) == 1
    if settings.fit == "choose" and (shown_whole or not unmet):
        return "letterbox", 1.0, "" if shown_whole else criteria[0].sentence
    strictest = max(unmet or criteria, key=lambda criterion: criterion.need)
    scale = settings.scale or round(max(float(np.median(wholes)), *(each.need for each in criteria)), 2)
    why = strictest.sentence
    short = next((criterion for criterion in criteria if scale < ENOUGH * criterion.wish), None)
    if short and not settings.scale:
        why += (
            f"; a small one keeps {scale * short.size_px:.1f} px, because images are large (--set scale=1 shows more)"
        )
    return "tile", scale, why


def criteria_of(images: Sequence[LabelledImage], wholes: Sequence[float], size: int) -> list[Criterion]:
    """What an input of `size` px must show of images that `wholes` scale to it.

    The thinnest tenth of the labelled defects, and the typical one of each class, shall keep `THINNEST` pixels, and of
    the smallest tenth the root of the area `SMALLEST`, as far as that takes no more than `MOST_PIXELS`. Images `NARROW`
    times as long as wide shall have as many pixels as a square one.
    """
    smallest = smallest_region(images)
    extents = [_extents(image, smallest) for image in images]
    thin, small = _least(extents, [1.0] * len(images))
    thin_left, small_left = _least(extents, wholes)
    defective = [image.gray.size for image in images if image.label.any()]
    affordable = math.sqrt(MOST_PIXELS / float(np.median(defective))) if defective else 1.0
    narrow = _narrow_scale(images, size)
    for_thin, for_small = min(1.0, THINNEST / thin), min(1.0, SMALLEST / small)
    end = f"in an input of {size} px"
    a_thin = f"a thin labelled defect, {thin:.1f} px, has {thin_left:.1f} px {end}"
    a_small = f"a small labelled defect, {small:.0f} px, has {small_left:.1f} px {end}"
    return [
        Criterion(for_thin, for_thin, thin_left >= THINNEST, a_thin, thin),
        Criterion(min(affordable, for_small), for_small, small_left >= SMALLEST, a_small, small),
        Criterion(narrow, narrow, narrow == 0, f"images this narrow show few pixels {end}"),
    ]


def _narrow_scale(images: Sequence[LabelledImage], size: int) -> float:
    """Scale at which narrow images have as many pixels as a square input of `size`; 0 where the images are not."""
    shapes = [image.gray.shape for image in images]
    if np.median([max(shape) / min(shape) for shape in shapes]) < NARROW:
        return 0.0
    return min(1.0, size / float(np.median([math.sqrt(math.prod(shape)) for shape in shapes])))


def _whole(shape: tuple[int, ...], height: int, width: int) -> float:
    """Scale at which an image of `shape` (H, W) fits an input, 1 at most; it may be seen transposed."""
    if lies_across(shape, height, width):
        height, width = width, height
    return min(1.0, height / shape[0], width / shape[1])


def _extents(image: LabelledImage, smallest: int) -> dict[int, list[tuple[float, float]]]:
    """Thickness and root of the area, px, of the defects of each class, and under 0 of all, whatever their class."""
    values = [int(value) for value in np.unique(image.label[image.label > 0])]
    masks = {0: image.label > 0} | {value: image.label == value for value in values if len(values) > 1}
    found = {
        value: [(_thickness(region), math.sqrt(region.area)) for region in find_regions(mask, smallest)]
        for value, mask in masks.items()
    }
    return found if len(values) > 1 else found | dict.fromkeys(values, found[0])


def _least(extents: Sequence[dict[int, list[tuple[float, float]]]], scales: Sequence[float]) -> tuple[float, float]:
    """At these scales, thickness of the thinnest tenth of all defects, and root of the area of the smallest, px; or a
    class's typical one where that is less, and not only one or two of many images show it.

    Each image counts once, or the crumbs of a single mask would decide.
    """
    fewest = min(FEWEST, sum(map(bool, extents)) / 2)
    pooled: dict[int, list[tuple[float, float, float]]] = {}
    for found, scale in zip(extents, scales, strict=True):
        for value, each in found.items():
            pooled.setdefault(value, []).extend((scale * thin, scale * side, 1 / len(each)) for thin, side in each)
    least = [
        [_quantile([(sizes[which], sizes[2]) for sizes in each], 0.5 if value else 0.1) for which in (0, 1)]
        for value, each in pooled.items()
        if each and (not value or sum(sizes[2] for sizes in each) > fewest - 0.1)
    ]
    thins, sides = zip(*least, strict=True) if least else ((THINNEST,), (SMALLEST,))
    return min(thins), min(sides)


def _quantile(weighted: Sequence[tuple[float, float]], share: float) -> float:
    """Of (value, weight), the value up to which `share` of the weight lies."""
    values, weights = np.array(sorted(weighted)).T
    passed = np.cumsum(weights)
    return float(values[np.searchsorted(passed, share * passed[-1])])


def _thickness(region: Region) -> float:
    """Twice the largest distance from the outline, px; but a blot on a thin defect does not make it thick."""
    inside = cv2.distanceTransform(np.pad(region.box(), 1).view(np.uint8), cv2.DIST_L2, cv2.DIST_MASK_PRECISE)
    largest = 2 * float(inside.max()) - 1
    band = thickness(region)
    return band if is_thin(region) and largest > BLOT * band else largest
