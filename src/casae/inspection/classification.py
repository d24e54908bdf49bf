"""Classification module (paper, section 4): upright crops -> class probabilities by the compact CNN."""

from collections.abc import Callable, Sequence
from typing import NamedTuple, Self

import numpy as np
from numpy.typing import NDArray

from casae.config import UNKNOWN
from casae.image import Image, as_seen, planes, to_unit
from casae.inspection.regions import Rectangle, Region, crop_rectangle, upright_crop

CROP_SIDE = 227  # Table 2
BATCH = 8  # crops a call; bounds memory on an image with thousands of regions
FEW = 4  # crops at most that go one by one, so that two shapes of input are enough: each costs a compilation

Classifier = Callable[[NDArray[np.float32]], NDArray[np.float32]]


class Named(NamedTuple):
    """A region and what it is.

    Attributes:
        name: class.
        probability: of it.
        region: its pixels.
        novelty: how unlike learned defects it is, in units of the limit; None where the model cannot tell.
        nearest: of an unknown defect, the class that it would be.
    """

    name: str
    probability: float
    region: Region
    novelty: float | None = None
    nearest: str | None = None

    def or_unknown(self) -> Self:
        """Itself, or as an unknown defect where it is too unlike those that were learned."""
        if self.novelty is None or self.novelty <= 1:
            return self
        return self._replace(name=UNKNOWN, nearest=self.name)


def input_shapes(channels: int) -> tuple[tuple[int, ...], ...]:
    """Shapes of the inputs that a classifier gets."""
    return (1, channels, CROP_SIDE, CROP_SIDE), (BATCH, channels, CROP_SIDE, CROP_SIDE)


def classifier_input(image: Image, rectangle: Rectangle) -> NDArray[np.float32]:
    """What the compact CNN sees of a defect: its rectangle with a margin, (227, 227) or (227, 227, 3), 0..1."""
    return to_unit(upright_crop(image, crop_rectangle(rectangle), (CROP_SIDE, CROP_SIDE)))


def classifier_inputs(image: Image, rectangles: Sequence[Rectangle]) -> NDArray[np.float32]:
    """What it sees of several defects of an image (H, W) or (H, W, 3): (rectangles, channels, 227, 227)."""
    return np.stack([planes(classifier_input(image, rectangle)) for rectangle in rectangles])


def classify(
    classifier: Classifier, image: Image, rectangles: Sequence[Rectangle], channels: int = 1
) -> NDArray[np.float32]:
    """What the classifier says of each defect in an image (H, W) or (H, W, 3): (rectangles, values)."""
    seen = as_seen(image, channels)
    found = []
    for start in range(0, len(rectangles), BATCH):
        crops = classifier_inputs(seen, rectangles[start : start + BATCH])
        if len(crops) <= FEW:
            found += [classifier(crop[None]) for crop in crops]
        else:
            empty = np.zeros((BATCH - len(crops), *crops.shape[1:]), np.float32)
            found.append(classifier(np.concatenate([crops, empty]))[: len(crops)])
    return np.concatenate(found) if found else np.zeros((0, 0), np.float32)
