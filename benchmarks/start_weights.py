"""Make the weights that `casae train` starts from: one cascade trained on tiles of many datasets at once.

    python benchmarks/start_weights.py --minutes 20 --out start.pt nanotwice... folder:pool/welds ...

Each dataset counts by the square root of its number of images. Of a dataset with a list `train` only that is used.
Nothing is held out: `--validation DATASET` names a set to watch, which must not be among the others.
"""

import argparse
import math
import tempfile
from pathlib import Path

import lightning as L
from rich.console import Console

from casae.config import PRESETS
from casae.datasets.readers import open_dataset
from casae.datasets.sample import Dataset
from casae.training import segmentation
from casae.training.augmentation import Augmentation
from casae.training.budget import Budget
from casae.training.data import LabelledImage, load
from casae.training.loop import fit
from casae.training.progress import Reporter
from casae.training.start import write_weights
from casae.training.views import TileViews, loader

SHARES = (0.6, 0.4)  # of the minutes, for network 1 and for both
SIDE, VIEWS = 256, 2000
WATCHED = 24  # images to score on
WIDE = Augmentation(rotation=30, zoom=1.8, gain=0.3, bias=0.12, gamma=0.3, noise=0.02)


def training_part(dataset: Dataset) -> list[LabelledImage]:
    return load(dataset.split("train") if "train" in dataset.splits else dataset)


def balanced(parts: list[list[LabelledImage]]) -> list[LabelledImage]:
    """Repeat the images of small sets so that each set counts by the square root of its size."""
    most = max(math.sqrt(len(part)) / len(part) for part in parts)
    least = min(math.sqrt(len(part)) / len(part) for part in parts)
    times = [max(1, round(math.sqrt(len(part)) / len(part) / least)) for part in parts]
    print(f"repeats {times}, spread {most / least:.1f}")
    return [image for part, count in zip(parts, times, strict=True) for image in part * count]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("datasets", nargs="+")
    parser.add_argument("--minutes", type=float, default=20)
    parser.add_argument("--validation", required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--seed", type=int, default=0)
    wanted = parser.parse_args()
    L.seed_everything(wanted.seed, verbose=False)
    images = balanced([training_part(open_dataset(name)) for name in wanted.datasets])
    watched = training_part(open_dataset(wanted.validation))[:WATCHED]
    settings = PRESETS["fast"].segmenter.model_copy(update={"views": VIEWS})
    size = segmentation.Input(SIDE, SIDE, "tile")
    casae = segmentation.build(settings)
    with tempfile.TemporaryDirectory() as folder, Reporter(Console()) as reporter:
        for stage, share in zip((1, 2), SHARES, strict=True):
            reporter.stage(f"network {stage}")
            views = TileViews(images, SIDE, VIEWS, wanted.seed).augmented(WIDE)
            task = segmentation.SegmentationTask(
                casae, stage, settings, Budget(seconds=60 * wanted.minutes * share), watched, size
            )
            fit(task, loader(views, settings.batch), Path(folder, str(stage)), reporter)
    write_weights(casae, wanted.out)
    print(f"{wanted.out}: {wanted.out.stat().st_size / 1e6:.1f} MB")


if __name__ == "__main__":
    main()
