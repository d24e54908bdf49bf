"""Rows of Table 3: one segmentation network each, trained, and judged at every threshold at once."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from lightning_fabric import seed_everything
from numpy.typing import NDArray
from torch import nn

from casae.config import DEFAULT_GS
from casae.datasets.sample import Dataset
from casae.image import Image
from casae.inspection.segmentation import defect_probability
from casae.labelled.holdout import hold_out
from casae.labelled.images import LabelledImage, load
from casae.metrics import ratio
from casae.models.bundle import InputSize
from casae.networks.cascade import CASAE, probability_of
from casae.recipes import SegmenterSettings
from casae.reproduction.experiment import Experiment, Row
from casae.training import segmentation
from casae.training.augmentation import AUGMENTATIONS
from casae.training.budget import Budget
from casae.training.loop import fit, seconds_spent
from casae.training.views import loader

FIRST_SHARE = 0.6  # of a cascade's views go into network 1; the paper's 30 of 50 epochs
VALIDATION_SHARE, VALIDATION_SEED = 0.1, 0  # held out of train to choose Gs by, the same for every row and seed
LEVELS = 256


@dataclass(frozen=True)
class Kind:
    """A network of Table 3.

    Attributes:
        title: as in the paper.
        published: IoU in per cent there, None for what it does not report.
        cascade: whether a second network follows.
        changes: settings that make it.
    """

    title: str
    published: float | None
    cascade: bool
    changes: dict[str, Any] = field(default_factory=dict)


KINDS = {
    "fcn": Kind("FCN", 81.58, False, {"encoder": "fcn8"}),
    "ae-plain": Kind("Single AE without atrous convolution", 83.40, False, {"atrous": False}),
    "ae": Kind("Single AE", 84.68, False),
    "casae-plain": Kind("CASAE without atrous convolution", 87.30, True, {"atrous": False}),
    "casae": Kind("CASAE", 89.60, True),
    "casae-image": Kind("CASAE, network 2 sees the image too", None, True, {"second_sees_image": True}),
}


@dataclass(frozen=True)
class Parts:
    """Images to learn from, to choose the threshold by, and to judge on; the size of the networks' input."""

    learned: Sequence[LabelledImage]
    validation: Sequence[LabelledImage]
    judged: Sequence[LabelledImage]
    size: InputSize

    @classmethod
    def of(cls, dataset: Dataset, split: str, test: str, settings: SegmenterSettings) -> "Parts":
        """Decode the parts; `test` is never learned from or chosen by."""
        learned, held = hold_out(dataset, split, VALIDATION_SHARE, VALIDATION_SEED, groups=dataset.copies)
        images = load(learned)
        return cls(images, load(held), load(dataset.split(test)), segmentation.input_of(images, settings)[0])


@dataclass(frozen=True)
class Levels:
    """How many pixels of each class have which level of the prediction mask; every threshold follows from it.

    A level is 255 x P(background), rounded up: level <= Gs is then the same as the threshold module's rule for a whole
    Gs.
    """

    defect: NDArray[np.int64]
    background: NDArray[np.int64]

    @classmethod
    def of(cls, images: Sequence[LabelledImage], predict: Callable[[Image], NDArray[np.float32]]) -> "Levels":
        """Count over images; `predict` gives P(defect) of a gray image (H, W)."""
        defect, background = np.zeros(LEVELS, np.int64), np.zeros(LEVELS, np.int64)
        for image in images:
            level = np.ceil(255 * (1 - predict(image.gray).astype(np.float64))).clip(0, 255).astype(np.uint8)
            truth = image.label > 0
            defect += np.bincount(level[truth], minlength=LEVELS)
            background += np.bincount(level[~truth], minlength=LEVELS)
        return cls(defect, background)

    def iou(self, gs: int) -> float:
        """IoU of the defect class over all pixels."""
        hit, false = self.defect[: gs + 1].sum(), self.background[: gs + 1].sum()
        return ratio(float(hit), float(self.defect.sum() + false))

    def best_gs(self) -> int:
        """The whole Gs below 255 with the largest IoU."""
        return max(range(1, LEVELS - 1), key=self.iou)


def settings_of(recipe: SegmenterSettings) -> SegmenterSettings:
    """What all rows share: a recipe, but networks learn one after the other from squeezed images, as in the paper.

    Network 2 draws a mask of its own and learns at the rate of network 1.
    """
    paper = {"joint": False, "residual": False, "fit": "squeeze", "learning_rate_2": recipe.learning_rate}
    return recipe.model_copy(update=paper)


def train_kind(
    experiment: Experiment, kind: Kind, parts: Parts, settings: SegmenterSettings, views: int, seed: int, folder: Path
) -> CASAE:
    """Train a network, or go on with its training, or read it where that is over.

    Returns:
        The cascade; of a kind that is none, only network 1 has learned.
    """
    settings = SegmenterSettings.model_validate(settings.model_dump() | kind.changes)
    seed_everything(seed, verbose=False)
    casae = segmentation.build(settings, standardised=parts.size.standardised)
    drawn = segmentation.views_of(parts.learned, parts.size, settings, seed)
    shares = (FIRST_SHARE, 1 - FIRST_SHARE) if kind.cascade else (1.0,)
    for stage, share in enumerate(shares, start=1):
        experiment.reporter.stage(f"network {stage}")
        budget = Budget(steps=max(1, round(share * views / settings.batch)))
        task = segmentation.SegmentationTask(casae, stage, settings, budget, parts.validation, parts.size)
        shown = drawn.augmented(AUGMENTATIONS[settings.augmentation], stage)
        fit(task, loader(shown, settings.batch), folder / f"network-{stage}", experiment.reporter)
    casae.eval()
    return casae


def predictor(network: nn.Module, size: InputSize) -> Callable[[Image], NDArray[np.float32]]:
    """Image (H, W) -> P(defect) (H, W) by a network in evaluation mode."""

    def segmenter(values: NDArray[np.float32]) -> NDArray[np.float32]:
        with torch.inference_mode():
            return probability_of(network(torch.from_numpy(values))).float().numpy()

    return lambda gray: defect_probability(segmenter, gray, size)


def learned_row(
    experiment: Experiment, kind: Kind, parts: Parts, settings: SegmenterSettings, views: int, seed: int, folder: Path
) -> Row:
    """Train and judge one network: IoU on the test part at Gs 100 and at the Gs that is best on validation.

    Of a cascade also the IoU of its network 1 alone, at Gs 100.
    """
    casae = train_kind(experiment, kind, parts, settings, views, seed, folder)
    first = predictor(casae.first, parts.size)
    predict = predictor(casae, parts.size) if kind.cascade else first
    gs = Levels.of(parts.validation, predict).best_gs()
    test = Levels.of(parts.judged, predict)
    row = {
        "iou": test.iou(int(DEFAULT_GS)),
        "gs": gs,
        "iou_best_gs": test.iou(gs),
        "seconds": round(seconds_spent(folder), 1),
    }
    return row | ({"iou_network_1": Levels.of(parts.judged, first).iou(int(DEFAULT_GS))} if kind.cascade else {})
