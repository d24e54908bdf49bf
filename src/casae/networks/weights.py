"""Weights to start from: what earlier training already knows of pictures, or of these very defects."""

import io
from collections.abc import Mapping
from importlib.resources import files
from pathlib import Path

import torch
from torch import Tensor, nn

from casae.errors import UsageError
from casae.files import write_whole
from casae.networks.cascade import CASAE
from casae.networks.efficientnet import LiteAutoEncoder, LiteEncoder
from casae.recipes import IMAGENET, SCRATCH

STEM, COLOUR_STEM = "stem.0.weight", "stem.0.weight.colour"
KEPT_BLOCKS = 3  # of the encoder; edges and grain look the same everywhere, and a quarter of a step's time is saved


def write_weights(network: nn.Module, file: Path, more: Mapping[str, Tensor] | None = None) -> None:
    """Write the weights of a network in half precision, and `more` beside them."""
    weights = network.state_dict() | dict(more or {})
    half = {name: value.half() if value.is_floating_point() else value for name, value in weights.items()}
    stream = io.BytesIO()
    torch.save(half, stream)
    write_whole(file, stream.getvalue(), "free space, and go on with --resume")


def begin(casae: CASAE, start: str) -> None:
    """Put start weights into a fresh cascade; an encoder that starts from weights keeps its first blocks.

    Args:
        casae: changed in place.
        start: "scratch" leaves it as it is; "imagenet" takes the encoder that ships with casae; else a file of
            `write_weights`.

    Raises:
        UsageError: the file cannot be read or holds weights of another network, or none ship for this one.
    """
    if start == SCRATCH:
        return
    if start == IMAGENET:
        if not isinstance(casae.first, LiteAutoEncoder):
            raise UsageError("start imagenet: no such weights ship for this encoder; add --preset scratch")
        file = Path(str(files("casae"))) / "models" / "efficientnet-lite0.pt"
        _put(casae.first.encoder, _of_channels(read_weights(str(file)), casae.first.encoder), start)
    else:
        _put(casae, read_weights(start), start)
    if isinstance(casae.first, LiteAutoEncoder):
        casae.first.encoder.keep(KEPT_BLOCKS)


def _of_channels(weights: dict[str, Tensor], encoder: LiteEncoder) -> dict[str, Tensor]:
    """The weights that ship with casae, for an encoder of one or three channels: the first kernel is there for both."""
    colour = weights.pop(COLOUR_STEM)
    if encoder.state_dict()[STEM].shape == colour.shape:
        weights[STEM] = colour
    return weights


def read_weights(start: str) -> dict[str, Tensor]:
    """Weights of a file; nothing in it is run.

    Raises:
        UsageError: it cannot be read or holds none.
    """
    try:
        weights = dict(torch.load(start, weights_only=True, map_location="cpu"))
        if not all(isinstance(name, str) and isinstance(value, Tensor) for name, value in weights.items()):
            raise TypeError("no tensors")
    except Exception as error:  # a damaged pickle raises whatever it likes
        raise UsageError(f"--from {start}: no start weights; name the weights.pt of a training folder") from error
    return weights


def _put(network: nn.Module, weights: dict[str, Tensor], start: str) -> None:
    shapes = {name: value.shape for name, value in weights.items()}
    if shapes != {name: value.shape for name, value in network.state_dict().items()}:
        raise UsageError(f"--from {start}: weights of another network; train with the settings they were made with")
    if any(not torch.isfinite(value).all() for value in weights.values() if value.is_floating_point()):
        raise UsageError(f"--from {start}: holds weights that are no numbers; train them anew")
    network.load_state_dict(weights)
