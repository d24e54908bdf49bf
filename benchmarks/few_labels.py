"""Few labels, and the pictures beside them that nobody labelled: IoU by draw and by looks.

    python benchmarks/few_labels.py sd-saliency-900:PATH --splits few30-0 few30-1 --minutes 10 --unlabelled FOLDER \
        --out rows.csv

Trains as `casae train` does. `--judge rest` judges on half of what the list `train` has besides the labels, drawn by
seed 0, which is then not learned from either; `--judge test` judges on the list `test`. Rows that are in the file
already are not computed again.
"""

import argparse
import csv
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
        if key in {tuple(row[name] for name in HEADINGS[:5]) for row in _rows(wanted.out)}:
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
                values = [scores[name].value for name in SCORES]
                shown = ["" if value is None else f"{value:.4f}" for value in values]
                rows.append([*key, looks, *shown, notes, " ".join(processor().features)])
                print(split, looks, *shown, flush=True)
            _add(wanted.out, rows)  # all at once, or a kill would lose some for good


def _judged_on_rest(data: Dataset, split: str) -> Dataset:
    """The dataset with half of what `train` has besides a list as list `judge`, and in the list `test`, never seen."""
    rest = sorted(set(data.splits["train"]) - set(data.splits[split]))
    judge = [rest[index] for index in np.random.default_rng(0).permutation(len(rest))[: len(rest) // 2]]
    lists = dict(data.splits) | {"judge": tuple(judge), "test": (*data.splits["test"], *judge)}
    return replace(data, splits=lists)


def _rows(file: Path) -> list[dict[str, str]]:
    if not file.exists():
        return []
    with file.open(newline="", encoding="utf-8") as lines:
        return list(csv.DictReader(lines))


def _add(file: Path, rows: list[list[object]]) -> None:
    fresh = not file.exists()
    with file.open("a", newline="", encoding="utf-8") as lines:
        writer = csv.writer(lines)
        if fresh:
            writer.writerow(HEADINGS)
        writer.writerows(rows)


if __name__ == "__main__":
    main()
