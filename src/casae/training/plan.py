"""One training: what it learns from and for how long, and what there is to say about that."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np

from casae.datasets.sample import Dataset
from casae.errors import DatasetError
from casae.inspection.regions import find_regions
from casae.labelled.defects import LabelledCrop, labelled_crops
from casae.labelled.images import LabelledImage
from casae.models.bundle import InputSize
from casae.recipes import TrainingSettings
from casae.training.budget import Budget
from casae.training.device import has_bf16
from casae.training.progress import Reporter
from casae.training.stop import Stop

JUDGED_A_MINUTE = 10.0  # megapixels of the input that are scored; a tenth of the time on the slowest machine measured
FEWEST_JUDGED = 16


@dataclass(frozen=True)
class Run:
    """One training: what it learns from and where it keeps its state."""

    settings: TrainingSettings
    part: Dataset
    held: Dataset
    images: Sequence[LabelledImage]
    validation: Sequence[LabelledImage]
    size: InputSize
    min_area_px: int
    white: float
    folder: Path
    reporter: Reporter
    stop: Stop
    device: str
    unlabelled: Sequence[Path]

    @property
    def classes(self) -> tuple[str, ...]:
        """Names of the classes."""
        return self.part.classes

    @cached_property
    def crops(self) -> Sequence[LabelledCrop]:
        """Defects that the classifier learns from."""
        return labelled_crops(self.images, len(self.classes), self.min_area_px)

    def budget(self, stage: int, images: int) -> Budget:
        """Steps or seconds of stage 1, 2 (segmenter) or 3 (classifier)."""
        settings, segmenter = self.settings, self.settings.segmenter
        if settings.minutes is not None:
            first, second, third = settings.minutes_share
            if self.unlabelled:  # most is learned once they are pseudo-labelled
                first = second = (first + second) / 2
            shares = (first, second) if len(self.classes) == 1 else (first, second, third)
            return Budget(seconds=60 * settings.minutes * shares[stage - 1] / sum(shares))
        if stage == 3:
            return Budget(steps=settings.classifier.iterations)
        epochs = segmenter.epochs_1 if stage == 1 else segmenter.epochs_2
        return Budget(steps=epochs * -(-images // segmenter.batch))


def check_classes(run: Run) -> str:
    """What there is to say about classes that nothing is learned of.

    Raises:
        DatasetError: there are several, and nothing is of any of them.
    """
    if len(run.classes) == 1:
        return ""
    present = {crop.defect_class for crop in run.crops}
    if not present:
        rule = f"no defect names its class; paint the values 1..{len(run.classes)}, or list a single class"
        raise DatasetError(f"{run.part.name}: {rule}")
    missing = ", ".join(name for index, name in enumerate(run.classes) if index not in present)
    return f". No labelled defect of class {missing} to learn from: it will hardly be recognised" if missing else ""


def describe(run: Run) -> str:
    """What is learned from and how, and what would better be otherwise."""
    regions = [region.area for image in run.images for region in find_regions(image.label > 0, 1)]
    defects = sum(area >= run.min_area_px for area in regions)
    free = sum(not image.label.any() for image in run.images)
    precision = "bf16" if has_bf16() else "f32"
    size = run.size
    at = f", images at {size.scale:.2f} of their scale" if size.scale < 1 else ""
    unlabelled = f", {len(run.unlabelled)} unlabelled" if run.unlabelled else ""
    unlabelled += run.part.strays
    covered = [np.count_nonzero(image.label) / image.label.size for image in run.images if image.label.any()]
    advice = "" if free else ". No image is free of defects: nothing will tell how many good parts are rejected"
    if not run.held.samples:
        advice = ". Nothing is held out: only other labelled images can tell how good the model is"
    if np.median(covered) > 0.5:
        advice += ". Masks show more defect than background, which is 0: are they inverted?"
    small = len(regions) - defects
    if small:
        few = "1 labelled defect is" if small == 1 else f"{small} labelled defects are"
        advice += f". {few} smaller than {run.min_area_px} px, what is reported (--min-area)"
    return (
        f"{len(run.images)} images to learn from ({free} without defect, {defects} defects), {len(run.validation)} "
        f"held out{unlabelled}; input {size.width} x {size.height} px ({size.fit}{at}), {precision}, "
        f"start weights: {run.settings.start}{advice}"
    )


def affordable(
    held: Dataset, validation: Sequence[LabelledImage], size: InputSize, settings: TrainingSettings
) -> tuple[Dataset, Sequence[LabelledImage], str]:
    """Of what is held out, as much as can be scored in little of the minutes: defective and good ones in proportion.

    Returns:
        What is left of both, and what there is to say about it.
    """
    if settings.minutes is None:
        return held, validation, ""
    each = [size.scale**2 * i.gray.size if size.fit == "tile" else size.height * size.width for i in validation]
    count = max(FEWEST_JUDGED, int(JUDGED_A_MINUTE * 1e6 * settings.minutes / max(1.0, float(np.mean(each or [1])))))
    if len(validation) <= count:
        return held, validation, ""
    order = np.random.default_rng(settings.seed).permutation(len(validation))
    drawn = sorted(order, key=lambda index: not validation[index].label.any())
    names = {validation[drawn[place]].name for place in np.linspace(0, len(drawn) - 1, count).round().astype(int)}
    chosen = [image for image in validation if image.name in names]
    said = f". {count} of the {len(validation)} held-out images judge, as many as {settings.minutes:g} minutes allow"
    return held.only(names, held.split_name), chosen, f"{said}; casae evaluate judges by all"
