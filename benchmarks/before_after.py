"""Whether two versions of casae inspect, train and take time alike: masks, classes, weights, milliseconds.

    git worktree add ../before COMMIT
    python benchmarks/before_after.py ../before/src src IMAGES --model component --train folder:parts

Each version runs in a process of its own, in turn, in this one environment. Images may be a folder or a glob.
"""

import argparse
import csv
import json
import os
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

import cv2
import numpy as np
import torch


def casae(source: Path, *arguments: object) -> None:
    environment = os.environ | {"PYTHONPATH": str(source.resolve())}
    command = [sys.executable, "-m", "casae", *map(str, arguments)]
    subprocess.run(command, check=True, env=environment, stdout=subprocess.DEVNULL)


def inspected(folder: Path) -> tuple[dict[str, np.ndarray], list[tuple[str, str]]]:
    """Masks by name, and (number of the defect, class) of every image in order."""
    files = sorted((folder / "masks").iterdir())
    masks = {file.name: np.asarray(cv2.imread(str(file), cv2.IMREAD_UNCHANGED)) for file in files}
    with (folder / "defects.csv").open(encoding="utf-8-sig") as table:
        rows = [row[next(iter(row))] + " " + row["number"] for row in csv.DictReader(table)]
    with (folder / "defects.csv").open(encoding="utf-8-sig") as table:
        classes = [row["class"] for row in csv.DictReader(table)]
    return masks, sorted(zip(rows, classes, strict=True))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("before", type=Path)
    parser.add_argument("after", type=Path)
    parser.add_argument("images")
    parser.add_argument("--model", default="component")
    parser.add_argument("--train", metavar="DATASET")
    parser.add_argument("--split", default="train")
    parser.add_argument("--presets", nargs="+", default=["fast", "scratch"])
    parser.add_argument("--rounds", type=int, default=3, help="of the timing, each version in turn")
    wanted = parser.parse_args()
    versions = {"before": wanted.before, "after": wanted.after}
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder)
        for name, source in versions.items():
            casae(source, "inspect", wanted.images, "--model", wanted.model, "--out", place / name)
        (masks, classes), (masks_after, classes_after) = (inspected(place / name) for name in versions)
        same = sum(np.array_equal(mask, masks_after[name]) for name, mask in masks.items())
        alike = sum(one == other for one, other in zip(classes, classes_after, strict=False))
        print(f"{same} of {len(masks)} masks are equal, {alike} of {len(classes)} defects have the same class")
        times: dict[str, list[float]] = {name: [] for name in versions}
        for _ in range(wanted.rounds):
            for name, source in versions.items():
                casae(source, "benchmark", "--model", wanted.model, "--streams", 1, "--json", place / "speed.json")
                speed = json.loads((place / "speed.json").read_text())
                times[name].append(speed["stages"]["file to record"]["p50"])
        for name, each in times.items():
            print(f"{name}: file to record {statistics.median(each):.1f} ms, median of {len(each)} runs")
        for preset in wanted.presets if wanted.train else ():
            for name, source in versions.items():
                out = place / f"{name}-{preset}.casae"
                epochs = ("--epochs-1", 2, "--epochs-2", 1)
                casae(source, "train", wanted.train, "--split", wanted.split, "--preset", preset, *epochs, "--out", out)
            one, other = (
                torch.load(place / f"{name}-{preset}-training" / "weights.pt", weights_only=True) for name in versions
            )
            differs = [name for name, value in one.items() if not torch.equal(value, other[name])]
            print(f"{preset}: {len(one) - len(differs)} of {len(one)} weight tensors are equal")


if __name__ == "__main__":
    main()
