"""Whether defects show in colour: what `casae data check` says, and what `casae train` goes by."""

from typing import Literal

import cv2
import numpy as np
from numpy.typing import NDArray

from casae.datasets.sample import Dataset
from casae.decoding import read_image
from casae.errors import CasaeError
from casae.image import Image, to_gray, to_unit

COLOUR = 3  # axes of a colour image
RING, CLEARER = 15, 3.0  # px around defects, both sides; times as clear
LOOKED_AT = 40  # defective pictures, evenly chosen

Channels = Literal[1, 3]
GRAY: Channels = 1
RGB: Channels = 3


def channels_of(part: Dataset, wanted: Channels | None) -> tuple[Channels, str]:
    """How many channels networks should see of a dataset's pictures, and why, in words.

    Three where most of the defective colour pictures show their defects in a colour `CLEARER` times as clearly as in
    gray. The reason is empty where there is nothing to choose. Files that cannot be read count for nothing.

    Args:
        part: what is learned from.
        wanted: decides, if somebody said so.
    """
    if wanted is not None:
        return wanted, "as you say"
    samples = [sample for sample in part.labelled.samples if not sample.known_good]
    coloured = clearer = 0
    for index in np.linspace(0, len(samples) - 1, min(LOOKED_AT, len(samples))).round().astype(int):
        try:
            image = read_image(samples[index].image)
            if image.ndim != COLOUR:
                continue
            label = samples[index].draw(image.shape, len(part.classes))
        except CasaeError:
            continue
        coloured += bool(label.any())
        clearer += is_clearer_in_colour(image, label)
    if 2 * clearer <= coloured:
        return GRAY, f"in {clearer} of {coloured} pictures colour would show more" if coloured else ""
    return RGB, f"in {clearer} of {coloured} pictures a colour shows the defects far better than gray"


def is_clearer_in_colour(image: Image, label: NDArray[np.uint8]) -> bool:
    """Whether defects of a class stand out from what is around them in a colour, `CLEARER` times as far as in gray.

    Args:
        image: (H, W, 3) RGB.
        label: values (H, W).
    """
    good = label == 0
    channels = [to_unit(channel) for channel in (to_gray(image), *np.moveaxis(image, 2, 0))]
    for value in np.unique(label[~good]):
        defect = label == value
        ring = (cv2.dilate(defect.view(np.uint8), np.ones((RING, RING), np.uint8)) > 0) & good
        if not ring.any():
            continue
        shown, *contrasts = (
            abs(float(v[defect].mean() - v[ring].mean())) / (float(v[ring].std()) + 0.01) for v in channels
        )
        if max(contrasts) > max(1.0, CLEARER * shown):
            return True
    return False
