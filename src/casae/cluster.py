"""A Ray cluster, joined with a token, without reports of usage to its makers, on loopback where it is our own."""

import os
import re
import socket
import sys
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stdout
from pathlib import Path
from typing import Any, cast

from casae import errors
from casae.errors import CasaeError, MissingExtraError, UsageError

ENVIRONMENT = {
    "RAY_USAGE_STATS_ENABLED": "0",
    "RAY_AUTH_MODE": "token",
    "RAY_DATA_LOG_LEVEL": "ERROR",  # what it tells of itself besides
    "RAY_BACKEND_LOG_LEVEL": "fatal",  # or it warns on the terminal of actors that begin again, as they should
}
SAID = re.compile(r"casae\.errors\.(\w+Error): (.+)")
KNOCK_S = 10.0  # s until somebody answers
LOCAL = "local"  # address of a cluster of our own, which ends with the run


def needs_ray() -> Any:
    """The module ray.

    Raises:
        MissingExtraError: it is not installed.
    """
    for name, value in ENVIRONMENT.items():
        os.environ.setdefault(name, value)
    try:
        import ray
        import ray.data
    except ModuleNotFoundError as error:
        raise MissingExtraError.of("--ray needs Ray", "batch") from error
    return ray


@contextmanager
def joined(address: str) -> Iterator[Any]:
    """The module ray, connected to a cluster meanwhile.

    Args:
        address: as `ray.init` takes it; `LOCAL` begins one on this machine.

    Raises:
        MissingExtraError: Ray is not installed.
        UsageError: there is no cluster.
    """
    ray = needs_ray()
    if ray.is_initialized():
        yield ray
        return
    _knock(address)
    own = {"include_dashboard": False, "_node_ip_address": "127.0.0.1"} if address == LOCAL else {}
    try:
        ray.init(address=address, log_to_driver=False, logging_level="error", **own)
    except Exception as error:  # of Ray: ConnectionError, RuntimeError, ValueError and its own
        said = (str(error).strip().splitlines() or [type(error).__name__])[0][:300]
        raise UsageError(f"--ray {address}: no cluster answers ({said}); see ray status there") from error
    with redirect_stdout(sys.stderr):  # where it prints of workers that end, what it kept back only at its own end
        try:
            yield ray
        finally:
            ray.shutdown()


def _knock(address: str) -> None:
    """See whether somebody listens, of which Ray makes sure for minutes.

    Raises:
        UsageError: nobody does.
    """
    known = address if address != "auto" else os.environ.get("RAY_ADDRESS") or _remembered()
    host, _, port = known.removeprefix("ray://").rpartition(":")
    if not host or not port.isdigit():
        return
    try:
        socket.create_connection((host, int(port)), KNOCK_S).close()
    except OSError as error:
        raise UsageError(f"--ray {address}: no cluster answers ({error}); see ray status there") from error


def _remembered() -> str:
    """The cluster that Ray last began or joined on this machine, which may be gone; empty where it knows none."""
    try:
        return (Path(os.environ.get("RAY_TMPDIR", "/tmp")) / "ray" / "ray_current_cluster").read_text().strip()
    except OSError:
        return ""


def check_cores(ray: Any, address: str, cores: int) -> None:
    """See whether a machine has so many, for which Ray would wait without a word; one that grows may have none yet.

    Raises:
        UsageError: none has.
    """
    most = max((int(node["Resources"].get("CPU", 0)) for node in ray.nodes() if node["Alive"]), default=0)
    if 0 < most < cores:
        raise UsageError(f"--cores {cores}: the largest machine of {address} has {most}; ask for fewer")


def said_there(error: BaseException) -> CasaeError | None:
    """What casae said on another machine, which Ray passes on as text; None where it was not casae."""
    found = SAID.findall(str(error))
    if not found:
        return None
    name, text = found[-1]
    return cast("CasaeError", getattr(errors, name)(text))
