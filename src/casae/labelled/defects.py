"""Labelled defects: their crops, how thin they are, and from which size they are reported."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from casae.config import MIN_AREA_PX
from casae.datasets.sample import UNCLASSED
from casae.image import Image
from casae.inspection.regions import Rectangle, Region, find_regions
from casae.labelled.images import LabelledImage

THIN = 8  # times as long as thick


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
    def pixels(self) -> Image:
        """The image as it is learned from, (H, W) or (H, W, 3)."""
        return self.image.pixels

    @property
    def rectangle(self) -> Rectangle:
        """Around the whole defect."""
        return self.region.rectangle


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
