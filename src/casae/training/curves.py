"""The curves of a stage: a row an epoch in `metrics.csv`, and the same for TensorBoard and MLflow."""

import csv
from pathlib import Path
from typing import Any

from torch.utils.tensorboard import SummaryWriter

from casae.errors import MissingExtraError

CURVES = "metrics.csv"


class Curves:
    """Writes the figures of each epoch; a row is in the table when `add` returns.

    Args:
        folder: of the stage.
        score_name: column of the score.
        mlflow: URI of an MLflow server or database, with a run for each stage; None without.

    Raises:
        MissingExtraError: MLflow is asked for and not installed.
    """

    def __init__(self, folder: Path, score_name: str, mlflow: str | None) -> None:
        self._table, self._score_name = folder / CURVES, score_name
        self._board = SummaryWriter(str(folder))
        self._client: Any = None
        if mlflow:
            self._client, self._run = _mlflow_run(folder, mlflow)

    def add(self, epoch: int, step: int, loss: float, score: float | None) -> None:
        """Figures of an epoch, counted from 0, after so many steps; the score is None where it was not measured."""
        new = not self._table.exists()
        with self._table.open("a", newline="", encoding="utf-8") as stream:
            writer = csv.writer(stream)
            if new:
                writer.writerow(["epoch", "step", "loss", self._score_name])
            writer.writerow([epoch, step, loss, "" if score is None else score])
        known = {"loss": loss} | ({} if score is None else {self._score_name: score})
        for name, value in known.items():
            self._board.add_scalar(name, value, step)
            if self._client is not None:
                self._client.log_metric(self._run, name, value, step=step)

    def close(self) -> None:
        """Write what the loggers still hold."""
        self._board.close()
        if self._client is not None:
            self._client.set_terminated(self._run)


def steps_of(folder: Path) -> int:
    """How many steps a stage took, as its table says; 0 without one."""
    if not (folder / CURVES).exists():
        return 0
    with (folder / CURVES).open(newline="", encoding="utf-8") as stream:
        return max((int(row["step"]) for row in csv.DictReader(stream)), default=0)


def _mlflow_run(folder: Path, uri: str) -> tuple[Any, str]:
    try:
        from mlflow.tracking import MlflowClient
    except ModuleNotFoundError as error:
        raise MissingExtraError("--mlflow needs MLflow; install it with: pip install mlflow-skinny") from error
    client = MlflowClient(tracking_uri=uri)
    known = client.get_experiment_by_name("casae")
    experiment = known.experiment_id if known else client.create_experiment("casae")
    name = f"{folder.parent.name.removesuffix('-training')} {folder.name}"
    return client, client.create_run(experiment, run_name=name).info.run_id
