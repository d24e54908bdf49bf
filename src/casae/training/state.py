"""The folder of a training: begin anew, or go on with the very same one."""

import hashlib
import io
import json
import math
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from casae.datasets.sample import Dataset
from casae.errors import DatasetError, UsageError
from casae.files import write_whole
from casae.inspection.grain import Fingerprints
from casae.recipes import IMAGENET, SCRATCH

IDENTITY, FINISHED = "identity.json", "finished"
FOLDER = "-training"  # behind the model's name


def folder_of(out: Path) -> Path:
    """Where the training of a model has its state."""
    return out.with_name(f"{out.stem}{FOLDER}")


def check_folds(part: Dataset, files: Sequence[Path], resume: bool) -> None:
    """Say before the first training what would end that of a fold hours later.

    Args:
        part: what folds are cut from.
        files: models of the folds.
        resume: whether interrupted trainings go on.

    Raises:
        UsageError: a fold was interrupted and shall not go on.
        DatasetError: a picture is there twice, and could be learned from and held out.
    """
    for folder in [] if resume else map(folder_of, files):
        _refuse_interrupted(folder)
    seen: dict[str, Path] = {}
    for sample in part.labelled.samples:
        first = seen.setdefault(hashlib.sha256(sample.image.read_bytes()).hexdigest(), sample.image)
        if first != sample.image:
            raise DatasetError(
                f"{sample.image}: is {first.name} again; keep one, or a fold learns from what it holds out"
            )


def read_identity(folder: Path) -> dict[str, Any] | None:
    """What decided the training in a folder; None without one.

    Raises:
        UsageError: the file is damaged.
    """
    file = folder / IDENTITY
    if not file.exists():
        return None
    try:
        identity = json.loads(file.read_text("utf-8"))
        if not isinstance(identity["settings"]["start"], str):
            raise TypeError("start")
    except (ValueError, KeyError, TypeError, RecursionError, OSError) as error:
        raise UsageError(f"{file}: is damaged; delete {folder}, or choose another --out") from error
    return dict(identity)


def started_from(folder: Path) -> str | None:
    """The start weights that the training in a folder was asked for; None without one."""
    identity = read_identity(folder)
    return None if identity is None else str(identity["settings"]["start"])


def is_training(folder: Path) -> bool:
    """Whether a folder is that of a training, finished or not."""
    return (folder / IDENTITY).exists()


def goes_on(folder: Path, identity: Mapping[str, object], resume: bool) -> bool:
    """Whether the folder holds this very training, which goes on; False where the folder may be made anew.

    Raises:
        UsageError: it may not.
    """
    file = folder / IDENTITY
    finished = (folder / FINISHED).exists()
    if resume and file.exists():
        if read_identity(folder) == json.loads(json.dumps(identity)):
            return True
        if not finished:
            raise UsageError(
                f"{folder}: holds a training of other settings, data or casae; repeat its command, or delete it"
            )
    _refuse_interrupted(folder)
    if folder.exists() and not file.exists() and any(folder.iterdir()):
        raise UsageError(f"{folder}: is needed for the training, and holds something else; choose another --out")
    return False


def claim(folder: Path, identity: Mapping[str, object]) -> None:
    """Make the folder anew."""
    if folder.exists():
        shutil.rmtree(folder)
    folder.mkdir(parents=True)
    (folder / IDENTITY).write_text(json.dumps(identity, indent=2), "utf-8")


def _refuse_interrupted(folder: Path) -> None:
    if (folder / IDENTITY).exists() and not (folder / FINISHED).exists():
        raise UsageError(f"{folder}: holds an interrupted training; add --resume to go on, or delete the folder")


LEARNED = ".learned"  # suffix of the fingerprints, beside weights, of the pictures that they have learned


def learned_by(weights: str | Path) -> Fingerprints:
    """The pictures that start weights have learned, as far as a file beside them tells; none of those that ship."""
    file = Path(weights).with_suffix(LEARNED)
    return Fingerprints.read(file.read_bytes() if str(weights) not in (SCRATCH, IMAGENET) and file.is_file() else b"")


def write_learned(weights: Path, pictures: Fingerprints) -> None:
    """Write the file that `learned_by` reads."""
    write_whole(weights.with_suffix(LEARNED), pictures.written(), "free space, and go on with --resume")


@dataclass(frozen=True)
class StageState:
    """What a stage needs to go on: tensors and numbers, no code.

    Attributes:
        weights: of what is trained.
        optimiser: its state.
        spent: seconds; `step` likewise.
        best: score so far.
    """

    weights: Mapping[str, Tensor]
    optimiser: dict[str, Any]
    spent: float
    step: int
    best: float | None

    def put(self, trained: nn.Module, optimiser: torch.optim.Optimizer) -> bool:
        """Put it into a network and its optimiser; False, and nothing is changed, where it is of another network."""
        shapes = {name: value.shape for name, value in trained.state_dict().items()}
        if {name: getattr(value, "shape", None) for name, value in self.weights.items()} != shapes:
            return False
        try:
            optimiser.load_state_dict(self.optimiser)
        except (ValueError, KeyError, TypeError, AttributeError, IndexError):
            return False
        trained.load_state_dict(self.weights)
        return True


def write_stage(
    file: Path, trained: nn.Module, optimiser: torch.optim.Optimizer, spent: float, step: int, best: float | None
) -> None:
    """Write the state of a stage; a kill leaves the one before or this one."""
    state = {
        "weights": trained.state_dict(),
        "optimiser": optimiser.state_dict(),
        "spent": spent,
        "step": step,
        "best": best,
    }
    _write(state, file)


def read_stage(file: Path) -> StageState | None:
    """The state of a stage; None where the file is damaged. Nothing in it is run."""
    try:
        state = torch.load(file, weights_only=True, map_location="cpu")
        weights, optimiser, best = dict(state["weights"]), dict(state["optimiser"]), state["best"]
        spent, step = float(state["spent"]), int(state["step"])
        if step < 0 or not 0 <= spent < math.inf or not isinstance(best, float | int | None):
            return None
        return StageState(weights, optimiser, spent, step, best)
    except Exception:  # a damaged pickle raises whatever it likes, all of which means the same here
        return None


def write_whole_weights(network: nn.Module, file: Path) -> None:
    """Write the weights of a network as they are."""
    _write(network.state_dict(), file)


def read_weights(file: Path) -> dict[str, Tensor]:
    """Weights that `write_whole_weights` wrote.

    Raises:
        UsageError: the file is damaged.
    """
    try:
        return dict(torch.load(file, weights_only=True, map_location="cpu"))
    except Exception as error:  # see `read_stage`
        raise UsageError(f"{file}: is damaged; delete its folder, and --resume learns this network anew") from error


def _write(content: object, file: Path) -> None:
    stream = io.BytesIO()  # PyTorch's own writing ends a full disk in an error of its own
    torch.save(content, stream)
    write_whole(file, stream.getvalue(), "free space, and go on with --resume")
