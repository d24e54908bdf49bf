"""The same function in fewer operations, for inspections: what only training needs is folded away."""

import copy

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.nn.utils.fusion import fuse_conv_bn_eval

from casae.networks.cascade import CASAE, AutoEncoder
from casae.networks.efficientnet import Level, LiteAutoEncoder


def simplified(casae: CASAE) -> CASAE:
    """A copy for use that has the same P(defect), by `casae.networks.cascade.probability_of`.

    Autoencoders draw one map, the difference of both logits, which alone counts. In their decoders, maps are no longer
    enlarged, stacked with others and convolved, but convolved each at its own size: of the nine places where a kernel
    looks on an enlarged map, only four are different pixels.
    """
    casae = copy.deepcopy(casae).eval()
    first, second = casae.first, casae.second
    if isinstance(first, AutoEncoder | LiteAutoEncoder):
        first.head, second.head = _difference(first.head), _difference(second.head)
    for network in (first, second):
        if isinstance(network, AutoEncoder):
            for index, (up, decode) in enumerate(zip(network.up, network.decoder, strict=True)):
                network.up[index], network.decoder[index] = nn.Identity(), _joining(up, decode)
        elif isinstance(network, LiteAutoEncoder):
            network.decoder = nn.ModuleList(_level(level) for level in network.decoder)
    return casae


def _difference(head: nn.Conv2d) -> nn.Conv2d:
    """A head of one map for a head of two: background's taken from defect's."""
    count = head.out_channels // 2
    new = nn.Conv2d(head.in_channels, count, 1)
    new.weight = nn.Parameter(head.weight[count:] - head.weight[:count])
    new.bias = None if head.bias is None else nn.Parameter(head.bias[count:] - head.bias[:count])
    return new


def _joining(up: nn.Module, decode: nn.Module) -> "_QuickLevel":
    assert isinstance(up, nn.ConvTranspose2d)
    first, rest = _folded(decode)
    beside, larger = first.weight.chunk(2, dim=1)
    return _QuickLevel(up.weight, up.bias, larger, beside, first.bias, rest)


def _level(level: nn.Module) -> "_QuickLevel":
    assert isinstance(level, Level)
    first, rest = _folded(level[0])
    larger, beside = first.weight[:, : level.below], first.weight[:, level.below :]
    repeating = torch.eye(level.below)[:, :, None, None].expand(-1, -1, 2, 2)
    return _QuickLevel(repeating, None, larger, beside, first.bias, nn.Sequential(rest, level[1]))


def _folded(layers: nn.Module) -> tuple[nn.Conv2d, nn.Sequential]:
    """The first convolution, with the batch normalisation that may follow it, and the rest."""
    first, second, *rest = layers.children()
    assert isinstance(first, nn.Conv2d)
    if isinstance(second, nn.BatchNorm2d):
        return fuse_conv_bn_eval(first, second), nn.Sequential(*rest)
    return first, nn.Sequential(second, *rest)


class _QuickLevel(nn.Module):
    """What a level of a decoder computes in use.

    Args:
        up: weights (below, M, 2, 2) of the transposed convolution of stride 2 that enlarges the map from below.
        up_bias: its bias (M).
        larger, beside: weights (features, M, 3, 3) and (features, skip, 3, 3) of the convolution that follows: those
            of the enlarged map and those of the encoder's.
        bias: of that convolution, (features).
        rest: what follows it.
    """

    def __init__(
        self, up: Tensor, up_bias: Tensor | None, larger: Tensor, beside: Tensor, bias: Tensor | None, rest: nn.Module
    ) -> None:
        super().__init__()
        weight = functional.conv2d(up, larger, padding=2).detach()  # two kernels in turn, of 2 and of 3, are one of 4
        below, features = weight.shape[:2]
        self.larger = nn.ConvTranspose2d(below, features, 4, stride=2, padding=1, bias=False)
        self.beside = nn.Conv2d(beside.shape[1], features, 3, padding=1)
        self.larger.weight, self.beside.weight = nn.Parameter(weight), nn.Parameter(beside.detach())
        self.beside.bias = None if bias is None else nn.Parameter(bias.detach())
        self.even = None if up_bias is None else nn.Conv2d(1, features, 3, padding=1, bias=False)
        if self.even is not None:
            self.even.weight = nn.Parameter(torch.einsum("omyx,m->oyx", larger, up_bias)[:, None].detach())
        self.rest = rest

    def forward(self, x: Tensor, skip: Tensor) -> Tensor:
        """Maps (N, below, H, W) and (N, skip, 2 H, 2 W) -> (N, features, 2 H, 2 W)."""
        y: Tensor = self.larger(x) + self.beside(skip)
        if self.even is not None:  # the first bias ends with the map, where the second convolution sees zeros
            y += self.even(torch.ones_like(skip[:1, :1]))
        drawn: Tensor = self.rest(y)
        return drawn
