"""What quality engineers ask of the records: control charts, Pareto, sizes, places, escapes and overkill."""

from datetime import UTC, datetime, timedelta
from typing import Annotated, Any, Literal

import numpy as np
from fastapi import APIRouter, Query
from numpy.typing import NDArray
from pydantic import BaseModel, Field
from sqlalchemy import select

from casae.errors import UsageError
from casae.inspection.inspection import new_id
from casae.inspection.rules import SIZES as MEASURES
from casae.metrics import Interval, proportion
from casae.records.aggregates import Bucket, Span, buckets, by_class, places, products, reviewed, said, sizes
from casae.records.database import reading, writing
from casae.records.schema import baselines
from casae.records.store import now
from casae.service.api.values import Body, Text, Time
from casae.service.problems import ProblemError, documented
from casae.service.state import Engineer, Service, TheService, Viewer
from casae.service.who import noted
from casae.statistics.capability import FEWEST, Capability, capability
from casae.statistics.control import RULES, Chart, Kind, chart, nelson

router = APIRouter(prefix="/api/v1/statistics", tags=["statistics"])
Product = Annotated[Text | None, Query(description="left out: all of them together")]
Since = Annotated[Time | None, Query(description="left out: thirty days ago")]
STEPS = {"hour": timedelta(hours=1), "shift": timedelta(hours=8), "day": timedelta(days=1), "week": timedelta(days=7)}
Step = Literal["hour", "shift", "day", "week"]
MOST_POINTS = 400
PROVISIONAL = 20  # points with parts that a chart without a baseline goes by
BINS, GRID = 40, 24
SKEWED = 8.0  # largest value, of medians


class Baseline(BaseModel):
    """A stretch of time that tells what is usual."""

    product: str = Field(description="empty: all of them together")
    since: str
    until: str
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
    parts: int
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
    rejected: int = Field(description="parts with it that are NG")


class Sizes(BaseModel):
    """Sizes of the newest defects against a limit."""

    count: int
    edges: list[float]
    counts: list[int]
    capability: dict[str, Any] | None = Field(description="null without a limit, or with fewer than 20 values")


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
    product: Product = None,
    since: Since = None,
    until: Time | None = None,
    step: Step = "day",
) -> Series:
    """Parts, defects and drift over time, with control charts whose limits are those of the frozen baseline."""
    start, end = _ends(since, until)
    edges = _edges(start, end, STEPS[step])
    found = buckets(service.engine, edges, product)
    frozen = _baseline(service, product or "")
    usual = _usual(service, found, frozen, product)
    changes = [
        Change.model_validate({name: getattr(each, name) for name in Change.model_fields})
        for each in reversed(service.catalogue.history(None, 1000))
        if each.product in ("", product or each.product) and start.isoformat() <= each.at < end.isoformat()
    ]
    return Series(
        points=[_point(each) for each in found],
        rejected=_chart("p", [each.ng for each in found], found, usual),
        defects=_chart("u", [each.defects for each in found], found, usual),
        baseline=frozen,
        changes=changes,
        rules=RULES,
    )


@router.post("/baselines", status_code=201, responses=documented())
def freeze(service: TheService, who: Engineer, wanted: NewBaseline) -> Baseline:
    """Freeze what is usual of a product; earlier ones stay on record."""
    if wanted.since >= wanted.until:
        raise ProblemError(422, "since: must be before until; swap them")
    row = {"id": new_id(), "at": now(), "who": who.name, "product": wanted.product, "why": wanted.why}
    row |= {"since": wanted.since.astimezone(UTC).isoformat(), "until": wanted.until.astimezone(UTC).isoformat()}
    with writing(service.engine) as connection:
        connection.execute(baselines.insert(), row)
    noted(service.engine, who, "froze a baseline", wanted.product, since=row["since"], until=row["until"])
    return Baseline.model_validate(row)


@router.get("/classes", responses=documented())
def classes(
    service: TheService, who: Viewer, product: Product = None, since: Since = None, until: Time | None = None
) -> list[ClassCount]:
    """Defects by class, for a Pareto chart: the class that most rejected parts have comes first."""
    found = by_class(service.engine, Span(*_ends(since, until), product))
    return [ClassCount.model_validate(vars(each) | {"class": each.name}) for each in found]


@router.get("/sizes", responses=documented())
def size_counts(
    service: TheService,
    who: Viewer,
    product: Product = None,
    since: Since = None,
    until: Time | None = None,
    field: Literal["area_px", "length_px", "width_px", "length_mm", "area_mm2"] = "area_px",
    defect_class: Annotated[Text | None, Query(alias="class")] = None,
    limit: Annotated[float | None, Query(gt=0, le=1e12, description="largest allowed")] = None,
) -> Sizes:
    """How large defects are, and how well they keep below a limit: Cpk where they may be normal, else percentiles."""
    values = sizes(service.engine, Span(*_ends(since, until), product), field, defect_class)
    counts, edges = _histogram(np.array(values))
    told: Capability | None = capability(values, limit) if limit is not None and len(values) >= FEWEST else None
    return Sizes(
        count=len(values), edges=edges.tolist(), counts=counts.tolist(), capability=None if told is None else vars(told)
    )


@router.get("/places", responses=documented())
def place_counts(
    service: TheService,
    who: Viewer,
    product: Product = None,
    since: Since = None,
    until: Time | None = None,
    defect_class: Annotated[Text | None, Query(alias="class")] = None,
) -> Places:
    """Where on the part defects lie, as far as pictures show it always alike."""
    found = places(service.engine, Span(*_ends(since, until), product))
    chosen = [each for each in found if defect_class in (None, each.name)]
    grid = np.zeros((GRID, GRID), int)
    for each in chosen:
        grid[min(GRID - 1, int(each.y * GRID)), min(GRID - 1, int(each.x * GRID))] += 1
    return Places(count=len(chosen), rows=grid.tolist())


@router.get("/truth", responses=documented())
def truth(
    service: TheService, who: Viewer, product: Product = None, since: Since = None, until: Time | None = None
) -> Truth:
    """Escapes and overkill as people saw them, with exact intervals.

    Escapes count blind reviews alone: whoever chooses which OK parts to look at makes the share what he likes.
    """
    counts = said(service.engine, Span(*_ends(since, until), product))

    def share(decided: str, true: str, blind: bool | None) -> Share:
        of = {key: count for key, count in counts.items() if key[0] == decided and blind in (None, key[2])}
        hits = sum(count for key, count in of.items() if key[1] == true)
        return _share(proportion(hits, sum(of.values())), hits, sum(of.values()))

    return Truth(
        escapes=share("OK", "NG", True), overkill=share("NG", "OK", None), reviewed=share("REVIEW", "NG", None)
    )


@router.get("/judged", responses=documented())
def judged(
    service: TheService,
    who: Viewer,
    product: Product = None,
    since: Since = None,
    until: Time | None = None,
    field: Annotated[str, Query(max_length=40, description="measure of a defect, as rules name it")] = "area_px",
) -> list[Judged]:
    """Parts that people judged, with the value that limits of rules would go by."""
    if field not in MEASURES:
        raise ProblemError(422, f"{field[:40]}: is no measure; there are {', '.join(MEASURES)}")
    found = []
    for record, true in reviewed(service.engine, Span(*_ends(since, until), product)):
        values = [value for each in record.defects if (value := getattr(each, field)) is not None]
        found.append(Judged.model_validate({"value": max(values, default=0.0), "truth": true}))
    return found


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


def _ends(since: datetime | None, until: datetime | None) -> tuple[datetime, datetime]:
    end = until or datetime.now(UTC) + timedelta(seconds=1)
    return since or end - timedelta(days=30), end


def _edges(start: datetime, end: datetime, step: timedelta) -> list[datetime]:
    """Moments at whole steps of this machine's days.

    Raises:
        ProblemError: there are too many.
    """
    if (end - start) / step > MOST_POINTS:
        raise ProblemError(422, f"step: makes more than {MOST_POINTS} points; take a longer one, or a shorter time")
    local = start.astimezone()
    first = local.replace(minute=0, second=0, microsecond=0)
    if step > STEPS["hour"]:
        first = first.replace(hour=local.hour // 8 * 8 if step == STEPS["shift"] else 0)
    if step == STEPS["week"]:
        first -= timedelta(days=first.weekday())
    edges = [first]
    while edges[-1] < end:
        following = (edges[-1].replace(tzinfo=None) + step).astimezone()  # of the clock on the wall
        edges.append(following if following > edges[-1] else edges[-1] + step)
    return edges


def _baseline(service: Service, product: str) -> Baseline | None:
    query = select(baselines).where(baselines.c.product == product).order_by(baselines.c.id.desc()).limit(1)
    with reading(service.engine) as connection:
        row = connection.execute(query).mappings().first()
    return None if row is None else Baseline.model_validate(dict(row))


def _usual(
    service: Service, found: list[Bucket], frozen: Baseline | None, product: str | None
) -> tuple[list[Bucket], list[bool]]:
    """Points that tell what is usual, before those of the chart where they are not among them, and which they are."""
    if frozen is None:
        there = [index for index, each in enumerate(found) if each.parts][:PROVISIONAL]
        return [], [index in there for index in range(len(found))]
    since, until = datetime.fromisoformat(frozen.since), datetime.fromisoformat(frozen.until)
    return buckets(service.engine, [since, until], product), [False] * len(found)


def _chart(
    kind: Kind, counts: list[int], found: list[Bucket], usual: tuple[list[Bucket], list[bool]]
) -> ControlChart | None:
    before, mine = usual
    earlier = [each.ng if kind == "p" else each.defects for each in before]
    parts = [each.parts for each in (*before, *found)]
    try:
        made = chart(kind, [*earlier, *counts], parts, [True] * len(before) + mine)
    except UsageError:
        return None
    skipped = len(before)
    return ControlChart(
        kind=kind,
        centre=made.centre,
        values=_known(made.values[skipped:]),
        low=_known(made.low[skipped:]),
        high=_known(made.high[skipped:]),
        broken=[list(each) for each in _broken(made, skipped)],
    )


def _broken(made: Chart, skipped: int) -> tuple[tuple[int, ...], ...]:
    """Rules among the points of the chart alone; what comes before is one point, and no neighbour."""
    return nelson(made.z[skipped:])


def _known(values: NDArray[np.float64]) -> list[float | None]:
    return [None if np.isnan(value) else float(value) for value in values]


def _point(bucket: Bucket) -> Point:
    return Point.model_validate(vars(bucket) | {"parts": bucket.parts})


def _share(found: Interval, hits: int, total: int) -> Share:
    return Share(hits=hits, total=total, value=found.value, low=found.low, high=found.high)
