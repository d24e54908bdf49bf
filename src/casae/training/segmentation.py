"""Train the cascade: network 1 on images, then network 2 on what network 1 says (paper, section 5.2)."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from casae.config import DEFAULT_GS, Fit, SegmenterSettings
from casae.inspection import segmentation
from casae.metrics import Counts
from casae.training.budget import Budget
from casae.training.data import LabelledImage, Pair
from casae.training.loop import Task
from casae.training.losses import LOSSES
from casae.training.networks import CASAE, defect_probability


@dataclass(frozen=True)
class Input:
    """The network's input, in pixels, and how images are brought there."""

    height: int
    width: int
    fit: Fit


def build(settings: SegmenterSettings) -> CASAE:
    """The cascade that the settings describe, with fresh weights."""
    casae = CASAE(
        settings.width,
        atrous=settings.atrous,
        norm=settings.norm,
        patch=settings.patch,
        max_width=settings.max_width,
        last_convs=settings.last_convs,
        standardise=settings.standardise,
        residual=settings.residual,
    )
    return casae.to(memory_format=torch.channels_last)  # type: ignore[call-overload]  # missing in its stubs


class SegmentationTask(Task):
    """Train one network of a cascade.

    Args:
        casae: the cascade; in stage 2 its first network stays as it is.
        stage: 1 or 2.
        validation: images to score on, at their own size, at Gs 100.
    """

    score_name = "val_iou"

    def __init__(
        self,
        casae: CASAE,
        stage: int,
        settings: SegmenterSettings,
        budget: Budget,
        validation: Sequence[LabelledImage],
        size: Input,
    ) -> None:
        trained = casae.first if stage == 1 else casae.second
        super().__init__(trained, budget, settings.learning_rate, settings.one_cycle)
        self.casae, self.stage, self.settings = casae, stage, settings
        self.validation, self.size = validation, size
        self._criterion = LOSSES[settings.loss]

    def forward(self, image: Tensor) -> Tensor:
        """Gray (N, 1, H, W) -> logits after the network of this stage."""
        if self.stage == 1:
            first: Tensor = self.casae.first(image)
            return first
        with torch.no_grad():
            logits = self.casae.first(image)
        return self.casae.refine(logits)

    def train(self, mode: bool = True) -> "SegmentationTask":
        """As PyTorch's; network 1 keeps its statistics in stage 2."""
        super().train(mode)
        if self.stage == 2:
            self.casae.first.eval()
        return self

    def loss(self, batch: Pair) -> Tensor:
        """Loss of (image, target)."""
        image, target = batch
        return self._criterion(self(image.contiguous(memory_format=torch.channels_last)), target)

    def score(self) -> float:
        """IoU of the defect class over all validation pixels."""
        return sum((self._counts(image) for image in self.validation), Counts(0, 0, 0, 0)).iou

    def optimiser(self) -> torch.optim.Optimizer:
        """Adam as we read the paper, AdamW for `fast`."""
        parameters = self.trained.parameters()
        if self.settings.optimiser == "adam":
            return torch.optim.Adam(parameters, self.learning_rate)
        return torch.optim.AdamW(parameters, self.learning_rate, weight_decay=1e-2)

    def _counts(self, image: LabelledImage) -> Counts:
        def segmenter(values: np.ndarray[Any, np.dtype[np.float32]]) -> np.ndarray[Any, np.dtype[np.float32]]:
            return defect_probability(self(torch.from_numpy(values))).float().numpy()

        probability = segmentation.defect_probability(
            segmenter, image.gray, self.size.height, self.size.width, self.size.fit
        )
        return Counts.of(segmentation.threshold(probability, DEFAULT_GS), image.label > 0)
