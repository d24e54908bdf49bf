"""Labelled images as a plain table: what a dataset reader yields and training, checking and evaluation read.

Label values are those of the `folder:` format: 0 background, k = class k (1 is `classes[0]`), 255 = a defect whose
class nobody named.
"""

import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path

from casae.errors import DatasetError

UNCLASSED = 255


@dataclass(frozen=True)
class Sample:
    """One image of a dataset.

    Attributes:
        name: unique within the dataset; split lists hold it.
        image: the picture's file.
        mask: the label's file, None where nobody labelled the image.
        defect_free: known to show no defect, without a mask that says so.
        mask_class: None where the mask's values are label values; else the value that every pixel above 127 gets.
    """

    name: str
    image: Path
    mask: Path | None
    mask_class: int | None = None
    defect_free: bool = False

    @property
    def labelled(self) -> bool:
        """Whether it is known which pixels are defective."""
        return self.mask is not None or self.defect_free


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
        mm_per_pixel: calibration, None where unknown.
        orphans: mask files that no image belongs to.
        licence: one sentence for the model card.
    """

    name: str
    classes: tuple[str, ...]
    samples: tuple[Sample, ...]
    splits: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    split_name: str = "all"
    train_is_rest: bool = False
    mm_per_pixel: float | None = None
    orphans: tuple[Path, ...] = ()
    licence: str = "not stated"

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
            digest.update(f"{sample.name}\0{sample.mask_class}\0".encode())
            for file in (sample.image, sample.mask):
                absent = b"defect-free" if sample.defect_free else b"unlabelled"
                digest.update(hashlib.sha256(file.read_bytes()).digest() if file else absent)
        return digest.hexdigest()
