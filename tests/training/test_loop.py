import logging
from types import SimpleNamespace

import cv2
import pytest
import torch
from rich.console import Console
from torch.utils.data import Dataset

from casae.errors import UsageError
from casae.training import budget, loop
from casae.training.budget import Budget, one_cycle
from casae.training.progress import Reporter
from casae.training.stop import Stop
from casae.training.views import loader

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
        self.rates.append(self.used.param_groups[0]["lr"])
        return 0 * self.trained(batch[0]).mean()

    def score(self):
        self.clock.now += SCORING
        self.trained.weight += 1
        return self.scores.pop(0)

    def scoring_takes(self):
        return SCORING

    def optimiser(self):
        self.used = torch.optim.SGD(self.trained.parameters(), 0.5)
        return self.used


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


class Malicious:
    """What a file put into a training's folder could hold."""

    def __init__(self, file):
        self.file = file

    def __reduce__(self):
        return (open, (str(self.file), "w"))


def test_a_state_runs_no_code(clock, tmp_path, capsys):
    victim = tmp_path / "written by a pickle"
    (tmp_path / "stage").mkdir()
    torch.save(Malicious(victim), tmp_path / "stage" / loop.LAST)
    task = Counting(Budget(steps=6), [0.2, 0.9, 0.5], clock)
    reporter = Reporter(Console(width=300))
    assert loop.fit(task, loader(Ones(), 2), tmp_path / "stage", reporter) == 0.9
    assert not victim.exists()
    assert "last.pt: is damaged; this network learns anew" in capsys.readouterr().out


def test_a_training_leaves_opencv_and_loggers_as_they_were(clock, tmp_path):
    cv2.setNumThreads(2)
    levels = {name: logging.getLogger(name).level for name in ("lightning", "lightning_fabric", "lightning.pytorch")}
    fit(Counting(Budget(steps=2), [0.5], clock), tmp_path)
    assert cv2.getNumThreads() == 2
    assert {name: logging.getLogger(name).level for name in levels} == levels


def test_whoever_holds_the_stop_ends_a_training_soon(clock, tmp_path, monkeypatch):
    monkeypatch.setattr(loop, "COOL_DOWN", 2 * STEP)
    stop = Stop()
    stop.request()
    task = Counting(Budget(steps=100), [0.5], clock)
    loop.fit(task, loader(Ones(), 2), tmp_path / "stage", Reporter(), stop)
    assert len(task.rates) == 1  # asked before it began: one step, as there must be weights


def test_a_gpu_that_is_not_there_is_said(clock, tmp_path, monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(UsageError, match="--device cuda: PyTorch finds no GPU"):
        loop.fit(Counting(Budget(steps=2), [0.5], clock), loader(Ones(), 2), tmp_path, Reporter(), device="cuda")
