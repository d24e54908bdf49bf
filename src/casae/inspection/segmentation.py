"""Detection module (paper, section 3): image -> P(defect) -> threshold module -> mask."""

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from casae.config import Fit
from casae.image import Frame, Image, pad_to, to_gray, to_unit

GS_MAX = 255
OVERLAP = 0.25  # of a tile's side, shared with each neighbour

Segmenter = Callable[[NDArray[np.float32]], NDArray[np.float32]]


def defect_probability(
    segmenter: Segmenter, image: Image, height: int, width: int, fit: Fit, roi: NDArray[np.bool_] | None = None
) -> NDArray[np.float32]:
    """P(defect) of every pixel of an image (H, W) or (H, W, 3): float32 (H, W).

    The segmenter maps gray (1, 1, h, w) in 0..1 to P(defect) of the same shape, with h x w the network's input. Outside
    of `roi` (H, W) it is 0; tiles that lie there entirely are not looked at, which changes nothing inside.
    """
    gray = to_gray(image)
    if fit == "tile":
        probability = _by_tiles(segmenter, gray, height, width, roi)
    else:
        frame = Frame.of(gray.shape, height, width, fit)
        probability = frame.take(segmenter(to_unit(frame.put(gray))[None, None])[0, 0], gray.shape)
    return probability if roi is None else np.where(roi, probability, np.float32(0))


def threshold(probability: NDArray[np.float32], gs: float) -> NDArray[np.bool_]:
    """Threshold module, equation (2): defect where the prediction mask 255 x P(background) <= Gs.

    A larger Gs finds more. Gs = 100 asks for P(defect) >= 1 - 100/255 = 0.608.
    """
    return probability >= np.float32(1 - gs / GS_MAX)


def _by_tiles(
    segmenter: Segmenter, gray: Image, height: int, width: int, roi: NDArray[np.bool_] | None = None
) -> NDArray[np.float32]:
    """P(defect) of an image at its own scale, tile by tile; neighbours blend where they overlap.

    An image no larger than a tile is one tile, filled up with its mirror image.
    """
    padded = pad_to(gray, height, width)
    total = np.zeros(padded.shape, np.float32)
    weights = np.zeros(padded.shape, np.float32)
    ramp = np.outer(_ramp(height), _ramp(width))
    for top in _starts(padded.shape[0], height):
        for left in _starts(padded.shape[1], width):
            window = slice(top, top + height), slice(left, left + width)
            if roi is not None and not roi[window].any():
                weights[window] += ramp
                continue
            total[window] += ramp * segmenter(to_unit(padded[window])[None, None])[0, 0]
            weights[window] += ramp
    return (total / weights)[: gray.shape[0], : gray.shape[1]]


def _starts(length: int, tile: int) -> NDArray[np.int64]:
    """Where tiles begin so that they cover `length` evenly, at least `OVERLAP` of a tile shared."""
    count = 1 + -(-(length - tile) // round(tile * (1 - OVERLAP)))
    return np.linspace(0, length - tile, count).round().astype(np.int64)


def _ramp(tile: int) -> NDArray[np.float32]:
    """Weight along a side: 1 in the middle, falling towards the ends, where a network sees the least around it."""
    from_end = np.minimum(np.arange(tile), np.arange(tile)[::-1]) + 1
    return np.minimum(1, from_end / (OVERLAP * tile)).astype(np.float32)
