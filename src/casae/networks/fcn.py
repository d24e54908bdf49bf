"""FCN-8s (Long et al. 2015, arXiv:1411.4038) on a VGG16-type encoder, the paper's first row of Table 3.

The paper names the FCN and no more; 8s, VGG16 and its width as a factor are our reading.
"""

import itertools
from collections.abc import Sequence

from torch import Tensor, nn
from torch.nn import functional

from casae.networks.cascade import check_sides, standardised

CONVOLUTIONS = (2, 2, 3, 3, 3)  # of VGG16's blocks
FACTORS = (1, 2, 4, 8, 8)  # of their features
HIDDEN = 64  # times the width: VGG16's 4096 for width 64


class FCN8(nn.Module):
    """Fully convolutional network with skips from the third and fourth pooling, enlarged bilinearly.

    Args:
        width: features of block 1; 64 in VGG16.
        norm: batch normalisation after every convolution of the encoder; not in VGG16.
        standardise: see `casae.networks.cascade.AutoEncoder`.
        classes: maps in the output.
        inputs: channels of the input.

    Raises:
        ValueError: from `forward`, if a side of the input is no multiple of `FCN8.stride`.
    """

    stride = 32

    def __init__(
        self, width: int = 64, *, norm: bool = False, standardise: bool = False, classes: int = 2, inputs: int = 1
    ) -> None:
        super().__init__()
        self.standardise = standardise
        features = [width * factor for factor in FACTORS]
        self.blocks = nn.ModuleList(
            _block(before, after, count, norm)
            for (before, after), count in zip(itertools.pairwise([inputs, *features]), CONVOLUTIONS, strict=True)
        )
        self.classifier = nn.Sequential(
            nn.Conv2d(features[-1], HIDDEN * width, 7, padding=3),
            nn.ReLU(inplace=True),
            nn.Dropout2d(),
            nn.Conv2d(HIDDEN * width, HIDDEN * width, 1),
            nn.ReLU(inplace=True),
            nn.Dropout2d(),
            nn.Conv2d(HIDDEN * width, classes, 1),
        )
        self.score_4, self.score_3 = nn.Conv2d(features[3], classes, 1), nn.Conv2d(features[2], classes, 1)

    @property
    def levels(self) -> Sequence[nn.Module]:
        """See `casae.networks.registry.Factory`."""
        return list(self.blocks)[:-1]

    def forward(self, image: Tensor) -> Tensor:
        """Gray image (N, 1, H, W) float in 0..1 -> logits (N, classes, H, W)."""
        check_sides(image, self.stride)
        x = standardised(image) if self.standardise else image
        pooled = []
        for block in self.blocks:
            x = block(x)
            pooled.append(x)
        coarse = self.classifier(x)  # H/32
        coarse = self.score_4(pooled[3]) + _larger(coarse, 2)  # H/16
        coarse = self.score_3(pooled[2]) + _larger(coarse, 2)  # H/8
        return _larger(coarse, 8)


def _larger(x: Tensor, factor: int) -> Tensor:
    return functional.interpolate(x, scale_factor=float(factor), mode="bilinear", align_corners=False)


def _block(before: int, after: int, count: int, norm: bool) -> nn.Sequential:
    layers: list[nn.Module] = []
    for index in range(count):
        layers.append(nn.Conv2d(before if index == 0 else after, after, 3, padding=1, bias=not norm))
        if norm:
            layers.append(nn.BatchNorm2d(after))
        layers.append(nn.ReLU(inplace=True))
    return nn.Sequential(*layers, nn.MaxPool2d(2))
