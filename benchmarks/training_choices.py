"""Choices for a preset, compared on a validation part of train: the same minutes, seed and images for each.

    python benchmarks/training_choices.py sd-saliency-900:PATH --minutes 8 --preset scratch "" "width=32 max_width=128"

A variant is a list of `name=value` of `SegmenterSettings`; "" is the preset as it is. The test part is never read.
"""

import argparse
import tempfile
import time
from pathlib import Path

from lightning_fabric import seed_everything
from rich.console import Console

from casae.datasets.registry import open_dataset
from casae.labelled.holdout import hold_out
from casae.labelled.images import load
from casae.networks.weights import begin
from casae.recipes import PRESETS, SegmenterSettings
from casae.training import segmentation
from casae.training.augmentation import AUGMENTATIONS
from casae.training.budget import Budget
from casae.training.loop import fit
from casae.training.progress import Reporter
from casae.training.views import loader
from judging import HEADINGS, judged


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("dataset")
    parser.add_argument("variants", nargs="+", metavar="NAME=VALUE ...")
    parser.add_argument("--preset", default="fast", choices=PRESETS)
    parser.add_argument("--minutes", type=float, default=8)
    parser.add_argument(
        "--views", type=int, help="as many instead of minutes, where other programs share the machine; last weights"
    )
    parser.add_argument("--split", default="train")
    parser.add_argument("--share", type=float, default=0.2, help="part of the split that is held out")
    parser.add_argument("--judge", help="hold out all of this list that is not in --split, instead of a share")
    parser.add_argument("--first", type=float, default=2 / 3, help="share of minutes or views for network 1")
    parser.add_argument("--start", help="start weights instead of the preset's, as of casae train --from")
    parser.add_argument("--seed", type=int, default=0)
    wanted = parser.parse_args()
    preset = PRESETS[wanted.preset]
    dataset = open_dataset(wanted.dataset)
    if wanted.judge:
        part, judge = dataset.split(wanted.split), dataset.split(wanted.judge)
        held = judge.only({s.name for s in judge.samples} - {s.name for s in part.samples}, wanted.judge)
    else:
        part, held = hold_out(dataset, wanted.split, wanted.share, wanted.seed)
    images, validation = load(part), load(held)
    budgeted = f"{wanted.views} views" if wanted.views else f"{wanted.minutes:g} min"
    print(f"{len(images)} images to learn from, {len(validation)} held out, {budgeted}, seed {wanted.seed}")
    print(f"| variant | IoU network 1 | IoU both | views/s | {HEADINGS} |\n{'| --- ' * 9}|")
    for variant in wanted.variants:
        settings = SegmenterSettings.model_validate(
            preset.segmenter.model_dump() | dict(_setting(word) for word in variant.split())
        )
        seed_everything(wanted.seed, verbose=False)
        size, _ = segmentation.input_of(images, settings)
        casae = segmentation.build(settings, standardised=size.standardised)
        begin(casae, wanted.start or preset.start)
        drawn = segmentation.views_of(images, size, settings, wanted.seed)
        scores, rates = [], []
        with tempfile.TemporaryDirectory() as folder, Reporter(Console(stderr=True)) as reporter:
            for stage, share in ((1, wanted.first), (2, 1 - wanted.first)):
                reporter.stage(f"network {stage}")
                views = drawn.augmented(AUGMENTATIONS[settings.augmentation], stage)
                steps = round(wanted.views * share / settings.batch) if wanted.views else None
                budget = Budget(steps=steps) if steps else Budget(seconds=60 * wanted.minutes * share)
                task = segmentation.SegmentationTask(casae, stage, settings, budget, validation, size)
                task.score_decides &= wanted.views is None
                start = time.monotonic()
                scores.append(fit(task, loader(views, settings.batch), Path(folder, str(stage)), reporter))
                rates.append(budget.step * settings.batch / (time.monotonic() - start))
        print(
            f"| {variant or wanted.preset} | {scores[0]:.4f} | {scores[1]:.4f} | {rates[0]:.0f}, {rates[1]:.0f} "
            f"| {judged(task, images)} |",
            flush=True,
        )


def _setting(word: str) -> tuple[str, str | int]:
    name, value = word.split("=")
    return name, int(value) if value.isdigit() else value


if __name__ == "__main__":
    main()
