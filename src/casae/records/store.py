"""Inspections into the database: each once, in one transaction with all that belongs to it."""

import functools
import hashlib
import json
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from itertools import islice
from pathlib import Path, PurePath
from typing import Any, Literal

from pydantic import ValidationError
from sqlalchemy import Connection, Engine, Executable, Table, func, literal, select, update
from sqlalchemy.dialects.postgresql import insert as insert_postgresql
from sqlalchemy.dialects.sqlite import insert as insert_sqlite

from casae.config import first_problem
from casae.decoding import FileState, read_file
from casae.errors import UsageError
from casae.files import printable
from casae.inspection.inspection import Conditions, Inspection, Part, new_id
from casae.inspection.record import JUDGED_BY, InspectionRecord, judged_by, record_of, rules_sha256
from casae.inspection.rules import AcceptanceRules
from casae.records.database import reading, writing
from casae.records.schema import (
    audit,
    counts,
    defects,
    failures,
    images,
    inspections,
    models,
    outbox,
    reviews,
    rules,
    subscribers,
)

Decision = Literal["OK", "REVIEW", "NG"]
NO_PART = Part()
TOGETHER = 100  # records in a transaction, each of which waits for the disk once


@dataclass(frozen=True)
class DatabaseStore:
    """A database as the place where inspections are kept (`casae.line.run.Store`).

    Attributes:
        engine: of `open_database`.
        part: of what comes without saying so.
        card: of the model that inspects.
    """

    engine: Engine
    part: Part = NO_PART
    card: str | None = None

    def knows(self, file: Path, conditions: Conditions, part: Part) -> str | None:
        """The id of an earlier inspection of this very picture and part under these conditions, None without one.

        A file of the same size and time of change is the same; of another, the content is compared.
        """
        source, state = printable(file), FileState.of(file.stat())
        same = (images.c.source == source, images.c.name == file.name)
        unchanged = (images.c.bytes == state.size, images.c.modified_ns == state.modified_ns)
        with reading(self.engine) as connection:
            sha256 = connection.scalar(select(images.c.sha256).where(*same, *unchanged).limit(1))
        return self.known(sha256 or hashlib.sha256(read_file(file)).hexdigest(), source, conditions, part)

    def known(self, sha256: str, source: str, conditions: Conditions, part: Part) -> str | None:
        """The id of an earlier inspection of a picture of this hash and source; see `knows`."""
        known_by = _known_by(sha256, source, judged_by(conditions), self._part(part))
        with reading(self.engine) as connection:
            return connection.scalar(select(inspections.c.id).where(inspections.c.known_by == known_by))

    def record(self, key: str) -> InspectionRecord:
        """What is kept under an id.

        Raises:
            UsageError: nothing is.
        """
        return record_by_id(self.engine, key)

    def add(self, inspection: Inspection) -> tuple[str, InspectionRecord]:
        """Keep an inspection; it is on disk when this returns.

        Raises:
            RecordsError: the database does not take it.
        """
        record = record_of(replace(inspection, part=self._part(inspection.part)))
        beside = Beside(inspection.conditions.rules.model_dump_json(), self.card)
        return add_records(self.engine, [record], beside)[0], record

    def finish(self, keys: Iterable[str], failures: Mapping[str, str]) -> list[str]:
        """Ids of a run that is over."""
        return list(keys)

    def add_failure(self, source: str, reason: str, file: FileState) -> None:
        """Keep why a picture could not be inspected, once for a file that stays the same.

        Raises:
            RecordsError: the database does not take it.
        """
        known_by = hashlib.sha256(json.dumps([source, *file]).encode()).hexdigest()
        row = {"id": new_id(), "known_by": known_by, "at": now(), "source": source, "reason": reason}
        with writing(self.engine) as connection:
            once(connection, failures, row, "known_by")

    def place(self, key: str, wanted: str, instead_of: str | None = None) -> str | None:
        """Where the picture of an inspection shall be moved to: what was said first, also before a kill.

        Args:
            key: of the inspection; None comes back where there is none any more.
            wanted: where, unless something was said.
            instead_of: that was said, and cannot be.

        Raises:
            RecordsError: the database does not take it.
        """
        of_it = images.c.id == select(inspections.c.image_id).where(inspections.c.id == key).scalar_subquery()
        free = images.c.path.is_(None) if instead_of is None else images.c.path == instead_of
        with writing(self.engine) as connection:
            connection.execute(update(images).where(of_it, free).values(path=wanted))
            return connection.scalar(select(images.c.path).where(of_it))

    def _part(self, part: Part) -> Part:
        return part if part != NO_PART else self.part


@dataclass(frozen=True)
class Beside:
    """What is kept beside a record, as far as it is known.

    Attributes:
        rules: that decided, JSON.
        card: of the model.
    """

    rules: str | None = None
    card: str | None = None


NOTHING = Beside()


def add_records(engine: Engine, records: Iterable[InspectionRecord], beside: Beside = NOTHING) -> list[str]:
    """Keep records in one transaction; the id of each, or that of the same inspection which is there already.

    Subscribers (`casae.records.outbox`) are told of those that are new.

    Raises:
        RecordsError: the database does not take them; then none is kept.
    """
    with writing(engine) as connection:
        added = _add_all(connection, records, beside)
        for key, is_new in added:
            if is_new:
                _tell(connection, key, key)
        return [key for key, _ in added]


def import_records(
    engine: Engine, records: Iterable[InspectionRecord], done: Callable[[object], object] = lambda record: None
) -> int:
    """Keep many records, `TOGETHER` in a transaction; how many were new. Nobody is told: they are of the past.

    Raises:
        RecordsError: the database does not take them; those of earlier transactions are kept.
    """
    left, new = iter(records), 0
    while batch := list(islice(left, TOGETHER)):
        with writing(engine) as connection:
            new += sum(is_new for _, is_new in _add_all(connection, batch, NOTHING))
        for record in batch:
            done(record)
    return new


def keep_rules(engine: Engine, contents: Iterable[str]) -> None:
    """Keep what rules say, JSON, beside records that were judged by them; what was known stays.

    Raises:
        UsageError: a text is no rules.
        RecordsError: the database does not take them.
    """
    for content in contents:
        try:
            known = AcceptanceRules.model_validate_json(content)
        except ValidationError as error:
            raise UsageError(f"rules: are none ({first_problem(error)}); leave their file out") from error
        row = {"sha256": rules_sha256(known), "content": known.model_dump_json()}
        with writing(engine) as connection:
            if not once(connection, rules, row, "sha256"):
                unknown = (rules.c.sha256 == row["sha256"], rules.c.content.is_(None))
                connection.execute(update(rules).where(*unknown).values(content=row["content"]))


def record_by_id(engine: Engine, key: str) -> InspectionRecord:
    """The record of an inspection.

    Raises:
        UsageError: there is none of this id.
    """
    with reading(engine) as connection:
        found = connection.scalar(select(inspections.c.record).where(inspections.c.id == key))
    if found is None:
        raise UsageError(f"{key}: no inspection has this id; casae records list shows them")
    return InspectionRecord.model_validate_json(found)


def review(
    engine: Engine,
    key: str,
    decision: Decision,
    who: str,
    why: str,
    *,
    blind: bool = False,
    findings: str | None = None,
) -> str:
    """What a person says of a part, as a new row; the inspection stays. Returns the review's id.

    Args:
        key: of the inspection.
        decision: what the part truly is.
        who, why: said so.
        blind: whether they did not see what casae had decided.
        findings: JSON, what its defects truly are.

    Raises:
        UsageError: there is no inspection of this id.
        RecordsError: the database does not take it.
    """
    with writing(engine) as connection:
        old = connection.scalar(
            select(reviews.c.new).where(reviews.c.inspection_id == key).order_by(reviews.c.id.desc()).limit(1)
        ) or connection.scalar(select(inspections.c.decision).where(inspections.c.id == key))
        if old is None:
            raise UsageError(f"{key}: no inspection has this id; casae records list shows them")
        made = new_id()
        row = {"id": made, "inspection_id": key, "at": now(), "who": who, "old": old, "new": decision, "why": why}
        connection.execute(reviews.insert(), row | {"blind": blind, "findings": findings})
        _tell(connection, made, key)
        return made


def note(engine: Engine, who: str, address: str, what: str, subject: str, detail: Mapping[str, object]) -> None:
    """A line of the audit list: who did what from where.

    Raises:
        RecordsError: the database does not take it.
    """
    row = {"id": new_id(), "at": now(), "who": who, "address": address, "what": what, "subject": subject}
    with writing(engine) as connection:
        connection.execute(audit.insert(), row | {"detail": json.dumps(detail)})


def _tell(connection: Connection, key: str, inspection_id: str) -> None:
    """Put a new inspection or review into the outbox of every subscriber."""
    each = select(subscribers.c.name, literal(key), literal(inspection_id))
    connection.execute(outbox.insert().from_select(["subscriber", "id", "inspection_id"], each))


def _add_all(connection: Connection, records: Iterable[InspectionRecord], beside: Beside) -> list[tuple[str, bool]]:
    """The id of each and whether it is new. Counters come last and in order: others wait for them too."""
    kept, counted_now = [], Counter[tuple[str, ...]]()
    for record in records:
        key, is_new = _add(connection, record, beside)
        kept.append((key, is_new))
        if is_new:
            day = datetime.fromisoformat(record.inspected_at).astimezone(UTC).date().isoformat()
            counted_now[day, record.part.product or "", record.model_sha256, record.decision] += 1
    for values, more in sorted(counted_now.items()):
        row = dict(zip(counts.primary_key.columns.keys(), values, strict=True))
        once(connection, counts, row | {"inspections": 0}, *row)
        mine = [counts.c[name] == value for name, value in row.items()]
        connection.execute(update(counts).where(*mine).values(inspections=counts.c.inspections + more))
    return kept


def _add(connection: Connection, record: InspectionRecord, beside: Beside) -> tuple[str, bool]:
    """Its id, or that of the same inspection, and whether it is new."""
    identity = tuple(getattr(record, name) for name in JUDGED_BY)
    known_by = _known_by(record.sha256, record.source, identity, record.part)
    earlier = connection.scalar(select(inspections.c.id).where(inspections.c.known_by == known_by))
    if earlier is not None:
        return str(earlier), False
    content = {"sha256": record.sha256, "source": record.source}
    sizes = {
        "name": PurePath(record.source).name,
        "bytes": record.file_bytes,
        "width_px": record.width_px,
        "height_px": record.height_px,
        "camera": record.camera,
        "taken_at": record.taken_at,
        "modified_ns": record.file_modified_ns,
    }
    once(connection, images, content | sizes, *content)
    once(connection, models, {"sha256": record.model_sha256, "name": record.model, "card": beside.card}, "sha256")
    once(connection, rules, {"sha256": record.rules_sha256, "content": beside.rules}, "sha256")
    image = select(images.c.id).where(images.c.sha256 == record.sha256, images.c.source == record.source)
    row = {
        "id": record.id,
        "known_by": known_by,
        "image_id": connection.scalar(image),
        "model_sha256": record.model_sha256,
        "rules_sha256": record.rules_sha256,
        **record.part.model_dump(),
        "decision": record.decision,
        "kind": record.decided_by.kind,
        "decided_class": record.decided_by.defect_class,
        "defects": len(record.defects),
        "largest_px": record.largest_px,
        "novelty": record.novelty,
        "brightness": record.brightness,
        "sharpness": record.sharpness,
        "record": record.model_dump_json(by_alias=True),
    }
    if not once(connection, inspections, row, "known_by"):  # another process was faster
        return str(connection.scalar(select(inspections.c.id).where(inspections.c.known_by == known_by))), False
    if record.defects:
        connection.execute(defects.insert(), list(_defect_rows(record)))
    return record.id, True


def _defect_rows(record: InspectionRecord) -> Iterator[dict[str, Any]]:
    names = [column.name for column in defects.c if column.name not in ("inspection_id", "class", "first")]
    seen: set[str] = set()
    for defect in record.defects:
        name = defect.defect_class
        values = {each: getattr(defect, each) for each in names}
        yield {"inspection_id": record.id, "class": name, "first": name not in seen, **values}
        seen.add(name)


def once(connection: Connection, table: Table, row: dict[str, Any], *unique: str) -> bool:
    """Insert a row unless one with the same values of `unique` is there; whether it was not."""
    return connection.execute(_insert_once(connection.dialect.name, table, unique), row).first() is not None


@functools.cache
def _insert_once(dialect: str, table: Table, unique: tuple[str, ...]) -> Executable:
    """Built once: that takes longer than the insertion."""
    insert = insert_postgresql if dialect == "postgresql" else insert_sqlite
    return insert(table).on_conflict_do_nothing(index_elements=unique).returning(*table.primary_key.columns)


def _known_by(sha256: str, source: str, identity: tuple[object, ...], part: Part) -> str:
    """Hash of the picture, its place, what judged it and the part: the same inspection again is no new one."""
    told = json.dumps([sha256, source, identity, part.model_dump()])
    return hashlib.sha256(told.encode()).hexdigest()


def counted(engine: Engine) -> dict[str, int]:
    """Inspections of each decision, by the counters."""
    wanted = select(counts.c.decision, func.sum(counts.c.inspections)).group_by(counts.c.decision)
    with reading(engine) as connection:
        return {decision: int(total) for decision, total in connection.execute(wanted)}


def now() -> str:
    """The time as rows have it: ISO 8601, UTC, milliseconds."""
    return datetime.now(UTC).isoformat(timespec="milliseconds")
