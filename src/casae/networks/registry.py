"""Network 1 by its name: those of casae, and those that other packages register."""

from collections.abc import Callable, Iterator

import torch
from torch import nn

from casae import plugins
from casae.errors import UsageError
from casae.networks.cascade import AutoEncoder
from casae.networks.efficientnet import LiteAutoEncoder
from casae.networks.fcn import FCN8
from casae.recipes import SegmenterSettings

Factory = Callable[[SegmenterSettings, bool, int], nn.Module]
"""(settings, whether it standardises its input, number of maps) -> a network.

It takes images (N, channels, H, W), float32 in 0..1, of the `channels` of the settings: 1 for gray, 3 for RGB. It draws
as many maps of logits, (N, maps, H, W): background first, two where it tells defects from background. Its `stride`,
which divides `settings.stride`, is what the sides of its input are multiples of; others it refuses by a ValueError.
It may have `levels`: modules of the encoder, each making maps (N, C, h, w), whose means tell what a picture is like
(`casae.inspection.novelty`). Ours leave out the deepest, which knows more of defects than of the surface.
"""

RULES = "see Factory in casae.networks.registry"
ENTRY_POINTS = "casae.networks"  # group in which other packages register a `Factory` by its name


def autoencoder(
    settings: SegmenterSettings, *, standardise: bool = False, inputs: int = 1, classes: int = 2
) -> AutoEncoder:
    """The paper's autoencoder that the settings describe."""
    return AutoEncoder(
        settings.width,
        atrous=settings.atrous,
        inputs=inputs,
        classes=classes,
        norm=settings.norm,
        patch=settings.patch,
        max_width=settings.max_width,
        last_convs=settings.last_convs,
        standardise=standardise,
    )


def _atrous(settings: SegmenterSettings, standardise: bool, classes: int) -> nn.Module:
    return autoencoder(settings, standardise=standardise, inputs=settings.channels or 1, classes=classes)


def _efficientnet(settings: SegmenterSettings, standardise: bool, classes: int) -> nn.Module:
    return LiteAutoEncoder(standardise, max(2, settings.patch), classes, settings.channels or 1)


def _fcn8(settings: SegmenterSettings, standardise: bool, classes: int) -> nn.Module:
    inputs = settings.channels or 1
    return FCN8(settings.width, norm=settings.norm, standardise=standardise, classes=classes, inputs=inputs)


FACTORIES: dict[str, Factory] = {"atrous": _atrous, "efficientnet-lite0": _efficientnet, "fcn8": _fcn8}
OWN = frozenset(FACTORIES)  # whose contract our tests hold


def first_network(settings: SegmenterSettings, standardise: bool, classes: int) -> nn.Module:
    """Network 1 that the settings name, with fresh weights.

    Raises:
        UsageError: nobody registered a network of this name, or one of another package breaks the rules of `Factory`.
    """
    name = settings.encoder
    factory = plugins.find(ENTRY_POINTS, name, FACTORIES, UsageError)
    if factory is None:
        known = ", ".join(plugins.names(ENTRY_POINTS, FACTORIES))
        raise UsageError(f"encoder {name}: no such network; there are {known}")
    if name in OWN:
        return factory(settings, standardise, classes)
    try:
        network = factory(settings, standardise, classes)
        problem = _broken_rule(network, settings, classes)
    except Exception as error:  # whatever the code of others raises
        raise UsageError(f"encoder {name}: {type(error).__name__}: {error}; {RULES}") from error
    if problem:
        raise UsageError(f"encoder {name}: {problem}; {RULES}")
    return network


def _broken_rule(network: object, settings: SegmenterSettings, maps: int) -> str:
    """What of `Factory` a network of others breaks; empty if nothing."""
    if not isinstance(network, nn.Module):
        return f"is no torch module but {type(network).__name__}"
    stride, side = getattr(network, "stride", None), settings.stride
    if not isinstance(stride, int) or stride < 1 or side % stride:
        return f"has the stride {stride}, which does not divide {side}"
    network.eval()
    with torch.no_grad():
        drawn = network(torch.zeros(1, settings.channels or 1, 2 * side, 3 * side))
    network.train()
    wanted = (1, maps, 2 * side, 3 * side)
    shape = tuple(drawn.shape) if isinstance(drawn, torch.Tensor) else type(drawn).__name__
    return "" if shape == wanted else f"makes {shape} where {wanted} is due"


def known_weights(network: nn.Module) -> Iterator[nn.Parameter]:
    """Weights that may have started from others, and learn more slowly."""
    if isinstance(network, LiteAutoEncoder):
        yield from network.encoder.parameters()
