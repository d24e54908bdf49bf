"""An autoencoder for few images: EfficientNet-Lite0 looks, a small decoder draws.

The encoder's shape is fixed by the weights it starts from (`casae.networks.weights`): EfficientNet (Tan and Le 2019,
arXiv:1905.11946) in its Lite form, which has no squeeze-and-excitation and ReLU6 instead of swish. It stands where the
paper's encoder stands; decoder, cascade and head are as in the paper, only narrower.
"""

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional

from casae.networks.cascade import check_sides, standardised
from casae.networks.depthwise import depthwise

STAGES = (  # blocks, kernel, stride, expansion, features: Table 1 of the paper, stages 2 to 8
    (1, 3, 1, 1, 16),
    (2, 3, 2, 6, 24),
    (2, 5, 2, 6, 40),
    (3, 3, 2, 6, 80),
    (3, 5, 1, 6, 112),
    (4, 5, 2, 6, 192),
    (1, 3, 1, 6, 320),
)
SKIPS = (0, 2, 4, 10, 15)  # blocks whose maps the decoder sees, at 1/2, 1/4 ... 1/32 of the input's side
SKIP_FEATURES = (16, 24, 40, 112, 320)
DECODER_FEATURES = (88, 56, 48)  # at 1/16, 1/8 and 1/4; with the skips multiples of 16, which oneDNN handles best
SPREAD_FEATURES, FINE_FEATURES = 12, 8  # at the finest level, the latter for each pixel of a patch's side
EPSILON = 1e-3  # of batch normalisation, as in the weights' own training


class LiteEncoder(nn.Module):
    """EfficientNet-Lite0 without its classifier, for images of one or three channels."""

    def __init__(self, inputs: int = 1) -> None:
        super().__init__()
        self.stem = nn.Sequential(
            _Convolution(inputs, 32, 3, stride=2), nn.BatchNorm2d(32, EPSILON), nn.ReLU6(inplace=True)
        )
        self.blocks = nn.ModuleList()
        channels = 32
        for count, kernel, stride, expansion, features in STAGES:
            for index in range(count):
                self.blocks.append(_Block(channels, features, kernel, stride if index == 0 else 1, expansion))
                channels = features
        self._knows = False

    def keep(self, blocks: int) -> None:
        """Keep what start weights know: all statistics, and stem and first blocks, whose large maps cost most."""
        self._knows = True
        for module in (self.stem, *self.blocks[:blocks]):
            module.requires_grad_(False)
        self.train(self.training)

    def train(self, mode: bool = True) -> "LiteEncoder":
        """As PyTorch's; an encoder that keeps its statistics stays as it is in use."""
        super().train(mode and not self._knows)
        return self

    def forward(self, x: Tensor) -> list[Tensor]:
        """Standardised image (N, inputs, H, W) -> five maps of `SKIP_FEATURES` at 1/2 ... 1/32 of the side."""
        x = self.stem(x)
        maps = []
        for index, block in enumerate(self.blocks):
            x = block(x)
            if index in SKIPS:
                maps.append(x)
        return maps


class LiteAutoEncoder(nn.Module):
    """`LiteEncoder` and a decoder of 3 x 3 convolutions; the contract of `casae.networks.cascade.AutoEncoder`.

    Args:
        standardise: bring every input to mean 0 and deviation 1 first; else it comes so, as a part of an image does.
        patch: side of the square of pixels that the finest level sees and draws at once, 2 or 4. With 4 the encoder
            looks at the input halved, which makes the network almost four times cheaper at the same input size.
        classes: maps in the output, background first.
        inputs: channels of the input.

    Raises:
        ValueError: from `forward`, if a side of the input is no multiple of `LiteAutoEncoder.stride`.
    """

    def __init__(self, standardise: bool = True, patch: int = 2, classes: int = 2, inputs: int = 1) -> None:
        super().__init__()
        self.standardise = standardise
        self.stride = 16 * patch
        self.halve = nn.AvgPool2d(2) if patch == 4 else nn.Identity()
        self.encoder = LiteEncoder(inputs)
        self.decoder = nn.ModuleList()
        *skips, channels = SKIP_FEATURES[1:]
        for skip, features in zip(reversed(skips), DECODER_FEATURES, strict=True):
            self.decoder.append(Level(channels, skip, features))
            channels = features
        self.spread = nn.Sequential(nn.Conv2d(channels, 4 * SPREAD_FEATURES, 1), nn.PixelShuffle(2))
        self.to_patches = nn.PixelUnshuffle(patch)
        self.fine = _plain(SPREAD_FEATURES + inputs * patch**2 + SKIP_FEATURES[0], FINE_FEATURES * patch)
        self.head = nn.Conv2d(FINE_FEATURES * patch, classes * patch**2, 1)
        self.from_patches = nn.PixelShuffle(patch)

    @property
    def levels(self) -> Sequence[nn.Module]:
        """See `casae.networks.registry.Factory`."""
        return [self.encoder.blocks[index] for index in SKIPS[:-1]]

    def forward(self, image: Tensor) -> Tensor:
        """Image (N, inputs, H, W) float -> logits (N, classes, H, W)."""
        check_sides(image, self.stride)
        image = standardised(image) if self.standardise else image
        first, *skips, x = self.encoder(self.halve(image))
        for decode, skip in zip(self.decoder, reversed(skips), strict=True):
            x = decode(x, skip)  # 88, 56, 48 features
        patches = self.to_patches(image).contiguous(memory_format=torch.channels_last)
        x = self.fine(torch.cat([self.spread(x), patches, first], dim=1))
        logits: Tensor = self.from_patches(self.head(x))
        return logits


class Level(nn.ModuleList):
    """One level of the decoder: the map from below, twice as large, and the encoder's, through two convolutions.

    Attributes:
        below: features of the map from below.
    """

    def __init__(self, below: int, skip: int, features: int) -> None:
        super().__init__([_plain(below + skip, features), _plain(features, features)])
        self.below = below

    def forward(self, x: Tensor, skip: Tensor) -> Tensor:
        """Maps (N, below, H, W) and (N, skip, 2 H, 2 W) -> (N, features, 2 H, 2 W)."""
        both = torch.cat([functional.interpolate(x, scale_factor=2.0), skip], dim=1)
        y: Tensor = self[1](self[0](both))
        return y


class _Block(nn.Module):
    """Inverted residual block (Sandler et al. 2018): widen by 1 x 1, look by depthwise k x k, narrow by 1 x 1."""

    def __init__(self, before: int, after: int, kernel: int, stride: int, expansion: int) -> None:
        super().__init__()
        hidden = before * expansion
        layers: list[nn.Module] = []
        if expansion != 1:
            layers += [_Convolution(before, hidden, 1), nn.BatchNorm2d(hidden, EPSILON), nn.ReLU6(inplace=True)]
        layers += [
            _Convolution(hidden, hidden, kernel, stride=stride, groups=hidden),
            nn.BatchNorm2d(hidden, EPSILON),
            nn.ReLU6(inplace=True),
            _Convolution(hidden, after, 1),
            nn.BatchNorm2d(after, EPSILON),
        ]
        self.body = nn.Sequential(*layers)
        self.shortcut = stride == 1 and before == after

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.body(x)
        return x + y if self.shortcut else y


class _Convolution(nn.Conv2d):
    """Without bias. With stride 2 the padding stands right and below first, as where the weights were learned."""

    def __init__(self, before: int, after: int, kernel: int, *, stride: int = 1, groups: int = 1) -> None:
        padding = kernel // 2 if stride == 1 else 0
        super().__init__(before, after, kernel, stride, padding, groups=groups, bias=False)
        self.missing = kernel - 2 if stride == 2 else 0

    def forward(self, x: Tensor) -> Tensor:
        before = self.missing // 2
        after = self.missing - before
        x = functional.pad(x, (before, after, before, after)) if self.missing else x
        if self.groups > 1:
            return depthwise(x, self.weight, self.stride[0], int(self.padding[0]))
        return super().forward(x)


def _plain(before: int, after: int) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(before, after, 3, padding=1, bias=False), nn.BatchNorm2d(after), nn.ReLU(inplace=True)
    )
