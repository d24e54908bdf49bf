"""What the paper compares with: thresholding for pixels, hand-made features with a small MLP for classes.

Otsu and Kittler split the gray values of an image in two. Which half is the defect is decided without the label: the
smaller one, since a defect is the smaller part of a surface. That is our reading; the paper does not say.
"""

import itertools
import math
from collections.abc import Callable, Sequence
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from casae.image import Image, to_8bit
from casae.inspection.classification import classifier_input
from casae.inspection.regions import Rectangle

LEVELS = 256
GLCM_LEVELS, GLCM_ANGLE = 6, np.pi / 2  # paper, section 5.3
HOG_BINS = 8
FEATURE_SIDE, CELL, AMPLITUDE_SIDE = 64, 16, 16  # px; the paper names none of them
MLP_UNITS, MLP_ITERATIONS = 15, 1000

Crop = NDArray[np.float32]
Features = Callable[[Crop], NDArray[np.float64]]


def otsu(gray: Image) -> NDArray[np.bool_]:
    """Defect mask (H, W) by Otsu's threshold (1979): the largest variance between the two halves."""
    values = to_8bit(gray)
    cut, _ = cv2.threshold(values, 0, LEVELS - 1, cv2.THRESH_BINARY + cv2.THRESH_OTSU)
    return _smaller(values > cut)


def kittler(gray: Image) -> NDArray[np.bool_]:
    """Defect mask (H, W) by the minimum error threshold of Kittler and Illingworth (1986)."""
    values = to_8bit(gray)
    return _smaller(values > minimum_error_threshold(np.bincount(values.ravel(), minlength=LEVELS)))


def minimum_error_threshold(histogram: NDArray[np.integer[Any]]) -> int:
    """The threshold t of the criterion J(t); gray values <= t form one half.

    J(t) = 1 + 2 (P1 log s1 + P2 log s2) - 2 (P1 log P1 + P2 log P2), with the share P and the standard deviation s of
    each half. A half of one gray value has no s and is no candidate; without any candidate nothing is split.

    Args:
        histogram: (256,) pixels of each gray value.
    """
    levels = range(len(histogram))
    count = [int(pixels) for pixels in histogram]  # Python's are exact: the variance of a single value is 0
    moments = [[n * level**power for n, level in zip(count, levels, strict=True)] for power in range(3)]
    below = list(zip(*map(itertools.accumulate, moments), strict=True))
    criterion = np.full(len(count), np.inf)
    for t in levels[:-1]:
        halves = below[t], tuple(whole - part for whole, part in zip(below[-1], below[t], strict=True))
        variances = [n * q - m * m for n, m, q in halves]  # times n squared
        if min(variances) > 0:
            shares = [n / below[-1][0] for n, _, _ in halves]
            spread = sum(p * math.log(v / n**2) for p, v, (n, _, _) in zip(shares, variances, halves, strict=True))
            criterion[t] = 1 + spread - 2 * sum(p * math.log(p) for p in shares)  # 2 P log s is P log of the variance
    return int(criterion.argmin()) if np.isfinite(criterion).any() else len(count) - 1


def _smaller(bright: NDArray[np.bool_]) -> NDArray[np.bool_]:
    return bright if 2 * np.count_nonzero(bright) <= bright.size else ~bright


def glcm_features(crop: Crop) -> NDArray[np.float64]:
    """Energy, contrast, entropy and correlation of the gray-level co-occurrence matrix, six levels, 90 degrees."""
    from skimage.feature import graycomatrix, graycoprops

    levels = np.minimum((crop * GLCM_LEVELS).astype(np.uint8), GLCM_LEVELS - 1)
    matrix = graycomatrix(levels, [1], [GLCM_ANGLE], GLCM_LEVELS, symmetric=True, normed=True)
    seen = matrix[matrix > 0]
    entropy = -float((seen * np.log2(seen)).sum())
    energy, contrast, correlation = (float(graycoprops(matrix, n)[0, 0]) for n in ("energy", "contrast", "correlation"))
    return np.array([energy, contrast, entropy, correlation])


def hog_features(crop: Crop) -> NDArray[np.float64]:
    """Histograms of oriented gradients with eight bins (Dalal and Triggs 2005), of the crop at 64 x 64 px."""
    from skimage.feature import hog

    small = cv2.resize(crop, (FEATURE_SIDE, FEATURE_SIDE), interpolation=cv2.INTER_AREA)
    return np.asarray(hog(small, HOG_BINS, (CELL, CELL), (2, 2), block_norm="L2-Hys"), np.float64)


def hog_sobel_features(crop: Crop) -> NDArray[np.float64]:
    """`hog_features` and the amplitude of the 3 x 3 Sobel gradient, averaged to 16 x 16."""
    amplitude = np.hypot(cv2.Sobel(crop, cv2.CV_32F, 1, 0), cv2.Sobel(crop, cv2.CV_32F, 0, 1))
    coarse = cv2.resize(amplitude, (AMPLITUDE_SIDE, AMPLITUDE_SIDE), interpolation=cv2.INTER_AREA)
    return np.concatenate([hog_features(crop), coarse.ravel().astype(np.float64)])


FEATURES: dict[str, Features] = {"glcm": glcm_features, "hog": hog_features, "hog-sobel": hog_sobel_features}


def features_of(crops: Sequence[tuple[Image, Rectangle]], features: Features) -> NDArray[np.float64]:
    """Features of defects, each a gray image and its rectangle, as the compact CNN sees them: (crops, features)."""
    return np.stack([features(classifier_input(gray, rectangle)) for gray, rectangle in crops])


def mlp_predictions(
    learned: NDArray[np.float64], classes: NDArray[np.integer[Any]], judged: NDArray[np.float64], seed: int
) -> NDArray[np.integer[Any]]:
    """Classes that the paper's MLP (15 hidden units, at most 1000 iterations) gives to `judged` features.

    Args:
        learned: (N, F) features of the training crops; their mean and spread scale both parts.
        classes: (N,) their classes.
        judged: (M, F).
        seed: of the MLP's weights.
    """
    import warnings

    from sklearn.exceptions import ConvergenceWarning
    from sklearn.neural_network import MLPClassifier
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    mlp = make_pipeline(StandardScaler(), MLPClassifier((MLP_UNITS,), max_iter=MLP_ITERATIONS, random_state=seed))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)  # 1000 iterations are the paper's, reached or not
        mlp.fit(learned, classes)
    return np.asarray(mlp.predict(judged))
