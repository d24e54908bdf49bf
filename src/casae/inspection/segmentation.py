"""Detection module (paper, section 3): image -> P(defect) -> threshold module -> mask."""

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from casae.config import Fit
from casae.image import Frame, Image, to_gray, to_unit

GS_MAX = 255

Segmenter = Callable[[NDArray[np.float32]], NDArray[np.float32]]


def defect_probability(segmenter: Segmenter, image: Image, height: int, width: int, fit: Fit) -> NDArray[np.float32]:
    """P(defect) of every pixel of an image (H, W) or (H, W, 3): float32 (H, W).

    The segmenter maps gray (1, 1, h, w) in 0..1 to P(defect) of the same shape, with h x w the network's input.
    """
    gray = to_gray(image)
    frame = Frame.of(gray.shape, height, width, fit)
    probability = segmenter(to_unit(frame.put(gray))[None, None])[0, 0]
    return frame.take(probability, gray.shape)


def threshold(probability: NDArray[np.float32], gs: float) -> NDArray[np.bool_]:
    """Threshold module, equation (2): defect where the prediction mask 255 x P(background) <= Gs.

    A larger Gs finds more. Gs = 100 asks for P(defect) >= 1 - 100/255 = 0.608.
    """
    return probability >= np.float32(1 - gs / GS_MAX)
