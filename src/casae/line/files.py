"""Files, folders and globs -> the images to inspect."""

import functools
import glob
from collections.abc import Sequence
from pathlib import Path

from casae.errors import UsageError
from casae.image import find_images
from casae.results.folder import is_result


def gather(paths: Sequence[str]) -> list[Path]:
    """Files, folders (recursive) and globs -> absolute files, in order, each once, without the pictures of results.

    A folder has one name, also where links or `..` lead to it: records are known by it.

    Raises:
        UsageError: a path leads to nothing, or nothing of all is an image.
    """
    found: dict[Path, None] = {}
    folder = functools.cache(Path.resolve)
    for path in paths:
        matches = [Path(path)] if Path(path).exists() else _matching(path)
        if not matches:
            raise UsageError(f"{path}: no such file or folder, and no file matches it; check the path")
        for match in matches:
            inside = [match]
            if match.is_dir():
                inside = [file for file in find_images(match) if not is_result(file.parent)]
            found.update(dict.fromkeys(folder(file.parent) / file.name for file in inside))
    if not found:
        kinds = "PNG, JPEG, BMP, TIFF, WebP, PGM or PPM"
        raise UsageError(f"{', '.join(paths)}: no {kinds} images; name a folder that has some")
    return list(found)


def _matching(pattern: str) -> list[Path]:
    found = [Path(match) for match in sorted(glob.glob(pattern, recursive=True))]
    return [match for match in found if not is_result(match.parent)]
