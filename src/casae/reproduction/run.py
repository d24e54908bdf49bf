"""`reproduce`: the name of a table or figure -> its files."""

import hashlib
import json
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

BELONGS_TO = {"figure6": "table3", "figure7": "table4"}  # whose rows they show
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
    name = BELONGS_TO.get(what, what)
    split = request.split or ("train10" if what == "figure8" else "train")
    preset = request.preset or ("fast" if what in ("figure8", "figure9") else "scratch")
    settings = settings_for(preset, width=request.width, size=request.size)
    if name == "figure8":
        settings = settings.model_copy(update={"hold_out_share": 0.0})  # ten images are few, and nothing is chosen
    if name == "table3" and settings.segmenter.encoder != "atrous":
        raise UsageError(f"--preset {preset}: rows of table3 have the paper's encoder; say scratch or paper")
    if name != "table4":
        _check_lists(dataset, split, request.test)
    decides = asdict(request) | {"split": split, "preset": preset, "dataset": dataset.sha256}
    lists = {name: sorted(dataset.splits.get(name, ())) for name in (split, request.test, "val")}
    decides |= {
        "lists": _digest([lists, dataset.classes]),
        "casae": _code(),
        "torch": version("torch"),
        "arithmetic": [*processor().features, torch.get_num_threads()],
    }
    recipes = RECIPES if name == "table4" else {preset: settings}
    decides |= {"recipe": _digest({key: recipe.model_dump(mode="json") for key, recipe in recipes.items()})}
    unused = {
        "table3": {"iterations", "minutes"},
        "table4": set(decides) - {"iterations", "dataset", "recipe", "casae", "torch", "arithmetic"},
    }
    leave_out = unused.get(name, {"views", "iterations"}) | {"seeds"}
    identity = {key: value for key, value in decides.items() if key not in leave_out}
    experiment = Experiment(name, out, identity, command, reporter or Reporter())
    try:
        return _make(what, experiment, dataset, split, request, settings)
    finally:
        experiment.release()


def _make(
    what: str, experiment: Experiment, dataset: Dataset, split: str, request: Request, settings: TrainingSettings
) -> Path:
    """The files of an entry; what it is made of stands in `experiment`."""
    name, out = experiment.name, experiment.folder
    if name == "table3":
        shared = settings_of(settings.segmenter)
        parts = Parts.of(dataset, split, request.test, shared)
        if what == "figure6":
            return figure6(experiment, parts, shared, request.views)
        table3(experiment, parts, shared, request.views, request.seeds)
    elif name == "table4":
        table4(experiment, dataset, request.iterations, request.seeds)
    else:
        timed = settings.model_copy(update={"minutes": request.minutes})
        make = neu_seg if what == "neu-seg" else application
        make(experiment, dataset, split, request.test, timed, request.seeds)
    return out / f"{name}.md"


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
