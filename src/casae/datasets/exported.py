"""Labels of other tools as a dataset, read where they lie: `coco:FILE`, `labelme:FOLDER` and so on."""

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np
from numpy.typing import NDArray

from casae.datasets.names import read_splits
from casae.datasets.sample import UNCLASSED, Dataset, Sample
from casae.decoding import orientation_of, read_file
from casae.decoding.declared import upright
from casae.errors import DatasetError
from casae.files import find_images
from casae.labels.formats import UNNAMED, read_labels
from casae.labels.labelset import Picture, one_form
from casae.labels.voc import SETS

SOME = 3  # names that a note lists


@dataclass(frozen=True)
class ShapesLabel:
    """What another tool says of a picture: shapes, drawn when pixels are needed.

    Attributes:
        picture: as the tool's file has it.
        classes: names, in the order of their label values.
        value: none; each shape has its own.
        extra: what else the tool's file says of all pictures.
    """

    picture: Picture
    classes: tuple[str, ...]
    value: int | None = None
    extra: Mapping[str, Any] = field(default_factory=dict)

    @property
    def files(self) -> tuple[Path, ...]:
        """The tool's file."""
        return () if self.picture.source is None else (self.picture.source,)

    @property
    def digest(self) -> str:
        """Of what it says, wherever it stands."""
        digest = hashlib.sha256(f"{self.picture.width} {self.picture.height}".encode())
        for shape in self.picture.shapes:
            box = (shape.defect_class, shape.left, shape.top, shape.width, shape.height, shape.runs.tolist())
            digest.update(repr(box).encode())
        return digest.hexdigest()

    def present(self, classes: int) -> set[int]:
        """See `Label`."""
        return {self._value(shape.defect_class) for shape in self.picture.shapes}

    def draw(self, shape: tuple[int, ...], classes: int) -> NDArray[np.uint8]:
        """See `Label`; where the tool saw the picture as it lies in its file, its shapes are turned upright with it."""
        picture = self.picture
        label = np.zeros((picture.height or shape[0], picture.width or shape[1]), np.uint8)
        for each in picture.shapes:
            each.draw(label, self._value(each.defect_class))
        if label.shape != shape[:2] and label.shape == shape[1::-1] and picture.file is not None:
            orientation = orientation_of(read_file(picture.file))
            if orientation > 4:
                return np.ascontiguousarray(upright(label, orientation))
        return label

    def _value(self, name: str) -> int:
        return self.classes.index(name) + 1 if name in self.classes else UNCLASSED


def reader(form: str) -> Callable[[Path], Dataset]:
    """The function that reads a format as a dataset."""

    def read(path: Path) -> Dataset:
        labels = read_labels(form, path)
        root = path if path.is_dir() else path.parent
        classes = tuple(name for name in dict.fromkeys(labels.classes) if name not in ("", UNNAMED))
        samples: dict[str, Sample] = {}
        for picture in labels.pictures:
            if picture.file is None:
                continue
            name = _name(picture.name)
            if name in samples:
                both = f"{samples[name].image} and {picture.file}"
                if samples[name].image == picture.file:
                    raise DatasetError(f"{picture.source}: labels {picture.file} twice; keep one of both")
                raise DatasetError(f"{picture.source}: {both} have one name; rename one, in the labels too")
            label = ShapesLabel(picture, classes, extra=labels.extra) if picture.labelled else None
            samples[name] = Sample(name, picture.file, label)
        missing = [picture.name for picture in labels.pictures if picture.file is None]
        if missing and not samples:
            rule = f"none of its {len(missing)} pictures is near, such as {missing[0]}"
            raise DatasetError(f"{path}: {rule}; put the pictures beside it or into images/ beside it")
        known = {sample.image.resolve() for sample in samples.values()}
        for file in find_images(root) if form == "labelme" else []:
            if file.resolve() not in known:  # labelme has no file for what nobody labelled
                name = one_form(file.relative_to(root).with_suffix("").as_posix())
                samples.setdefault(name, Sample(name, file))
        lists = {title: tuple(map(_name, names)) for title, names in labels.splits.items()}
        return Dataset(
            f"{form}:{path}",
            classes=classes or ("defect",),
            samples=tuple(samples[name] for name in sorted(samples)),
            splits={**lists, **read_splits(root, SETS), **read_splits(root)},
            notes=_notes(labels.notes, list(samples.values())),
        )

    return read


def _name(path: str) -> str:
    """A picture's name from its path in a label file, without `images/`: `../x/a.png` is `x/a`, out of no folder."""
    parts = PurePosixPath(path.replace("\\", "/")).with_suffix("").parts
    within = [part for part in parts if part not in ("/", "..") and not part.endswith(":")]
    return one_form("/".join(within[1:] if within[:1] == ["images"] and len(within) > 1 else within))


def _notes(notes: tuple[str, ...], samples: list[Sample]) -> tuple[str, ...]:
    """What the file could not give, and how many pictures count as good because nothing is drawn on them."""
    empty = sum(isinstance(s.label, ShapesLabel) and not s.label.picture.shapes for s in samples)
    good = (f"{empty} pictures without a shape count as free of defects",) if empty else ()
    more = len(notes) - SOME
    return (*notes[:SOME], *((f"and {more} more like these",) if more > 0 else ()), *good)
