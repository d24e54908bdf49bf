"""`casae.train`: from labelled images to a judged model, in one call."""

from pathlib import Path
from typing import Any

from rich.console import Console

from casae.config import Looks
from casae.datasets.registry import open_dataset
from casae.datasets.sample import Dataset
from casae.recipes import settings_for
from casae.training.judge import JudgedModel, train_and_judge
from casae.training.progress import Reporter
from casae.training.stop import Stop


def train(
    dataset: str | Dataset,
    out: str | Path,
    *,
    preset: str = "fast",
    split: str | None = None,
    target: str | None = None,
    folds: int = 0,
    unlabelled: str | Path | None = None,
    resume: bool = False,
    device: str = "auto",
    ray: str | None = None,
    cores: int = 1,
    looks: Looks | None = None,
    cycle_ms: float | None = None,
    console: Console | None = None,
    stop: Stop | None = None,
    **settings: Any,
) -> JudgedModel:
    """Learn from labelled images, choose thresholds and judge, as `casae train` does.

    Args:
        dataset: `READER:PATH`, or what `open_dataset` gives.
        out: model file to write, NAME.casae.
        preset: "fast", "scratch" or "paper".
        split: list to learn from; None is "train" where there is such a list, else "all".
        target: how to choose the thresholds: "recall=0.99", "images=0.99", "good=0.95", "f1" or "keep".
        folds: so many models more, each judged on another part of the images.
        unlabelled: folder of images without labels to learn from as well.
        resume: go on with an interrupted training.
        device: "auto", "cpu" or "cuda".
        ray: address of a Ray cluster that trains the model and its folds at once, `cores` for each.
        looks: that the model takes at each picture, 1, 2, 4 or 8; None is one, or what `cycle_ms` allows.
        cycle_ms: time for an inspection on this machine: the most looks that fit and do no harm.
        console: where the progress is shown; nothing is shown by default.
        stop: asks it to end soon.
        settings: by their names, such as `minutes=10`, `size=320`, `seed=1`; see `casae.recipes.settings_for`.

    Raises:
        CasaeError: says in a line what is wrong.
    """
    data = open_dataset(dataset) if isinstance(dataset, str) else dataset
    recipe = settings_for(preset, **settings)
    with Reporter(console) as reporter:
        return train_and_judge(
            data,
            Path(out),
            recipe,
            split=split,
            target=target,
            folds=folds,
            unlabelled=None if unlabelled is None else Path(unlabelled),
            resume=resume,
            command=f"casae.train({str(dataset) if isinstance(dataset, str) else data.name!r}, {str(out)!r}, ...)",
            reporter=reporter,
            stop=stop,
            device=device,
            ray=ray,
            cores=cores,
            looks=looks,
            cycle_ms=cycle_ms,
        )
