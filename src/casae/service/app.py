"""The HTTP application of one process."""

import json
import logging
import os
import signal
import threading
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path

import structlog
from fastapi import Depends, FastAPI

from casae.config import InspectionSettings
from casae.errors import CasaeError
from casae.inspection.record import version
from casae.processes import end_with_parent
from casae.records.database import open_database
from casae.service.api import events, inspections, jobs, labels, models, statistics, system, users
from casae.service.catalogue import Catalogue
from casae.service.home import Home
from casae.service.inspecting import InspectionQueue
from casae.service.middleware import Around, Forms, Limits
from casae.service.pages import labelling, steering, views
from casae.service.pages.views import static
from casae.service.problems import install
from casae.service.settings import ServiceSettings
from casae.service.state import Service, only_known

TOLD = "CASAE_SERVED"  # variable that tells a process its home and settings, as JSON
FORM_BYTES = 2**16  # of a multipart request beside its picture


def from_environment() -> FastAPI:
    """The application of a process that `casae.service.run` started."""
    told = json.loads(os.environ[TOLD])
    settings = ServiceSettings.model_validate(told["settings"])
    if os.getpid() != told["parent"]:
        configure_logs(settings.log)
        if not end_with_parent(told["parent"], signal.SIGTERM):
            raise SystemExit(0)
    return create_app(Home(Path(told["home"])), settings)


def create_app(home: Home, settings: ServiceSettings) -> FastAPI:
    """The application.

    Args:
        home: its files, which are made where they are missing.
        settings: how it runs.
    """

    @asynccontextmanager
    async def life(app: FastAPI) -> AsyncIterator[None]:
        home.prepare()
        engine = open_database(settings.database or home.folder)
        inspecting = InspectionSettings(threads=settings.threads_a_worker, max_megapixels=settings.max_megapixels)
        catalogue = Catalogue(home, engine, inspecting)
        service = Service(settings, home, engine, catalogue, InspectionQueue(catalogue, engine, home, settings))
        app.state.service = service
        threading.Thread(target=_get_ready, args=(service,), daemon=True).start()
        _end_streams_early(service)
        try:
            yield
        finally:
            service.queue.close()
            engine.dispose()

    app = FastAPI(
        title="casae",
        version=version("casae"),
        summary="Finds, outlines, crops, classifies and measures defects on surfaces",
        lifespan=life,
        openapi_url="/api/v1/openapi.json",
        docs_url=None,  # their pages load scripts from elsewhere
        redoc_url=None,
        form_limits={"max_fields": 20, "max_files": 1, "max_part_size": FORM_BYTES},
    )
    install(app)
    for each in (inspections, models, jobs, labels, statistics, users, events, system):
        app.include_router(each.router, dependencies=[Depends(only_known)])
    for pages in (views, labelling, steering):
        app.include_router(pages.router)
    app.mount("/static", static)
    most_bytes = int(settings.max_upload_mb * 1e6) + FORM_BYTES
    app.add_middleware(Limits, most_bytes=most_bytes, seconds=settings.request_s)
    app.add_middleware(Around, settings=settings)
    app.add_middleware(Forms)
    return app


def _get_ready(service: Service) -> None:
    """Read what is active, so that the first request need not wait for it; what cannot be read is said then."""
    with suppress(CasaeError):
        active = service.catalogue.active(None)
        if active is not None:
            service.catalogue.inspector(active)


def _end_streams_early(service: Service) -> None:
    """Let event streams end when the server is asked to, which waits for them."""
    if threading.current_thread() is not threading.main_thread():
        return
    for kind in (signal.SIGINT, signal.SIGTERM):
        before = signal.getsignal(kind)

        def ask(number: int, frame: object, before: object = before) -> None:
            service.stopping = True
            if callable(before):
                before(number, frame)

        signal.signal(kind, ask)


def configure_logs(kind: str) -> None:
    """Lines on standard error: JSON for programs, or for people; those of uvicorn too."""
    shared: list[structlog.typing.Processor] = [
        structlog.stdlib.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        structlog.processors.StackInfoRenderer(),
    ]
    plain = structlog.dev.plain_traceback  # another one shows values of variables, which may be secret
    last: structlog.typing.Processor = structlog.dev.ConsoleRenderer(colors=False, exception_formatter=plain)
    if kind == "json":
        shared.append(structlog.processors.format_exc_info)
        last = structlog.processors.JSONRenderer()
    structlog.configure(
        processors=[*shared, structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        logger_factory=structlog.stdlib.LoggerFactory(),
        cache_logger_on_first_use=True,
    )
    formatter = structlog.stdlib.ProcessorFormatter(
        foreign_pre_chain=shared,
        processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, last],
    )
    handler = logging.StreamHandler()
    handler.setFormatter(formatter)
    root = logging.getLogger()
    root.handlers = [handler]
    root.setLevel(logging.INFO)
    logging.getLogger("alembic").setLevel(logging.WARNING)
    logging.getLogger("tifffile").setLevel(logging.CRITICAL)  # what is wrong with a picture is answered
