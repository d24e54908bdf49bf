"""What more looks at a picture bring on labelled images, and what they cost in time."""

import math
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import get_args

import numpy as np

from casae.config import InspectionSettings, Looks
from casae.datasets.sample import Dataset, Sample
from casae.errors import DatasetError, ImageError, UsageError
from casae.inspection.inspector import Inspector
from casae.metrics import Counts, iou_gain

MOST_IMAGES, FEWEST = 64, 4
LONGEST = 30.0  # s, about, that all looks take together


@dataclass(frozen=True)
class Looking:
    """So many looks at each picture.

    Attributes:
        looks: how many.
        gain: IoU of all pixels less that of one look; None without a defect to judge by.
        error: its standard error; infinite where nothing tells.
        milliseconds: 95th percentile of an inspection, from file to verdict.
        false_regions: findings of an image that touch no label, mean.
    """

    looks: Looks
    gain: float | None
    error: float
    milliseconds: float
    false_regions: float

    @property
    def tells(self) -> bool:
        """Whether enough defective images were judged to tell a gain from chance."""
        return self.gain is not None and math.isfinite(self.error)

    @property
    def harms(self) -> bool:
        """Whether it is worse than one look, by more than chance: the direction in which this part lies matters."""
        return self.gain is not None and self.gain < -self.error

    def __str__(self) -> str:
        false = f"{self.false_regions:.2f} false findings a picture"
        points = "" if self.gain is None else f"{100 * self.gain:+.1f} points, "
        return f"{self.looks}: {points}{false}, {self.milliseconds:.0f} ms"


def check_looks(looks: int | None, cycle_ms: float | None) -> None:
    """Whether both say together how often to look.

    Raises:
        UsageError: they do not.
    """
    if looks is not None and looks not in get_args(Looks):
        raise UsageError(f"--looks {looks}: must be {', '.join(map(str, get_args(Looks)))}")
    if looks is not None and cycle_ms is not None:
        raise UsageError("--looks and --cycle-ms: both say how often to look; leave one out")
    if cycle_ms is not None and not cycle_ms > 0:
        raise UsageError(f"--cycle-ms {cycle_ms:g}: must be milliseconds above 0")


def try_looks(model: str | Path, part: Dataset, done: Callable[[], object] = lambda: None) -> list[Looking]:
    """Inspect labelled images with one look, then with more.

    Args:
        model: a .casae file, or the name of a shipped model.
        part: of which so many images are inspected, evenly chosen, as take about `LONGEST`, `MOST_IMAGES` at most.
        done: called after each number of looks.

    Returns:
        One look first; fewer than all where they take longer, nothing where no image can be read.
    """
    samples = part.labelled.samples
    tried: list[Looking] = []
    first: list[Counts] = []
    began, count = time.monotonic(), min(MOST_IMAGES, len(samples))
    for looks in get_args(Looks):
        if time.monotonic() - began > LONGEST:
            break
        inspector = Inspector(model, InspectionSettings(looks=looks))
        seconds = _warm_up(inspector, samples)
        if not tried:
            count = min(count, max(FEWEST, int(LONGEST / max(seconds * sum(get_args(Looks)), 1e-6))))
        counts, false, times = _inspected(inspector, _drawn(samples, count, len(part.classes)), len(part.classes))
        if not counts:
            break
        first = first or counts
        gain, error = iou_gain(first, counts)
        known = gain if any(each.tp + each.fn for each in first) else None
        tried.append(Looking(looks, known, error, float(np.percentile(times, 95)), float(np.mean(false))))
        done()
    return tried


def _drawn(samples: Sequence[Sample], count: int, classes: int) -> list[Sample]:
    """So many, evenly chosen: half of them with a defect, as far as there are, because those tell most."""
    bad = [sample for sample in samples if sample.label and sample.label.present(classes)]
    good = [sample for sample in samples if sample not in bad]
    chosen = _evenly(bad, max(-(-count // 2), count - len(good)))
    return chosen + _evenly(good, count - len(chosen))


def _evenly(samples: Sequence[Sample], count: int) -> list[Sample]:
    places = np.linspace(0, len(samples) - 1, min(count, len(samples)))
    return [samples[place] for place in places.round().astype(int)]


def _warm_up(inspector: Inspector, samples: Sequence[Sample]) -> float:
    """Seconds of an inspection once its networks are compiled."""
    began = time.perf_counter()
    for sample in (*samples[:1], *samples[:1]):
        began = time.perf_counter()
        with suppress(ImageError):
            inspector.inspect(sample.image)
    return time.perf_counter() - began


def _inspected(
    inspector: Inspector, samples: Sequence[Sample], classes: int
) -> tuple[list[Counts], list[int], list[float]]:
    """Pixels of each image that can be read, its false findings, and milliseconds of its inspection."""
    counts, false, times = [], [], []
    for sample in samples:
        start = time.perf_counter()
        try:
            inspection = inspector.inspect(sample.image)
            taken = 1000 * (time.perf_counter() - start)
            label = sample.draw(inspection.mask.shape, classes)
        except (ImageError, DatasetError):
            continue
        times.append(taken)
        counts.append(Counts.of(inspection.mask, label > 0))
        found = inspector.find(inspection.probability).regions
        false.append(sum(not label[region.at].any() for region in found))
    return counts, false, times


def most_within(tried: Sequence[Looking], cycle_ms: float) -> Looks:
    """The most looks that fit into a cycle and do not harm; one where none do."""
    fitting = [each.looks for each in tried if each.milliseconds <= cycle_ms and not each.harms]
    return max(fitting, default=1)
