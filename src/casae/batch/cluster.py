"""A Ray cluster: the numbers of shards travel, never a picture; an actor a worker, each with one inspector.

What Ray is trusted with is to begin actors again and to give their shards to others. Nothing hangs on it being right:
a shard that is inspected twice is written once, and one that was forgotten is found missing by the next run.
"""

import os
from collections.abc import Iterator, Sequence
from typing import Any

from casae.batch.job import batch_at
from casae.batch.local import RENEWED_AFTER, Make, inspector_at
from casae.batch.manifest import Manifest
from casae.batch.places import Place
from casae.batch.shard import Tally, inspect_shard
from casae.cluster import check_cores, joined, said_there
from casae.errors import OutputError, UsageError
from casae.inspection.record import version

BLOCKS = 20_000  # at most: each costs the driver a few kilobytes


def run_shards(
    place: Place,
    shards: Sequence[int],
    address: str,
    workers: int,
    cores: int = 1,
    make: Make = inspector_at,
    renewed_after: int = RENEWED_AFTER,
) -> Iterator[Tally]:
    """Inspect shards on a Ray cluster; gives what became of each as it is done.

    Args:
        place: folder of a batch, which all machines of the cluster see.
        shards: numbers of what is left.
        address: of the cluster, as `ray.init` takes it; `LOCAL` begins one on this machine, on loopback.
        workers: actors at most; 0 for as many as the cluster has cores for.
        cores: of each.
        make: makes what judges the images, in each of them.
        renewed_after: images after which an actor is replaced.

    Raises:
        MissingExtraError: Ray is not installed.
        UsageError: there is no cluster.
        OutputError: the place does not take the results, or a machine does not see it.
    """
    with joined(address) as ray:
        check_cores(ray, address, cores)
        most = workers or max(1, int(ray.cluster_resources().get("CPU", 1)) // cores)
        ray.data.DataContext.get_current().enable_progress_bars = False
        blocks = min(len(shards), BLOCKS)
        dataset = ray.data.from_items([{"shard": number} for number in shards], override_num_blocks=blocks)
        done = dataset.map_batches(
            _Actor,
            fn_constructor_args=(place, cores, make, renewed_after, version("casae")),
            batch_size=1,
            compute=ray.data.ActorPoolStrategy(min_size=1, max_size=min(most, len(shards))),
            num_cpus=cores,
        )  # which begins actors and their tasks again without end
        try:
            for row in done.iter_rows():
                yield Tally.model_validate_json(row["tally"])
        except ray.exceptions.RayError as error:
            last = (str(error).strip().splitlines() or [repr(error)])[-1][:300]
            failed = OutputError(f"{place.where}: the cluster failed ({last}); run it again")
            raise said_there(error) or failed from error


class _Actor:
    """One worker of the cluster. It ends itself before libraries have leaked too much; Ray begins another one."""

    def __init__(self, place: Place, cores: int, make: Make, renewed_after: int, casae: str) -> None:
        if version("casae") != casae:
            raise UsageError(f"casae {version('casae')} on a machine of the cluster, {casae} here; install the same")
        self.place, self.batch = place, batch_at(place)
        self.manifest, self.inspector = Manifest(place), make(place, cores)
        self.left = renewed_after

    def __call__(self, rows: dict[str, Any]) -> dict[str, list[str]]:
        if self.left <= 0:
            os._exit(0)
        told = []
        for number in rows["shard"]:
            tally = inspect_shard(self.manifest.shard(int(number)), self.inspector, self.place, self.batch)
            self.left -= tally.images
            told.append(tally.model_dump_json())
        return {"tally": told}
