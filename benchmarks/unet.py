"""The usual alternative beside ours: a U-Net with a ResNet-18 encoder, from scratch, for the same minutes.

    python benchmarks/unet.py sd-saliency-900:PATH --split few30-0 --minutes 8.4 --seed 0

Views, loss, schedule, threshold and scoring are those of `casae train`, the learning rate is the one usual for this
network. Of ten minutes `casae train` gives both networks 8.8. The lists of `--test` are read once, at the end,
without the images of `--split`: `--test train` judges by the rest of `train`.
"""

import argparse
import tempfile
from pathlib import Path

import torch
from lightning_fabric import seed_everything
from rich.console import Console
from torch import Tensor, nn
from torch.nn import functional

from casae.datasets.registry import open_dataset
from casae.labelled.holdout import hold_out
from casae.labelled.images import load
from casae.networks.cascade import CASAE, AutoEncoder, standardised
from casae.recipes import PRESETS
from casae.training import segmentation
from casae.training.augmentation import AUGMENTATIONS
from casae.training.budget import Budget
from casae.training.loop import fit
from casae.training.progress import Reporter
from casae.training.views import loader
from judging import HEADINGS, judged

FEATURES = (64, 128, 256, 512)
DECODER = (256, 128, 64, 32)


class UNet(nn.Module):
    """ResNet-18 (He et al. 2016) as the encoder of a U-Net (Ronneberger et al. 2015), decoder as is usual beside it."""

    stride = 32

    def __init__(self, *, standardise: bool) -> None:
        super().__init__()
        self.standardise = standardise
        self.stem = nn.Sequential(nn.Conv2d(1, 64, 7, 2, 3, bias=False), nn.BatchNorm2d(64), nn.ReLU(inplace=True))
        self.pool = nn.MaxPool2d(3, 2, 1)
        self.encoder = nn.ModuleList()
        before = 64
        for level, features in enumerate(FEATURES):
            stride = 1 if level == 0 else 2
            self.encoder.append(nn.Sequential(_Residual(before, features, stride), _Residual(features, features, 1)))
            before = features
        self.decoder = nn.ModuleList()
        for skip, features in zip((256, 128, 64, 64), DECODER, strict=True):
            self.decoder.append(_two(before + skip, features))
            before = features
        self.last = _two(before, 16)
        self.head = nn.Conv2d(16, 2, 3, padding=1)

    def forward(self, image: Tensor) -> Tensor:
        """Gray image (N, 1, H, W) -> logits (N, 2, H, W)."""
        skips = [self.stem(standardised(image) if self.standardise else image)]
        x = self.pool(skips[0])
        for level in self.encoder:
            x = level(x)
            skips.append(x)
        for decode, skip in zip(self.decoder, reversed(skips[:-1]), strict=True):
            x = decode(torch.cat([functional.interpolate(x, scale_factor=2.0), skip], dim=1))
        logits: Tensor = self.head(self.last(functional.interpolate(x, scale_factor=2.0)))
        return logits


class _Residual(nn.Module):
    def __init__(self, before: int, after: int, stride: int) -> None:
        super().__init__()
        self.body = nn.Sequential(
            nn.Conv2d(before, after, 3, stride, 1, bias=False),
            nn.BatchNorm2d(after),
            nn.ReLU(inplace=True),
            nn.Conv2d(after, after, 3, 1, 1, bias=False),
            nn.BatchNorm2d(after),
        )
        same = stride == 1 and before == after
        projected = nn.Sequential(nn.Conv2d(before, after, 1, stride, bias=False), nn.BatchNorm2d(after))
        self.shortcut = nn.Identity() if same else projected

    def forward(self, x: Tensor) -> Tensor:
        return functional.relu(self.body(x) + self.shortcut(x))


def _two(before: int, after: int) -> nn.Sequential:
    layers: list[nn.Module] = []
    for channels in (before, after):
        layers += [nn.Conv2d(channels, after, 3, padding=1, bias=False), nn.BatchNorm2d(after), nn.ReLU(inplace=True)]
    return nn.Sequential(*layers)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("dataset")
    parser.add_argument("--split", default="train")
    parser.add_argument("--test", nargs="+", default=["test"], help="lists to score on")
    parser.add_argument("--minutes", type=float, default=8.4)
    parser.add_argument("--views", type=int, help="as many instead of minutes, where other programs share the machine")
    parser.add_argument("--learning-rate", type=float, default=1e-3)
    parser.add_argument("--seed", type=int, default=0)
    wanted = parser.parse_args()
    dataset = open_dataset(wanted.dataset)
    settings = PRESETS["scratch"].segmenter.model_copy(update={"learning_rate": wanted.learning_rate})
    seed_everything(wanted.seed, verbose=False)
    learned = {sample.name for sample in dataset.split(wanted.split).samples}
    part, held = hold_out(dataset, wanted.split, PRESETS["scratch"].hold_out_share, wanted.seed)
    images = load(part)
    size, _ = segmentation.input_of(images, settings)
    # the second network is never used: stage 1 trains the first one alone
    casae = CASAE(UNet(standardise=not size.standardised), AutoEncoder(2)).to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    views = segmentation.views_of(images, size, settings, wanted.seed).augmented(AUGMENTATIONS[settings.augmentation])
    steps = wanted.views // settings.batch if wanted.views else None
    budget = Budget(steps=steps) if steps else Budget(seconds=60 * wanted.minutes)
    task = segmentation.SegmentationTask(casae, 1, settings, budget, load(held), size)
    with tempfile.TemporaryDirectory() as folder, Reporter(Console(stderr=True)) as reporter:
        reporter.stage("U-Net")
        fit(task, loader(views, settings.batch), Path(folder, "unet"), reporter)
    for name in wanted.test:
        judge = dataset.split(name)
        task.validation = load(judge.only({sample.name for sample in judge.samples} - learned, name))
        with torch.inference_mode():
            print(f"IoU {task.eval().score():.4f} on {name} after {budget.step * settings.batch} views")
        print(f"| {HEADINGS} |\n| {judged(task, images)} |")


if __name__ == "__main__":
    main()
