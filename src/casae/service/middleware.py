"""Round every request: its id, its log line, headers of safety, a deadline; another site's pages are refused."""

import time
from asyncio import timeout
from urllib.parse import urlsplit

import structlog
from fastapi import Request
from starlette.datastructures import Headers, MutableHeaders
from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from casae.inspection.inspection import new_id
from casae.service.metrics import REQUEST_SECONDS
from casae.service.problems import problem
from casae.service.settings import ServiceSettings
from casae.service.state import SAFE

HEADERS = {
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'",
    "Cache-Control": "no-store",
}
LARGE = {"/api/v1/models": (600 * 2**20, 600.0), "/api/v1/datasets": (10 * 2**30, 7200.0)}  # bytes and seconds
LOOPBACK = {"localhost", "127.0.0.1", "::1"}
log = structlog.get_logger("casae")


class Around:
    """Gives each request an id, answers what fails in the one form, adds headers, writes a line of the log.

    Args:
        app: that answers.
        settings: say whether whoever comes must sign in.
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
                for name, value in HEADERS.items():
                    headers.setdefault(name, value)
                headers["X-Request-Id"] = request.state.id
            await send(message)

        try:
            refused = self._refused(request)
            if refused:
                await problem(request, 403, refused)(scope, receive, with_headers)
            else:
                await self._app(scope, receive, with_headers)
        except Exception:
            log.exception("failed", id=request.state.id, path=request.url.path)
            if not status:
                rule = "casae failed here; please report it with the id below, which stands in the log"
                await problem(request, 500, rule)(scope, receive, with_headers)
        finally:
            _note(request, status, time.perf_counter() - began)

    def _refused(self, request: Request) -> str:
        """Why a request is none that its user wanted: a page of another site sent it, or a foreign name leads here."""
        host = (request.url.hostname or "").lower()
        if not self._settings.needs_login and host not in LOOPBACK:
            return f"Host {host}: is not this machine; without login only localhost is answered"
        if request.method in SAFE:
            return ""
        origin = request.headers.get("origin")
        foreign = origin is not None and urlsplit(origin).netloc.lower() != request.headers.get("host", "").lower()
        if foreign or request.headers.get("sec-fetch-site", "none") not in ("none", "same-origin"):
            return "a page of another site sent this; call it from a page of this service, or without Origin"
        return ""


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
        most, seconds = LARGE.get(
            scope["path"].removeprefix(scope.get("root_path", "")), (self._most_bytes, self._seconds)
        )
        end, is_whole, seen = time.monotonic() + seconds, False, 0
        said = Headers(scope=scope).get("content-length", "0")

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


def _note(request: Request, status: int, seconds: float) -> None:
    route = getattr(request.scope.get("route"), "path", "none")
    REQUEST_SECONDS.labels(request.method, route, str(status)).observe(seconds)
    log.info(
        "request",
        id=request.state.id,
        method=request.method,
        path=request.url.path,
        status=status,
        ms=round(1000 * seconds, 1),
        who=getattr(request.state, "who", None),
        address=request.client.host if request.client else None,
    )
