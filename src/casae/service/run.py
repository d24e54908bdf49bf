"""Run a service: processes that answer, and one runner of jobs beside them."""

import json
import os
import signal
import socket
import tempfile
from pathlib import Path

import structlog
import uvicorn
from sqlalchemy import func, select
from uvicorn.config import STARTUP_FAILURE
from uvicorn.supervisors import Multiprocess

from casae.config import InspectionSettings
from casae.errors import OutputError, RecordsError, UsageError
from casae.files import read_text
from casae.models.bundle import resolve_model
from casae.records.database import opened, reading
from casae.records.schema import users
from casae.service.app import TOLD, configure_logs
from casae.service.catalogue import EVERY, Catalogue
from casae.service.home import Home
from casae.service.jobs import JobRunner
from casae.service.metrics import SHARED
from casae.service.settings import ServiceSettings

BACKLOG = 2048  # connections that wait
BEGINNING = "casae serve"  # who names a model when the service begins
MOST_HISTORY = 10_000  # activations that are looked at then
log = structlog.get_logger("casae")
GRACE_S = 30  # for requests that are being answered when the service shall end


def serve(home: Home, settings: ServiceSettings, model: str | None = None, rules: Path | None = None) -> None:
    """Answer until SIGINT or SIGTERM.

    Args:
        home: its files.
        settings: how it runs.
        model: file or name of one that shall judge every product without one of its own; see `_activate`.
        rules: file of acceptance rules beside it.

    Raises:
        CasaeError: model, rules or home cannot be used, or nobody could sign in.
        OutputError: the port is taken, or another service works there.
        RecordsError: a process could not start.
    """
    home.prepare()
    database = settings.database or str(home.folder)
    with home.alone(), opened(database) as engine:
        catalogue = Catalogue(home, engine, InspectionSettings(threads=settings.threads_a_worker))
        if settings.needs_login:
            with reading(engine) as connection:
                known = connection.scalar(select(func.count()).select_from(users).where(~users.c.disabled))
            if not known:
                rule = "whoever comes must sign in, and there is no user"
                raise UsageError(f"{home.folder}: {rule}; make one: casae users add NAME --role admin")
        if model is not None:
            _activate(catalogue, model, rules)
        elif rules is not None:
            raise UsageError("--rules: judge with a model; say --model too, or add them by HTTP")
        runner = JobRunner(engine, home, catalogue, database)
        listening = _listening(settings)
        with tempfile.TemporaryDirectory() as counting:
            if settings.workers > 1:
                os.environ[SHARED] = counting
            tempfile.tempdir = os.environ["TMPDIR"] = str(home.passing)  # large uploads: /tmp may be memory
            os.environ[TOLD] = json.dumps(
                {"home": str(home.folder), "settings": settings.model_dump(), "parent": os.getpid()}
            )
            for kind in (signal.SIGINT, signal.SIGTERM):
                signal.signal(kind, _end)
            runner.start()
            try:
                _answer(settings, listening)
            finally:
                runner.stop()
                listening.close()


def _end(number: int, frame: object) -> None:
    """End in order; uvicorn, which answers what came first, raises the signal again when it is over."""
    raise SystemExit(0)


def _activate(catalogue: Catalogue, model: str, rules: Path | None) -> None:
    """Let a model judge every product that has none of its own, unless it was named when the service began before.

    What was activated since then counts: who starts the service again with the same command undoes nothing.
    """
    bundle = catalogue.add_model(resolve_model(model).read_bytes(), "casae serve")
    digest = None
    if rules is not None:
        try:
            digest, _ = catalogue.add_rules(read_text(rules).encode(), rules.stem, "casae serve")
        except OSError as error:
            raise UsageError(f"{rules}: cannot be read ({error.strerror}); check the path") from error
    history = catalogue.history(EVERY, MOST_HISTORY)
    named = next((each for each in history if each.who == BEGINNING), None)
    now = catalogue.active(EVERY)
    if named is None or (named.model_sha256, named.rules_sha256) != (bundle.sha256, digest):
        catalogue.activate(EVERY, bundle.sha256, digest, BEGINNING, "named when the service began")
    elif now is not None and (now.model_sha256, now.rules_sha256) != (bundle.sha256, digest):
        log.warning("another model or other rules were activated since, and judge", named=model, by=now.who, at=now.at)
    own = sorted({each.product for each in catalogue.history(None, MOST_HISTORY)} - {EVERY})
    if others := [product for product in own if catalogue.has_own(product)]:
        log.info("products with a model of their own", products=others)


def _listening(settings: ServiceSettings) -> socket.socket:
    """The socket that all processes answer on."""
    kind = socket.AF_INET6 if ":" in settings.host else socket.AF_INET
    listening = socket.socket(kind)
    listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listening.bind((settings.host, settings.port))
        listening.listen(BACKLOG)  # who connects before a process is ready waits, and is not refused
    except OSError as error:
        listening.close()
        rule = f"cannot be listened on ({error.strerror}); choose another --port, or end what holds it"
        raise OutputError(f"{settings.host}:{settings.port}: {rule}") from error
    listening.set_inheritable(True)
    return listening


def _answer(settings: ServiceSettings, listening: socket.socket) -> None:
    config = uvicorn.Config(
        "casae.service.app:from_environment",
        factory=True,
        workers=settings.workers,
        log_config=None,
        access_log=False,
        server_header=False,
        proxy_headers=True,
        forwarded_allow_ips=settings.proxies,
        root_path=settings.root_path,
        timeout_graceful_shutdown=GRACE_S,
        timeout_keep_alive=30,
        backlog=512,
    )
    configure_logs(settings.log)
    host, port = listening.getsockname()[:2]
    shown = f"[{host}]" if ":" in host else host
    structlog.get_logger("casae").info(f"listening on http://{shown}:{port}{settings.root_path}")
    if settings.workers == 1:
        server = uvicorn.Server(config)
        server.run([listening])
        failed = not server.started
    else:
        several = Multiprocess(config, [listening])
        several.run()
        failed = any(each.exitcode == STARTUP_FAILURE for each in several.processes)
    if failed:
        raise RecordsError("a process could not start, or not go on; the lines above say why; start it again")
