"""Inspections, their defects or their reviews into a file: a row each as CSV, JSON lines or Parquet."""

import json
from collections.abc import Iterator, Mapping
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Any, Literal, get_args

from sqlalchemy import Engine

from casae.errors import MissingExtraError, UsageError
from casae.files import unwritten, write_csv
from casae.inspection.inspection import Part
from casae.inspection.record import DefectRecord, InspectionRecord
from casae.records.queries import PAGE, Filter, reviewed_records

WHOLE = "record"
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
    "gs",
    "core_gs",
    "min_area_px",
    "join_px",
    "looks",
    "precision",
    "mm_per_pixel",
    "scale_error_percent",
    "calibration",
    "rules_sha256",
    "zones_sha256",
    "roi_sha256",
    "casae_version",
)
OF_PART = tuple(Part.model_fields)
REVIEWED = {"reviewed": "new", "reviewed_by": "who", "reviewed_at": "at", "reviewed_why": "why"}  # of the last review
OF_DEFECT = tuple(name for name in DefectRecord.model_fields if name not in ("polygons", "rectangle"))
OF_REVIEW = ("id", "at", "who", "old", "new", "why", "blind", "findings")
What = Literal["inspections", "defects", "reviews"]
ABOUT = ("inspection_id", "inspected_at", "decision", *OF_PART)  # what stands before a defect or a review
COUNTED = ("defects", "largest_px", "classes", *REVIEWED)
HEADERS: dict[What, tuple[str, ...]] = {
    "inspections": (*COLUMNS, *OF_PART, *COUNTED),
    "defects": (*ABOUT, *("class" if name == "defect_class" else name for name in OF_DEFECT)),
    "reviews": (*ABOUT, *OF_REVIEW),
}
TYPES: Mapping[str, type] = {  # of columns that hold no text
    name: kind
    for model in (InspectionRecord, DefectRecord)
    for name, field in model.model_fields.items()
    for kind in (bool, int, float)
    if kind in (field.annotation, *get_args(field.annotation))
} | {"defects": int, "largest_px": int, "blind": bool}

Row = dict[str, Any]


def write(engine: Engine, wanted: Filter, out: Path, what: What = "inspections") -> int:
    """Write to FILE.csv, .jsonl or .parquet, newest first, page by page. Returns how many rows.

    A row is an inspection with what a person said last, one of its defects, or one of its reviews. JSON lines of
    inspections are the records alone.

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
    count = 0

    def counted() -> Iterator[Row]:
        nonlocal count
        for record, said in reviewed_records(engine, wanted):
            for row in _rows(what, record, said):
                count += 1
                yield row

    try:
        kinds[out.suffix](counted(), what, out)
    except OSError as error:
        raise unwritten(out, error) from error
    return count


def _write_csv(rows: Iterator[Row], what: What, out: Path) -> None:
    write_csv(out, HEADERS[what], ([row[name] for name in HEADERS[what]] for row in rows))


def _write_lines(rows: Iterator[Row], what: What, out: Path) -> None:
    part = out.with_name(f"{out.name}.part")
    with part.open("w", encoding="utf-8") as stream:
        for row in rows:
            told = row[WHOLE]() if what == "inspections" else json.dumps({name: row[name] for name in HEADERS[what]})
            stream.write(f"{told}\n")
    part.replace(out)


def _write_parquet(rows: Iterator[Row], what: What, out: Path) -> None:
    try:
        import pyarrow
        from pyarrow.parquet import ParquetWriter
    except ModuleNotFoundError as error:
        raise MissingExtraError.of(f"{out}: Parquet needs pyarrow", "parquet") from error
    kinds = {int: pyarrow.int64(), float: pyarrow.float64(), bool: pyarrow.bool_()}
    names = (*HEADERS[what], *([WHOLE] if what == "inspections" else []))
    schema = pyarrow.schema([(name, kinds.get(TYPES.get(name, str), pyarrow.string())) for name in names])
    part = out.with_name(f"{out.name}.part")
    with ParquetWriter(part, schema) as writer:
        while page := list(islice(rows, PAGE)):
            told = [row | {WHOLE: row[WHOLE]()} if WHOLE in row else row for row in page]
            writer.write_table(pyarrow.Table.from_pylist(told, schema))
    part.replace(out)


def _rows(what: What, record: InspectionRecord, said: list[dict[str, Any]]) -> Iterator[Row]:
    """Rows about an inspection; under `WHOLE` what gives all of it as JSON."""
    part = {name: getattr(record.part, name) for name in OF_PART}
    about = {"inspection_id": record.id, "inspected_at": record.inspected_at, "decision": record.decision, **part}
    if what == "defects":
        for each in record.defects:
            told = {name: getattr(each, name) for name in OF_DEFECT}
            yield {**about, **told, "class": each.defect_class, "zones": "; ".join(each.zones)}
    elif what == "reviews":
        yield from (
            {**about, **{name: each[name] for name in OF_REVIEW}, "blind": bool(each["blind"])} for each in said
        )
    else:
        yield {
            **{name: getattr(record, name) for name in COLUMNS},
            **part,
            "defects": len(record.defects),
            "largest_px": record.largest_px,
            "classes": "; ".join(sorted({defect.defect_class for defect in record.defects})),
            **{column: said[-1][name] if said else None for column, name in REVIEWED.items()},
            WHOLE: partial(record.model_dump_json, by_alias=True),
        }
