"""Training beside a program that keeps one core busy: views a second with all threads, and with as many as are fastest.

    python benchmarks/beside.py sd-saliency-900:PATH --split few30-0 --seconds 120

Network 1 of a preset; half of the runs alone, half beside the other program, in turn.
"""

import argparse
import multiprocessing
import tempfile
from pathlib import Path

from lightning_fabric import seed_everything
from rich.console import Console

from casae.datasets.registry import open_dataset
from casae.labelled.images import load
from casae.networks.weights import begin
from casae.recipes import PRESETS
from casae.training import segmentation
from casae.training.augmentation import AUGMENTATIONS
from casae.training.budget import Budget
from casae.training.loop import fit
from casae.training.progress import Reporter
from casae.training.threads import StepThreads
from casae.training.views import loader


def busy() -> None:
    """What the other program does."""
    while True:
        pass


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("dataset")
    parser.add_argument("--split", default="train")
    parser.add_argument("--preset", default="fast", choices=PRESETS)
    parser.add_argument("--seconds", type=float, default=120)
    parser.add_argument("--rounds", type=int, default=1)
    wanted = parser.parse_args()
    images = load(open_dataset(wanted.dataset).split(wanted.split))
    preset = PRESETS[wanted.preset]
    settings = preset.segmenter
    size, _ = segmentation.input_of(images, settings)
    chosen, fixed = StepThreads.step, lambda threads, seconds: None

    def rate() -> float:
        seed_everything(0, verbose=False)
        casae = segmentation.build(settings, standardised=size.standardised)
        begin(casae, preset.start)
        views = segmentation.views_of(images, size, settings, 0).augmented(AUGMENTATIONS[settings.augmentation])
        budget = Budget(seconds=wanted.seconds)
        task = segmentation.SegmentationTask(casae, 1, settings, budget, [], size)
        with tempfile.TemporaryDirectory() as folder, Reporter(Console(stderr=True)) as reporter:
            reporter.stage("network 1")
            fit(task, loader(views, settings.batch), Path(folder, "network"), reporter)
        return budget.step * settings.batch / budget.spent

    print("| | all threads, views/s | as many as are fastest |\n| --- | --- | --- |")
    for _ in range(wanted.rounds):
        for name in ("alone", "beside a busy core"):
            other = multiprocessing.Process(target=busy, daemon=True)
            if name != "alone":
                other.start()
            rates = []
            for way in (fixed, chosen):
                StepThreads.step = way  # type: ignore[method-assign]
                rates.append(rate())
            if other.pid:
                other.terminate()
            print(f"| {name} | {rates[0]:.1f} | {rates[1]:.1f} |", flush=True)


if __name__ == "__main__":
    main()
