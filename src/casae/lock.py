"""One process per folder: a lock that the operating system lets go of, however the process ends."""

import os
import sys
from pathlib import Path
from typing import BinaryIO

from casae.errors import OutputError

LOCK = ".lock"


def lock(folder: Path) -> BinaryIO:
    """Take the lock of a folder; closing what is returned lets go of it.

    Raises:
        OutputError: another process has it, or the drive has no locks.
        OSError: the folder cannot be written.
    """
    place = os.open(folder / LOCK, os.O_CREAT | os.O_RDWR | getattr(os, "O_NOFOLLOW", 0), 0o666)
    file = open(place, "r+b")  # noqa: PTH123, SIM115  # it stays open as long as the lock is held
    try:
        if sys.platform == "win32":
            import msvcrt

            msvcrt.locking(file.fileno(), msvcrt.LK_NBLCK, 1)
        else:
            import fcntl

            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        file.close()
        if isinstance(error, BlockingIOError | PermissionError):
            rule = "another process writes here; wait for it, or choose another --out"
        else:
            rule = f"its drive cannot lock files ({error.strerror}); choose an --out on another one"
        raise OutputError(f"{folder}: {rule}") from error
    return file
