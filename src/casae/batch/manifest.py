"""The manifest: which images there are and which shard each belongs to, written once as Parquet."""

import io
import os
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, BinaryIO
from uuid import uuid4

from casae.batch.places import Place
from casae.batch.sources import Entry
from casae.errors import MissingExtraError, OutputError

MANIFEST = "manifest.parquet"
FOUND = "inspections"  # folder of the part files
GROUP = 4096  # images in a row group, which a worker reads at once; of larger shards, one shard
WAITING = 100_000  # images of shards that are not full yet, at most
COLUMNS = ("shard", "partition", *Entry._fields)


def needs_parquet() -> Any:
    """The module pyarrow.

    Raises:
        MissingExtraError: it is not installed.
    """
    try:
        import pyarrow.parquet
    except ModuleNotFoundError as error:
        raise MissingExtraError.of("casae batch needs pyarrow", "batch") from error
    return pyarrow


@dataclass(frozen=True)
class Shard:
    """Images that one worker inspects in a row; their results are one file.

    Attributes:
        number: counts from 0.
        partition: folder that its results are sorted into, such as "day=2026-11-29"; empty without one.
        entries: its images.
    """

    number: int
    partition: str
    entries: tuple[Entry, ...]

    @property
    def file(self) -> str:
        """Its results, as a path in the folder of the batch."""
        return "/".join(filter(None, (FOUND, self.partition, f"part-{self.number:07d}.parquet")))


@dataclass
class _Growing:
    """Shards that fill up, one for each partition; where there are very many, the fullest one need not be full."""

    size: int
    partition_of: Callable[[Entry], str]
    waiting: dict[str, list[Entry]] = field(default_factory=dict)

    def shards(self, entries: Iterable[Entry]) -> Iterator[tuple[str, list[Entry]]]:
        """Whole ones as they fill, then what is left, in order of their partitions."""
        count = 0
        for entry in entries:
            partition = self.partition_of(entry)
            mine = self.waiting.setdefault(partition, [])
            mine.append(entry)
            count += 1
            if len(mine) == self.size or count >= WAITING:
                fullest = max(self.waiting, key=lambda each: len(self.waiting[each])) if count >= WAITING else partition
                count -= len(self.waiting[fullest])
                yield fullest, self.waiting.pop(fullest)
        yield from sorted(self.waiting.items())


def write_manifest(
    place: Place,
    entries: Iterable[Entry],
    size: int,
    partition_of: Callable[[Entry], str] = lambda entry: "",
    step: Callable[[int], object] = lambda images: None,
    known: Callable[[], object] = lambda: None,
) -> None:
    """Write which images there are, as a stream; nothing is there before all are known.

    Args:
        place: folder of the batch.
        entries: the images.
        size: most images of a shard.
        partition_of: folder that the results of an image go to.
        step: called now and then with the number of images so far.
        known: called when all are known, before the manifest is there.

    Raises:
        OutputError: the place does not take it.
        CasaeError: what the entries raise.
    """
    pyarrow = needs_parquet()
    from pyarrow.parquet import ParquetWriter

    text, number = pyarrow.string(), pyarrow.int64()
    kinds = (pyarrow.int32(), text, text, text, number, number, number)
    schema = pyarrow.schema(list(zip(COLUMNS, kinds, strict=True)))
    images, shards, group, together = 0, 0, list[tuple[object, ...]](), max(1, GROUP // size)
    with _written(place) as stream, ParquetWriter(stream, schema, compression="zstd") as writer:

        def flush() -> None:
            columns = list(zip(*group, strict=True)) or [()] * len(COLUMNS)
            arrays = [pyarrow.array(column, kind) for column, kind in zip(columns, kinds, strict=True)]
            writer.write_table(pyarrow.Table.from_arrays(arrays, schema=schema), max(1, len(group)))
            group.clear()

        for partition, mine in _Growing(size, partition_of).shards(entries):
            group += [(shards, partition, *entry) for entry in mine]
            shards, images = shards + 1, images + len(mine)
            if shards % together == 0:
                flush()
                step(images)
        flush()
        writer.add_key_value_metadata({"images": str(images), "shards": str(shards), "together": str(together)})
        known()
    step(images)


@contextmanager
def _written(place: Place) -> Iterator[BinaryIO]:
    """A file that becomes the manifest; beside it in a folder, in this machine's memory before it goes to a URL."""
    if place.folder is None:
        data = io.BytesIO()
        yield data
        place.write(MANIFEST, data.getvalue())
        return
    part = place.folder / f".{uuid4().hex}.part"
    try:
        place.folder.mkdir(parents=True, exist_ok=True)
        with part.open("wb") as stream:
            yield stream
            stream.flush()
            os.fsync(stream.fileno())
        part.replace(place.folder / MANIFEST)
    finally:
        part.unlink(missing_ok=True)


class Manifest:
    """A manifest as a worker reads it, a group of shards at a time.

    Args:
        place: folder of the batch.

    Attributes:
        images: how many there are.
        shards: likewise.

    Raises:
        OutputError: it is not there, or damaged.
    """

    def __init__(self, place: Place) -> None:
        self._place = place
        told = self._opened(lambda file: file.metadata.metadata)
        self.images, self.shards = int(told[b"images"]), int(told[b"shards"])
        self._together = int(told[b"together"])
        self._group: tuple[int, dict[int, Shard]] = (-1, {})

    def shard(self, number: int) -> Shard:
        """The images of a shard.

        Raises:
            OutputError: the manifest cannot be read.
        """
        group = number // self._together
        if self._group[0] != group:
            self._group = (group, self._read(group))
        return self._group[1][number]

    def __iter__(self) -> Iterator[Shard]:
        return map(self.shard, range(self.shards))

    def _read(self, group: int) -> dict[int, Shard]:
        columns = self._opened(lambda file: [column.to_pylist() for column in file.read_row_group(group).columns])
        shards: dict[int, tuple[str, list[Entry]]] = {}
        for number, partition, *entry in zip(*columns, strict=True):
            shards.setdefault(number, (partition, []))[1].append(Entry(*entry))
        return {number: Shard(number, partition, tuple(mine)) for number, (partition, mine) in shards.items()}

    def _opened(self, read: Callable[[Any], Any]) -> Any:
        needs_parquet()
        from pyarrow.parquet import ParquetFile

        try:
            with self._place.open(MANIFEST) as stream:
                return read(ParquetFile(stream))
        except OutputError:
            raise
        except Exception as error:
            name, way = self._place.path(MANIFEST), "begin anew in another --out"
            raise OutputError(f"{name}: is damaged ({error}); {way}") from error


def finished(place: Place) -> set[int]:
    """Numbers of the shards whose results are there.

    Raises:
        OutputError: the place cannot be looked into.
    """
    return {number_of(name) for name in place.names(FOUND) if is_part(name)}


def number_of(name: str) -> int:
    """The shard whose results have a path."""
    return int(name.rpartition("/")[2].removeprefix("part-").removesuffix(".parquet"))


def is_part(name: str) -> bool:
    """Whether a path is that of a shard's results."""
    file = name.rpartition("/")[2]
    return file.startswith("part-") and file.endswith(".parquet") and file[5:-8].isdigit()
