"""Labels that a model doubts: what it finds where nothing is labelled, misses, or names otherwise.

A model agrees with what it has learned by heart. So each picture is judged by one that has not learned from it, where
there is one: those of the folds of a training.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from math import sqrt
from pathlib import Path
from typing import Literal

import numpy as np

from casae.datasets.sample import UNCLASSED, Dataset, Sample
from casae.decoding import read_image
from casae.errors import DatasetError, ImageError
from casae.evaluation.scores import true_regions
from casae.files import write_whole
from casae.image import Image, encode, to_gray
from casae.inspection.inspector import Inspector
from casae.inspection.measurement import measure
from casae.labelled.show import drawn, sheet

SHOWN = 24  # pictures on the sheet

Kind = Literal["not labelled", "not found", "other class"]


@dataclass(frozen=True)
class Doubt:
    """A region on which model and label disagree.

    Attributes:
        kind: the model finds it and nothing is labelled; or the other way round; or both, under another name.
        labelled: class of the label; empty where nothing is labelled.
        found: class that the model gives; empty where it finds nothing.
        area_px: of the region.
        sure: how sure the model is, 0..1.
        x, y: a pixel of it.
    """

    kind: Kind
    labelled: str
    found: str
    area_px: int
    sure: float
    x: int
    y: int

    @property
    def weight(self) -> float:
        """What is looked at first weighs most: large regions of which the model is sure."""
        return self.sure * sqrt(self.area_px)


@dataclass(frozen=True)
class Doubtful:
    """A picture with doubts, the heaviest first.

    Attributes:
        name: of the sample.
        doubts: regions.
        by_heart: every model has learned from this picture, so that more may be wrong than is said.
    """

    name: str
    doubts: tuple[Doubt, ...]
    by_heart: bool


def judges_of(model: str | Path) -> list[Inspector]:
    """The models of the folds beside a model, and the model itself: `NAME.casae`, `NAME-fold-1.casae` ...

    Raises:
        BundleError: one cannot be read.
    """
    own = Path(model)
    folds = sorted(own.parent.glob(f"{own.stem}-fold-*.casae")) if own.is_file() else []
    return [Inspector(file) for file in [*folds, model]]


def review(
    part: Dataset, judges: Sequence[Inspector], done: Callable[[object], object] = lambda name: None
) -> tuple[list[Doubtful], dict[str, str]]:
    """The labelled pictures that a model doubts, the most doubtful first.

    Args:
        part: labelled pictures.
        judges: those first that are asked first; of a picture, the first one that has not learned from it.
        done: called after each picture.

    Returns:
        The pictures, and why others could not be judged, by their names.

    Raises:
        DatasetError: a model has other classes than the dataset.
    """
    for judge in judges:
        if judge.manifest.classes != part.classes:
            theirs = ", ".join(judge.manifest.classes)
            raise DatasetError(f"{part.name}: the model knows {theirs}; review with a model of its own classes")
    found, failures = [], dict[str, str]()
    for sample in part.labelled.samples:
        try:
            image = read_image(sample.image)
            judge, by_heart = _judge_of(image, judges)
            doubts = _doubts(sample, image, judge)
        except (ImageError, DatasetError) as error:
            failures[sample.name] = str(error)
        else:
            if doubts:
                found.append(Doubtful(sample.name, tuple(doubts), by_heart))
        done(sample.name)
    return sorted(found, key=lambda each: -each.doubts[0].weight), failures


def _judge_of(image: Image, judges: Sequence[Inspector]) -> tuple[Inspector, bool]:
    """The first one that has not learned from a picture; else the first one, which knows it by heart."""
    gray = to_gray(image)
    fresh = next((judge for judge in judges if not judge.learned.knows(gray)), None)
    return fresh or judges[0], fresh is None


def _doubts(sample: Sample, image: Image, inspector: Inspector) -> list[Doubt]:
    classes = inspector.manifest.classes
    label = sample.draw(image.shape, len(classes))
    probability = inspector.probability(image)
    mask, regions, _ = inspector.find(probability)
    seen = inspector.in_full_scale(image)
    gray = to_gray(seen)
    names = inspector.name_regions(seen, regions, (measure(region, gray, mask) for region in regions))
    doubts = []
    for name, sure, region, *_ in names:
        x, y = region.pixels[0].tolist()
        values = np.bincount(label[region.at], minlength=256)
        values[0] = 0
        if not values.any():
            doubts.append(Doubt("not labelled", "", name, region.area, float(probability[region.at].mean()), x, y))
            continue
        value = int(values.argmax())
        if value != UNCLASSED and classes[value - 1] != name:
            doubts.append(Doubt("other class", classes[value - 1], name, region.area, sure, x, y))
    for value, region in true_regions(label, len(classes), inspector.conditions.min_area_px):
        if not mask[region.at].any():
            x, y = region.pixels[0].tolist()
            name = "" if value == UNCLASSED else classes[value - 1]
            doubts.append(Doubt("not found", name, "", region.area, 1 - float(probability[region.at].max()), x, y))
    return sorted(doubts, key=lambda doubt: -doubt.weight)


def write_sheet(file: Path, part: Dataset, doubtful: Sequence[Doubtful], judges: Sequence[Inspector]) -> None:
    """The most doubtful pictures in pairs: as labelled, and as found.

    Raises:
        OutputError: the place cannot be written.
    """
    samples = {sample.name: sample for sample in part.samples}
    pictures = []
    for each in doubtful[:SHOWN]:
        sample = samples[each.name]
        image = read_image(sample.image)
        inspection = _judge_of(image, judges)[0].inspect(image)
        found = np.zeros(inspection.mask.shape, np.uint8)
        for defect in inspection.defects:
            found[defect.region.at] = 1 + part.classes.index(defect.nearest or defect.name)
        label = sample.draw(image.shape, len(part.classes))
        pictures += [(f"label: {each.name}", drawn(image, label)), ("found", drawn(image, found))]
    write_whole(file, encode(sheet(pictures, part.classes), ".jpg"))
