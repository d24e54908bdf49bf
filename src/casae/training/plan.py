"""One training: what it learns from and for how long, and what there is to say about that."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Literal

import numpy as np

from casae.datasets.sample import Dataset
from casae.errors import DatasetError
from casae.image import brightened
from casae.inspection.grain import NOTHING, Fingerprints
from casae.inspection.regions import find_regions
from casae.labelled.colour import RGB, channels_of
from casae.labelled.defects import LabelledCrop, labelled_crops, smallest_region
from casae.labelled.duplicates import Likeness, identical, seen_in_test, some
from casae.labelled.holdout import Fold, has_own_list, hold_out
from casae.labelled.images import MEMORY_SHARE, LabelledImage, load, white_of
from casae.models.bundle import InputSize
from casae.recipes import IMAGENET, SCRATCH, TrainingSettings
from casae.training import segmentation
from casae.training.budget import Budget
from casae.training.device import UNTRIED, device_of, has_bf16
from casae.training.progress import Reporter
from casae.training.state import FOLDER
from casae.training.stop import Stop
from casae.training.unlabelled import unlabelled_images

Stage = Literal["network 1", "student", "network 2", "classifier"]
SAID = {"plan": "", "info": "Note: ", "warning": "Warning: "}  # before a note of this kind
GOES_ON: dict[Stage, float] = {"network 1": 0.5, "network 2": 0.5}
TAUGHT: dict[Stage, float] = {"network 1": 0.4, "student": 0.48, "network 2": 0.12}
"""Shares of the segmenter's time where unlabelled images are at hand: without a student, and with one."""
FOR_A_STUDENT = 20.0  # minutes from which on a student begins anew; see docs/results/unlabelled.md
JUDGED_A_MINUTE = 10.0  # megapixels of the input that are scored; a tenth of the time on the slowest machine measured
FEWEST_JUDGED = 16


@dataclass(frozen=True)
class Note:
    """What a training will do, or what it found; it is printed, warnings stand in the card and on the page too.

    Attributes:
        kind: what is planned, to be known, or to be mended.
        text: a sentence.
        files: names of the images that it is about.
    """

    kind: Literal["plan", "info", "warning"]
    text: str
    files: tuple[str, ...] = ()


@dataclass(frozen=True)
class Run:
    """One training: what it learns from and where it keeps its state.

    Attributes:
        seen: names of pictures that the start weights have learned.
    """

    settings: TrainingSettings
    part: Dataset
    held: Dataset
    images: Sequence[LabelledImage]
    validation: Sequence[LabelledImage]
    size: InputSize
    min_area_px: int
    white: float | None
    folder: Path
    reporter: Reporter
    stop: Stop
    device: str
    unlabelled: Sequence[Path]
    seen: frozenset[str] = frozenset()

    @property
    def classes(self) -> tuple[str, ...]:
        """Names of the classes."""
        return self.part.classes

    @cached_property
    def crops(self) -> Sequence[LabelledCrop]:
        """Defects that the classifier learns from."""
        return labelled_crops(self.images, len(self.classes), self.min_area_px)

    @cached_property
    def areas(self) -> list[int]:
        """Of the labelled regions, px."""
        return [region.area for image in self.images for region in find_regions(image.label > 0, 1)]

    @property
    def has_student(self) -> bool:
        """Whether a student begins anew with the unlabelled images; in a short training network 1 goes on itself."""
        return bool(self.unlabelled) and (self.settings.minutes is None or self.settings.minutes >= FOR_A_STUDENT)

    @property
    def shares(self) -> dict[Stage, float]:
        """Parts of the minutes by stage, in their order; they add up to 1."""
        first, second, third = self.settings.minutes_share
        shares: dict[Stage, float] = {"network 1": first, "network 2": second}
        if self.unlabelled:
            parts = TAUGHT if self.has_student else GOES_ON
            shares = {stage: (first + second) * share for stage, share in parts.items()}
        if len(self.classes) > 1:
            shares["classifier"] = third
        return {stage: share / sum(shares.values()) for stage, share in shares.items()}

    def budget(self, stage: Stage, images: int) -> Budget:
        """Steps or seconds of a stage that has so many views an epoch."""
        settings, segmenter = self.settings, self.settings.segmenter
        if settings.minutes is not None:
            return Budget(seconds=60 * settings.minutes * self.shares[stage])
        if stage == "classifier":
            return Budget(steps=settings.classifier.iterations)
        epochs = segmenter.epochs_2 if stage == "network 2" else segmenter.epochs_1
        return Budget(steps=epochs * -(-images // segmenter.batch))


def prepare(
    dataset: Dataset,
    folder: Path,
    settings: TrainingSettings,
    *,
    split: str = "train",
    fold: Fold | None = None,
    unlabelled: Path | None = None,
    reporter: Reporter,
    stop: Stop,
    device: str,
    known: Fingerprints = NOTHING,
) -> tuple[Run, list[Note]]:
    """What is learned from and held out, decoded and checked, and what there is to say about it.

    Args:
        dataset: all of it; `split` chooses the part to learn from.
        folder: of the training.
        settings: of the training.
        split: name of a split list, or "all".
        fold: hold out this part of the split.
        unlabelled: folder of images to learn from as well.
        reporter: shows how far it is.
        stop: asks it to end.
        device: that it computes on.
        known: pictures that the start weights have learned.

    Raises:
        DatasetError: too few labelled images, the same picture on both sides, or a label that does not fit.
        ImageError: an image cannot be read.
    """
    channels, colour_why = channels_of(dataset.split(split), settings.segmenter.channels)
    part, held, images, validation, seen, notes = _divided(dataset, split, settings, fold, known, channels)
    if not any(image.label.any() for image in images):
        raise DatasetError(f"{dataset.name}: no labelled defect among {len(images)} images; label some, see masks/")
    unmasked = sum(not sample.labelled for sample in dataset.split(split).samples)
    if unmasked and not unlabelled:
        rule = f"{unmasked} images without a mask are not learned from; move those without defects to good/"
        notes.append(Note("warning", rule))
    again = sorted(seen & {image.name for image in validation})
    if again:
        rule = f"Scores will be too good: the start weights have learned {len(again)} held-out images"
        notes.append(Note("warning", rule, tuple(again)))
    white = white_of([*images, *validation])
    images = [replace(image, pixels=brightened(image.pixels, white or 1.0)) for image in images]
    validation = [replace(image, pixels=brightened(image.pixels, white or 1.0)) for image in validation]
    size, why = segmentation.input_of(images, settings.segmenter, channels)
    if fold is None:  # a fold's images are judged by no other
        held, validation, left = affordable(held, validation, size, settings)
        notes += left
    more = unlabelled_images(unlabelled, dataset, split, settings.seed) if unlabelled else []
    if unlabelled and not more:
        raise DatasetError(f"--unlabelled {unlabelled}: no image besides the labelled and test ones; add some")
    smallest = settings.min_area_px or smallest_region([*images, *validation])
    run = Run(
        settings, part, held, images, validation, size, smallest, white, folder, reporter, stop, device, more, seen
    )
    found = [Note("info", note) for note in dataset.notes] + [Note("warning", warning) for warning in dataset.warnings]
    return run, [*planned(run, why, colour_why), *look_over(run), *found, *check_classes(run), *notes]


def _divided(
    dataset: Dataset,
    split: str,
    settings: TrainingSettings,
    fold: Fold | None,
    known: Fingerprints,
    channels: int,
) -> tuple[Dataset, Dataset, list[LabelledImage], list[LabelledImage], frozenset[str], list[Note]]:
    """What is learned from and what is held out, and their images; copies are grouped first, then it is drawn once.

    The names are those of pictures that the start weights have learned.
    """
    own_list = fold is None and has_own_list(dataset, split)
    wanted = dataset.split(split).labelled
    if own_list:
        names = {sample.name for part in (wanted, dataset.split("val").labelled) for sample in part.samples}
        wanted = dataset.only(names, split)
    loaded = load(wanted, all_good=False, channels=channels)
    notes = []
    missing = len(wanted.samples) - len(loaded)
    if missing:
        rule = f"{missing} good images are left out, because the others fill {MEMORY_SHARE:.0%} of the memory"
        notes.append(Note("warning", rule))
    likeness = Likeness(loaded)
    groups = {} if own_list else _copies(dataset, loaded, likeness)
    if groups:
        count = len(set(groups.values()))
        rule = f"{len(groups)} pictures are copies of each other, {count} different ones; copies stay on one side"
        notes.append(Note("info", rule, tuple(sorted(groups))))
    by_name = {image.name: image for image in loaded}
    seen = frozenset(image.name for image in loaded if known.knows(image.gray))
    part, held = hold_out(dataset, split, settings.hold_out_share, settings.seed, fold, seen, groups, by_name.keys())
    images = [by_name[sample.name] for sample in part.samples]
    validation = [by_name[sample.name] for sample in held.samples]
    notes += _across(dataset, images, validation, likeness)
    if fold is None:
        notes += [Note("warning", said) for said in seen_in_test(dataset, split, images, likeness, known)]
    return part, held, images, validation, seen, notes


def _copies(dataset: Dataset, loaded: Sequence[LabelledImage], likeness: Likeness) -> dict[str, str]:
    """Image -> group of copies, of those that have any among the others; known ones are not searched for."""
    if not dataset.copies:
        return likeness.groups(loaded)
    known = {image.name: dataset.copies[image.name] for image in loaded if image.name in dataset.copies}
    often = Counter(known.values())
    return {name: group for name, group in known.items() if often[group] > 1}


def _across(
    dataset: Dataset, images: Sequence[LabelledImage], validation: Sequence[LabelledImage], likeness: Likeness
) -> list[Note]:
    """What there is to say about pictures that are learned from and held out, as lists of one's own may have them.

    Raises:
        DatasetError: one is on both sides pixel for pixel.
    """
    learned = {image.name: image for image in images}
    copied = []
    for held in validation:
        twins = [learned[name] for name in likeness.copies_of(held.gray, held.name) if name in learned]
        same = next((twin for twin in twins if identical(twin.gray, held.gray)), None)
        if same:
            rule = "the same picture is learned from and held out; keep one, 'casae data check' names all"
            raise DatasetError(f"{dataset.name}: {held.name} = {same.name}: {rule}")
        if twins:
            copied.append(held.name)
    if not copied:
        return []
    rule = f"Scores may be too good: held out are copies of learned pictures ({some(copied)})"
    return [Note("warning", rule, tuple(copied))]


def check_classes(run: Run) -> list[Note]:
    """What there is to say about classes that nothing is learned of.

    Raises:
        DatasetError: there are several, and nothing is of any of them.
    """
    if len(run.classes) == 1:
        return []
    present = {crop.defect_class for crop in run.crops}
    if not present:
        rule = f"no defect names its class; paint the values 1..{len(run.classes)}, or list a single class"
        raise DatasetError(f"{run.part.name}: {rule}")
    missing = ", ".join(name for index, name in enumerate(run.classes) if index not in present)
    if not missing:
        return []
    return [Note("warning", f"No labelled defect of class {missing} to learn from: it will hardly be recognised")]


def planned(run: Run, why: str, colour_why: str) -> list[Note]:
    """What the training will do and why, in five lines; `why` is the reason for its input, `colour_why` for colour."""
    free = sum(not image.label.any() for image in run.images)
    defects = sum(area >= run.min_area_px for area in run.areas)
    good = f", {free} pictures without" if free else ""
    more = f", and from {len(run.unlabelled)} unlabelled ones" if run.unlabelled else ""
    judged = f"{len(run.validation)} more judge it" if run.validation else "nothing judges it"
    size, device = run.size, device_of(run.device)
    precision = "bf16" if has_bf16(device) else "f32"
    pictures = f"tiles of {size.width} x {size.height} px" if size.fit == "tile" else "whole pictures"
    scaled = f", pictures at {size.scale:.2f} of their scale" if size.scale < 1 else ""
    if size.fit != "tile":
        scaled = f", brought to {size.width} x {size.height} px"
    known = {IMAGENET: "weights that know ImageNet", SCRATCH: "nothing known"}
    start = known.get(run.settings.start, run.settings.start)
    model = run.folder.name.removesuffix(FOLDER)
    learns = f"Learns from {len(run.images)} pictures ({defects} defects{good}){more}; {judged}{run.part.strays}"
    page = f", and {model}.html, which shows how good it is" if run.validation else ""
    tones = f" in {'colour' if size.channels == RGB else 'gray'} ({colour_why})" if colour_why else ""
    lines = (
        learns,
        f"Looks at {pictures}{tones}{scaled}{f': {why}' if why else ''}",
        f"Begins with {start}; computes in {precision} on {device.type}",
        f"Takes {_how_long(run)}; Ctrl-C ends it",
        f"Writes {model}.casae{page}",
    )
    return [Note("plan", line) for line in lines]


def _how_long(run: Run) -> str:
    """Minutes or epochs of each stage."""
    settings, several = run.settings, len(run.classes) > 1
    if settings.minutes is None:
        segmenter = settings.segmenter
        steps = f", {settings.classifier.iterations} steps of the classifier" if several else ""
        student = f", {segmenter.epochs_1} of its student" if run.has_student else ""
        return f"{segmenter.epochs_1} epochs of network 1{student}, {segmenter.epochs_2} of network 2{steps}"
    parts = (f"{settings.minutes * share:.1f} {stage}" for stage, share in run.shares.items())
    return f"{settings.minutes:g} minute{'s' * (settings.minutes != 1)}: {', '.join(parts)}"


def look_over(run: Run) -> list[Note]:
    """What would better be otherwise in what is learned from."""
    notes = []
    if device_of(run.device).type != "cpu":
        notes.append(Note("warning", UNTRIED))
    if not run.held.samples:
        notes.append(Note("warning", "Nothing is held out: only other labelled images can tell how good the model is"))
    elif all(image.label.any() for image in run.images):
        notes.append(Note("info", "No picture is free of defects: nothing will tell how many good parts are rejected"))
    covered = [np.count_nonzero(image.label) / image.label.size for image in run.images if image.label.any()]
    if np.median(covered) > 0.5:
        notes.append(Note("warning", "Masks show more defect than background, which is 0: are they inverted?"))
    small = sum(area < run.min_area_px for area in run.areas)
    if small:
        few = "1 labelled defect is" if small == 1 else f"{small} labelled defects are"
        notes.append(Note("info", f"{few} smaller than {run.min_area_px} px, what is reported (--min-area)"))
    return notes


def affordable(
    held: Dataset, validation: list[LabelledImage], size: InputSize, settings: TrainingSettings
) -> tuple[Dataset, list[LabelledImage], list[Note]]:
    """Of what is held out, as much as can be scored in little of the minutes: defective and good ones in proportion.

    Returns:
        What is left of both, and what there is to say about it.
    """
    if settings.minutes is None:
        return held, validation, []
    each = [size.scale**2 * i.gray.size if size.fit == "tile" else size.height * size.width for i in validation]
    count = max(FEWEST_JUDGED, int(JUDGED_A_MINUTE * 1e6 * settings.minutes / max(1.0, float(np.mean(each or [1])))))
    if len(validation) <= count:
        return held, validation, []
    order = np.random.default_rng(settings.seed).permutation(len(validation))
    drawn = sorted(order, key=lambda index: not validation[index].label.any())
    names = {validation[drawn[place]].name for place in np.linspace(0, len(drawn) - 1, count).round().astype(int)}
    chosen = [image for image in validation if image.name in names]
    rule = f"{count} of the {len(validation)} held-out images judge, as many as {settings.minutes:g} minutes allow"
    return held.only(names, held.split_name), chosen, [Note("info", f"{rule}; casae evaluate judges by all")]
