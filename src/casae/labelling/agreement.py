"""How well two people agree who labelled the same pictures, region by region."""

from collections.abc import Iterable
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from casae.metrics import Counts

Values = NDArray[np.uint8]


@dataclass(frozen=True)
class Pair:
    """A region of one label and what the other one has there.

    Attributes:
        picture: name.
        first, second: label values of both; 0 where one has nothing.
        iou: of the region and all regions of the other label that touch it; 0 where none does.
        x, y, width, height: of both together, px.
    """

    picture: str
    first: int
    second: int
    iou: float
    x: int
    y: int
    width: int
    height: int


@dataclass(frozen=True)
class Agreement:
    """Of pictures that two labelled.

    Attributes:
        pictures: how many.
        iou: of all defective pixels; None where neither has one.
        same_class: share of the pairs, found by both, that have one class; None without such pairs.
        pairs: the worst ones first.
    """

    pictures: int
    iou: float | None
    same_class: float | None
    pairs: tuple[Pair, ...]


def agreement(labelled: Iterable[tuple[str, Values, Values]]) -> Agreement:
    """Compare labels of two people.

    Args:
        labelled: name of a picture, and its two labels (H, W).
    """
    total, pictures, pairs = Counts(0, 0, 0, 0), 0, list[Pair]()
    for picture, first, second in labelled:
        pictures += 1
        total += Counts.of(second > 0, first > 0)
        pairs += _pairs(picture, first, second)
    both = [pair for pair in pairs if pair.first and pair.second]
    return Agreement(
        pictures,
        total.iou if total.tp + total.fp + total.fn else None,
        sum(pair.first == pair.second for pair in both) / len(both) if both else None,
        tuple(sorted(pairs, key=lambda pair: (pair.first == pair.second, pair.iou))),
    )


def _pairs(picture: str, first: Values, second: Values) -> list[Pair]:
    """Regions that touch, in either label, are one pair: pixels of the union that hang together."""
    count, parts, boxes, _ = cv2.connectedComponentsWithStats(((first > 0) | (second > 0)).astype(np.uint8))
    found = []
    for number in range(1, count):
        x, y, width, height = (int(value) for value in boxes[number, :4])
        at = slice(y, y + height), slice(x, x + width)
        here = parts[at] == number
        one, other = first[at] * here, second[at] * here
        both = np.count_nonzero((one > 0) & (other > 0))
        iou = both / int(np.count_nonzero(here))
        found.append(Pair(picture, _most(one), _most(other), iou, x, y, width, height))
    return found


def _most(values: Values) -> int:
    """The value of most defective pixels; 0 without one."""
    counts = np.bincount(values.ravel(), minlength=256)
    counts[0] = 0
    return int(counts.argmax()) if counts.any() else 0
