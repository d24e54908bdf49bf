"""What a batch costs: two processes beside one, Ray beside the bare shard function, and other programs beside casae.

    python benchmarks/batch.py speed --out rows.csv
    python benchmarks/batch.py beside --peers PYTHON --out rows.csv
    python benchmarks/batch.py million --images 1000000 --folder FOLDER --out rows.csv

`speed` and `beside` inspect drawn components of 1088 x 816 px with the shipped model `component`, in turn, each round
anew; each has so many cores, Ray's own processes included. Beginning is left out: a rate counts from the
first part of each worker to the last. `million` plans, ends, goes on with and finishes a batch of so many rows whose
inspector does nothing, and watches the memory.
"""

import argparse
import csv
import itertools
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import cast

import cv2
import numpy as np

from casae import InspectionSettings, Inspector
from casae.batch import cluster, local
from casae.batch.job import Batch, begin, read_batch
from casae.batch.manifest import FOUND, Manifest, finished, write_manifest
from casae.batch.places import Place
from casae.batch.rows import read_rows
from casae.batch.shard import Tally, inspect_shard
from casae.batch.sources import Listing
from casae.cluster import joined
from casae.inspection.inspection import Conditions, Inspection, Picture, new_id
from casae.inspection.verdict import judge
from casae.line.run import Inspects
from casae.models.bundle import resolve_model
from casae.synthetic.components import write_components

COUNT = 256  # pictures of a run
PICTURES = 12  # that are drawn; the others are links to them
SETTLED_S = 25.0
Ways = dict[tuple[str, int, int], Callable[[Place, range], float]]
PLAIN = Path(__file__).with_name("peers") / "plain_openvino.py"
ULTRALYTICS = Path(__file__).with_name("peers") / "ultralytics_folder.py"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=("speed", "beside", "million"))
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--only", default="", help="of speed, ways whose name holds this")
    parser.add_argument("--peers", help="python of an environment with ultralytics")
    parser.add_argument("--images", type=int, default=1_000_000)
    parser.add_argument("--folder", type=Path, help="for the million; what is in it goes")
    parser.add_argument("--out", type=Path, required=True)
    wanted = parser.parse_args()
    if wanted.what == "million":
        rows = million(wanted.folder, wanted.images)
    else:
        with tempfile.TemporaryDirectory() as folder:
            images = draw(Path(folder))
            if wanted.what == "speed":
                rows = speed(images, wanted.rounds, wanted.only)
            else:
                rows = beside(images, wanted.rounds, wanted.peers)
    with wanted.out.open("w", newline="") as file:
        table = csv.DictWriter(file, list(rows[0]))
        table.writeheader()
        table.writerows(rows)


def draw(folder: Path) -> Path:
    list(write_components(folder / "drawn", PICTURES, 0, 816, 1088))
    images = folder / "images"
    images.mkdir()
    drawn = sorted((folder / "drawn/images").iterdir())
    for index in range(COUNT):
        os.link(drawn[index % len(drawn)], images / f"{index:04d}.png")
    return images


def begun(folder: Path, images: Path, size: int) -> Place:
    place = Place.of(str(folder))
    begin(place, Batch(sources=(str(images),), model="", shard=size), {"model": resolve_model("component")})
    write_manifest(place, Listing([str(images)]), size)
    return place


def rate(place: Place, tallies: Iterator[Tally], workers: int) -> float:
    """Images a second, from the first shard of each worker on, by when their parts were on disk."""
    images = {tally.shard: tally.images for tally in tallies}
    parts = [place.folder / name for name in place.names(FOUND)] if place.folder else []
    ended = sorted((part.stat().st_mtime, int(part.stem.removeprefix("part-"))) for part in parts)
    return sum(images[shard] for _, shard in ended[workers:]) / (ended[-1][0] - ended[workers - 1][0])


def bare(place: Place, shards: range) -> Iterator[Tally]:
    """The shard function alone, in this process."""
    batch, manifest = read_batch(place), Manifest(place)
    assert batch is not None
    inspector = local.inspector_at(place, 1)
    for number in shards:
        yield inspect_shard(manifest.shard(number), inspector, place, batch)


def alone(place: Place, shards: range) -> float:
    return rate(place, bare(place, shards), 1)


def plain(workers: int, place: Place, shards: range) -> float:
    return rate(place, local.run_shards(place, shards, workers), workers)


def on_ray(workers: int, place: Place, shards: range) -> float:
    with joined("local"):
        time.sleep(SETTLED_S)  # its own processes begin, which take all of a core
        return rate(place, cluster.run_shards(place, shards, "local", workers), workers)


def speed(images: Path, rounds: int, only: str) -> list[dict[str, object]]:
    ways: Ways = {
        ("bare", 1, 16): alone,
        ("ray", 1, 16): partial(on_ray, 1),
        ("bare", 1, 64): alone,
        ("ray", 1, 64): partial(on_ray, 1),
        ("bare, a core beside", 2, 32): alone,
        ("ray, a core beside", 2, 32): partial(on_ray, 1),
        ("plain", 1, 32): partial(plain, 1),
        ("plain", 2, 32): partial(plain, 2),
    }
    ways = {key: way for key, way in ways.items() if only in key[0]}
    rows = in_turn(ways, images, rounds)
    told = {
        "two processes beside one": (("plain", 2, 32), ("plain", 1, 32)),
        "Ray beside bare, 16 images a shard": (("ray", 1, 16), ("bare", 1, 16)),
        "Ray beside bare, 64 images a shard": (("ray", 1, 64), ("bare", 1, 64)),
        "the same, with a core for Ray's own": (("ray, a core beside", 2, 32), ("bare, a core beside", 2, 32)),
    }
    for name, (one, other) in told.items():
        if one in ways and other in ways:
            print(f"{name}: {ratio(rows, one, other):.3f}")
    return rows


def beside(images: Path, rounds: int, peers: str | None) -> list[dict[str, object]]:
    with tempfile.TemporaryDirectory() as folder:
        network = Path(folder, "segmenter.xml")
        ways: Ways = {
            ("casae", 2, 32): partial(plain, 2),
            ("plain OpenVINO", 2, 0): lambda place, shards: said(sys.executable, PLAIN, images, network),
        }
        write_segmenter(network)
        if peers:
            ways["ultralytics", 2, 0] = lambda place, shards: said(peers, ULTRALYTICS, images)
        rows = in_turn(ways, images, rounds)
    for key in list(ways)[1:]:
        print(f"casae: {ratio(rows, ('casae', 2, 32), key):.2f} times {key[0]}")
    return rows


def write_segmenter(file: Path) -> None:
    """The network of `component` as a program of others would get it, in its own precision."""
    from casae.models.bundle import read_bundle

    int8 = read_bundle("component").int8
    assert int8 is not None
    file.write_bytes(int8.xml)
    file.with_suffix(".bin").write_bytes(int8.weights)


def said(python: str, script: Path, *arguments: object) -> float:
    """Images a second that another program prints in its last line."""
    done = subprocess.run([python, script, *map(str, arguments)], check=True, capture_output=True, text=True)
    return float(done.stdout.strip().splitlines()[-1])


def in_turn(ways: Ways, images: Path, rounds: int) -> list[dict[str, object]]:
    rows: list[dict[str, object]] = []
    for turn in range(rounds):
        order = list(ways.items())
        for key, run in order if turn % 2 == 0 else reversed(order):
            with tempfile.TemporaryDirectory() as folder:
                place = begun(Path(folder), images, key[2] or 64)
                with on_cores(key[1]):
                    found = run(place, range(Manifest(place).shards))
            named = dict(zip(("way", "cores", "shard"), key, strict=True))
            rows.append({"round": turn} | named | {"images_a_second": round(found, 3)})
            print(*rows[-1].values(), flush=True)
    return rows


@contextmanager
def on_cores(count: int) -> Iterator[None]:
    """All that begins meanwhile, Ray's own processes too, has so many cores."""
    cores = os.sched_getaffinity(0)
    os.sched_setaffinity(0, sorted(cores)[:count])
    try:
        yield
    finally:
        os.sched_setaffinity(0, cores)


def ratio(rows: list[dict[str, object]], one: tuple[object, ...], other: tuple[object, ...]) -> float:
    """Of the rates of two ways, the median over the rounds: in a round both had the same machine."""
    found: dict[tuple[object, ...], list[float]] = {}
    for _, way, cores, shard, value in (tuple(row.values()) for row in rows):
        found.setdefault((way, cores, shard), []).append(float(cast("float", value)))
    return statistics.median(a / b for a, b in zip(found[one], found[other], strict=True))


class Nothing:
    """An inspector that finds nothing in nothing."""

    def __init__(self, conditions: Conditions) -> None:
        self.conditions, self.settings = conditions, InspectionSettings()
        self._image = np.zeros((8, 8), np.uint8)
        self._probability, self._mask = np.zeros((8, 8), np.float32), np.zeros((8, 8), bool)
        self._verdict = judge([], conditions.rules, 0, None)

    def inspect(self, picture: Picture) -> Inspection:
        """Nothing."""
        return Inspection(
            id=new_id(),
            time=datetime.now().astimezone(),
            source=picture.source,
            sha256=picture.sha256,
            file=picture.file,
            part=picture.part,
            camera=picture.camera,
            taken_at=picture.taken_at,
            conditions=self.conditions,
            image=self._image,
            full_scale=1.0,
            probability=self._probability,
            mask=self._mask,
            defects=(),
            specks=0,
            novelty=None,
            brightness=0.5,
            sharpness=0.1,
            verdict=self._verdict,
        )


def nothing_at(place: Place, threads: int) -> Inspects:
    """Begun in each worker; the conditions are those of the real model."""
    inspector = local.inspector_at(place, threads)
    assert isinstance(inspector, Inspector)
    return Nothing(inspector.conditions)


def million(folder: Path, images: int) -> list[dict[str, object]]:
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    picture = folder / "picture.png"
    cv2.imwrite(str(picture), np.full((8, 8), 128, np.uint8))
    for index in range(images):  # links to one picture, as files of a million would fill the disk
        if index % 1000 == 0:
            (folder / f"in/{index // 1000:04d}").mkdir(parents=True)
        (folder / f"in/{index // 1000:04d}/{index:07d}.png").symlink_to(picture)
    place = Place.of(str(folder / "out"))
    begin(place, Batch(sources=(str(folder / "in"),), model=""), {"model": resolve_model("component")})
    rows: list[dict[str, object]] = []

    def measured(what: str, does: Callable[[], int]) -> None:
        began, done = time.monotonic(), does()
        seconds = time.monotonic() - began
        rows.append({"what": what, "images": done, "seconds": round(seconds, 1), **memory()})
        print(*rows[-1].values(), flush=True)

    def planned() -> int:
        write_manifest(place, Listing([str(folder / "in")]), 64)
        return Manifest(place).images

    measured("planned", planned)
    for engine in ("plain", "plain, gone on with", "ray, gone on with"):
        done = finished(place)
        left = [number for number in range(Manifest(place).shards) if number not in done]
        most = len(left) if engine.startswith("ray") else len(left) // 3
        measured(engine, partial(inspected, place, left, most, engine))
    measured("read", lambda: sum(1 for row in read_rows(place, ["failure"]) if row["failure"] is None))
    return rows


def inspected(place: Place, left: list[int], most: int, engine: str) -> int:
    """So many shards, then the run is dropped where it stands."""
    if engine.startswith("ray"):
        with joined("local"):
            done = cluster.run_shards(place, left, "local", 2, make=nothing_at)
            return sum(watched(tally) for tally in itertools.islice(done, most))
    run = local.run_shards(place, left, 2, nothing_at)
    counted = sum(watched(tally) for tally in itertools.islice(run, most))
    run.close()  # type: ignore[attr-defined]  # it is a generator
    return counted


def watched(tally: Tally) -> int:
    if tally.shard % 500 == 0:
        memory()
    return tally.images


peak: dict[str, float] = {}


def memory() -> dict[str, float]:
    """Resident MB of this process and of its largest child, now and at most."""
    driver, child = resident(os.getpid()), max((resident(pid) for pid in children()), default=0.0)
    peak["driver_mb"] = max(driver, peak.get("driver_mb", 0.0))
    peak["worker_mb"] = max(child, peak.get("worker_mb", 0.0))
    return {"driver_mb_now": driver, "driver_mb": peak["driver_mb"], "worker_mb": peak["worker_mb"]}


def resident(process: int) -> float:
    try:
        pages = int(Path(f"/proc/{process}/statm").read_text().split()[1])
    except (OSError, IndexError):
        return 0.0
    return round(pages * os.sysconf("SC_PAGE_SIZE") / 1e6, 1)


def children() -> Iterator[int]:
    """Workers: our own, and those that Ray calls so."""
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            parent = int((folder / "stat").read_text().rpartition(")")[2].split()[1])
            title = (folder / "cmdline").read_bytes()
        except OSError:
            continue
        if parent == os.getpid() or title.startswith(b"ray::MapWorker"):
            yield int(folder.name)


if __name__ == "__main__":
    main()
