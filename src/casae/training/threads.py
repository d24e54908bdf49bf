"""How many processor threads a training step takes.

The threads of a layer wait for each other at its end, actively, because that is fastest. Where another program keeps a
core busy, one of them has no core to run on and all wait for it, thousands of times a step: then fewer threads are
faster. So where the clock counts, it is tried now and then. A training by epochs keeps the number, as its result
depends on it in the last digits.
"""

import statistics

import torch

PAUSE = 30.0  # s between two looks at the pace, at least
TRIED = 6  # steps with each number of threads; the first of them does not count
BETWEEN = 5 * TRIED  # steps between two looks, at least: of a large network they take minutes
SLOWER = 1.3  # times the best pace: worth a trial
FASTER = 0.9  # of the time with all threads: worth fewer


class StepThreads:
    """Chooses between all threads of the process and one less, or half of them, by the time of a step."""

    def __init__(self) -> None:
        self.most = torch.get_num_threads()
        self._choices = sorted({self.most, max(1, self.most - 1), max(1, self.most // 2)}, reverse=True)
        self._left: list[int] = []
        self._took: list[float] = []
        self._paces: dict[int, float] = {}
        self._best = 0.0

    def step(self, seconds: float) -> None:
        """One step has taken so long; the next one may run on another number of threads."""
        self._took.append(seconds)
        if self._left:
            if len(self._took) == TRIED:
                self._tried()
        elif sum(self._took) > PAUSE and len(self._took) >= BETWEEN and len(self._choices) > 1:
            if torch.get_num_threads() < self.most or statistics.median(self._took) > SLOWER * self._best:
                self._paces, self._left = {}, list(self._choices)
                torch.set_num_threads(self.most)
            self._took = []

    def restore(self) -> None:
        """Give the process all of its threads back."""
        torch.set_num_threads(self.most)

    def _tried(self) -> None:
        self._paces[self._left.pop(0)] = statistics.median(self._took[1:])
        self._took = []
        if self._left:
            torch.set_num_threads(self._left[0])
            return
        whole = self._paces[self.most]
        self._best = min(self._best, whole) if self._best else whole
        fastest = min(self._paces, key=lambda threads: self._paces[threads])
        torch.set_num_threads(fastest if self._paces[fastest] < FASTER * whole else self.most)
