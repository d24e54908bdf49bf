"""A shard's results as Parquet: a row an image, inspected or not, whose columns are the fields of a record."""

import functools
import io
import types
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, Literal, NamedTuple, Union, get_args, get_origin

from pydantic import BaseModel

from casae.batch.manifest import FOUND, is_part, needs_parquet, number_of
from casae.batch.places import Place
from casae.batch.sources import Entry
from casae.errors import OutputError
from casae.inspection.record import InspectionRecord

FAILURE, OVERLAY = "failure", "overlay"
OWN = ("source", "size", "modified_ns")  # of the entry, which a failed image has as well
PLAIN = {str: "string", int: "int64", float: "float64", bool: "bool_"}


class Row(NamedTuple):
    """What became of an image: a record, or why there is none; where it is drawn with its defects marked."""

    entry: Entry
    record: InspectionRecord | None
    failure: str | None
    overlay: str | None = None


def table_of(rows: Sequence[Row]) -> bytes:
    """The rows as a Parquet file."""
    pyarrow = needs_parquet()
    from pyarrow.parquet import write_table

    told = []
    for entry, record, failure, overlay in rows:
        values = {} if record is None else record.model_dump(mode="json", by_alias=True)
        known = {name: getattr(entry, name) for name in OWN}
        told.append({"entry": known, FAILURE: failure, OVERLAY: overlay} | values)
    buffer = io.BytesIO()
    write_table(pyarrow.Table.from_pylist(told, schema()), buffer, compression="zstd")
    return buffer.getvalue()


@functools.cache
def schema() -> Any:
    """Of a part file: what the manifest said of the image, why it failed, and the record's own fields."""
    pyarrow = needs_parquet()
    entry = pyarrow.struct([("source", pyarrow.string()), ("size", pyarrow.int64()), ("modified_ns", pyarrow.int64())])
    text = pyarrow.string()
    fields = [("entry", entry), (FAILURE, text), (OVERLAY, text), *_fields(InspectionRecord)]
    return pyarrow.schema(fields, metadata={"casae": f"record schema {_schema_version()}"})


def _schema_version() -> int:
    return int(InspectionRecord.model_fields["schema_version"].default)


def _fields(model: type[BaseModel]) -> list[tuple[str, Any]]:
    return [(info.alias or name, _kind(info.annotation)) for name, info in model.model_fields.items()]


def _kind(annotation: Any) -> Any:
    """The Arrow type of a field's annotation."""
    pyarrow = needs_parquet()
    origin, inside = get_origin(annotation), get_args(annotation)
    if origin in (Union, types.UnionType):
        return _kind(next(each for each in inside if each is not type(None)))
    if origin is Literal:
        return _kind(type(inside[0]))
    if origin is tuple:
        return pyarrow.list_(_kind(inside[0]))
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return pyarrow.struct(_fields(annotation))
    return getattr(pyarrow, PLAIN[annotation])()


def read_rows(place: Place, columns: Iterable[str] | None = None) -> Iterator[dict[str, Any]]:
    """The rows of all finished shards, in order of the shards, a file at a time.

    Args:
        place: folder of the batch.
        columns: only these; None takes all.

    Raises:
        OutputError: a part cannot be read.
    """
    wanted = None if columns is None else list(columns)
    for name in sorted(filter(is_part, place.names(FOUND)), key=number_of):
        yield from read_part(place, name, wanted)


def read_part(place: Place, name: str, columns: Sequence[str] | None = None) -> list[dict[str, Any]]:
    """The rows of one finished shard; arguments and errors as of `read_rows`."""
    needs_parquet()
    from pyarrow.parquet import ParquetFile

    try:
        with place.open(name) as stream:
            rows: list[dict[str, Any]] = ParquetFile(stream).read(columns).to_pylist()
            return rows
    except OutputError:
        raise
    except Exception as error:
        way = "delete it and run casae batch again"
        raise OutputError(f"{place.path(name)}: cannot be read ({error}); {way}") from error


def record_in(row: dict[str, Any]) -> InspectionRecord | None:
    """The record of a row; None where the image failed."""
    if row[FAILURE] is not None:
        return None
    own = ("entry", FAILURE, OVERLAY)
    return InspectionRecord.model_validate({name: value for name, value in row.items() if name not in own})
