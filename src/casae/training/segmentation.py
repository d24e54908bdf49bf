"""Train the cascade: network 1 on images, then network 2 on what network 1 says (paper, section 5.2)."""

import time
from collections.abc import Sequence
from functools import partial
from typing import Any, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from casae.config import DEFAULT_GS
from casae.inspection import segmentation
from casae.labelled.defects import smallest_region
from casae.labelled.images import LabelledImage, scaled
from casae.labelled.scale import choose_fit, input_size, outgrows, tile_size, view_size
from casae.metrics import Counts
from casae.models.bundle import InputSize
from casae.networks.cascade import CASAE, probability_of
from casae.networks.losses import LOSSES
from casae.networks.registry import autoencoder, first_network, known_weights
from casae.recipes import ENOUGH_DEFECTIVE, SegmenterSettings
from casae.training.budget import Budget
from casae.training.loop import Task
from casae.training.views import AlternatingViews, CoarseViews, MaskViews, Pair, SegmenterViews, TileViews

KNOWN_SHARE = 0.5  # of the learning rate, for an encoder that may start from weights


def build(
    settings: SegmenterSettings, *, standardised: bool = False, classes: int = 2, channels: Literal[1, 3] = 1
) -> CASAE:
    """The cascade that the settings describe, with fresh weights.

    Args:
        settings: of the networks.
        standardised: the input comes so.
        classes: maps that network 1 draws, background first; more than two only where it stands alone.
        channels: of the images, 1 or 3.
    """
    settings = settings.model_copy(update={"channels": channels})
    sees_image = settings.second_sees_image
    second = autoencoder(settings, inputs=1 + channels if sees_image else 1)
    casae = CASAE(
        first_network(settings, settings.standardise and not standardised, classes),
        second,
        residual=settings.residual,
        sees_image=sees_image,
    )
    return casae.to(memory_format=torch.channels_last)  # type: ignore[call-overload]  # missing in its stubs


def optimiser(trained: nn.Module, first: nn.Module, settings: SegmenterSettings, rate: float) -> torch.optim.Optimizer:
    """Adam as we read the paper, AdamW for the others; an encoder that starts from weights learns more slowly.

    Args:
        trained: whose weights learn.
        first: network 1, part of it or not.
        settings: which optimiser.
        rate: learning rate.
    """
    known = {id(weight) for weight in known_weights(first)}
    learning = [weight for weight in trained.parameters() if weight.requires_grad]
    groups: list[dict[str, Any]] = [
        {"params": [weight for weight in learning if (id(weight) in known) == is_known], "share": share}
        for is_known, share in ((False, 1.0), (True, KNOWN_SHARE))
    ]
    if settings.optimiser == "adam":
        return torch.optim.Adam(groups, rate)
    return torch.optim.AdamW(groups, rate, weight_decay=1e-2, fused=True)


def input_of(
    images: Sequence[LabelledImage], settings: SegmenterSettings, channels: Literal[1, 3] = 1
) -> tuple[InputSize, str]:
    """The input for these images, and what was chosen for them and why, in words."""
    fit, scale, why = choose_fit(images, settings)
    size, stride = settings.size, settings.stride
    height, width = tile_size(images, size, scale, stride) if fit == "tile" else input_size(images, size, fit, stride)
    standardised, centred = settings.standardise and fit == "tile", settings.standardise and fit != "tile"
    view = view_size((height, width), settings.size, settings.stride)
    coarse = settings.coarse if settings.coarse is not None else fit == "tile" and outgrows(images, view, scale)
    brought = InputSize(
        height=height,
        width=width,
        fit=fit,
        scale=scale,
        standardised=standardised,
        centred=centred,
        channels=channels,
        coarse=view if coarse and fit == "tile" else None,
    )
    if brought.coarse:
        why += "; and as a whole" + ("" if settings.coarse else ", because labelled defects outgrow a tile")
    return brought, why


def views_of(
    images: Sequence[LabelledImage],
    size: InputSize,
    settings: SegmenterSettings,
    seed: int,
    min_area_px: int | None = None,
) -> SegmenterViews:
    """Random views of labelled images, as the network's input asks for them.

    No tile is drawn around a defect smaller than `min_area_px`; None chooses as `smallest_region` does.
    """
    if size.fit == "tile":
        area = (min_area_px or smallest_region(images)) * size.scale**2
        whole, images = images, [scaled(image, size.scale) for image in images]
        height, width = view_size((size.height, size.width), settings.size, settings.stride)
        tiles = TileViews(images, height, width, settings.views, seed, settings.paste, size.standardised, area)
        if size.coarse is None:
            return tiles
        return AlternatingViews(tiles, CoarseViews(whole, *size.coarse, settings.views, seed, size.standardised))
    return MaskViews(images, size.height, size.width, size.fit, settings.views, seed, settings.paste)


class SegmentationTask(Task):
    """Train a cascade, one network after the other.

    Args:
        casae: the cascade.
        stage: 1 trains its first network; 2 the second one, and with `settings.joint` the first one along with it.
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
        size: InputSize,
    ) -> None:
        trained = casae.first if stage == 1 else casae if settings.joint else casae.second
        peak = settings.learning_rate if stage == 1 else settings.learning_rate_2
        super().__init__(trained, budget, peak, settings.one_cycle)
        self.casae, self.stage, self.settings = casae, stage, settings
        self.validation, self.size = validation, size
        defective = sum(bool(image.label.any()) for image in validation)
        self.score_decides = not settings.one_cycle or defective >= ENOUGH_DEFECTIVE
        self._criterion = LOSSES[settings.loss]

    def forward(self, image: Tensor) -> Tensor:
        """Images (N, channels, H, W) -> logits (N, 2, H, W) of the cascade as far as this stage."""
        logits: Tensor = self.casae.first(image)
        return logits if self.stage == 1 else self.casae.refine(logits, image)

    def train(self, mode: bool = True) -> "SegmentationTask":
        """As PyTorch's; a first network that does not learn keeps its statistics."""
        super().train(mode)
        if self._first_rests:
            self.casae.first.eval()
        return self

    def begin_epoch(self, epoch: int) -> None:
        """See `Task.begin_epoch`; while network 2 begins with adding little, network 1 keeps its statistics."""
        self.train()
        if self.stage == 2 and epoch == 0:
            self.casae.first.eval()

    def loss(self, batch: Pair) -> Tensor:
        """Loss of (image, target)."""
        image, target = batch
        with torch.set_grad_enabled(not self._first_rests):
            first = self.casae.first(image.contiguous(memory_format=torch.channels_last))
        if self.stage == 1:
            return self._criterion(first, target)
        loss = self._criterion(self.casae.refine(first, image), target)
        return loss if self._first_rests else loss + self._criterion(first, target)

    def score(self) -> float | None:
        """IoU of the defect class over all validation pixels; None where none of them shows a defect."""
        if not any(image.label.any() for image in self.validation):
            return None
        return sum(self.counts(), Counts(0, 0, 0, 0)).iou

    def counts(self) -> list[Counts]:
        """Of each validation image."""
        return [self._counts(image) for image in self.validation]

    def scoring_takes(self) -> float:
        """See `Task.scoring_takes`: one image is timed, the second time it is looked at."""
        seconds = 0.0
        for image in 2 * list(self.validation[:1]):
            began = time.monotonic()
            self._counts(image)
            seconds = len(self.validation) * (time.monotonic() - began)
        return seconds

    @property
    def _first_rests(self) -> bool:
        return self.stage == 2 and not self.settings.joint

    def optimiser(self) -> torch.optim.Optimizer:
        """See `optimiser` of this module."""
        return optimiser(self.trained, self.casae.first, self.settings, self.learning_rate)

    def probability(self, image: LabelledImage) -> NDArray[np.float32]:
        """P(defect) of every pixel of an image (H, W), float32 (H, W), after the networks as far as this stage.

        The mean of two looks: which weights are better is told with less noise.
        """
        look = partial(segmentation.averaged, self._said, looks=2)
        return segmentation.defect_probability(look, image.pixels, self.size)

    def _said(self, values: NDArray[np.float32]) -> NDArray[np.float32]:
        return probability_of(self(torch.from_numpy(values).to(self.device))).float().cpu().numpy()

    def _counts(self, image: LabelledImage) -> Counts:
        return Counts.of(segmentation.threshold(self.probability(image), DEFAULT_GS), image.label > 0)
