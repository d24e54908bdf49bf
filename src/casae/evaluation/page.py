"""The page that shows why a trained model can be trusted, or not: one self-contained HTML file beside the bundle."""

import base64
import csv
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from casae.config import CORE_GS, DEFAULT_GS
from casae.datasets.sample import Dataset, Sample
from casae.decoding import read_image
from casae.errors import ImageError
from casae.evaluation.charts import Points, line_chart
from casae.evaluation.looks import Looking
from casae.evaluation.scores import Evaluation
from casae.evaluation.sheet import draw_sheet
from casae.evaluation.thresholds import Cost, sensitivity
from casae.evaluation.uses import Use, at_most, uses_of
from casae.files import write_whole
from casae.image import encode
from casae.inspection.inspector import Inspector
from casae.inspection.overlay import scaled, to_rgb
from casae.inspection.regions import Region, find_regions
from casae.metrics import Interval, proportion
from casae.recipes import ENOUGH_DEFECTIVE
from casae.statistics.detection import in_words

ASKED, SHOWN = 200, 12  # unlabelled images that are looked at, and named
LONGEST = 60.0  # seconds of looking
MEANING = {  # of scores, as in docs/reference/scores.md; what is usual was learned from the held-out images too
    "iou": "overlap of found and labelled pixels; 1 is perfect",
    "mean_image_iou": "the same image by image, averaged",
    "precision": "share of the found pixels that are labelled",
    "recall": "share of the labelled pixels that are found",
    "f1": "one number for both",
    "region_recall": "share of the labelled defects that a finding overlaps",
    "false_regions_per_image": "findings where nothing is labelled; 0 is best",
    "image_ap": "how well defective images are ranked before good ones; 1 is perfect",
    "escaped_images": "defective images in which nothing is found; 0 is best",
    "rejected_good_images": "good images in which something is found; 0 is best",
    "accuracy_true_crops": "defects whose class is right, cut out by their labels",
    "accuracy_found_regions": "the same, as casae found them",
}
STAGES = {"network-1": "network 1", "student": "student", "network-2": "both networks", "classifier": "classifier"}
FAINTEST = 0.1  # P(defect) from which on a spot counts
THUMBNAIL, DOUBTFUL = 240, (255, 210, 0)  # px of its longer side; RGB of its doubtful spots


@dataclass(frozen=True)
class Training:
    """What the page shows.

    Attributes:
        inspector: of the finished bundle.
        validation: the held-out images.
        result: the scores on them.
        costs: of all thresholds on them, or on the images of all folds.
        chosen: the cost at the bundle's thresholds, and why those.
        folder: of the training's logs.
        minutes: that the networks learned.
        folds: mean and spread over folds of each score, by their titles, where there were folds.
        warnings: of the training.
        known: how many of the held-out images its start weights had learned.
        looks: what more looks at each picture bring, one first; nothing where that was not tried.
        looks_why: how many looks it takes, and why.
        always_by_score: whether the held-out images chose the weights, however few they are.
    """

    inspector: Inspector
    validation: Dataset
    result: Evaluation
    costs: Sequence[Cost]
    chosen: Cost
    why: str
    folder: Path
    minutes: float
    folds: Mapping[str, Mapping[str, float | None]] = field(default_factory=dict)
    warnings: Sequence[str] = ()
    known: int = 0
    looks: Sequence[Looking] = ()
    looks_why: str = ""
    always_by_score: bool = False

    @property
    def chosen_by_them(self) -> str:
        """What the held-out images chose that they judge now, in words; empty if nothing."""
        few = sum(image.defective for image in self.result.images) < ENOUGH_DEFECTIVE
        chosen = {"weights": self.always_by_score or not few, "thresholds": not (self.usual or self.folds)}
        return " and ".join(name for name, by_them in chosen.items() if by_them)

    @property
    def usual(self) -> bool:
        """Whether the thresholds are those of the preset, which no picture chose."""
        core = DEFAULT_GS if self.inspector.manifest.training.preset == "paper" else CORE_GS
        return (self.chosen.gs, self.chosen.core_gs) == (DEFAULT_GS, core)

    @property
    def escaped(self) -> Interval:
        """Bad parts in which nothing is found, of all folds where there were any."""
        return proportion(self.chosen.passed, self.chosen.defective)

    @property
    def rejected(self) -> Interval:
        """Good parts in which something is found, of all folds where there were any."""
        return proportion(self.chosen.rejected, self.chosen.good)

    @property
    def uses(self) -> list[Use]:
        """What the model was shown to be good enough for."""
        chosen = self.chosen
        pooled = {
            "iou": Interval(chosen.pixels.iou if chosen.defective else None),
            "region_recall": proportion(chosen.touched, chosen.regions),
            "false_regions_per_image": Interval(chosen.false_regions / chosen.images),
        }
        classes = len(self.inspector.manifest.classes)
        return uses_of(self.result.scores() | pooled, self.escaped, self.rejected, classes)


@dataclass(frozen=True)
class Doubt:
    """A picture that the model is unsure of, or wrong about.

    Attributes:
        name: of the picture.
        spots: the doubt of its spots, added up.
        thumbnail: (h, w, 3) uint8 RGB, the spots outlined.
    """

    name: str
    spots: float
    thumbnail: NDArray[np.uint8]


def write_page(file: Path, training: Training, unlabelled: Sequence[Sample]) -> None:
    """Write the page.

    Raises:
        OutputError: the file cannot be written.
    """
    import jinja2

    environment = jinja2.Environment(loader=jinja2.PackageLoader("casae.evaluation"), autoescape=True)
    environment.filters["jpeg"] = lambda picture: base64.b64encode(encode(picture, ".jpg")).decode()
    sheet = draw_sheet(training.result, training.inspector, training.validation)
    doubtful, asked = most_doubtful(training.inspector, unlabelled)
    html = environment.get_template("training.html.j2").render(
        manifest=training.inspector.manifest,
        training=training,
        scores={name: score for name, score in training.result.scores().items() if name in MEANING},
        meaning=MEANING,
        curves={title: learning_curves(training.folder / name) for name, title in STAGES.items()},
        threshold=threshold_chart(sensitivity(training.costs, training.chosen.gs), training.chosen.core_gs),
        sizes=training.result.recall_by_size(),
        detection=in_words(training.result.detection()),
        confusion=training.result.confusion().tolist(),
        sheet=sheet,
        asked=asked,
        doubtful=doubtful,
        rejected=rejected_good(training.inspector, training.validation, training.result),
        at_most=at_most,
    )
    write_whole(file, html)


def learning_curves(folder: Path) -> list[str]:
    """Charts of a stage's `metrics.csv`, and of what it was before interruptions: the loss and each score, which have
    little in common but the epochs.
    """
    rows: list[dict[str, str]] = []
    for piece in folder.glob("metrics*.csv"):
        with piece.open(encoding="utf-8") as file:
            rows += csv.DictReader(file)
    charts = []
    for column, title in (("loss", "loss"), ("val_iou", "held-out IoU"), ("val_accuracy", "held-out accuracy")):
        points = [(int(row["epoch"]) + 1.0, float(row[column])) for row in rows if row.get(column)]
        if points:
            lines: dict[str, Points] = {title: sorted(points)}
            charts.append(line_chart(lines, "epoch"))
    return charts


def threshold_chart(costs: Sequence[Cost], core_gs: float) -> str:
    """Escapes and false rejects from the surest findings to all, see `sensitivity`."""
    lines = {
        "defects that escape": [(c.core_gs, c.escaped / c.regions) for c in costs if c.regions],
        "1 - F1 of pixels": [(c.core_gs, 1 - c.pixels.f1) for c in costs if c.regions],
        "false regions an image, cut at 1": [(c.core_gs, c.false_regions / c.images) for c in costs],
        "good images rejected": [(c.core_gs, c.rejected / c.good) for c in costs if c.good],
    }
    return line_chart({name: line for name, line in lines.items() if line}, "core Gs", core_gs, top=1.0)


def most_doubtful(inspector: Inspector, samples: Sequence[Sample]) -> tuple[list[Doubt], int]:
    """The unlabelled images whose labels would teach most, most doubtful first; and how many were looked at.

    Of very many, or of large ones, as many are looked at as a minute allows, drawn from all of them.

    Each spot of P(defect) >= `FAINTEST` adds its doubt, 1 - |2 P - 1| as in uncertainty sampling (Lewis and Gale 1994)
    with P of its surest pixel: the outline of a sure defect is no doubt.
    """
    doubts, began = [], time.monotonic()
    for sample in (samples[index] for index in np.random.default_rng(0).permutation(len(samples))[:ASKED]):
        if time.monotonic() - began > LONGEST:
            break
        try:
            image = read_image(sample.image)
            probability = inspector.probability(image)
        except ImageError:
            continue
        spots = find_regions(probability >= FAINTEST, inspector.conditions.min_area_px)
        surest = [float(probability[spot.at].max()) for spot in spots]
        doubt = sum(1 - abs(2 * value - 1) for value in surest)
        doubts.append(Doubt(sample.name, doubt, _thumbnail(to_rgb(inspector.in_full_scale(image)), spots)))
    return sorted(doubts, key=lambda each: -each.spots)[:SHOWN], len(doubts)


def rejected_good(inspector: Inspector, part: Dataset, result: Evaluation) -> list[Doubt]:
    """Good pictures of a part in which something is found, the surest findings first, with the sum of those."""
    samples = {sample.name: sample for sample in part.samples}
    found = [score for score in result.images if not score.defective and score.found_regions]
    alarms = []
    for score in sorted(found, key=lambda score: -score.confidence)[:SHOWN]:
        image = read_image(samples[score.name].image)
        probability = inspector.probability(image)
        regions = inspector.find(probability).regions
        sure = sum(float(probability[region.at].max()) for region in regions)
        alarms.append(Doubt(score.name, sure, _thumbnail(to_rgb(inspector.in_full_scale(image)), regions)))
    return alarms


def _thumbnail(picture: NDArray[np.uint8], spots: Sequence[Region]) -> NDArray[np.uint8]:
    """The picture in small, its spots framed."""
    scale = min(1.0, THUMBNAIL / max(picture.shape[:2]))
    small = scaled(picture, scale, cv2.INTER_AREA)
    for spot in spots:
        corners = (spot.rectangle.grown(2 / scale).corners * scale).round().astype(np.int32)
        cv2.polylines(small, [corners], True, DOUBTFUL, 1, cv2.LINE_AA)
    return small
