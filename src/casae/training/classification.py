"""Train the compact CNN on crops of labelled defects (paper, section 5.3)."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from casae.image import planes
from casae.inspection.classification import classifier_input
from casae.inspection.measurement import measure
from casae.inspection.regions import Region, find_regions
from casae.inspection.sizes import features, standardised
from casae.labelled.defects import LabelledCrop, is_thin
from casae.models.bundle import SizeClasses
from casae.networks.compact_cnn import CompactCNN
from casae.recipes import ENOUGH_DEFECTIVE, ClassifierSettings
from casae.training.budget import Budget
from casae.training.loop import Task
from casae.training.regression import logistic_regression
from casae.training.views import CropViews, Pair, part_of

VALIDATION_BATCH = 32
SIZE_PENALTY = 0.3  # of the squared weights of `SizeClasses`, shared by all defects; see docs/results/log.md
PIECES = 3  # of each thin defect
PARTS, TRUSTS = 5, np.linspace(0, 1, 11)  # of the images, and what sizes may count beside the CNN
ROUGHEST = 0.05  # added to the deviation of a feature, which may be the same in all crops


def build(settings: ClassifierSettings, classes: int, channels: int = 1) -> CompactCNN:
    """The compact CNN that the settings describe, with fresh weights, for crops of one or three channels."""
    network = CompactCNN(classes, width=settings.width, inputs=channels)
    for layer in network.modules():
        if isinstance(layer, nn.Conv2d | nn.Linear):
            if settings.initial == "kaiming":
                nn.init.kaiming_normal_(layer.weight, nonlinearity="relu")
            else:
                nn.init.normal_(layer.weight, 0, 0.001)
            nn.init.zeros_(layer.bias)  # type: ignore[arg-type]
    return network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]  # missing in its stubs


def _balance(crops: Sequence[LabelledCrop], classes: int) -> NDArray[np.float64]:
    """What a crop of each class counts, 1 for the commonest: the root of how much rarer it is."""
    counts = np.bincount([crop.defect_class for crop in crops], minlength=classes)
    shares: NDArray[np.float64] = np.sqrt(counts.max() / np.maximum(counts, 1))
    return shares


def repeats(crops: Sequence[LabelledCrop], classes: int) -> list[int]:
    """How often a crop of each class is looked at while one of the commonest is looked at once; weights do the rest."""
    return [max(1, round(share)) for share in _balance(crops, classes)]


class ClassificationTask(Task):
    """Train a compact CNN.

    Args:
        crops: training defects; their class frequencies balance the loss in `fast`.
        validation: defects to score on.
    """

    score_name = "val_accuracy"

    def __init__(
        self,
        network: CompactCNN,
        settings: ClassifierSettings,
        budget: Budget,
        crops: Sequence[LabelledCrop],
        validation: Sequence[LabelledCrop],
        classes: int,
    ) -> None:
        super().__init__(network, budget, settings.learning_rate, settings.one_cycle)
        self.settings, self.validation = settings, validation
        images = len({id(crop.image) for crop in validation})
        self.score_decides = not settings.one_cycle or images >= ENOUGH_DEFECTIVE
        weighted = settings.optimiser == "adamw"
        balance = _balance(crops, classes) / repeats(crops, classes) if weighted else np.ones(classes)
        self.register_buffer("weight", torch.tensor(balance, dtype=torch.float32))

    def loss(self, batch: Pair) -> Tensor:
        """Cross-entropy of (crops, classes), rare classes weighted up and labels smoothed evenly.

        PyTorch's `label_smoothing` applies the classes' weights to the smoothing too, which pulls everything towards
        rare classes.
        """
        crops, classes = batch
        logits = self.trained(crops.contiguous(memory_format=torch.channels_last)).float()
        share = self.settings.smoothing
        named = functional.cross_entropy(logits, classes, self.weight)  # type: ignore[arg-type]  # a buffer
        return (1 - share) * named - share * functional.log_softmax(logits, 1).mean()

    def score(self) -> float | None:
        """Share of validation defects whose class is right."""
        if not self.validation:
            return None
        right = 0
        for start in range(0, len(self.validation), VALIDATION_BATCH):
            batch = self.validation[start : start + VALIDATION_BATCH]
            crops = np.stack([planes(classifier_input(crop.pixels, crop.rectangle)) for crop in batch])
            found = self.trained(torch.from_numpy(crops).to(self.device)).argmax(1).cpu().numpy()
            right += int((found == [crop.defect_class for crop in batch]).sum())
        return right / len(self.validation)

    def optimiser(self) -> torch.optim.Optimizer:
        """SGD of the paper, or AdamW."""
        parameters = self.trained.parameters()
        if self.settings.optimiser == "sgd":
            return torch.optim.SGD(parameters, self.learning_rate, momentum=0.9, weight_decay=5e-5)
        return torch.optim.AdamW(parameters, self.learning_rate, weight_decay=5e-2)


def views_of(crops: Sequence[LabelledCrop], settings: ClassifierSettings, classes: int, seed: int) -> CropViews:
    """Random views of crops; in our recipe those of rare classes come more often."""
    often = repeats(crops, classes) if settings.optimiser == "adamw" else None
    return CropViews(crops, max(len(crops), 10 * settings.batch), seed, often)


@dataclass(frozen=True, eq=False)
class _Sizes:
    """Measures of labelled defects and of their pieces.

    Attributes:
        table: standardised features (rows, features).
        truth: class of each row.
        share: what each row counts; those of a class as much as the root of how frequent it is.
        image: number of the image that each row is of.
    """

    table: NDArray[np.float64]
    truth: NDArray[np.int64]
    share: NDArray[np.float64]
    image: NDArray[np.int64]

    def only(self, rows: NDArray[np.bool_]) -> "_Sizes":
        return _Sizes(self.table[rows], self.truth[rows], self.share[rows], self.image[rows])


def size_classes(crops: Sequence[LabelledCrop], classes: int) -> SizeClasses:
    """Fit a logistic regression on the measures of labelled defects, and of pieces of thin ones, which break in two.

    How frequent each class is, is taken out again: the compact CNN has weighed that already. And as far as the
    regression tells the classes of images that it did not learn from badly, it counts less than the CNN, down to
    nothing: of few defects it learns sizes by heart.

    Args:
        crops: to learn from.
        classes: how many there are; one without crops is hardly ever named.
    """
    rng = np.random.default_rng(0)
    groups = [(crop, (crop.region, *_pieces(crop.region, rng))) for crop in crops]
    defects = {id(image): image.label > 0 for image in {id(crop.image): crop.image for crop in crops}.values()}
    rows = [measure(region, crop.gray, defects[id(crop.image)]) for crop, regions in groups for region in regions]
    owners = [(crop, len(regions)) for crop, regions in groups for _ in regions]
    counts = np.bincount([crop.defect_class for crop in crops], minlength=classes)
    weight = np.sqrt(counts) / np.sqrt(counts).sum()  # of each class, as in the compact CNN's loss
    frequency = np.log(np.where(counts > 0, weight, 1))
    numbers = {image: number for number, image in enumerate(defects)}
    table = features(rows)
    mean, deviation = table.mean(0), table.std(0) + ROUGHEST
    sizes = _Sizes(
        standardised(table, mean, deviation),
        np.array([crop.defect_class for crop, _ in owners]),
        np.array([weight[crop.defect_class] / counts[crop.defect_class] / pieces for crop, pieces in owners]),
        np.array([numbers[id(crop.image)] for crop, _ in owners]),
    )
    penalty = SIZE_PENALTY / len(crops)
    weights, bias = _regression(sizes, classes, penalty)
    trust = _trust(sizes, frequency, penalty)
    return SizeClasses(
        mean=_shortened(mean),
        deviation=_shortened(deviation),
        weights=tuple(_shortened(trust * row) for row in weights),
        bias=_shortened(np.where(counts > 0, trust * (bias - frequency), bias)),
    )


def _regression(sizes: _Sizes, classes: int, penalty: float) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Weights (classes, features) and bias (classes,) of a logistic regression on these rows."""
    return logistic_regression(sizes.table, sizes.truth, sizes.share, classes, penalty)


def _trust(sizes: _Sizes, frequency: NDArray[np.float64], penalty: float) -> float:
    """What of the evidence of sizes holds on images that it was not learned from, 0..1: see `TRUSTS`.

    Each of `PARTS` of the images is told by the others; that of the smallest log loss is taken.
    """
    order = np.random.default_rng(0).permutation(int(sizes.image.max()) + 1)
    loss = np.zeros(len(TRUSTS))
    for part in range(PARTS):
        left_out = order[sizes.image] % PARTS == part
        rest = sizes.only(~left_out)
        told = sizes.only(left_out & np.isin(sizes.truth, rest.truth))  # of other classes, nothing was learned
        if not len(told.truth):
            continue
        weights, bias = _regression(rest, len(frequency), penalty)
        evidence = told.table @ weights.T + bias - frequency
        for index, trust in enumerate(TRUSTS):
            logits = torch.from_numpy(trust * evidence + frequency)
            each = functional.cross_entropy(logits, torch.from_numpy(told.truth), reduction="none").numpy()
            loss[index] += float((told.share * each).sum())
    return float(TRUSTS[loss.argmin()])


def _pieces(region: Region, rng: np.random.Generator) -> Iterator[Region]:
    """Of a thin region, what windows on it show; only the sizes of these are right, and where their pixels are."""
    for _ in range(PIECES if is_thin(region) else 0):
        x, y = part_of(region, rng).T
        left, top = int(x.min()), int(y.min())
        mask = np.zeros((int(y.max()) - top + 1, int(x.max()) - left + 1), np.bool_)
        mask[y - top, x - left] = True
        part = find_regions(mask)[0]
        yield replace(part, rows=part.rows + np.int32(top), columns=part.columns + np.int32(left))


def _shortened(values: NDArray[np.float64]) -> tuple[float, ...]:
    """To the digits that every run gives, whatever the processor."""
    return tuple(round(float(value), 4) for value in values)
