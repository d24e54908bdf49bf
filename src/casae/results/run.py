"""Inspect many files into a results folder. A bad file is named and passed over."""

import glob
from collections.abc import Callable, Sequence
from pathlib import Path

from casae.errors import ImageError, UsageError
from casae.image import find_images
from casae.inspection.inspector import Inspector
from casae.results.folder import REPORT, ResultsFolder
from casae.results.record import InspectionRecord
from casae.results.report import write_report


def gather(paths: Sequence[str]) -> list[Path]:
    """Files, folders (recursive) and globs -> files, in order, each once.

    Raises:
        UsageError: a path leads to nothing, or a folder holds no images.
    """
    found: dict[Path, None] = {}
    for path in paths:
        matches = (
            [Path(path)] if Path(path).exists() else [Path(match) for match in sorted(glob.glob(path, recursive=True))]
        )
        if not matches:
            raise UsageError(f"{path}: no such file or folder, and no file matches it; check the path")
        for match in matches:
            inside = list(find_images(match)) if match.is_dir() else [match]
            if not inside and len(matches) == 1:
                raise UsageError(f"{path}: no PNG, JPEG, BMP or TIFF images in this folder; name one that has some")
            found.update(dict.fromkeys(inside))
    if not found:
        raise UsageError(f"{', '.join(paths)}: no PNG, JPEG, BMP or TIFF images; name a folder that has some")
    return list(found)


def inspect_files(
    inspector: Inspector,
    files: Sequence[Path],
    out: Path,
    done: Callable[[Path, InspectionRecord | None, str | None], None] = lambda path, record, failure: None,
) -> tuple[list[InspectionRecord], dict[str, str]]:
    """Inspect files into `out`, going on where an earlier run stopped.

    Args:
        done: called after every file with its record, or with why it failed.

    Returns:
        The records of all readable files, and path -> reason of the others.

    Raises:
        OutputError: `out` cannot be written.
    """
    with ResultsFolder(out) as results:
        for file in files:
            try:
                if not results.knows(file, inspector):
                    results.add(inspector.inspect(file), inspector)
                done(file, results.records[str(file)], None)
            except (ImageError, OSError) as error:
                reason = str(error)
                results.failures[str(file)] = reason
                results.records.pop(str(file), None)
                done(file, None, reason)
        records = results.finish(files)
        write_report(out / REPORT, records, results.failures, out, inspector.manifest)
        return records, results.failures
