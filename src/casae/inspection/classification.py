"""Classification module (paper, section 4): upright crops -> class probabilities by the compact CNN."""

from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

from casae.image import Image, to_gray, to_unit
from casae.inspection.regions import Rectangle, crop_rectangle, upright_crop

CROP_SIDE = 227  # Table 2
BATCH = 8  # crops a call; bounds memory on an image with thousands of regions
FEW = 4  # crops at most that go one by one, so that two shapes of input are enough: each costs a compilation
INPUT_SHAPES = ((1, 1, CROP_SIDE, CROP_SIDE), (BATCH, 1, CROP_SIDE, CROP_SIDE))

Classifier = Callable[[NDArray[np.float32]], NDArray[np.float32]]


def classifier_input(gray: Image, rectangle: Rectangle) -> NDArray[np.float32]:
    """What the compact CNN sees of a defect: its rectangle with a margin, (227, 227) float32 in 0..1."""
    return to_unit(upright_crop(gray, crop_rectangle(rectangle), (CROP_SIDE, CROP_SIDE)))


def classify(classifier: Classifier, image: Image, rectangles: Sequence[Rectangle]) -> NDArray[np.float32]:
    """Class probabilities (rectangles, classes) of the defects in an image (H, W) or (H, W, 3)."""
    gray = to_gray(image)
    found = []
    for start in range(0, len(rectangles), BATCH):
        crops = np.stack([classifier_input(gray, r) for r in rectangles[start : start + BATCH]])[:, None]
        if len(crops) <= FEW:
            found += [classifier(crop[None]) for crop in crops]
        else:
            empty = np.zeros((BATCH - len(crops), *crops.shape[1:]), np.float32)
            found.append(classifier(np.concatenate([crops, empty]))[: len(crops)])
    return np.concatenate(found) if found else np.zeros((0, 0), np.float32)
