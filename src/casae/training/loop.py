"""One training run: Lightning's loop, a budget, the best weights on validation, a resumable folder, a progress bar."""

import ctypes
import json
import logging
import pickle
import signal
import time
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import lightning as L
import torch
from lightning.pytorch.callbacks import Callback, ModelCheckpoint
from lightning.pytorch.loggers import CSVLogger, Logger, MLFlowLogger, TensorBoardLogger
from torch import nn
from torch.utils.data import DataLoader

from casae.errors import MissingExtraError
from casae.training.budget import Budget, one_cycle
from casae.training.progress import Reporter
from casae.training.threads import StepThreads
from casae.training.views import Pair

LAST = "last.ckpt"  # of a training's folder
M_TRIM_THRESHOLD, M_MMAP_MAX = -1, -4  # of malloc.h
LARGEST_GRADIENT = 1.0  # norm over all weights
SCORING_PAUSE = 9.0  # times as long as the last scoring took
LANDING = 30.0  # s after Ctrl-C, in which the learning rate falls as it would have
SAVING_PAUSE = 120.0  # s between checkpoints in an epoch; a large network takes hours for one


class Task(L.LightningModule):
    """What `fit` trains: a part of a network, its loss, and a score on validation; larger is better.

    Args:
        trained: the part whose weights change.
        budget: steps or seconds.
        learning_rate: at the peak, or throughout.
        cycle: whether the learning rate follows `one_cycle`.

    Attributes:
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

    def loss(self, batch: Pair) -> torch.Tensor:
        """Loss of one batch."""
        raise NotImplementedError

    def score(self) -> float | None:
        """Score of the present weights on the validation part; None where there is none."""
        raise NotImplementedError

    def scoring_takes(self) -> float:
        """About how many seconds `score` will take."""
        return 0.0

    def optimiser(self) -> torch.optim.Optimizer:
        """Over the parameters of `trained`; a group's "share" is its part of the learning rate."""
        raise NotImplementedError

    def on_before_optimizer_step(self, optimizer: torch.optim.Optimizer) -> None:
        """Clips here, because Lightning refuses to for an optimiser in one kernel, wherever the precision is mixed."""
        nn.utils.clip_grad_norm_(self.trained.parameters(), LARGEST_GRADIENT)

    def configure_optimizers(self) -> torch.optim.Optimizer:
        """Lightning asks for the optimiser by this name."""
        return self.optimiser()

    def training_step(self, batch: Pair, index: int) -> torch.Tensor:
        """Lightning asks for the loss by this name."""
        factor = one_cycle(self.budget.progress) if self.cycle else 1.0
        for group in self.optimizers().optimizer.param_groups:  # type: ignore[union-attr]
            group["lr"] = self.learning_rate * factor * group.get("share", 1.0)
        loss = self.loss(batch)
        self.log("loss", loss, on_step=False, on_epoch=True)
        return loss


class _Keeper(Callback):
    """Counts the budget, scores each epoch and writes the best weights; in long epochs, the present ones too."""

    def __init__(self, folder: Path, reporter: Reporter) -> None:
        self.best_file, self.last_file, self.reporter = folder / "best.pt", folder / LAST, reporter
        self.best: float | None = None
        self._scored_at, self._saved_at = 0.0, 0.0
        self._lands = self._at_once = False
        self.threads = StepThreads()

    def on_train_start(self, trainer: L.Trainer, task: Any) -> None:
        self._scored_at = self._saved_at = time.monotonic()
        task.budget.start()
        self._at_once = self.reporter.interrupted or not task.cycle  # how Ctrl-C ends it
        trainer.should_stop = task.budget.progress >= 1  # of a stage that was killed at its end
        if self.best is None and task.score_decides and task.start_score is not None:
            self.best = task.start_score
            _save(task.trained.state_dict(), self.best_file)

    def on_train_batch_start(self, trainer: L.Trainer, task: Any, batch: Any, index: int) -> None:
        views: Any = trainer.train_dataloader
        torch.manual_seed(1_000_003 * views.dataset.seed + task.budget.step)  # of dropout: after a kill as without one

    def on_train_batch_end(self, trainer: L.Trainer, task: Any, outputs: Any, batch: Any, index: int) -> None:
        before = task.budget.spent
        task.budget.advance()
        if task.budget.seconds is not None:
            self.threads.step(task.budget.spent - before)
        self.reporter.step(task.budget, float(outputs["loss"]))
        if self.reporter.interrupted and not self._lands:
            self._lands = True
            left = task.budget.remaining_seconds
            self._at_once |= left is not None and left <= LANDING
            if not self._at_once:
                task.budget.hurry(LANDING)
                self.reporter.say(f"Ending in {LANDING:.0f} s; Ctrl-C again stops here, and --resume goes on then")
        if task.budget.progress >= 1 or (self._lands and self._at_once):
            trainer.should_stop = True
        elif time.monotonic() - self._saved_at > SAVING_PAUSE and not trainer.is_last_batch:  # else unscored on resume
            trainer.save_checkpoint(self.last_file)
            self._saved_at = time.monotonic()

    def on_train_epoch_end(self, trainer: L.Trainer, task: Any) -> None:
        if not trainer.should_stop and (self._lands or self._too_soon(task)):
            return
        began = time.monotonic()
        task.eval()
        with torch.inference_mode():
            score = task.score()
        task.train()
        if score is not None:
            task.log(task.score_name, score)
            self.reporter.scored(task.score_name, score)
        if score is None or self.best is None or score >= self.best or not task.score_decides:
            self.best = score
            _save(task.trained.state_dict(), self.best_file)
        self._scored_at = time.monotonic()
        task.scoring_seconds = self._scored_at - began

    def _too_soon(self, task: Any) -> bool:
        """Where the clock counts, scoring takes a tenth of the time at most; a run by epochs scores each of them."""
        if task.budget.seconds is None:
            return False
        if task.scoring_seconds is None:
            task.eval()
            with torch.inference_mode():
                task.scoring_seconds = task.scoring_takes()
            task.train()
        return time.monotonic() - self._scored_at < SCORING_PAUSE * task.scoring_seconds

    def state_dict(self) -> dict[str, Any]:
        return {"best": self.best}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        self.best = state_dict["best"]

    def on_save_checkpoint(self, trainer: L.Trainer, task: Any, checkpoint: dict[str, Any]) -> None:
        checkpoint["budget"] = {"spent": task.budget.spent, "step": task.budget.step}

    def on_load_checkpoint(self, trainer: L.Trainer, task: Any, checkpoint: dict[str, Any]) -> None:
        task.budget.spent, task.budget.step = checkpoint["budget"]["spent"], checkpoint["budget"]["step"]


def fit(task: Task, batches: DataLoader[Pair], folder: Path, reporter: Reporter) -> float | None:
    """Train `task.trained` until its budget ends, or for `LANDING` after Ctrl-C; leave the best or last weights in it.

    `folder` holds `best.pt`, `last.ckpt` and the logs; a folder with `done` in it is only read, one with `last.ckpt` is
    gone on with.

    Returns:
        Their validation score, None where nothing is held out.
    """
    keeper = _Keeper(folder, reporter)
    finished = folder / "done"
    if not finished.exists():
        folder.mkdir(parents=True, exist_ok=True)
        keep_memory()
        with _quiet(), stop_on_interrupt(reporter):
            _run(task, batches, folder, keeper)
        whole = finished.with_suffix(".part")
        whole.write_text(json.dumps({"score": keeper.best, "seconds": task.budget.spent}))
        whole.replace(finished)
    task.trained.load_state_dict(torch.load(folder / "best.pt", weights_only=True))
    task.trained.eval()
    score: float | None = json.loads(finished.read_text())["score"]
    return score


def seconds_spent(folder: Path) -> float:
    """How long the finished stages in a folder took, interruptions left out."""
    return sum(float(json.loads(file.read_text())["seconds"]) for file in folder.glob("**/done"))


def _run(task: Task, batches: DataLoader[Pair], folder: Path, keeper: _Keeper) -> None:
    _set_curve_aside(folder)
    last = ModelCheckpoint(folder, filename=Path(LAST).stem, every_n_epochs=1, enable_version_counter=False)
    trainer = L.Trainer(
        max_epochs=-1,
        accelerator="cpu",
        devices=1,
        precision="bf16-mixed" if has_bf16() else "32-true",
        callbacks=[keeper, last],
        logger=_loggers(folder, keeper.reporter.mlflow),
        enable_progress_bar=False,
        enable_model_summary=False,
        log_every_n_steps=1,
    )
    steps = _steps_done(keeper)
    if steps is not None:
        _skip(batches, steps)
    try:
        trainer.fit(task, batches, ckpt_path=None if steps is None else keeper.last_file, weights_only=False)
    finally:
        keeper.threads.restore()


def _steps_done(keeper: _Keeper) -> int | None:
    """Steps of an interrupted stage; None where none left a checkpoint, or a power cut left half of one."""
    if not keeper.last_file.exists():
        return None
    try:
        return int(torch.load(keeper.last_file, weights_only=False)["budget"]["step"])
    except (RuntimeError, EOFError, pickle.UnpicklingError, KeyError):
        keeper.reporter.say(f"{keeper.last_file}: is damaged; this network learns anew")
        keeper.last_file.unlink()
        return None


def _set_curve_aside(folder: Path) -> None:
    """Keep the curve before an interruption, which Lightning's logger would delete, as `metrics-1.csv` and so on."""
    curve = folder / "metrics.csv"
    if curve.exists():
        curve.rename(folder / f"metrics-{len(list(folder.glob('metrics-*.csv'))) + 1}.csv")


def _skip(batches: DataLoader[Pair], steps: int) -> None:
    """Let a loader with an `EpochSampler` begin after so many batches; the last one of an epoch may be small."""
    epochs, done = divmod(steps, len(batches))
    sampler: Any = batches.sampler
    sampler.position = epochs * len(sampler) + done * (batches.batch_size or 1)


def _loggers(folder: Path, mlflow: str | None) -> list[Logger]:
    """CSV and TensorBoard beside the weights; MLflow, where its URI is given, with a run for each network."""
    loggers: list[Logger] = [CSVLogger(folder, name="", version=""), TensorBoardLogger(folder, name="", version="")]
    if mlflow:
        name = f"{folder.parent.name.removesuffix('-training')} {folder.name}"
        try:
            loggers.append(MLFlowLogger("casae", run_name=name, tracking_uri=mlflow))
        except ModuleNotFoundError as error:
            raise MissingExtraError("--mlflow needs MLflow; install it with: pip install mlflow-skinny") from error
    return loggers


def keep_memory() -> None:
    """Let the allocator keep what is freed: without it every step asks the kernel for the same pages again.

    Only with the GNU C library, whose `mallopt` this is.
    """
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (OSError, TypeError, AttributeError):  # Windows, macOS, musl
        return
    mallopt(M_MMAP_MAX, 0)
    mallopt(M_TRIM_THRESHOLD, 2**31 - 1)


def has_bf16() -> bool:
    """Whether this processor multiplies bfloat16 matrices natively (AVX-512 BF16 or AMX)."""
    return bool(torch.cpu._is_avx512_bf16_supported() or torch.cpu._is_amx_tile_supported())


def _save(weights: dict[str, torch.Tensor], file: Path) -> None:
    temporary = file.with_suffix(".part")
    torch.save(weights, temporary)
    temporary.replace(file)


@contextmanager
def stop_on_interrupt(reporter: Reporter) -> Iterator[None]:
    """The first Ctrl-C brings the stage to its end; the second one ends the program."""
    if not reporter.patient:
        yield
        return
    before = signal.getsignal(signal.SIGINT)

    def stop(number: int, frame: object) -> None:
        reporter.interrupted = True
        signal.signal(signal.SIGINT, before)

    try:
        signal.signal(signal.SIGINT, stop)
    except ValueError:  # not in the main thread: there is no Ctrl-C to catch
        yield
        return
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)


@contextmanager
def _quiet() -> Iterator[None]:
    """Lightning's hints are for those who write trainers, not for those who use this one."""
    names = ("lightning.pytorch", "lightning.fabric", "lightning.pytorch.utilities.rank_zero")
    loggers = [logging.getLogger(name) for name in names]
    levels = [logger.level for logger in loggers]
    for logger in loggers:
        logger.setLevel(logging.ERROR)
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", module="lightning")
        warnings.filterwarnings("ignore", message=".*(num_workers|lr_scheduler|isinstance\\(treespec).*")
        yield
    for logger, level in zip(loggers, levels, strict=True):
        logger.setLevel(level)
