"""Inspect a picture, find inspections, see their pictures, say what the part truly is."""

from dataclasses import replace
from pathlib import PurePath
from typing import Annotated, Any, Literal

from fastapi import APIRouter, File, Form, Query, Request, Response, UploadFile
from pydantic import BaseModel, BeforeValidator, Field

from casae.errors import UsageError
from casae.files import without_controls
from casae.inspection.inspection import Part
from casae.inspection.record import InspectionRecord
from casae.records.queries import Filter, Row, failures_of, moment_of, page, reviews_of
from casae.records.store import record_by_id, review
from casae.service.api.values import Body, Id, Text, Time
from casae.service.inspecting import Upload
from casae.service.pictures import crop, marked, mask, original, seen
from casae.service.problems import ProblemError, documented
from casae.service.state import Operator, Service, TheService, Viewer

router = APIRouter(prefix="/api/v1", tags=["inspections"])
Optional = Annotated[Text | None, Form()]
PICTURE: dict[int | str, dict[str, Any]] = {
    200: {"content": {"image/*": {"schema": {"type": "string", "format": "binary"}}}}
}


class Item(BaseModel):
    """An inspection in a list."""

    id: str
    inspected_at: str = Field(description="when it ended, UTC; the id says so too")
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


class Review(BaseModel):
    """What a person said of a part."""

    id: str
    at: str
    who: str
    old: str
    new: str
    why: str


class Whole(BaseModel):
    """An inspection and what people said of it."""

    record: InspectionRecord
    reviews: list[Review]


class NewReview(Body):
    """What a part truly is."""

    decision: Literal["OK", "NG"] = Field(examples=["OK"])
    why: Text = Field(examples=["dust, wiped off"])


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
    strange = set(await request.form()) - {"image", "camera", "taken_at", *Part.model_fields}
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
    after: Annotated[Id | None, Query(description="`next` of the page before")] = None,
    limit: Annotated[int, Query(ge=1, le=1000)] = 50,
) -> Page:
    """Inspections, newest first, a page at a time."""
    wanted = Filter(since, until, decision, defect_class, serial, batch, product, station, recipe, model, picture)
    rows = page(service.engine, replace(wanted, reviewed=reviewed), after, limit)
    items = [item_of(row) for row in rows]
    return Page(items=items, next=rows[-1].id if len(rows) == limit else None)


@router.get("/inspections/{key}", responses=documented(404))
def show(service: TheService, who: Viewer, key: Id) -> Whole:
    """One inspection and what people said of it."""
    record = _record(service, key)
    return Whole(record=record, reviews=[Review.model_validate(each) for each in reviews_of(service.engine, key)])


@router.post("/inspections/{key}/reviews", status_code=201, responses=documented(404))
def say(service: TheService, who: Operator, key: Id, said: NewReview) -> Review:
    """Say what a part truly is: a new row; the inspection stays."""
    _record(service, key)
    made = review(service.engine, key, said.decision, who.name, said.why)
    return next(Review.model_validate(each) for each in reviews_of(service.engine, key) if each["id"] == made)


@router.get("/inspections/{key}/image", response_class=Response, responses=documented(404, 410) | PICTURE)
def image(service: TheService, who: Viewer, key: Id) -> Response:
    """The picture as it came."""
    data, media = original(service.engine, service.home, _record(service, key))
    return _picture(data, media)


@router.get("/inspections/{key}/overlay", response_class=Response, responses=documented(404, 410) | PICTURE)
def overlay(service: TheService, who: Viewer, key: Id, marks: bool = True) -> Response:
    """The picture as JPEG of a size people can look at, with its defects marked or without."""
    return _picture(marked(service.engine, service.home, _record(service, key), marks), "image/jpeg")


@router.get("/inspections/{key}/view", response_class=Response, responses=documented(404, 410) | PICTURE)
def view(service: TheService, who: Viewer, key: Id) -> Response:
    """The picture as a browser can show it, pixel for pixel: PNG of 8 bits, in full scale."""
    return _picture(seen(service.engine, service.home, _record(service, key)), "image/png")


@router.get("/inspections/{key}/mask", response_class=Response, responses=documented(404) | PICTURE)
def mask_picture(service: TheService, who: Viewer, key: Id) -> Response:
    """The defective pixels, 255 in a PNG of the picture's size."""
    return _picture(mask(_record(service, key)), "image/png")


@router.get("/inspections/{key}/crops/{number}", response_class=Response, responses=documented(404, 410) | PICTURE)
def crop_picture(service: TheService, who: Viewer, key: Id, number: int) -> Response:
    """A defect, upright, as JPEG."""
    record = _record(service, key)
    defect = next((each for each in record.defects if each.number == number), None)
    if defect is None:
        raise ProblemError(404, f"{key}: has no defect {number}; it has {len(record.defects)}")
    return _picture(crop(service.engine, service.home, record, defect), "image/jpeg")


@router.get("/failures", responses=documented())
def failures(
    service: TheService, who: Viewer, after: Id | None = None, limit: Annotated[int, Query(ge=1, le=1000)] = 50
) -> list[Failure]:
    """Pictures that a watch could not inspect, newest first."""
    return [Failure.model_validate(each) for each in failures_of(service.engine, after, limit)]


def item_of(row: Row) -> Item:
    """A row of a list."""
    return Item.model_validate(row._asdict() | {"inspected_at": moment_of(row.id).isoformat(timespec="milliseconds")})


def _record(service: Service, key: str) -> InspectionRecord:
    try:
        return record_by_id(service.engine, key)
    except UsageError as error:
        raise ProblemError(404, f"{key}: no inspection has this id") from error


def _picture(data: bytes, media: str) -> Response:
    return Response(data, media_type=media, headers={"Cache-Control": "private, max-age=3600"})
