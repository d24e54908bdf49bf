"""The networks of Tao et al. 2018: the atrous autoencoder, its cascade, and the compact CNN.

Shapes are written (channels, height, width); a batch axis comes first. Every layer stands where Figure 3, Table 1 or
Table 2 of the paper puts it; options that leave the paper say so.
"""

import itertools
from collections.abc import Sequence
from typing import Self

import torch
from torch import Tensor, nn

LEVELS = 5
ATROUS_FACTORS = (1, 2, 2, 4, 4)  # Table 1: first convolution of levels 2..5, which are convolutions 3, 5, 7, 9


class AutoEncoder(nn.Module):
    """One autoencoder (AE) network, Figure 3: five encoder levels, four decoder levels, a 1 x 1 head.

    Args:
        width: features of level 1; they double at each deeper level. 64 in the paper.
        atrous: dilate the first convolution of levels 2 to 5 by 2, 2, 4, 4 (Table 1). The paper prints "padding 1",
            which would shrink the map; padding equals the factor here, so the size is kept.
        inputs: maps in the input; 1 in the paper.
        classes: maps in the output; 2 in the paper, background then defect.
        norm: batch normalisation after every convolution. Not in the paper.
        patch: space-to-depth factor before level 1 and back after the head. 1 in the paper; 2 or 4 make the network
            four or sixteen times cheaper at the same input size.
        max_width: upper limit for the doubling of features. `None` in the paper.
        last_convs: convolutions of the last decoder level. Figure 3 draws one where the other levels have two.
        standardise: bring every input to mean 0 and standard deviation 1 first, which takes the lamp out of the image.
            Not in the paper.

    Raises:
        ValueError: from `forward`, if a side of the input is no multiple of `AutoEncoder.stride`.
    """

    def __init__(
        self,
        width: int = 64,
        *,
        atrous: bool = True,
        inputs: int = 1,
        classes: int = 2,
        norm: bool = False,
        patch: int = 1,
        max_width: int | None = None,
        last_convs: int = 1,
        standardise: bool = False,
    ) -> None:
        super().__init__()
        self.standardise = standardise
        features = [min(width * 2**level, max_width or width * 2**level) for level in range(LEVELS)]
        factors = ATROUS_FACTORS if atrous else (1,) * LEVELS
        self.stride = patch * 2 ** (LEVELS - 1)
        self.to_patches = nn.PixelUnshuffle(patch)
        self.encoder = nn.ModuleList()
        channels = inputs * patch**2
        for count, factor in zip(features, factors, strict=True):
            self.encoder.append(_convolutions([channels, count, count], factor, norm))
            channels = count
        self.pool = nn.MaxPool2d(2)
        self.up = nn.ModuleList()
        self.decoder = nn.ModuleList()
        for level in reversed(range(LEVELS - 1)):
            count = features[level]
            convs = last_convs if level == 0 else 2
            self.up.append(nn.ConvTranspose2d(features[level + 1], count, 2, stride=2))
            self.decoder.append(Joining(*_convolutions([2 * count] + [count] * convs, 1, norm)))
        self.head = nn.Conv2d(features[0], classes * patch**2, 1)
        self.from_patches = nn.PixelShuffle(patch)

    @property
    def levels(self) -> Sequence[nn.Module]:
        """See `casae.networks.registry.Factory`."""
        return list(self.encoder)[:-1]

    def forward(self, image: Tensor) -> Tensor:
        """Image (N, inputs, H, W) float in 0..1 -> logits (N, classes, H, W)."""
        check_sides(image, self.stride)
        x = self.to_patches(standardised(image) if self.standardise else image)
        skips = []
        for level, encode in enumerate(self.encoder):
            x = encode(x if level == 0 else self.pool(x))  # at width 64: 64x512x512 ... 1024x32x32
            skips.append(x)
        for up, decode, skip in zip(self.up, self.decoder, reversed(skips[:-1]), strict=True):
            x = decode(up(x), skip)  # 1024 -> 512x64x64 ... 128 -> 64x512x512
        logits: Tensor = self.from_patches(self.head(x))
        return logits


class Joining(nn.Sequential):
    """Convolutions of one level of the decoder, over the encoder's map and the enlarged one."""

    def forward(self, enlarged: Tensor, skip: Tensor) -> Tensor:  # type: ignore[override]  # two maps, not one
        """Maps (N, C, H, W) each -> (N, features, H, W)."""
        y: Tensor = super().forward(torch.cat([skip, enlarged], dim=1))  # type: ignore[no-untyped-call]
        return y


class CASAE(nn.Module):
    """Cascaded autoencoder: a second network refines the first one's prediction mask.

    The second network sees the mask alone, one channel, not the image (paper, section 3.1).

    Args:
        first: maps gray images (N, 1, H, W) to logits (N, 2, H, W) and has a `stride`; an `AutoEncoder` in the paper.
        second: of the same structure in the paper.
        residual: add the second network's logits to the first one's, with a second head that starts at zero. Then the
            cascade starts where the first network ended and the second one only has to learn what to mend.
        sees_image: the second network, of two inputs, gets the image beside the mask, standardised where the first one
            standardises it. Not in the paper.
    """

    def __init__(
        self, first: nn.Module, second: AutoEncoder, *, residual: bool = False, sees_image: bool = False
    ) -> None:
        super().__init__()
        self.first, self.second, self.residual, self.sees_image = first, second, residual, sees_image
        self.stride = max(int(first.stride), second.stride)  # type: ignore[arg-type]  # an attribute of ours
        if residual:
            nn.init.zeros_(second.head.weight)
            nn.init.zeros_(second.head.bias)  # type: ignore[arg-type]

    @classmethod
    def of_width(cls, width: int = 64) -> Self:
        """The paper's cascade at a width of level 1: two autoencoders of one structure."""
        return cls(AutoEncoder(width), AutoEncoder(width))

    def forward(self, image: Tensor) -> Tensor:
        """Gray image (N, 1, H, W) float in 0..1 -> logits after both networks (N, 2, H, W)."""
        return self.refine(self.first(image), image)

    def refine(self, logits: Tensor, image: Tensor) -> Tensor:
        """Logits of the first network for an image (N, 1, H, W) -> logits after the second one, both (N, 2, H, W)."""
        seen = mask = probability_of(logits)
        if self.sees_image:
            shown = standardised(image) if getattr(self.first, "standardise", False) else image
            seen = torch.cat([mask, shown.to(mask.dtype)], 1)
        refined: Tensor = self.second(seen)
        return logits + refined if self.residual else refined


def probability_of(logits: Tensor) -> Tensor:
    """Logits (N, 2, H, W), background then defect, or their difference (N, 1, H, W) -> P(defect) (N, 1, H, W)."""
    return torch.sigmoid(logits if logits.shape[1] == 1 else logits[:, 1:] - logits[:, :1])


def _convolutions(channels: Sequence[int], first_factor: int, norm: bool) -> nn.Sequential:
    layers: list[nn.Module] = []
    for index, (before, after) in enumerate(itertools.pairwise(channels)):
        factor = first_factor if index == 0 else 1
        layers.append(nn.Conv2d(before, after, 3, padding=factor, dilation=factor, bias=not norm))
        if norm:
            layers.append(nn.BatchNorm2d(after))
        layers.append(nn.ReLU(inplace=True))
    return nn.Sequential(*layers)


def standardised(image: Tensor) -> Tensor:
    """Each image (N, C, H, W) brought to mean 0 and standard deviation 1."""
    axes = (1, 2, 3)
    centred = image - image.mean(axes, keepdim=True)
    deviation = (centred * centred).mean(axes, keepdim=True).sqrt()
    return centred / (deviation + 1e-4)


def check_sides(image: Tensor, stride: int) -> None:
    """Raise ValueError if a side of an image (N, C, H, W) is no multiple of the stride; it names one that is."""
    height, width = image.shape[-2:]
    if height % stride or width % stride:
        fits = f"{-(-height // stride) * stride} x {-(-width // stride) * stride}"
        raise ValueError(f"input of {height} x {width} px: sides must be multiples of {stride}; {fits} works")
