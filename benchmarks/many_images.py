"""Memory and rate of `casae inspect` over many images.

    python benchmarks/many_images.py --count 10000

Draws a hundred small components, links them under as many names as wanted, and watches the process that inspects them.
Needs /proc, so Linux.
"""

import argparse
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from casae.synthetic.components import write_components

DISTINCT = 100
REPORTS = 10


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--count", type=int, default=10_000)
    parser.add_argument("--model", default="strip-steel")
    parser.add_argument("--size", type=int, default=256, help="width of an image, px; three quarters of it high")
    wanted = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        drawn = list(write_components(Path(folder, "drawn"), DISTINCT, 0, wanted.size * 3 // 4, wanted.size))
        images, out = Path(folder, "images"), Path(folder, "results")
        images.mkdir()
        for index in range(wanted.count):
            (images / f"{index:06d}.png").symlink_to(drawn[index % DISTINCT])
        command = [sys.executable, "-m", "casae", "inspect", str(images), "--model", wanted.model, "--out", str(out)]
        began = time.monotonic()
        process = subprocess.Popen(command, stdout=subprocess.DEVNULL)
        print("| images | seconds | memory, MB | peak, MB |\n| --- | --- | --- | --- |")
        due, peak = 0, ""
        while process.poll() is None:
            done = _lines(out / "inspections.jsonl")
            memory = _memory(process.pid)
            if done >= due and memory:
                print(f"| {done} | {time.monotonic() - began:.0f} | {memory} |", flush=True)
                due += wanted.count // REPORTS
            peak = memory or peak
            time.sleep(1)
        seconds = time.monotonic() - began
        print(f"\n{_lines(out / 'inspections.jsonl')} recorded in {seconds:.0f} s, exit code {process.returncode}")
        print(f"memory at last, and its peak, MB: {peak}")


def _lines(file: Path) -> int:
    return file.read_bytes().count(b"\n") if file.exists() else 0


def _memory(process: int) -> str:
    """Resident memory of a process and its peak, MB; empty once it has ended."""
    try:
        lines = Path(f"/proc/{process}/status").read_text().splitlines()
    except OSError:
        return ""
    kilobytes = {line.split()[0]: int(line.split()[1]) for line in lines if line.startswith(("VmRSS", "VmHWM"))}
    return " | ".join(f"{kilobytes[key] / 1000:.0f}" for key in ("VmRSS:", "VmHWM:")) if kilobytes else ""


if __name__ == "__main__":
    main()
