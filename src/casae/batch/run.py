"""A batch from its manifest to its summary, going on where an earlier run ended."""

import json
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import Any

from casae.batch import cluster, local
from casae.batch.job import Batch, begin
from casae.batch.local import Make, inspector_at
from casae.batch.manifest import FOUND, MANIFEST, Manifest, finished, is_part, write_manifest
from casae.batch.places import Place
from casae.batch.rows import FAILURE, read_part
from casae.batch.shard import Tally
from casae.batch.sources import Listing
from casae.errors import OutputError, UsageError
from casae.inspection.inspection import new_id
from casae.inspection.record import version
from casae.lock import lock

RUNS = "runs"  # folder: a file for each run
LEFT_OUT = "left-out.json"  # what the listing passed over, and why
EVERY_S = 30.0  # s between two notes of how far a run is


@dataclass(frozen=True)
class Engine:
    """Who inspects the shards.

    Attributes:
        workers: processes or actors; 0 for as many as there are cores.
        address: of a Ray cluster; None takes the cores at hand.
        cores: of each actor.
    """

    workers: int = 0
    address: str | None = None
    cores: int = 1

    @property
    def name(self) -> str:
        """As the summary has it."""
        return "this machine" if self.address is None else f"Ray at {self.address}"

    def run(self, place: Place, shards: Sequence[int], make: Make = inspector_at) -> Iterator[Tally]:
        """What became of each shard. Raises as `local.run_shards` and `cluster.run_shards`."""
        if self.address is None:
            return local.run_shards(place, shards, self.workers or len(local.cores_at_hand()), make)
        return cluster.run_shards(place, shards, self.address, self.workers, self.cores, make)


@dataclass
class Run:
    """One run of a batch, as it is told to a person and kept in the folder `runs`.

    Attributes:
        images: of the batch; `left` of them were to do when the run began.
        done: images of this run; `failed` of these could not be inspected.
        decisions: of these.
        seconds: so far; `reading` of its workers' seconds went into reading and decoding.
        read_bytes: of its images.
        left_out: path -> why it is not looked at; of the run that wrote the manifest.
    """

    place: Place
    engine: Engine
    images: int = 0
    left: int = 0
    done: int = 0
    failed: int = 0
    decisions: Counter[str] = field(default_factory=Counter)
    seconds: float = 0.0
    reading: float = 0.0
    read_bytes: int = 0
    left_out: dict[str, str] = field(default_factory=dict)
    _id: str = field(default_factory=new_id)
    _began: float = field(default_factory=time.monotonic)
    _at: str = field(default_factory=lambda: datetime.now().astimezone().isoformat(timespec="seconds"))
    _noted: float = 0.0

    @property
    def rate(self) -> float:
        """Images a second, of this run so far."""
        return self.done / self.seconds if self.seconds else 0.0

    def count(self, tally: Tally) -> None:
        """A shard is done."""
        self.done += tally.images
        self.failed += tally.failed
        self.decisions.update(tally.decisions)
        self.reading += tally.reading
        self.read_bytes += tally.read_bytes
        self.seconds = time.monotonic() - self._began
        if time.monotonic() - self._noted > EVERY_S:
            self.note()

    def note(self) -> None:
        """Keep how far it is."""
        self._noted = time.monotonic()
        told = {
            "began": self._at,
            "engine": self.engine.name,
            "images": self.done,
            "failed": self.failed,
            "seconds": round(self.seconds, 1),
            "reading_seconds": round(self.reading, 1),
            "read_bytes": self.read_bytes,
            "casae_version": version("casae"),
        }
        self.place.note(f"{RUNS}/{self._id}.json", json.dumps(told, indent=2).encode())


def run_batch(
    place: Place,
    batch: Batch,
    files: dict[str, Path],
    engine: Engine,
    *,
    failed_again: bool = False,
    listed: Callable[[int], object] = lambda images: None,
    step: Callable[[Run], object] = lambda run: None,
    make: Make = inspector_at,
) -> Run:
    """Inspect an archive, or what an earlier run left of it.

    Args:
        place: folder for the results.
        batch: what to do.
        files: model, rules and the like, by the names of `casae.batch.job.FILES`.
        engine: who does it.
        failed_again: also inspect shards anew in which images failed.
        listed: called with the number of images found so far, while they are listed.
        step: called at the beginning and after each shard.
        make: see `casae.batch.local.run_shards`.

    Raises:
        UsageError: another batch was begun there, or there are no images.
        OutputError: the place does not take the results, or another process writes there.
        CasaeError: of the model, the sources or the cluster.
    """
    with _alone(place):
        batch = begin(place, batch, files)
        run = Run(place, engine)
        if not place.has(MANIFEST):
            if finished(place):
                raise OutputError(f"{place.path(MANIFEST)}: is gone, and results are there; choose another --out")
            listing = Listing(batch.sources, own=batch.inputs(place))
            known = partial(_keep_left_out, place, listing)
            write_manifest(place, listing, batch.shard, batch.partition_of, listed, known)
        run.left_out = _left_out(place)
        manifest = Manifest(place)
        if not manifest.images:
            place.remove(MANIFEST)
            raise UsageError(f"{', '.join(batch.sources)}: holds no images; check the path")
        if failed_again:
            _forget_failures(place)
        done = finished(place)
        left = [number for number in range(manifest.shards) if number not in done]
        run.images = manifest.images
        run.left = sum(len(shard.entries) for shard in manifest if shard.number not in done) if done else run.images
        step(run)
        try:
            for tally in engine.run(place, left, make) if left else ():
                run.count(tally)
                step(run)
        finally:
            if run.done:
                run.note()
        return run


def _keep_left_out(place: Place, listing: Listing) -> None:
    told = {"left_out": listing.left_out, "more": listing.more, "files_of_other_types": listing.others}
    place.write(LEFT_OUT, json.dumps(told, indent=2).encode())


def _left_out(place: Place) -> dict[str, str]:
    """What the listing left out, in this run or an earlier one."""
    found: dict[str, str] = json.loads(place.read(LEFT_OUT) or b"{}").get("left_out", {})
    return found


@contextmanager
def _alone(place: Place) -> Iterator[None]:
    """The folder is ours as long as this lasts; behind a URL nothing can be locked."""
    if place.folder is None:
        yield
        return
    place.note(f"{RUNS}/.began", b"")  # also says at once whether it can be written
    with lock(place.folder):
        yield


def _forget_failures(place: Place) -> None:
    """Delete the results of shards in which images failed."""
    for name in list(filter(is_part, place.names(FOUND))):
        if any(row[FAILURE] is not None for row in read_part(place, name, [FAILURE])):
            place.remove(name)


def runs_of(place: Place) -> list[dict[str, Any]]:
    """What is kept of the runs of a batch, oldest first.

    Raises:
        OutputError: the place cannot be read.
    """
    names = sorted(name for name in place.names(RUNS) if name.endswith(".json"))
    found = []
    for name in names:
        with suppress(ValueError):  # of a power cut
            found.append(json.loads(place.read(name) or b""))
    return found
