"""The cores at hand: a process for each worker, on cores of its own, begun again where one ends."""

import multiprocessing
import os
import signal
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess

from casae.batch.job import inspector_of, read_batch
from casae.batch.manifest import Manifest
from casae.batch.places import Place
from casae.batch.shard import Tally, inspect_shard
from casae.errors import CasaeError, OutputError
from casae.line.run import Inspects

RENEWED_AFTER = 20_000  # images of a worker: libraries leak
STILLBORN = 3  # workers in a row that end before they could do anything
READY = "ready"

Make = Callable[[Place, int], Inspects]
"""From the folder of a batch and a number of threads to what judges its images; a function of a module."""


def inspector_at(place: Place, threads: int) -> Inspects:
    """What judges the images of a batch.

    Raises:
        OutputError: the folder holds none.
        CasaeError: as `Inspector`.
    """
    batch = read_batch(place)
    if batch is None:
        raise OutputError(f"{place.where}: holds no batch that this machine can see; name a place that all see")
    return inspector_of(place, batch, threads)


def core_sets(workers: int) -> list[tuple[int, ...]]:
    """As many sets of the cores that this process may use, none shared where there are enough.

    >>> all(core_sets(1))
    True
    """
    cores = sorted(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else list(range(os.cpu_count() or 1))
    each = max(1, len(cores) // workers)
    return [tuple(cores[(index * each + place) % len(cores)] for place in range(each)) for index in range(workers)]


def run_shards(
    place: Place, shards: Iterable[int], workers: int, make: Make = inspector_at, renewed_after: int = RENEWED_AFTER
) -> Iterator[Tally]:
    """Inspect shards in processes of this machine; gives what became of each as it is done.

    Args:
        place: folder of a batch.
        shards: numbers of what is left.
        workers: processes.
        make: makes what judges the images, in each of them.
        renewed_after: images after which a process is replaced.

    Raises:
        OutputError: the place does not take the results, or no worker lives long enough to begin.
        CasaeError: of the model.
    """
    left = deque(shards)
    crew = [_Worker(place, cores, make) for cores in core_sets(min(workers, len(left)) or 1)]
    try:
        for worker in crew if left else ():
            worker.begin()
        while any(worker.alive for worker in crew):
            yield from _news(crew, left, renewed_after)
    finally:
        for worker in crew:
            worker.end()


def _news(crew: "list[_Worker]", left: deque[int], renewed_after: int) -> Iterator[Tally]:
    """Wait until a worker says something, or ends, and give it something to do."""
    by_pipe = {worker.pipe: worker for worker in crew if worker.alive}
    for pipe in wait(list(by_pipe)):
        worker = by_pipe[pipe]  # type: ignore[index]  # a connection, as asked for
        said = worker.hear()
        if isinstance(said, CasaeError):
            raise said
        if said is None:
            worker.check_born()
            if worker.shard is not None:
                left.appendleft(worker.shard)
            worker.begin()
            continue
        if isinstance(said, Tally):
            worker.images += said.images
            yield said
        if not left:
            worker.end()
        elif worker.images >= renewed_after:
            worker.begin()
        else:
            worker.give(left.popleft())


@dataclass
class _Worker:
    """A process that inspects shards, seen from outside."""

    place: Place
    cores: tuple[int, ...]
    make: Make
    shard: int | None = None
    images: int = 0
    alive: bool = False
    stillborn: int = 0
    _process: BaseProcess | None = None
    pipe: Connection = field(init=False)

    def begin(self) -> None:
        """Start the process, or another one in its place."""
        self.end()
        context = multiprocessing.get_context("spawn")  # OpenVINO does not survive a fork
        self.pipe, other = context.Pipe()
        arguments = (self.place, self.cores, self.make, other)
        self._process = context.Process(target=_work, args=arguments, daemon=True)
        self._process.start()
        other.close()  # ours, so that its end is seen here
        self.shard, self.images, self.alive = None, 0, True

    def hear(self) -> object:
        """What it says; None where it ended."""
        try:
            said = self.pipe.recv()
        except (EOFError, OSError):
            return None
        self.stillborn = 0
        self.shard = None
        return said

    def give(self, shard: int) -> None:
        """Let it inspect a shard."""
        self.shard = shard
        with suppress(OSError):  # it ended meanwhile, which is heard next
            self.pipe.send(shard)

    def check_born(self) -> None:
        """Whether it is worth beginning again.

        Raises:
            OutputError: it ended too often before it had begun.
        """
        self.stillborn += self.shard is None
        if self.stillborn >= STILLBORN:
            if self._process is not None:
                self._process.join(5)
            code = self._process.exitcode if self._process else None
            rule = f"{STILLBORN} workers ended as they began (exit code {code}): too little memory"
            raise OutputError(f"{self.place.where}: {rule}? Try --workers 1, or see whether casae inspect works")
        time.sleep(0.1 * self.stillborn)

    def end(self) -> None:
        """Let it go; what it has in hand is begun again by another one."""
        if not self.alive or self._process is None:
            return
        self.alive = False
        self.pipe.close()
        if self.shard is not None:
            self._process.terminate()
        self._process.join(5)
        if self._process.is_alive():
            self._process.kill()
            self._process.join()


def _work(place: Place, cores: tuple[int, ...], make: Make, pipe: Connection) -> None:
    """The process: asks for shards until nobody gives any."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the business of the one that began us
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, cores)
    with suppress(EOFError, OSError):  # nobody is there any more
        try:
            manifest, batch = Manifest(place), read_batch(place)
            assert batch is not None
            inspector = make(place, len(cores))
            pipe.send(READY)
            while True:
                pipe.send(inspect_shard(manifest.shard(pipe.recv()), inspector, place, batch))
        except CasaeError as error:
            pipe.send(error)
        except (EOFError, OSError):
            raise
        except Exception as error:  # of no image: those are rows
            pipe.send(OutputError(f"{place.where}: a worker of casae failed ({error!r}); please report it"))
