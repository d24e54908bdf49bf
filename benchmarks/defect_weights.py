"""Make start weights for `casae train --from`: network 1 of `fast`, from ImageNet on to defects of several origins.

    casae synthetic --out components --count 200 --seed 1
    python benchmarks/defect_weights.py defects.pt --minutes 25 folder:solar-cells folder:welds ... folder:components

Learns from the list `train` of each dataset, `train10` or all where there is none, as many views of one as of another.
Leave a dataset out to measure on it what the weights bring.
"""

import argparse
import tempfile
from pathlib import Path

from lightning_fabric import seed_everything
from rich.console import Console

from casae.datasets.registry import open_dataset
from casae.labelled.holdout import hold_out
from casae.labelled.images import LabelledImage, load
from casae.models.bundle import InputSize
from casae.networks.weights import begin, write_weights
from casae.recipes import IMAGENET, PRESETS
from casae.training import segmentation
from casae.training.augmentation import AUGMENTATIONS
from casae.training.budget import Budget
from casae.training.loop import fit
from casae.training.progress import Reporter
from casae.training.views import Pair, SegmenterViews, loader

SIDE = 256
LISTS = ("train", "train10", "all")


class MixedViews(SegmenterViews):
    """Views of several datasets in turn."""

    def __init__(self, parts: list[SegmenterViews]) -> None:
        super().__init__([], sum(len(part) for part in parts), 0)
        self.parts = parts

    def __getitem__(self, position: int) -> Pair:
        return self.parts[position % len(self.parts)][position // len(self.parts)]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("out", type=Path)
    parser.add_argument("datasets", nargs="+")
    parser.add_argument("--minutes", type=float, default=25)
    parser.add_argument("--seed", type=int, default=0)
    wanted = parser.parse_args()
    settings = PRESETS["fast"].segmenter
    parts: list[SegmenterViews] = []
    held: list[LabelledImage] = []
    for name in wanted.datasets:
        dataset = open_dataset(name)
        chosen = next(split for split in LISTS if split == "all" or split in dataset.splits)
        learned, judged = hold_out(dataset, chosen, 0.1, wanted.seed)
        images = load(learned)
        held += load(judged)[:20]
        size, _ = segmentation.input_of(images, settings)
        square = size.model_copy(update={"height": SIDE, "width": SIDE})
        parts.append(segmentation.views_of(images, square, settings, wanted.seed))
        print(f"{name.split('/')[-1]}: {len(images)} images, {size.fit}", flush=True)
    seed_everything(wanted.seed, verbose=False)
    casae = segmentation.build(settings)
    begin(casae, IMAGENET)
    views = MixedViews([part.augmented(AUGMENTATIONS[settings.augmentation]) for part in parts])
    budget = Budget(seconds=60 * wanted.minutes)
    size = InputSize(height=SIDE, width=SIDE, fit="letterbox")
    task = segmentation.SegmentationTask(casae, 1, settings, budget, held, size)
    task.score_decides = False  # sets of different size and scale have no common score
    with tempfile.TemporaryDirectory() as folder, Reporter(Console(stderr=True)) as reporter:
        reporter.stage("network 1")
        score = fit(task, loader(views, settings.batch), Path(folder, "1"), reporter)
    write_weights(casae, wanted.out)  # network 2 as it began: it adds nothing yet
    print(
        f"{wanted.out}: {wanted.out.stat().st_size / 1e6:.1f} MB, {budget.step * settings.batch} views, IoU {score:.3f}"
    )


if __name__ == "__main__":
    main()
