"""The compact CNN of Tao et al. 2018, Table 2: upright gray crop -> class."""

from collections.abc import Sequence

from torch import Tensor, nn


class CompactCNN(nn.Module):
    """Compact CNN of Table 2: upright gray crop 227 x 227 -> class logits.

    Args:
        classes: number of defect classes; 3 in the paper.
        inputs: channels of a crop; 1 in the paper.
        width: kernels of conv1, 96 in the paper; every other layer scales with it.
    """

    def __init__(self, classes: int = 3, *, width: int = 96, inputs: int = 1) -> None:
        super().__init__()

        def scaled(count: int) -> int:
            return max(1, count * width // 96)

        self.features = nn.Sequential(
            nn.Conv2d(inputs, scaled(96), 11, stride=4),  # 96 x 55 x 55
            nn.ReLU(inplace=True),
            nn.BatchNorm2d(scaled(96)),
            nn.MaxPool2d(3, stride=2),  # 96 x 27 x 27
            nn.Conv2d(scaled(96), scaled(128), 5),  # 128 x 23 x 23
            nn.ReLU(inplace=True),
            nn.BatchNorm2d(scaled(128)),
            nn.MaxPool2d(3, stride=2),  # 128 x 11 x 11
            nn.Conv2d(scaled(128), scaled(256), 3, padding=1),  # 256 x 11 x 11
            nn.ReLU(inplace=True),
            nn.Conv2d(scaled(256), scaled(256), 3, padding=1),
            nn.ReLU(inplace=True),
            nn.Conv2d(scaled(256), scaled(128), 3, padding=1),  # 128 x 11 x 11
            nn.ReLU(inplace=True),
            nn.MaxPool2d(3, stride=2),  # 128 x 5 x 5
        )
        self.head = nn.Sequential(
            nn.Flatten(),
            nn.Linear(scaled(128) * 25, scaled(1000)),
            nn.ReLU(inplace=True),
            nn.Linear(scaled(1000), scaled(256)),
            nn.ReLU(inplace=True),
            nn.Linear(scaled(256), classes),
        )

    @property
    def levels(self) -> Sequence[nn.Module]:
        """Whose maps tell what a crop is like: the last convolution's."""
        return [self.features[-2]]

    def forward(self, crop: Tensor) -> Tensor:
        """Crops (N, inputs, 227, 227) float in 0..1 -> logits (N, classes)."""
        logits: Tensor = self.head(self.features(crop))
        return logits
