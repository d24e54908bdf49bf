"""From one format of labels to another: read, write, read again, and say what was lost."""

import json
import shutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath

import cv2
import numpy as np
from numpy.typing import NDArray
from pydantic import ValidationError

from casae.config import first_problem
from casae.datasets.exported import ShapesLabel
from casae.datasets.folder import DatasetSettings
from casae.datasets.names import as_listed
from casae.datasets.registry import open_dataset
from casae.datasets.sample import UNCLASSED, Dataset, KnownGood, Sample
from casae.decoding import orientation_of, read_file, size_of
from casae.decoding.declared import upright
from casae.errors import DatasetError, ImageError, OutputError, UsageError
from casae.files import write_whole
from casae.image import encode
from casae.labels.formats import FORMATS, UNNAMED, WRITTEN
from casae.labels.labelset import LabelSet, Picture
from casae.labels.shapes import Shape

FOLDER = "folder"
NO_LICENCE = "not stated"
TARGETS = (FOLDER, *WRITTEN)


@dataclass(frozen=True)
class Conversion:
    """What `convert` did.

    Attributes:
        pictures: written, with their labels.
        shapes: regions on them.
        differing: label pixels that are others when the result is read again.
        lost: what the new format cannot hold, in words.
        failures: pictures that could not be read and were left out, or are not found again, and why.
    """

    pictures: int
    shapes: int
    differing: int
    lost: tuple[str, ...]
    failures: tuple[str, ...] = ()


def convert(
    source: str | Dataset, target: str, lossy: bool = False, done: Callable[[object], object] = lambda name: None
) -> Conversion:
    """Write a dataset in another format, its pictures too, and read it again to compare.

    Args:
        source: `READER:PATH`, or what `open_dataset` gives.
        target: `FORMAT:FOLDER`, one of `TARGETS`; the folder is new or empty.
        lossy: whether a format may be written that cannot hold every mask.
        done: called after each picture.

    Raises:
        UsageError: no such format, one that loses something without `lossy`, or the folder is not empty.
        DatasetError: the source cannot be read; names file and place.
        OutputError: the folder cannot be written.
    """
    data = open_dataset(source) if isinstance(source, str) else source
    form, folder = target_of(target)
    failures: list[str] = []
    try:
        folder.mkdir(parents=True, exist_ok=True)
        written, lost = _write(data, form, folder, lossy, done, failures)
    except OSError as error:
        raise OutputError(f"{folder}: cannot be written ({error.strerror}); choose another place") from error
    again = open_dataset(f"{form}:{folder}")
    known = {sample.name: sample for sample in again.samples}
    pairs = [(sample, known.get(name)) for sample, _, name in written]
    failures += [f"{sample.image}: is not found where {target} is read again" for sample, after in pairs if not after]
    differing = sum(_differing(before, data, after, again) for before, after in pairs)
    return Conversion(len(written), sum(len(p.shapes) for _, p, _ in written), differing, tuple(lost), tuple(failures))


def target_of(target: str) -> tuple[str, Path]:
    """The format and the folder of `FORMAT:FOLDER`.

    Raises:
        UsageError: no such format, or the folder is not empty.
        OutputError: the folder cannot be looked into.
    """
    form, colon, path = target.partition(":")
    if not colon or form not in TARGETS:
        raise UsageError(f"{target}: name FORMAT:FOLDER, a format of {', '.join(TARGETS)}")
    folder = Path(path).expanduser()
    try:
        if folder.exists() and any(folder.iterdir()):
            raise UsageError(f"{folder}: is not empty; name a new folder, so that nothing is written over")
    except OSError as error:
        raise OutputError(f"{folder}: cannot be written ({error.strerror}); choose another place") from error
    return form, folder


Written = tuple[Sample, Picture, str]
"""A sample, what is written of it, and its name in the new dataset."""


def _write(
    data: Dataset, form: str, folder: Path, lossy: bool, done: Callable[[object], object], failures: list[str]
) -> tuple[list[Written], list[str]]:
    """What was written, and what was lost; `failures` gets what could not be read."""
    lost = []
    samples = list(data.samples)
    if form != FOLDER and not FORMATS[form].tells_unlabelled:  # there, nothing drawn means that there is nothing
        samples = [sample for sample in samples if sample.labelled]
        left = len(data.samples) - len(samples)
        if left:
            lost.append(f"{left} pictures that nobody labelled are left out: {form} would call them good")
    written = []
    for sample in samples:
        done(sample.name)
        try:
            picture = _named(_picture(sample, data), form)
        except (ImageError, DatasetError) as error:
            failures.append(str(error))
            continue
        written.append((sample, picture, _name_in(form, sample, picture)))
    labels = _labels(data, form, [sample for sample, _, _ in written], [picture for _, picture, _ in written])
    lost += _lost(labels, data, form, lossy)
    for sample, picture, _ in written:
        _copy(sample, picture, form, folder)
    if form == FOLDER:
        _write_folder(data, [sample for sample, _, _ in written], folder)
    else:
        usual = FORMATS[form].file
        write = FORMATS[form].write
        assert write is not None  # one of `TARGETS`
        write(labels, folder / usual if usual else folder)
    names = {sample.name: name for sample, _, name in written}
    suffixes = {sample.name: sample.image.suffix for sample, _, _ in written}
    for title, listed in data.splits.items():
        if not (title == "train" and data.train_is_rest):
            file = folder / "splits" / f"{title}.txt"
            file.parent.mkdir(exist_ok=True)
            lines = (as_listed(names[each], suffixes[each]) for each in listed if each in names)
            write_whole(file, "".join(f"{line}\n" for line in lines))
    return written, lost


def _lost(labels: LabelSet, data: Dataset, form: str, lossy: bool) -> list[str]:
    """What a format cannot hold of this dataset, in words.

    Raises:
        UsageError: some of it is labels, and nobody asked for that, or its classes cannot be those of a folder.
    """
    if form == FOLDER:
        try:
            DatasetSettings(classes=data.classes)
        except ValidationError as error:
            raise UsageError(f"{data.name}: {first_problem(error)}; rename or join classes, or take coco") from error
    loses = "" if form == FOLDER else FORMATS[form].loses(labels)
    if loses and not lossy:
        raise UsageError(f"{data.name}: {loses}; say --lossy to write {form} all the same, or take coco")
    lost = [loses] if loses else []
    if data.mm_per_pixel and form != FOLDER:
        lost.append(f"the scale of {data.mm_per_pixel:g} mm a pixel: {form} has no place for it")
    if data.licence != NO_LICENCE and form != FOLDER:
        lost.append(f"the licence, {data.licence}: {form} has no place for it")
    if data.calibration and form == FOLDER:
        lost.append(f"what calibration {data.calibration.name} says beside the scale; copy its file and name it again")
    return lost


def _labels(data: Dataset, form: str, samples: Sequence[Sample], pictures: Sequence[Picture]) -> LabelSet:
    own = data.name.partition(":")[0] == form
    first = next((sample.label for sample in data.samples if isinstance(sample.label, ShapesLabel)), None)
    extra = first.extra if own and first is not None else {}
    unnamed = any(shape.defect_class == UNNAMED for picture in pictures for shape in picture.shapes)
    lists = _lists(data, [sample.name for sample in samples])
    names = {sample.name: picture.name for sample, picture in zip(samples, pictures, strict=True)}
    splits = {title: tuple(names[each] for each in listed) for title, listed in lists.items()}
    classes = (*data.classes, *((UNNAMED,) if unnamed else ()))
    return LabelSet(form if own else "", classes, tuple(pictures), extra, splits=splits)


def _lists(data: Dataset, written: Sequence[str]) -> dict[str, list[str]]:
    """Lists of what was written; beside others, what stands in none is learned from."""
    known = set(written)
    lists = {title: [name for name in listed if name in known] for title, listed in data.splits.items()}
    lists = {title: lists[title] for title in ("train", "val", "test") if lists.get(title)}
    if lists and "train" not in lists:
        apart = set().union(*lists.values())
        lists = {"train": [name for name in written if name not in apart], **lists}
    return lists


def _name_in(form: str, sample: Sample, picture: Picture) -> str:
    """What a picture is called in the new dataset."""
    if form == FOLDER:
        return f"good/{sample.name.removeprefix('good/')}" if sample.known_good else sample.name
    return str(PurePosixPath(FORMATS[form].place(picture)).with_suffix(""))


def _named(picture: Picture, form: str) -> Picture:
    """With a name for defects without class, which other formats do not know."""
    if form == FOLDER:
        return picture
    shapes = (shape if shape.defect_class else replace(shape, defect_class=UNNAMED) for shape in picture.shapes)
    return replace(picture, shapes=tuple(shapes))


def _picture(sample: Sample, data: Dataset) -> Picture:
    name = f"{sample.name}{sample.image.suffix}"
    height, width = size_of(sample.image)
    if isinstance(sample.label, ShapesLabel) and sample.label.picture.width:
        known = sample.label.picture
        if (known.height, known.width) == (width, height) != (height, width):  # labelled as the file lies
            return _upright(known, name, height, width)
        return replace(known, name=name)
    return Picture(name, sample.image, width, height, tuple(_shapes(sample, data)), sample.labelled)


def _upright(known: Picture, name: str, height: int, width: int) -> Picture:
    """A picture whose shapes were drawn on it as it lies in its file, as it is shown."""
    orientation = orientation_of(read_file(known.file)) if known.file else 1
    turned = (
        Shape.of(each.defect_class, upright(each.mask(known.height, known.width), orientation), extra=each.extra)
        for each in known.shapes
    )
    shapes = tuple(shape for shape in turned if shape)
    return replace(known, name=name, width=width, height=height, shapes=shapes)


def _shapes(sample: Sample, data: Dataset) -> Sequence[Shape]:
    """The regions of a sample: those that a tool drew, or what hangs together of one class."""
    if isinstance(sample.label, ShapesLabel):
        return sample.label.picture.shapes
    if sample.label is None or isinstance(sample.label, KnownGood):
        return ()
    label = sample.draw(size_of(sample.image), len(data.classes))
    found = []
    for value in np.unique(label[label > 0]):
        name = "" if value == UNCLASSED else data.classes[value - 1]
        count, parts, boxes, _ = cv2.connectedComponentsWithStats((label == value).astype(np.uint8), connectivity=8)
        for part in range(1, count):
            left, top, wide, high = (int(number) for number in boxes[part, :4])
            shape = Shape.of(name, parts[top : top + high, left : left + wide] == part, left, top)
            found += [shape] if shape else []
    return found


def _copy(sample: Sample, picture: Picture, form: str, folder: Path) -> None:
    name = f"{sample.name}{sample.image.suffix}"
    if form == FOLDER and sample.known_good:
        place = folder / "good" / name.removeprefix("good/")
    elif form == FOLDER:
        place = folder / "images" / name
    else:
        place = folder / FORMATS[form].pictures / FORMATS[form].place(picture)
    place.parent.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(sample.image, place)


def _write_folder(data: Dataset, samples: Sequence[Sample], folder: Path) -> None:
    for sample in samples:
        if sample.labelled and not sample.known_good:
            label = sample.draw(size_of(sample.image), len(data.classes))
            file = folder / "masks" / PurePosixPath(f"{sample.name}.png")
            file.parent.mkdir(parents=True, exist_ok=True)
            write_whole(file, encode(label, ".png"))
    lines = [f"classes = {json.dumps(data.classes, ensure_ascii=False)}", 'masks = "classes"']
    lines += [f"mm_per_pixel = {data.mm_per_pixel!r}"] if data.mm_per_pixel else []
    lines += [f"licence = {json.dumps(data.licence, ensure_ascii=False)}"] if data.licence != NO_LICENCE else []
    write_whole(folder / "dataset.toml", "\n".join([*lines, ""]))


def _differing(before: Sample, data: Dataset, after: Sample | None, again: Dataset) -> int:
    """Pixels whose class is another one now."""
    if not before.labelled:
        return 0
    shape = size_of(before.image)
    old = before.draw(shape, len(data.classes))
    if after is None or not after.labelled:
        return int(np.count_nonzero(old))
    new = after.draw(shape, len(again.classes))
    return int(
        np.count_nonzero(_by_name(old, data.classes, data.classes) != _by_name(new, again.classes, data.classes))
    )


def _by_name(label: NDArray[np.uint8], classes: Sequence[str], order: Sequence[str]) -> NDArray[np.uint8]:
    """Label values in another order of the classes; 254 for a class that it lacks."""
    values = np.arange(256, dtype=np.uint8)
    for value, name in enumerate(classes, start=1):
        values[value] = order.index(name) + 1 if name in order else UNCLASSED - 1
    return values[label]
