"""Files, folders and globs -> the images to inspect, and what is not looked at."""

import functools
import glob
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from casae.errors import UsageError
from casae.files import look_for_images, printable
from casae.results.folder import is_result


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
            inside = _images_in(match, gathered) if match.is_dir() else [match]
            found.update(dict.fromkeys(folder(file.parent) / file.name for file in inside))
    gathered.files = list(found)
    return gathered


def _images_in(folder: Path, gathered: Gathered) -> list[Path]:
    within = look_for_images(folder)
    gathered.left_out |= within.left_out
    images = [file for file in within.images if not is_result(file.parent)]
    shown = [file for file in images if not is_label(file.parent, folder)]
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
