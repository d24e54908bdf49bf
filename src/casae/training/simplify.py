"""The same function in fewer operations, for inspections: what only training needs is folded away."""

import copy
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.nn.utils.fusion import fuse_conv_bn_eval

from casae.training.lite import Level, LiteAutoEncoder
from casae.training.networks import CASAE, AutoEncoder

TAPS = ((0.0, 0.0, 1.0), (0.0, 1.0, 1.0), (1.0, 1.0, 0.0), (1.0, 0.0, 0.0))
"""Each row says which taps of a kernel of three, on a map enlarged twice by repeating, meet the same small pixel. The
rows are the taps of a transposed convolution of stride 2 and padding 1."""


def simplified(casae: CASAE) -> CASAE:
    """A copy for use that has the same P(defect), by `casae.training.networks.defect_probability`.

    Autoencoders draw one map, the difference of both logits, which alone counts. In a `LiteAutoEncoder`, maps are no
    longer enlarged, stacked with others and convolved, but convolved each at its own size: of the nine places where a
    kernel looks on an enlarged map, only four are different pixels.
    """
    casae = copy.deepcopy(casae).eval()
    first, second = casae.first, casae.second
    if isinstance(first, AutoEncoder | LiteAutoEncoder):
        first.head, second.head = _difference(first.head), _difference(second.head)
    if isinstance(first, LiteAutoEncoder):
        first.decoder = nn.ModuleList(_QuickLevel(level) for level in first.decoder if isinstance(level, Level))
    return casae


def _difference(head: nn.Conv2d) -> nn.Conv2d:
    """A head of one map for a head of two: background's taken from defect's."""
    count = head.out_channels // 2
    new = nn.Conv2d(head.in_channels, count, 1)
    new.weight = nn.Parameter(head.weight[count:] - head.weight[:count])
    new.bias = None if head.bias is None else nn.Parameter(head.bias[count:] - head.bias[:count])
    return new


class _QuickLevel(nn.Module):
    """What a `Level` of a decoder computes in use."""

    def __init__(self, level: Level) -> None:
        super().__init__()
        enlarging, self.rest = level
        layers: list[Any] = list(enlarging.children())
        folded: nn.Conv2d = fuse_conv_bn_eval(layers[0], layers[1])
        weight, after, below = folded.weight.detach(), folded.out_channels, level.below
        self.larger = nn.ConvTranspose2d(below, after, 4, stride=2, padding=1)
        self.beside = nn.Conv2d(folded.in_channels - below, after, 3, padding=1, bias=False)
        taps = torch.tensor(TAPS)
        self.larger.weight = nn.Parameter(torch.einsum("ocij,yi,xj->coyx", weight[:, :below], taps, taps))
        self.larger.bias = folded.bias
        self.beside.weight = nn.Parameter(weight[:, below:])

    def forward(self, x: Tensor, skip: Tensor) -> Tensor:
        """As of `Level`."""
        y: Tensor = self.rest(functional.relu(self.larger(x) + self.beside(skip)))
        return y
