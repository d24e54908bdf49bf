"""Whether the service lives, is ready, and what it measures."""

from typing import Any, Literal

from fastapi import APIRouter, Response
from fastapi.responses import PlainTextResponse
from pydantic import BaseModel, Field

from casae.inspection.record import version
from casae.records.store import counted
from casae.service.metrics import exposition
from casae.service.problems import ProblemError, documented
from casae.service.state import TheService, Viewer

router = APIRouter(tags=["system"])
NOT_FOR_ALL: dict[int | str, dict[str, Any]] = {500: documented()[500]}


class Health(BaseModel):
    """The process lives."""

    status: Literal["ok"] = "ok"
    version: str


class Ready(BaseModel):
    """Pictures can be inspected."""

    status: Literal["ready"] = "ready"


class Counts(BaseModel):
    """Inspections of each decision, as casae decided."""

    ok: int = Field(alias="OK")
    review: int = Field(alias="REVIEW")
    ng: int = Field(alias="NG")


@router.get("/health", responses=NOT_FOR_ALL)
async def health() -> Health:
    """Whether the process lives; asks nothing and nobody."""
    return Health(version=version("casae"))


@router.get("/ready", responses={key: documented()[key] for key in (500, 503)})
def ready(service: TheService) -> Ready:
    """Whether the database answers and a model is active."""
    counted(service.engine)
    if not service.catalogue.judges():
        raise ProblemError(503, "no model is active; add one (POST /api/v1/models), then activate it")
    return Ready()


@router.get(
    "/metrics",
    response_class=PlainTextResponse,
    responses=documented() | {200: {"content": {"text/plain": {"schema": {"type": "string"}}}}},
)
def metrics(service: TheService, who: Viewer) -> Response:
    """For Prometheus, which signs in by a token."""
    content = exposition(service.engine, service.home.folder)
    return Response(content, media_type="text/plain; version=0.0.4; charset=utf-8")


@router.get("/api/v1/counts", responses=documented())
def counts(service: TheService, who: Viewer) -> Counts:
    """Inspections of each decision, of all time, by counters that are kept on writing."""
    found = counted(service.engine)
    return Counts.model_validate({name: found.get(name, 0) for name in ("OK", "REVIEW", "NG")})
