"""Some seconds of every fuzzer of `benchmarks/fuzz`, in a process of its own with bounded memory."""

import subprocess
import sys
from pathlib import Path

import pytest

FUZZ = Path(__file__).parent.parent / "benchmarks" / "fuzz" / "fuzz.py"


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="bounds memory and time as Linux does")
@pytest.mark.parametrize("target", ["images", "masks", "settings", "bundles", "states"])
def test_damaged_inputs_are_read_or_refused_in_a_sentence(target):
    command = [sys.executable, str(FUZZ), target, "--seconds", "10", "--seed", "1"]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=300)
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
