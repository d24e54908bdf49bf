"""Labelled images as a plain table: what a dataset reader yields and training, checking and evaluation read.

Label values are those of the `folder:` format: 0 background, k = class k (1 is `classes[0]`), 255 = a defect whose
class nobody named.
"""

import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from casae.calibration.calibration import Calibration
from casae.errors import CasaeError, DatasetError

UNCLASSED = 255


class Label(Protocol):
    """What is known of an image: it draws itself where somebody needs pixels."""

    @property
    def files(self) -> tuple[Path, ...]:
        """That it is made of; none where no file says it."""

    @property
    def value(self) -> int | None:
        """Label value of every defect, None where the label says which."""

    def present(self, classes: int) -> set[int]:
        """Label values of the defects in it; none without defects.

        Raises:
            ImageError: a file cannot be read.
        """

    def draw(self, shape: tuple[int, ...], classes: int) -> NDArray[np.uint8]:
        """Label values (H, W), uint8; `Sample.draw` sees to it that they fit the image of `shape` and the classes.

        Raises:
            DatasetError: its files do not fit together.
            ImageError: a file cannot be read.
        """


@dataclass(frozen=True)
class KnownGood:
    """The image shows no defect, without a file that says so."""

    files: tuple[Path, ...] = ()
    value: int | None = None

    def present(self, classes: int) -> set[int]:
        """See `Label`."""
        return set()

    def draw(self, shape: tuple[int, ...], classes: int) -> NDArray[np.uint8]:
        """See `Label`."""
        return np.zeros(shape[:2], np.uint8)


@dataclass(frozen=True)
class Sample:
    """One image of a dataset.

    Attributes:
        name: unique within the dataset; split lists hold it.
        image: the picture's file.
        label: what is known of it, None where nobody labelled the image.
    """

    name: str
    image: Path
    label: Label | None = None

    @property
    def labelled(self) -> bool:
        """Whether it is known which pixels are defective."""
        return self.label is not None

    @property
    def known_good(self) -> bool:
        """Whether it shows no defect, without a file that says so."""
        return isinstance(self.label, KnownGood)

    def draw(self, shape: tuple[int, ...], classes: int) -> NDArray[np.uint8]:
        """Its label values (H, W), for an image of `shape`.

        Raises:
            DatasetError: nobody labelled it, or its label does not fit.
            ImageError: a file of its label cannot be read.
        """
        if self.label is None:
            raise DatasetError(f"{self.image}: has no mask; label it, or an all-zero mask says it is free of defects")
        try:
            label = self.label.draw(shape, classes)
        except CasaeError:
            raise
        except Exception as error:  # of a reader of others
            raise DatasetError(
                f"{self.label_file}: {type(error).__name__}: {error}; mend the file, or its reader"
            ) from error
        problem = problem_of(label, shape, classes)
        if problem:
            raise DatasetError(f"{self.label_file}: {problem}")
        return label

    @property
    def label_file(self) -> Path:
        """What to name where its label is wrong: its first file, or the image where it has none."""
        return self.label.files[0] if self.label and self.label.files else self.image


def problem_of(label: NDArray[np.uint8], shape: tuple[int, ...], classes: int) -> str:
    """What is wrong with label values (H, W) for an image of `shape`, and how to mend it; empty if nothing is."""
    if label.shape != shape[:2]:
        sizes = f"{label.shape[1]} x {label.shape[0]} px, its image {shape[1]} x {shape[0]}"
        turned = ", which its file says is turned: save both upright" if label.shape == shape[1::-1] else ""
        return f"mask is {sizes}{turned}; both must have one size"
    present = np.flatnonzero(np.bincount(label.ravel(), minlength=256))
    unknown = [str(value) for value in present if classes < value < UNCLASSED]
    if not unknown:
        return ""
    ways = f"use 0..{classes}, or {UNCLASSED} without class, or list it as ignore or say masks in dataset.toml"
    return f"value {', '.join(unknown[:5])} names no class; {ways}; 'casae data check' names all masks like this"


@dataclass(frozen=True)
class Dataset:
    """A table of samples with the names of their classes.

    Attributes:
        name: the reader and folder, as the user wrote them.
        classes: names of label values 1, 2, ...
        samples: sorted by name.
        splits: split name -> sample names.
        split_name: the split this table was cut to, "all" before.
        train_is_rest: no list says what `train` is, so it is what neither `test` nor `val` names.
        mm_per_pixel: scale, None where unknown.
        calibration: that it comes from, None where nobody named one.
        copies: image -> group of copies of one picture that it belongs to, where they are known.
        orphans: mask files that no image belongs to.
        licence: one sentence for the model card.
        notes: what there is to say about how it was read; `warnings` what is probably wrong.
    """

    name: str
    classes: tuple[str, ...]
    samples: tuple[Sample, ...]
    splits: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    split_name: str = "all"
    train_is_rest: bool = False
    mm_per_pixel: float | None = None
    calibration: Calibration | None = None
    copies: Mapping[str, str] = field(default_factory=dict)
    orphans: tuple[Path, ...] = ()
    licence: str = "not stated"
    notes: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()

    def split(self, name: str) -> "Dataset":
        """The part that the list `name` holds; "all" is the whole.

        Raises:
            DatasetError: no such list, or it names images that are not there.
        """
        if name == "all":
            return self
        if name not in self.splits:
            known = ", ".join(["all", *sorted(self.splits)])
            raise DatasetError(f"{self.name}: no split '{name}'; there are: {known}")
        if name == "train" and self.train_is_rest:  # a misspelt name in the others would be learned from
            for other in {"test", "val"} & self.splits.keys():
                self.split(other)
        by_name = {sample.name: sample for sample in self.samples}
        missing = [wanted for wanted in self.splits[name] if wanted not in by_name]
        if missing:
            some = ", ".join(missing[:3]) + (" ..." if len(missing) > 3 else "")
            raise DatasetError(f"{self.name}: split '{name}' names {len(missing)} images that are not there: {some}")
        samples = tuple(by_name[wanted] for wanted in sorted(set(self.splits[name])))
        return replace(self, samples=samples, split_name=name)

    def only(self, names: Iterable[str], split_name: str) -> "Dataset":
        """The samples of these names, as a part called `split_name`."""
        wanted = set(names)
        return replace(self, samples=tuple(s for s in self.samples if s.name in wanted), split_name=split_name)

    @property
    def labelled(self) -> "Dataset":
        """The samples that are labelled."""
        return replace(self, samples=tuple(sample for sample in self.samples if sample.labelled))

    @property
    def strays(self) -> str:
        """What to say about masks to which no image belongs, which leave their images unlabelled; empty without."""
        if not self.orphans:
            return ""
        first = self.orphans[0]
        return f", and {len(self.orphans)} masks that no image is named like ({first.parent.name}/{first.name} ...)"

    @cached_property
    def sha256(self) -> str:
        """Hash over names and bytes of all images and masks: the same data has the same hash, wherever it lies."""
        digest = hashlib.sha256()
        for sample in self.samples:
            label = sample.label
            digest.update(f"{sample.name}\0{label.value if label else None}\0".encode())
            said = getattr(label, "digest", None)  # where one file says it of many pictures
            files = (sample.image, *label.files) if label and said is None else (sample.image,)
            for file in files:
                digest.update(hashlib.sha256(file.read_bytes()).digest())
            digest.update((said or "").encode())
            if label is None or not label.files:
                digest.update(b"defect-free" if label else b"unlabelled")
        return digest.hexdigest()
