"""Judge a model on labelled images: what `casae evaluate` prints, from Python as well."""

from collections.abc import Callable
from dataclasses import asdict, dataclass
from html import escape
from pathlib import Path
from typing import Any

from casae.config import InspectionSettings
from casae.datasets.registry import open_dataset
from casae.datasets.sample import Dataset
from casae.errors import DatasetError
from casae.evaluation.scores import Evaluation
from casae.evaluation.scores import evaluate as score
from casae.inspection.inspection import Conditions
from casae.inspection.inspector import Inspector
from casae.metrics import Interval


@dataclass(frozen=True)
class Judgement:
    """How good a model is on a list of a dataset.

    Attributes:
        result: the scores of each image.
        scores: each with its 95 % interval.
        dataset: as it was named.
        part: the images that were judged on.
        conditions: model, thresholds and the like.
        seed: of the bootstrap.
        learned_from: how many of these images or their copies the model has learned; None where its file does not tell.
        perhaps_learned_from: it does not tell, and the list is one to learn from.
    """

    result: Evaluation
    scores: dict[str, Interval]
    dataset: str
    part: Dataset
    conditions: Conditions
    seed: int
    learned_from: int | None
    perhaps_learned_from: bool

    def to_dict(self) -> dict[str, Any]:
        """Everything, as JSON has it."""
        known = self.conditions.calibration
        left = {name: value for name, value in asdict(self.conditions).items() if name not in ("rules", "calibration")}
        conditions = left | {"calibration": known and known.name}
        return {
            "scores": {name: asdict(interval) for name, interval in self.scores.items()},
            "confusion": {"classes": self.result.classes, "true_by_predicted": self.result.confusion().tolist()},
            "region_recall_by_size": [
                {"from_px": low, "below_px": high, "regions": count, "touched": touched}
                for low, high, count, touched in self.result.recall_by_size()
            ],
            "detection": {"unit": "px²", **asdict(self.result.detection())},
            "images": len(self.result.images),
            "images_learned_from": self.learned_from,
            "unreadable": self.result.failures,
            "dataset": self.dataset,
            "split": self.part.split_name,
            "conditions": conditions,
            "seed": self.seed,
        }

    def _repr_html_(self) -> str:
        """What a notebook shows."""
        rows = "".join(
            f"<tr><td>{escape(name)}</td><td>{shown(interval)}</td><td>{interval.spread}</td>"
            f"<td>{interval.counted}</td></tr>"
            for name, interval in self.scores.items()
        )
        head = "<tr><th>score</th><th>value</th><th>95 % interval</th><th>counted</th></tr>"
        title = f"{escape(self.conditions.model)} on {len(self.result.images)} images of {escape(self.part.split_name)}"
        return f"<p><b>{title}</b></p><table>{head}{rows}</table>"


def shown(interval: Interval) -> str:
    """The value for people."""
    return "-" if interval.value is None else f"{interval.value:.3f}"


def evaluate(
    dataset: str | Dataset,
    model: str | Path | Inspector,
    split: str = "test",
    settings: InspectionSettings | None = None,
    seed: int = 0,
    done: Callable[[object], object] = lambda score: None,
) -> Judgement:
    """Measure a model on labelled images: pixels, regions, classes.

    Args:
        dataset: `READER:PATH`, or what `open_dataset` gives.
        model: a .casae file, the name of a shipped model, or an inspector.
        split: list to judge on, or "all", which holds what was learned from too.
        settings: thresholds and the like; the defaults are the model's.
        seed: of the bootstrap.
        done: called after each image.

    Raises:
        DatasetError: there is no such list, nothing in it is labelled, or its classes are not the model's.
        BundleError: the model cannot be used.
    """
    data = open_dataset(dataset) if isinstance(dataset, str) else dataset
    part = part_to_judge(data, split)
    inspector = model if isinstance(model, Inspector) else Inspector(model, settings)
    result = score(inspector, part, done)
    learned = inspector.manifest.dataset.split
    told, by_name = len(inspector.learned) > 0, split in ("all", "train", learned) or learned == "all"
    return Judgement(
        result=result,
        scores=result.scores(seed),
        dataset=data.name,
        part=part,
        conditions=inspector.conditions,
        seed=seed,
        learned_from=sum(image.learned for image in result.images) if told else None,
        perhaps_learned_from=by_name and not told,
    )


def part_to_judge(data: Dataset, split: str) -> Dataset:
    """A list of a dataset.

    Raises:
        DatasetError: there is none of that name; of `test`, how to make one.
    """
    if split == "test" and "test" not in data.splits:
        where = "splits/test.txt" if data.name.startswith("folder:") else "list 'test'"
        raise DatasetError(
            f"{data.name}: has no {where} with names of images for the end; write one before training, or say "
            "--split all, which also judges on what was learned from"
        )
    return data.split(split)
