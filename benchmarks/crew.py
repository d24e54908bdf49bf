"""One network trained by one process and by two: views a second, and whether they learn the same.

    python benchmarks/crew.py sd-saliency-900:PATH --split few30-0 --seeds 2 --out rows.csv

One process has all cores, two have half of them each. Both see the same views; IoU of `fast` on the list `test`.
"""

import argparse
import csv
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

BIN = Path(sys.executable).parent


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("dataset")
    parser.add_argument("--split", default="train")
    parser.add_argument("--views", type=int, default=800, help="of each of both networks")
    parser.add_argument("--seeds", type=int, default=2)
    parser.add_argument("--out", type=Path, required=True)
    wanted = parser.parse_args()
    rows = []
    for seed in range(wanted.seeds):
        for processes in (1, 2) if seed % 2 == 0 else (2, 1):
            with tempfile.TemporaryDirectory() as folder:
                seconds, iou = trained(wanted, seed, processes, Path(folder, "model.casae"))
            row = {"seed": seed, "processes": processes, "views": wanted.views}
            rows.append(row | {"views_a_second": round(wanted.views / seconds, 2), "iou": round(iou, 4)})
            print(*rows[-1].values(), flush=True)
    with wanted.out.open("w", newline="") as file:
        table = csv.DictWriter(file, list(rows[0]))
        table.writeheader()
        table.writerows(rows)


def trained(wanted: argparse.Namespace, seed: int, processes: int, out: Path) -> tuple[float, float]:
    """Seconds of network 1, and IoU of the model."""
    command = [str(BIN / "casae"), "train", wanted.dataset, "--split", wanted.split, "--out", str(out)]
    command += ["--seed", str(seed), "--epochs-1", "1", "--epochs-2", "1", "--set", f"views={wanted.views}"]
    if processes > 1:
        torchrun = [str(BIN / "torchrun"), "--nproc-per-node", str(processes), "--master-addr", "127.0.0.1"]
        command = [*torchrun, "--no-python", *command]
    threads = {"OMP_NUM_THREADS": str(max(1, len(os.sched_getaffinity(0)) // processes))}
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL, env=os.environ | threads)
    told = json.loads((out.with_name("model-training") / "network-1" / "done").read_text())
    scores = out.with_suffix(".json")
    judge = [str(BIN / "casae"), "evaluate", wanted.dataset, "--split", "test", "--model", str(out)]
    subprocess.run([*judge, "--json", str(scores)], check=True, stdout=subprocess.DEVNULL)
    return float(told["seconds"]), iou_of(json.loads(scores.read_text()))


def iou_of(told: dict[str, dict[str, dict[str, float]]]) -> float:
    return told["scores"]["iou"]["value"]


if __name__ == "__main__":
    main()
