"""Two models on the same labelled pictures: who wins where."""

from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from casae.datasets.sample import Dataset
from casae.errors import DatasetError
from casae.evaluation.scores import Evaluation, ImageScore, evaluate
from casae.image import Image
from casae.inspection.inspector import Inspector
from casae.labelled.show import drawn
from casae.metrics import FEWEST_IMAGES, Interval

EQUAL = 0.005  # of IoU; less is no difference
DRAWS = 2000  # of the bootstrap
BOTH, FIRST, SECOND = 1, 2, 3  # values of what is drawn


@dataclass(frozen=True)
class Compared:
    """One picture under both models.

    Attributes:
        first, second: scores of each.
    """

    first: ImageScore
    second: ImageScore

    @property
    def gain(self) -> float:
        """IoU of the second model less that of the first; without a defect, by whether anything was found."""
        return _quality(self.second) - _quality(self.first)


@dataclass(frozen=True)
class Comparison:
    """Two models on the same pictures.

    Attributes:
        first, second: their evaluations.
        pairs: the pictures, those first in which the second model gains most.
        gain: IoU of all pixels, second less first, with its 95 % interval (bootstrap over pictures); of few pictures
            there is none.
    """

    first: Evaluation
    second: Evaluation
    pairs: tuple[Compared, ...]
    gain: Interval

    @property
    def wins(self) -> tuple[int, int, int]:
        """Pictures in which the first model is better, both are alike, the second is better."""
        gains = [pair.gain for pair in self.pairs]
        return sum(g < -EQUAL for g in gains), sum(abs(g) <= EQUAL for g in gains), sum(g > EQUAL for g in gains)

    @property
    def learned(self) -> tuple[int, int]:
        """How many of the pictures, or their copies, each model has learned: by these it is judged too well."""
        return sum(bool(pair.first.learned) for pair in self.pairs), sum(bool(p.second.learned) for p in self.pairs)

    def scores(self, seed: int = 0) -> dict[str, tuple[Interval, Interval]]:
        """Each score of both models; without a value where a model does not tell."""
        one, two = self.first.scores(seed), self.second.scores(seed)
        return {name: (one.get(name, Interval(None)), two.get(name, Interval(None))) for name in {**one, **two}}

    def to_dict(self, seed: int = 0) -> dict[str, Any]:
        """Scores with intervals, wins, and every picture, as JSON has it."""
        return {
            "scores": {name: [asdict(one), asdict(two)] for name, (one, two) in self.scores(seed).items()},
            "wins": dict(zip(("first", "alike", "second"), self.wins, strict=True)),
            "learned": dict(zip(("first", "second"), self.learned, strict=True)),
            "gain": {"value": self.gain.value, "low": self.gain.low, "high": self.gain.high},
            "pictures": [
                {
                    "name": pair.first.name,
                    "gain": round(pair.gain, 4),
                    "iou": [_quality(pair.first), _quality(pair.second)],
                }
                for pair in self.pairs
            ],
        }


def compare(
    first: Inspector,
    second: Inspector,
    part: Dataset,
    seed: int = 0,
    done: Callable[[object], object] = lambda score: None,
) -> Comparison:
    """Judge two models on a part of a dataset.

    Args:
        first: that is in use, say.
        second: that may take its place.
        part: already cut to the split to judge on.
        seed: of the bootstrap.
        done: called after each picture, once a model.

    Raises:
        DatasetError: a model has other classes than the dataset, or nothing can be judged.
    """
    one, two = evaluate(first, part, done), evaluate(second, part, done)
    by_name = {score.name: score for score in two.images}
    pairs = [Compared(score, by_name[score.name]) for score in one.images if score.name in by_name]
    if not pairs:
        raise DatasetError(f"{part.name}: no picture was judged by both models; check them with casae evaluate")
    counts = np.array([[_pixels(pair.first), _pixels(pair.second)] for pair in pairs], np.float64)
    return Comparison(one, two, tuple(sorted(pairs, key=lambda pair: -pair.gain)), _gain(counts, seed))


def difference(image: Image, first: NDArray[np.bool_], second: NDArray[np.bool_]) -> NDArray[np.uint8]:
    """A picture (H, W) or (H, W, 3) with what both found, what only the first and what only the second did."""
    found = np.select([first & second, first, second], [BOTH, FIRST, SECOND], 0).astype(np.uint8)
    return drawn(image, found)


def _quality(score: ImageScore) -> float:
    if score.pixels.tp + score.pixels.fn:
        return score.pixels.iou
    return 0.0 if score.found_regions else 1.0


def _pixels(score: ImageScore) -> tuple[int, int]:
    return score.pixels.tp, score.pixels.tp + score.pixels.fp + score.pixels.fn


def _gain(counts: NDArray[np.float64], seed: int) -> Interval:
    """IoU of the second model less that of the first, from pixels (pictures, models, right and all)."""
    first, second = _iou(counts.sum(0))
    gain = float(second - first)
    if len(counts) < FEWEST_IMAGES:
        return Interval(gain)
    rng = np.random.default_rng(seed)
    draws = [_iou(counts[rng.integers(len(counts), size=len(counts))].sum(0)) for _ in range(DRAWS)]
    low, high = np.quantile(np.subtract(*np.transpose(draws)[::-1]), [0.025, 0.975])
    return Interval(gain, float(low), float(high))


def _iou(counts: NDArray[np.float64]) -> NDArray[np.float64]:
    return counts[:, 0] / np.maximum(counts[:, 1], 1)
