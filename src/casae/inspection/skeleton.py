"""The centre line of a region: how long a scratch is that bends, and how thick.

Thinning by Guo and Hall (1989), Commun. ACM 32(3), 359; the length is that of the longest way along what is left.
"""

import math
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Self

import cv2
import numpy as np
from numpy.typing import NDArray

from casae.inspection.regions import Region

MOST_SIDE = 256  # px of a bounding box; larger regions, and thicker ones, are looked at on a smaller scale
MOST_THICKNESS = 6.0  # px
COMPACT = 3.0  # times as long as thick, by area and perimeter: of a bar, twice as long as wide
ROUGHNESS = 0.75  # px that a way along whole pixels strays from a smooth one
WINDOW = 5  # of its points that are averaged
NEIGHBOURS = 4  # pixels at an end of a way that touch it anyhow
CORNER = 1.7  # times its radius, at most, a corner is away from the middle of the last square in a bar

# Neighbours clockwise from the upper one are the bits of a code, upper = 1, upper right = 2 ...
CODES = np.array([[128, 1, 2], [64, 0, 4], [32, 16, 8]], np.float32)

Bridges = dict[int, list[int]]
"""Pixel -> pixels of other pieces that it is joined with, each by its place in the raveled image."""


@dataclass(frozen=True)
class CentreLine:
    """The longest way through a region, in its own pixels.

    Attributes:
        length: along it, from one end of the region to the other, px.
        chord: from one end to the other as the crow flies, px.
    """

    length: float
    chord: float

    @classmethod
    def of(cls, region: Region) -> Self | None:
        """Thin a region, pieces of a joined one bridged where they are closest; None where there is no line in it."""
        thickness = 2 * region.area / max(region.perimeter, 1)
        if region.rectangle.length < COMPACT * thickness:
            return None
        inside = region.box().view(np.uint8)
        shrink = math.ceil(max(max(inside.shape) / MOST_SIDE, thickness / MOST_THICKNESS))
        inside = np.pad(_smaller(inside, shrink), 1)
        radius = cv2.distanceTransform(inside, cv2.DIST_L2, cv2.DIST_MASK_PRECISE)
        points, begins, ends = _longest_way(thinned(inside), len(region.boundaries) > 1, region.holes > 0)
        radii = radius[tuple(points.astype(np.intp).T)].astype(np.float64) - 0.5
        first = _end(points, radii) if begins else 0
        last = len(points) - 1 - (_end(points[::-1], radii[::-1]) if ends else 0)
        if last - first < 2 * radii.max():
            return None
        smooth = _smooth(points[first : last + 1])
        before = [_to_end(inside, smooth, radii[first])] if begins else []
        after = [_to_end(inside, smooth[::-1], radii[last])] if ends else []
        points = np.array([*before, *smooth, *after])
        middle = len(points) // 2  # halves: a ring's ends are one point, from which nothing can be straight
        length = _length(points[: middle + 1]) + _length(points[middle:])
        chord = float(np.linalg.norm(points[-1] - points[0]))
        grown = shrink - 1  # what `_smaller` adds, on average
        return cls(length * shrink - grown, max(0.0, min(chord, length) * shrink - grown))


def _length(points: NDArray[np.float64]) -> float:
    """Along a way (N, 2), without the steps of its pixels."""
    bends = cv2.approxPolyDP(points.astype(np.float32)[:, None], ROUGHNESS, False)[:, 0]
    return float(np.linalg.norm(np.diff(bends, axis=0), axis=1).sum())


def thinned(inside: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Lines one pixel thick in the middle of what is 1, (H, W); its border must be 0."""
    left = inside.copy()
    while True:
        before = cv2.countNonZero(left)
        for table in TABLES:
            codes = cv2.filter2D(left, -1, CODES)
            left &= cv2.LUT(codes, table)
        if cv2.countNonZero(left) == before:
            return left


def _may_go(code: int, second: bool) -> bool:
    """Whether a pixel with these neighbours goes in the first or the second half of a round."""
    n, ne, e, se, s, sw, w, nw = (bool(code >> bit & 1) for bit in range(8))
    groups = (not n and (ne or e)) + (not e and (se or s)) + (not s and (sw or w)) + (not w and (nw or n))
    pairs = min((nw or n) + (ne or e) + (se or s) + (sw or w), (n or ne) + (e or se) + (s or sw) + (w or nw))
    side = (n or ne or not se) and e if second else (s or sw or not nw) and w
    return groups == 1 and 2 <= pairs <= 3 and not side


TABLES = [np.array([not _may_go(code, second) for code in range(256)], np.uint8) for second in (False, True)]


def _smaller(inside: NDArray[np.uint8], factor: int) -> NDArray[np.uint8]:
    """1 where any pixel of a square of `factor` px was, so that nothing thin is torn."""
    if factor == 1:
        return inside
    square = np.ones((factor, factor), np.uint8)
    return np.ascontiguousarray(cv2.dilate(inside, square, anchor=(0, 0), borderValue=0)[::factor, ::factor])


def _longest_way(line: NDArray[np.uint8], bridged: bool, looped: bool) -> tuple[NDArray[np.float64], bool, bool]:
    """Pixels (N, 2), row and column, from one end to the other of the longest of all shortest ways, in steps.

    Where it leads into a loop it goes on round it, and comes back to a pixel of its own.

    Args:
        line: thinned, (H, W); its border is 0.
        bridged: there may be several pieces, which are joined where they are closest.
        looped: there may be loops.

    Returns:
        The pixels; whether the way begins at an end of the line, and whether it ends at one.
    """
    width = line.shape[1]
    nodes = set(np.flatnonzero(line).tolist())
    steps = (1, -1, width, -width, width + 1, width - 1, 1 - width, -width - 1)
    bridges = _bridges(nodes, steps, width) if bridged else {}
    first = _way(next(iter(nodes)), nodes, steps, bridges)[0]
    way = _way(first, nodes, steps, bridges)
    on = _round(way, nodes, steps) if looped else []
    before = _round(way[::-1], nodes - set(on), steps) if looped and on[-1:] != way[:1] else []
    is_ring = on[-1:] == way[:1]
    places = np.array([*before[::-1], *way, *on])
    points = np.stack([places // width, places % width], axis=1).astype(np.float64)
    return points, not before and not is_ring, not on


def _round(way: Sequence[int], nodes: set[int], steps: Sequence[int]) -> list[int]:
    """How a way goes on where it ends within a loop: over other pixels, the farthest way, to one of its own."""
    place = {node: index for index, node in enumerate(way)}
    before, unseen = {way[-1]: way[-1]}, nodes - set(way)
    ahead = deque([way[-1]])
    on: tuple[int, int] | None = None
    while ahead:
        node = ahead.popleft()
        near = [node + step for step in steps]
        own = min((place[each] for each in near if each in place), default=len(way))
        if node != way[-1] and own < len(way) - NEIGHBOURS:  # later ones are farther from the end
            on = node, 0 if own < NEIGHBOURS else own
        for each in sorted(unseen.intersection(near)):
            unseen.remove(each)
            before[each] = node
            ahead.append(each)
    if on is None:
        return []
    node, own = on
    found = [way[own]]
    while node != way[-1]:
        found.append(node)
        node = before[node]
    return [*found[:0:-1], found[0]]


def _way(start: int, nodes: set[int], steps: Sequence[int], bridges: Bridges) -> list[int]:
    """From what is farthest from a node back to it, in the fewest steps."""
    before, unseen = {start: start}, nodes - {start}
    ahead = deque([start])
    node = start
    while ahead:
        node = ahead.popleft()
        near = unseen.intersection([node + step for step in steps])
        if node in bridges:
            near |= unseen.intersection(bridges[node])
        if near:
            unseen -= near
            before.update(dict.fromkeys(near, node))
            ahead.extend(sorted(near))
    way = [node]
    while way[-1] != start:
        way.append(before[way[-1]])
    return way


def _bridges(nodes: set[int], steps: Sequence[int], width: int) -> Bridges:
    """Steps from piece to piece: what hangs together is joined with the nearest of the rest, until all does."""
    bridges: Bridges = {}
    joined = _reached(next(iter(nodes)), nodes, steps)
    rest = nodes - joined
    while rest:
        ours, others = np.array(sorted(joined)), np.array(sorted(rest))
        places = np.stack([ours // width, ours % width], axis=1)
        targets = np.stack([others // width, others % width], axis=1)
        gaps = [((places - target) ** 2).sum(1) for target in targets]
        best = int(np.argmin([gap.min() for gap in gaps]))
        one, other = int(ours[gaps[best].argmin()]), int(others[best])
        bridges.setdefault(one, []).append(other)
        bridges.setdefault(other, []).append(one)
        more = _reached(other, nodes, steps)
        joined |= more
        rest -= more
    return bridges


def _reached(start: int, nodes: set[int], steps: Sequence[int]) -> set[int]:
    seen, ahead = {start}, [start]
    while ahead:
        node = ahead.pop()
        more = {node + step for step in steps} & nodes - seen
        seen |= more
        ahead += more
    return seen


def _end(points: NDArray[np.float64], radii: NDArray[np.float64]) -> int:
    """Index of the last point whose disc, or the square around it, holds the first one.

    Thinning leads into the corners of a bar; from there the bar ends as far away as it is half as wide.
    """
    apart = np.linalg.norm(points - points[0], axis=1)
    return int(np.flatnonzero(apart <= CORNER * radii)[-1])


def _smooth(points: NDArray[np.float64]) -> NDArray[np.float64]:
    """Means of `WINDOW` neighbours, fewer towards the ends, which stay."""
    sums = np.cumsum(np.concatenate([np.zeros((1, 2)), points]), axis=0)
    at = np.arange(len(points))
    reach = np.minimum(np.minimum(at, at[::-1]), WINDOW // 2)
    return (sums[at + reach + 1] - sums[at - reach]) / (2 * reach + 1)[:, None]


def _to_end(inside: NDArray[np.uint8], points: NDArray[np.float64], radius: float) -> NDArray[np.float64]:
    """Where the region ends straight on from the first point, as the way comes there."""
    arrival = points[min(len(points) - 1, math.ceil(2 * radius) + WINDOW)]
    direction = (points[0] - arrival) / np.linalg.norm(points[0] - arrival)
    ahead = np.arange(0, 3 * radius + 2, 0.125)
    ray = points[0] + ahead[:, None] * direction
    across, down = ray[:, 1].astype(np.float32), ray[:, 0].astype(np.float32)
    is_out = cv2.remap(inside.astype(np.float32), across, down, cv2.INTER_LINEAR).ravel() <= 0.5
    return points[0] + (ahead[int(is_out.argmax())] if is_out.any() else radius) * direction
