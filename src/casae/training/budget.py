"""How far a training is: by steps where epochs were asked for, by the clock where minutes were."""

import math
import time
from dataclasses import dataclass, field

WARM_UP = 0.2  # part of the one-cycle schedule in which the learning rate rises
FLOOR = 0.01  # of the peak learning rate


@dataclass
class Budget:
    """Either `steps` or `seconds` is given.

    Attributes:
        spent: seconds used so far, kept across an interruption.
        step: optimiser steps taken so far.
    """

    steps: int | None = None
    seconds: float | None = None
    spent: float = 0.0
    step: int = 0
    _since: float = field(default_factory=time.monotonic, repr=False)
    _hurry: tuple[float, float, float] | None = field(default=None, repr=False)  # spent, progress, seconds from there

    def start(self) -> None:
        """Let the clock run from here."""
        self._since = time.monotonic()

    def advance(self) -> None:
        """Count one step and the time since the last one."""
        now = time.monotonic()
        self.spent, self._since, self.step = self.spent + now - self._since, now, self.step + 1

    def hurry(self, seconds: float) -> None:
        """Go through what is left in so many seconds, if that is sooner."""
        left = self.remaining_seconds
        if left is None or left > seconds:
            self._hurry = (self.spent, self.progress, seconds)

    @property
    def progress(self) -> float:
        """0 at the start, 1 when the budget is used up."""
        if self._hurry is not None:
            spent, progress, seconds = self._hurry
            return min(1.0, progress + (1 - progress) * (self.spent - spent) / seconds)
        if self.seconds is not None:
            return min(1.0, self.spent / self.seconds)
        return min(1.0, self.step / (self.steps or 1))

    @property
    def remaining_seconds(self) -> float | None:
        """Estimated time to the end, None before there is anything to judge by."""
        if self._hurry is not None:
            spent, _, seconds = self._hurry
            return max(0.0, spent + seconds - self.spent)
        return self.spent * (1 / self.progress - 1) if self.progress > 0 else None


def one_cycle(progress: float) -> float:
    """Factor on the peak learning rate: linear rise, cosine fall (Smith 2018).

    >>> one_cycle(WARM_UP), round(one_cycle(1.0), 3)
    (1.0, 0.01)
    """
    if progress < WARM_UP:
        return max(FLOOR, progress / WARM_UP)
    return max(FLOOR, (1 + math.cos(math.pi * (progress - WARM_UP) / (1 - WARM_UP))) / 2)
