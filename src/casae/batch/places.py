"""Where an archive and its results lie: in a folder, or behind a URL that fsspec knows."""

import os
import re
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, BinaryIO, cast
from uuid import uuid4

from casae.errors import CasaeError, ImageError, MissingExtraError, OutputError, UsageError
from casae.files import printable, write_durably

URL = re.compile(r"[a-z][a-z0-9+.-]+://", re.IGNORECASE)
LOCAL = "file://"
PAUSES = (0.5, 2.0, 8.0)  # s before a store is asked again
WHOLE = {"s3", "s3a", "gs", "gcs", "abfs", "abfss", "az", "adl", "memory"}  # an object is there whole or not at all


def is_url(where: str) -> bool:
    """Whether it is no path of this machine."""
    return bool(URL.match(where)) and not where.startswith(LOCAL)


def local_path(where: str) -> Path:
    """The path that is meant, also by `file://PATH`."""
    return Path(where.removeprefix(LOCAL)).expanduser()


def filesystem(url: str) -> tuple[Any, str]:
    """The file system of fsspec behind a URL, and the path in it.

    Raises:
        MissingExtraError: fsspec, or what it needs for this kind of URL, is not installed.
        UsageError: there is no such kind, or it refuses the URL.
    """
    try:
        from fsspec.core import url_to_fs
    except ModuleNotFoundError as error:
        raise MissingExtraError.of(f"{url}: URLs need fsspec", "batch") from error
    try:
        system, path = url_to_fs(url)
    except ImportError as error:
        raise MissingExtraError.of(f"{url}: {error}; s3:// has an extra", "s3") from error
    except Exception as error:
        raise UsageError(f"{url}: {first_line(error)}; check the URL") from error
    return system, cast("str", path)


def first_line(error: Exception) -> str:
    """What an error of another library says, in one line."""
    return (str(error).strip().splitlines() or [type(error).__name__])[0][:300]


def read_bytes(url: str, offset: int | None = None, size: int | None = None) -> bytes:
    """The content behind a URL, or a piece of it; tried again where the network fails.

    Raises:
        CasaeError: as `filesystem`.
        ImageError: it cannot be read.
    """
    system, path = filesystem(url)
    end = None if offset is None or size is None else offset + size
    try:
        return cast("bytes", _tried(lambda: system.cat_file(path, start=offset, end=end)))
    except Exception as error:
        rule = "is not there" if isinstance(error, FileNotFoundError) else first_line(error)
        raise ImageError(f"{url}: cannot be read ({rule}); check it") from error


def _tried(does: Callable[[], Any]) -> Any:
    """What a store answers; asked again where it stutters."""
    for pause in PAUSES:
        try:
            return does()
        except (FileNotFoundError, PermissionError):
            raise
        except Exception:  # of the library of a cloud: each has its own
            time.sleep(pause)
    return does()


@dataclass(frozen=True)
class Place:
    """A folder that results are written to.

    Attributes:
        where: a path, absolute, or a URL.
    """

    where: str

    @classmethod
    def of(cls, where: str) -> "Place":
        """The folder that a person names."""
        return cls(where.rstrip("/")) if is_url(where) else cls(str(local_path(where).resolve()))

    @property
    def folder(self) -> Path | None:
        """The path; None where it is a URL."""
        return None if is_url(self.where) else Path(self.where)

    def path(self, name: str) -> str:
        """What to call a file in it."""
        return f"{self.where}/{name}" if self.folder is None else str(self.folder / name)

    def read(self, name: str) -> bytes | None:
        """The content of a file, None where there is none.

        Raises:
            OutputError: it cannot be read.
        """
        try:
            if self.folder is not None:
                return (self.folder / name).read_bytes()
            return cast("bytes", _tried(lambda: self._system.cat_file(self._inside(name))))
        except FileNotFoundError:
            return None
        except Exception as error:
            raise self._failed(name, "read", error) from error

    def has(self, name: str) -> bool:
        """Whether there is such a file.

        Raises:
            OutputError: the place cannot be looked into.
        """
        try:
            if self.folder is not None:
                return (self.folder / name).is_file()
            self._system.invalidate_cache()
            return bool(_tried(lambda: self._system.isfile(self._inside(name))))
        except Exception as error:
            raise self._failed(name, "read", error) from error

    def open(self, name: str) -> BinaryIO:
        """A file to read at any place in it.

        Raises:
            OutputError: it cannot be read.
        """
        try:
            if self.folder is not None:
                return (self.folder / name).open("rb")
            return cast("BinaryIO", _tried(lambda: self._system.open(self._inside(name), "rb")))
        except Exception as error:
            raise self._failed(name, "read", error) from error

    def write(self, name: str, data: bytes) -> None:
        """Write a file; it is there whole or not at all, on disk when this returns, also where several write it.

        Raises:
            OutputError: it cannot be written.
        """
        if self.folder is not None:
            write_durably(self.folder / name, data)
            return
        try:
            path = self._inside(name)
            if self._protocols & WHOLE:
                _tried(lambda: self._system.pipe_file(path, data))
                return
            part = f"{path}.{uuid4().hex}.part"
            self._system.makedirs(path.rpartition("/")[0], exist_ok=True)
            self._system.pipe_file(part, data)
            self._system.mv(part, path)
        except Exception as error:
            raise self._failed(name, "written", error) from error

    def note(self, name: str, data: bytes) -> None:
        """As `write`, of a small file that may be lost when the power fails: nothing waits for the disk.

        Raises:
            OutputError: it cannot be written.
        """
        if self.folder is None:
            self.write(name, data)
            return
        write_durably(self.folder / name, data, waits=False)

    def remove(self, name: str) -> None:
        """Delete a file, if it is there.

        Raises:
            OutputError: it cannot be deleted.
        """
        try:
            if self.folder is not None:
                (self.folder / name).unlink(missing_ok=True)
            else:
                self._system.rm_file(self._inside(name))
        except FileNotFoundError:
            return
        except Exception as error:
            raise self._failed(name, "deleted", error) from error

    def names(self, below: str) -> Iterator[str]:
        """All files below one of its folders, as paths in it; none where there is no such folder.

        Raises:
            OutputError: it cannot be looked into.
        """
        if self.folder is not None:
            for folder, _, files in os.walk(self.folder / below):
                inside = os.path.relpath(folder, self.folder).replace(os.sep, "/")
                yield from (f"{inside}/{file}" for file in files)
            return
        try:
            self._system.invalidate_cache()
            found = _tried(lambda: self._system.find(self._inside(below)))
        except FileNotFoundError:
            return
        except Exception as error:
            raise self._failed(below, "read", error) from error
        root = self._inside("")
        yield from (str(path).removeprefix(root) for path in found)

    @cached_property
    def _behind(self) -> tuple[Any, str]:
        return filesystem(self.where)

    @property
    def _system(self) -> Any:
        return self._behind[0]

    @property
    def _protocols(self) -> set[str]:
        named = self._system.protocol
        return {named} if isinstance(named, str) else set(named)

    def _inside(self, name: str) -> str:
        return f"{self._behind[1].rstrip('/')}/{name}"

    def _failed(self, name: str, what: str, error: Exception) -> CasaeError:
        if isinstance(error, CasaeError):
            return error
        said = error.strerror if isinstance(error, OSError) and error.strerror else first_line(error)
        return OutputError(f"{printable(self.path(name))}: cannot be {what} ({said}); mend it, run the command again")
