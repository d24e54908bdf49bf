"""NEU-Seg: defects of several classes, by the two-stage way and by one network with a softmax over all classes.

Two-stage is the paper's system: segment any defect, then name each region, and paint the names back. Both get the same
minutes, images and strength of views; the one network is the same network 1 with a wider last layer.
"""

import statistics
import time
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from lightning_fabric import seed_everything
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from casae.config import InspectionSettings, Looks
from casae.datasets.sample import UNCLASSED, Dataset
from casae.errors import DatasetError
from casae.image import Frame, Image, lies_across, to_unit
from casae.inspection.inspector import Inspector
from casae.labelled.holdout import hold_out
from casae.labelled.images import LabelledImage, load
from casae.models.bundle import InputSize
from casae.networks.weights import begin
from casae.recipes import SegmenterSettings, TrainingSettings
from casae.reproduction.experiment import Experiment, Row, mean_and_spread, seeds_of
from casae.training import segmentation
from casae.training.augmentation import AUGMENTATIONS
from casae.training.budget import Budget
from casae.training.loop import Task, fit, seconds_spent
from casae.training.train import train
from casae.training.views import MaskViews, Pair, loader

LOOKS: tuple[Looks, ...] = (1, 2)
Predict = Callable[[Image], NDArray[np.uint8]]
"""Image (H, W) -> the class of every pixel, 0 for background."""

PUBLISHED = (
    " Published for 'train' and 'test': 0.815 and 0.834 mIoU; 808 of the 840 images of 'test' are copies of images of "
    "'train', turned or mirrored. Of 'train-clean' and 'test-clean' none are."
)
TITLES = {
    "two-stage": "CASAE, then compact CNN for each region",
    "one-network": "one network, softmax over all classes",
}


class SoftmaxTask(Task):
    """Train one network on all classes at once: cross-entropy plus soft Dice over the classes in the batch.

    Args:
        network: gray (N, 1, H, W) -> logits (N, classes + 1, H, W), background first.
        validation: images that the mean IoU is measured on.
    """

    score_name = "val_miou"

    def __init__(
        self,
        network: nn.Module,
        settings: SegmenterSettings,
        budget: Budget,
        validation: Sequence[LabelledImage],
        size: InputSize,
        classes: int,
    ) -> None:
        super().__init__(network, budget, settings.learning_rate, settings.one_cycle)
        self.validation, self.size, self.classes = validation, size, classes
        self.settings = settings

    def loss(self, batch: Pair) -> Tensor:
        """Loss of (image, class of every pixel)."""
        image, target = batch
        logits = self.trained(image.contiguous(memory_format=torch.channels_last)).float()
        share = logits.softmax(1)
        truth = functional.one_hot(target.long(), self.classes + 1).permute(0, 3, 1, 2).float()
        overlap, total = (share * truth).sum((0, 2, 3)), (share + truth).sum((0, 2, 3))
        present = truth.sum((0, 2, 3)) > 0
        dice = 1 - (2 * overlap + 1) / (total + 1)
        return functional.cross_entropy(logits, target.long()) + dice[present].mean()

    def score(self) -> float | None:
        """Mean IoU over the classes, without background."""
        return mean_iou(confusion(self.validation, self.predict, self.classes))[0]

    def predict(self, gray: Image) -> NDArray[np.uint8]:
        """The class of every pixel of an image (H, W), 0 for background."""
        if lies_across(gray.shape, self.size.height, self.size.width):  # seen transposed, as in training
            return np.ascontiguousarray(self.predict(np.ascontiguousarray(gray.T)).T)
        frame = Frame.of(gray.shape, self.size.height, self.size.width, self.size.fit)
        with torch.inference_mode():
            logits = self.trained(torch.from_numpy(to_unit(frame.put(gray))[None, None]))[0].float().numpy()
        return np.stack([frame.take(plane, gray.shape) for plane in logits]).argmax(0).astype(np.uint8)

    def optimiser(self) -> torch.optim.Optimizer:
        """See `casae.training.segmentation.optimiser`."""
        return segmentation.optimiser(self.trained, self.trained, self.settings, self.learning_rate)


def neu_seg(
    experiment: Experiment, dataset: Dataset, lists: Sequence[tuple[str, str]], settings: TrainingSettings, seeds: int
) -> None:
    """Both ways for every pair of lists and every seed; writes neu-seg.md and neu-seg.json, anew after each row.

    Args:
        experiment: with its place.
        dataset: all of it.
        lists: to learn from and to judge on, in pairs.
        settings: of the trainings.
        seeds: how often.

    Raises:
        DatasetError: a defect has no class.
    """
    whole = {"fit": "letterbox" if settings.segmenter.fit == "choose" else settings.segmenter.fit}
    settings = settings.model_copy(update={"segmenter": settings.segmenter.model_copy(update=whole)})
    for split, _ in lists:
        _classed(load(dataset.split(split)))
    experiment.claim()
    runs = [(way, pair, seed) for seed in range(seeds) for way in WAYS for pair in lists]
    rows: list[Row] = []
    for index, (way, (split, test), seed) in enumerate(runs):
        experiment.reporter.overall(index, len(runs), f"{TITLES[way]}, judged on {test}, seed {seed}")
        judged = _classed(load(dataset.split(test)))

        def work(
            folder: Path, way: str = way, split: str = split, judged: Sequence[LabelledImage] = judged, seed: int = seed
        ) -> Row:
            made = WAYS[way](experiment, dataset, split, settings.model_copy(update={"seed": seed}), folder)
            seconds = round(seconds_spent(folder), 1)
            return {"seconds": seconds, "by_looks": {looks: _scores(judged, made[looks], dataset) for looks in made}}

        row = experiment.row(way if (split, test) == lists[0] else f"{way}-{test}", seed, work)
        for looks, scores in row["by_looks"].items():
            rows.append({"way": way, "split": split, "test": test, "looks": looks, "seed": seed, **scores})
        _publish(experiment, dataset, lists, settings, rows)
    experiment.reporter.overall(len(runs), len(runs), "done")


def _scores(judged: Sequence[LabelledImage], predict: Predict, dataset: Dataset) -> Row:
    began = time.monotonic()
    without, with_background, each = mean_iou(confusion(judged, predict, len(dataset.classes)))
    milliseconds = 1000 * (time.monotonic() - began) / len(judged)
    scores = {"miou": without, "miou_with_background": with_background, "per_class": each}
    return scores | {"ms_per_image": milliseconds}


def _publish(
    experiment: Experiment,
    dataset: Dataset,
    lists: Sequence[tuple[str, str]],
    settings: TrainingSettings,
    rows: Sequence[Row],
) -> None:
    table = [["way", "judged on", "looks", "mIoU", "mIoU with background", *dataset.classes, "ms an image"]]
    kinds = dict.fromkeys((row["way"], row["test"], row["looks"]) for row in rows)
    for way, test, looks in sorted(kinds, key=lambda kind: list(TITLES).index(kind[0])):
        alike = [row for row in rows if (row["way"], row["test"], row["looks"]) == (way, test, looks)]
        columns = [[row["miou"] for row in alike], [row["miou_with_background"] for row in alike]]
        columns += [[row["per_class"][i + 1] for row in alike] for i in range(len(dataset.classes))]
        known = [[value for value in column if value is not None] for column in columns]
        speed = statistics.mean(row["ms_per_image"] for row in alike)
        shown = (mean_and_spread(column) if column else "-" for column in known)
        table.append([TITLES[way], test, str(looks), *shown, f"{speed:.1f}"])
    parts = "; ".join(
        f"'{split}' has {len(dataset.split(split).samples)} images, '{test}' {len(dataset.split(test).samples)}"
        for split, test in lists
    )
    notes = [
        f"Lists: {parts}. Of what is learned from, a share of {settings.hold_out_share:g} is held out; copies stay on "
        f"one side. {settings.minutes:g} minutes each, preset {settings.preset}, seeds {seeds_of(rows)}. The one "
        "network learns by cross-entropy and Dice over all classes and runs in PyTorch; the two stages are a bundle "
        f"in OpenVINO, with a core and classes by size.{PUBLISHED if dataset.name.startswith('neu-seg:') else ''}"
    ]
    experiment.publish("NEU-Seg: classes by two stages and by one network", table, rows, notes)


def confusion(images: Sequence[LabelledImage], predict: Predict, classes: int) -> NDArray[np.int64]:
    """Pixels by true class (row) and named class (column), background first, (classes + 1, classes + 1)."""
    count = classes + 1
    matrix = np.zeros((count, count), np.int64)
    for image in images:
        pairs = image.label.astype(np.int64) * count + predict(image.gray)
        matrix += np.bincount(pairs.ravel(), minlength=count**2).reshape(count, count)
    return matrix


def mean_iou(matrix: NDArray[np.int64]) -> tuple[float | None, float | None, list[float | None]]:
    """Mean IoU without background, with it, and of each class, background first.

    None, and left out of the means, for a class that is neither there nor named.

    >>> mean_iou(np.array([[6, 2], [0, 2]]))
    (0.5, 0.625, [0.75, 0.5])
    """
    hit = np.diag(matrix)
    union = matrix.sum(0) + matrix.sum(1) - hit
    each = [float(h / u) if u else None for h, u in zip(hit, union, strict=True)]
    return _mean(each[1:]), _mean(each), each


def _mean(values: Sequence[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return float(np.mean(known)) if known else None


def _classed(images: list[LabelledImage]) -> list[LabelledImage]:
    for image in images:
        if (image.label == UNCLASSED).any():
            raise DatasetError(f"{image.name}: has a defect without class; neu-seg compares classes, name them all")
    return images


def _two_stage(
    experiment: Experiment, dataset: Dataset, split: str, settings: TrainingSettings, folder: Path
) -> dict[str, Predict]:
    file = folder / "model.casae"
    train(dataset, file, settings, split=split, resume=True, reporter=experiment.reporter)
    values = {name: value for value, name in enumerate(dataset.classes, start=1)}

    def painted(inspector: Inspector, gray: Image) -> NDArray[np.uint8]:
        mask = np.zeros(gray.shape, np.uint8)
        for defect in inspector.inspect(gray).defects:
            mask[defect.region.at] = values[defect.nearest or defect.name]
        return mask

    return {str(looks): partial(painted, Inspector(file, InspectionSettings(looks=looks))) for looks in LOOKS}


def _one_network(
    experiment: Experiment, dataset: Dataset, split: str, settings: TrainingSettings, folder: Path
) -> dict[str, Predict]:
    segmenter, classes = settings.segmenter, len(dataset.classes)
    seed_everything(settings.seed, verbose=False)
    learned, held = hold_out(dataset, split, settings.hold_out_share, settings.seed, groups=dataset.copies)
    images = _classed(load(learned))
    size = segmentation.input_of(images, segmenter)[0]
    casae = segmentation.build(segmenter, classes=classes + 1)
    begin(casae, settings.start)
    views = MaskViews(
        images, size.height, size.width, size.fit, segmenter.views, settings.seed, target=class_target
    ).augmented(AUGMENTATIONS[segmenter.augmentation])
    experiment.reporter.stage("one network")
    budget = Budget(seconds=60 * (settings.minutes or 0))
    task = SoftmaxTask(casae.first, segmenter, budget, load(held), size, classes)
    fit(task, loader(views, segmenter.batch), folder / "one", experiment.reporter)
    return {"1": task.predict}


def class_target(label: NDArray[np.uint8], frame: Frame) -> NDArray[Any]:
    """Label values (H, W) -> the value that covers most of each pixel of the network's input."""
    values = [value for value in np.unique(label) if value]
    planes = [frame.put((label == value).astype(np.float32)) for value in values]
    background = frame.put((label == 0).astype(np.float32))
    return np.array([0, *values], np.uint8)[np.stack([background, *planes]).argmax(0)]


Way = Callable[[Experiment, Dataset, str, TrainingSettings, Path], dict[str, Predict]]
WAYS: dict[str, Way] = {"two-stage": _two_stage, "one-network": _one_network}
