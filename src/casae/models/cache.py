"""Compiled networks on disk, so that the next process does not compile them again.

A file begins with the SHA-256 of what follows: one that a power cut has damaged is compiled anew. A network of another
model, version of OpenVINO, processor or setting is another file. Whatever goes wrong here, an inspection goes on.
"""

import hashlib
import os
import stat
import threading
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import platformdirs

VARIABLE = "CASAE_CACHE"  # another folder than the user's own; empty: none
SUFFIX = ".compiled"
DIGEST = hashlib.sha256().digest_size
MOST = 32  # files; those that nobody used for the longest time go first


def user_cache() -> Path | None:
    """The folder that the environment names, else where the system keeps a user's caches; None where there is none."""
    named = os.environ.get(VARIABLE)
    if named is None:
        folder = platformdirs.user_cache_path("casae", appauthor=False)
        return folder if folder.is_absolute() else None  # a user without a home has no such folder
    return Path(named) if named else None


@dataclass(frozen=True)
class CompiledNetworks:
    """A folder of compiled networks; None keeps none."""

    folder: Path | None

    @classmethod
    def of_user(cls) -> "CompiledNetworks":
        """Those of `user_cache`."""
        return cls(user_cache())

    def read(self, key: str) -> bytes | None:
        """The network that was written under `key`, None where there is none or not all of it."""
        if self.folder is None:
            return None
        file = self.folder / (key + SUFFIX)
        try:
            if not (_is_ours(self.folder) and _is_ours(file)):
                return None
            content = file.read_bytes()
        except OSError:
            return None
        network = content[DIGEST:]
        if hashlib.sha256(network).digest() != content[:DIGEST]:
            return None
        with suppress(OSError):  # of others, which we may only read
            os.utime(file)
        return network

    def write(self, key: str, network: bytes) -> None:
        """Keep a network; where the disk does not take it, it is not kept."""
        if self.folder is None:
            return
        with suppress(OSError):
            self.folder.mkdir(mode=0o755, parents=True, exist_ok=True)
            if not _is_ours(self.folder):
                return
            written = self.folder / f"{key}-{os.getpid()}-{threading.get_ident()}{SUFFIX}"
            try:
                written.touch(0o644, exist_ok=False)
                written.write_bytes(hashlib.sha256(network).digest() + network)
                written.replace(self.folder / (key + SUFFIX))
            finally:
                written.unlink(missing_ok=True)
            for old in sorted(self.folder.glob(f"*{SUFFIX}"), key=lambda path: path.stat().st_mtime)[:-MOST]:
                old.unlink(missing_ok=True)


def _is_ours(place: Path) -> bool:
    """Whether nobody else could have written a network that judges under our model's name.

    Raises:
        OSError: there is nothing.
    """
    known = place.lstat()
    if not hasattr(os, "getuid"):  # Windows: the folder of a user is the user's
        return not stat.S_ISLNK(known.st_mode)
    others_write = known.st_mode & (stat.S_IWGRP | stat.S_IWOTH)
    return known.st_uid in (0, os.getuid()) and not others_write and not stat.S_ISLNK(known.st_mode)


def key_of(parts: Iterable[object]) -> str:
    """A file name for everything that a compiled network depends on.

    >>> key_of([b"network", (1, 1, 64, 64)]) == key_of([b"network", (1, 1, 64, 96)])
    False
    """
    digest = hashlib.sha256()
    for part in parts:
        data = part if isinstance(part, bytes) else repr(part).encode()
        digest.update(len(data).to_bytes(8, "big") + data)
    return digest.hexdigest()
