"""Cut labelled images into a part to learn from and a part to judge by."""

import itertools
from collections import Counter
from collections.abc import Container, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from casae.datasets.sample import Dataset
from casae.errors import DatasetError


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
) -> tuple[Dataset, Dataset]:
    """Cut a split into a part to train on and a part to choose by; the two never overlap.

    A list `val` of the dataset is the second part. Without one, `share` of the split is held out, drawn by `seed`: of
    the images with and without defects, each a share and at least one, where there are two; of each class one, as far
    as the share goes, and then in proportion, but of a class never the last image, nor one of the last two where
    others do; images in `known`, which start
    weights have learned, only where no others are.
    A share of 0 holds nothing out, a fold its own part.

    Raises:
        DatasetError: no such split, or too few labelled images in it; of folds, too few with a defect.
        ImageError: a mask cannot be read.
    """
    part = dataset.split(split).labelled
    needed = fold.count if fold else 2
    if len(part.samples) < needed:
        few = f"{dataset.name}: {len(part.samples)} labelled images in '{split}'{dataset.strays}"
        raise DatasetError(f"{few}; label at least {needed}")
    if fold is None and "val" in dataset.splits and split != "val":
        validation = dataset.split("val").labelled
    else:
        held = _draw_held_out(part, share, np.random.default_rng(seed), fold, known)
        validation = part.only(held, f"validation part of {split}")
    outside = {sample.name for sample in part.samples} - {sample.name for sample in validation.samples}
    if validation.split_name == "val" and not validation.samples:
        raise DatasetError(f"{dataset.name}: list 'val' holds no labelled image; label some, or delete splits/val.txt")
    if not outside or (not validation.samples and share > 0):
        raise DatasetError(f"{dataset.name}: split '{split}' and list 'val' leave nothing to train on; separate them")
    return part.only(outside, split), validation


def _draw_held_out(
    part: Dataset, share: float, rng: np.random.Generator, fold: Fold | None, known: Container[str]
) -> set[str]:
    classes = {
        sample.name: sample.label.present(len(part.classes)) if sample.label else set() for sample in part.samples
    }
    left = Counter(itertools.chain(*classes.values()))
    groups: dict[tuple[int | None, bool], list[str]] = {}
    for sample in part.samples:
        rarest = min(classes[sample.name], key=lambda value: (left[value], value), default=None)
        groups.setdefault((rarest, not classes[sample.name]), []).append(sample.name)
    shuffled = {
        key: sorted((str(name) for name in rng.permutation(group)), key=known.__contains__)
        for key, group in groups.items()
    }
    if fold:  # dealt out like cards, so that each fold has its share of every class, and none all of the defects
        if sum(map(bool, classes.values())) < 2:
            raise DatasetError(f"{part.name}: folds need two images with labelled defects; label more")
        groups_in_turn = (shuffled[key] for key in sorted(shuffled, key=lambda key: key[1]))
        return set(list(itertools.chain(*groups_in_turn))[fold.index :: fold.count])
    if share == 0:
        return set()
    held: set[str] = set()
    for good in (False, True):
        alike = [group for (_, is_good), group in shuffled.items() if is_good is good]
        places = [(place / len(group), name) for group in alike for place, name in enumerate(group)]
        kind = [name for _, name in sorted(places, key=lambda pair: pair[0])]  # of each class one, then in proportion
        wanted = min(len(kind) - 1, max(1, round(share * len(kind))))
        for least in (2, 1):  # images of a class that stay to learn from
            taken = _taken([name for name in kind if name not in held], wanted, classes, left, least)
            held |= taken
            wanted -= len(taken)
    if held:
        return held
    return {next((group[0] for (_, is_good), group in shuffled.items() if is_good), next(iter(shuffled.values()))[0])}


def _taken(
    names: Sequence[str], wanted: int, classes: Mapping[str, set[int]], left: Counter[int], least: int
) -> set[str]:
    """The first `wanted` that leave each of their classes `least` images to learn from; `left` counts down."""
    taken: set[str] = set()
    for name in names:
        if len(taken) < wanted and all(left[value] > least for value in classes[name]):
            left.subtract(classes[name])
            taken.add(name)
    return taken
