"""Inspections out of the database: filtered, newest first, a page at a time."""

from collections import defaultdict
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, NamedTuple

from sqlalchemy import ColumnElement, Connection, Engine, RowMapping, Select, delete, exists, false, func, select

from casae.inspection.inspection import new_id
from casae.inspection.record import InspectionRecord
from casae.records.database import reading, writing
from casae.records.schema import defects, failures, images, inspections, models, outbox, prunings, reviews
from casae.records.store import now

EPOCH, MILLISECOND = datetime(1970, 1, 1, tzinfo=UTC), timedelta(milliseconds=1)
AT_A_TIME = 5000  # inspections that a transaction of `prune` drops
PAGE = 500  # rows that an export holds at once


@dataclass(frozen=True)
class Filter:
    """Which inspections; what is None does not matter.

    Attributes:
        since, until: when they ended, from and before.
        decision: OK, REVIEW or NG, before anybody reviewed it.
        defect_class: with a defect of this class.
        serial, batch, product, station, recipe: of the part.
        model: its name.
        picture: name of its file, without folders.
        since_id: of this id, or a later one.
        reviewed: whether a person has said anything.
        sample: of a random share 0..1 of all, always the same ones.
        least_novelty: as unlike the learned pictures as this, at least.
        least_px: with a defect of this area, at least.
        model_sha256: of the model.
    """

    since: datetime | None = None
    until: datetime | None = None
    decision: str | None = None
    defect_class: str | None = None
    serial: str | None = None
    batch: str | None = None
    product: str | None = None
    station: str | None = None
    recipe: str | None = None
    model: str | None = None
    picture: str | None = None
    since_id: str | None = None
    reviewed: bool | None = None
    sample: float | None = None
    least_novelty: float | None = None
    least_px: int | None = None
    model_sha256: str | None = None


class Row(NamedTuple):
    """An inspection in a list; `reviewed` is what a person said last, None where nobody did."""

    id: str
    decision: str
    reviewed: str | None
    kind: str
    serial: str | None
    batch: str | None
    product: str | None
    station: str | None
    defects: int
    largest_px: int
    model: str
    source: str


def page(engine: Engine, wanted: Filter, after: str | None = None, limit: int = 50) -> list[Row]:
    """The newest inspections, or those that follow the id `after`: as quick on the last page as on the first."""
    columns = [inspections.c[name] for name in Row._fields if name in inspections.c]
    latest = (
        select(reviews.c.new)
        .where(reviews.c.inspection_id == inspections.c.id)
        .order_by(reviews.c.id.desc())
        .limit(1)
        .scalar_subquery()
    )
    with reading(engine) as connection:
        query = _of(connection, wanted, after, limit).add_columns(
            *columns, latest.label("reviewed"), models.c.name.label("model"), images.c.source
        )
        return [_row(row) for row in connection.execute(query).mappings()]


def records(engine: Engine, wanted: Filter) -> Iterator[InspectionRecord]:
    """All records, newest first, read in pages."""
    return (record for record, _ in reviewed_records(engine, wanted))


def reviewed_records(engine: Engine, wanted: Filter) -> Iterator[tuple[InspectionRecord, list[dict[str, Any]]]]:
    """All records, newest first, each with what people said of it, oldest first."""
    after = None
    while True:
        with reading(engine) as connection:
            query = _of(connection, wanted, after, PAGE).add_columns(inspections.c.id, inspections.c.record)
            rows = connection.execute(query).all()
            said = select(reviews).where(reviews.c.inspection_id.in_([row.id for row in rows])).order_by(reviews.c.id)
            of = defaultdict[str, list[dict[str, Any]]](list)
            for each in connection.execute(said).mappings():
                of[each["inspection_id"]].append(dict(each))
        for row in rows:
            yield InspectionRecord.model_validate_json(row.record), of[row.id]
        if len(rows) < PAGE:
            return
        after = rows[-1].id


def reviews_of(engine: Engine, key: str) -> list[dict[str, Any]]:
    """What people said of an inspection, oldest first."""
    query = select(reviews).where(reviews.c.inspection_id == key).order_by(reviews.c.id)
    with reading(engine) as connection:
        return [dict(row) for row in connection.execute(query).mappings()]


def counted_since(engine: Engine, since: datetime, before: str) -> dict[str, int]:
    """Inspections of each decision from a moment on, by counting, of ids below another one: for a shift or a day."""
    span = inspections.c.id >= first_id(since), inspections.c.id < before
    wanted = select(inspections.c.decision, func.count()).where(*span)
    with reading(engine) as connection:
        rows = connection.execute(wanted.group_by(inspections.c.decision)).all()
    return {row[0]: row[1] for row in rows}


def kept_at(engine: Engine, key: str) -> str | None:
    """Where the picture of an inspection was moved to; None where it was not."""
    wanted = select(images.c.path).join(inspections).where(inspections.c.id == key)
    with reading(engine) as connection:
        return connection.scalar(wanted)


def failures_of(engine: Engine, after: str | None = None, limit: int = 50) -> list[dict[str, str]]:
    """Pictures that could not be inspected, newest first, or those that follow one."""
    query = select(failures).order_by(failures.c.id.desc()).limit(limit)
    with reading(engine) as connection:
        rows = connection.execute(query.where(failures.c.id < after) if after else query).mappings().all()
    return [dict(row) for row in rows]


def prunable(engine: Engine, before: datetime) -> int:
    """How many inspections `prune` would drop."""
    with reading(engine) as connection:
        return connection.scalar(select(func.count()).select_from(inspections).where(*_old(before))) or 0


def prune(engine: Engine, before: datetime) -> int:
    """Drop inspections that ended before and that nobody reviewed, some thousand at a time; counters stay.

    Who waits to be told of one is not told any more. What was reviewed stays, mostly NG, so statistics begin behind it:
    see `whole_since`.

    Returns:
        How many.

    Raises:
        RecordsError: the database does not take it; what went before is gone.
    """
    total = 0
    while True:
        with writing(engine) as connection:
            if not total and connection.scalar(select(exists().where(*_old(before)))):
                row = {"id": new_id(), "at": now(), "before": before.astimezone(UTC).isoformat()}
                connection.execute(prunings.insert(), row)
            some = select(inspections.c.id).where(*_old(before)).limit(AT_A_TIME).with_for_update()
            old = connection.scalars(some).all()
            for table in (outbox, defects):
                connection.execute(delete(table).where(table.c.inspection_id.in_(old)))
            connection.execute(delete(inspections).where(inspections.c.id.in_(old)))
        total += len(old)
        if len(old) < AT_A_TIME:
            return total


def whole_since(engine: Engine) -> datetime | None:
    """From when on no inspection was dropped; None where none ever was."""
    with reading(engine) as connection:
        latest = connection.scalar(select(func.max(prunings.c.before)))
    return None if latest is None else datetime.fromisoformat(latest)


def forget_images(engine: Engine, forget: Callable[[str], object] = lambda sha256: None) -> list[str]:
    """Drop images that no inspection shows any more; hashes of those whose content no other image has.

    Args:
        engine: of `open_database`.
        forget: called with each of these hashes before the rows are gone: after a kill all of it is done again, and
            what comes again meanwhile waits, and is kept anew.

    Raises:
        RecordsError: the database does not take it; then no row is dropped.
    """
    with writing(engine) as connection:
        unused = ~exists().where(inspections.c.image_id == images.c.id)
        gone = set(connection.scalars(select(images.c.sha256).where(unused)))
        connection.execute(delete(images).where(unused))
        hashes = sorted(sha256 for sha256 in gone if not _is_known(connection, sha256))
        for sha256 in hashes:
            forget(sha256)
        return hashes


def _is_known(connection: Connection, sha256: str) -> bool:
    return connection.scalar(select(images.c.id).where(images.c.sha256 == sha256).limit(1)) is not None


def _old(before: datetime) -> tuple[ColumnElement[bool], ...]:
    reviewed = exists().where(reviews.c.inspection_id == inspections.c.id)
    return inspections.c.id < first_id(before), ~reviewed


def _of(connection: Connection, wanted: Filter, after: str | None, limit: int) -> Select[tuple[()]]:
    """A query that follows an index whatever the filter, so that a page of a million rows takes milliseconds."""
    key: ColumnElement[str] = inspections.c.id
    query = select().select_from(inspections).join(images).join(models)
    if wanted.defect_class is not None:
        key = defects.c.inspection_id
        query = query.join(defects, defects.c.inspection_id == inspections.c.id)
        query = query.where(defects.c["class"] == wanted.defect_class, defects.c.first)
    same = ("decision", "serial", "batch", "product", "station", "recipe")
    told = [(name, value) for name in same if (value := getattr(wanted, name)) is not None]
    query = query.where(*(inspections.c[name] == value for name, value in told))
    if wanted.model is not None:  # known values, not a query in the query: who plans it must see how rare they are
        named = connection.scalars(select(models.c.sha256).where(models.c.name == wanted.model)).all()
        query = query.where(inspections.c.model_sha256.in_(named) if named else false())
    if wanted.picture is not None:
        query = query.where(inspections.c.image_id.in_(select(images.c.id).where(images.c.name == wanted.picture)))
    ends = [key >= first_id(wanted.since)] if wanted.since else []
    ends += [key < first_id(wanted.until)] if wanted.until else []
    ends += [key < after] if after else []
    ends += [key >= wanted.since_id] if wanted.since_id else []
    if wanted.sample is not None:
        ends.append(in_sample(wanted.sample))
    if wanted.least_novelty is not None:
        ends.append(inspections.c.novelty >= wanted.least_novelty)
    if wanted.least_px is not None:
        ends.append(inspections.c.largest_px >= wanted.least_px)
    if wanted.model_sha256 is not None:
        ends.append(inspections.c.model_sha256 == wanted.model_sha256)
    if wanted.reviewed is not None:
        said = exists().where(reviews.c.inspection_id == inspections.c.id)
        query = query.where(said if wanted.reviewed else ~said)
    return query.where(*ends).order_by(key.desc()).limit(limit)


def _row(row: RowMapping) -> Row:
    return Row(**{name: row[name] for name in Row._fields})


def in_sample(share: float) -> ColumnElement[bool]:
    """Whether an inspection belongs to a random share of all: the end of its id, which is random, says so."""
    part = round(share * 0x10000)
    return func.substr(inspections.c.id, 33, 4) < (f"{part:04x}" if part < 0x10000 else "g")


def first_id(time: datetime) -> str:
    """The smallest UUIDv7 of a moment: ids stand in the order of time, which begins in 1970."""
    milliseconds = f"{max(0, round((time - EPOCH) / MILLISECOND)):012x}"
    return f"{milliseconds[:8]}-{milliseconds[8:]}-0000-0000-000000000000"


def moment_of(key: str) -> datetime:
    """When an id was made, to the millisecond, UTC."""
    return EPOCH + int(key.replace("-", "")[:12], 16) * MILLISECOND
