"""Weights to start from: what a segmenter already knows of defects before it sees the first image of a part."""

import io
import pickle
from importlib.resources import files
from pathlib import Path

import torch

from casae.errors import UsageError
from casae.training.networks import CASAE

SCRATCH, SHIPPED = "scratch", "shipped"


def shipped_weights() -> Path:
    """The file of start weights in the package (docs/models/start.md)."""
    return Path(str(files("casae"))) / "models" / "start.pt"


def write_weights(casae: CASAE, file: Path) -> None:
    """Write the weights of a cascade in half precision."""
    half = {name: value.half() if value.is_floating_point() else value for name, value in casae.state_dict().items()}
    stream = io.BytesIO()
    torch.save(half, stream)
    file.write_bytes(stream.getvalue())


def begin(casae: CASAE, start: str) -> str:
    """Put start weights into a fresh cascade.

    Args:
        casae: changed in place.
        start: "scratch" leaves it as it is, "shipped" takes the package's weights where they fit, else a file of
            `write_weights`.

    Returns:
        What was done, for a person.

    Raises:
        UsageError: a named file cannot be read or holds weights of another network.
    """
    if start == SCRATCH:
        return "from scratch"
    file = shipped_weights() if start == SHIPPED else Path(start)
    try:
        weights = torch.load(file, weights_only=True)
        fits = {name: value.shape for name, value in weights.items()} == {
            name: value.shape for name, value in casae.state_dict().items()
        }
    except (OSError, RuntimeError, EOFError, AttributeError, pickle.UnpicklingError) as error:
        raise UsageError(f"--from {start}: cannot be read as start weights; say --from scratch") from error
    if fits:
        casae.load_state_dict(weights)
        return f"from the weights in {file.name}"
    if start == SHIPPED:
        return "from scratch, since the shipped start weights are for another width"
    raise UsageError(f"--from {start}: weights of another network; leave --width as it was when they were made")
