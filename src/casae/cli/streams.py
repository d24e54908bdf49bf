"""Standard output and error as they may be on a line: closed, a pipe that nobody reads, or in a small alphabet."""

import io
import os
import sys
from typing import TextIO

from casae.files import without_controls


class _Patient(io.TextIOWrapper):
    """A stream that goes nowhere once nobody reads it any more, as after `| head`, instead of ending the run."""

    def write(self, text: str, /) -> int:
        try:
            return super().write(text)
        except BrokenPipeError:
            self._give_up()
            return len(text)

    def flush(self) -> None:
        try:
            super().flush()
        except BrokenPipeError:
            self._give_up()

    def _give_up(self) -> None:
        _to_nowhere(self)


def make_streams_safe() -> None:
    """Let no stream end a run: a closed one goes nowhere, and what it cannot show is written as an escape."""
    for name in ("stdout", "stderr"):
        stream = getattr(sys, name)
        if stream is None:
            setattr(sys, name, open(os.devnull, "w", encoding="utf-8"))  # noqa: PTH123, SIM115  # for as long as we run
        elif isinstance(stream, io.TextIOWrapper):
            encoding, buffering = stream.encoding, stream.line_buffering
            safe = _Patient(stream.detach(), encoding, "backslashreplace", line_buffering=buffering)
            setattr(sys, name, safe)


def print_utf8(line: str) -> None:
    """Print a line in UTF-8, whatever the alphabet of the terminal; where nobody reads, it goes nowhere.

    Names of files may hold what steers a terminal: that is taken out.
    """
    try:
        sys.stdout.buffer.write(without_controls(line).encode() + b"\n")
        sys.stdout.buffer.flush()
    except BrokenPipeError:
        _to_nowhere(sys.stdout)


def _to_nowhere(stream: TextIO) -> None:
    os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())
