"""What the segmenter minimises. Logits are (N, 2, H, W), background then defect; targets (N, H, W), 1 = defect."""

import math

import torch
from torch import Tensor
from torch.nn import functional

from casae.config import DEFAULT_GS

EVEN = math.log((255 - DEFAULT_GS) / DEFAULT_GS)  # logit of P(defect) at the paper's Gs
DEFECT_WEIGHT, BACKGROUND_WEIGHT = 0.8, 0.2  # equation (1)


def weighted_cross_entropy(logits: Tensor, target: Tensor) -> Tensor:
    """Equation (1) of the paper, as a weighted mean over all pixels of the batch instead of the sum.

    The sum would tie the learning rate to image size and batch.
    """
    weight = torch.tensor([BACKGROUND_WEIGHT, DEFECT_WEIGHT], dtype=logits.dtype, device=logits.device)
    return functional.cross_entropy(logits, target.long(), weight=weight)


def cross_entropy_dice(logits: Tensor, target: Tensor) -> Tensor:
    """Plain cross-entropy plus soft Dice per image, each a mean over the batch.

    Dice weighs a small defect as much as a large one (Milletari et al. 2016). An image without defect has none: its
    Dice would be close to 1 for any trace of probability and would outweigh every defect. Even odds are moved to where
    the paper's Gs 100 cuts, P(defect) = 0.608, so that this threshold needs no tuning.
    """
    evidence = (logits[:, 1] - logits[:, 0]).float() - EVEN
    probability = evidence.sigmoid()
    overlap = (probability * target).sum((1, 2))
    total = (probability + target).sum((1, 2))
    dice = torch.where(target.any(2).any(1), 1 - (2 * overlap + 1) / (total + 1), 0.0)
    return functional.binary_cross_entropy_with_logits(evidence, target) + dice.mean()


LOSSES = {"weighted": weighted_cross_entropy, "dice": cross_entropy_dice}
