"""Learn classes from the segmenter's features of labelled defects: `appearance.json` of a bundle."""

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch.nn import functional

from casae.inspection.appearance import features_of, standardised, windows
from casae.inspection.inspector import Inspector
from casae.inspection.segmentation import FLIPPED
from casae.labelled.defects import LabelledCrop
from casae.models.bundle import Appearance
from casae.training.regression import logistic_regression

ENOUGH = 50  # examples of each class from which on the compact CNN tells them as well by itself
MOST_CROPS = 400  # of all classes together
PENALTIES = (1e-3, 3e-3, 1e-2, 3e-2, 1e-1, 3e-1, 1.0, 10.0)  # of the squared weights; the last leaves nothing of them
PARTS = 5  # of the images
ROUGHEST = 0.05  # of the mean deviation, added to each


def learn_appearance(inspector: Inspector, crops: Sequence[LabelledCrop], classes: int) -> Appearance | None:
    """A logistic regression on features of labelled defects, each seen upright, upside down and mirrored.

    Its penalty is the one with the smallest log loss on images that it was not learned from, where each class counts
    the same.

    Args:
        inspector: with the finished segmenter.
        crops: to learn from.
        classes: how many there are.

    Returns:
        None where there is one class only, the compact CNN has `ENOUGH` examples of each, or the segmenter makes no
        features.
    """
    counts = np.bincount([crop.defect_class for crop in crops], minlength=classes)
    if np.count_nonzero(counts) < 2 or min(counts[counts > 0]) >= ENOUGH:
        return None
    chosen = _drawn(crops, classes)
    size, look = inspector.manifest.input, inspector.segmenter.with_features
    seen = np.concatenate([windows(crop.pixels, [crop.region], size) for crop in chosen])
    table = features_of(look, np.concatenate([np.flip(seen, axes) for axes in FLIPPED[4]]))
    if not table.shape[1]:
        return None
    truth = np.tile([crop.defect_class for crop in chosen], len(FLIPPED[4]))
    numbers = {image: number for number, image in enumerate(dict.fromkeys(id(crop.image) for crop in chosen))}
    image = np.tile([numbers[id(crop.image)] for crop in chosen], len(FLIPPED[4]))
    mean, deviation = table.mean(0), table.std(0)
    deviation = deviation + max(ROUGHEST * float(deviation.mean()), 1e-6)
    known = standardised(mean, deviation, table)
    share, penalty = _share(truth, classes), _penalty(known, truth, image, classes)
    weights, bias = logistic_regression(known, truth, share, classes, penalty)
    return Appearance(
        mean=_short(mean), deviation=_short(deviation), weights=tuple(map(_short, weights)), bias=_short(bias)
    )


def _drawn(crops: Sequence[LabelledCrop], classes: int) -> list[LabelledCrop]:
    """At most `MOST_CROPS`, as many of each class as there are, or their share."""
    drawn: list[LabelledCrop] = []
    for value in range(classes):
        alike = [crop for crop in crops if crop.defect_class == value]
        order = np.random.default_rng([0, value]).permutation(len(alike))
        drawn += [alike[index] for index in sorted(order[: MOST_CROPS // classes])]
    return drawn


def _penalty(known: NDArray[np.float64], truth: NDArray[np.int64], image: NDArray[np.int64], classes: int) -> float:
    """That of `PENALTIES` by which images that are left out are told best."""
    order = np.random.default_rng(0).permutation(int(image.max()) + 1)
    loss = np.zeros(len(PENALTIES))
    loss[:-1] = np.finfo(float).tiny  # where nothing can be told, nothing shall be said
    for part in range(PARTS):
        left_out = order[image] % PARTS == part
        told = left_out & np.isin(truth, truth[~left_out])
        if not told.any():
            continue
        share = _share(truth[~left_out], classes)
        for index, penalty in enumerate(PENALTIES):
            weights, bias = logistic_regression(known[~left_out], truth[~left_out], share, classes, penalty)
            loss[index] += float(_loss(known[told] @ weights.T + bias, truth[told], classes).sum())
    return PENALTIES[int(loss.argmin())]


def _loss(logits: NDArray[np.float64], truth: NDArray[np.int64], classes: int) -> NDArray[np.float64]:
    each = functional.cross_entropy(torch.from_numpy(logits), torch.from_numpy(truth), reduction="none").numpy()
    return np.asarray(_share(truth, classes) * each, np.float64)


def _share(truth: NDArray[np.int64], classes: int) -> NDArray[np.float64]:
    """What each row counts, 1 in all."""
    counts = np.bincount(truth, minlength=classes)
    return np.asarray(1 / counts[truth] / np.count_nonzero(counts), np.float64)


def _short(values: NDArray[np.float64] | NDArray[np.float32]) -> tuple[float, ...]:
    return tuple(float(f"{value:.5g}") for value in values)
