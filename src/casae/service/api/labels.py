"""Projects: pictures that people label, with tools, proposals of a model, and what to label next."""

from dataclasses import asdict
from functools import lru_cache
from pathlib import Path
from typing import Annotated, Any, Literal

import cv2
import numpy as np
from fastapi import APIRouter, File, Query, Request, Response, UploadFile
from fastapi.concurrency import run_in_threadpool
from numpy.typing import NDArray
from pydantic import BaseModel, Field

from casae.datasets.sample import Sample
from casae.decoding import decode_image, read_file
from casae.errors import DatasetError, UsageError
from casae.image import Image, encode, to_8bit, to_gray
from casae.inspection.inspector import Inspector
from casae.inspection.overlay import to_rgb
from casae.labelled.order import Order
from casae.labelling.agreement import Agreement, agreement
from casae.labelling.looked import Looked
from casae.labelling.project import MAIN, Book, ChangedError, Patch, Project, StaleError, Told, new_project
from casae.labelling.tools import scissors, wand
from casae.outlines import outlines_of
from casae.service.api.values import Body
from casae.service.datasets import datasets_of
from casae.service.home import NAME, check_name
from casae.service.problems import ProblemError, documented
from casae.service.state import Engineer, Operator, Service, TheService, Viewer
from casae.service.who import Who, noted

router = APIRouter(prefix="/api/v1/projects", tags=["labelling"])
ProjectName = Annotated[str, Field(pattern=f"^{NAME.pattern}$", examples=["rings"])]
Track = Annotated[
    bool, Query(description="one's own opinion, made without seeing that of others; the dataset does not learn from it")
]
Version = Annotated[int, Query(ge=0, le=2**31, description="that was painted over")]
Pixel = Annotated[int, Query(ge=0, le=2**16)]
PNG: dict[int | str, dict[str, Any]] = {
    200: {"content": {"image/png": {"schema": {"type": "string", "format": "binary"}}}}
}
JPEG: dict[int | str, dict[str, Any]] = {
    200: {"content": {"image/jpeg": {"schema": {"type": "string", "format": "binary"}}}}
}
THUMB, LABELLED = 240, (255, 96, 64)  # px of the longer side; colour of what is labelled
PLAIN_PNG, PLAIN_KINDS = b"\x89PNG", (b"\x08\x00", b"\x08\x02")  # gray or RGB of 8 bits, which browsers show as it is
MOST_PATCH = 2**27  # label values of one patch
PICTURES_KEPT = 2  # decoded, for the tools
QUICK = 1
KEEP = {"Cache-Control": "private, max-age=3600"}


class ProjectItem(BaseModel):
    """A project and how far it is."""

    name: str
    classes: list[str]
    pictures: int
    done: int = Field(description="pictures with a label")
    drafts: int = Field(description="pictures with a label that is not submitted")


class NewProject(Body):
    """A project to be made."""

    name: ProjectName
    classes: list[Annotated[str, Field(max_length=100)]] = Field(min_length=1, examples=[["scratch", "dent"]])


class Classes(Body):
    """Names of classes; of those that there are, the new names, in their order."""

    classes: list[Annotated[str, Field(max_length=100)]] = Field(min_length=1)
    was: list[str] | None = Field(default=None, description="as they were read; 409 if they are others by now")


class PictureItem(BaseModel):
    """A picture and its label."""

    picture: str
    version: int
    state: Literal["none", "draft", "done"]
    at: str
    who: str


class PicturesPage(BaseModel):
    """Pictures of a project."""

    items: list[PictureItem]
    looked: int | None = Field(description="pictures that the model has looked at for this order; null without a model")


class Proposal(BaseModel):
    """A region that the model found."""

    number: int
    name: str = Field(description="its class")
    value: int = Field(description="its label value in the project; 255 where the project has no such class")
    probability: float
    polygons: list[list[list[float]]]


class Proposals(BaseModel):
    """What the model found in a picture."""

    model: str
    items: list[Proposal]


class Shape(BaseModel):
    """Pixels: polygons round them, along their sides."""

    polygons: list[list[list[float]]]


class Way(BaseModel):
    """Pixels along edges, (x, y)."""

    points: list[list[int]]


class PairItem(BaseModel):
    """A region on which two may disagree."""

    picture: str
    first: str | None = Field(description="class; null where that label has nothing here")
    second: str | None
    iou: float
    x: int
    y: int
    width: int
    height: int


class AgreementReport(BaseModel):
    """How well second opinions agree."""

    pictures: int
    iou: float | None
    same_class: float | None
    worst: list[PairItem]


@router.get("", responses=documented())
def projects(service: TheService, who: Viewer) -> list[ProjectItem]:
    """Projects: the datasets of our own format, by name."""
    found = []
    for name in datasets_of(service.home):
        project = project_of(service, name)
        if (project.folder / "dataset.toml").is_file():
            try:
                found.append(item_of(project))
            except DatasetError:
                continue  # one that is damaged hides no other; GET of it says why
    return found


@router.post("", status_code=201, responses=documented(409))
def make(service: TheService, who: Engineer, wanted: NewProject) -> ProjectItem:
    """Make an empty project."""
    if wanted.name in datasets_of(service.home):
        raise ProblemError(409, f"{wanted.name}: there is such a dataset; choose another name")
    new_project(service.home.datasets / check_name(wanted.name), wanted.classes)
    noted(service.engine, who, "made a project", wanted.name, classes=wanted.classes)
    return item_of(project_of(service, wanted.name))


@router.get("/{name}", responses=documented(404))
def project(service: TheService, who: Viewer, name: ProjectName) -> ProjectItem:
    """A project and how far it is."""
    return item_of(project_of(service, name))


@router.put("/{name}/classes", responses=documented(404, 409))
def classes(service: TheService, who: Engineer, name: ProjectName, wanted: Classes) -> ProjectItem:
    """Rename classes, or add some behind them; none goes, as labels hold their places."""
    try:
        project_of(service, name).set_classes(wanted.classes, wanted.was)
    except ChangedError as error:
        raise ProblemError(409, str(error)) from error
    noted(service.engine, who, "named classes", name, classes=wanted.classes)
    return item_of(project_of(service, name))


@router.get("/{name}/book", responses=documented(404))
def book(service: TheService, who: Viewer, name: ProjectName) -> Book:
    """The label book."""
    return project_of(service, name).book()


@router.put("/{name}/book", responses=documented(404))
def write_book(service: TheService, who: Engineer, name: ProjectName, wanted: Book) -> Book:
    """Keep the label book."""
    project_of(service, name).write_book(wanted)
    noted(service.engine, who, "wrote the label book", name)
    return wanted


@router.post("/{name}/pictures", status_code=201, responses=documented(404, 409))
def add_picture(
    service: TheService, who: Operator, name: ProjectName, image: Annotated[UploadFile, File(description="a picture")]
) -> PictureItem:
    """Add a picture."""
    there = project_of(service, name)
    stem = there.add_picture((image.filename or "picture").replace("\\", "/"), image.file.read())
    return PictureItem(**asdict(Told(stem, 0, "none")))


@router.get("/{name}/pictures", responses=documented(404))
def pictures(
    service: TheService, who: Viewer, name: ProjectName, order: Order | Literal["name"] = "name", second: Track = False
) -> PicturesPage:
    """Pictures by name, or those without a label in the order in which they are worth one."""
    there = project_of(service, name)
    told = there.pictures(track_of(who, second))
    if order == "name":
        return PicturesPage(items=[PictureItem(**asdict(each)) for each in told], looked=None)
    by_name = {each.picture: each for each in told}
    names, looked = ordered(service, there, told, order)
    return PicturesPage(items=[PictureItem(**asdict(by_name[each])) for each in names], looked=looked)


@router.get("/{name}/view/{picture:path}", response_class=Response, responses=documented(404) | PNG)
def view(service: TheService, who: Viewer, name: ProjectName, picture: str) -> Response:
    """A picture as a browser can show it, pixel for pixel: PNG of 8 bits."""
    there = project_of(service, name)
    data = read_file(_sample(there, picture).image)
    if not (data.startswith(PLAIN_PNG) and data[24:26] in PLAIN_KINDS):
        image = to_8bit(decode_image(data, picture))
        data = encode(image, ".png", cv2.IMWRITE_PNG_COMPRESSION, QUICK)
    return Response(data, media_type="image/png", headers=KEEP)


@router.get("/{name}/thumb/{picture:path}", response_class=Response, responses=documented(404) | JPEG)
def thumb(
    service: TheService,
    who: Viewer,
    name: ProjectName,
    picture: str,
    version: Annotated[int, Query(description="of the label, so that browsers keep no earlier one")] = 0,
) -> Response:
    """A picture with its label in a size to choose by, JPEG."""
    there = project_of(service, name)
    image = to_rgb(_image(there, picture))
    _, values = there.label(picture)
    small = _small(image)
    mask = cv2.resize((values > 0).astype(np.float32), small.shape[1::-1], interpolation=cv2.INTER_AREA) > 0
    small[mask] = small[mask] // 2 + np.array(LABELLED, np.uint8) // 2
    return Response(encode(small, ".jpg"), media_type="image/jpeg", headers=KEEP)


@router.get("/{name}/place/{picture:path}", response_class=Response, responses=documented(404) | JPEG)
def place(
    service: TheService,
    who: Viewer,
    name: ProjectName,
    picture: str,
    x: Pixel,
    y: Pixel,
    width: Annotated[int, Query(ge=1, le=2**16)],
    height: Annotated[int, Query(ge=1, le=2**16)],
) -> Response:
    """A rectangle of a picture, such as an example of the label book, JPEG."""
    image = _image(project_of(service, name), picture)
    if x + width > image.shape[1] or y + height > image.shape[0]:
        size = f"{image.shape[1]} x {image.shape[0]} px"
        raise ProblemError(422, f"place {x}, {y}, {width} x {height}: is not in the picture of {size}")
    cut = to_rgb(np.ascontiguousarray(image[y : y + height, x : x + width]))
    return Response(encode(_small(cut), ".jpg"), media_type="image/jpeg", headers=KEEP)


@router.get("/{name}/label/{picture:path}", response_class=Response, responses=documented(404) | PNG)
def label(service: TheService, who: Viewer, name: ProjectName, picture: str, second: Track = False) -> Response:
    """The newest label of a picture: its values as gray PNG, version and state in headers."""
    told, values = project_of(service, name).label(picture, track_of(who, second))
    headers = {"X-Version": str(told.version), "X-State": told.state, "Cache-Control": "no-store"}
    data = encode(values, ".png", cv2.IMWRITE_PNG_COMPRESSION, QUICK)
    return Response(data, media_type="image/png", headers=headers)


@router.post(
    "/{name}/label/{picture:path}",
    responses=documented(404, 409),
    openapi_extra={
        "requestBody": {
            "required": True,
            "content": {"application/octet-stream": {"schema": {"type": "string", "format": "binary"}}},
        }
    },
)
async def change(
    service: TheService,
    who: Operator,
    request: Request,
    name: ProjectName,
    picture: str,
    version: Version,
    x: Pixel,
    y: Pixel,
    width: Annotated[int, Query(ge=1, le=2**16)],
    height: Annotated[int, Query(ge=1, le=2**16)],
    second: Track = False,
) -> PictureItem:
    """Paint over a rectangle: label values row by row, a byte each, compressed by zlib. On disk when it answers."""
    if width * height > MOST_PATCH:
        raise ProblemError(422, f"patch: {width} x {height} are too many values; send it in parts")
    packed, track = await request.body(), track_of(who, second)

    def changed() -> Told:
        patch = Patch.packed(packed, x, y, width, height)
        return project_of(service, name).change(picture, version, patch, who.name, track)

    return await run_in_threadpool(_kept, changed)


@router.post("/{name}/submit/{picture:path}", responses=documented(404, 409))
def submit(
    service: TheService, who: Operator, name: ProjectName, picture: str, version: Version, second: Track = False
) -> PictureItem:
    """Say that a label is whole: the dataset learns from it."""
    return _kept(lambda: project_of(service, name).submit(picture, version, who.name, track_of(who, second)))


@router.post("/{name}/discard/{picture:path}", responses=documented(404, 409))
def discard(
    service: TheService, who: Operator, name: ProjectName, picture: str, version: Version, second: Track = False
) -> PictureItem:
    """Drop a draft: back to what was submitted last, or to nothing."""
    return _kept(lambda: project_of(service, name).discard(picture, version, who.name, track_of(who, second)))


@router.get("/{name}/proposals/{picture:path}", responses=documented(404))
def proposals(service: TheService, who: Operator, name: ProjectName, picture: str) -> Proposals:
    """What the model that judges this product, or all, finds in a picture; no regions without a model."""
    there = project_of(service, name)
    image, inspector = _image(there, picture), inspector_of(service, name)
    if inspector is None:
        return Proposals(model="", items=[])
    values = {each: number for number, each in enumerate(there.dataset.classes, start=1)}
    found = inspector.inspect(image)
    items = [
        Proposal(
            number=each.number,
            name=each.name,
            value=values.get(each.name, 255),
            probability=each.probability,
            polygons=[outline.tolist() for outline in each.region.outlines],
        )
        for each in found.defects
    ]
    return Proposals(model=inspector.manifest.name, items=items)


@router.get("/{name}/wand/{picture:path}", responses=documented(404))
def magic_wand(
    service: TheService,
    who: Operator,
    name: ProjectName,
    picture: str,
    x: Pixel,
    y: Pixel,
    tolerance: Annotated[int, Query(ge=0, le=255)] = 16,
) -> Shape:
    """Pixels that hang together with one and are like it."""
    left, top, found = wand(_gray(project_of(service, name), picture), x, y, tolerance)
    return Shape(polygons=_outlines(found, left, top))


@router.get("/{name}/scissors/{picture:path}", responses=documented(404))
def follow_edges(
    service: TheService,
    who: Operator,
    name: ProjectName,
    picture: str,
    x: Pixel,
    y: Pixel,
    to_x: Pixel,
    to_y: Pixel,
) -> Way:
    """The way along edges from one pixel to another."""
    return Way(points=scissors(_gray(project_of(service, name), picture), (x, y), (to_x, to_y)).tolist())


@router.get("/{name}/agreement", responses=documented(404))
def agree(service: TheService, who: Viewer, name: ProjectName) -> AgreementReport:
    """How well second opinions agree with the labels, the worst regions first."""
    there = project_of(service, name)
    names = {0: None, 255: "?"} | dict(enumerate(there.dataset.classes, start=1))
    found = _agreement(there, there.stamp)
    worst = [
        PairItem(**asdict(pair) | {"first": names.get(pair.first), "second": names.get(pair.second)})
        for pair in found.pairs[:50]
    ]
    return AgreementReport(pictures=found.pictures, iou=found.iou, same_class=found.same_class, worst=worst)


def project_of(service: Service, name: str) -> Project:
    """A project of the home.

    Raises:
        ProblemError: there is none of this name.
    """
    if name not in datasets_of(service.home):
        raise ProblemError(404, f"{name}: there is no such project; GET /api/v1/projects lists them")
    return Project(name, service.home.datasets / name, service.home.labels, service.engine)


def item_of(project: Project) -> ProjectItem:
    """How far a project is."""
    states = [each.state for each in project.pictures()]
    classes = list(project.dataset.classes)
    return ProjectItem(
        name=project.name,
        classes=classes,
        pictures=len(states),
        done=states.count("done"),
        drafts=states.count("draft"),
    )


def track_of(who: Who, second: bool) -> str:
    """Where somebody draws: in the label of the dataset, or in an opinion of their own."""
    return who.name if second else MAIN


def inspector_of(service: Service, name: str) -> Inspector | None:
    """The model that judges a product of this name, or all; None where nothing is active."""
    active = service.catalogue.active(name)
    return None if active is None else service.catalogue.inspector(active)


def ordered(service: Service, there: Project, told: list[Told], by: Order) -> tuple[list[str], int | None]:
    """Names of pictures without a label, the best to label next first, and how many the model has looked at.

    Without a model, or before it has looked, the order is that of "random".
    """
    left = [each.picture for each in told if each.state == "none"]
    if by == "newest":
        samples = {each.name: each.image for each in there.dataset.samples}
        return sorted(left, key=lambda name: -samples[name].stat().st_mtime_ns), None
    left = [left[index] for index in np.random.default_rng(0).permutation(len(left))]
    inspector = inspector_of(service, there.name) if by != "random" else None
    if inspector is None:
        return left, None
    file = service.home.labels / there.name / f"looked-{inspector.conditions.model_sha256[:16]}.jsonl"
    looked = _looked(file)
    looked.begin(inspector, there.dataset.samples)
    labelled = {each.picture: each.state != "none" for each in told}
    names = left + [each.picture for each in told if labelled[each.picture]]
    return looked.order(by, names, labelled), len(looked.known)


@lru_cache(maxsize=8)
def _looked(file: Path) -> Looked:
    return Looked(file)


@lru_cache(maxsize=16)
def _agreement(there: Project, stamp: object) -> Agreement:
    return agreement(there.second_opinions())


def _kept(change: Any) -> PictureItem:
    try:
        return PictureItem(**asdict(change()))
    except StaleError as error:
        raise ProblemError(409, str(error), {"X-Version": str(error.told.version)}) from error


def _sample(there: Project, picture: str) -> Sample:
    try:
        return there.sample(picture)
    except UsageError as error:
        raise ProblemError(404, str(error)) from error


def _image(there: Project, picture: str) -> Image:
    return decode_image(read_file(_sample(there, picture).image), picture)


def _gray(there: Project, picture: str) -> NDArray[np.uint8]:
    file = _sample(there, picture).image
    return _gray_of(file, file.stat().st_mtime_ns)


@lru_cache(maxsize=PICTURES_KEPT)
def _gray_of(file: Path, changed: int) -> NDArray[np.uint8]:
    return np.ascontiguousarray(to_8bit(to_gray(decode_image(read_file(file), str(file)))))


def _small(image: NDArray[np.uint8]) -> NDArray[np.uint8]:
    factor = THUMB / max(image.shape[:2])
    size = max(1, round(image.shape[1] * factor)), max(1, round(image.shape[0] * factor))
    return np.asarray(
        cv2.resize(image, size, interpolation=cv2.INTER_AREA if factor < 1 else cv2.INTER_CUBIC), np.uint8
    )


def _outlines(found: NDArray[np.bool_], left: int, top: int) -> list[list[list[float]]]:
    rows, columns = np.nonzero(found)
    return [np.add(outline, (left - 0.5, top - 0.5)).tolist() for outline in outlines_of(rows, columns)]
