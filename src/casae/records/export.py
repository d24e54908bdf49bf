"""Inspections into a file: whole records as JSON lines, or a row each as CSV or Parquet."""

from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import Any

from sqlalchemy import Engine

from casae.errors import MissingExtraError, UsageError
from casae.files import unwritten, write_csv
from casae.inspection.inspection import Part
from casae.inspection.record import InspectionRecord
from casae.records.queries import PAGE, Filter, reviewed_records

COLUMNS = (
    "id",
    "inspected_at",
    "taken_at",
    "camera",
    "source",
    "sha256",
    "decision",
    "reason",
    "model",
    "model_sha256",
    "novelty",
    "brightness",
    "sharpness",
    "machine",
)
OF_PART = tuple(Part.model_fields)
REVIEWED = {"reviewed": "new", "reviewed_by": "who", "reviewed_at": "at", "reviewed_why": "why"}  # of the last review
HEADER = (*COLUMNS, *OF_PART, "defects", "largest_px", "classes", *REVIEWED)


def write(engine: Engine, wanted: Filter, out: Path) -> int:
    """Write inspections, newest first, to FILE.csv, .jsonl or .parquet, page by page. Returns how many.

    Rows say what a person said last; JSON lines are the records alone.

    Raises:
        UsageError: another suffix, or there is such a file.
        MissingExtraError: Parquet needs pyarrow.
        OutputError: the disk does not take it.
        RecordsError: the database cannot be read.
    """
    kinds = {".csv": _write_csv, ".jsonl": _write_lines, ".parquet": _write_parquet}
    if out.suffix not in kinds:
        raise UsageError(f"{out}: name a file that ends in {', '.join(kinds)}")
    if out.exists():
        raise UsageError(f"{out}: is there already; name a new file")
    if not out.parent.is_dir():
        raise UsageError(f"{out}: its folder is not there; make it, or name another file")
    counted = _Counted(reviewed_records(engine, wanted))
    try:
        kinds[out.suffix](counted, out)
    except OSError as error:
        raise unwritten(out, error) from error
    return counted.seen


Reviewed = tuple[InspectionRecord, dict[str, str] | None]


class _Counted:
    """Records as they pass, and how many did."""

    def __init__(self, found: Iterator[Reviewed]) -> None:
        self.seen = 0
        self._found = found

    def __iter__(self) -> Iterator[Reviewed]:
        for pair in self._found:
            self.seen += 1
            yield pair


def _write_csv(found: _Counted, out: Path) -> None:
    write_csv(out, HEADER, (_row(*pair).values() for pair in found))


def _write_lines(found: _Counted, out: Path) -> None:
    part = out.with_name(f"{out.name}.part")
    with part.open("w", encoding="utf-8") as stream:
        stream.writelines(f"{record.model_dump_json(by_alias=True)}\n" for record, _ in found)
    part.replace(out)


def _write_parquet(found: _Counted, out: Path) -> None:
    try:
        import pyarrow
        from pyarrow.parquet import ParquetWriter
    except ModuleNotFoundError as error:
        raise MissingExtraError(f"{out}: Parquet needs pyarrow; pip install 'casae[parquet]'") from error
    numbers = {"defects": pyarrow.int32(), "largest_px": pyarrow.int64(), "novelty": pyarrow.float64()}
    numbers |= {"brightness": pyarrow.float64(), "sharpness": pyarrow.float64()}
    schema = pyarrow.schema([(name, numbers.get(name, pyarrow.string())) for name in (*HEADER, "record")])
    part = out.with_name(f"{out.name}.part")
    with ParquetWriter(part, schema) as writer:
        rows = iter(found)
        while page := list(islice(rows, PAGE)):
            told = [_row(record, said) | {"record": record.model_dump_json(by_alias=True)} for record, said in page]
            writer.write_table(pyarrow.Table.from_pylist(told, schema))
    part.replace(out)


def _row(record: InspectionRecord, said: dict[str, str] | None) -> dict[str, Any]:
    return {
        **{name: getattr(record, name) for name in COLUMNS},
        **{name: getattr(record.part, name) for name in OF_PART},
        "defects": len(record.defects),
        "largest_px": record.largest_px,
        "classes": "; ".join(sorted({defect.defect_class for defect in record.defects})),
        **{column: said[name] if said else None for column, name in REVIEWED.items()},
    }
