"""What is in a dataset, in numbers, and everything that is wrong with it, by file."""

import hashlib
from collections import Counter, defaultdict
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from casae.datasets.sample import UNCLASSED, Dataset, Label, Sample, problem_of
from casae.decoding import decode_image, orientation_of, read_file
from casae.errors import CasaeError
from casae.files import SUFFIXES
from casae.image import Image
from casae.labelled.colour import COLOUR, is_clearer_in_colour

RIM_PX, RIM_SHARE = 5, 0.8  # width of a rim at most; of the outline
OTHERS = frozenset({"labels.txt"})  # that other tools keep beside pictures: names of classes


@dataclass
class Findings:
    """The result of `check`.

    Attributes:
        images: all of them.
        unlabelled: without a mask file.
        defect_free: with an all-zero mask, or free of defects by the dataset's layout.
        sizes: (width, height) -> images.
        class_images: label value -> images that show it; 255 is a defect without class.
        class_pixels: label value -> pixels, 0 included.
        defective: with a labelled defect.
        flooded: of these, images in which more than half of the pixels are defective.
        second: images with a defect of class 2 or more.
        bordered: images in which value 255 runs as a thin line around what has a class.
        turned: labelled images whose files say that they are to be turned before they are shown.
        rimmed: of these, images in which values of smaller classes run around such defects.
        coloured: colour images with a labelled defect.
        hidden: of these, images whose defects one colour shows far better than gray.
        splits: list -> names in it.
        problems: (file, what is wrong and how to mend it).
    """

    images: int = 0
    unlabelled: int = 0
    defect_free: int = 0
    sizes: Counter[tuple[int, int]] = field(default_factory=Counter)
    class_images: Counter[int] = field(default_factory=Counter)
    class_pixels: Counter[int] = field(default_factory=Counter)
    defective: int = 0
    flooded: int = 0
    second: int = 0
    rimmed: int = 0
    bordered: int = 0
    turned: int = 0
    coloured: int = 0
    hidden: int = 0
    splits: dict[str, int] = field(default_factory=dict)
    problems: list[tuple[Path, str]] = field(default_factory=list)


def check(dataset: Dataset, done: Callable[[Sample], object] = lambda sample: None) -> Findings:
    """Read every file of a dataset; nothing raises, everything is reported."""
    findings = Findings(
        images=len(dataset.samples), splits={name: len(names) for name, names in dataset.splits.items()}
    )
    findings.problems += [(mask, "no image of this name; name it like its image") for mask in dataset.orphans]
    findings.problems += [(Path("dataset.toml"), warning) for warning in dataset.warnings]
    pictures: dict[str, list[Sample]] = defaultdict(list)
    for sample in dataset.samples:
        digest = _check_sample(sample, len(dataset.classes), findings)
        if digest:
            pictures[digest].append(sample)
        done(sample)
    _check_labels(dataset, findings)
    _check_calibration(dataset, findings)
    _check_others(dataset, findings)
    _check_splits(dataset, findings)
    _check_duplicates(dataset, pictures, findings)
    return findings


def _check_calibration(dataset: Dataset, findings: Findings) -> None:
    known = dataset.calibration
    if known is None or known.width_px is None:
        return
    others = {size: count for size, count in findings.sizes.items() if size != (known.width_px, known.height_px)}
    if others:
        (width, height), count = max(others.items(), key=lambda each: each[1])
        rule = f"{count} pictures are {width} x {height} px, its calibration is of {known.width_px} x {known.height_px}"
        findings.problems.append((Path("dataset.toml"), f"{rule}; calibrate with pictures of this size"))


def _check_sample(sample: Sample, classes: int, findings: Findings) -> str | None:
    """Look at one sample; the hash of its pixels, None where it cannot be read."""
    try:
        data = read_file(sample.image)
        image = decode_image(data, str(sample.image))
    except CasaeError as error:
        findings.problems.append((sample.image, _without_name(error, sample.image)))
        return None
    findings.turned += sample.labelled and orientation_of(data) > 1
    findings.sizes[image.shape[1], image.shape[0]] += 1
    if sample.known_good:
        findings.defect_free += 1
    elif sample.label is not None:
        _check_label(sample.label, sample.label_file, image, classes, findings)
    else:
        findings.unlabelled += 1
    return hashlib.sha256(f"{image.shape}{image.dtype}".encode() + np.ascontiguousarray(image).tobytes()).hexdigest()


def _check_label(said: Label, mask: Path, image: Image, classes: int, findings: Findings) -> None:
    try:
        label = said.draw(image.shape, classes)
    except CasaeError as error:
        findings.problems.append((mask, _without_name(error, mask)))
        return
    problem = problem_of(label, image.shape, classes)
    if problem:
        findings.problems.append((mask, problem))
    if label.shape != image.shape[:2]:
        return
    counts = np.bincount(label.ravel(), minlength=256)
    present = [int(value) for value in np.flatnonzero(counts)]
    findings.class_pixels.update({value: int(counts[value]) for value in present})
    findings.class_images.update(value for value in present if value)
    findings.defect_free += present == [0]
    findings.defective += present != [0]
    findings.flooded += 2 * int(counts[0]) < label.size
    findings.bordered += _has_border(label, classes)
    if present != [0] and image.ndim == COLOUR:
        findings.coloured += 1
        findings.hidden += is_clearer_in_colour(image, label)
    if any(1 < value <= classes for value in present):
        findings.second += 1
        findings.rimmed += _has_rims(label, max(value for value in present if value <= classes))


def _has_border(label: NDArray[np.uint8], classes: int) -> bool:
    """Whether defects without class are a thin line, everywhere beside one with a class: a border to be ignored."""
    unclassed = (label == UNCLASSED).view(np.uint8)
    classed = ((label > 0) & (label <= classes)).view(np.uint8)
    if classes == UNCLASSED or not unclassed.any() or not classed.any():
        return False
    thick = cv2.erode(unclassed, np.ones((RIM_PX, RIM_PX), np.uint8))
    near = cv2.dilate(classed, np.ones((2 * RIM_PX + 1, 2 * RIM_PX + 1), np.uint8))
    return not thick.any() and float(near[unclassed > 0].mean()) > RIM_SHARE


def _has_rims(label: NDArray[np.uint8], value: int) -> bool:
    """Whether defects of a class touch smaller values, in a thin rim, and hardly anywhere background, as in a mask that
    was resized by mixing class numbers.
    """
    inside = (label == value).astype(np.uint8)
    touching = label[(cv2.dilate(inside, np.ones((3, 3), np.uint8)) > inside)]
    smaller = ((label > 0) & (label < value)).astype(np.uint8)
    thick = cv2.erode(smaller, np.ones((RIM_PX, RIM_PX), np.uint8))
    near = cv2.dilate(inside, np.ones((2 * RIM_PX + 1, 2 * RIM_PX + 1), np.uint8))
    mixed = (touching > 0) & (touching < value)
    return bool(touching.size and mixed.mean() > RIM_SHARE and not (thick & near).any())


def _check_labels(dataset: Dataset, findings: Findings) -> None:
    """What is wrong with the masks as a whole."""
    masks, several = Path("masks"), len(dataset.classes) > 1
    if not findings.class_images:
        findings.problems.append((masks, "no defect is labelled; masks lie there, named like their images"))
    elif several and set(findings.class_images) == {UNCLASSED}:
        rule = f"no defect names its class; paint the values 1..{len(dataset.classes)}, or list a single class"
        findings.problems.append((masks, rule))
    if 2 * findings.flooded > findings.defective:
        findings.problems.append((masks, "most show more defect than background, which is 0; are they inverted?"))
    if 2 * findings.bordered > findings.defective:
        rule = "255 runs around defects as a border and counts as a defect without class; say ignore = [255]"
        findings.problems.append((Path("dataset.toml"), rule))
    if findings.turned:
        rule = f"{findings.turned} labelled pictures carry an EXIF orientation and are turned; their masks may not be"
        findings.problems.append((Path("images"), f"{rule}. Save both upright"))
    if 2 * findings.rimmed > findings.second:
        rule = "smaller values run around defects; were they resized? Resize class numbers by nearest neighbour"
        findings.problems.append((masks, rule))


def _check_others(dataset: Dataset, findings: Findings) -> None:
    """Files beside the images and masks that are neither, such as masks of a type that is not read."""
    labels = [sample.label.files for sample in dataset.samples if sample.label]
    known = {sample.image for sample in dataset.samples} | {file for each in labels for file in each}
    for folder in sorted({file.parent for file in known if file.suffix.lower() in SUFFIXES}):
        others = Counter(
            file.suffix.lower() or file.name
            for file in folder.iterdir()
            if file not in known
            and file.name not in OTHERS
            and not file.name.startswith(".")
            and file.suffix.lower() not in SUFFIXES
            and file.is_file()
        )
        if others:
            kinds = ", ".join(f"{count} of type {kind}" for kind, count in sorted(others.items()))
            findings.problems.append(
                (folder, f"holds files that are not read, {kinds}; save pictures and masks as PNG")
            )


def _check_splits(dataset: Dataset, findings: Findings) -> None:
    names = {sample.name for sample in dataset.samples}
    listed = set().union(*dataset.splits.values())
    idle = sorted(sample.name for sample in dataset.samples if sample.labelled and sample.name not in listed)
    if "train" in dataset.splits and not dataset.train_is_rest and idle:
        rule = f"{len(idle)} labelled images are in no list, so nothing learns from them, such as '{idle[0]}'"
        findings.problems.append((Path("splits/train.txt"), f"{rule}; add them, or delete the list"))
    for split, wanted in sorted(dataset.splits.items()):
        for name in sorted(set(wanted) - names):
            findings.problems.append((Path(f"splits/{split}.txt"), f"names '{name}', but there is no such image"))
        for name, count in sorted(Counter(wanted).items()):
            if count > 1:
                findings.problems.append((Path(f"splits/{split}.txt"), f"names '{name}' {count} times; once is enough"))


def _check_duplicates(dataset: Dataset, pictures: dict[str, list[Sample]], findings: Findings) -> None:
    """Equal pictures are wasted labels within a split and a lie between what is learned and what is judged."""
    held_out = [split for split in ("val", "test") if split in dataset.splits]
    for split in held_out:
        others = {name: set(names) for name, names in dataset.splits.items() if name not in ("val", "test")}
        others |= {name: set(dataset.splits[name]) for name in held_out if name < split}
        judged = set(dataset.splits[split])
        for other, learned in sorted(others.items()):
            for name in sorted(judged & learned):
                findings.problems.append(
                    (Path(f"splits/{split}.txt"), f"'{name}' is in '{other}', too; scores would be too good")
                )
    membership = defaultdict(set)
    for split, names in dataset.splits.items():
        for name in names:
            membership[name].add(split)
    for samples in pictures.values():
        for twin in samples[1:]:
            first = samples[0]
            across = membership[first.name] ^ membership[twin.name]
            place = f" across splits {', '.join(sorted(across))}" if across else ""
            findings.problems.append((twin.image, f"same picture as {first.image.name}{place}; keep one"))


def _without_name(error: CasaeError, file: Path) -> str:
    return str(error).removeprefix(f"{file}: ")
