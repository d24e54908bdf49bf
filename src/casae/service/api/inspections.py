"""Inspect a picture, find inspections, see their pictures, say what the part truly is."""

import asyncio
import json
from collections import Counter
from collections.abc import Callable
from dataclasses import asdict, replace
from pathlib import PurePath
from typing import Annotated, Any, Literal, Self

import cv2
import numpy as np
from fastapi import APIRouter, File, Form, Query, Request, Response, UploadFile
from numpy.typing import NDArray
from pydantic import BaseModel, BeforeValidator, Field, model_validator
from starlette.concurrency import run_in_threadpool

from casae.datasets.sample import UNCLASSED
from casae.errors import UsageError
from casae.files import without_controls
from casae.inspection.inspection import Part
from casae.inspection.record import InspectionRecord
from casae.labelling.project import Patch
from casae.labels.labelset import one_form
from casae.labels.results import filled
from casae.records.queries import Filter, Row, failures_of, moment_of, page, reviews_of
from casae.records.store import record_by_id, review
from casae.service.api.labels import PictureItem, project_of
from casae.service.api.values import Body, Id, Sha256, Text, Time
from casae.service.home import NAME
from casae.service.inspecting import Upload
from casae.service.pages.reasons import reason_in
from casae.service.pages.texts import language_of
from casae.service.pictures import crop, marked, mask, original, probability, seen
from casae.service.problems import ProblemError, come_again, documented
from casae.service.state import Operator, Service, TheService, Viewer
from casae.service.who import noted

router = APIRouter(prefix="/api/v1", tags=["inspections"])
LONGEST_S = 20.0  # that a picture waits to be drawn
Optional = Annotated[Text | None, Form()]
PICTURE: dict[int | str, dict[str, Any]] = {
    200: {"content": {"image/*": {"schema": {"type": "string", "format": "binary"}}}}
}
SUFFIX_OF = ((b"\x89PNG", ".png"), (b"\xff\xd8", ".jpg"), (b"BM", ".bmp"), (b"RIFF", ".webp"), (b"P", ".pgm"))


class Item(BaseModel):
    """An inspection in a list."""

    id: str
    inspected_at: str = Field(description="when it ended, by the clock of the service, with its offset from UTC")
    decision: Literal["OK", "REVIEW", "NG"] = Field(description="as casae decided")
    reviewed: Literal["OK", "REVIEW", "NG"] | None = Field(description="what a person said last; null where nobody did")
    kind: str = Field(description="of the reason")
    serial: str | None
    batch: str | None
    product: str | None
    station: str | None
    defects: int
    largest_px: int
    model: str
    source: str


class Page(BaseModel):
    """Inspections, newest first."""

    items: list[Item]
    next: str | None = Field(description="`after` of the next page; null on the last one")


Corner = Annotated[list[Annotated[float, Field(ge=-1e6, le=1e6)]], Field(min_length=2, max_length=2)]


class Finding(Body):
    """What a defect truly is, or one that was missed."""

    number: int | None = Field(default=None, ge=1, description="of the defect; null for one that was missed")
    defect_class: Text | None = Field(default=None, alias="class", description="what it truly is; null: no defect")
    polygons: list[Annotated[list[Corner], Field(min_length=3)]] | None = Field(
        default=None,
        min_length=1,
        max_length=100,
        description="round a missed defect, (x, y) in px, pixel centres at whole numbers",
    )

    @model_validator(mode="after")
    def _whole(self) -> Self:
        if self.number is None and not (self.defect_class and self.polygons):
            raise ValueError("a missed defect has a class and polygons")
        return self


class Review(BaseModel):
    """What a person said of a part."""

    id: str
    at: str
    who: str
    old: str
    new: str
    why: str
    blind: bool = Field(description="whether they did not see what casae had decided")
    findings: list[Finding] = Field(description="what its defects truly are, as far as they said")


class Whole(BaseModel):
    """An inspection and what people said of it."""

    record: InspectionRecord
    reviews: list[Review]
    reason: str = Field(
        description="why it was decided so, in the language of Accept-Language, else as the record has it"
    )


class NewReview(Body):
    """What a part truly is."""

    decision: Literal["OK", "NG"] = Field(examples=["OK"])
    why: Text = Field(examples=["dust, wiped off"])
    blind: bool = Field(default=False, description="whether you do not know what casae had decided")
    findings: list[Finding] = Field(default=[], max_length=1000)
    reviews_seen: int | None = Field(default=None, ge=0, description="how many you know; where there are more, 409")


class IntoLabels(Body):
    """Take an inspection into the labels of a project."""

    project: Annotated[str, Field(pattern=f"^{NAME.pattern}$", examples=["rings"])]
    submit: bool = Field(default=False, description="as a label that is whole; else as a draft, to be looked at")


class Failure(BaseModel):
    """A picture that could not be inspected."""

    id: str
    at: str
    source: str
    reason: str


@router.post(
    "/inspections",
    status_code=201,
    response_model=InspectionRecord,
    responses=documented(409, 422, 429)
    | {200: {"model": InspectionRecord, "description": "The same picture and part was inspected so before"}},
)
async def inspect(
    service: TheService,
    who: Operator,
    request: Request,
    image: Annotated[UploadFile, File(description="PNG, JPEG, BMP, TIFF, WebP, PGM or PPM")],
    serial: Optional = None,
    batch: Optional = None,
    product: Optional = None,
    station: Optional = None,
    recipe: Optional = None,
    camera: Optional = None,
    taken_at: Annotated[Annotated[Time | None, BeforeValidator(lambda said: said or None)], Form()] = None,
) -> Response:
    """Inspect a picture by what is active for the product.

    The record is on disk when this answers. The same picture of the same part again is answered with the record that is
    there, so a request whose answer was lost is sent again.
    """
    name = PurePath(without_controls(image.filename or "").replace("\\", "/")).name[:200] or "upload"
    part = Part(
        serial=serial or None,
        batch=batch or None,
        product=product or None,
        station=station or None,
        recipe=recipe or None,
    )
    form = await request.form()
    twice = [name for name in form if len(form.getlist(name)) > 1]
    if twice:
        raise ProblemError(422, f"{twice[0][:50]}: is given twice; say it once")
    strange = set(form) - {"image", "camera", "taken_at", *Part.model_fields}
    if strange:
        raise ProblemError(
            422, f"{min(strange)}: is no field; there are camera, taken_at, {', '.join(Part.model_fields)}"
        )
    upload = Upload(await image.read(), name, part, camera or None, taken_at)
    record, is_new = await service.queue.inspect(upload)
    headers = {"Location": f"{service.settings.root_path}/api/v1/inspections/{record.id}"}
    content = record.model_dump_json(by_alias=True)
    return Response(content, 201 if is_new else 200, headers, "application/json")


@router.get("/inspections", responses=documented())
def find(
    service: TheService,
    who: Viewer,
    since: Time | None = None,
    until: Time | None = None,
    decision: Literal["OK", "REVIEW", "NG"] | None = None,
    defect_class: Annotated[Text | None, Query(alias="class", description="with a defect of it")] = None,
    serial: Text | None = None,
    batch: Text | None = None,
    product: Text | None = None,
    station: Text | None = None,
    recipe: Text | None = None,
    model: Annotated[Text | None, Query(description="its name")] = None,
    picture: Annotated[Text | None, Query(description="name of its file")] = None,
    reviewed: Annotated[bool | None, Query(description="whether a person has said anything")] = None,
    sample: Annotated[float | None, Query(ge=0, le=1, description="of a random share of all, always the same")] = None,
    least_novelty: Annotated[float | None, Query(ge=0, description="1 is the model's limit")] = None,
    least_px: Annotated[int | None, Query(ge=0, le=10**9, description="with a defect of this area at least")] = None,
    model_sha256: Sha256 | None = None,
    after: Annotated[Id | None, Query(description="`next` of the page before")] = None,
    limit: Annotated[int, Query(ge=1, le=1000)] = 50,
) -> Page:
    """Inspections, newest first, a page at a time."""
    wanted = Filter(since, until, decision, defect_class, serial, batch, product, station, recipe, model, picture)
    wanted = replace(wanted, reviewed=reviewed, sample=sample, least_novelty=least_novelty)
    wanted = replace(wanted, least_px=least_px, model_sha256=model_sha256)
    rows = page(service.engine, wanted, after, limit + 1)
    items = [item_of(row) for row in rows[:limit]]
    return Page(items=items, next=items[-1].id if len(rows) > limit else None)


@router.get("/inspections/{key}", responses=documented(404))
def show(service: TheService, who: Viewer, request: Request, key: Id) -> Whole:
    """One inspection and what people said of it."""
    record = _record(service, key)
    return Whole(record=record, reviews=said_of(service, key), reason=reason_in(language_of(request), record))


@router.post("/inspections/{key}/reviews", status_code=201, responses=documented(404, 409))
def say(service: TheService, who: Operator, key: Id, said: NewReview) -> Review:
    """Say what a part truly is, and what its defects are: a new row; the inspection stays."""
    record = _record(service, key)
    numbers, named = {each.number for each in record.defects}, Counter(each.number for each in said.findings)
    for each in said.findings:
        if each.number is not None and named[each.number] > 1:
            raise ProblemError(422, f"findings: defect {each.number} stands there twice; say of each what it is once")
        if each.number is not None and each.number not in numbers:
            raise ProblemError(422, f"findings: there is no defect {each.number}; there are {len(numbers)}")
    before = said_of(service, key)
    if said.reviews_seen is not None and len(before) > said.reviews_seen:
        last = before[-1]
        raise ProblemError(409, f"{last.who} has said {last.new} meanwhile; say it again if you mean to overrule that")
    findings = json.dumps([each.model_dump(by_alias=True) for each in said.findings]) if said.findings else None
    made = review(service.engine, key, said.decision, who.name, said.why, blind=said.blind, findings=findings)
    return next(each for each in said_of(service, key) if each.id == made)


@router.post("/inspections/{key}/labels", status_code=201, responses=documented(404, 409, 410))
def into_labels(service: TheService, who: Operator, key: Id, wanted: IntoLabels) -> PictureItem:
    """Make a label of what was found, as the last review says it truly is."""
    record, there = _record(service, key), project_of(service, wanted.project)
    data, _ = original(service.engine, service.home, record)
    if record.straightened:
        raise ProblemError(410, f"{key}: was straightened before it was inspected; its places are not the picture's")
    said, classes = said_of(service, key), there.dataset.classes
    values = drawn_as_said(record, said, classes)
    name = f"{PurePath(record.source).stem}-{record.sha256[:8]}{_suffix(data)}"
    stem, base = one_form(PurePath(name).stem), 0
    if any(each.name == stem for each in there.dataset.samples):
        before, drawn = there.label(stem)
        told_before = [drawn_as_said(record, said[:count], classes) for count in range(len(said) + 1)]
        if before.state == "done" or not any(np.array_equal(drawn, each) for each in told_before):
            rule = "has a label that somebody has drawn on or submitted, which stays; mend it in the project"
            raise ProblemError(409, f"{stem}: {rule}")
        base = before.version
    else:
        stem = there.add_picture(name, data)
    told = there.change(stem, base, Patch(0, 0, values), who.name)
    told = there.submit(stem, told.version, who.name) if wanted.submit else told
    noted(service.engine, who, "made a label of an inspection", key, project=wanted.project, picture=stem)
    return PictureItem(**asdict(told))


@router.get("/inspections/{key}/image", response_class=Response, responses=documented(404, 410) | PICTURE)
def image(service: TheService, who: Viewer, key: Id) -> Response:
    """The picture as it came."""
    data, media = original(service.engine, service.home, _record(service, key))
    return _picture(data, media)


@router.get("/inspections/{key}/overlay", response_class=Response, responses=documented(404, 410) | PICTURE)
async def overlay(service: TheService, who: Viewer, key: Id, marks: bool = True) -> Response:
    """The picture as JPEG of a size people can look at, with its defects marked or without."""

    def draw() -> bytes:
        return marked(service.engine, service.home, _record(service, key), marks)

    return await _drawn(service, draw, "image/jpeg")


@router.get("/inspections/{key}/view", response_class=Response, responses=documented(404, 410) | PICTURE)
async def view(service: TheService, who: Viewer, key: Id) -> Response:
    """The picture as a browser can show it, pixel for pixel: PNG of 8 bits, in full scale."""
    return await _drawn(service, lambda: seen(service.engine, service.home, _record(service, key)))


@router.get("/inspections/{key}/mask", response_class=Response, responses=documented(404) | PICTURE)
async def mask_picture(service: TheService, who: Viewer, key: Id) -> Response:
    """The defective pixels, 255 in a PNG of the picture's size."""
    return await _drawn(service, lambda: mask(_record(service, key)))


@router.get("/inspections/{key}/probability", response_class=Response, responses=documented(404, 410) | PICTURE)
async def probability_picture(service: TheService, who: Viewer, key: Id) -> Response:
    """P(defect) of each pixel, computed again by the model that inspected it: gray PNG, 255 is certain."""

    def draw() -> bytes:
        record = _record(service, key)
        try:
            inspector = service.catalogue.inspector_of(record.model_sha256)
        except UsageError as error:
            raise ProblemError(410, f"{record.model}: this model is not here any more; its record is") from error
        return probability(service.engine, service.home, record, inspector)

    return await _drawn(service, draw)


@router.get("/inspections/{key}/crops/{number}", response_class=Response, responses=documented(404, 410) | PICTURE)
async def crop_picture(service: TheService, who: Viewer, key: Id, number: int) -> Response:
    """A defect, upright, as JPEG."""

    def draw() -> bytes:
        record = _record(service, key)
        defect = next((each for each in record.defects if each.number == number), None)
        if defect is None:
            raise ProblemError(404, f"{key}: has no defect {number}; it has {len(record.defects)}")
        return crop(service.engine, service.home, record, defect)

    return await _drawn(service, draw, "image/jpeg")


@router.get("/failures", responses=documented())
def failures(
    service: TheService, who: Viewer, after: Id | None = None, limit: Annotated[int, Query(ge=1, le=1000)] = 50
) -> list[Failure]:
    """Pictures that a watch could not inspect, newest first."""
    return [Failure.model_validate(each) for each in failures_of(service.engine, after, limit)]


def item_of(row: Row) -> Item:
    """A row of a list."""
    return Item.model_validate(
        row._asdict() | {"inspected_at": moment_of(row.id).astimezone().isoformat(timespec="milliseconds")}
    )


def said_of(service: Service, key: str) -> list[Review]:
    """What people said of an inspection, oldest first."""
    return [
        Review.model_validate(each | {"blind": bool(each["blind"]), "findings": json.loads(each["findings"] or "[]")})
        for each in reviews_of(service.engine, key)
    ]


def drawn_as_said(record: InspectionRecord, said: list[Review], classes: tuple[str, ...]) -> NDArray[np.uint8]:
    """Label values (H, W): what was found, where the last review does not say otherwise, and what was missed.

    A class that the project does not have is `UNCLASSED`. Where no rule accepts any defect, a part that a person calls
    OK has none.
    """
    is_free = bool(said) and said[-1].new == "OK" and record.decided_by.kind == "no rule"
    values = {name: number for number, name in enumerate(classes, start=1)}
    findings = said[-1].findings if said else []
    corrected = {each.number: each for each in findings if each.number is not None}
    drawn = np.zeros((record.height_px, record.width_px), np.uint8)
    for defect in () if is_free else sorted(record.defects, key=lambda each: -each.area_px):
        name = corrected[defect.number].defect_class if defect.number in corrected else defect.defect_class
        if name is not None:
            pixels, left, top = filled(defect.polygons)
            drawn[top : top + pixels.shape[0], left : left + pixels.shape[1]][pixels] = values.get(name, UNCLASSED)
    for each in findings:
        if each.number is None and each.polygons:
            corners = [np.rint(np.clip(polygon, -(2**15), 2**15)).astype(np.int32) for polygon in each.polygons]
            cv2.fillPoly(drawn, corners, values.get(str(each.defect_class), UNCLASSED))
    return drawn


def _suffix(data: bytes) -> str:
    return next((suffix for start, suffix in SUFFIX_OF if data.startswith(start)), ".tif")


def _record(service: Service, key: str) -> InspectionRecord:
    try:
        return record_by_id(service.engine, key)
    except UsageError as error:
        raise ProblemError(404, f"{key}: no inspection has this id") from error


async def _drawn(service: Service, draw: Callable[[], bytes], media: str = "image/png") -> Response:
    """A picture that is drawn for this request; those that wait for others hold no thread, which inspecting needs.

    Raises:
        ProblemError: it waited too long.
    """
    try:
        await asyncio.wait_for(service.drawing.acquire(), LONGEST_S)
    except TimeoutError as error:
        raise come_again(503, "too many pictures are asked for at once; ask again", LONGEST_S) from error
    try:
        return _picture(await run_in_threadpool(draw), media)
    finally:
        service.drawing.release()


def _picture(data: bytes, media: str) -> Response:
    return Response(data, media_type=media, headers={"Cache-Control": "private, max-age=3600"})
