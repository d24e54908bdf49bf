"""Weights to start from: what an earlier training already knows of defects."""

import io
import pickle
from pathlib import Path

import torch

from casae.errors import UsageError
from casae.training.networks import CASAE

SCRATCH = "scratch"


def write_weights(casae: CASAE, file: Path) -> None:
    """Write the weights of a cascade in half precision."""
    half = {name: value.half() if value.is_floating_point() else value for name, value in casae.state_dict().items()}
    stream = io.BytesIO()
    torch.save(half, stream)
    file.write_bytes(stream.getvalue())


def begin(casae: CASAE, start: str) -> None:
    """Put start weights into a fresh cascade.

    Args:
        casae: changed in place.
        start: "scratch" leaves it as it is, else a file of `write_weights`.

    Raises:
        UsageError: the file cannot be read or holds weights of another network.
    """
    if start == SCRATCH:
        return
    try:
        weights = torch.load(start, weights_only=True)
        shapes = {name: value.shape for name, value in weights.items()}
    except (OSError, RuntimeError, EOFError, AttributeError, pickle.UnpicklingError) as error:
        raise UsageError(f"--from {start}: no start weights; name the weights.pt of a training folder") from error
    if shapes != {name: value.shape for name, value in casae.state_dict().items()}:
        raise UsageError(f"--from {start}: weights of another network; leave --width as it was when they were made")
    casae.load_state_dict(weights)
