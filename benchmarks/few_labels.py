"""Few labels, and the pictures beside them that nobody labelled: IoU by draw and by looks.

    python benchmarks/few_labels.py sd-saliency-900:PATH --splits few30-0 few30-1 --minutes 10 --unlabelled FOLDER \
        --out rows.csv

Trains as `casae train` does. `--judge rest` judges on half of what the list `train` has besides the labels, drawn by
seed 0, which is then not learned from either; `--judge test` judges on the list `test`. Rows that are in the file
already are not computed again.
"""

import argparse
import tempfile
from dataclasses import replace
from pathlib import Path

import numpy as np

from casae.config import InspectionSettings, Looks
from casae.datasets.registry import open_dataset
from casae.datasets.sample import Dataset
from casae.evaluation.scores import evaluate
from casae.inspection.inspector import Inspector
from casae.models.runtime import processor
from casae.recipes import settings_for
from casae.training.judge import train_and_judge
from casae.training.progress import Reporter
from rows import add, is_there, shown

LOOKS: tuple[Looks, ...] = (1, 2, 4, 8)
SCORES = ("iou", "region_recall", "false_regions_per_image", "escaped_images", "rejected_good_images")
HEADINGS = ("what", "split", "minutes", "seed", "judged_on", "looks", *SCORES, "notes", "processor")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("dataset")
    parser.add_argument("--what", required=True, help="stands in the rows")
    parser.add_argument("--splits", nargs="+", required=True, help="lists to learn from, one after the other")
    parser.add_argument("--minutes", type=float, default=10)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--unlabelled", type=Path, help="folder with them")
    parser.add_argument("--judge", choices=("rest", "test"), default="rest")
    parser.add_argument("--out", type=Path, required=True)
    wanted = parser.parse_args()
    for split in wanted.splits:
        key = (wanted.what, split, f"{wanted.minutes:g}", str(wanted.seed), wanted.judge)
        if is_there(wanted.out, key):
            continue
        data = open_dataset(wanted.dataset)
        if wanted.judge == "rest":
            data = _judged_on_rest(data, split)
        with tempfile.TemporaryDirectory() as folder, Reporter() as reporter:
            settings = settings_for("fast", minutes=wanted.minutes, seed=wanted.seed)
            judged = train_and_judge(
                data,
                Path(folder, "model.casae"),
                settings,
                split=split,
                unlabelled=wanted.unlabelled,
                reporter=reporter,
            )
            notes = "; ".join(note.text for note in judged.notes if note.kind == "info")
            rows = []
            for looks in LOOKS:
                inspector = Inspector(judged.file, InspectionSettings(looks=looks))
                part = data.only(data.splits["judge"], "judge") if wanted.judge == "rest" else data.split("test")
                scores = evaluate(inspector, part).scores()
                values = [shown(scores[name].value) for name in SCORES]
                rows.append([*key, looks, *values, notes, " ".join(processor().features)])
                print(split, looks, *values, flush=True)
            add(wanted.out, HEADINGS, rows)


def _judged_on_rest(data: Dataset, split: str) -> Dataset:
    """The dataset with half of what `train` has besides a list as list `judge`, and in the list `test`, never seen."""
    rest = sorted(set(data.splits["train"]) - set(data.splits[split]))
    judge = [rest[index] for index in np.random.default_rng(0).permutation(len(rest))[: len(rest) // 2]]
    lists = dict(data.splits) | {"judge": tuple(judge), "test": (*data.splits["test"], *judge)}
    return replace(data, splits=lists)


if __name__ == "__main__":
    main()
