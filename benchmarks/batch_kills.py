"""Kill whatever a batch on a Ray cluster consists of, at random, and count the rows of every image at the end.

    python benchmarks/batch_kills.py --images 20000 --kills 20 --out FOLDER

Two nodes (raylets) on this machine, a core each; small generated pictures and the shipped model `strip-steel`. Killed
with SIGKILL: an actor, another process of a node, a whole node with all of its processes, and the driver, `casae batch`
itself. Nodes and driver are begun again, as whoever runs a cluster does.
"""

import argparse
import csv
import os
import random
import secrets
import shutil
import signal
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

import cv2
import numpy as np

from casae.batch.manifest import finished
from casae.batch.places import Place
from casae.batch.rows import FAILURE, read_rows

PORT, KINDS = 6397, ("actor", "worker", "node", "driver")
SIDE = 96  # px
BEGINS_S = 20.0  # until a node has its raylet
PAUSE = (2.0, 6.0)  # s of work between two kills


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--images", type=int, default=20_000)
    parser.add_argument("--kills", type=int, default=20)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path, required=True, help="folder; what is in it goes")
    parser.add_argument("--rows", type=Path, help="CSV of the kills")
    wanted = parser.parse_args()
    shutil.rmtree(wanted.out, ignore_errors=True)
    images, place = wanted.out / "images", Place.of(str(wanted.out / "results"))
    _draw(images, wanted.images)
    os.environ |= {"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": secrets.token_hex(32), "RAY_USAGE_STATS_ENABLED": "0"}
    cluster = _Cluster()
    command = ["casae", "batch", images, "--model", "strip-steel", "--out", place.where]
    batch = _Driver([*command, "--ray", f"127.0.0.1:{PORT}"])
    chance, kills, began = random.Random(wanted.seed), list[tuple[object, ...]](), time.monotonic()
    try:
        batch.begin()
        while len(kills) < wanted.kills and not batch.is_done():
            before = len(finished(place))
            _work(chance.uniform(*PAUSE), before, place, batch, cluster)
            kind = KINDS[len(kills) % len(KINDS)]
            killed = batch.kill() if kind == "driver" else cluster.kill(kind, chance)
            if not killed:  # what was meant had just ended by itself
                continue
            kills.append((len(kills) + 1, kind, killed, len(finished(place)), round(time.monotonic() - began, 1)))
            print(*kills[-1], flush=True)
            if kind == "driver":
                batch.begin()
        while not batch.is_done():
            cluster.mend()
            time.sleep(1)
        code = batch.wait()
    finally:
        batch.kill()
        cluster.end()
    _report(place, images, kills, code, time.monotonic() - began)
    if wanted.rows:
        with wanted.rows.open("w", newline="") as file:
            table = csv.writer(file)
            table.writerow(["kill", "kind", "processes", "shards_done", "seconds"])
            table.writerows(kills)


def _draw(folder: Path, count: int) -> None:
    """Noise with a dark spot in every third picture; each has content of its own."""
    rng = np.random.default_rng(0)
    for index in range(count):
        if index % 1000 == 0:
            (folder / f"{index // 1000:03d}").mkdir(parents=True)
        picture = rng.normal(150, 6, (SIDE, SIDE))
        if index % 3 == 0:
            picture[30:44, 40:60] -= 90
        cv2.imwrite(str(folder / f"{index // 1000:03d}" / f"{index:06d}.png"), picture.clip(0, 255).astype(np.uint8))


def _work(seconds: float, before: int, place: Place, batch: "_Driver", cluster: "_Cluster") -> None:
    """Wait until so many seconds of work passed, in which something was finished."""
    until = time.monotonic() + seconds
    while (time.monotonic() < until or len(finished(place)) == before) and not batch.is_done():
        cluster.mend()
        time.sleep(0.5)


def _report(place: Place, images: Path, kills: list[tuple[object, ...]], code: int, seconds: float) -> None:
    rows: Counter[str] = Counter()
    failed = 0
    for row in read_rows(place, ["entry", FAILURE]):
        rows[row["entry"]["source"]] += 1
        failed += row[FAILURE] is not None
    wanted = {str(file) for file in images.rglob("*.png")}
    twice = sum(count > 1 for count in rows.values())
    by_kind = ", ".join(f"{count} {kind}" for kind, count in Counter(kind for _, kind, *_ in kills).items())
    print(f"{len(kills)} kills ({by_kind}) in {seconds:.0f} s; casae batch ended with {code}")
    print(f"{len(wanted)} images: {len(rows)} with a row, {twice} with more, {len(wanted - rows.keys())} without")
    print(f"{failed} rows are failures")
    if twice or wanted != rows.keys():
        sys.exit(1)


class _Driver:
    """`casae batch`, in a process group of its own."""

    def __init__(self, command: list[object]) -> None:
        self.command = [str(Path(sys.executable).parent / str(command[0])), *map(str, command[1:])]
        self.process: subprocess.Popen[bytes] | None = None

    def begin(self) -> None:
        self.process = subprocess.Popen(self.command, start_new_session=True)

    def is_done(self) -> bool:
        return self.process is not None and self.process.poll() is not None

    def wait(self) -> int:
        assert self.process is not None
        return self.process.wait(3600)

    def kill(self) -> int:
        """Its processes; Ray's are elsewhere."""
        if self.process is None or self.process.poll() is not None:
            return 0
        os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()
        return 1


class _Cluster:
    """A head without cores for actors' own, and two nodes, each in a process group of its own."""

    def __init__(self) -> None:
        self.groups: list[subprocess.Popen[bytes]] = []
        head = ("--head", f"--port={PORT}", "--num-cpus=0", "--include-dashboard=false")
        self.head = self._start(*head)
        time.sleep(8)
        self.nodes = [self._node(), self._node()]
        time.sleep(8)

    def kill(self, kind: str, chance: random.Random) -> int:
        """How many processes were killed."""
        node = chance.randrange(len(self.nodes))
        group = self.nodes[node]
        processes = _in_session(group.pid)
        if kind == "node":
            for each in processes:
                _kill(each)
            group.wait()
            time.sleep(2)
            self.nodes[node] = self._node()
            return len(processes)
        actors = [each for each in processes if _title(each).startswith("ray::MapWorker")]
        others = [each for each in processes if _title(each).startswith("ray::") and each not in actors]
        chosen = actors if kind == "actor" else others or actors
        if not chosen:
            return 0
        _kill(chance.choice(chosen))
        return 1

    def mend(self) -> None:
        """Begin nodes again that have no raylet: it ends with its agents, and `ray start` does not see that."""
        for place, node in enumerate(self.nodes):
            processes = _in_session(node.pid)
            if not any("raylet/raylet" in _title(each) for each in processes) and time.monotonic() > self.ready:
                for each in processes:
                    _kill(each)
                node.wait()
                self.nodes[place] = self._node()

    def end(self) -> None:
        for group in [*self.nodes, self.head]:
            for each in _in_session(group.pid):
                _kill(each)
            group.wait()

    def _node(self) -> "subprocess.Popen[bytes]":
        self.ready = time.monotonic() + BEGINS_S
        return self._start(f"--address=127.0.0.1:{PORT}", "--num-cpus=1")

    def _start(self, *arguments: str) -> "subprocess.Popen[bytes]":
        ray = [str(Path(sys.executable).parent / "ray"), "start", "--block", "--node-ip-address=127.0.0.1", *arguments]
        return subprocess.Popen(ray, start_new_session=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


def _in_session(session: int) -> list[int]:
    """Processes of a session, and of the sessions that they began."""
    parents: dict[int, tuple[int, int]] = {}
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            fields = (folder / "stat").read_text().rpartition(")")[2].split()
        except OSError:
            continue
        parents[int(folder.name)] = int(fields[1]), int(fields[3])
    found = {pid for pid, (_, group) in parents.items() if group == session}
    while more := {pid for pid, (parent, _) in parents.items() if parent in found} - found:
        found |= more
    return sorted(found)


def _title(process: int) -> str:
    try:
        return Path(f"/proc/{process}/cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
    except OSError:
        return ""


def _kill(process: int) -> None:
    try:
        os.kill(process, signal.SIGKILL)
    except ProcessLookupError:
        return


if __name__ == "__main__":
    main()
