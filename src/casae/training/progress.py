"""What a person sees while a model trains: one bar, the loss, the validation score, the time left."""

from types import TracebackType
from typing import Self

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskID, TextColumn

from casae.progress import tell
from casae.training.budget import Budget

SMOOTHING = 0.95


class Reporter:
    """A rich progress bar over several stages; silent without a console.

    Args:
        console: where the bar stands.
        mlflow: URI of an MLflow tracking server or database that gets the curves too.
    """

    def __init__(self, console: Console | None = None, mlflow: str | None = None) -> None:
        self.console = console or Console(quiet=True)
        self.mlflow = mlflow
        self._bar = Progress(
            TextColumn("{task.description:<12}"),
            BarColumn(),
            TextColumn("{task.percentage:>3.0f} %  {task.fields[state]}"),
            console=self.console,
        )
        self._task: TaskID | None = None
        self._all: TaskID | None = None
        self._loss: float | None = None
        self._score = self._eta = self._name = ""

    def __enter__(self) -> Self:
        self._bar.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._bar.stop()

    def overall(self, done: int, total: int, name: str) -> None:
        """Of several trainings, `done` are over and `name` comes next."""
        if self._all is None:
            self._all = self._bar.add_task("all", total=total, state="")
        self._bar.update(self._all, completed=done, state=f"{done} of {total}  {name}")
        for task in self._bar.task_ids:  # the stages of what is over would fill the screen
            if task != self._all:
                self._bar.remove_task(task)
        self._task = None

    def stage(self, name: str) -> None:
        """Begin a new line for a stage."""
        self._task = self._bar.add_task(name, total=1.0, state="")
        self._loss, self._score, self._eta = None, "", ""
        self._name = name
        tell(name, 0.0, at_once=True)

    def step(self, budget: Budget, loss: float | None = None) -> None:
        """One optimiser step is done, or one of another kind, which has no loss."""
        if loss is not None:
            self._loss = loss if self._loss is None else SMOOTHING * self._loss + (1 - SMOOTHING) * loss
        left = budget.remaining_seconds
        self._eta = "" if left is None else f"  ETA {int(left) // 60}:{int(left) % 60:02d}"
        self._show(completed=budget.progress)
        tell(self._name, budget.progress, left)

    def scored(self, name: str, score: float) -> None:
        """A validation score has been measured."""
        self._score = f"  {name} {score:.3f}"
        self._show()
        if not self.console.is_terminal:
            self.console.print(f"{name} {score:.4f}")

    def _show(self, completed: float | None = None) -> None:
        if self._task is not None:
            loss = "" if self._loss is None else f"loss {self._loss:.3f}"
            self._bar.update(self._task, completed=completed, state=f"{loss}{self._score}{self._eta}".strip())

    def say(self, text: str) -> None:
        """One line above the bar."""
        self._bar.console.print(text, markup=False)
