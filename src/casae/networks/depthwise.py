"""Depthwise convolution in bfloat16 whose gradients take oneDNN's quick ways only.

Two of its backward passes in bfloat16 are several times slower than they need be: that to the input with a stride of 2,
and that to the weights of a 5 x 5 kernel (docs/results/training-speed.md). The first is computed in single precision,
the second as four 3 x 3 kernels that cover the 5 x 5 one.
"""

from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

WINDOW = 3  # side of the kernel whose weight gradient is quick


def depthwise(x: Tensor, weight: Tensor, stride: int, padding: int) -> Tensor:
    """As `torch.nn.functional.conv2d` with a group for each channel.

    Args:
        x: (N, C, H, W).
        weight: (C, 1, K, K).
        stride, padding: as `conv2d`'s, the same both ways.
    """
    if not (torch.is_grad_enabled() and torch.is_autocast_enabled("cpu")):
        return functional.conv2d(x, weight, None, stride, padding, groups=len(weight))
    dtype = torch.get_autocast_dtype("cpu")
    y: Tensor = _Depthwise.apply(x.to(dtype), weight.to(dtype), stride, padding)  # type: ignore[no-untyped-call]
    return y


class _Depthwise(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, stride: int, padding: int) -> Tensor:
        ctx.save_for_backward(x, weight)
        ctx.stride, ctx.padding = stride, padding
        return functional.conv2d(x, weight, None, stride, padding, groups=len(weight))

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, Tensor | None, None, None]:
        x, weight = ctx.saved_tensors
        of_x = of_weight = None
        if ctx.needs_input_grad[0]:
            of_x = _of_input(gradient, x, weight, ctx.stride, ctx.padding)
        if ctx.needs_input_grad[1]:
            of_weight = _of_weight(gradient, x, weight, ctx.stride, ctx.padding)
        return of_x, of_weight, None, None


def _of_input(gradient: Tensor, x: Tensor, weight: Tensor, stride: int, padding: int) -> Tensor:
    dtype = x.dtype
    if stride > 1:
        gradient, x, weight = gradient.float(), x.float(), weight.float()
    return _backward(gradient, x, weight, stride, padding, 0).to(dtype)


def _of_weight(gradient: Tensor, x: Tensor, weight: Tensor, stride: int, padding: int) -> Tensor:
    side = weight.shape[-1]
    if side <= WINDOW:
        return _backward(gradient, x, weight, stride, padding, 1)
    x = functional.pad(x, (padding,) * 4)
    height, width = ((n - 1) * stride + WINDOW for n in gradient.shape[2:])
    result = torch.empty_like(weight)
    small = weight[:, :, :WINDOW, :WINDOW].contiguous()
    starts = [*range(0, side - WINDOW, WINDOW), side - WINDOW]
    for top in starts:
        for left in starts:
            part = x[:, :, top : top + height, left : left + width].contiguous(memory_format=torch.channels_last)
            window = _backward(gradient, part, small, stride, 0, 1)
            result[:, :, top : top + WINDOW, left : left + WINDOW] = window
    return result


def _backward(gradient: Tensor, x: Tensor, weight: Tensor, stride: int, padding: int, which: int) -> Tensor:
    """PyTorch's gradient to the input (0) or to the weights (1)."""
    mask = [which == 0, which == 1, False]
    both = torch.ops.aten.convolution_backward(
        gradient, x, weight, None, [stride] * 2, [padding] * 2, [1, 1], False, [0, 0], len(weight), mask
    )
    result: Tensor = both[which]
    return result
