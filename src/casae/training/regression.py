"""Logistic regression with a penalty on squared weights, by L-BFGS."""

import numpy as np
import torch
from numpy.typing import NDArray
from torch.nn import functional

FIT_STEPS = 60


def logistic_regression(
    table: NDArray[np.float64], truth: NDArray[np.int64], share: NDArray[np.float64], classes: int, penalty: float
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Weights (classes, F) and bias (classes,).

    Args:
        table: features (N, F).
        truth: class of each row, counted from 0.
        share: what each row counts.
        classes: how many there are.
        penalty: of the sum of squared weights, beside the mean log loss.
    """
    rows, named, counts = (torch.from_numpy(each) for each in (table, truth, share))
    weights = torch.zeros(classes, table.shape[1], dtype=torch.float64, requires_grad=True)
    bias = torch.zeros(classes, dtype=torch.float64, requires_grad=True)
    optimiser = torch.optim.LBFGS([weights, bias], max_iter=FIT_STEPS)

    def loss() -> torch.Tensor:
        optimiser.zero_grad()
        each = functional.cross_entropy(rows @ weights.T + bias, named, reduction="none")
        total = (counts * each).sum() + penalty * (weights**2).sum()
        total.backward()  # type: ignore[no-untyped-call]
        return total

    optimiser.step(loss)  # type: ignore[no-untyped-call]
    return weights.detach().numpy(), bias.detach().numpy()
