"""One form of every error: application/problem+json (RFC 9457)."""

import math
from collections.abc import Mapping
from html import escape
from http import HTTPStatus
from typing import Any
from urllib.parse import urlencode

import structlog
from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import HTMLResponse, JSONResponse, RedirectResponse, Response
from fastapi.routing import APIRoute
from pydantic import BaseModel, Field
from starlette.exceptions import HTTPException
from starlette.routing import BaseRoute, Route

from casae.errors import (
    BundleError,
    CasaeError,
    DatasetError,
    ImageError,
    OutputError,
    RecordsError,
    TooLargeError,
    UsageError,
)

MEDIA = "application/problem+json"
STATUS = (  # the first that fits
    (TooLargeError, 413),
    (ImageError, 422),
    (BundleError, 422),
    (DatasetError, 422),
    (UsageError, 422),
    (OutputError, 503),
    (RecordsError, 503),
)
SAID = {  # in other words than those of pydantic
    "json_invalid": "is no JSON",
    "missing": "is missing",
    "string_pattern_mismatch": "is not of the form that it must have, or holds control characters",
    "datetime_from_date_parsing": "is no time; write such as 2026-11-30T06:00:00Z (+ is %2B in a query)",
}
WAIT_S = 5  # until the next try, where nothing better is known


class Problem(BaseModel):
    """What is wrong, and a way out."""

    type: str = "about:blank"
    title: str = Field(examples=["Unprocessable Content"])
    status: int = Field(examples=[422])
    detail: str = Field(examples=["image: is damaged or not a PNG image; save it as PNG"])
    instance: str = Field(description="id of the request, as in the log", examples=["01a22ae0-4943-7d49-b10a-c5a0f49d"])


class ProblemError(Exception):
    """An answer that is an error."""

    def __init__(self, status: int, detail: str, headers: Mapping[str, str] | None = None) -> None:
        super().__init__(detail)
        self.status, self.detail, self.headers = status, detail, dict(headers or {})


def come_again(status: int, detail: str, seconds: float) -> ProblemError:
    """429 or 503, with when to come again."""
    return ProblemError(status, detail, {"Retry-After": str(max(1, math.ceil(seconds)))})


def documented(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """Errors of a path, for its documentation: these and those that every path may have."""
    told = {"content": {MEDIA: {"schema": {"$ref": "#/components/schemas/Problem"}}}}
    every = (400, 401, 403, 413, 422, 500, 503)
    return {status: {"description": HTTPStatus(status).phrase} | told for status in sorted({*every, *statuses})}


def problem(request: Request, status: int, detail: str, headers: Mapping[str, str] | None = None) -> Response:
    """The answer: to a program as it is, to a person who opened a page as one."""
    root, path = request.scope.get("root_path", ""), request.scope["path"]
    asks_for_a_page = "text/html" in request.headers.get("accept", "") and "/api/" not in path
    if asks_for_a_page and status == 401:
        asked = f"{root}{path.removeprefix(root)}"  # a proxy may have taken the root away or not
        asked += f"?{request.url.query}" if request.url.query else ""
        return RedirectResponse(f"{root}/login?{urlencode({'next': asked})}", 303)
    if asks_for_a_page:
        title = escape(f"{status} {HTTPStatus(status).phrase}")
        style = (
            f'<link rel="stylesheet" href="{root}/static/casae.css"><meta name="viewport" content="width=device-width">'
        )
        policy = {"Content-Security-Policy": "default-src 'none'; style-src 'self'; frame-ancestors 'none'"}
        said = f'<p class="note bad">{escape(detail)}</p><p><a href="{root}/">casae</a></p>'
        html = f"<!doctype html><html lang='en'><title>{title}</title>{style}<main><h1>{title}</h1>{said}</main>"
        return HTMLResponse(html, status, dict(headers or {}) | policy)
    content = Problem(
        title=HTTPStatus(status).phrase,
        status=status,
        detail=detail,
        instance=getattr(request.state, "id", ""),
    )
    return JSONResponse(content.model_dump(), status, dict(headers or {}), MEDIA)


def answer_of(request: Request, error: ProblemError | CasaeError) -> Response:
    """What an error is answered with. Where the fault is here, the log alone says what and where."""
    if isinstance(error, ProblemError):
        return problem(request, error.status, error.detail, error.headers)
    status = next((status for kind, status in STATUS if isinstance(error, kind)), 500)
    if status < 500:
        return problem(request, status, str(error))
    structlog.get_logger("casae").error(str(error), id=request.state.id)
    what = "the database does not answer" if isinstance(error, RecordsError) else "the disk of the service fails"
    return problem(request, status, f"{what}; send it again later", {"Retry-After": str(WAIT_S)})


def install(app: FastAPI) -> None:
    """Answer every error in the one form, and describe it."""
    describe = app.openapi

    def openapi() -> dict[str, Any]:
        if app.openapi_schema is None:
            described = describe()
            described["components"]["schemas"]["Problem"] = Problem.model_json_schema()
            _say_roles(app, described["paths"])
        return describe()

    app.openapi = openapi  # type: ignore[method-assign]  # FastAPI's own way

    @app.exception_handler(ProblemError)
    async def _of_ours(request: Request, error: ProblemError) -> Response:
        return answer_of(request, error)

    @app.exception_handler(CasaeError)
    async def _of_casae(request: Request, error: CasaeError) -> Response:
        return answer_of(request, error)

    @app.exception_handler(HTTPException)
    async def _of_http(request: Request, error: HTTPException) -> Response:
        if error.status_code == 405:
            allowed = ", ".join(sorted(_methods(app, request)))
            return problem(request, 405, f"{request.method}: is not allowed here; use {allowed}", {"Allow": allowed})
        return problem(request, error.status_code, str(error.detail), error.headers)

    @app.exception_handler(RequestValidationError)
    async def _of_values(request: Request, error: RequestValidationError) -> Response:
        first = error.errors()[0]
        where = ".".join(str(step) for step in first["loc"][1:] if not isinstance(step, int)) or "the body"
        said = SAID.get(first["type"]) or first["msg"].removeprefix("Value error, ")
        said = "must be a file with a name" if "UploadFile" in said else said
        return problem(
            request, 422, f"{where}: {said[:1].lower()}{said[1:]}; the API's description says what it may be"
        )


def _say_roles(app: FastAPI, paths: dict[str, Any]) -> None:
    """At each path the role that it takes, as a sentence and as `x-role`."""
    for route in _routes(app):
        if not isinstance(route, APIRoute) or not route.include_in_schema:
            continue
        roles = [role for each in route.dependant.dependencies if (role := getattr(each.call, "needs", None))]
        for method in (route.methods or ()) if roles else ():
            about = paths[route.path_format][method.lower()]
            about["x-role"] = roles[0]
            about["description"] += f"\n\nRole: {roles[0]}."


def _routes(app: FastAPI) -> list[BaseRoute]:
    routers = [getattr(each, "original_router", None) for each in app.routes]  # as FastAPI includes them
    return [*app.routes, *(each for router in routers if router is not None for each in router.routes)]


def _methods(app: FastAPI, request: Request) -> set[str]:
    """That a path knows, of all its routes."""
    path = request.scope["path"].removeprefix(request.scope.get("root_path", ""))
    there = [each for each in _routes(app) if isinstance(each, Route) and each.path_regex.match(path)]
    found = {method for each in there for method in each.methods or ()}
    return found | ({"HEAD"} if "GET" in found else set())
