"""The pages. What they show comes from the same functions as the API, what they change goes through it."""

import hashlib
from datetime import UTC, datetime, time, timedelta
from functools import cache
from importlib.resources import files
from typing import Annotated, Any
from urllib.parse import urlencode

import jinja2
from fastapi import APIRouter, Form, Query, Request, Response
from fastapi.responses import HTMLResponse, RedirectResponse
from fastapi.staticfiles import StaticFiles

from casae.errors import UsageError
from casae.inspection.measurement import size
from casae.records.queries import Filter, Row, counted_since, first_id, moment_of, page
from casae.records.store import record_by_id
from casae.service.api.inspections import said_of
from casae.service.api.labels import projects
from casae.service.api.users import begin_session
from casae.service.api.values import Id, Text
from casae.service.pages.reasons import reason_in
from casae.service.pages.texts import language_of, texts
from casae.service.problems import ProblemError
from casae.service.state import SESSION, Operator, TheService, Viewer
from casae.service.who import csrf_of

router = APIRouter(include_in_schema=False)
POLICY = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' blob: data:; connect-src 'self'; "
POLICY += "form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
LATEST, A_PAGE, OF_PART = 24, 50, 20
A_MOMENT_MS = 1000  # after a shift began, when the page of the next one is asked for
LONGEST = 2000  # characters of a place to go back to
STATIC = files("casae.service") / "static"
static = StaticFiles(packages=[("casae.service", "static")])


@router.get("/")
def live(request: Request, service: TheService, who: Viewer) -> Response:
    """What comes."""
    now = datetime.now()
    began, ends = shift_began(now, service.settings.shifts), shift_ends(now, service.settings.shifts)
    left_ms = round((ends - datetime.now(UTC)) / timedelta(milliseconds=1)) + A_MOMENT_MS
    since = first_id(datetime.now(UTC))  # what comes from then on is told and counted by events, also what is a card
    counts = counted_since(service.engine, began, since)
    rows = page(service.engine, Filter(), limit=LATEST)
    return shown(request, "live", rows=rows, counts=counts, began=began, since=since, left_ms=left_ms)


@router.get("/history")
def history(
    request: Request,
    service: TheService,
    who: Viewer,
    decision: Annotated[str, Query(pattern="^(OK|REVIEW|NG)?$")] = "",
    since: Annotated[str, Query(max_length=40)] = "",
    until: Annotated[str, Query(max_length=40)] = "",
    serial: Text = "",
    batch: Text = "",
    product: Text = "",
    station: Text = "",
    defect_class: Annotated[Text, Query(alias="class")] = "",
    model: Text = "",
    least_px: Annotated[str, Query(pattern=r"^\d{0,9}$")] = "",
    reviewed: Annotated[str, Query(pattern="^(yes|no)?$")] = "",
    look: Annotated[str, Query(pattern="^(table|gallery)$")] = "table",
    after: Id | None = None,
) -> Response:
    """What came, by time, verdict and part."""
    wanted = Filter(
        since=_moment(since),
        until=_moment(until),
        decision=decision or None,
        defect_class=defect_class or None,
        serial=serial or None,
        batch=batch or None,
        product=product or None,
        station=station or None,
        model=model or None,
        least_px=int(least_px) if least_px else None,
        reviewed={"yes": True, "no": False}.get(reviewed),
    )
    asked = {"decision": decision, "since": since, "until": until, "serial": serial, "batch": batch}
    asked |= {"product": product, "station": station, "class": defect_class, "model": model, "least_px": least_px}
    asked |= {"reviewed": reviewed, "look": look if look != "table" else ""}
    found = page(service.engine, wanted, after, A_PAGE + 1)
    rows = found[:A_PAGE]
    given = urlencode({name: value for name, value in asked.items() if value})
    other = urlencode({**{name: value for name, value in asked.items() if value and name != "look"}, "look": "gallery"})
    other = other if look == "table" else other.removesuffix("look=gallery").removesuffix("&")
    following = f"?{given}&after={rows[-1].id}" if len(found) > A_PAGE else None
    newest = f"?{given}" if after else None
    return shown(
        request, "history", rows=rows, asked=asked, following=following, newest=newest, look=look, other=f"?{other}"
    )


@router.get("/inspections/{key}")
def inspection(request: Request, service: TheService, who: Viewer, key: Id) -> Response:
    """One inspection: the picture with its layers, what was found, why it was decided so, what people said."""
    try:
        record = record_by_id(service.engine, key)
    except UsageError as error:
        raise ProblemError(404, f"{key}: no inspection has this id") from error
    earlier: list[Row] = []
    if record.part.serial:
        rows = page(service.engine, Filter(serial=record.part.serial), limit=OF_PART)
        earlier = [row for row in rows if row.id != key]
    said = said_of(service, key)
    reason = reason_in(language_of(request), record)
    return shown(request, "inspection", record=record, reason=reason, said=said, earlier=earlier)


@router.get("/review")
def review(request: Request, service: TheService, who: Operator) -> Response:
    """What people shall judge, one after the other, by keyboard."""
    there = projects(service, who)
    return shown(request, "review", projects=there, blind_share=service.settings.blind_share)


@router.get("/login")
def login(request: Request, back: Annotated[str, Query(alias="next")] = "") -> Response:
    """Sign in as a person."""
    return shown(request, "login", back=_inside(request, back), failed="")


@router.post("/login")
def sign_in(
    request: Request,
    service: TheService,
    name: Annotated[Text, Form()],
    password: Annotated[str, Form(max_length=200)],
    back: Annotated[str, Form()] = "",
) -> Response:
    """Begin a session, or say why not."""
    try:
        response = RedirectResponse(_inside(request, back), 303)
        begin_session(service, request, response, name, password)
    except ProblemError as error:
        failed = "too_many_tries" if error.status == 429 else "sign_in_failed"
        return shown(request, "login", error.status, back=_inside(request, back), failed=failed)
    return response


def shift_began(now: datetime, shifts: str) -> datetime:
    """When the present shift began, by the clock on the wall; `shifts` are hours with commas.

    >>> shift_began(datetime(2026, 11, 30, 3), "6,14,22").strftime("%d %H")
    '29 22'
    """
    hours = [int(hour) for hour in shifts.split(",")]
    days = (now.date() - timedelta(days=back) for back in (0, 1))
    begins = (datetime.combine(day, time(hour)) for day in days for hour in hours)
    return max(begin for begin in begins if begin <= now).astimezone()


def shift_ends(now: datetime, shifts: str) -> datetime:
    """When the next shift begins.

    >>> shift_ends(datetime(2026, 11, 30, 23), "6,14,22").strftime("%d %H")
    '01 06'
    """
    days = (now.date() + timedelta(days=ahead) for ahead in (0, 1))
    begins = (datetime.combine(day, time(int(hour))) for day in days for hour in shifts.split(","))
    return min(begin for begin in begins if begin > now).astimezone()


def shown(request: Request, name: str, status: int = 200, **values: Any) -> Response:
    """A page in the language of its reader."""
    language = language_of(request)
    words = texts(language)
    session = request.cookies.get(SESSION)
    who = getattr(request.state, "who", None)
    html = (
        _environment()
        .get_template(f"{name}.html.j2")
        .render(
            t=words,
            language=language,
            page=name,
            who=who,
            may_judge=who is not None and who.may("operator"),
            may_teach=who is not None and who.may("engineer"),
            csrf=csrf_of(session) if session and who is not None and who.session else "",
            root=request.scope.get("root_path", ""),
            style=_versioned("casae.css"),
            **values,
        )
    )
    return HTMLResponse(html, status, {"Content-Security-Policy": POLICY})


@cache
def _environment() -> jinja2.Environment:
    environment = jinja2.Environment(loader=jinja2.PackageLoader("casae.service"), autoescape=True, trim_blocks=True)
    environment.filters["size"] = size
    environment.filters["local"] = _local
    environment.globals["versioned"] = _versioned
    return environment


@cache
def _versioned(name: str) -> str:
    """The path of a file of the pages, which changes with its content, so that browsers may keep it."""
    digest = hashlib.sha256((STATIC / name).read_bytes()).hexdigest()[:12]
    return f"/static/{name}?{digest}"


def _local(key_or_time: str) -> str:
    """A time as people at this machine read it; of an inspection its id has it."""
    if len(key_or_time) == 36 and key_or_time[8] == "-":
        moment = moment_of(key_or_time)
    else:
        moment = datetime.fromisoformat(key_or_time)
    return moment.astimezone().strftime("%Y-%m-%d %H:%M:%S")


def _moment(text: str) -> datetime | None:
    """What a field of a form says; nothing where it says no time."""
    try:
        return datetime.fromisoformat(text).astimezone() if text else None
    except (ValueError, OverflowError):
        return None


def _inside(request: Request, back: str) -> str:
    """Where to go back to: with the root of this service, never another place."""
    root = f"{request.scope.get('root_path', '')}/"
    inside = back.startswith(root) and not back.startswith(("//", "/\\")) and len(back) <= LONGEST
    return back if inside else root
