"""Datasets, and long work on them."""

import csv
import re
from typing import Annotated

from fastapi import APIRouter, File, Query, Response, UploadFile
from fastapi.responses import FileResponse
from pydantic import BaseModel, Field
from starlette.background import BackgroundTask

from casae.errors import UsageError
from casae.models.bundle import SUFFIX
from casae.service.api.values import Id
from casae.service.datasets import add_dataset, datasets_of, pack_dataset
from casae.service.home import NAME
from casae.service.jobs import LOG, Convert, Job, Wanted, add_job, cancel, files_of, is_missing, job_by_id, page_of_jobs
from casae.service.problems import ProblemError, documented
from casae.service.state import Engineer, Service, TheService, Viewer
from casae.service.who import noted

router = APIRouter(prefix="/api/v1", tags=["datasets and jobs"])
DATASET_NAME = f"^{NAME.pattern}$"
MOST_OF_LOG = 2**20  # bytes at a time
BESIDE = (
    "sandbox allow-scripts; default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'; img-src data:"
)
MEDIA = {".html": "text/html; charset=utf-8", ".json": "application/json", ".png": "image/png"}


class Dataset(BaseModel):
    """A dataset of the home."""

    name: str = Field(examples=["rings"])


class Epoch(BaseModel):
    """What a training was like at the end of an epoch."""

    step: int
    loss: float
    score: float | None = Field(description="on the held-out pictures; null where it was not measured")


class Added(Dataset):
    """A dataset that was unpacked."""

    files: int


@router.get("/datasets", responses=documented())
def datasets(service: TheService, who: Viewer) -> list[Dataset]:
    """Datasets, by name."""
    return [Dataset(name=name) for name in datasets_of(service.home)]


@router.post("/datasets", status_code=201, responses=documented(409))
def add(
    service: TheService,
    who: Engineer,
    name: Annotated[str, Query(pattern=DATASET_NAME)],
    content: Annotated[UploadFile, File(description="A zip of pictures and labels, in any format that is read")],
) -> Added:
    """Add a dataset: a zip, unpacked whole or not at all."""
    if name in datasets_of(service.home):
        raise ProblemError(409, f"{name}: there is such a dataset; choose another name")
    count = add_dataset(service.home, name, content.file)
    noted(service.engine, who, "added a dataset", name, files=count)
    return Added(name=name, files=count)


@router.get(
    "/datasets/{name}/file",
    response_class=Response,
    responses=documented(404)
    | {200: {"content": {"application/zip": {"schema": {"type": "string", "format": "binary"}}}}},
)
def fetch(service: TheService, who: Engineer, name: Annotated[str, Field(pattern=DATASET_NAME)]) -> Response:
    """A dataset as a zip."""
    if name not in datasets_of(service.home):
        raise ProblemError(404, f"{name}: there is no such dataset; GET /api/v1/datasets lists them")
    file = pack_dataset(service.home, name)
    gone = BackgroundTask(file.unlink, missing_ok=True)
    return FileResponse(file, media_type="application/zip", filename=f"{name}.zip", background=gone)


@router.get("/jobs", responses=documented())
def jobs(
    service: TheService, who: Viewer, after: Id | None = None, limit: Annotated[int, Query(ge=1, le=1000)] = 50
) -> list[Job]:
    """Jobs, newest first."""
    return page_of_jobs(service.engine, service.home, after, limit)


@router.post("/jobs", status_code=202, responses=documented(404, 409))
def begin(service: TheService, who: Engineer, wanted: Wanted) -> Job:
    """Begin a job, or let it wait for its turn. It runs at the lowest priority."""
    missing = is_missing(service.home, wanted)
    if missing:
        raise ProblemError(404, missing)
    if isinstance(wanted, Convert) and wanted.target.split(":", 1)[1] in datasets_of(service.home):
        raise ProblemError(409, f"{wanted.target}: there is such a dataset; choose another name")
    made = add_job(service.engine, service.home, wanted, who.name)
    noted(service.engine, who, "began a job", made.id, **wanted.model_dump())
    return made


@router.get("/jobs/{key}", responses=documented(404))
def job(service: TheService, who: Viewer, key: Id) -> Job:
    """A job, with how far it is."""
    return _job(service, key)


@router.post("/jobs/{key}/cancel", status_code=202, responses=documented(404))
def end(service: TheService, who: Engineer, key: Id) -> Job:
    """Let a job end; one that is over stays as it is."""
    _job(service, key)
    noted(service.engine, who, "cancelled a job", key)
    return cancel(service.engine, service.home, key)


@router.get(
    "/jobs/{key}/log",
    response_class=Response,
    responses=documented(404) | {200: {"content": {"text/plain": {"schema": {"type": "string"}}}}},
)
def log(service: TheService, who: Viewer, key: Id, offset: Annotated[int, Query(ge=0, le=10**12)] = 0) -> Response:
    """What a job said, from a byte on; X-Offset is the next one."""
    _job(service, key)
    file = service.home.jobs / key / LOG
    data = b""
    if file.is_file():
        with file.open("rb") as lines:
            lines.seek(offset)
            data = lines.read(MOST_OF_LOG)
    text = re.sub(r"\x1b\[[0-9;]*[A-Za-z]", "", data.decode("utf-8", "replace"))
    return Response(text, media_type="text/plain; charset=utf-8", headers={"X-Offset": str(offset + len(data))})


@router.get("/jobs/{key}/curves", responses=documented(404))
def curves(service: TheService, who: Viewer, key: Id) -> dict[str, list[Epoch]]:
    """Loss and score of each epoch of a training, by network; empty before the first one ended."""
    _job(service, key)
    found: dict[str, list[Epoch]] = {}
    for table in sorted((service.home.jobs / key).glob("*-training/*/metrics.csv")):
        with table.open(newline="", encoding="utf-8") as lines:
            rows = [tuple(row.values()) for row in csv.DictReader(lines)]
        found[table.parent.name] = [
            Epoch(step=int(step), loss=float(loss), score=float(score) if score else None)
            for _, step, loss, score, *_ in (row for row in rows if len(row) == 4 and row[2] is not None)
        ]
    return found


@router.get("/jobs/{key}/files", responses=documented(404))
def files(service: TheService, who: Viewer, key: Id) -> list[str]:
    """Files that a job wrote."""
    _job(service, key)
    return files_of(service.home.jobs / key)


@router.get(
    "/jobs/{key}/files/{name:path}",
    response_class=Response,
    responses=documented(404)
    | {200: {"content": {"application/octet-stream": {"schema": {"type": "string", "format": "binary"}}}}},
)
def file(service: TheService, who: Viewer, key: Id, name: str) -> Response:
    """One of them; a page may show itself and nothing else."""
    _job(service, key)
    if name.endswith(SUFFIX) and not who.may("engineer"):
        raise ProblemError(403, f"{who.name} is {who.role}; a model needs the role engineer")
    if name not in files_of(service.home.jobs / key):
        raise ProblemError(404, f"{name}: the job wrote no such file; GET /api/v1/jobs/ID/files lists them")
    place = service.home.jobs / key / name
    media = MEDIA.get(place.suffix, "application/octet-stream")
    return Response(place.read_bytes(), media_type=media, headers={"Content-Security-Policy": BESIDE})


def _job(service: Service, key: str) -> Job:
    try:
        return job_by_id(service.engine, service.home, key)
    except UsageError as error:
        raise ProblemError(404, str(error)) from error
