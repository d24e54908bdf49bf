"""A model and its folds as tasks of a Ray cluster, each in a process of its own."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from casae.cluster import check_cores, joined, said_there
from casae.errors import UsageError
from casae.labelled.holdout import Fold
from casae.training.progress import Reporter
from casae.training.train import Trained

Job = tuple[Path, Fold | None]
"""The model file to write, and what is held out of it."""

LOST = 3  # times that the machine of a training may vanish


def lost_by(ray: Any) -> tuple[type[Exception], ...]:
    """Errors of Ray that say nothing of a training."""
    known = ray.exceptions
    return (known.WorkerCrashedError, known.NodeDiedError, known.OutOfMemoryError, known.ObjectLostError)


def at_once(
    jobs: Sequence[Job], learn: Callable[..., Trained], address: str, cores: int, resume: bool, reporter: Reporter
) -> list[Trained]:
    """Train all; one whose machine vanished goes on elsewhere from its last state.

    Args:
        jobs: what to train.
        learn: `casae.training.train.train` without its arguments `out`, `fold` and `resume`.
        address: of the cluster, see `casae.cluster.joined`; its machines see all paths as this one does.
        cores: of each training.
        resume: go on with interrupted trainings.
        reporter: shows how many are done.

    Raises:
        MissingExtraError: Ray is not installed.
        UsageError: there is no cluster, or a training failed.
        CasaeError: of a training.
    """
    done: dict[int, Trained] = {}
    with joined(address) as ray:
        check_cores(ray, address, cores)

        def train(file: Path, fold: Fold | None, goes_on: bool) -> Trained:
            return learn(out=file, fold=fold, resume=goes_on)

        there = ray.remote(num_cpus=cores, max_retries=0)(train)

        def begin(place: int, goes_on: bool) -> Any:
            file, fold = jobs[place]
            return there.remote(file.resolve(), fold, goes_on)

        running = {begin(place, resume): place for place in range(len(jobs))}
        lost = 0
        while running:
            reporter.overall(len(done), len(jobs), "on the cluster")
            (ready, *_), _ = ray.wait(list(running))
            place = running.pop(ready)
            try:
                done[place] = ray.get(ready)
            except lost_by(ray) as error:
                lost += 1
                if lost > LOST:
                    raise UsageError(f"--ray {address}: machines vanished {lost} times; see ray status") from error
                running[begin(place, True)] = place
            except ray.exceptions.RayError as error:
                last = (str(error).strip().splitlines() or [repr(error)])[-1][:300]
                raise said_there(error) or UsageError(f"--ray {address}: a training failed ({last})") from error
    return [done[place] for place in range(len(jobs))]
