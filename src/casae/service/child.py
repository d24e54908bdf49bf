"""Become `casae ARGUMENTS` at the lowest priority, and end with the service that started it.

`python -m casae.service.child PID_OF_THE_SERVICE ARGUMENTS`
"""

import ctypes
import os
import signal
import sys
from contextlib import suppress

DIES_WITH_PARENT = 1  # PR_SET_PDEATHSIG of prctl(2), which outlives exec


def main() -> None:
    """Lower the priority, then run the command in this process."""
    parent, *words = sys.argv[1:]
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(DIES_WITH_PARENT, signal.SIGKILL)
        if os.getppid() != int(parent):  # it ended before this could be asked for
            return
        with suppress(OSError):  # runs only where nobody else wants to; a container may forbid it
            os.sched_setscheduler(0, os.SCHED_IDLE, os.sched_param(0))
    if hasattr(os, "nice"):
        os.nice(19)
    os.execv(sys.executable, [sys.executable, "-m", "casae", *words])


if __name__ == "__main__":
    main()
