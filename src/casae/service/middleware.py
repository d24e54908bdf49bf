"""Round every request: its id, its log line, headers of safety, a deadline; another site's pages are refused."""

import re
import time
from asyncio import timeout
from ipaddress import ip_address

import structlog
from fastapi import Request
from fastapi.concurrency import run_in_threadpool
from starlette.datastructures import Headers, MutableHeaders
from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from casae.errors import CasaeError
from casae.inspection.inspection import new_id
from casae.service.metrics import REQUEST_SECONDS
from casae.service.problems import ProblemError, answer_of, problem
from casae.service.settings import ServiceSettings
from casae.service.state import SAFE, address_of, service_of, who_asks

HEADERS = {
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "same-origin",  # with none, forms of our own pages would come from nowhere
    "Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'",
    "Cache-Control": "no-store",
}
LARGE = {  # bytes and seconds of a body, which engineers alone send
    "/api/v1/models": (600 * 2**20, 600.0),
    "/api/v1/datasets": (10 * 2**30, 7200.0),
}
OF_PICTURES = ("multipart/", "application/octet-stream")  # kinds of bodies that hold pictures or label values
MOST_JSON = 2**18  # bytes; those of pictures are limited by the settings
FOR_ALL = {"/health", "/ready", "/api/v1/openapi.json", "/login"}
STATIC = "/static/"
STREAM = "/api/v1/events"
SIGNING_IN = ("POST", "/api/v1/session")
HERE = re.compile(r"(localhost|127(\.\d{1,3}){3}|\[::1\])(:\d{1,5})?", re.IGNORECASE)
THROUGH_A_PROXY = ("forwarded", "x-forwarded-for", "x-forwarded-host", "x-real-ip")
METHODS = {"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"}
log = structlog.get_logger("casae")


class Around:
    """Gives each request an id, knows who asks, answers what fails in the one form, adds headers, writes the log.

    Args:
        app: that answers.
        settings: say whether who comes must sign in.
    """

    def __init__(self, app: ASGIApp, settings: ServiceSettings) -> None:
        self._app, self._settings = app, settings

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        request = Request(scope, receive)
        request.state.id = new_id()
        began, status = time.perf_counter(), 0

        async def with_headers(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                headers = MutableHeaders(scope=message)
                if STATIC in request.scope["path"]:
                    headers.setdefault("Cache-Control", "no-cache")  # asked for again by its ETag
                for name, value in HEADERS.items():
                    headers.setdefault(name, value)
                headers["X-Request-Id"] = request.state.id
            await send(message)

        try:
            self._check_origin(request)
            await self._know(request)
            await self._app(scope, receive, with_headers)
        except (ProblemError, CasaeError) as error:
            await answer_of(request, error)(scope, receive, with_headers)
        except Exception:
            log.exception("failed", id=request.state.id, path=request.url.path)
            if not status:
                rule = "casae failed here; please report it with the id below, which stands in the log"
                await problem(request, 500, rule)(scope, receive, with_headers)
        finally:
            _note(request, status, time.perf_counter() - began)

    def _check_origin(self, request: Request) -> None:
        """A page of another site sent it, or a foreign name leads here: none that its user wanted.

        Raises:
            ProblemError: so it is.
        """
        host, origin = request.headers.get("host", ""), request.headers.get("origin")
        if not self._settings.needs_login:
            proxied = any(name in request.headers for name in THROUGH_A_PROXY)
            if proxied or not HERE.fullmatch(host) or not _is_loopback(address_of(request)):
                rule = "without login only this machine is answered, by its own name; say login = true in casae.toml"
                raise ProblemError(403, f"Host {host[:100]}: {rule}")
        foreign = origin is not None and origin.partition("://")[2].lower() != host.lower()
        if request.method not in SAFE and (
            foreign or request.headers.get("sec-fetch-site", "none") not in ("none", "same-origin")
        ):
            rule = "a page of another site sent this; call it from a page of this service, or without Origin"
            raise ProblemError(403, rule)

    async def _know(self, request: Request) -> None:
        """Find out who asks, before any body is read.

        Raises:
            ProblemError: nobody known, or a role that may not send so much.
        """
        path = request.scope["path"].removeprefix(request.scope.get("root_path", ""))
        if path in FOR_ALL or path.startswith(STATIC) or (request.method, path) == SIGNING_IN:
            return
        asked = (service_of(request), request.headers, request.method, address_of(request))
        request.state.who = who = await run_in_threadpool(who_asks, *asked)
        if path in LARGE and request.method not in SAFE and not who.may("engineer"):
            raise ProblemError(403, f"{who.name} is {who.role}; this needs the role engineer")


class Forms:
    """HEAD is answered as GET without its body; a root that a proxy left in the path is taken away.

    Args:
        app: that answers.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request."""
        if scope["type"] == "http":
            root = scope.get("root_path", "")
            # The server puts the root in front of what comes, whether a proxy took it away or not.
            if root and f"{scope['path']}/".startswith(f"{root}{root}/"):
                scope["path"] = scope["path"].removeprefix(root)
                scope["raw_path"] = scope.get("raw_path", b"").removeprefix(root.encode())
            if scope["method"] == "HEAD" and not scope["path"].endswith(STREAM):
                scope["method"], send = "GET", _without_body(send)
        await self._app(scope, receive, send)


def _without_body(send: Send) -> Send:
    is_over = False

    async def head(message: Message) -> None:
        nonlocal is_over
        if message["type"] == "http.response.body":
            message, was_over, is_over = {"type": "http.response.body", "body": b""}, is_over, True
            if was_over:
                return
        await send(message)

    return head


class Limits:
    """A body may have so many bytes and take so long: who sends a byte a minute keeps nobody waiting.

    Args:
        app: that reads it.
        most_bytes: of a body.
        seconds: that it may take.
    """

    def __init__(self, app: ASGIApp, most_bytes: int, seconds: float) -> None:
        self._app, self._most_bytes, self._seconds = app, most_bytes, seconds

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        headers = Headers(scope=scope)
        path = scope["path"].removeprefix(scope.get("root_path", ""))
        most, seconds = LARGE.get(path, (self._most_bytes, self._seconds))
        if not headers.get("content-type", "").lower().startswith(OF_PICTURES):
            most = min(most, MOST_JSON)
        end, is_whole, seen = time.monotonic() + seconds, False, 0
        said = headers.get("content-length", "0")

        async def patient() -> Message:
            nonlocal is_whole, seen
            if is_whole:  # what follows is the end of the connection, however late
                return await receive()
            try:
                async with timeout(max(0.0, end - time.monotonic())):
                    message = await receive()
            except TimeoutError:
                rule = f"the request did not come within {seconds:g} s; send it again"
                raise HTTPException(408, rule, {"Connection": "close"}) from None
            is_whole = not message.get("more_body", False)
            seen += len(message.get("body", b""))
            if seen > most or (said.isdecimal() and int(said) > most):
                rule = f"the request has more than {most / 1e6:.1f} MB, which is the limit; send less"
                raise HTTPException(413, rule, {"Connection": "close"})
            return message

        await self._app(scope, patient, send)


def _is_loopback(address: str) -> bool:
    try:
        return ip_address(address).is_loopback
    except ValueError:
        return False


def _note(request: Request, status: int, seconds: float) -> None:
    route = getattr(request.scope.get("route"), "path", "none")
    method = request.method if request.method in METHODS else "other"
    REQUEST_SECONDS.labels(method, route, str(status)).observe(seconds)
    who = getattr(request.state, "who", None)
    log.info(
        "request",
        id=request.state.id,
        method=request.method,
        path=request.url.path,
        status=status,
        ms=round(1000 * seconds, 1),
        who=who.name if who else None,
        address=address_of(request),
    )
