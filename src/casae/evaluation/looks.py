"""What more looks at a picture bring on labelled images, and what they cost in time."""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import get_args

import numpy as np

from casae.config import InspectionSettings, Looks
from casae.datasets.sample import Dataset
from casae.errors import DatasetError, ImageError
from casae.inspection.inspector import Inspector
from casae.metrics import Counts, iou_gain

MOST_IMAGES = 64
LONGEST = 30.0  # s, after which no more looks are tried
WARM_UP = 2  # inspections whose time does not count


@dataclass(frozen=True)
class Looking:
    """So many looks at each picture.

    Attributes:
        looks: how many.
        gain: IoU of all pixels less that of one look.
        error: its standard error; infinite where nothing tells.
        milliseconds: 95th percentile of an inspection, from file to verdict.
    """

    looks: Looks
    gain: float
    error: float
    milliseconds: float

    @property
    def harms(self) -> bool:
        """Whether it is worse than one look, by more than chance: the direction in which this part lies matters."""
        return self.gain < -self.error

    def __str__(self) -> str:
        return f"{self.looks}: {100 * self.gain:+.1f} points, {self.milliseconds:.0f} ms"


def try_looks(model: str | Path, part: Dataset, done: Callable[[], object] = lambda: None) -> list[Looking]:
    """Inspect labelled images with one look, then with more.

    Args:
        model: a .casae file, or the name of a shipped model.
        part: at most `MOST_IMAGES` of it are inspected, evenly chosen.
        done: called after each inspection.

    Returns:
        One look first; fewer than all where they take longer than `LONGEST`, nothing where no image can be read.
    """
    samples = part.labelled.samples
    places = np.linspace(0, len(samples) - 1, min(MOST_IMAGES, len(samples))).round().astype(int)
    chosen = [samples[place] for place in places]
    tried: list[Looking] = []
    first: list[Counts] = []
    began = time.monotonic()
    for looks in get_args(Looks):
        if time.monotonic() - began > LONGEST:
            break
        inspector = Inspector(model, InspectionSettings(looks=looks))
        counts, times = [], []
        for sample in chosen:
            start = time.perf_counter()
            try:
                inspection = inspector.inspect(sample.image)
                times.append(1000 * (time.perf_counter() - start))
                label = sample.draw(inspection.mask.shape, len(part.classes))
            except (ImageError, DatasetError):
                continue
            counts.append(Counts.of(inspection.mask, label > 0))
            done()
        if not counts:
            break
        first = first or counts
        gain, error = iou_gain(first, counts)
        taken = float(np.percentile(times[WARM_UP:] or times, 95))
        tried.append(Looking(looks, gain, error, taken))
    return tried


def most_within(tried: Sequence[Looking], cycle_ms: float) -> Looks:
    """The most looks that fit into a cycle and do not harm; one where none do."""
    fitting = [each.looks for each in tried if each.milliseconds <= cycle_ms and not each.harms]
    return max(fitting, default=1)
