"""What a process of the service holds, and how requests reach it."""

import asyncio
import difflib
from collections.abc import Callable
from dataclasses import dataclass, field
from hmac import compare_digest
from typing import Annotated

from fastapi import Cookie, Depends, Request, Security
from fastapi.security import APIKeyCookie, HTTPAuthorizationCredentials, HTTPBearer
from sqlalchemy import Engine
from starlette.datastructures import Headers
from starlette.requests import cookie_parser

from casae.service.catalogue import Catalogue
from casae.service.home import Home
from casae.service.inspecting import InspectionQueue
from casae.service.problems import ProblemError
from casae.service.settings import ServiceSettings
from casae.service.who import Role, Who, csrf_of, who_has

SESSION, CSRF = "casae_session", "x-csrf-token"
SAFE = {"GET", "HEAD", "OPTIONS"}
DRAWN_AT_ONCE = 2
bearer = HTTPBearer(auto_error=False, description="A token of `casae users token`.")
cookie = APIKeyCookie(name=SESSION, auto_error=False, description="Of POST /api/v1/session.")


@dataclass
class Service:
    """One process.

    Attributes:
        settings: how it runs.
        home: its files.
        engine: its records.
        catalogue: models and rules.
        queue: pictures that wait.
        stopping: whether it shall end.
        drawing: pictures that are drawn now; a decoded one is large.
    """

    settings: ServiceSettings
    home: Home
    engine: Engine
    catalogue: Catalogue
    queue: InspectionQueue
    stopping: bool = False
    drawing: asyncio.Semaphore = field(default_factory=lambda: asyncio.Semaphore(DRAWN_AT_ONCE))


def service_of(request: Request) -> Service:
    """The process's own."""
    found: Service = request.app.state.service
    return found


def address_of(request: Request) -> str:
    """Where a request comes from."""
    return request.client.host if request.client else "unknown"


def who_asks(service: Service, headers: Headers, method: str, address: str) -> Who:
    """Who sends a request; it is asked before the body is read, so that nobody unknown sends one.

    Raises:
        ProblemError: nobody known, or a page of another site.
        RecordsError: the database cannot be read.
    """
    scheme, _, token = headers.get("authorization", "").partition(" ")
    session = cookie_parser(headers.get("cookie", "")).get(SESSION)  # which bears with those of other programs
    who = None
    if scheme:
        who = who_has(service.engine, token.strip(), "token", address) if scheme.lower() == "bearer" else None
    elif session is not None:
        who = who_has(service.engine, session, "session", address)
        said = headers.get(CSRF, "")
        if who is not None and method not in SAFE and not compare_digest(said.encode(), csrf_of(session).encode()):
            raise ProblemError(403, f"the header {CSRF} is missing or wrong; GET /api/v1/session says it")
    elif not service.settings.needs_login:
        who = Who("local", "admin", address)
    if who is None:
        rule = "who asks is not known; send Authorization: Bearer TOKEN, or sign in (POST /api/v1/session)"
        raise ProblemError(401, rule, {"WWW-Authenticate": "Bearer"})
    return who


def _who(
    request: Request,
    token: Annotated[HTTPAuthorizationCredentials | None, Security(bearer)] = None,
    session: Annotated[str | None, Security(cookie)] = None,
) -> Who:
    """Who asks, as the middleware found; the parameters stand in the description of the API."""
    found: Who = request.state.who
    return found


def needs(role: Role) -> Callable[..., Who]:
    """A dependency: who asks, if it has a role."""

    def of_role(who: Annotated[Who, Depends(_who)]) -> Who:
        if not who.may(role):
            raise ProblemError(403, f"{who.name} is {who.role}; this needs the role {role}")
        return who

    of_role.needs = role  # type: ignore[attr-defined]  # for the description of the API
    return of_role


def only_known(request: Request) -> None:
    """No other parameters of a query than there are: a filter that is misspelt would find everything.

    Raises:
        ProblemError: there is another one.
    """
    route = getattr(request.scope.get("route"), "path_format", "")
    described = request.app.openapi()["paths"].get(route, {}).get(request.method.lower(), {})
    known = [each["name"] for each in described.get("parameters", ()) if each["in"] == "query"]
    for name in request.query_params:
        if len(request.query_params.getlist(name)) > 1:
            raise ProblemError(422, f"{name[:50]}: is given twice; say it once, or ask twice")
        if name not in known:
            near = difflib.get_close_matches(name, known, 1)
            way = (
                f"is {near[0]} meant?" if near else f"there are {', '.join(known)}" if known else "there are none here"
            )
            raise ProblemError(422, f"{name[:50]}: is no parameter of this; {way}")


TheService = Annotated[Service, Depends(service_of)]
Viewer = Annotated[Who, Depends(needs("viewer"))]
Operator = Annotated[Who, Depends(needs("operator"))]
Engineer = Annotated[Who, Depends(needs("engineer"))]
Admin = Annotated[Who, Depends(needs("admin"))]
SessionCookie = Annotated[str | None, Cookie(alias=SESSION)]
