from types import SimpleNamespace

import pytest
import torch
from torch.utils.data import Dataset

from casae.training import budget, loop
from casae.training.budget import Budget, one_cycle
from casae.training.progress import Reporter
from casae.training.views import loader

pytestmark = pytest.mark.filterwarnings("ignore")  # Lightning and its dependencies deprecate freely
STEP, SCORING = 0.25, 0.5  # s


@pytest.fixture
def clock(monkeypatch):
    """The clock of trainings, which goes on only in the steps and scorings of `Counting`."""
    clock = SimpleNamespace(now=0.0)
    clock.monotonic = lambda: clock.now
    for module in (budget, loop):
        monkeypatch.setattr(module, "time", clock)
    return clock


class Counting(loop.Task):
    """Its weight is the number of times it was scored."""

    def __init__(self, budget, scores, clock):
        super().__init__(torch.nn.Linear(1, 1, bias=False), budget, 0.5, cycle=True)
        torch.nn.init.zeros_(self.trained.weight)
        self.scores, self.clock, self.progresses, self.rates = scores, clock, [], []

    def loss(self, batch):
        self.clock.now += STEP
        self.progresses.append(self.budget.progress)
        self.rates.append(self.optimizers().param_groups[0]["lr"])
        return 0 * self.trained(batch[0]).mean()

    def score(self):
        self.clock.now += SCORING
        self.trained.weight += 1
        return self.scores.pop(0)

    def scoring_takes(self):
        return SCORING

    def optimiser(self):
        return torch.optim.SGD(self.trained.parameters(), 0.5)


class Ones(Dataset):
    """Two batches of two."""

    seed = 0

    def __len__(self):
        return 4

    def __getitem__(self, position):
        return torch.ones(1), torch.ones(1)


def fit(task, folder):
    return loop.fit(task, loader(Ones(), 2), folder / "stage", Reporter())


@pytest.mark.parametrize(("decides", "kept", "score"), [(True, 2, 0.9), (False, 3, 0.5)])
def test_the_best_weights_are_kept_or_the_last_ones(clock, tmp_path, decides, kept, score):
    task = Counting(Budget(steps=6), [0.2, 0.9, 0.5], clock)
    task.score_decides = decides
    assert fit(task, tmp_path) == score
    assert task.trained.weight.item() == kept


def test_weights_that_were_better_at_the_start_are_kept(clock, tmp_path):
    for decides, kept, score in ((True, 0, 0.95), (False, 3, 0.5)):
        task = Counting(Budget(steps=6), [0.2, 0.9, 0.5], clock)
        task.score_decides, task.start_score = decides, 0.95
        assert fit(task, tmp_path / str(kept)) == score
        assert task.trained.weight.item() == kept


def test_the_optimiser_gets_the_rate_of_the_schedule(clock, tmp_path):
    task = Counting(Budget(steps=6), [0.5] * 3, clock)
    fit(task, tmp_path)
    assert task.progresses == [step / 6 for step in range(6)]
    assert task.rates == [0.5 * one_cycle(progress) for progress in task.progresses]


def test_scoring_leaves_the_clock_to_learning(clock, tmp_path):
    """Of 16 s three scorings take a tenth; a fourth one comes at the end."""
    task = Counting(Budget(seconds=16), [0.5] * 4, clock)
    fit(task, tmp_path)
    assert task.scores == []
    assert len(task.rates) == (16 - 3 * SCORING) / STEP
    assert task.rates == [0.5 * one_cycle(progress) for progress in task.progresses]
    assert task.rates[-1] < 0.01
    assert loop.seconds_spent(tmp_path) == 16


def test_a_second_stage_knows_what_scoring_takes(clock, tmp_path):
    task = Counting(Budget(seconds=16), [0.5] * 4, clock)
    task.scoring_seconds = SCORING
    task.scoring_takes = lambda: pytest.fail("measured again")
    fit(task, tmp_path)
    assert task.scores == []
    assert task.scoring_seconds == SCORING
