"""What an archive holds, one entry an image, as a stream: folders, globs, tables of paths, tar shards, URLs."""

import csv
import functools
import io
import tarfile
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from glob import has_magic
from hashlib import blake2b
from pathlib import Path, PurePosixPath
from typing import Any, BinaryIO, NamedTuple

from casae.batch.places import Place, filesystem, first_line, is_url, local_path
from casae.errors import MissingExtraError, UsageError
from casae.files import SUFFIXES, UNREAD_SUFFIXES, files_under, printable
from casae.line.files import gather, is_label
from casae.results.folder import is_result

COLUMNS = ("path", "source", "file", "filename", "url", "image")  # of a table; the first one that it has counts
TAR = ".tar"
PACKED = (".tar.gz", ".tgz", ".tar.bz2", ".tar.xz", ".tar.zst")
ROWS_AT_ONCE = 10_000


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
        left_out: path -> why a picture, a link or a folder is not looked at.
        others: files of other types.
    """

    sources: Sequence[str]
    left_out: dict[str, str] = field(default_factory=dict)
    others: int = 0

    def __iter__(self) -> Iterator[Entry]:
        """Each image once, in an order that stays.

        Raises:
            UsageError: a source leads to nothing, or is a table or tar that cannot be read.
            MissingExtraError: what a source needs is not installed.
        """
        found = (entry for source in self.sources for entry in self._of(source))
        yield from found if len(self.sources) == 1 and _kind(self.sources[0]) not in TABLES else _once(found)

    def _of(self, source: str) -> Iterator[Entry]:
        if is_url(source):
            yield from self._at_url(source)
            return
        path = local_path(source)
        if path.is_dir():
            yield from self._in_folder(path.resolve())
        elif _kind(source) in (TAR, *TABLES) or source.endswith(PACKED):
            for file in [path] if path.exists() else _matching(source):
                yield from self._in_file(str(file.resolve()))
        else:
            gathered = gather([source])
            self.left_out |= gathered.left_out
            yield from map(_local, gathered.files)

    def _in_folder(self, folder: Path) -> Iterator[Entry]:
        """As `gather` finds them, one after the other."""
        is_no_image = functools.lru_cache(1)(lambda parent: is_result(parent) or is_label(parent, folder))
        for file in files_under(folder, self.left_out):
            if is_no_image(file.parent):
                continue
            if _kind(file.name) == TAR:
                yield from self._in_tar(printable(file))
            elif self._is_image(file.name, printable(file)):
                if file.is_file():
                    yield _local(file)
                else:
                    self.left_out[printable(file)] = "leads to no file; mend the link"

    def _at_url(self, url: str) -> Iterator[Entry]:
        system, path = filesystem(url)
        try:
            if has_magic(path):
                found = sorted(system.glob(path))
            elif _kind(url) in (TAR, *TABLES) or system.isfile(path):
                found = [path]
            else:
                found = [each for each in sorted(system.find(path)) if _kind(each) not in TABLES]
        except Exception as error:
            raise UsageError(f"{url}: cannot be looked into ({first_line(error)}); check the URL") from error
        if not found:
            raise UsageError(f"{url}: holds nothing; check the URL")
        for each in found:
            whole = system.unstrip_protocol(each)
            if _kind(each) in (TAR, *TABLES) or each.endswith(PACKED):
                yield from self._in_file(whole)
            elif self._is_image(PurePosixPath(each).name, whole):
                yield Entry(whole, size=_size_of(system, each))

    def _in_file(self, file: str) -> Iterator[Entry]:
        """The images that a table names, or that a tar holds."""
        if file.endswith(PACKED):
            raise UsageError(f"{file}: is packed, so that no image can be read alone; unpack it to .tar")
        if _kind(file) == TAR:
            yield from self._in_tar(file)
            return
        with _opened(file) as stream:
            for text in TABLES[_kind(file)](stream, file):
                yield _named(text, file)

    def _in_tar(self, tar: str) -> Iterator[Entry]:
        with _opened(tar) as stream:
            for name, offset, size in _members(stream):
                if self._is_image(PurePosixPath(name).name, f"{tar}/{name}"):
                    yield Entry(f"{tar}/{name}", tar, offset, size)

    def _is_image(self, name: str, whole: str) -> bool:
        suffix = PurePosixPath(name).suffix.lower()
        if suffix in UNREAD_SUFFIXES:
            self.left_out[whole] = f"{suffix} is not read; save it as PNG"
        elif suffix not in SUFFIXES:
            self.others += 1
        return suffix in SUFFIXES and not name.startswith(".")


def _kind(name: str) -> str:
    return PurePosixPath(name).suffix.lower()


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
    except Exception as error:
        raise UsageError(f"{file}: cannot be read as {_kind(file)} ({first_line(error)}); check it") from error


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
    return Entry(printable(file), size=state.st_size, modified_ns=state.st_mtime_ns)


def _named(text: str, table: str) -> Entry:
    """What a cell of a table names; a relative path begins at the table."""
    if is_url(text):
        return Entry(text)
    if is_url(table):
        return Entry(f"{table.rpartition('/')[0]}/{text}")
    return _local(Path(table).parent / local_path(text))


def _size_of(system: Any, path: str) -> int | None:
    try:
        return int(system.info(path)["size"])  # from the listing, which is kept
    except Exception:
        return None


def _matching(pattern: str) -> list[Path]:
    """Files that a pattern matches, in order.

    Raises:
        UsageError: none does.
    """
    path = local_path(pattern)
    files = path.parent.iterdir() if path.parent.is_dir() else iter(())
    found = sorted(file for file in files if fnmatchcase(file.name, path.name))
    if not found:
        raise UsageError(f"{pattern}: no such file or folder, and no file matches it; check the path")
    return found


def _members(stream: Any) -> Iterator[tuple[str, int, int]]:
    """Name, offset and size of each file in a tar, whose members are not kept: a shard may hold millions."""
    with tarfile.open(fileobj=stream, mode="r:") as tar:
        while (member := tar.next()) is not None:
            tar.members = []  # type: ignore[attr-defined]  # tarfile has no other way to forget
            if member.isfile():
                yield member.name.removeprefix("./"), member.offset_data, member.size


def _column(names: Sequence[str], table: str) -> str:
    found = next((name for name in COLUMNS if name in names), None)
    if found is None:
        raise UsageError(f"{table}: has no column of paths; call one 'path' ({', '.join(names[:6])} are there)")
    return found


def _in_parquet(stream: Any, table: str) -> Iterator[str]:
    try:
        from pyarrow.parquet import ParquetFile
    except ModuleNotFoundError as error:
        raise MissingExtraError(f"{table}: Parquet needs pyarrow; pip install 'casae[parquet]'") from error
    file = ParquetFile(stream)
    column = _column(file.schema_arrow.names, table)
    for batch in file.iter_batches(ROWS_AT_ONCE, columns=[column]):
        yield from (str(text) for text in batch.column(0).to_pylist() if text)


def _in_csv(stream: Any, table: str) -> Iterator[str]:
    with io.TextIOWrapper(stream, "utf-8-sig", newline="") as text:
        lines = csv.DictReader(text)
        column = _column(lines.fieldnames or [], table)
        yield from (path for line in lines if (path := (line[column] or "").strip()))


TABLES: dict[str, Callable[[Any, str], Iterator[str]]] = {".parquet": _in_parquet, ".csv": _in_csv}
