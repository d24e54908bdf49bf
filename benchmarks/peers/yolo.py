"""A dataset in the form that YOLO reads, and the IoU of what YOLO predicted. See README.md in this folder.

python benchmarks/peers/yolo.py write sd-saliency-900:PATH yolo --split few30-0
python benchmarks/peers/yolo.py score sd-saliency-900:PATH yolo/predicted/labels
"""

import argparse
import json
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from casae.datasets.registry import open_dataset
from casae.datasets.sample import Dataset
from casae.labelled.holdout import hold_out
from casae.labelled.images import LabelledImage, load
from casae.metrics import Counts
from casae.recipes import PRESETS

SMALLEST = 3  # corners of a polygon


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=("write", "score"))
    parser.add_argument("dataset")
    parser.add_argument("folder", type=Path)
    parser.add_argument("--split", default="train")
    parser.add_argument("--test", default="test")
    wanted = parser.parse_args()
    dataset = open_dataset(wanted.dataset)
    if wanted.what == "write":
        write(dataset, wanted.split, wanted.test, wanted.folder)
    else:
        images = load(dataset.split(wanted.test))
        pairs = ((_predicted(image, wanted.folder), image.label > 0) for image in images)
        found = sum((Counts.of(*pair) for pair in pairs), Counts(0, 0, 0, 0))
        print(f"IoU {found.iou:.4f}, precision {found.precision:.3f}, recall {found.recall:.3f}, {len(images)} images")


def write(dataset: Dataset, split: str, test: str, folder: Path) -> None:
    """Images and polygons of `split`, cut as `casae train` cuts it, and of `test`, one class for each of its own."""
    learned, held = hold_out(dataset, split, PRESETS["fast"].hold_out_share, seed=0)
    for name, part in {"train": learned, "val": held, "test": dataset.split(test).labelled}.items():
        images, labels = folder / "images" / name, folder / "labels" / name
        for place in (images, labels):
            place.mkdir(parents=True, exist_ok=True)
        for image in load(part):
            cv2.imwrite(str(images / f"{image.name}.png"), image.gray)
            (labels / f"{image.name}.txt").write_text("".join(f"{line}\n" for line in _polygons(image)))
    paths = {"path": str(folder.resolve()), **{part: f"images/{part}" for part in ("train", "val", "test")}}
    settings = {**paths, "names": dict(enumerate(dataset.classes))}
    (folder / "data.yaml").write_text(json.dumps(settings, indent=2))  # JSON is YAML


def _polygons(image: LabelledImage) -> list[str]:
    lines = []
    for value in (value for value in np.unique(image.label) if value):
        mask = (image.label == value).astype(np.uint8)
        for outline in cv2.findContours(mask, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)[0]:
            if len(outline) >= SMALLEST:
                places = (outline[:, 0] + 0.5) / mask.shape[::-1]
                lines.append(f"{value - 1} " + " ".join(f"{place:.5f}" for place in places.ravel()))
    return lines


def _predicted(image: LabelledImage, folder: Path) -> NDArray[np.bool_]:
    mask = np.zeros(image.label.shape, np.uint8)
    file = folder / f"{image.name}.txt"
    for line in file.read_text().splitlines() if file.exists() else []:
        places = np.array(line.split()[1:], np.float64).reshape(-1, 2) * mask.shape[::-1] - 0.5
        cv2.fillPoly(mask, [np.rint(places).astype(np.int32)], 1)
    return mask > 0


if __name__ == "__main__":
    main()
