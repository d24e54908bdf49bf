"""Gradients of the depthwise convolution are PyTorch's own."""

import pytest
import torch
from torch import Tensor
from torch.nn import functional

from casae.networks.depthwise import depthwise

CHANNELS = 8


def gradients(convolve, x: Tensor, weight: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    x, weight = x.clone().requires_grad_(), weight.clone().requires_grad_()
    with torch.autocast("cpu", torch.bfloat16):
        y = convolve(x, weight)
    (y.float() * torch.linspace(-1, 1, y.numel()).reshape(y.shape)).sum().backward()
    return y, x.grad, weight.grad


@pytest.mark.parametrize(
    ("kernel", "stride", "side"), [(3, 1, 8), (3, 2, 9), (5, 1, 8), (5, 2, 11), (5, 2, 12), (7, 1, 9), (8, 1, 10)]
)
def test_result_and_gradients_are_those_of_pytorch(kernel, stride, side):
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(2, CHANNELS, side, side + 1, generator=generator)
    weight = torch.randn(CHANNELS, 1, kernel, kernel, generator=generator)
    padding = kernel // 2 if stride == 1 else 0

    ours = gradients(lambda x, w: depthwise(x, w, stride, padding), x, weight)
    native = gradients(lambda x, w: functional.conv2d(x, w, None, stride, padding, groups=CHANNELS), x, weight)

    assert ours[0].dtype == torch.bfloat16
    for one, other in zip(ours, native, strict=True):
        torch.testing.assert_close(one, other, rtol=2e-2, atol=2e-2)


def test_no_gradient_where_none_is_asked_for():
    weight = torch.randn(CHANNELS, 1, 5, 5, requires_grad=True)
    with torch.autocast("cpu", torch.bfloat16):
        depthwise(torch.randn(1, CHANNELS, 9, 9), weight, 1, 2).float().sum().backward()
    assert weight.grad is not None
    frozen, x = weight.detach(), torch.randn(1, CHANNELS, 9, 9, requires_grad=True)
    with torch.autocast("cpu", torch.bfloat16):
        depthwise(x, frozen, 2, 0).float().sum().backward()
    assert x.grad is not None
    assert frozen.grad is None
