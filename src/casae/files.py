"""Paths, sizes in words, and files written whole or as other programs write them."""

import codecs
import os
from collections.abc import Collection
from pathlib import Path

from casae.errors import OutputError


def read_text(file: Path) -> str:
    """The text of a file in UTF-8, or in what Windows writes: UTF-8 or UTF-16 with a mark at the beginning.

    Raises:
        OSError: it cannot be read.
        UnicodeDecodeError: it is no such text.
    """
    data = file.read_bytes()
    encoding = "utf-16" if data[:2] in (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE) else "utf-8-sig"
    return data.decode(encoding)


def printable(path: Path | str) -> str:
    r"""A path that can be written; bytes that are not UTF-8 as \xNN."""
    return os.fsencode(path).decode("utf-8", "backslashreplace")


def write_whole(file: Path, content: str | bytes, advice: str = "choose another place") -> None:
    """Write a file so that a kill leaves the old one or the new one, never half of one; makes its folder.

    Raises:
        OutputError: the disk does not take it; `advice` is the way out.
    """
    part = file.with_name(f"{file.name}.part")
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        part.write_bytes(content.encode() if isinstance(content, str) else content)
        part.replace(file)
    except OSError as error:
        raise OutputError(f"{file}: cannot be written ({error.strerror}); {advice}") from error


def common_folder(folders: Collection[Path]) -> str:
    """The folder that all are in; empty where there is none, as with two drives."""
    try:
        return os.path.commonpath(folders)
    except ValueError:
        return ""


def within(path: str, folder: str) -> str:
    """A path as seen from a folder that it is in; as it is without one."""
    return os.path.relpath(path, folder) if folder else path
