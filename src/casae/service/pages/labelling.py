"""Pages to label on, and to learn from labels."""

from typing import Annotated, Literal
from urllib.parse import urlencode

from fastapi import APIRouter, Query, Request, Response
from fastapi.responses import RedirectResponse

from casae.labelled.order import Order
from casae.labels.formats import FORMATS, WRITTEN
from casae.service.api.labels import ProjectName, agree, item_of, ordered, project_of, projects, track_of
from casae.service.api.values import Text
from casae.service.pages.views import shown
from casae.service.state import Operator, TheService, Viewer

router = APIRouter(include_in_schema=False)
MOST_SHOWN = 200  # pictures of a project on its page
READ = ("folder", *FORMATS)


@router.get("/projects")
def all_projects(request: Request, service: TheService, who: Viewer) -> Response:
    """What is labelled here."""
    return shown(request, "projects", projects=projects(service, who), formats=READ)


@router.get("/projects/{name}")
def one_project(
    request: Request,
    service: TheService,
    who: Viewer,
    name: ProjectName,
    find: Text = "",
    state: Annotated[str, Query(pattern="^(none|draft|done)?$")] = "",
    leaf: Annotated[int, Query(alias="page", ge=1, le=100_000)] = 1,
) -> Response:
    """A project: its pictures, some at a time, its label book, its trainings."""
    there = project_of(service, name)
    items = [
        each
        for each in sorted(there.pictures(), key=lambda each: (each.state == "done", each.picture))
        if find.lower() in each.picture.lower() and state in ("", each.state)
    ]
    begin = (leaf - 1) * MOST_SHOWN
    given = urlencode({name: value for name, value in (("find", find), ("state", state)) if value})
    return shown(
        request,
        "project",
        project=item_of(there),
        items=items[begin : begin + MOST_SHOWN],
        count=len(items),
        begin=begin,
        find=find,
        state=state,
        newer=f"?{given}&page={leaf - 1}" if leaf > 1 else None,
        older=f"?{given}&page={leaf + 1}" if len(items) > begin + MOST_SHOWN else None,
        book=there.book(),
        agreement=agree(service, who, name),
        order="newest" if service.catalogue.active(name) is None else "uncertain",
        splits=sorted(there.dataset.splits),
        formats=("folder", *WRITTEN),
    )


@router.get("/projects/{name}/label")
def label_next(
    request: Request,
    service: TheService,
    who: Operator,
    name: ProjectName,
    order: Order | Literal["name"] = "name",
    second: Annotated[bool, Query()] = False,
) -> Response:
    """The first picture of the queue."""
    there = project_of(service, name)
    told = there.pictures(track_of(who, second))
    left = [each.picture for each in told if each.state != "done"] or [each.picture for each in told]
    if order != "name":
        left = ordered(service, there, told, order)[0] or left
    if not left:
        return RedirectResponse(f"{request.scope.get('root_path', '')}/projects/{name}", 303)
    return _label(request, service, name, left[0], second)


@router.get("/projects/{name}/label/{picture:path}")
def label(
    request: Request,
    service: TheService,
    who: Operator,
    name: ProjectName,
    picture: str,
    second: Annotated[bool, Query()] = False,
) -> Response:
    """One picture, to draw on."""
    return _label(request, service, name, picture, second)


def _label(request: Request, service: TheService, name: str, picture: str, second: bool) -> Response:
    there = project_of(service, name)
    return shown(request, "label", project=item_of(there), picture=picture, second=second, book=there.book())
