"""Hand what is recorded to a subscriber, each message until they have it."""

import threading
from collections.abc import Callable, Sequence

from sqlalchemy import Engine

from casae.errors import RecordsError
from casae.records.outbox import Message, delivered, waiting_for

AT_ONCE = 100  # messages that are on their way
EVERY_S = 0.1  # that the outbox is looked into
AGAIN_S = 2.0  # that a database which is away is asked again

Deliver = Callable[[Sequence[Message]], Sequence[str]]
"""Hands over messages, oldest first; ids of those that arrived. It waits as long as it must, or until it is to end."""
Tell = Callable[[str | None], object]
"""Told what is in the way, and None when it goes on."""


def follow(
    engine: Engine,
    name: str,
    deliver: Deliver,
    stop: threading.Event,
    tell: Tell = lambda trouble: None,
    once: bool = False,
) -> int:
    """Deliver until `stop` is set; how many messages were.

    Killed between a delivery and its note in the database, a message comes again: at least once, with its id.

    Args:
        engine: of the records.
        name: of the subscriber.
        deliver: see `Deliver`.
        stop: ends it.
        tell: see `Tell`.
        once: end when nothing waits.

    Raises:
        UsageError: the subscriber was dropped.
    """
    total, is_away = 0, False
    while not stop.is_set():
        try:
            messages = waiting_for(engine, name, AT_ONCE)
            arrived = deliver(messages) if messages else ()
            if arrived:
                _note(engine, name, arrived, stop, tell)
        except RecordsError as error:
            is_away = True
            tell(str(error))
            stop.wait(AGAIN_S)
            continue
        if is_away:
            is_away = False
            tell(None)
        total += len(arrived)
        if not messages:
            if once:
                break
            stop.wait(EVERY_S)
    return total


def _note(engine: Engine, name: str, keys: Sequence[str], stop: threading.Event, tell: Tell) -> None:
    """Take delivered messages out of the outbox, and wait for a database that is away: they would come twice."""
    while True:
        try:
            return delivered(engine, name, keys)
        except RecordsError as error:
            if stop.is_set():
                raise
            tell(str(error))
            stop.wait(AGAIN_S)
