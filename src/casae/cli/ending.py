"""How a command that runs until it is told to end is told."""

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def ended_by_signals(stop: threading.Event) -> Iterator[None]:
    """The first Ctrl-C or SIGTERM lets what was begun be finished; the second one ends the program."""
    kinds = (signal.SIGINT, signal.SIGTERM)
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
