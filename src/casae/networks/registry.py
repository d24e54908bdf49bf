"""Network 1 by its name: those of casae, and those that other packages register."""

from collections.abc import Callable, Iterator
from importlib.metadata import EntryPoint, entry_points

from torch import nn

from casae.errors import UsageError
from casae.networks.cascade import AutoEncoder
from casae.networks.efficientnet import LiteAutoEncoder
from casae.networks.fcn import FCN8
from casae.recipes import SegmenterSettings

Factory = Callable[[SegmenterSettings, bool, int], nn.Module]
"""(settings, whether it standardises its input, maps to draw) -> a network.

It maps gray images (N, 1, H, W) to logits (N, maps, H, W), has a `stride` that the sides of its input are multiples
of, and refuses others by a ValueError.
"""

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
    return autoencoder(settings, standardise=standardise, classes=classes)


def _efficientnet(settings: SegmenterSettings, standardise: bool, classes: int) -> nn.Module:
    return LiteAutoEncoder(standardise, max(2, settings.patch), classes)


def _fcn8(settings: SegmenterSettings, standardise: bool, classes: int) -> nn.Module:
    return FCN8(settings.width, norm=settings.norm, standardise=standardise, classes=classes)


FACTORIES: dict[str, Factory] = {"atrous": _atrous, "efficientnet-lite0": _efficientnet, "fcn8": _fcn8}


def first_network(settings: SegmenterSettings, standardise: bool, classes: int) -> nn.Module:
    """Network 1 that the settings name, with fresh weights.

    Raises:
        UsageError: nobody registered a network of this name.
    """
    others = {point.name: point for point in entry_points(group=ENTRY_POINTS)}
    known: dict[str, Factory | EntryPoint] = {**others, **FACTORIES}
    found = known.get(settings.encoder)
    if found is None:
        raise UsageError(f"encoder {settings.encoder}: no such network; there are {', '.join(sorted(known))}")
    factory: Factory = found.load() if isinstance(found, EntryPoint) else found
    return factory(settings, standardise, classes)


def known_weights(network: nn.Module) -> Iterator[nn.Parameter]:
    """Weights that may have started from others, and learn more slowly."""
    if isinstance(network, LiteAutoEncoder):
        yield from network.encoder.parameters()
