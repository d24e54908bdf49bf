"""What the segmenter makes of a defect and of what is around it tells of its class. Not in the paper.

The segmenter begins with weights that know ImageNet and has learned the surface; its features tell classes of which a
handful of examples is known, where the compact CNN, which begins with nothing, does not yet.
"""

from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

from casae.image import Image, as_seen, gray_levels, planes, resize, standardise, to_unit
from casae.inspection.regions import Region
from casae.inspection.sizes import FARTHEST
from casae.models.bundle import Appearance, InputSize

SIDE = 96  # px of a window as the segmenter sees it
AROUND, LEAST = 1.3, 32.0  # of the longer side of a defect, and px of the image at least, that a window shows
BATCH = 8  # windows a call
FEW = 4  # at most go one by one: two shapes of input are enough

Look = Callable[[NDArray[np.float32]], tuple[NDArray[np.float32], NDArray[np.float32]]]
"""Inputs (N, channels, h, w) -> P(defect) and features (N, F)."""


def appearances(look: Look, image: Image, regions: Sequence[Region], size: InputSize) -> NDArray[np.float32]:
    """The segmenter's features of a window around each region of an image in full scale: (regions, F)."""
    return features_of(look, windows(image, regions, size)) if regions else np.zeros((0, 0), np.float32)


def windows(image: Image, regions: Sequence[Region], size: InputSize) -> NDArray[np.float32]:
    """What is looked at of each region, as the segmenter sees it: (regions, channels, `SIDE`, `SIDE`)."""
    seen = as_seen(image, size.channels)
    levels = gray_levels(seen) if size.standardised else None
    return np.stack([_window(seen, region, size, levels) for region in regions])


def features_of(look: Look, windows: NDArray[np.float32]) -> NDArray[np.float32]:
    """The segmenter's features of windows (N, channels, h, w): (N, F)."""
    rows = []
    for start in range(0, len(windows), BATCH):
        batch = windows[start : start + BATCH]
        if len(batch) <= FEW:
            rows += [look(window[None])[1] for window in batch]
        else:
            empty = np.zeros((BATCH - len(batch), *batch.shape[1:]), np.float32)
            rows.append(look(np.concatenate([batch, empty]))[1][: len(batch)])
    return np.concatenate(rows)


def evidence(known: Appearance, features: NDArray[np.float32]) -> NDArray[np.float64]:
    """What features (regions, F) say of each class: logarithms of it, up to a constant: (regions, classes)."""
    return standardised(known.mean, known.deviation, features) @ np.array(known.weights).T + known.bias


def standardised(
    mean: Sequence[float] | NDArray[np.float64],
    deviation: Sequence[float] | NDArray[np.float64],
    features: NDArray[np.float32],
) -> NDArray[np.float64]:
    """In deviations from the mean of what was learned, `FARTHEST` at most."""
    z = (np.asarray(features, np.float64) - np.array(mean)) / np.array(deviation)
    return np.clip(z, -FARTHEST, FARTHEST)


def _window(image: Image, region: Region, size: InputSize, levels: tuple[float, float] | None) -> NDArray[np.float32]:
    """A square around a region (channels, SIDE, SIDE); beyond the image's edge lies its mirror image."""
    (top, bottom), (left, right) = ((int(each.min()), int(each.max()) + 1) for each in (region.rows, region.columns))
    side = round(max(LEAST, AROUND * max(bottom - top, right - left)))
    rows = _mirrored((top + bottom - side) // 2 + np.arange(side), image.shape[0])
    columns = _mirrored((left + right - side) // 2 + np.arange(side), image.shape[1])
    values = to_unit(resize(image[np.ix_(rows, columns)], SIDE, SIDE))
    if levels is not None:
        values = standardise(values, levels)
    elif size.centred:
        values = values - values.mean()
    return planes(values)


def _mirrored(places: NDArray[np.int64], length: int) -> NDArray[np.int64]:
    """Places along a side of `length` px; those beyond an end lie as far inside of it."""
    period = max(1, 2 * (length - 1))
    within = places % period
    return np.minimum(within, period - within)
