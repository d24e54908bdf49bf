"""The centre line of a region: how long a scratch is that bends, and how thick.

Thinning by Guo and Hall (1989), Commun. ACM 32(3), 359; the length is that of the longest way along what is left.
"""

import heapq
import math
from dataclasses import dataclass
from typing import Self

import cv2
import numpy as np
from numpy.typing import NDArray

from casae.inspection.regions import Region

MOST_SIDE = 1024  # px of a bounding box; larger regions, and thicker ones, are looked at on a smaller scale
MOST_RADIUS = 12.0  # px
ROUGHNESS = 0.75  # px that a way along whole pixels strays from a smooth one
WINDOW = 5  # of its points that are averaged
CORNER = 1.7  # times its radius, at most, a corner is away from the middle of the last square in a bar

# Neighbours clockwise from the upper one are the bits of a code, upper = 1, upper right = 2 ...
CODES = np.array([[128, 1, 2], [64, 0, 4], [32, 16, 8]], np.float32)
DIAGONAL = math.sqrt(2)
HALF = ((0, 1, 1.0), (1, 0, 1.0), (1, 1, DIAGONAL), (1, -1, DIAGONAL))
STEPS = (*HALF, *((-down, -across, length) for down, across, length in HALF))

Node = tuple[int, int]
Graph = dict[Node, list[tuple[Node, float]]]


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
        inside = np.pad(region.box().view(np.uint8), 1)
        radius = cv2.distanceTransform(inside, cv2.DIST_L2, cv2.DIST_MASK_PRECISE)
        shrink = math.ceil(max(max(inside.shape) / MOST_SIDE, float(radius.max()) / MOST_RADIUS))
        if shrink > 1:
            inside = np.pad(_smaller(inside, shrink), 1)
            radius = cv2.distanceTransform(inside, cv2.DIST_L2, cv2.DIST_MASK_PRECISE)
        way = _longest_way(_graph(thinned(inside)))
        points = np.array(way, np.float64)
        radii = np.array([radius[node] for node in way], np.float64) - 0.5
        first, last = _end(points, radii), len(way) - 1 - _end(points[::-1], radii[::-1])
        if last - first < 2 * radii.max():
            return None
        points = _smooth(points[first : last + 1])
        ends = [_to_end(inside, points, radii[first]), _to_end(inside, points[::-1], radii[last])]
        points = np.concatenate([ends[:1], points, ends[1:]])
        bends = cv2.approxPolyDP(points.astype(np.float32)[:, None], ROUGHNESS, False)[:, 0]
        length = float(np.linalg.norm(np.diff(bends, axis=0), axis=1).sum())
        chord = float(np.linalg.norm(points[-1] - points[0]))
        grown = shrink - 1  # what `_smaller` adds, on average
        return cls(length * shrink - grown, min(chord, length) * shrink - grown)


def thinned(inside: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Lines one pixel thick in the middle of what is 1, (H, W); its border must be 0."""
    left = inside.copy()
    while True:
        before = int(left.sum())
        for table in TABLES:
            codes = cv2.filter2D(left, -1, CODES)
            left &= cv2.LUT(codes, table)
        if int(left.sum()) == before:
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
    height, width = (-(-side // factor) * factor for side in inside.shape)
    padded = np.zeros((height, width), np.uint8)
    padded[: inside.shape[0], : inside.shape[1]] = inside
    return padded.reshape(height // factor, factor, width // factor, factor).max((1, 3))


def _graph(line: NDArray[np.uint8]) -> Graph:
    rows, columns = np.nonzero(line)
    nodes = list(zip(rows.tolist(), columns.tolist(), strict=True))
    known = set(nodes)
    graph: Graph = {
        (row, column): [
            ((row + down, column + across), length)
            for down, across, length in STEPS
            if (row + down, column + across) in known
        ]
        for row, column in nodes
    }
    _bridge(graph)
    return graph


def _bridge(graph: Graph) -> None:
    """Join what hangs together with the nearest of the rest, until all does."""
    rest = set(graph)
    joined = _reached(graph, next(iter(graph)))
    rest -= joined
    while rest:
        ours, others = np.array(sorted(joined)), np.array(sorted(rest))
        nearest = [int(((ours - other) ** 2).sum(1).argmin()) for other in others]
        gaps = np.linalg.norm(others - ours[nearest], axis=1)
        best = int(gaps.argmin())
        one, other = tuple(ours[nearest[best]].tolist()), tuple(others[best].tolist())
        graph[one].append((other, float(gaps[best])))
        graph[other].append((one, float(gaps[best])))
        more = _reached(graph, other) - joined
        joined |= more
        rest -= more


def _reached(graph: Graph, start: Node) -> set[Node]:
    seen, ahead = {start}, [start]
    while ahead:
        for node, _ in graph[ahead.pop()]:
            if node not in seen:
                seen.add(node)
                ahead.append(node)
    return seen


def _longest_way(graph: Graph) -> list[Node]:
    """Nodes from one end to the other of the longest of all shortest ways; exact where there are no loops."""
    start = next(iter(graph))
    first, _ = _farthest(graph, start)
    return _farthest(graph, first)[1]


def _farthest(graph: Graph, start: Node) -> tuple[Node, list[Node]]:
    """The node farthest from another along the lines, and the way there (Dijkstra 1959)."""
    lengths, before = {start: 0.0}, dict[Node, Node]()
    ahead, last = [(0.0, start)], start
    while ahead:
        length, node = heapq.heappop(ahead)
        if length > lengths[node]:
            continue
        last = node
        for other, step in graph[node]:
            if length + step < lengths.get(other, math.inf):
                lengths[other] = length + step
                before[other] = node
                heapq.heappush(ahead, (length + step, other))
    way = [last]
    while way[-1] != start:
        way.append(before[way[-1]])
    return last, way


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
