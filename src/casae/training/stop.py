"""Ask a training to end soon: by Ctrl-C, or by whoever holds the same object, as a service does."""

import signal
from collections.abc import Iterator
from contextlib import contextmanager


class Stop:
    """Whether a training shall end; the running stage then ends with what it has learned.

    Args:
        patient: Ctrl-C asks; else it is as a kill.

    Attributes:
        requested: whether somebody has asked.
    """

    def __init__(self, patient: bool = True) -> None:
        self.patient, self.requested = patient, False

    def request(self) -> None:
        """Ask; from any thread."""
        self.requested = True

    def forget(self) -> None:
        """Go on, as if nobody had asked."""
        self.requested = False

    @contextmanager
    def on_interrupt(self) -> Iterator[None]:
        """Meanwhile the first Ctrl-C asks, and the second one ends the program."""
        if not self.patient:
            yield
            return
        before = signal.getsignal(signal.SIGINT)

        def ask(number: int, frame: object) -> None:
            self.request()
            signal.signal(signal.SIGINT, before)

        try:
            signal.signal(signal.SIGINT, ask)
        except ValueError:  # not in the main thread: there is no Ctrl-C to catch
            yield
            return
        try:
            yield
        finally:
            signal.signal(signal.SIGINT, before)
