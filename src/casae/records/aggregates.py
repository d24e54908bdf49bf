"""Sums over inspections, for statistics: by time, class, place, and what people said."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import pairwise
from typing import Any

from sqlalchemy import ColumnElement, Engine, Select, func, or_, select

from casae.records.database import reading
from casae.records.queries import first_id
from casae.records.schema import defects, inspections, reviews

SIZES = ("area_px", "length_px", "width_px", "length_mm", "area_mm2")  # that the table of defects holds
MOST_VALUES = 20_000  # newest defects whose sizes are looked at
MOST_PLACES = 3_000  # newest inspections whose places are looked at


@dataclass(frozen=True)
class Span:
    """Inspections of a product, or of all, from a moment on and before another."""

    since: datetime
    until: datetime
    product: str | None = None

    @property
    def where(self) -> list[ColumnElement[bool]]:
        """As conditions on inspections."""
        ends = [inspections.c.id >= first_id(self.since), inspections.c.id < first_id(self.until)]
        return ends + ([inspections.c.product == self.product] if self.product is not None else [])


@dataclass(frozen=True)
class Bucket:
    """Inspections of a stretch of time.

    Attributes:
        start: of it.
        ok, review, ng: inspections, as casae decided.
        defects: of all of them.
        novelty, brightness, sharpness: means; None where nothing is known.
    """

    start: datetime
    ok: int
    review: int
    ng: int
    defects: int
    novelty: float | None
    brightness: float | None
    sharpness: float | None

    @property
    def parts(self) -> int:
        """All of them."""
        return self.ok + self.review + self.ng


@dataclass(frozen=True)
class OfClass:
    """Defects of a class: how many, in how many inspections, and how many of those are NG because of it."""

    name: str
    defects: int
    parts: int
    rejected: int


@dataclass(frozen=True)
class Place:
    """A defect's centre, as shares of width and height of its picture, and its class."""

    name: str
    x: float
    y: float


def buckets(engine: Engine, edges: Sequence[datetime], product: str | None = None) -> list[Bucket]:
    """Sums between each edge and the next, by counting: each reads its own stretch of an index."""
    decided = [func.count().filter(inspections.c.decision == name) for name in ("OK", "REVIEW", "NG")]
    means = [func.avg(inspections.c[name]) for name in ("novelty", "brightness", "sharpness")]
    sums = (*decided, func.coalesce(func.sum(inspections.c.defects), 0), *means)
    with reading(engine) as connection:
        rows = [
            connection.execute(select(*sums).where(*Span(start, end, product).where)).one()
            for start, end in pairwise(edges)
        ]
    return [Bucket(start, *row) for start, row in zip(edges, rows, strict=False)]


def by_class(engine: Engine, span: Span) -> list[OfClass]:
    """Defects by class, those that rejected most first.

    A part is NG because of the class that its verdict names; where that names none, because of each that it has.
    """
    name = defects.c["class"]
    because = or_(inspections.c.decided_class == name, inspections.c.decided_class.is_(None))
    rejected = func.count(func.distinct(defects.c.inspection_id)).filter(inspections.c.decision == "NG", because)
    query = _defects(span, name, func.count(), func.count(func.distinct(defects.c.inspection_id)), rejected)
    with reading(engine) as connection:
        rows = connection.execute(query.group_by(name)).all()
    return sorted(
        (OfClass(row[0], row[1], row[2], row[3]) for row in rows), key=lambda each: (-each.rejected, -each.defects)
    )


def sizes(engine: Engine, span: Span, field: str, defect_class: str | None = None) -> list[float]:
    """Sizes of the newest defects; `field` is one of `SIZES`."""
    column = defects.c[field]
    query = _defects(span, column).where(column.is_not(None))
    if defect_class is not None:
        query = query.where(defects.c["class"] == defect_class)
    with reading(engine) as connection:
        return list(connection.scalars(query.order_by(defects.c.inspection_id.desc()).limit(MOST_VALUES)))


def places(engine: Engine, span: Span) -> list[Place]:
    """Where the defects of the newest inspections with some lie."""
    query = select(inspections.c.record).where(*span.where, inspections.c.defects > 0)
    with reading(engine) as connection:
        rows = connection.scalars(query.order_by(inspections.c.id.desc()).limit(MOST_PLACES)).all()
    return [
        Place(each["class"], each["centre_x_px"] / record["width_px"], each["centre_y_px"] / record["height_px"])
        for record in map(json.loads, rows)
        for each in record["defects"]
    ]


def said(engine: Engine, span: Span, *, blindly: bool = False) -> dict[tuple[str, str], int]:
    """Parts by (what casae decided, what a person said last).

    Args:
        engine: of the records.
        span: of the inspections.
        blindly: count the last of those words alone that were said without knowing what casae had decided.
    """
    latest = select(func.max(reviews.c.id)).group_by(reviews.c.inspection_id)
    latest = latest.where(reviews.c.blind.is_(True)) if blindly else latest
    query = select(inspections.c.decision, reviews.c.new, func.count()).select_from(reviews.join(inspections))
    wanted = query.where(reviews.c.id.in_(latest), *span.where)
    with reading(engine) as connection:
        rows = connection.execute(wanted.group_by(inspections.c.decision, reviews.c.new)).all()
    return {(row[0], row[1]): row[2] for row in rows}


def judged(engine: Engine, span: Span, field: str) -> list[tuple[float, str]]:
    """Of the newest parts that people judged: the largest size over its defects, 0 without one, and what was said.

    Parts whose defects have no such size, as without a scale, are left out.
    """
    latest = select(func.max(reviews.c.id)).group_by(reviews.c.inspection_id)
    largest = select(func.max(defects.c[field])).where(defects.c.inspection_id == inspections.c.id).scalar_subquery()
    query = select(func.coalesce(largest, 0.0), reviews.c.new).select_from(reviews.join(inspections))
    none_at_all = ~select(defects.c.inspection_id).where(defects.c.inspection_id == inspections.c.id).exists()
    measured = or_(largest.is_not(None), none_at_all)
    wanted = (
        query.where(reviews.c.id.in_(latest), measured, *span.where)
        .order_by(inspections.c.id.desc())
        .limit(MOST_VALUES)
    )
    with reading(engine) as connection:
        return [(float(row[0]), row[1]) for row in connection.execute(wanted)]


def products(engine: Engine) -> list[str]:
    """Names of the products that were inspected, by their index: as quick for a million rows as for ten."""
    found: list[str] = []
    with reading(engine) as connection:
        while True:
            more = inspections.c.product > (found[-1] if found else "")
            name = connection.scalar(select(func.min(inspections.c.product)).where(more))
            if name is None:
                return found
            found.append(name)


def _defects(span: Span, *columns: Any) -> Select[Any]:
    return select(*columns).select_from(defects.join(inspections)).where(*span.where)
