"""Labelled pictures into a dataset of our own format: what was found and corrected is learned from next time."""

import hashlib
import json
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

import numpy as np

from casae.datasets.folder import SETTINGS, settings_of_folder
from casae.datasets.registry import open_dataset
from casae.datasets.sample import UNCLASSED, Dataset, Sample
from casae.decoding import size_of
from casae.errors import DatasetError, ImageError, OutputError, UsageError
from casae.files import read_text, write_whole
from casae.image import encode

PREFIX = "folder:"


@dataclass(frozen=True)
class Added:
    """What `add` did.

    Attributes:
        added: names in the dataset.
        known: pictures that were there already.
        failures: why others could not be added.
    """

    added: tuple[str, ...]
    known: int
    failures: tuple[str, ...]


def add(
    source: str | Dataset, target: str, new_classes: bool = False, done: Callable[[object], object] = lambda name: None
) -> Added:
    """Copy labelled pictures and their masks into a `folder:` dataset; what is there stays.

    A picture that is there already, by its content, is passed over. One of a name that is taken gets another. Where the
    dataset has a list `train`, the new ones are put there.

    Args:
        source: `READER:PATH`, such as `labelme:corrected` or `results:casae-results`.
        target: `folder:PATH`.
        new_classes: add classes that the dataset does not know; otherwise they are refused.
        done: called after each picture.

    Raises:
        UsageError: the target is of another format, has masks of another kind, or does not know a class.
        DatasetError: one of both cannot be read.
        OutputError: the folder cannot be written.
    """
    if not target.startswith(PREFIX):
        raise UsageError(f"{target}: pictures are added to folder:PATH; convert it first with casae data convert")
    data = open_dataset(source) if isinstance(source, str) else source
    own = open_dataset(target)
    root = Path(target.removeprefix(PREFIX)).expanduser()
    settings = settings_of_folder(root)
    if settings.masks not in (None, "classes") or settings.ignore:
        way = f"convert it: casae data convert {target} {target}-labels"
        raise UsageError(f"{root / SETTINGS}: its masks do not hold a value for each class; {way}")
    classes = _classes(data, own, new_classes, root)
    if classes != own.classes:
        _write_classes(root / SETTINGS, classes)
    contents = {_content(sample.image) for sample in own.samples}
    taken = {sample.name for sample in own.samples}
    added: list[str] = []
    failures: list[str] = []
    known = 0
    for sample in data.labelled.samples:
        done(sample.name)
        content = _content(sample.image)
        if content in contents:
            known += 1
            continue
        try:
            name = _free(sample.name.removeprefix("good/"), taken)
            _copy(sample, name, data, classes, root)
        except (ImageError, DatasetError) as error:
            failures.append(str(error))
            continue
        except OSError as error:
            raise OutputError(f"{root}: cannot be written ({error.strerror}); free space, add again") from error
        contents.add(content)
        taken.add(name)
        added.append(name)
    listed = root / "splits" / "train.txt"
    if added and listed.is_file():
        before = read_text(listed).rstrip("\n")
        write_whole(listed, "\n".join([*([before] if before else []), *added, ""]))
    return Added(tuple(added), known, tuple(failures))


def _classes(data: Dataset, own: Dataset, new_classes: bool, root: Path) -> tuple[str, ...]:
    labels = [sample.label for sample in data.samples if sample.label]
    used = set().union(*(label.present(len(data.classes)) for label in labels))
    named = [name for value, name in enumerate(data.classes, start=1) if value in used]
    missing = [name for name in named if name not in own.classes]
    if missing and not new_classes:
        known = ", ".join(own.classes)
        raise UsageError(f"{root}: knows no class {missing[0]!r}, only {known}; rename it, or say --new-classes")
    return (*own.classes, *missing)


def _write_classes(settings: Path, classes: tuple[str, ...]) -> None:
    """The list of classes in `dataset.toml`, whose other lines stay."""
    lines = read_text(settings).splitlines()
    starts = [index for index, line in enumerate(lines) if line.split("=")[0].strip() == "classes"]
    if len(starts) != 1 or "]" not in lines[starts[0]]:
        raise UsageError(f"{settings}: its classes stand in several lines; add the new ones by hand")
    lines[starts[0]] = f"classes = {json.dumps(classes, ensure_ascii=False)}"
    write_whole(settings, "\n".join([*lines, ""]))


def _content(file: Path) -> str:
    return hashlib.sha256(file.read_bytes()).hexdigest()


def _free(name: str, taken: set[str]) -> str:
    number, free = 2, name
    while free in taken:
        free, number = f"{name}-{number}", number + 1
    return free


def _copy(sample: Sample, name: str, data: Dataset, classes: tuple[str, ...], root: Path) -> None:
    """The mask first: a picture without one would count as not labelled."""
    label = sample.draw(size_of(sample.image), len(data.classes))
    values = np.arange(256, dtype=np.uint8)
    for value, each in enumerate(data.classes, start=1):
        values[value] = classes.index(each) + 1 if each in classes else 0  # nothing is of that class
    values[UNCLASSED] = UNCLASSED
    image = root / "images" / PurePosixPath(f"{name}{sample.image.suffix}")
    mask = root / "masks" / PurePosixPath(f"{name}.png")
    image.parent.mkdir(parents=True, exist_ok=True)
    write_whole(mask, encode(values[label], ".png"))
    shutil.copyfile(sample.image, image)
