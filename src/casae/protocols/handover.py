"""Show messages to a controller, one at a time, which says what it has seen where it is asked to."""

import asyncio
import threading
from collections.abc import Callable, Coroutine, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from random import SystemRandom
from typing import Any, TypeVar

from casae.inspection.record import InspectionRecord
from casae.records.outbox import Message

Result = TypeVar("Result")
SEQUENCES = 65_535  # numbers that follow each other: 1 to this, then 1 again; 0 is none
LOOK_S = 0.2  # between two looks at whether to end


@dataclass(frozen=True)
class Shown:
    """A message as a controller is shown it.

    Attributes:
        sequence: changes with each message, 1 to 65,535.
        waiting: messages behind this one, as far as they were looked at.
        message: what is shown.
    """

    sequence: int
    waiting: int
    message: Message

    @property
    def record(self) -> InspectionRecord:
        """Of the inspection that it is about."""
        return self.message.record

    @property
    def worst(self) -> str:
        """The class of the largest defect; empty without one."""
        defects = self.record.defects
        return max(defects, key=lambda each: each.area_px).defect_class if defects else ""

    @property
    def longest_mm(self) -> float | None:
        """Of its defects; None without a scale or a defect."""
        return max((each.length_mm for each in self.record.defects if each.length_mm is not None), default=None)

    @property
    def inspected_at(self) -> datetime:
        """When, with the offset from UTC."""
        return datetime.fromisoformat(self.record.inspected_at)


class Handover:
    """Hands messages to what shows them.

    Args:
        show: puts a message where the controller reads it, all of it at once.
        waits: for `acknowledge` of each message before the next one is shown; else the newest is shown.
        stop: ends waiting.
    """

    def __init__(self, show: Callable[[Shown], object], waits: bool, stop: threading.Event) -> None:
        self._show, self._waits, self._stop = show, waits, stop
        self._seen = threading.Condition()
        # A controller that remembers the number of an earlier run shall not take another message for it.
        self._sequence, self._acknowledged = SystemRandom().randrange(SEQUENCES), 0

    def acknowledge(self, sequence: int) -> None:
        """The controller has seen the message of this number."""
        with self._seen:
            self._acknowledged = sequence
            self._seen.notify_all()

    def deliver(self, messages: Sequence[Message]) -> list[str]:
        """See `follow`; ids of what was shown, or acknowledged where that is waited for."""
        message, waiting = (messages[0], len(messages) - 1) if self._waits else (messages[-1], 0)
        self._sequence = self._sequence % SEQUENCES + 1
        self._show(Shown(self._sequence, waiting, message))
        if not self._waits:
            return [each.id for each in messages]
        with self._seen:
            while self._acknowledged != self._sequence:
                if self._stop.is_set():
                    return []
                self._seen.wait(LOOK_S)
        return [message.id]


@contextmanager
def event_loop() -> Iterator[Callable[[Coroutine[Any, Any, Result]], Result]]:
    """An event loop in a thread; what is given to the function runs there, and its result comes back."""
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever, daemon=True)
    thread.start()
    try:
        yield lambda work: asyncio.run_coroutine_threadsafe(work, loop).result()
    finally:
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.close()
