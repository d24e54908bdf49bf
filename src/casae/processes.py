"""What processes owe each other."""

import ctypes
import os
import signal
import sys

DIES_WITH_PARENT = 1  # PR_SET_PDEATHSIG of prctl(2), which outlives exec


def end_with_parent(parent: int, number: signal.Signals) -> bool:
    """Let the system send this process a signal when its parent ends, however that ends; Linux alone can.

    Returns:
        Whether the parent, of this process id, is still there.
    """
    if sys.platform != "linux":
        return True
    ctypes.CDLL(None).prctl(DIES_WITH_PARENT, number)
    return os.getppid() == parent
