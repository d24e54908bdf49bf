"""Draw list `test`: whole groups of pictures, so that nothing judged has a near copy among what is learned."""

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from casae.datasets.sample import Dataset
from casae.errors import DatasetError, UsageError
from casae.labelled.duplicates import Likeness
from casae.labelled.images import load

DRAWS = 300  # of which that one is taken whose parts are most alike
GOOD = "good"  # folder of good pictures, which are of any part
BLOCKS = 20  # of neighbours, where nothing else groups the pictures


@dataclass(frozen=True)
class Split:
    """What was drawn.

    Attributes:
        test: names, sorted.
        groups: how many there were; `by` says what they are.
        by: what groups the pictures, in words.
        classes: label value -> (pictures in test, pictures in all) that show it; 0 is free of defects.
    """

    test: tuple[str, ...]
    groups: int
    by: str
    classes: Mapping[int, tuple[int, int]]


def draw_test(dataset: Dataset, share: float, seed: int = 0, pattern: str | None = None) -> Split:
    """Draw a list `test` of whole groups.

    Groups are what `pattern` finds in the names; else the folders in the names; else neighbours in the order of names,
    which were probably taken one after the other. Copies of each other always are in one group.

    Args:
        dataset: all of it; labelled pictures count.
        share: of the pictures, as near as groups allow.
        seed: of the draw.
        pattern: regular expression; its first group, or all that it finds, names the part that a picture shows.

    Raises:
        UsageError: the pattern is none, or finds nothing in a name.
        DatasetError: all pictures are one group, or every group is too large for the share.
    """
    part = dataset.labelled
    names = [sample.name for sample in part.samples]
    groups, by = _grouped(names, pattern)
    images = load(part)
    copies = Likeness(images).groups(images)
    groups = _merged(groups, copies)
    members: dict[str, list[int]] = {}
    for index, name in enumerate(names):
        members.setdefault(groups[name], []).append(index)
    if len(members) < 2:
        raise DatasetError(f"{dataset.name}: all {len(names)} pictures are one group ({by}); say --group PATTERN")
    shown = [set(np.unique(image.label[image.label > 0]).tolist()) or {0} for image in images]
    chosen = _best(list(members.values()), shown, share, seed)
    if not chosen:
        least = min(map(len, members.values()))
        rule = f"the smallest group ({by}) has {least} of {len(names)} pictures, too many for a share of {share:g}"
        raise DatasetError(f"{dataset.name}: {rule}; say --group for smaller ones, or a larger --share")
    test = tuple(sorted(names[index] for index in chosen))
    total = Counter(value for values in shown for value in values)
    inside = Counter(value for index in chosen for value in shown[index])
    return Split(test, len(members), by, {value: (inside[value], total[value]) for value in sorted(total)})


def _grouped(names: Sequence[str], pattern: str | None) -> tuple[dict[str, str], str]:
    if pattern is not None:
        return {name: _found(pattern, name) for name in names}, f"what {pattern!r} finds in their names"
    folders = {name: name.rpartition("/")[0] for name in names}
    different = set(folders.values())
    if 1 < len(different) < len(names) and different != {"", GOOD}:
        return folders, "their folders"
    size = max(1, -(-len(names) // BLOCKS))
    return {name: str(index // size) for index, name in enumerate(sorted(names))}, f"{size} neighbours by name"


def _found(pattern: str, name: str) -> str:
    try:
        found = re.search(pattern, name)
    except re.error as error:
        raise UsageError(f"--group {pattern}: is no regular expression ({error}); try such as '^[^_]+'") from error
    if found is None:
        raise UsageError(f"--group {pattern}: finds nothing in '{name}'; it must name the part of every picture")
    return found[1] if found.groups() else found[0]


def _merged(groups: Mapping[str, str], copies: Mapping[str, str]) -> dict[str, str]:
    """Groups of which those with copies of each other are one."""
    same: dict[str, str] = {}

    def root(group: str) -> str:
        while group in same:
            group = same[group]
        return group

    first: dict[str, str] = {}
    for name, copy in copies.items():
        if name in groups:
            one, other = root(groups[name]), root(first.setdefault(copy, groups[name]))
            if one != other:
                same[one] = other
    return {name: root(group) for name, group in groups.items()}


def _best(groups: Sequence[Sequence[int]], shown: Sequence[set[int]], share: float, seed: int) -> list[int]:
    """Of `DRAWS` draws of groups, that one in which each class and the good pictures come closest to their share."""
    rng = np.random.default_rng(seed)
    values = sorted(set().union(*shown))
    table = np.array([[value in each for value in values] for each in shown], float)
    totals = table.sum(0)
    best: tuple[float, list[int]] = (float("inf"), [])
    for _ in range(DRAWS):
        chosen: list[int] = []
        for place in rng.permutation(len(groups)):
            more = len(chosen) + len(groups[place])
            if abs(more - share * len(shown)) <= abs(len(chosen) - share * len(shown)) and more < len(shown):
                chosen += groups[place]
        off = np.abs(table[chosen].sum(0) / totals - share).sum() + abs(len(chosen) / len(shown) - share)
        if off < best[0]:
            best = float(off), chosen
    return best[1]
