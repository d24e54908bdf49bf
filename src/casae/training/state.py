"""The folder of a training: begin anew, or go on with the very same one."""

import hashlib
import json
import shutil
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from casae.datasets.sample import Dataset
from casae.errors import DatasetError, UsageError
from casae.recipes import IMAGENET, SCRATCH

IDENTITY, FINISHED = "identity.json", "finished"


def folder_of(out: Path) -> Path:
    """Where the training of a model has its state."""
    return out.with_name(f"{out.stem}-training")


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


def started_from(folder: Path) -> str | None:
    """The start weights that the training in a folder was asked for; None without one."""
    file = folder / IDENTITY
    return str(json.loads(file.read_text("utf-8"))["settings"]["start"]) if file.exists() else None


def goes_on(folder: Path, identity: Mapping[str, object], resume: bool) -> bool:
    """Whether the folder holds this very training, which goes on; False where the folder may be made anew.

    Raises:
        UsageError: it may not.
    """
    file = folder / IDENTITY
    finished = (folder / FINISHED).exists()
    if resume and file.exists():
        if json.loads(file.read_text("utf-8")) == json.loads(json.dumps(identity)):
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


NAMES = ".txt"  # suffix of the list, beside weights, of images that they have learned


def learned_by(start: str) -> frozenset[str]:
    """Names of the images that start weights have learned, as far as a list beside them tells."""
    names = Path(start).with_suffix(NAMES)
    if start in (SCRATCH, IMAGENET):
        return frozenset()
    return frozenset(names.read_text("utf-8").splitlines()) if names.is_file() else frozenset()


def write_learned(weights: Path, names: Iterable[str]) -> None:
    """Write the list that `learned_by` reads."""
    weights.with_suffix(NAMES).write_text("".join(f"{name}\n" for name in sorted(names)), "utf-8")
