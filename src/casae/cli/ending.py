"""How a command that runs until it is told to end is told."""

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager

OTHERS = tuple(getattr(signal, name) for name in ("SIGTERM", "SIGHUP") if hasattr(signal, name))


@contextmanager
def ended_by_signals(stop: threading.Event) -> Iterator[None]:
    """The first Ctrl-C, SIGTERM or SIGHUP lets what was begun be finished; the second one ends the program."""
    kinds = (signal.SIGINT, *OTHERS)
    before = {kind: signal.getsignal(kind) for kind in kinds}

    def ask(number: int, frame: object) -> None:
        stop.set()
        for kind in kinds:
            signal.signal(kind, before[kind])

    for kind in kinds:
        signal.signal(kind, ask)
    try:
        yield
    finally:
        for kind in kinds:
            signal.signal(kind, before[kind])


@contextmanager
def left_by_signals() -> Iterator[None]:
    """SIGTERM and SIGHUP end the program as Ctrl-C does, in order, and by the code that shells expect."""
    before = {kind: signal.getsignal(kind) for kind in OTHERS}

    def leave(number: int, frame: object) -> None:
        raise SystemExit(128 + number)

    for kind in OTHERS:
        signal.signal(kind, leave)
    try:
        yield
    finally:
        for kind in OTHERS:
            signal.signal(kind, before[kind])
