"""Detection module (paper, section 3): image -> P(defect) -> threshold module -> mask."""

from collections.abc import Callable, Sequence

import cv2
import numpy as np
from numpy.typing import NDArray

from casae.config import Looks
from casae.errors import BundleError
from casae.image import (
    Frame,
    Image,
    as_seen,
    gray_levels,
    lies_across,
    pad_to,
    planes,
    resize,
    scaled_shape,
    standardise,
    to_unit,
    transposed,
)
from casae.models.bundle import InputSize
from casae.models.runtime import Network

GS_MAX = 255
ROUNDING = 1e-3  # by which a probability may leave 0..1
OVERLAP, MOST_OVERLAP = 0.25, 64  # of a tile's side and in px, shared with each neighbour

Segmenter = Callable[[NDArray[np.float32]], NDArray[np.float32]]

FLIPPED: dict[int, tuple[tuple[int, ...], ...]] = {1: ((),), 2: ((), (2, 3)), 4: ((), (2, 3), (2,), (3,))}
"""Axes that each of so many looks flips; the first look is upright."""


def defect_probability(
    segmenter: Segmenter, image: Image, size: InputSize, roi: NDArray[np.bool_] | None = None
) -> NDArray[np.float32]:
    """P(defect) of every pixel of an image (H, W) or (H, W, 3): float32 (H, W).

    The segmenter maps (1, channels, h, w) to P(defect) (1, 1, h, w), with h x w the network's input. Outside of `roi`
    (H, W) it is 0; tiles that lie there entirely are not looked at, which changes nothing inside.
    """
    seen = as_seen(image, size.channels)
    if lies_across(seen.shape, size.height, size.width):
        probability = defect_probability(segmenter, transposed(seen), size, None if roi is None else roi.T)
        return transposed(probability)
    if size.fit == "tile":
        probability = _by_tiles(segmenter, seen, size, roi)
        if size.coarse is not None:
            probability = np.maximum(probability, _as_a_whole(segmenter, seen, size, *size.coarse))
    else:
        frame = Frame.of(seen.shape, size.height, size.width, size.fit)
        values = to_unit(frame.put(seen))
        values = values - values.mean() if size.centred else values
        probability = frame.take(checked(segmenter(planes(values)[None])[0, 0]), seen.shape)
    return probability if roi is None else np.where(roi, probability, np.float32(0))


def with_features(
    network: Network, image: Image, size: InputSize, roi: NDArray[np.bool_] | None = None, looks: Looks = 1
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """P(defect), see `defect_probability`, and the network's features of each input, seen upright: (inputs, F)."""
    rows: list[NDArray[np.float32]] = []

    def segmenter(values: NDArray[np.float32]) -> NDArray[np.float32]:
        features: list[NDArray[np.float32]] = []

        def look(views: NDArray[np.float32]) -> NDArray[np.float32]:
            probability, of_views = network.with_features(views)
            features.append(of_views)
            return probability

        probability = averaged(look, values, looks)
        rows.append(features[0][: len(values)])
        return probability

    probability = defect_probability(segmenter, image, size, roi)
    return probability, np.concatenate(rows) if rows else np.zeros((0, 0), np.float32)


def averaged(segmenter: Segmenter, values: NDArray[np.float32], looks: Looks) -> NDArray[np.float32]:
    """Mean of P(defect) (N, 1, h, w) over several looks at inputs (N, channels, h, w), each turned back.

    Those that leave the shape go in one batch, upright first. The eight looks are all symmetries of a square.
    """
    if looks < 8:
        return _flipped(segmenter, values, FLIPPED[looks])
    upright = _flipped(segmenter, values, FLIPPED[4])
    lying = _flipped(segmenter, values.swapaxes(2, 3), FLIPPED[4])
    return np.float32(0.5) * (upright + lying.swapaxes(2, 3))


def _flipped(
    segmenter: Segmenter, values: NDArray[np.float32], flips: Sequence[tuple[int, ...]]
) -> NDArray[np.float32]:
    if len(flips) == 1:
        return segmenter(values)
    said = segmenter(np.concatenate([np.flip(values, axes) for axes in flips]))
    parts = np.split(said, len(flips))
    return np.mean([np.flip(part, axes) for part, axes in zip(parts, flips, strict=True)], axis=0, dtype=np.float32)


def checked(probability: NDArray[np.float32]) -> NDArray[np.float32]:
    """What a network says, if it is a probability.

    Raises:
        BundleError: it is NaN, or leaves 0..1.
    """
    lowest, highest = float(probability.min()), float(probability.max())
    if not (lowest >= -ROUNDING and highest <= 1 + ROUNDING):  # also where either is NaN
        raise BundleError(f"the network says {lowest:g} to {highest:g}, which is no probability; train the model anew")
    return probability


def threshold(probability: NDArray[np.float32], gs: float) -> NDArray[np.bool_]:
    """Threshold module, equation (2): defect where the prediction mask 255 x P(background) <= Gs.

    A larger Gs finds more. Gs = 100 asks for P(defect) >= 1 - 100/255 = 0.608.
    """
    return probability >= np.float32(1 - gs / GS_MAX)


def _by_tiles(
    segmenter: Segmenter, image: Image, size: InputSize, roi: NDArray[np.bool_] | None
) -> NDArray[np.float32]:
    """P(defect) of an image at the scale of `size`, tile by tile; neighbours blend where they overlap.

    An image no larger than a tile is one tile, filled up with its mirror image.
    """
    shape = scaled_shape(image.shape, size.scale)
    height, width = size.height, size.width
    if roi is not None and shape != image.shape[:2]:
        # One pixel more all around: on the way back neighbours count as well.
        roi = cv2.dilate(resize(roi.astype(np.float32), *shape), np.ones((3, 3))) > 0
    image_there = resize(image, *shape)
    levels = gray_levels(image_there) if size.standardised else None
    padded = pad_to(image_there, height, width)
    total = np.zeros(padded.shape[:2], np.float32)
    weights = np.zeros(padded.shape[:2], np.float32)
    ramp = np.outer(_ramp(height), _ramp(width))
    for top in _starts(padded.shape[0], height):
        for left in _starts(padded.shape[1], width):
            window = slice(top, top + height), slice(left, left + width)
            if roi is not None and not roi[window].any():
                weights[window] += ramp
                continue
            tile = to_unit(padded[window])
            values = standardise(tile, levels) if levels else tile
            total[window] += ramp * checked(segmenter(planes(values)[None])[0, 0])
            weights[window] += ramp
    return resize((total / weights)[: shape[0], : shape[1]], *image.shape[:2])


def _as_a_whole(segmenter: Segmenter, image: Image, size: InputSize, height: int, width: int) -> NDArray[np.float32]:
    """P(defect) of an image that is brought to height x width px, in the gray values of its tiles."""
    frame = Frame.of(image.shape, height, width, "letterbox")
    values = to_unit(frame.put(image))
    values = standardise(values, gray_levels(image)) if size.standardised else values
    return frame.take(checked(segmenter(planes(values)[None])[0, 0]), image.shape)


def _starts(length: int, tile: int) -> NDArray[np.int64]:
    """Where tiles begin so that they cover `length` evenly, at least `_overlap` px shared."""
    count = 1 + -(-(length - tile) // (tile - _overlap(tile)))
    return np.linspace(0, length - tile, count).round().astype(np.int64)


def _ramp(tile: int) -> NDArray[np.float32]:
    """Weight along a side: 1 in the middle, falling towards the ends, where a network sees the least around it."""
    from_end = np.minimum(np.arange(tile), np.arange(tile)[::-1]) + 1
    return np.minimum(1, from_end / _overlap(tile)).astype(np.float32)


def _overlap(tile: int) -> int:
    return min(round(OVERLAP * tile), MOST_OVERLAP)
