"""Text files as people's programs write them."""

import codecs
import os
from pathlib import Path


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
