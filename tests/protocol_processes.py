"""`casae publish` in a process of its own."""

import subprocess
import sys
import threading
import time
from contextlib import contextmanager


@contextmanager
def publishing(*options):
    """`casae publish` in a process of its own, and what it says."""
    command = [sys.executable, "-m", "casae", "publish", *map(str, options)]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as process:
        said = []
        reader = threading.Thread(target=lambda: said.extend(process.stderr))
        reader.start()
        try:
            yield process, said
        finally:
            if process.poll() is None:
                process.terminate()
            process.wait(30)
            reader.join()


def until(holds, seconds=30):
    """Wait for something."""
    end = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < end, "it took too long"
        time.sleep(0.02)
