"""One training run: batches, loss, step, a budget, the best weights on validation, a state on disk."""

import json
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import cv2
import torch
from lightning_fabric import Fabric
from torch import nn
from torch.utils.data import DataLoader

from casae.training import crew
from casae.training.budget import Budget, one_cycle
from casae.training.curves import Curves
from casae.training.device import device_of, keep_memory
from casae.training.progress import Reporter
from casae.training.state import StageState, read_stage, read_weights, write_stage, write_whole_weights
from casae.training.stop import Stop
from casae.training.threads import StepThreads
from casae.training.views import EpochSampler, Pair

BEST, LAST, DONE = "best.pt", "last.pt", "done"  # of a stage's folder
LARGEST_GRADIENT = 1.0  # norm over all weights
SCORING_PAUSE = 9.0  # times as long as the last scoring took
COOL_DOWN = 30.0  # s after Ctrl-C, in which the learning rate falls as it would have
SAVING_PAUSE = 120.0  # s between states in an epoch; a large network takes hours for one


class Task(nn.Module):
    """What `fit` trains: a part of a network, its loss, and a score on validation; larger is better.

    Args:
        trained: the part whose weights change.
        budget: steps or seconds.
        learning_rate: at the peak, or throughout.
        cycle: whether the learning rate follows `one_cycle`.

    Attributes:
        device: that it computes on.
        score_decides: whether the weights with the best score are kept; else the last ones are.
        scoring_seconds: how long the last `score` took, None where that is not known yet.
        start_score: what the weights score before the first step, where they may be the best; None where not.
    """

    score_name = "score"
    score_decides = True
    scoring_seconds: float | None = None
    start_score: float | None = None

    def __init__(self, trained: nn.Module, budget: Budget, learning_rate: float, cycle: bool) -> None:
        super().__init__()
        self.trained, self.budget, self.learning_rate, self.cycle = trained, budget, learning_rate, cycle
        self.device = torch.device("cpu")

    def loss(self, batch: Pair) -> torch.Tensor:
        """Loss of one batch."""
        raise NotImplementedError

    def begin_epoch(self, epoch: int) -> None:
        """Get ready to learn; epochs count from 0."""
        self.train()

    def score(self) -> float | None:
        """Score of the present weights on the validation part; None where there is none."""
        raise NotImplementedError

    def scoring_takes(self) -> float:
        """About how many seconds `score` will take."""
        return 0.0

    def optimiser(self) -> torch.optim.Optimizer:
        """Over the parameters of `trained`; a group's "share" is its part of the learning rate."""
        raise NotImplementedError


def fit(
    task: Task,
    batches: DataLoader[Pair],
    folder: Path,
    reporter: Reporter,
    stop: Stop | None = None,
    device: str = "auto",
) -> float | None:
    """Train `task.trained` until its budget ends, or is asked to stop; leave the best or last weights in it.

    Asked to stop, it goes on for `COOL_DOWN`, in which the learning rate falls. `folder` holds `best.pt`, `last.pt` and
    the curves; a folder with `done` in it is only read, one with `last.pt` is gone on with.

    Returns:
        Their validation score, None where nothing is held out.

    Raises:
        UsageError: there is no such device.
    """
    finished = folder / DONE
    stop = stop or Stop(patient=False)
    computes_on = device_of(device)
    fabric = crew.fabric_on(computes_on)
    if not crew.agreed(fabric, finished.exists()):
        keep_memory()
        with stop.on_interrupt(), _one_thread_of_opencv():
            run = _Run(task, batches, folder, reporter, stop, computes_on, batches.dataset.seed, fabric)  # type: ignore[attr-defined]  # views have one
            run.learn()
    task.to("cpu")
    task.device = torch.device("cpu")
    score: float | None = None
    if crew.leads():
        task.trained.load_state_dict(read_weights(folder / BEST))
        score = json.loads(finished.read_text())["score"]
    crew.same_weights(fabric, task.trained)
    task.trained.eval()
    return crew.agreed(fabric, score)


def seconds_spent(folder: Path) -> float:
    """How long the finished stages in a folder took, interruptions left out."""
    return sum(float(json.loads(file.read_text())["seconds"]) for file in folder.glob(f"**/{DONE}"))


@dataclass
class _Run:
    """One stage while it runs."""

    task: Task
    batches: DataLoader[Pair]
    folder: Path
    reporter: Reporter
    stop: Stop
    device: torch.device
    seed: int
    fabric: Fabric
    best: float | None = None
    over: bool = False
    threads: StepThreads = field(default_factory=StepThreads)
    _scored_at: float = 0.0
    _saved_at: float = 0.0
    _cools_down: bool = False
    _ends_at_once: bool = False

    def learn(self) -> None:
        """Train to the end."""
        self.task.to(self.device)
        self.task.device = self.device
        optimiser = self.task.optimiser()
        try:
            if crew.leads():
                self._lead(optimiser)
            else:
                self._help(optimiser)
        finally:
            self.threads.restore()

    def _lead(self, optimiser: torch.optim.Optimizer) -> None:
        """Score and keep what is learned."""
        budget = self.task.budget
        self.folder.mkdir(parents=True, exist_ok=True)
        self._begin(optimiser)
        self._agree(optimiser)
        curves = Curves(self.folder, self.task.score_name, self.reporter.mlflow)
        try:
            while not self.over:
                epoch, total, seen = budget.step // len(self.batches), 0.0, 0
                for batch, loss in self._epoch(optimiser, epoch):
                    total += loss * len(batch[0])
                    seen += len(batch[0])
                    ends = self.over or (budget.step % len(self.batches)) == 0
                    if not ends and time.monotonic() - self._saved_at > SAVING_PAUSE:
                        self._save(optimiser)  # not at the end of an epoch, or it would go unscored after a kill
                score = self._score()
                curves.add(epoch, budget.step, total / max(seen, 1), score)
                self._save(optimiser)
        finally:
            curves.close()
        finished = self.folder / DONE
        whole = finished.with_suffix(".part")
        whole.write_text(json.dumps({"score": self.best, "seconds": budget.spent}))
        whole.replace(finished)

    def _help(self, optimiser: torch.optim.Optimizer) -> None:
        """Do what the process that leads says."""
        self._agree(optimiser)
        while not self.over:
            for _ in self._epoch(optimiser, self.task.budget.step // len(self.batches)):
                pass

    def _agree(self, optimiser: torch.optim.Optimizer) -> None:
        """All processes go on from where the one that leads is."""
        crew.same_weights(self.fabric, self.task.trained)
        budget = self.task.budget
        told = (optimiser.state_dict(), budget.step, self.over)
        known, budget.step, self.over = crew.agreed(self.fabric, told)
        if not crew.leads():
            optimiser.load_state_dict(known)
        _skip(self.batches, budget.step)

    def _epoch(self, optimiser: torch.optim.Optimizer, epoch: int) -> Iterator[tuple[Pair, float]]:
        """Steps until the epoch or the training ends: batches and their losses."""
        self.task.begin_epoch(epoch)
        for batch in self.batches:
            yield batch, self._step(optimiser, batch)
            if self.over:
                break

    def _begin(self, optimiser: torch.optim.Optimizer) -> None:
        """What an interrupted run left, if it did."""
        task, budget = self.task, self.task.budget
        state = self._interrupted(optimiser)
        if state is not None:
            budget.spent, budget.step, self.best = state.spent, state.step, state.best
        elif task.score_decides and task.start_score is not None:
            self.best = task.start_score
            write_whole_weights(task.trained, self.folder / BEST)
        self._scored_at = self._saved_at = time.monotonic()
        self._ends_at_once = self.stop.requested or not task.cycle
        budget.start()
        self.over = budget.progress >= 1 and (self.folder / BEST).exists()  # of a stage that was killed at its end

    def _interrupted(self, optimiser: torch.optim.Optimizer) -> StageState | None:
        """What an interrupted run left, put into the task; None where it left nothing, or a power cut half of it."""
        file = self.folder / LAST
        if not file.exists():
            return None
        state = read_stage(file)
        if state is None or not state.put(self.task.trained, optimiser):
            self.reporter.say(f"{file}: is damaged; this network learns anew")
            file.unlink()
            return None
        return state

    def _step(self, optimiser: torch.optim.Optimizer, batch: Pair) -> float:
        """One step of the optimiser; the loss before it."""
        task, budget = self.task, self.task.budget
        torch.manual_seed(1_000_003 * self.seed + budget.step)  # of dropout: after a kill as without one
        factor = crew.agreed(self.fabric, one_cycle(budget.progress) if task.cycle else 1.0)
        for group in optimiser.param_groups:
            group["lr"] = task.learning_rate * factor * group.get("share", 1.0)
        image, target = (part.to(self.device, non_blocking=True) for part in batch)
        with self.fabric.autocast():
            loss = task.loss((image, target))
        optimiser.zero_grad()
        self.fabric.backward(loss)
        crew.mean_gradients(self.fabric, task.trained)
        nn.utils.clip_grad_norm_(task.trained.parameters(), LARGEST_GRADIENT)
        optimiser.step()
        before, value = budget.spent, float(loss.detach())
        budget.advance()
        if budget.seconds is not None and self.device.type == "cpu":
            self.threads.step(budget.spent - before)
        self.reporter.step(budget, value)
        self._check_stop()
        self.over = crew.agreed(self.fabric, self.over)
        return value

    def _check_stop(self) -> None:
        """Whether this was the last step."""
        budget = self.task.budget
        if self.stop.requested and not self._cools_down:
            self._cools_down = True
            left = budget.remaining_seconds
            self._ends_at_once |= left is not None and left <= COOL_DOWN
            if not self._ends_at_once:
                budget.hurry(COOL_DOWN)
                self.reporter.say(f"Ending in {COOL_DOWN:.0f} s; Ctrl-C again stops here, and --resume goes on then")
        self.over = budget.progress >= 1 or (self._cools_down and self._ends_at_once)

    def _score(self) -> float | None:
        """Score the weights and keep them where they are the best; None where it is not time for that."""
        task = self.task
        if not self.over and (self._cools_down or self._too_soon()):
            return None
        began = time.monotonic()
        score = self._evaluated(task.score)
        if score is not None:
            self.reporter.scored(task.score_name, score)
        if score is None or self.best is None or score >= self.best or not task.score_decides:
            self.best = score
            write_whole_weights(task.trained, self.folder / BEST)
        self._scored_at = time.monotonic()
        task.scoring_seconds = self._scored_at - began
        return score

    def _too_soon(self) -> bool:
        """Where the clock counts, scoring takes a tenth of the time at most; a run by epochs scores each of them."""
        task = self.task
        if task.budget.seconds is None:
            return False
        if task.scoring_seconds is None:
            task.scoring_seconds = self._evaluated(task.scoring_takes) or 0.0
        return time.monotonic() - self._scored_at < SCORING_PAUSE * task.scoring_seconds

    def _evaluated(self, measure: Callable[[], float | None]) -> float | None:
        self.task.eval()
        with torch.inference_mode(), self.fabric.autocast():
            value = measure()
        self.task.train()
        return value

    def _save(self, optimiser: torch.optim.Optimizer) -> None:
        budget = self.task.budget
        write_stage(self.folder / LAST, self.task.trained, optimiser, budget.spent, budget.step, self.best)
        self._saved_at = time.monotonic()


def _skip(batches: DataLoader[Pair], steps: int) -> None:
    """Let a loader with an `EpochSampler` begin after so many batches; the last one of an epoch may be small."""
    epochs, done = divmod(steps, len(batches))
    sampler = batches.sampler
    assert isinstance(sampler, EpochSampler)
    sampler.position = epochs * len(sampler) + done * (batches.batch_size or 1)


@contextmanager
def _one_thread_of_opencv() -> Iterator[None]:
    """Views are drawn in a process of their own, forked from here, which survives no other threads of OpenCV."""
    before = cv2.getNumThreads()
    cv2.setNumThreads(1)
    try:
        yield
    finally:
        cv2.setNumThreads(before)
