"""NEU-Seg: defects of several classes, by the two-stage way and by one network with a softmax over all classes.

Two-stage is the paper's system: segment any defect, then name each region, and paint the names back. Both get the same
minutes, images and strength of views; the one network is the same network 1 with a wider last layer.
"""

import statistics
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from lightning_fabric import seed_everything
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from casae.datasets.sample import UNCLASSED, Dataset
from casae.errors import DatasetError
from casae.image import Frame, Image, lies_across, to_unit
from casae.inspection.inspector import Inspector
from casae.labelled.holdout import hold_out
from casae.labelled.images import LabelledImage, load
from casae.models.bundle import InputSize
from casae.networks.weights import begin
from casae.recipes import SegmenterSettings, TrainingSettings
from casae.reproduction.experiment import Experiment, Row, mean_and_spread
from casae.training import segmentation
from casae.training.augmentation import AUGMENTATIONS
from casae.training.budget import Budget
from casae.training.loop import Task, fit, seconds_spent
from casae.training.train import train
from casae.training.views import MaskViews, Pair, loader

PUBLISHED = " Published for this split: 0.815 and 0.834 mIoU."
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
    experiment: Experiment, dataset: Dataset, split: str, test: str, settings: TrainingSettings, seeds: int
) -> None:
    """Both ways for every seed; writes neu-seg.md and neu-seg.json.

    Raises:
        DatasetError: a defect has no class.
    """
    whole = {"fit": "letterbox" if settings.segmenter.fit == "choose" else settings.segmenter.fit}
    settings = settings.model_copy(update={"segmenter": settings.segmenter.model_copy(update=whole)})
    judged = _classed(load(dataset.split(test)))
    _classed(load(dataset.split(split)))
    learned, held = hold_out(dataset, split, settings.hold_out_share, 0)
    experiment.claim()
    ways: dict[str, Callable[[TrainingSettings, Path], Callable[[Image], NDArray[np.uint8]]]] = {
        "two-stage": lambda wanted, folder: _two_stage(experiment, dataset, split, wanted, folder),
        "one-network": lambda wanted, folder: _one_network(experiment, dataset, split, wanted, folder),
    }
    rows = []
    for index in range(seeds * len(ways)):
        seed, key = index // len(ways), list(ways)[index % len(ways)]
        experiment.reporter.overall(index, seeds * len(ways), f"{TITLES[key]}, seed {seed}")

        def work(folder: Path, key: str = key, seed: int = seed) -> Row:
            predict = ways[key](settings.model_copy(update={"seed": seed}), folder)
            seconds = round(seconds_spent(folder), 1)
            began = time.monotonic()
            matrix = confusion(judged, predict, len(dataset.classes))
            milliseconds = 1000 * (time.monotonic() - began) / len(judged)
            without, with_background, each = mean_iou(matrix)
            scores = {"miou": without, "miou_with_background": with_background, "per_class": each}
            return scores | {"seconds": seconds, "ms_per_image": milliseconds}

        rows.append(experiment.row(key, seed, work))
    experiment.reporter.overall(seeds * len(ways), seeds * len(ways), "done")
    table = [["way", "mIoU", "mIoU with background", *dataset.classes, "ms an image"]]
    for key, title in TITLES.items():
        of_key = [row for row in rows if row["row"] == key]
        columns = [[row["miou"] for row in of_key], [row["miou_with_background"] for row in of_key]]
        columns += [[row["per_class"][i + 1] for row in of_key] for i in range(len(dataset.classes))]
        known = [[value for value in column if value is not None] for column in columns]
        speed = statistics.mean(row["ms_per_image"] for row in of_key)
        table.append([title, *(mean_and_spread(column) if column else "-" for column in known), f"{speed:.1f}"])
    notes = [
        f"{len(learned.samples)} images of list '{split}' learned from and {len(held.samples)} held out, {len(judged)} "
        f"of '{test}', {settings.minutes:g} minutes each, preset {settings.preset}. The one network learns by "
        f"cross-entropy and Dice over all classes and runs in PyTorch; the two stages are a bundle in OpenVINO, with a "
        f"core and classes by size.{PUBLISHED if dataset.name.startswith('neu-seg:') else ''}"
    ]
    experiment.publish("NEU-Seg: classes by two stages and by one network", table, rows, notes)


def confusion(
    images: Sequence[LabelledImage], predict: Callable[[Image], NDArray[np.uint8]], classes: int
) -> NDArray[np.int64]:
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
) -> Callable[[Image], NDArray[np.uint8]]:
    file = folder / "model.casae"
    train(dataset, file, settings, split=split, resume=True, reporter=experiment.reporter)
    inspector = Inspector(file)
    values = {name: value for value, name in enumerate(dataset.classes, start=1)}

    def predict(gray: Image) -> NDArray[np.uint8]:
        painted = np.zeros(gray.shape, np.uint8)
        for defect in inspector.inspect(gray).defects:
            painted[defect.region.at] = values[defect.name]
        return painted

    return predict


def _one_network(
    experiment: Experiment, dataset: Dataset, split: str, settings: TrainingSettings, folder: Path
) -> Callable[[Image], NDArray[np.uint8]]:
    segmenter, classes = settings.segmenter, len(dataset.classes)
    seed_everything(settings.seed, verbose=False)
    learned, held = hold_out(dataset, split, settings.hold_out_share, settings.seed)
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
    return task.predict


def class_target(label: NDArray[np.uint8], frame: Frame) -> NDArray[Any]:
    """Label values (H, W) -> the value that covers most of each pixel of the network's input."""
    values = [value for value in np.unique(label) if value]
    planes = [frame.put((label == value).astype(np.float32)) for value in values]
    background = frame.put((label == 0).astype(np.float32))
    return np.array([0, *values], np.uint8)[np.stack([background, *planes]).argmax(0)]
