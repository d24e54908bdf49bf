"""What an archive would take: a few hundred of its images are inspected, the rest is reckoned."""

import sys
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from casae.batch.job import Batch, begin
from casae.batch.local import Make, cores_at_hand, inspector_at, run_shards
from casae.batch.manifest import FOUND, Manifest, write_manifest
from casae.batch.places import Place
from casae.batch.sources import Entry, Listing
from casae.errors import UsageError

MEASURED = 200  # images
TURNS = 6  # shards of each worker, so that none waits long for the others at the end
KNOWN_CORES = (8, 32, 128, 512)


@dataclass(frozen=True)
class Plan:
    """What was measured, and what follows.

    Attributes:
        images: of the archive, or as many as were asked about.
        measured: of these, how many were inspected.
        failed: of the measured ones, how many could not be.
        workers: that inspected at the same time, a core each.
        rate: images a second of each of them meanwhile.
        image_bytes: mean of an image's file.
        row_bytes: mean of an image's results, without overlay.
        reading: share of a worker's time that reading and decoding took, beside the inspection.
        memory: bytes of a worker at most, None where the system does not say.
    """

    images: int
    measured: int
    failed: int
    workers: int
    rate: float
    image_bytes: float
    row_bytes: float
    reading: float
    memory: int | None

    def seconds(self, cores: int) -> float:
        """For all images on so many cores like these."""
        return self.images / (self.rate * cores)

    @property
    def core_hours(self) -> float:
        """For all images."""
        return self.seconds(1) / 3600

    def network(self, cores: int) -> float:
        """Bytes a second that so many cores read."""
        return self.rate * cores * self.image_bytes


def plan(
    batch: Batch,
    files: dict[str, Path],
    workers: int = 0,
    images: int | None = None,
    listed: Callable[[int], object] = lambda images: None,
    step: Callable[[int], object] = lambda images: None,
    make: Make = inspector_at,
) -> Plan:
    """Inspect `MEASURED` images, drawn from all, with all workers at once; nothing is kept.

    Args:
        batch: what would be done.
        files: model and the like.
        workers: processes; 0 for as many as there are cores.
        images: how many to reckon for; None takes what the sources hold.
        listed: called with the number of images found so far.
        step: called with the number of images inspected so far.
        make: see `casae.batch.local.run_shards`.

    Raises:
        CasaeError: as `run_batch`.
    """
    drawn, count = _drawn(Listing(batch.sources), listed)
    if not drawn:
        raise UsageError(f"{', '.join(batch.sources)}: holds no images; check the path")
    workers = min(workers or len(cores_at_hand()), len(drawn))
    with tempfile.TemporaryDirectory() as folder:
        place = Place(folder)
        begin(place, batch, files)
        write_manifest(place, drawn, max(1, len(drawn) // (workers * TURNS)))
        tallies = []
        for tally in run_shards(place, range(Manifest(place).shards), workers, make):
            tallies.append(tally)
            step(sum(each.images for each in tallies))
        written = sum(file.stat().st_size for file in Path(folder, FOUND).rglob("*.parquet"))
    steady = tallies[workers:] or tallies  # the first ones also compile
    failed = sum(each.failed for each in tallies)
    seconds, done = sum(each.seconds for each in steady), sum(each.images for each in steady)
    return Plan(
        images=images or count,
        measured=len(drawn),
        failed=failed,
        workers=workers,
        rate=done / seconds,
        image_bytes=sum(each.read_bytes for each in tallies) / max(1, len(drawn) - failed),
        row_bytes=written / len(drawn),
        reading=sum(each.reading for each in steady) / seconds,
        memory=_peak_of_children(),
    )


def _drawn(listing: Listing, listed: Callable[[int], object]) -> tuple[list[Entry], int]:
    """Some images, each as likely as any other (reservoir, Vitter 1985), in order; how many there are."""
    rng = np.random.default_rng(0)
    kept: list[tuple[int, Entry]] = []
    count = 0
    for count, entry in enumerate(listing, start=1):  # counted
        if len(kept) < MEASURED:
            kept.append((count, entry))
        elif (place := int(rng.integers(count))) < MEASURED:
            kept[place] = (count, entry)
        if count % 10_000 == 0:
            listed(count)
    return [entry for _, entry in sorted(kept)], count


def _peak_of_children() -> int | None:
    try:
        import resource
    except ModuleNotFoundError:  # Windows
        return None
    peak = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss
    return peak if sys.platform == "darwin" else 1024 * peak
