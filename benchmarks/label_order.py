"""How many labels a set needs, by the order in which they are made: at random, most uncertain, most different.

    python benchmarks/label_order.py sd-saliency-900:PATH --seeds 3 --out rows.csv

A part of the list `train` is held out to judge on; list `test` is never read. Each round trains network 1 anew on what
is labelled, for a fixed number of views, and its model then chooses the next pictures. The first ones are drawn, and
are the same for all orders of a seed. Rows that are in the file already are not computed again.
"""

import argparse
import csv
import tempfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from lightning_fabric import seed_everything
from numpy.typing import NDArray

from casae.config import DEFAULT_GS
from casae.datasets.registry import open_dataset
from casae.inspection.segmentation import threshold
from casae.labelled.holdout import hold_out
from casae.labelled.images import LabelledImage, load
from casae.labelled.order import farthest_first, uncertainty
from casae.metrics import Counts
from casae.networks.weights import begin
from casae.recipes import PRESETS
from casae.training import segmentation
from casae.training.augmentation import AUGMENTATIONS
from casae.training.budget import Budget
from casae.training.loop import fit
from casae.training.progress import Reporter
from casae.training.views import loader

ORDERS = ("random", "uncertain", "diverse")
HEADINGS = ("order", "seed", "labels", "views", "iou", "next")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("dataset")
    parser.add_argument("--split", default="train")
    parser.add_argument("--share", type=float, default=0.3, help="part of the split that is held out to judge on")
    parser.add_argument("--views", type=int, default=3000, help="of each training")
    parser.add_argument("--size", type=int, default=128, help="side of what the network sees at once, px")
    parser.add_argument("--first", type=int, default=10, help="labels that are drawn at first")
    parser.add_argument("--step", type=int, default=10, help="labels that each model chooses")
    parser.add_argument("--most", type=int, default=50)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--out", type=Path, required=True)
    wanted = parser.parse_args()
    part, held = hold_out(open_dataset(wanted.dataset), wanted.split, wanted.share, 0)
    pool, judge = load(part), load(held)
    print(f"{len(pool)} to choose from, {len(judge)} held out", flush=True)
    for seed in range(wanted.seeds):
        first = np.random.default_rng(seed).permutation(len(pool))[: wanted.first].tolist()
        at_first = _round(ORDERS, seed, first, pool, judge, wanted)
        for order in ORDERS:
            chosen = at_first[order]
            while len(chosen) <= wanted.most:
                before, chosen = chosen, _round((order,), seed, chosen, pool, judge, wanted)[order]
                if len(chosen) == len(before):  # there is none left to choose
                    break


def _round(
    orders: Sequence[str],
    seed: int,
    chosen: list[int],
    pool: list[LabelledImage],
    judge: list[LabelledImage],
    wanted: argparse.Namespace,
) -> dict[str, list[int]]:
    """Train on the chosen ones and write how well; the chosen ones with those that come next, by order."""
    known = {row["order"]: row["next"] for row in _rows(wanted.out) if _is(row, seed, len(chosen), wanted.views)}
    if not known.keys() >= set(orders):
        task = _trained([pool[index] for index in chosen], seed, wanted)
        with torch.inference_mode():
            iou = sum((_counts(task, image) for image in judge), Counts(0, 0, 0, 0)).iou
            known = {
                order: " ".join(map(str, _next(order, seed, chosen, pool, task)[: wanted.step])) for order in orders
            }
        new = not wanted.out.exists()
        with wanted.out.open("a", newline="") as file:
            rows = csv.writer(file)
            if new:
                rows.writerow(HEADINGS)
            shared = (seed, len(chosen), wanted.views, f"{iou or 0:.4f}")
            rows.writerows([order, *shared, known[order]] for order in orders)
        print(f"{', '.join(orders)}, seed {seed}: {len(chosen)} labels, IoU {iou or 0:.4f}", flush=True)
    return {order: chosen + [int(index) for index in known[order].split()] for order in orders}


def _rows(file: Path) -> list[dict[str, str]]:
    if not file.exists():
        return []
    with file.open(newline="") as lines:
        return list(csv.DictReader(lines))


def _is(row: dict[str, str], seed: int, labels: int, views: int) -> bool:
    return (int(row["seed"]), int(row["labels"]), int(row["views"])) == (seed, labels, views)


def _trained(images: list[LabelledImage], seed: int, wanted: argparse.Namespace) -> segmentation.SegmentationTask:
    preset = PRESETS["fast"]
    settings = preset.segmenter.model_copy(update={"size": wanted.size})
    seed_everything(seed, verbose=False)
    size, _ = segmentation.input_of(images, settings)
    casae = segmentation.build(settings, standardised=size.standardised)
    begin(casae, preset.start)
    drawn = segmentation.views_of(images, size, settings, seed).augmented(AUGMENTATIONS[settings.augmentation], 1)
    task = segmentation.SegmentationTask(casae, 1, settings, Budget(steps=wanted.views // settings.batch), [], size)
    with tempfile.TemporaryDirectory() as folder:
        fit(task, loader(drawn, settings.batch), Path(folder), Reporter())
    return task.eval()


def _counts(task: segmentation.SegmentationTask, image: LabelledImage) -> Counts:
    return Counts.of(threshold(task.probability(image), DEFAULT_GS), image.label > 0)


def _next(
    order: str, seed: int, chosen: list[int], pool: list[LabelledImage], task: segmentation.SegmentationTask
) -> list[int]:
    labelled = np.zeros(len(pool), bool)
    labelled[chosen] = True
    left = np.flatnonzero(~labelled)
    if order == "random":
        found: list[int] = np.random.default_rng([seed, len(chosen)]).permutation(left).tolist()
        return found
    looked = [_look(task, image) for image in pool]
    if order == "diverse":
        return farthest_first(np.stack([features for _, features in looked]), labelled)
    return sorted(left.tolist(), key=lambda index: -uncertainty(looked[index][0]))


def _look(task: segmentation.SegmentationTask, image: LabelledImage) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """P(defect), and the means of the maps of the encoder's levels, as an exported model gives them."""
    means: list[NDArray[np.float32]] = []
    hooks = [
        level.register_forward_hook(lambda _, __, maps: means.append(maps.mean((0, 2, 3)).numpy()))
        for level in task.casae.first.levels  # type: ignore[union-attr]
    ]
    try:
        probability = task.probability(image)
    finally:
        for hook in hooks:
            hook.remove()
    return probability, np.concatenate(means)


if __name__ == "__main__":
    main()
