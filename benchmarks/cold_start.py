"""How long `casae inspect one.jpg` takes in a fresh process, with and without compiled networks of an earlier one.

    python benchmarks/cold_start.py IMAGE [--model component] [--rounds 12] [--before SRC]

The first result is the image's record on standard output (`--json`), which by then is on disk as well; the end is that
of the process, after the report. SRC is the folder `src` of another version of casae, measured in turn with this one.
"""

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("image", type=Path)
    parser.add_argument("--model", default="component")
    parser.add_argument("--rounds", type=int, default=12)
    parser.add_argument("--before", type=Path)
    wanted = parser.parse_args()
    versions: dict[str, dict[str, str]] = {"now": {}}
    if wanted.before:
        versions = {"before": {"PYTHONPATH": str(wanted.before.resolve())}, "now": {}}
    times: dict[str, list[tuple[float, float]]] = {}
    with tempfile.TemporaryDirectory() as folder:
        caches = {"nothing kept": "", "compiled networks kept": f"{folder}/cache"}
        for turn in range(1 + wanted.rounds):
            for kind, cache in caches.items():
                for version, source in versions.items():
                    out = Path(folder, f"{turn}-{kind}-{version}")
                    taken = _inspect(wanted.image, wanted.model, out, {"CASAE_CACHE": cache, **source})
                    times.setdefault(f"{kind}, {version}", []).append(taken)
    print("| | first result, s, median | fastest | end, s, median | fastest |\n| --- | --- | --- | --- | --- |")
    for name, pairs in times.items():
        counted = pairs[1:]  # the first one finds nothing in memory, and nothing compiled
        firsts, ends = [first for first, _ in counted], [end for _, end in counted]
        columns = (f"{statistics.median(part):.2f} | {min(part):.2f}" for part in (firsts, ends))
        print(f"| {name} | {' | '.join(columns)} |")


def _inspect(image: Path, model: str, out: Path, environment: dict[str, str]) -> tuple[float, float]:
    """Seconds from starting the process to its first line, and to its end."""
    inspect = [sys.executable, "-m", "casae", "inspect", str(image), "--model", model]
    command = [*inspect, "--out", str(out), "--json"]
    began = time.perf_counter()
    with subprocess.Popen(command, env=os.environ | environment, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        if not process.stdout.readline():
            raise SystemExit("casae inspect printed no record")
        first = time.perf_counter() - began
    return first, time.perf_counter() - began


if __name__ == "__main__":
    main()
