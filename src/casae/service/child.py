"""Become `casae ARGUMENTS` at the lowest priority, and end with the service that started it.

`python -m casae.service.child PID_OF_THE_SERVICE ARGUMENTS`
"""

import os
import signal
import sys
from contextlib import suppress

from casae.processes import end_with_parent


def main() -> None:
    """Lower the priority, then run the command in this process."""
    parent, *words = sys.argv[1:]
    if not end_with_parent(int(parent), signal.SIGKILL):
        return
    if sys.platform == "linux":
        with suppress(OSError):  # runs only where nobody else wants to; a container may forbid it
            os.sched_setscheduler(0, os.SCHED_IDLE, os.sched_param(0))
    if hasattr(os, "nice"):
        os.nice(19)
    os.execv(sys.executable, [sys.executable, "-m", "casae", *words])


if __name__ == "__main__":
    main()
