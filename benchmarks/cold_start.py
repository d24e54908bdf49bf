"""How long `casae inspect one.jpg` takes in a fresh process, with and without compiled networks of an earlier one.

    python benchmarks/cold_start.py IMAGE [--model component] [--rounds 12] [--before SRC]

SRC is the folder `src` of another version of casae, measured in turn with this one.
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
    with tempfile.TemporaryDirectory() as folder:
        kinds = {"nothing kept": {"CASAE_CACHE": ""}, "compiled networks kept": {"CASAE_CACHE": f"{folder}/cache"}}
        if wanted.before:
            kinds = {"before": {"PYTHONPATH": str(wanted.before.resolve())}, **kinds}
        times: dict[str, list[float]] = {kind: [] for kind in kinds}
        for turn in range(1 + wanted.rounds):
            for kind, environment in kinds.items():
                out = Path(folder, f"{turn}-{kind}")
                command = [
                    sys.executable,
                    "-m",
                    "casae",
                    "inspect",
                    wanted.image,
                    "--model",
                    wanted.model,
                    "--out",
                    out,
                ]
                began = time.perf_counter()
                subprocess.run(command, env=os.environ | environment, stdout=subprocess.DEVNULL, check=True)
                times[kind].append(time.perf_counter() - began)
    print("| | s, median | s, fastest |\n| --- | --- | --- |")
    for kind, seconds in times.items():
        counted = seconds[1:]  # the first one finds nothing in memory, and nothing compiled
        print(f"| {kind} | {statistics.median(counted):.2f} | {min(counted):.2f} |")


if __name__ == "__main__":
    main()
