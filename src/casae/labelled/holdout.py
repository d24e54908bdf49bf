"""Cut labelled images into a part to learn from and a part to judge by."""

import itertools
from collections import Counter
from collections.abc import Container, Iterable, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType

import numpy as np

from casae.datasets.sample import Dataset
from casae.errors import DatasetError

GOOD_HELD = 10  # images without defects, or half of them: two or three would hardly tell how many are rejected
EMPTY: Mapping[str, str] = MappingProxyType({})


@dataclass(frozen=True)
class Fold:
    """Part `index`, counted from 0, of `count` equal parts is held out."""

    index: int
    count: int


def hold_out(
    dataset: Dataset,
    split: str,
    share: float,
    seed: int,
    fold: Fold | None = None,
    known: Container[str] = frozenset(),
    groups: Mapping[str, str] = EMPTY,
    only: Container[str] | None = None,
) -> tuple[Dataset, Dataset]:
    """Cut a split into a part to train on and a part to choose by; the two never overlap.

    A list `val` of the dataset is the second part. Without one, `share` of the split is held out, drawn once by `seed`:
    of the images with and without defects, each a share and at least one, where there are two, of those without
    `GOOD_HELD` or half of them; of each class one, as far as the share goes, and then in proportion, but of a class
    never the last image, nor one of the last two where others do. A share of 0 holds nothing out, a fold its own part.

    Args:
        dataset: all of it.
        split: name of a list, or "all".
        share: of the images, 0..1.
        seed: of the draw.
        fold: hold out this part instead.
        known: images that start weights have learned, which are held out only where no others are.
        groups: image -> group of copies, which is learned from or held out as a whole.
        only: names of the images that count; None takes all.

    Raises:
        DatasetError: no such split, or too few labelled images in it; of folds, too few with a defect.
        ImageError: a mask cannot be read.
    """
    part = _counting(dataset.split(split).labelled, only)
    needed = fold.count if fold else 2
    if len(part.samples) < needed:
        few = f"{dataset.name}: {len(part.samples)} labelled images in '{split}'{dataset.strays}"
        raise DatasetError(f"{few}; label at least {needed}")
    if fold is None and has_own_list(dataset, split):
        validation = _counting(dataset.split("val").labelled, only)
        if not validation.samples:
            rule = "list 'val' holds no labelled image; label some, or delete splits/val.txt"
            raise DatasetError(f"{dataset.name}: {rule}")
    else:
        held = _draw(part, share, np.random.default_rng(seed), fold, known, groups)
        validation = part.only(held, f"validation part of {split}")
    outside = {sample.name for sample in part.samples} - {sample.name for sample in validation.samples}
    if not outside or (not validation.samples and share > 0):
        raise DatasetError(f"{dataset.name}: split '{split}' and list 'val' leave nothing to train on; separate them")
    return part.only(outside, split), validation


def has_own_list(dataset: Dataset, split: str) -> bool:
    """Whether the dataset says itself what is held out of a split."""
    return "val" in dataset.splits and split != "val"


def _counting(part: Dataset, only: Container[str] | None) -> Dataset:
    if only is None:
        return part
    return part.only((sample.name for sample in part.samples if sample.name in only), part.split_name)


@dataclass(frozen=True)
class _Unit:
    """An image, or copies of one: what is held out together.

    Attributes:
        names: of the images; the first one stands for all.
        classes: label values of their defects.
    """

    names: tuple[str, ...]
    classes: frozenset[int]

    @property
    def name(self) -> str:
        return self.names[0]


def _units(part: Dataset, groups: Mapping[str, str]) -> list[_Unit]:
    """In the order of the first image of each."""
    together: dict[str, list[str]] = {}
    classes: dict[str, set[int]] = {}
    for sample in part.samples:
        group = groups.get(sample.name, sample.name)
        together.setdefault(group, []).append(sample.name)
        present = sample.label.present(len(part.classes)) if sample.label else set()
        classes.setdefault(group, set()).update(present)
    return [_Unit(tuple(names), frozenset(classes[group])) for group, names in together.items()]


def _draw(
    part: Dataset,
    share: float,
    rng: np.random.Generator,
    fold: Fold | None,
    known: Container[str],
    groups: Mapping[str, str],
) -> set[str]:
    """Names of what is held out, drawn once."""
    units = _units(part, groups)
    if len(units) < (fold.count if fold else 2):  # all are alike: better copies on both sides than nothing to judge by
        units = _units(part, EMPTY)
    left = Counter(itertools.chain(*(unit.classes for unit in units)))
    kinds: dict[tuple[int | None, bool], list[_Unit]] = {}
    for unit in units:
        rarest = min(unit.classes, key=lambda value: (left[value], value), default=None)
        kinds.setdefault((rarest, not unit.classes), []).append(unit)
    by_name = {unit.name: unit for unit in units}
    shuffled = {
        key: [by_name[str(name)] for name in rng.permutation([unit.name for unit in kind])]
        for key, kind in kinds.items()
    }
    if fold:  # dealt out like cards, so that each fold has its share of every class, and none all of the defects
        if sum(bool(unit.classes) for unit in units) < 2:
            raise DatasetError(f"{part.name}: folds need two images with labelled defects; label more")
        in_turn = itertools.chain(*(shuffled[key] for key in sorted(shuffled, key=lambda key: key[1])))
        return _names(list(in_turn)[fold.index :: fold.count])
    if share == 0:
        return set()
    held: list[_Unit] = []
    for good in (False, True):
        alike = [kind for (_, is_good), kind in shuffled.items() if is_good is good]
        places = [
            (_is_known(unit, known), place / len(kind), unit) for kind in alike for place, unit in enumerate(kind)
        ]
        order = [unit for _, _, unit in sorted(places, key=lambda place: place[:2])]
        least = min(GOOD_HELD, len(order) // 2) if good else 1
        wanted = min(len(order) - 1, max(1, least, round(share * len(order))))
        for remain in (2, 1):  # images of a class that stay to learn from
            taken = _taken([unit for unit in order if unit not in held], wanted, left, remain)
            held += taken
            wanted -= len(taken)
    if held:
        return _names(held)
    good_ones = (kind[0] for (_, is_good), kind in shuffled.items() if is_good)
    return _names([next(good_ones, next(iter(shuffled.values()))[0])])


def _is_known(unit: _Unit, known: Container[str]) -> bool:
    return any(name in known for name in unit.names)


def _names(units: Iterable[_Unit]) -> set[str]:
    return {name for unit in units for name in unit.names}


def _taken(units: Sequence[_Unit], wanted: int, left: Counter[int], least: int) -> list[_Unit]:
    """The first `wanted` that leave each of their classes `least` to learn from; `left` counts down."""
    taken: list[_Unit] = []
    for unit in units:
        if len(taken) < wanted and all(left[value] > least for value in unit.classes):
            left.subtract(unit.classes)
            taken.append(unit)
    return taken
