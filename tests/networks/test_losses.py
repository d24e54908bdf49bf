import math

import pytest
import torch

from casae.networks.losses import EVEN, cross_entropy_dice, weighted_cross_entropy


def test_equation_1_by_hand():
    """One defect pixel (weight 0.8) with p = 0.5, one background pixel (weight 0.2) with p = 0.5."""
    logits = torch.zeros(1, 2, 1, 2)
    target = torch.tensor([[[1.0, 0.0]]])
    assert weighted_cross_entropy(logits, target).item() == pytest.approx(math.log(2))
    logits[0, 1, 0, 0] = 2.0  # the defect pixel becomes better: p = sigmoid(2)
    expected = (0.8 * -math.log(1 / (1 + math.exp(-2))) + 0.2 * math.log(2)) / (0.8 + 0.2)
    assert weighted_cross_entropy(logits, target).item() == pytest.approx(expected, rel=1e-5)


def test_a_missed_defect_costs_four_times_a_false_one():
    logits = torch.tensor([3.0, -3.0]).view(1, 2, 1, 1)
    defect, background = torch.ones(1, 1, 1), torch.zeros(1, 1, 1)
    both = torch.cat([logits, logits.flip(1)], 3)
    missed = weighted_cross_entropy(both, torch.cat([defect, defect], 2))
    assert missed.item() == pytest.approx(
        (weighted_cross_entropy(both, torch.cat([background] * 2, 2))).item(), rel=1e-5
    )
    mixed = weighted_cross_entropy(torch.cat([logits, logits], 3), torch.cat([defect, background], 2))
    wrong, right = math.log(1 + math.exp(6)), math.log(1 + math.exp(-6))
    assert mixed.item() == pytest.approx(0.8 * wrong + 0.2 * right, rel=1e-5)


def test_dice_by_hand():
    logits = torch.zeros(1, 2, 1, 2)
    logits[:, 1] = EVEN
    target = torch.tensor([[[1.0, 0.0]]])
    dice = 1 - (2 * 0.5 + 1) / (1 + 1 + 1)
    assert cross_entropy_dice(logits, target).item() == pytest.approx(math.log(2) + dice)


def test_without_a_defect_there_is_no_dice():
    logits = torch.zeros(2, 2, 1, 2)
    logits[:, 1] = EVEN
    target = torch.tensor([[[1.0, 0.0]], [[0.0, 0.0]]])
    alone = cross_entropy_dice(logits[:1], target[:1]).item() - math.log(2)
    assert cross_entropy_dice(logits, target).item() == pytest.approx(math.log(2) + alone / 2)


def test_a_perfect_prediction_costs_almost_nothing():
    target = (torch.rand(2, 8, 8) > 0.5).float()
    logits = torch.stack([10 - 20 * target, 20 * target - 10], 1)
    assert cross_entropy_dice(logits, target) < 1e-3
    assert weighted_cross_entropy(logits, target) < 1e-3


def test_even_odds_stand_at_the_papers_threshold():
    assert 1 / (1 + math.exp(-EVEN)) == pytest.approx(1 - 100 / 255)
