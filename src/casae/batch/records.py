"""The results of a batch into the database of records. Workers never write there; this does, from one process."""

from collections.abc import Callable, Iterator
from typing import Any

from sqlalchemy import Engine

from casae.batch.places import Place
from casae.batch.rows import FAILURE, read_rows, record_in
from casae.decoding import FileState
from casae.inspection.record import InspectionRecord
from casae.records.store import DatabaseStore, import_records


def import_batch(engine: Engine, place: Place, done: Callable[[object], object] = lambda row: None) -> tuple[int, int]:
    """Keep the finished images of a batch, records and failures; those that are there already are passed over.

    Args:
        engine: of `casae.records.database.opened`.
        place: folder of the batch.
        done: called after each image.

    Returns:
        How many records were new, and of how many.

    Raises:
        OutputError: the batch cannot be read.
        RecordsError: the database does not take them; those of earlier transactions are kept.
    """
    failures = DatabaseStore(engine)
    seen = 0

    def records() -> Iterator[InspectionRecord]:
        nonlocal seen
        for row in read_rows(place):
            record = record_in(row)
            if record is None:
                failures.add_failure(row["entry"]["source"], row[FAILURE], _state(row["entry"]))
                done(row)
            else:
                seen += 1
                yield record

    new = import_records(engine, records(), done)
    return new, seen


def _state(entry: dict[str, Any]) -> FileState:
    """What the manifest said of a file, which had no inode for it."""
    return FileState(entry["size"] or 0, entry["modified_ns"] or 0, 0)
