import subprocess
import sys

import pytest

from conftest import dark_segmenter

LAST_DROPPED_ELSEWHERE = """
import ctypes, faulthandler, gc, signal, sys, threading
import numpy as np
from casae.models.runtime import Network

class Stack(ctypes.Structure):
    _fields_ = [("at", ctypes.c_void_p), ("flags", ctypes.c_int), ("size", ctypes.c_size_t)]

faulthandler.enable()  # signals come on a stack of their own, as in pytest and in many servers
seen = []
signal.signal(signal.SIGUSR1, lambda *_: seen.append(1))
networks = [Network(sys.stdin.buffer.read(), "dark")]
networks[0](np.zeros((1, 1, 64, 64), np.float32))

def drop():
    networks.clear()
    gc.collect()

dropping = threading.Thread(target=drop)
dropping.start()
dropping.join()
stack = Stack()
ctypes.CDLL(None).sigaltstack(None, ctypes.byref(stack))
if stack.at:
    ctypes.memmove(ctypes.create_string_buffer(stack.size), stack.at, stack.size)  # still there, or it ends here
signal.raise_signal(signal.SIGUSR1)
assert seen == [1]
"""


@pytest.mark.skipif(sys.platform != "linux", reason="its signals")
def test_signals_arrive_after_another_thread_dropped_the_last_network():
    command = [sys.executable, "-c", LAST_DROPPED_ELSEWHERE]
    done = subprocess.run(command, input=dark_segmenter(), capture_output=True, timeout=120, check=False)
    assert (done.returncode, done.stderr.decode()) == (0, "")
