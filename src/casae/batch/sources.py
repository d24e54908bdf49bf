"""What an archive holds, one entry an image, as a stream: folders, patterns, tables of paths, tar shards, URLs."""

import csv
import functools
import glob
import io
import os
import tarfile
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from datetime import datetime
from hashlib import blake2b
from pathlib import Path, PurePosixPath
from typing import Any, BinaryIO, NamedTuple

from casae.batch.places import Place, filesystem, first_line, is_url, local_path
from casae.decoding import FileState
from casae.errors import MissingExtraError, OutputError, UsageError
from casae.files import SUFFIXES, UNREAD_SUFFIXES, files_under, is_file, printable
from casae.line.files import is_ours, matching

COLUMNS = ("path", "source", "file", "filename", "url", "image")  # of a table; the first one that it has counts
TAR = ".tar"
PACKED = (".tar.gz", ".tgz", ".tar.bz2", ".tar.xz", ".tar.zst")
PADDING = 20_480  # bytes that a tar may have behind its end mark
ROWS_AT_ONCE = 10_000
NAMED = 1000  # of what is passed over; the others are counted


class Entry(NamedTuple):
    """One image of an archive.

    Attributes:
        source: its path, absolute, or URL; of an image in a tar, that of the tar and its name in it.
        archive: the tar that it is in, None for a file of its own.
        offset: where it begins in the tar.
        size: bytes, None where nobody said.
        modified_ns: when it was changed last, in ns since 1970, None where nobody said.
    """

    source: str
    archive: str | None = None
    offset: int | None = None
    size: int | None = None
    modified_ns: int | None = None


@dataclass
class Listing:
    """The images of an archive, each once; what is passed over is known when all were asked for.

    Attributes:
        sources: as `casae batch` takes them.
        own: files that do not count, as the batch itself wrote them.
        left_out: path -> why a picture, a link, a tar or a folder is not looked at; the first `NAMED` of them.
        more: how many besides.
        others: files of other types.
    """

    sources: Sequence[str]
    own: Collection[str] = ()
    left_out: dict[str, str] = field(default_factory=dict)
    more: int = 0
    others: int = 0

    def __iter__(self) -> Iterator[Entry]:
        """Each image once.

        Raises:
            UsageError: a source leads to nothing, or is a table or tar that cannot be read.
            MissingExtraError: what a source needs is not installed.
        """
        found = (entry for source in self.sources for entry in self._of(source))
        one = self.sources[0]
        yield from found if len(self.sources) == 1 and not is_url(one) and local_path(one).is_dir() else _once(found)

    def _of(self, source: str) -> Iterator[Entry]:
        if is_url(source):
            yield from self._at_url(source)
            return
        path = local_path(source)
        if os.path.lexists(path):
            yield from self._named(path.absolute(), asked=True)
            return
        found = False
        passed_over = functools.lru_cache(64)(lambda parent: is_ours(parent, Path(parent.anchor)))
        for match in matching(str(path)):
            found = True
            whole = match.absolute()
            inside = whole.is_dir()
            if not passed_over(whole if inside else whole.parent):
                yield from self._named(whole, asked=inside or _kind(source) in (TAR, *TABLES))
        if not found:
            raise UsageError(f"{source}: no such file or folder, and no file matches it; check the path")

    def _named(self, path: Path, asked: bool) -> Iterator[Entry]:
        """What a path is, that a person named (`asked`), or that a pattern matched."""
        if path.is_dir():
            yield from self._in_folder(path.resolve())
            return
        where = path.parent.resolve() / path.name
        if asked and (_kind(path.name) in (TAR, *TABLES) or path.name.endswith(PACKED)):
            yield from self._in_file(str(where))
        elif asked or self._is_image(path.name, str(where)):
            yield _local(where)

    def _in_folder(self, folder: Path) -> Iterator[Entry]:
        """As `casae.line.files.gather` finds them, one after the other; tars among them too."""
        passed_over = functools.lru_cache(1)(lambda parent: is_ours(parent, folder))
        found: dict[str, str] = {}
        for file in files_under(folder, found):
            if passed_over(file.parent):
                continue
            if _kind(file.name) == TAR or file.name.endswith(PACKED):
                yield from self._unless_broken(printable(file))
            elif self._is_image(file.name, printable(file)):
                if is_file(file):
                    yield _local(file)
                else:
                    self._leave(printable(file), "leads to no file, or may not be read; mend the link, or permissions")
        for name, why in found.items():
            self._leave(name, why)

    def _unless_broken(self, tar: str) -> Iterator[Entry]:
        """The images of a tar that nobody named alone."""
        try:
            yield from self._in_file(tar)
        except UsageError as error:
            self._leave(tar, str(error).removeprefix(f"{tar}: "))

    def _at_url(self, url: str) -> Iterator[Entry]:
        system, path = filesystem(url)
        try:
            if _kind(url) in (TAR, *TABLES) and not glob.has_magic(path):
                found: Mapping[str, Any] = {path: {}}
            elif glob.has_magic(path) and not system.exists(path):
                found = system.glob(path, detail=True)
            else:
                found = {path: system.info(path)} if system.isfile(path) else system.find(path, detail=True)
        except Exception as error:
            raise UsageError(f"{url}: cannot be looked into ({first_line(error)}); check the URL") from error
        if not found:
            raise UsageError(f"{url}: holds nothing; check the URL")
        for each in sorted(found):
            whole = str(system.unstrip_protocol(each))
            if _kind(url) in TABLES or (_kind(url) == TAR and len(found) == 1):
                yield from self._in_file(whole)
            elif _kind(each) == TAR or each.endswith(PACKED):
                yield from self._unless_broken(whole)
            elif self._is_image(PurePosixPath(each).name, whole):
                yield Entry(whole, size=found[each].get("size"), modified_ns=_changed(found[each]))

    def _in_file(self, file: str) -> Iterator[Entry]:
        """The images that a table names, or that a tar holds."""
        if file.endswith(PACKED):
            raise UsageError(f"{file}: is packed, so that no image can be read alone; unpack it to .tar")
        if _kind(file) == TAR:
            yield from self._in_tar(file)
            return
        with _opened(file) as stream:
            for text in TABLES[_kind(file)](stream, file):
                yield _cell(text, file)

    def _in_tar(self, tar: str) -> Iterator[Entry]:
        seen: set[str] = set()
        with _opened(tar) as stream, tarfile.open(fileobj=stream, mode="r:") as opened:
            for member in _members(opened):
                name = printable(member.name.removeprefix("./"))
                whole = f"{tar}/{name}"
                if not self._is_image(PurePosixPath(name).name, whole):
                    continue
                if name in seen:
                    self._leave(whole, "stands in its tar again; the first one is inspected; pack the tar anew")
                    continue
                seen.add(name)
                if member.isfile() and not member.sparse:
                    yield Entry(whole, tar, member.offset_data, member.size, int(member.mtime * 1000) * 1_000_000)
                else:
                    self._leave(whole, "is a link or has holes in its tar; pack it with --hard-dereference")
            problem = _wrong_end(stream, opened.offset)
            if problem:
                self._leave(tar, problem)

    def _is_image(self, name: str, whole: str) -> bool:
        suffix = PurePosixPath(name).suffix.lower()
        if whole in self.own:
            return False
        if suffix in UNREAD_SUFFIXES:
            self._leave(whole, f"{suffix} is not read; save it as PNG")
        elif suffix not in SUFFIXES:
            self.others += 1
        return suffix in SUFFIXES and not name.startswith(".")

    def _leave(self, name: str, why: str) -> None:
        if len(self.left_out) < NAMED:
            self.left_out[name] = why
        else:
            self.more += 1


@contextmanager
def _opened(file: str) -> Iterator[BinaryIO]:
    """A table or tar to read.

    Raises:
        UsageError: it cannot be read as such.
    """
    folder, _, name = file.rpartition("/")
    try:
        with Place(folder or "/").open(name) as stream:
            yield stream
    except (UsageError, MissingExtraError):
        raise
    except OutputError as error:
        raise UsageError(str(error)) from error
    except Exception as error:
        raise UsageError(f"{file}: cannot be read as {_kind(file)} ({first_line(error)}); check it") from error


def _kind(name: str) -> str:
    return PurePosixPath(name).suffix.lower()


def _once(found: Iterable[Entry]) -> Iterator[Entry]:
    """Each source once; of one that was there, 16 bytes are remembered."""
    seen: set[bytes] = set()
    for entry in found:
        known = blake2b(entry.source.encode(), digest_size=16).digest()
        if known not in seen:
            seen.add(known)
            yield entry


def _local(file: Path) -> Entry:
    try:
        state = file.stat()
    except OSError:  # why it cannot be read is said when its turn comes
        return Entry(printable(file))
    return Entry(printable(file), size=state.st_size, modified_ns=FileState.of(state).modified_ns)


def _changed(info: Mapping[str, Any]) -> int | None:
    """When an object was changed last, of what its store tells."""
    told = info.get("LastModified") or info.get("mtime") or info.get("last_modified")
    if isinstance(told, datetime):
        return int(told.timestamp() * 1e9)
    return int(told * 1e9) if isinstance(told, int | float) else None


def _cell(text: str, table: str) -> Entry:
    """What a cell of a table names; a relative path begins at the table."""
    if is_url(text):
        return Entry(text)
    path = text.removeprefix("file://")
    if is_url(table) and not path.startswith("/"):
        return Entry(f"{table.rpartition('/')[0]}/{path}")
    return _local(Path(table).parent / path if not is_url(table) else Path(path))


def _members(opened: tarfile.TarFile) -> Iterator[tarfile.TarInfo]:
    """As far as the tar can be read."""
    with suppress(tarfile.ReadError):  # the end, which is looked at next, is no end then
        while (member := opened.next()) is not None:
            opened.members = []  # type: ignore[attr-defined]  # or a tar of millions would fill the memory
            yield member


def _wrong_end(stream: BinaryIO, end: int) -> str:
    """Why a tar that was read so far may hold more than was found; empty where it ends as it should."""
    stream.seek(end)
    mark = stream.read(tarfile.BLOCKSIZE)
    if mark.strip(b"\0") or len(mark) < tarfile.BLOCKSIZE:
        return f"is cut off or damaged at byte {end:,}; what comes before is inspected; copy it again"
    if stream.seek(0, os.SEEK_END) - end > PADDING:
        return f"goes on behind its end at byte {end:,}; what comes before is inspected; pack it again"
    return ""


def _column(names: Sequence[str], table: str) -> str:
    found = next((name for name in COLUMNS if name in names), None)
    if found is None:
        raise UsageError(f"{table}: has no column of paths; call one 'path' ({', '.join(names[:6])} are there)")
    return found


def _in_parquet(stream: Any, table: str) -> Iterator[str]:
    try:
        from pyarrow.parquet import ParquetFile
    except ModuleNotFoundError as error:
        raise MissingExtraError.of(f"{table}: Parquet needs pyarrow", "parquet") from error
    file = ParquetFile(stream)
    column = _column(file.schema_arrow.names, table)
    for batch in file.iter_batches(ROWS_AT_ONCE, columns=[column]):
        for text in batch.column(0).to_pylist():
            if text is not None and not isinstance(text, str):
                raise UsageError(f"{table}: column {column} holds no text; call the column of paths 'path'")
            if text:
                yield text


def _in_csv(stream: Any, table: str) -> Iterator[str]:
    with io.TextIOWrapper(stream, "utf-8-sig", newline="") as text:
        head = text.readline()
        text.seek(0)
        lines = csv.DictReader(text, delimiter=max(",;\t", key=head.count))
        column = _column(lines.fieldnames or [], table)
        yield from (path for line in lines if (path := (line[column] or "").strip()))


TABLES: dict[str, Callable[[Any, str], Iterator[str]]] = {".parquet": _in_parquet, ".csv": _in_csv}
