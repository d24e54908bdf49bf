"""Pictures of other sets as outsiders to a model: AUROC, and shares beyond its limit of its own test and of theirs.

    python benchmarks/novelty.py part.casae=folder:my-part other.casae=folder:other-part --csv novelty.csv

Each model is asked of the list `test` of every set; AUROC is the probability that a picture of the other set is
farther than one of its own. Of labelled defects likewise, cut out by their labels, for models of several classes.
"""

import argparse
import csv
from itertools import chain
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from casae import Inspector
from casae.datasets.registry import open_dataset
from casae.datasets.sample import Dataset
from casae.decoding import read_image
from casae.image import to_gray
from casae.inspection.measurement import measure
from casae.inspection.regions import find_regions
from casae.metrics import proportion

HEADINGS = ("model", "set", "what", "count", "beyond", "auroc")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("pairs", nargs="+", metavar="MODEL=DATASET")
    parser.add_argument("--also", nargs="*", default=[], metavar="DATASET", help="more sets of outsiders")
    parser.add_argument("--split", default="test")
    parser.add_argument("--most", type=int, default=100, help="pictures of another set, evenly chosen")
    parser.add_argument("--csv", type=Path)
    wanted = parser.parse_args()
    pairs = [pair.split("=", 1) for pair in wanted.pairs]
    named = [(Path(model).stem, spec) for model, spec in pairs] + [(Path(spec).name, spec) for spec in wanted.also]
    sets = {name: open_dataset(spec).split(wanted.split) for name, spec in named}
    rows: list[tuple[object, ...]] = []
    for model, _ in pairs:
        own, inspector = Path(model).stem, Inspector(model)
        measured = {
            name: _distances(inspector, part, len(part.samples) if name == own else wanted.most)
            for name, part in sets.items()
        }
        for number, what in enumerate(("pictures", "defects")):
            found = {name: distances[number] for name, distances in measured.items()}
            if len(found[own]):
                rows += [
                    (own, name, what, len(each), int((each > 1).sum()), f"{_auroc(found[own], each):.4f}")
                    for name, each in found.items()
                ]
        _show(own, [row for row in rows if row[0] == own])
    if wanted.csv:
        with wanted.csv.open("w", newline="") as file:
            csv.writer(file, lineterminator="\n").writerows([HEADINGS, *rows])


def _distances(inspector: Inspector, part: Dataset, most: int) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Of the pictures, and of their labelled defects, in units of the limit."""
    pictures, defects = [], []
    samples = part.labelled.samples
    for index in np.unique(np.linspace(0, len(samples) - 1, min(most, len(samples))).round().astype(int)):
        image = read_image(samples[index].image)
        label = samples[index].draw(image.shape, len(part.classes))
        pictures.append(inspector.look(image)[1])
        values = range(1, len(part.classes) + 1)
        found = (find_regions(label == value, inspector.conditions.min_area_px) for value in values)
        regions = list(chain.from_iterable(found))
        seen = inspector.in_full_scale(image)
        gray, defective = to_gray(seen), label > 0
        named = inspector.name_regions(seen, regions, (measure(region, gray, defective) for region in regions))
        defects += [each.novelty for each in named if each.novelty is not None]
    return np.array(pictures, np.float64), np.array(defects, np.float64)


def _auroc(own: NDArray[np.float64], other: NDArray[np.float64]) -> float:
    """Probability that one of `other` is larger than one of `own`; ties count half."""
    if not len(other):
        return float("nan")
    order = np.sort(own)
    below = np.searchsorted(order, other, "left") + np.searchsorted(order, other, "right")
    return float(below.mean() / 2 / len(own))


def _show(own: str, rows: list[tuple[object, ...]]) -> None:
    for _, name, what, count, beyond, auroc in rows:
        share = proportion(int(str(beyond)), int(str(count)))
        mark = "own" if name == own else f"AUROC {auroc}"
        print(f"{own}: {what} of {name}: {beyond} of {count} beyond the limit ({share.spread}); {mark}", flush=True)


if __name__ == "__main__":
    main()
