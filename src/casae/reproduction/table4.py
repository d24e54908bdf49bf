"""Table 4 (accuracy of the classifiers on crops of labelled defects) and Figure 7 (the same, class by class)."""

import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from lightning_fabric import seed_everything
from numpy.typing import NDArray

from casae.config import MIN_AREA_PX
from casae.datasets.sample import Dataset
from casae.errors import DatasetError
from casae.inspection.classification import classifier_input
from casae.labelled.defects import LabelledCrop, labelled_crops
from casae.labelled.images import load
from casae.recipes import PRESETS, ClassifierSettings
from casae.reproduction.baselines import FEATURES, features_of, mlp_predictions
from casae.reproduction.charts import bars
from casae.reproduction.experiment import Experiment, Row, mean_and_spread, seeds_of, too_short
from casae.training import classification
from casae.training.budget import Budget
from casae.training.loop import fit, seconds_spent
from casae.training.views import loader

PAPERS_ITERATIONS = 30_000
TRAINING_SHARE = 0.7  # paper, section 5.3
TITLES = {
    "glcm": "GLCM + MLP",
    "hog": "HOG + MLP",
    "hog-sobel": "HOG + SOBEL + MLP",
    "cnn-paper": "compact CNN, the paper's recipe",
    "cnn": "compact CNN, our recipe",
}
PUBLISHED = {"glcm": 72.86, "hog": 68.99, "hog-sobel": 69.76, "cnn-paper": 86.82}
OURS = PRESETS["fast"].classifier.model_copy(update={"width": 96})
RECIPES = {"cnn-paper": ClassifierSettings(), "cnn": OURS}


@dataclass(frozen=True)
class Halves:
    """Crops to learn from and to judge on; no image is in both."""

    learned: Sequence[LabelledCrop]
    judged: Sequence[LabelledCrop]


def table4(experiment: Experiment, dataset: Dataset, iterations: int, seeds: int) -> None:
    """Every row for every seed; writes table4.md, table4.json, table4.png and figure7.png.

    Raises:
        DatasetError: fewer than two classes, or a class without crops.
    """
    if len(dataset.classes) < 2:
        raise DatasetError(f"{dataset.name}: has one class; table4 compares classifiers and needs two or more")
    images = load(dataset)
    classes = dataset.classes
    by_scene: dict[str, list[LabelledCrop]] = {}  # copies of an image stay together
    for image in images:
        crops = labelled_crops([image], len(classes), MIN_AREA_PX)
        by_scene.setdefault(dataset.copies.get(image.name, image.name), []).extend(crops)
    by_image = list(by_scene.values())
    _check(dataset, by_image)
    experiment.claim()
    rows: list[Row] = []
    total = seeds * len(TITLES)
    for index in range(total):
        seed, key = index // len(TITLES), list(TITLES)[index % len(TITLES)]
        experiment.reporter.overall(index, total, f"{TITLES[key]}, seed {seed}")
        halves = halved(by_image, seed)

        def work(folder: Path, key: str = key, halves: Halves = halves, seed: int = seed) -> Row:
            return _row(experiment, key, halves, classes, iterations, seed, folder)

        rows.append(experiment.row(key, seed, work))
    experiment.reporter.overall(total, total, "done")
    _publish(experiment, rows, classes, iterations, dataset)


def halved(by_image: Sequence[Sequence[LabelledCrop]], seed: int) -> Halves:
    """Seven tenths of the images' crops to learn from, whole images on one side, the share of each class kept."""
    learned: list[LabelledCrop] = []
    judged: list[LabelledCrop] = []
    groups: dict[int, list[Sequence[LabelledCrop]]] = {}
    for crops in by_image:
        if crops:
            groups.setdefault(crops[0].defect_class, []).append(crops)
    rng = np.random.default_rng(seed)
    for _, group in sorted(groups.items()):
        order = rng.permutation(len(group))
        cut = round(TRAINING_SHARE * len(group))
        learned += [crop for index in order[:cut] for crop in group[index]]
        judged += [crop for index in order[cut:] for crop in group[index]]
    return Halves(learned, judged)


def _check(dataset: Dataset, by_image: Sequence[Sequence[LabelledCrop]]) -> None:
    counts = np.bincount([crop.defect_class for crops in by_image for crop in crops], minlength=len(dataset.classes))
    if counts.min() < 4:
        name = dataset.classes[int(counts.argmin())]
        raise DatasetError(f"{dataset.name}: {counts.min()} labelled defects of class {name}; table4 needs at least 4")
    if not halved(by_image, 0).judged:
        raise DatasetError(f"{dataset.name}: too few images with defects to judge on three of ten; label more")


def _row(
    experiment: Experiment, key: str, halves: Halves, classes: Sequence[str], iterations: int, seed: int, folder: Path
) -> Row:
    began = time.monotonic()
    true = np.array([crop.defect_class for crop in halves.judged])
    if key in FEATURES:
        learned, judged = (
            features_of([(crop.gray, crop.rectangle) for crop in part], FEATURES[key])
            for part in (halves.learned, halves.judged)
        )
        named = mlp_predictions(learned, np.array([crop.defect_class for crop in halves.learned]), judged, seed)
    else:
        named = _cnn_predictions(experiment, RECIPES[key], halves, len(classes), iterations, seed, folder)
    matrix = np.zeros((len(classes), len(classes)), int)
    np.add.at(matrix, (true, named), 1)
    each = [float(row[i] / row.sum()) if row.any() else None for i, row in enumerate(matrix)]
    accuracy = float(np.trace(matrix) / matrix.sum())
    seconds = round(seconds_spent(folder) or time.monotonic() - began, 1)
    return {"accuracy": accuracy, "per_class": each, "confusion": matrix.tolist(), "seconds": seconds}


def _cnn_predictions(
    experiment: Experiment,
    settings: ClassifierSettings,
    halves: Halves,
    classes: int,
    iterations: int,
    seed: int,
    folder: Path,
) -> NDArray[np.int64]:
    """The last weights count: nothing is chosen by the crops that are judged."""
    import torch

    seed_everything(seed, verbose=False)
    network = classification.build(settings, classes)
    views = classification.views_of(halves.learned, settings, classes, seed)
    experiment.reporter.stage("compact CNN")
    # the share of right classes that the bar shows is of some training crops
    shown = halves.learned[:: max(1, len(halves.learned) // 100)]
    task = classification.ClassificationTask(
        network, settings, Budget(steps=iterations), halves.learned, shown, classes
    )
    task.score_decides = False
    fit(task, loader(views, settings.batch), folder / "cnn", experiment.reporter)
    named = []
    with torch.inference_mode():
        for crop in halves.judged:
            seen = torch.from_numpy(classifier_input(crop.gray, crop.rectangle))[None, None]
            named.append(int(network(seen).argmax()))
    return np.array(named)


def _publish(
    experiment: Experiment, rows: Sequence[Row], classes: Sequence[str], iterations: int, dataset: Dataset
) -> None:
    table = [["method", "accuracy", *classes, "published", "minutes"]]
    figure: dict[str, dict[str, list[float]]] = {}
    for key, title in TITLES.items():
        of_key = [row for row in rows if row["row"] == key]
        each = {name: [row["per_class"][i] for row in of_key] for i, name in enumerate(classes)}
        figure[title] = {name: [value for value in values if value is not None] for name, values in each.items()}
        published = f"{PUBLISHED[key] / 100:.4f}" if key in PUBLISHED else "-"
        minutes = sum(row["seconds"] for row in of_key) / len(of_key) / 60
        cells = [title, mean_and_spread([row["accuracy"] for row in of_key])]
        cells += [mean_and_spread(values) if values else "-" for values in figure[title].values()]
        table.append([*cells, published, f"{minutes:.1f}"])
    notes = [
        *too_short(iterations, PAPERS_ITERATIONS, "iterations"),
        f"Crops of labelled defects of {len(dataset.labelled.samples)} images, 70 % of the images to learn from, drawn "
        f"anew for each seed, no image on both sides. Compact CNN: width 96, {iterations} iterations, of "
        f"{RECIPES['cnn-paper'].batch} crops by the paper's recipe and of {RECIPES['cnn'].batch} by ours. Mean and "
        f"standard deviation over seeds {seeds_of(rows)}. The published values are of the paper's own images, which "
        "are not public.",
    ]
    experiment.publish("Table 4: accuracy of the classifiers", table, rows, notes)
    overall = {TITLES[key]: [row["accuracy"] for row in rows if row["row"] == key] for key in TITLES}
    values = {TITLES[key]: value / 100 for key, value in PUBLISHED.items()}
    experiment.picture(bars({"accuracy": overall}, "accuracy", values))
    experiment.picture(bars(figure, "accuracy"), "figure7")
