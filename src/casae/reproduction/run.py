"""`reproduce`: the name of a table or figure -> its files."""

import hashlib
import json
from collections.abc import Callable
from dataclasses import asdict, dataclass
from importlib.resources import files
from pathlib import Path

import torch

from casae.datasets.sample import Dataset
from casae.errors import DatasetError, UsageError
from casae.inspection.record import version
from casae.models.runtime import processor
from casae.recipes import TrainingSettings, settings_for
from casae.reproduction.applications import application
from casae.reproduction.experiment import Experiment
from casae.reproduction.neu_seg import neu_seg
from casae.reproduction.segmenters import Parts, settings_of
from casae.reproduction.table3 import figure6, table3
from casae.reproduction.table4 import RECIPES, table4
from casae.training.progress import Reporter

PUBLISHED, CLEAN = ("train", "test"), ("train-clean", "test-clean")  # lists; no copies stand in both of the latter
AROUND = ("cli", "results", "synthetic")  # parts of casae that no row depends on


@dataclass(frozen=True)
class Request:
    """What may differ from one reproduction to another.

    Attributes:
        split: list to learn from; None is "train", for figure8 "train10".
        test: list to judge on.
        seeds: how often, with seeds 0, 1, ...
        views: augmented images that each network of Table 3 learns from.
        iterations: steps of the compact CNN in Table 4.
        minutes: of a training for figure8, figure9 and neu-seg.
        preset: recipe; None is "fast" for figure8 and figure9, else "scratch".
        width: features of the first level; None is the preset's.
        size: side of the input, px; None is the preset's.
    """

    split: str | None = None
    test: str = "test"
    seeds: int = 3
    views: int = 10_000
    iterations: int = 1500
    minutes: float = 10
    preset: str | None = None
    width: int | None = None
    size: int | None = None


def reproduce(
    what: str, dataset: Dataset, out: Path, request: Request, command: str = "", reporter: Reporter | None = None
) -> Path:
    """Make a table or figure of the paper, such as "table3" or "neu-seg", from `dataset` in the folder `out`.

    Finished rows stand in `out` and are not made again; a row that was interrupted is gone on with.

    Returns:
        The Markdown file, or the picture for figure6.

    Raises:
        UsageError: `out` holds rows of other settings, data or code.
        DatasetError: the dataset lacks a list or a class, or would judge on what is learned from.
    """
    entry = ENTRIES[what]
    split = request.split or entry.split
    preset = request.preset or entry.preset
    settings = settings_for(preset, width=request.width, size=request.size, hold_out_share=entry.hold_out_share)
    if entry.papers_encoder and settings.segmenter.encoder != "atrous":
        raise UsageError(f"--preset {preset}: rows of {entry.rows} have the paper's encoder; say scratch or paper")
    if entry.lists:
        _check_lists(dataset, split, request.test)
    lists = {name: sorted(dataset.splits.get(name, ())) for name in (split, request.test, "val", *CLEAN)}
    recipes = RECIPES if entry.rows == "table4" else {preset: settings}
    decides = asdict(request) | {
        "split": split,
        "preset": preset,
        "dataset": dataset.sha256,
        "lists": _digest([lists, dataset.classes, sorted(dataset.copies.items())]),
        "casae": _code(),
        "torch": version("torch"),
        "arithmetic": [*processor().features, torch.get_num_threads()],
        "recipe": _digest({key: recipe.model_dump(mode="json") for key, recipe in recipes.items()}),
    }
    identity = {name: decides[name] for name in (*ALWAYS, *entry.hangs_on)}
    experiment = Experiment(entry.rows, out, identity, command, reporter or Reporter())
    try:
        made = entry.make(experiment, dataset, split, request, settings)
    finally:
        experiment.release()
    return made or out / f"{entry.rows}.md"


Make = Callable[[Experiment, Dataset, str, Request, TrainingSettings], Path | None]


@dataclass(frozen=True)
class Entry:
    """A table or figure.

    Attributes:
        rows: name of the experiment whose rows it shows.
        make: makes it; returns its file, None for the Markdown of the experiment.
        hangs_on: what decides its rows beside `ALWAYS`, of `Request` and of what the dataset says.
        split: list to learn from.
        preset: recipe.
        hold_out_share: of the images; None is the preset's.
        papers_encoder: whether its rows have the encoder of the paper alone.
        lists: whether it learns from one list and judges on another.
    """

    rows: str
    make: Make
    hangs_on: tuple[str, ...]
    split: str = "train"
    preset: str = "scratch"
    hold_out_share: float | None = None
    papers_encoder: bool = False
    lists: bool = True


def _table3(experiment: Experiment, dataset: Dataset, split: str, request: Request, settings: TrainingSettings) -> None:
    shared = settings_of(settings.segmenter)
    parts = Parts.of(dataset, split, request.test, shared)
    table3(experiment, parts, shared, request.views, request.seeds)


def _figure6(
    experiment: Experiment, dataset: Dataset, split: str, request: Request, settings: TrainingSettings
) -> Path:
    shared = settings_of(settings.segmenter)
    return figure6(experiment, Parts.of(dataset, split, request.test, shared), shared, request.views)


def _table4(experiment: Experiment, dataset: Dataset, split: str, request: Request, settings: TrainingSettings) -> None:
    table4(experiment, dataset, request.iterations, request.seeds)


def _application(
    experiment: Experiment, dataset: Dataset, split: str, request: Request, settings: TrainingSettings
) -> None:
    timed = settings.model_copy(update={"minutes": request.minutes})
    application(experiment, dataset, split, request.test, timed, request.seeds)


def _neu_seg(
    experiment: Experiment, dataset: Dataset, split: str, request: Request, settings: TrainingSettings
) -> None:
    timed = settings.model_copy(update={"minutes": request.minutes})
    lists = [(split, request.test)]
    if lists == [PUBLISHED] and dataset.splits.keys() >= set(CLEAN):
        lists.append(CLEAN)
    neu_seg(experiment, dataset, lists, timed, request.seeds)


ALWAYS = ("dataset", "recipe", "casae", "torch", "arithmetic")
_LISTS = ("split", "test", "lists", "preset", "width", "size")
ENTRIES = {
    "table3": Entry("table3", _table3, (*_LISTS, "views"), papers_encoder=True),
    "figure6": Entry("table3", _figure6, (*_LISTS, "views"), papers_encoder=True),
    "table4": Entry("table4", _table4, ("iterations",), lists=False),
    "figure7": Entry("table4", _table4, ("iterations",), lists=False),
    # ten images are few, and nothing is chosen by what would be held out
    "figure8": Entry("figure8", _application, (*_LISTS, "minutes"), "train10", "fast", hold_out_share=0.0),
    "figure9": Entry("figure9", _application, (*_LISTS, "minutes"), preset="fast"),
    "neu-seg": Entry("neu-seg", _neu_seg, (*_LISTS, "minutes")),
}


def _check_lists(dataset: Dataset, split: str, test: str) -> None:
    """Whether the list to judge on holds labelled images, and none that is learned from or chosen by."""
    judged = {sample.name for sample in dataset.split(test).labelled.samples}
    if not judged:
        raise DatasetError(f"{dataset.name}: no labelled image in '{test}' to judge on; label some, or name another")
    for other in {split, *({"val"} & dataset.splits.keys())}:
        shared = sorted(judged & {sample.name for sample in dataset.split(other).samples})
        if shared:
            rule = f"'{test}' judges on {shared[0]}, which '{other}' learns from or chooses by"
            raise DatasetError(f"{dataset.name}: {rule}; separate them")


def _code() -> str:
    """Hash of the code that rows depend on: a version says too little."""
    root = Path(str(files("casae")))
    code = {file.relative_to(root): file.read_text("utf-8") for file in sorted(root.rglob("*.py"))}
    return _digest({file.as_posix(): text for file, text in code.items() if file.parts[0] not in AROUND})


def _digest(content: object) -> str:
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()
