"""What quality engineers ask of the records: control charts, Pareto, sizes, places, escapes and overkill."""

from dataclasses import replace
from datetime import UTC, datetime, time, timedelta
from typing import Annotated, Any, Literal

import numpy as np
from fastapi import APIRouter, Depends, Query
from numpy.typing import NDArray
from pydantic import BaseModel, Field
from sqlalchemy import select

from casae.errors import UsageError
from casae.inspection.inspection import new_id
from casae.metrics import Interval, proportion
from casae.records.aggregates import (
    MOST_VALUES,
    Bucket,
    Span,
    buckets,
    by_class,
    judged,
    places,
    products,
    said,
    sizes,
)
from casae.records.database import reading, writing
from casae.records.queries import whole_since
from casae.records.schema import baselines
from casae.records.store import now
from casae.service.api.values import Body, Text, Time
from casae.service.problems import ProblemError, documented
from casae.service.state import Engineer, Service, TheService, Viewer
from casae.service.who import noted
from casae.statistics.capability import FEWEST, Capability, capability
from casae.statistics.control import RULES, Kind, chart

router = APIRouter(prefix="/api/v1/statistics", tags=["statistics"])
Product = Annotated[Text | None, Query(description="left out: all of them together")]
Since = Annotated[Time | None, Query(description="left out: thirty days ago")]
STEPS = {"hour": timedelta(hours=1), "shift": timedelta(hours=8), "day": timedelta(days=1), "week": timedelta(days=7)}
Step = Literal["hour", "shift", "day", "week"]
Size = Literal["area_px", "length_px", "width_px", "length_mm", "area_mm2"]
MOST_POINTS = 400
FEWEST_USUAL = 20  # inspections of a baseline
PROVISIONAL = 20  # points with parts that a chart without a baseline goes by
BINS, GRID = 40, 24
SKEWED = 8.0  # largest value, of medians


def span_of(product: Product = None, since: Since = None, until: Time | None = None) -> Span:
    """Which inspections are asked for."""
    end = until or datetime.now(UTC) + timedelta(seconds=1)
    return Span(since or end - timedelta(days=30), end, product)


def whole_span_of(service: TheService, span: Annotated[Span, Depends(span_of)]) -> Span:
    """Which inspections are asked for, as far as none of that time was dropped: what is left of it is mostly NG."""
    whole = whole_since(service.engine)
    return span if whole is None else replace(span, since=min(max(span.since, whole), span.until))


Asked = Annotated[Span, Depends(span_of)]
Whole = Annotated[Span, Depends(whole_span_of)]


class Baseline(BaseModel):
    """A stretch of time that tells what is usual."""

    product: str = Field(description="empty: all of them together")
    since: str
    until: str
    parts: int = Field(description="inspected then; limits stay what they were, whatever becomes of the records")
    ng: int
    defects: int
    who: str
    at: str
    why: str


class NewBaseline(Body):
    """Freeze what is usual."""

    product: Text = ""
    since: Annotated[Time, Field(strict=False)]
    until: Annotated[Time, Field(strict=False)]
    why: Text = Field(default="", examples=["four weeks after the new lamp"])


class Point(BaseModel):
    """Inspections of a step of time."""

    start: datetime
    pruned: bool = Field(description="whether inspections of this time were dropped: it counts none")
    parts: int = Field(description="inspections: a part in several pictures, or judged again, counts each time")
    ok: int
    review: int
    ng: int
    defects: int
    novelty: float | None
    brightness: float | None
    sharpness: float | None


class ControlChart(BaseModel):
    """A control chart; a value for each point, null where nothing was inspected."""

    kind: Literal["p", "u"]
    centre: float
    values: list[float | None]
    low: list[float | None]
    high: list[float | None]
    broken: list[list[int]] = Field(description="numbers of Nelson's rules that end in the point")


class Change(BaseModel):
    """A change of what judges."""

    at: str
    product: str
    who: str
    why: str
    model_sha256: str | None
    rules_sha256: str | None


class Series(BaseModel):
    """Inspections over time, with control charts."""

    points: list[Point]
    rejected: ControlChart | None = Field(description="p-chart of parts that are NG; null without parts")
    defects: ControlChart | None = Field(description="u-chart of defects a part")
    baseline: Baseline | None = Field(description="null: the first 20 points with parts, provisionally")
    changes: list[Change] = Field(description="of models and rules, which belong on every chart")
    rules: dict[int, str] = Field(description="Nelson's, by number")


class ClassCount(BaseModel):
    """Defects of a class."""

    name: str = Field(alias="class")
    defects: int
    parts: int
    rejected: int = Field(description="parts that are NG because of it, as their verdicts say")


class Sizes(BaseModel):
    """Sizes of the newest defects against a limit."""

    count: int
    edges: list[float]
    counts: list[int]
    capability: dict[str, Any] | None = Field(description="null without a limit, or with fewer than 20 values")
    is_cut: bool = Field(description="whether there are more, of which these are the newest")


class Places(BaseModel):
    """Where defects lie on the part: counts in a grid, row by row."""

    count: int
    rows: list[list[int]]


class Share(BaseModel):
    """A share with its exact 95 % interval."""

    hits: int
    total: int
    value: float | None
    low: float | None
    high: float | None


class Truth(BaseModel):
    """What reviews say of verdicts."""

    escapes: Share = Field(description="of parts judged OK and looked at blindly: truly NG")
    overkill: Share = Field(description="of parts judged NG and looked at: truly OK")
    reviewed: Share = Field(description="of parts left to a person and looked at: truly NG")


class Judged(BaseModel):
    """A part that a person judged: the largest value of a measure over its defects, 0 without one."""

    value: float
    truth: Literal["OK", "REVIEW", "NG"]


@router.get("/products", responses=documented())
def all_products(service: TheService, who: Viewer) -> list[str]:
    """Products that were inspected."""
    return products(service.engine)


@router.get("/series", responses=documented())
def series(
    service: TheService,
    who: Viewer,
    span: Asked,
    step: Step = "day",
) -> Series:
    """Parts, defects and drift over time, with control charts whose limits are those of the frozen baseline."""
    edges = _edges(span.since, span.until, step, service.settings.shifts)
    whole = whole_since(service.engine)
    found = [_if_whole(each, whole) for each in buckets(service.engine, edges, span.product)]
    frozen = _baseline(service, span.product or "")
    changes = [
        Change.model_validate({name: getattr(each, name) for name in Change.model_fields})
        for each in reversed(service.catalogue.history(None, 1000))
        if each.product in ("", span.product or each.product)
        and span.since <= datetime.fromisoformat(each.at) < span.until
    ]
    return Series(
        points=[_point(each, whole) for each in found],
        rejected=_chart("p", found, frozen),
        defects=_chart("u", found, frozen),
        baseline=frozen,
        changes=changes,
        rules=RULES,
    )


@router.post("/baselines", status_code=201, responses=documented())
def freeze(service: TheService, who: Engineer, wanted: NewBaseline) -> Baseline:
    """Freeze what is usual of a product; earlier ones stay on record. Of a time that lasts, what has passed counts."""
    if wanted.since >= wanted.until:
        raise ProblemError(422, "since: must be before until; swap them")
    row: dict[str, Any] = {"id": new_id(), "at": now(), "who": who.name, "product": wanted.product, "why": wanted.why}
    until = min(wanted.until, max(datetime.now(UTC), wanted.since))
    row |= {"since": wanted.since.astimezone(UTC).isoformat(), "until": until.astimezone(UTC).isoformat()}
    whole = whole_since(service.engine)
    if whole is not None and wanted.since < whole:
        rule = f"since: inspections from before {whole.astimezone():%Y-%m-%d %H:%M} were dropped; begin behind that"
        raise ProblemError(422, rule)
    (sums,) = buckets(service.engine, [wanted.since, until], wanted.product or None)
    if sums.parts < FEWEST_USUAL:
        rule = f"since, until: {sums.parts} inspections say nothing of what is usual; take {FEWEST_USUAL} at least"
        raise ProblemError(422, rule)
    row |= {"parts": sums.parts, "ng": sums.ng, "defects": sums.defects}
    with writing(service.engine) as connection:
        connection.execute(baselines.insert(), row)
    noted(service.engine, who, "froze a baseline", wanted.product, since=row["since"], until=row["until"])
    return _shown(row)


@router.get("/classes", responses=documented())
def classes(service: TheService, who: Viewer, span: Whole) -> list[ClassCount]:
    """Defects by class, for a Pareto chart: the class that most parts are rejected for comes first."""
    found = by_class(service.engine, span)
    return [ClassCount.model_validate(vars(each) | {"class": each.name}) for each in found]


@router.get("/sizes", responses=documented())
def size_counts(
    service: TheService,
    who: Viewer,
    span: Whole,
    field: Size = "area_px",
    defect_class: Annotated[Text | None, Query(alias="class")] = None,
    limit: Annotated[float | None, Query(gt=0, le=1e12, description="largest allowed")] = None,
) -> Sizes:
    """How large defects are, and how well they keep below a limit: Ppk by the distribution that they may have."""
    values = sizes(service.engine, span, field, defect_class)
    counts, edges = _histogram(np.array(values))
    told: Capability | None = capability(values, limit) if limit is not None and len(values) >= FEWEST else None
    return Sizes(
        count=len(values),
        edges=edges.tolist(),
        counts=counts.tolist(),
        capability=None if told is None else vars(told),
        is_cut=len(values) == MOST_VALUES,
    )


@router.get("/places", responses=documented())
def place_counts(
    service: TheService,
    who: Viewer,
    span: Whole,
    defect_class: Annotated[Text | None, Query(alias="class")] = None,
) -> Places:
    """Where on the part defects lie, as far as pictures show it always alike."""
    found = places(service.engine, span)
    chosen = [each for each in found if defect_class in (None, each.name)]
    grid = np.zeros((GRID, GRID), int)
    for each in chosen:
        grid[min(GRID - 1, int(each.y * GRID)), min(GRID - 1, int(each.x * GRID))] += 1
    return Places(count=len(chosen), rows=grid.tolist())


@router.get("/truth", responses=documented())
def truth(service: TheService, who: Viewer, span: Asked) -> Truth:
    """Escapes and overkill as people saw them, with exact intervals.

    Escapes count blind reviews alone: whoever chooses which OK parts to look at makes the share what he likes.
    """
    everything, blindly = said(service.engine, span), said(service.engine, span, blindly=True)

    def share(counts: dict[tuple[str, str], int], decided: str, true: str) -> Share:
        of = {key: count for key, count in counts.items() if key[0] == decided}
        hits = sum(count for key, count in of.items() if key[1] == true)
        return _share(proportion(hits, sum(of.values())), hits, sum(of.values()))

    return Truth(
        escapes=share(blindly, "OK", "NG"),
        overkill=share(everything, "NG", "OK"),
        reviewed=share(everything, "REVIEW", "NG"),
    )


@router.get("/judged", responses=documented())
def judged_parts(
    service: TheService,
    who: Viewer,
    span: Asked,
    field: Size = "area_px",
) -> list[Judged]:
    """The newest parts that people judged, 20,000 at most, with the value that limits of rules would go by."""
    found = judged(service.engine, span, field)
    return [Judged.model_validate({"value": value, "truth": true}) for value, true in found]


def _histogram(values: NDArray[np.float64]) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """Counts (bins,) between edges (bins + 1,); wider by a factor each where the largest are far beyond the usual."""
    if not values.size:
        return np.zeros(0, np.int64), np.zeros(0)
    low, high = float(values.min()), float(values.max())
    if low > 0 and high > SKEWED * float(np.median(values)):
        edges = np.geomspace(low, high * (1 + 1e-9), BINS + 1)
        edges[0] = low
        return np.histogram(values, edges)[0], edges
    return np.histogram(values, BINS)


def _edges(start: datetime, end: datetime, step: Step, shifts: str) -> list[datetime]:
    """Moments at which steps begin, by the clock on the wall of this machine, and both ends.

    Raises:
        ProblemError: there are too many.
    """
    if (end - start) / STEPS[step] > MOST_POINTS:
        raise ProblemError(422, f"step: makes more than {MOST_POINTS} points; take a longer one, or a shorter time")
    hours = {"hour": range(24), "shift": sorted(map(int, shifts.split(",")))}.get(step, [0])
    first = start.astimezone().date()
    days = [first + timedelta(days=day) for day in range((end.astimezone().date() - first).days + 1)]
    begins = [
        datetime.combine(day, time(hour)).astimezone()
        for day in days
        if step != "week" or day.weekday() == 0
        for hour in hours
    ]
    return [start, *sorted({each for each in begins if start < each < end}), end]


def _baseline(service: Service, product: str) -> Baseline | None:
    query = select(baselines).where(baselines.c.product == product).order_by(baselines.c.id.desc()).limit(1)
    with reading(service.engine) as connection:
        row = connection.execute(query).mappings().first()
    return None if row is None else _shown(dict(row))


def _shown(row: dict[str, Any]) -> Baseline:
    """With times as the clock of this machine shows them."""
    here = {name: datetime.fromisoformat(row[name]).astimezone().isoformat() for name in ("since", "until")}
    return Baseline.model_validate(row | here)


def _chart(kind: Kind, found: list[Bucket], frozen: Baseline | None) -> ControlChart | None:
    """A chart against the frozen baseline, else against its own first points; None without parts."""
    usual, before = _first_points(found), 0
    counts, parts = [each.ng if kind == "p" else each.defects for each in found], [each.parts for each in found]
    if frozen is not None:
        usual, before = [True] + [False] * len(found), 1
        counts, parts = [frozen.ng if kind == "p" else frozen.defects, *counts], [frozen.parts, *parts]
    try:
        made = chart(kind, counts, parts, usual, skipped=before)
    except UsageError:
        return None
    return ControlChart(
        kind=kind,
        centre=made.centre,
        values=_known(made.values[before:]),
        low=_known(made.low[before:]),
        high=_known(made.high[before:]),
        broken=[list(each) for each in made.broken[before:]],
    )


def _first_points(found: list[Bucket]) -> list[bool]:
    there = [index for index, each in enumerate(found) if each.parts][:PROVISIONAL]
    return [index in there for index in range(len(found))]


def _known(values: NDArray[np.float64]) -> list[float | None]:
    return [None if np.isnan(value) else float(value) for value in values]


def _if_whole(bucket: Bucket, whole: datetime | None) -> Bucket:
    """What is left of a time in which inspections were dropped tells nothing of it."""
    if whole is None or bucket.start >= whole:
        return bucket
    return Bucket(bucket.start, 0, 0, 0, 0, None, None, None)


def _point(bucket: Bucket, whole: datetime | None) -> Point:
    is_pruned = whole is not None and bucket.start < whole
    return Point.model_validate(vars(bucket) | {"parts": bucket.parts, "pruned": is_pruned})


def _share(found: Interval, hits: int, total: int) -> Share:
    return Share(hits=hits, total=total, value=found.value, low=found.low, high=found.high)
