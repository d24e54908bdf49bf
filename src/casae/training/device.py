"""Where a training computes, and in which numbers."""

import ctypes
from typing import Literal

import torch

from casae.errors import UsageError

Device = Literal["auto", "cpu", "cuda"]
M_TRIM_THRESHOLD, M_MMAP_MAX = -1, -4  # of malloc.h
UNTRIED = "On a GPU casae was never tried by its makers: compare a short training with one of --device cpu"


def device_of(wanted: str) -> torch.device:
    """The device; "auto" is a GPU where there is one.

    Raises:
        UsageError: it is not there.
    """
    if wanted == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    if wanted == "cuda" and not torch.cuda.is_available():
        raise UsageError("--device cuda: PyTorch finds no GPU; say cpu, or install PyTorch for this GPU")
    return torch.device(wanted)


def has_bf16(device: torch.device | None = None) -> bool:
    """Whether a device multiplies bfloat16 matrices natively (of processors: AVX-512 BF16 or AMX)."""
    if device is not None and device.type == "cuda":
        return bool(torch.cuda.is_bf16_supported(including_emulation=False))
    return bool(torch.cpu._is_avx512_bf16_supported() or torch.cpu._is_amx_tile_supported())


def keep_memory() -> None:
    """Let the allocator keep what is freed: without it every step asks the kernel for the same pages again.

    Only with the GNU C library, whose `mallopt` this is.
    """
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (OSError, TypeError, AttributeError):  # Windows, macOS, musl
        return
    mallopt(M_MMAP_MAX, 0)
    mallopt(M_TRIM_THRESHOLD, 2**31 - 1)
