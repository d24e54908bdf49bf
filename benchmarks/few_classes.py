"""Classes from few examples: accuracy by how many pictures of each class are labelled.

    python benchmarks/few_classes.py folder:solar-cells --examples 5 10 20 --minutes 5 --out rows.csv

Learns as `casae train` does from so many images of each class, drawn from the list `train` by the seed, and judges on
the list `test`: labelled regions, and regions as casae found them. Rows that are in the file already are not
computed again.
"""

import argparse
import tempfile
from dataclasses import replace
from pathlib import Path

import numpy as np

from casae.datasets.registry import open_dataset
from casae.datasets.sample import Dataset
from casae.evaluation.scores import evaluate
from casae.inspection.inspector import Inspector
from casae.recipes import settings_for
from casae.training.judge import train_and_judge
from casae.training.progress import Reporter
from rows import add, is_there, shown

SCORES = ("accuracy_true_crops", "accuracy_found_regions")
HEADINGS = ("dataset", "examples", "minutes", "seed", *SCORES, "of_each_class", "regions")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("dataset")
    parser.add_argument("--examples", type=int, nargs="+", default=[5, 10, 20])
    parser.add_argument("--minutes", type=float, default=5)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0])
    parser.add_argument("--out", type=Path, required=True)
    wanted = parser.parse_args()
    reader, _, path = wanted.dataset.partition(":")
    for seed in wanted.seeds:
        for count in wanted.examples:
            key = (f"{reader}:{Path(path).name}", str(count), f"{wanted.minutes:g}", str(seed))
            if is_there(wanted.out, key):
                continue
            row = [*key, *_learned(wanted.dataset, count, wanted.minutes, seed)]
            add(wanted.out, HEADINGS, [row])
            print(*row, flush=True)


def _learned(dataset: str, count: int, minutes: float, seed: int) -> list[str]:
    data = _few(open_dataset(dataset), count, seed)
    with tempfile.TemporaryDirectory() as folder, Reporter() as reporter:
        file = Path(folder, "model.casae")
        train_and_judge(
            data, file, settings_for("fast", minutes=minutes, seed=seed), split="learned", reporter=reporter
        )
        return _judged(file, data)


def _few(data: Dataset, count: int, seed: int) -> Dataset:
    """With the list `learned`: so many images of each class, as far as there are, rarest class first."""
    present = {s.name: s.label.present(len(data.classes)) for s in data.split("train").labelled.samples if s.label}
    of_class = {
        value: [name for name in present if value in present[name]] for value in range(1, len(data.classes) + 1)
    }
    chosen: set[str] = set()
    rng = np.random.default_rng(seed)
    for value, names in sorted(of_class.items(), key=lambda each: len(each[1])):
        missing = count - sum(value in present[name] for name in chosen)
        fresh = rng.permutation([name for name in names if name not in chosen]).tolist()
        chosen.update(fresh[: max(0, missing)])
    return replace(data, splits={"learned": tuple(sorted(chosen)), "test": data.splits["test"]})


def _judged(file: Path, data: Dataset) -> list[str]:
    result = evaluate(Inspector(file), data.split("test"))
    scores = result.scores()
    matrix = result.confusion()
    each = " ".join(f"{matrix[i, i] / max(1, matrix[i].sum()):.3f}" for i in range(len(matrix)))
    return [*(shown(scores[name].value) for name in SCORES), each, " ".join(map(str, matrix.sum(1)))]


if __name__ == "__main__":
    main()
