"""Good parts that are rejected, by how many good pictures are learned from: at equal escapes, and as chosen.

    python benchmarks/good_parts.py folder:solar-cells --labels few30 --good 0 20 100 --minutes 5 --out rows.csv

Learns from the defective pictures of a list and so many good ones of the list `train`, as `casae train` does, which
holds ten of these out, or half; and judges on the list `test`. A picture is as sure as the surest pixel of what is
found in it at the model's Gs. Each model judges with one look and with more. Rows that are in the file already are not
computed again.
"""

import argparse
import tempfile
from dataclasses import replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from casae.config import InspectionSettings, Looks
from casae.datasets.registry import open_dataset
from casae.datasets.sample import Dataset
from casae.decoding import read_image
from casae.inspection.inspector import Inspector
from casae.inspection.regions import find_regions
from casae.inspection.segmentation import GS_MAX, threshold
from casae.metrics import average_precision
from casae.recipes import settings_for
from casae.training.judge import train_and_judge
from casae.training.progress import Reporter
from rows import add, is_there, shown

LOOKS: tuple[Looks, ...] = (1, 2, 4)
ESCAPES = (0.02, 0.05, 0.1)
KEY = ("dataset", "labels", "defective", "good", "minutes", "seed")
SCORES = ("gs", "core_gs", "escaped", "rejected", *(f"rejected_at_{share:g}" for share in ESCAPES), "image_ap")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("dataset")
    parser.add_argument("--labels", default="train", help="list whose defective pictures are learned from")
    parser.add_argument("--defective", type=int, default=30, help="of them at most")
    parser.add_argument("--good", type=int, nargs="+", default=[0, 20, 100])
    parser.add_argument("--minutes", type=float, default=5)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--keep", type=Path, help="folder for the models")
    parser.add_argument("--out", type=Path, required=True)
    wanted = parser.parse_args()
    for count in wanted.good:
        data = _learned(open_dataset(wanted.dataset), wanted.labels, wanted.defective, count, wanted.seed)
        name = f"{wanted.dataset.split(':')[0]}:{Path(wanted.dataset.split(':')[1]).name}"
        key = (name, wanted.labels, str(wanted.defective), str(count), f"{wanted.minutes:g}", str(wanted.seed))
        if is_there(wanted.out, key):
            continue
        with tempfile.TemporaryDirectory() as folder, Reporter() as reporter:
            settings = settings_for("fast", minutes=wanted.minutes, seed=wanted.seed)
            file = (wanted.keep or Path(folder)) / f"good-{count}.casae"
            train_and_judge(data, file, settings, split="learned", reporter=reporter)
            part = data.split("test").labelled
            rows = [[*key, n, *_judged(Inspector(file, InspectionSettings(looks=n)), part)] for n in LOOKS]
            add(wanted.out, (*KEY, "looks", *SCORES), rows)
            print(*rows, sep="\n", flush=True)


def _learned(data: Dataset, labels: str, defective: int, good: int, seed: int) -> Dataset:
    """With the list `learned`: defective pictures of `labels`, and good ones of `train`."""
    rng = np.random.default_rng(seed)
    bad = [s.name for s in data.split(labels).labelled.samples if s.label and s.label.present(len(data.classes))]
    fine = [s.name for s in data.split("train").labelled.samples if s.label and not s.label.present(len(data.classes))]
    names = (*rng.permutation(bad)[:defective].tolist(), *rng.permutation(fine)[:good].tolist())
    lists = {"learned": names, "test": data.splits["test"]}
    return replace(data, splits=lists)


def _judged(inspector: Inspector, part: Dataset) -> list[str]:
    """Thresholds, shares at them, and shares of good pictures that are rejected at equal escapes."""
    sure, defective = [], []
    for sample in part.samples:
        image = read_image(sample.image)
        sure.append(_surest(inspector, inspector.probability(image)))
        defective.append(bool(sample.draw(image.shape, len(part.classes)).any()))
    surest, bad = np.array(sure), np.array(defective)
    core, gs = inspector.conditions.core_gs, inspector.conditions.gs
    found = threshold(surest.astype(np.float32), core)
    at = [_rejected(surest[bad], surest[~bad], share) for share in ESCAPES]
    shares = [1 - found[bad].mean(), found[~bad].mean(), *at, average_precision(surest, bad.astype(np.float64))]
    return [f"{gs:g}", f"{core:g}", *map(shown, shares)]


def _surest(inspector: Inspector, probability: NDArray[np.float32]) -> float:
    mask = threshold(probability, min(inspector.conditions.gs, GS_MAX - 1))
    regions = find_regions(mask, inspector.conditions.min_area_px)
    return max((float(probability[region.at].max()) for region in regions), default=0.0)


def _rejected(bad: NDArray[np.float64], good: NDArray[np.float64], escapes: float) -> float | None:
    """The share of the good where so many of the bad escape at most; None where nothing is found in more of these."""
    limit = np.sort(bad)[int(escapes * len(bad))]
    return float((good >= limit).mean()) if limit else None


if __name__ == "__main__":
    main()
