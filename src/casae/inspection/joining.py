"""Pieces of one defect that a network leaves apart: a broken scratch is one scratch."""

from collections.abc import Sequence

import numpy as np

from casae.inspection.distances import Outline, distances
from casae.inspection.regions import Region

Named = tuple[str, float, Region]
"""Class, probability, pixels."""


def join(found: Sequence[Named], gap_px: float) -> list[Named]:
    """Regions of one class at most so far apart become one, directly or over others; largest first.

    A joined one is as sure of its class as its pieces are on average, by their area.
    """
    if not gap_px:
        return list(found)
    group = list(range(len(found)))
    for name in {name for name, _, _ in found}:
        members = [index for index, each in enumerate(found) if each[0] == name]
        gaps = distances([Outline(found[index][2].outlines) for index in members], gap_px)
        for one, other in np.argwhere(np.isfinite(gaps)).tolist():
            here, there = sorted((group[members[one]], group[members[other]]))
            group = [here if each == there else each for each in group]
    joined = [_one([each for each, own in zip(found, group, strict=True) if own == number]) for number in set(group)]
    return sorted(joined, key=lambda each: (-each[2].area, each[2].offset[1], each[2].offset[0]))


def _one(pieces: Sequence[Named]) -> Named:
    areas = [region.area for _, _, region in pieces]
    probability = sum(area * sure for area, (_, sure, _) in zip(areas, pieces, strict=True)) / sum(areas)
    return pieces[0][0], round(probability, 4), Region.joined([region for _, _, region in pieces])
