"""Standard output and error as they may be on a line: closed, a pipe that nobody reads, or in a small alphabet."""

import io
import os
import sys


def make_streams_safe() -> None:
    """Let no stream end a run: a closed one goes nowhere, and what it cannot show is written as an escape."""
    for name in ("stdout", "stderr"):
        stream = getattr(sys, name)
        if stream is None:
            setattr(sys, name, open(os.devnull, "w", encoding="utf-8"))  # noqa: PTH123, SIM115  # for as long as we run
        elif isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")


def flush_streams() -> None:
    """Write what is left; where nobody reads any more, it goes nowhere, instead of a complaint at the very end."""
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except OSError:
            os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())
