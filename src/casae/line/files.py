"""Files, folders and globs -> the images to inspect, and what is not looked at."""

import functools
import glob
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from casae.errors import UsageError
from casae.files import SUFFIXES, UNREAD_SUFFIXES, look_for_images, printable
from casae.results.folder import is_result

OF_A_BATCH = ("batch.json", "manifest.parquet")


@dataclass
class Gathered:
    """What there is to inspect.

    Attributes:
        files: absolute, in order, each once.
        left_out: path -> why a picture, a link or a folder is not looked at.
        notes: what else there is to say, in words.
    """

    files: list[Path] = field(default_factory=list)
    left_out: dict[str, str] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)


def gather(paths: Sequence[str]) -> Gathered:
    """Files, folders (recursive) and globs, without the pictures of results and the labels of datasets.

    What exists is taken literally, also where its name holds `*`, `?` or `[`. A folder has one name, also where links
    or `..` lead to it: records are known by it.

    Raises:
        UsageError: a path leads to nothing.
    """
    gathered = Gathered()
    found: dict[Path, None] = {}
    folder = functools.cache(Path.resolve)
    for path in paths:
        named = bool(path) and os.path.lexists(path)
        matches = [Path(path)] if named else [each for each in sorted(matching(path)) if not is_result(each.parent)]
        if not matches:
            raise UsageError(f"{path or '(nothing)'}: no such file or folder, and no file matches it; check the path")
        for match in matches:
            if match.is_dir():
                inside = _images_in(match, gathered)
            elif named or match.suffix.lower() in SUFFIXES:
                inside = [match]
            else:  # of what a pattern matches, pictures are meant
                inside = []
                if match.suffix.lower() in UNREAD_SUFFIXES:
                    gathered.left_out[printable(match)] = f"{match.suffix.lower()} is not read; save it as PNG"
            found.update(dict.fromkeys(folder(file.parent) / file.name for file in inside))
    gathered.files = list(found)
    return gathered


def _images_in(folder: Path, gathered: Gathered) -> list[Path]:
    within = look_for_images(folder)
    gathered.left_out |= within.left_out
    ours = functools.cache(lambda parent: is_result(parent) or is_of_a_batch(parent, folder))
    images = [file for file in within.images if not ours(file.parent)]
    shown = [file for file in images if not is_label(file.parent, folder)]
    if len(images) < len(within.images):
        count = len(within.images) - len(images)
        gathered.notes.append(f"{printable(folder)}: {count} pictures that casae made of results are not inspected")
    if len(shown) < len(images):
        gathered.notes.append(f"{printable(folder)}: {len(images) - len(shown)} label masks are not inspected")
    if not shown:
        gathered.notes.append(f"{printable(folder)}: holds no images yet")
    if within.others:
        gathered.notes.append(f"{printable(folder)}: {within.others} files of other types are passed over")
    return shown


def is_label(folder: Path, asked: Path) -> bool:
    """Whether a folder below the one that was asked for is in the masks of a dataset."""
    above = [parent for parent in (folder, *folder.parents) if parent != asked and asked in parent.parents]
    return any(each.name == "masks" and (each.parent / "dataset.toml").exists() for each in above)


def is_of_a_batch(folder: Path, asked: Path) -> bool:
    """Whether a folder, of the one that was asked for or below it, is in what `casae batch` wrote."""
    within = [folder, *(each for each in folder.parents if asked in each.parents or each == asked)]
    return any(all((each / name).is_file() for name in OF_A_BATCH) for each in within)


def is_ours(folder: Path, asked: Path) -> bool:
    """Whether a folder holds labels of a dataset, or pictures that casae made of others."""
    return is_result(folder) or is_label(folder, asked) or is_of_a_batch(folder, asked)


def matching(pattern: str) -> Iterator[Path]:
    """Files and folders that match a glob, whose folders are literal as far as they exist."""
    known = Path()
    parts = Path(pattern).parts
    for index, part in enumerate(parts):
        if not os.path.lexists(known / part):
            return _below(known, parts[index:])
        known /= part
    return iter([known] if parts else [])


def _below(folder: Path, pattern: Sequence[str]) -> Iterator[Path]:
    wanted = os.path.join(glob.escape(str(folder)), *pattern)  # noqa: PTH118  # Path would drop what glob needs
    return map(Path, glob.iglob(wanted, recursive=True))
