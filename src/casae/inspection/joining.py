"""Pieces of one defect that a network leaves apart: a broken scratch is one scratch."""

from collections.abc import Sequence

from casae.inspection.classification import Named
from casae.inspection.distances import Outline, together
from casae.inspection.regions import Region


def join(found: Sequence[Named], gap_px: float) -> list[Named]:
    """Regions of one class at most so far apart become one, directly or over others; largest first.

    A joined one is as sure of its class as its pieces are on average, by their area, and as unlike learned defects as
    the most unlike of them.
    """
    if not gap_px:
        return list(found)
    groups: dict[tuple[str, int], list[Named]] = {}
    for name in dict.fromkeys(each.name for each in found):
        members = [each for each in found if each.name == name]
        firsts = together([Outline(each.region.outlines) for each in members], gap_px)
        for each, first in zip(members, firsts, strict=True):
            groups.setdefault((name, first), []).append(each)
    joined = [_one(pieces) for pieces in groups.values()]
    return sorted(joined, key=lambda each: (-each.region.area, each.region.offset[1], each.region.offset[0]))


def _one(pieces: Sequence[Named]) -> Named:
    areas = [piece.region.area for piece in pieces]
    probability = sum(area * piece.probability for area, piece in zip(areas, pieces, strict=True)) / sum(areas)
    region = Region.joined([piece.region for piece in pieces])
    novelty = max((piece.novelty for piece in pieces if piece.novelty is not None), default=None)
    return pieces[0]._replace(probability=round(probability, 4), region=region, novelty=novelty)
