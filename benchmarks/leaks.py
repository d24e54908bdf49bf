"""Copies in public sets: pictures that stand in both lists of a set, or in two sets, turned, mirrored or renamed.

    python benchmarks/leaks.py neu-seg:PATH                            # training against test, groups of copies
    python benchmarks/leaks.py neu-seg:PATH --groups FILE --clean FOLDER
    python benchmarks/leaks.py neu-seg:PATH sd-saliency-900:PATH       # the second set in the first

Copies are found by grain (`casae.labelled.duplicates`), then confirmed by the correlation of the whole pictures.
"""

import argparse
from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np

from casae.datasets.registry import open_dataset
from casae.datasets.sample import Dataset
from casae.decoding import read_image
from casae.image import Image, to_gray
from casae.inspection.grain import TURNS, Fingerprints, turned
from casae.labelled.duplicates import Likeness
from casae.labelled.images import LabelledImage

SURE = 0.97  # correlation of two pictures, one of them turned


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("dataset")
    parser.add_argument("other", nargs="?", help="set that is looked for in the first")
    parser.add_argument("--groups", type=Path, help="write names, a group of copies a line")
    parser.add_argument("--clean", type=Path, help="write train-clean.txt and test-clean.txt here, cut by group")
    wanted = parser.parse_args()
    data = open_dataset(wanted.dataset)
    pictures = _pictures(data)
    likeness = Likeness(pictures)
    if wanted.other:
        _across(open_dataset(wanted.other), pictures, likeness)
        return
    copies = {picture.name: set(likeness.copies_of(picture.gray, picture.name)) for picture in pictures}
    for name, others in list(copies.items()):
        for other in others:
            copies[other].add(name)
    _within(data, pictures, copies)
    groups = _groups(copies)
    sizes = Counter(map(len, groups))
    print(f"{len(groups)} different pictures: " + ", ".join(f"{n} x {size}" for size, n in sorted(sizes.items())))
    if wanted.groups:
        wanted.groups.write_text("".join(" ".join(group) + "\n" for group in groups if len(group) > 1), "utf-8")
    if wanted.clean:
        _write_clean(data, groups, wanted.clean)


def _pictures(data: Dataset) -> list[LabelledImage]:
    """With no labels, which nobody looks at."""
    grays = ((sample.name, to_gray(read_image(sample.image))) for sample in data.samples)
    return [LabelledImage(name, gray, np.zeros((1, 1), np.uint8)) for name, gray in grays]


def _within(data: Dataset, pictures: Sequence[LabelledImage], copies: dict[str, set[str]]) -> None:
    gray = {picture.name: picture.gray for picture in pictures}
    train = set(data.splits["train"])
    found = sure = 0
    for name in data.splits["test"]:
        learned = [other for other in copies[name] if other in train]
        found += bool(learned)
        sure += any(_correlation(gray[name], gray[other]) > SURE for other in learned)
    total = len(data.splits["test"])
    print(f"{found} of {total} pictures of 'test' are copies of 'train'; correlation over {SURE}: {sure}")


def _across(other: Dataset, pictures: Sequence[LabelledImage], likeness: Likeness) -> None:
    gray = {picture.name: picture.gray for picture in pictures}
    found = sure = 0
    theirs = _pictures(other)
    for picture in theirs:
        same = likeness.copies_of(picture.gray)
        found += bool(same)
        sure += any(_correlation(picture.gray, gray[name]) > SURE for name in same)
    print(f"{found} of {len(theirs)} pictures of the second set are in the first; correlation over {SURE}: {sure}")
    learned = Fingerprints.of(gray.values())
    known = sum(learned.knows(picture.gray) for picture in theirs)
    print(f"fingerprints of the first set know {known} of them")


def _correlation(one: Image, other: Image) -> float:
    """The largest over all positions of the second picture that have the shape of the first."""
    seen = (turned(other, turn) for turn in range(TURNS))
    alike = (each for each in seen if each.shape == one.shape)
    return max((float(np.corrcoef(one.ravel(), each.ravel())[0, 1]) for each in alike), default=0.0)


def _groups(copies: dict[str, set[str]]) -> list[list[str]]:
    """Pictures that are copies of each other, also by way of a third one; sorted."""
    groups: list[list[str]] = []
    left = dict.fromkeys(sorted(copies))
    while left:
        group, reached = set(), [next(iter(left))]
        while reached:
            name = reached.pop()
            if name not in group:
                group.add(name)
                reached += sorted(copies[name])
        groups.append(sorted(group))
        for name in group:
            left.pop(name, None)
    return groups


def _write_clean(data: Dataset, groups: Sequence[Sequence[str]], folder: Path) -> None:
    """Whole groups, drawn by seed 0 until 'test-clean' has as many pictures as 'test'."""
    judged: set[str] = set()
    for index in np.random.default_rng(0).permutation(len(groups)):
        if len(judged) + len(groups[index]) <= len(data.splits["test"]):
            judged.update(groups[index])
    learned = {sample.name for sample in data.samples} - judged
    folder.mkdir(parents=True, exist_ok=True)
    _write(folder / "train-clean.txt", learned)
    _write(folder / "test-clean.txt", judged)


def _write(file: Path, names: Iterable[str]) -> None:
    file.write_text("".join(f"{name}\n" for name in sorted(names)), "utf-8")


if __name__ == "__main__":
    main()
