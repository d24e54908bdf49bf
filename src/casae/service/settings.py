"""Settings of a service: a file in its home, the environment, options of `casae serve`; the last one counts."""

import difflib
import os
from collections.abc import Mapping
from ipaddress import ip_address
from pathlib import Path
from typing import Literal

from pydantic import Field, ValidationError

from casae.config import Frozen, first_problem
from casae.errors import UsageError
from casae.files import read_toml, settings_of

FILE = "casae.toml"
PREFIX = "CASAE_SERVE_"  # of variables of the environment, such as CASAE_SERVE_PORT


class ServiceSettings(Frozen):
    """How a service runs.

    Attributes:
        host: address it listens on; other machines reach it on 0.0.0.0.
        port: TCP port, 0 for any free one.
        database: URL of a PostgreSQL; None is a file in the home.
        workers: processes that inspect.
        threads: processor threads of each, 0 shares the processor out.
        login: whether people and programs must sign in; None says yes unless it listens on loopback alone.
        max_upload_mb: largest picture, in megabytes of its file.
        max_megapixels: largest picture, in pixels.
        request_s: seconds after which a request is given up, in which its body must come too.
        queue: pictures that may wait in a process; more are asked to come again.
        room_mb: free megabytes of the disk below which no picture is taken in.
        shifts: hours at which shifts begin, with commas; the live page counts from the last one.
        blind_share: of the parts that people look at without knowing, so that escapes are known; 0 for none.
        session_hours: after which a person signs in again.
        root_path: in front of every path, where a proxy adds one.
        proxies: addresses whose X-Forwarded-For counts, with commas.
        log: lines on standard error for people or, "json", for programs.
    """

    host: str = "127.0.0.1"
    port: int = Field(default=8000, ge=0, le=65535)
    database: str | None = None
    workers: int = Field(default=1, ge=1, le=64)
    threads: int = Field(default=0, ge=0)
    login: bool | None = None
    max_upload_mb: float = Field(default=64, gt=0, le=4096)
    max_megapixels: float = Field(default=100, gt=0)
    request_s: float = Field(default=60, gt=0)
    queue: int = Field(default=16, ge=1, le=1000)
    room_mb: float = Field(default=500, ge=0)
    shifts: str = Field(default="6,14,22", pattern=r"^([01]?\d|2[0-3])(,([01]?\d|2[0-3])){0,5}$")
    blind_share: float = Field(default=0.02, ge=0, le=1)
    session_hours: float = Field(default=12, gt=0)
    root_path: str = ""
    proxies: str = "127.0.0.1"
    log: Literal["text", "json"] = "text"

    @property
    def is_local(self) -> bool:
        """Whether nobody but this machine reaches it."""
        try:
            return ip_address(self.host).is_loopback
        except ValueError:
            return self.host == "localhost"

    @property
    def needs_login(self) -> bool:
        """Whether who comes must say who it is."""
        return not self.is_local if self.login is None else self.login

    @property
    def threads_a_worker(self) -> int:
        """Processor threads of each process that inspects; 0 are all."""
        if self.threads or self.workers == 1:
            return self.threads
        cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
        return max(1, cores // self.workers)


def service_settings(
    home: Path, options: Mapping[str, object], environment: Mapping[str, str] = os.environ
) -> ServiceSettings:
    """The settings of a home.

    Args:
        home: its folder, which may hold `casae.toml`.
        options: by name; None says nothing.
        environment: variables, of which those that begin with `CASAE_SERVE_` count.

    Raises:
        UsageError: a value breaks a rule, or nobody could sign in from where it can be reached.
    """
    file = home / FILE
    told: dict[str, object] = {}
    if file.exists():
        settings_of(ServiceSettings, file, 'write such as port = 8000 or host = "0.0.0.0"', _meant)
        told |= read_toml(file)
    for name in ServiceSettings.model_fields:
        value = environment.get(PREFIX + name.upper())
        if value is not None:
            told[name] = value
    told |= {name: value for name, value in options.items() if value is not None}
    try:
        settings = ServiceSettings.model_validate(told)
    except ValidationError as error:
        raise UsageError(f"{first_problem(error)}; see casae serve --help") from error
    if settings.login is False and not settings.is_local:
        rule = "other machines reach it there, so login cannot be off"
        raise UsageError(f"host {settings.host}: {rule}; leave login out, or host 127.0.0.1")
    return settings


def database_of(home: str | Path, database: str | None = None) -> str:
    """Where the records of a home are: a folder, or the URL of a server.

    Args:
        home: its folder, whose settings may name a server; or the URL of one, which is told as it is.
        database: counts more than the settings.

    Raises:
        UsageError: the settings of the home break a rule.
    """
    if "://" in str(home):
        return str(home)
    folder = Path(home).expanduser()
    return service_settings(folder, {"database": database}).database or str(folder)


def _meant(name: str, unknown: bool) -> str:
    names = list(ServiceSettings.model_fields)
    near = difflib.get_close_matches(name, names, 2) if unknown else []
    return f"is {' or '.join(near)} meant?" if near else f"there are {', '.join(names)}" if unknown else ""
