"""The cores at hand: a process for each worker, on cores of its own, begun again where one ends."""

import multiprocessing
import os
import signal
import time
from collections import Counter, deque
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess

from casae.batch.job import batch_at, inspector_of
from casae.batch.manifest import Manifest
from casae.batch.places import Place
from casae.batch.shard import ENDED, Tally, inspect_shard
from casae.errors import CasaeError, OutputError
from casae.line.run import Inspects
from casae.processes import end_with_parent

RENEWED_AFTER = 20_000  # images of a worker: libraries leak
STILLBORN = 3  # workers in a row that end before they could do anything
HOPELESS = 20  # workers that end while no image at all was inspected
MOST_ENDS = 1000  # images of a shard that may end their workers
READY = "ready"

Make = Callable[[Place, int], Inspects]
"""From the folder of a batch and a number of threads to what judges its images; a function of a module."""


def inspector_at(place: Place, threads: int) -> Inspects:
    """What judges the images of a batch.

    Raises:
        OutputError: the folder holds none.
        CasaeError: as `Inspector`.
    """
    return inspector_of(place, batch_at(place), threads)


def cores_at_hand() -> list[int]:
    """Of this machine, that this process may use."""
    return sorted(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else list(range(os.cpu_count() or 1))


def core_sets(workers: int) -> list[tuple[int, ...]]:
    """As many sets of the cores that this process may use, none shared where there are enough.

    >>> all(core_sets(1))
    True
    """
    cores = cores_at_hand()
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
        ends = _Ends(place)
        while any(worker.alive for worker in crew):
            yield from _news(crew, left, renewed_after, ends)
    finally:
        for worker in crew:
            worker.end()


def _news(crew: "list[_Worker]", left: deque[int], renewed_after: int, ends: "_Ends") -> Iterator[Tally]:
    """Wait until a worker says something, or ends, and give it something to do."""
    by_pipe = {worker.pipe: worker for worker in crew if worker.alive}
    for pipe in wait(list(by_pipe)):
        worker = by_pipe[pipe]  # type: ignore[index]  # a connection, as asked for
        said = worker.hear()
        if isinstance(said, CasaeError):
            raise said
        if said is None:
            ends.count(worker.shard, worker.exit_code)
            if worker.shard is not None:
                left.appendleft(worker.shard)
            worker.begin()
            continue
        ends.at_birth = 0
        if isinstance(said, Tally):
            ends.nothing_done &= said.failed == said.images
            worker.images += said.images
            yield said
        if not left:
            worker.end()
        elif worker.images >= renewed_after:
            worker.begin()
        else:
            worker.give(left.popleft())


@dataclass
class _Ends:
    """Ends of workers, each of which may be an accident, and all together a sign.

    Attributes:
        at_birth: in a row, before they could do anything.
        of_shards: shard -> ends with it in hand.
        nothing_done: whether no image of any shard was inspected so far.
    """

    place: Place
    at_birth: int = 0
    of_shards: Counter[int] = field(default_factory=Counter)
    nothing_done: bool = True

    def count(self, shard: int | None, code: int | None) -> None:
        """One more.

        Raises:
            OutputError: it is not worth beginning again.
        """
        try_it = "see whether casae inspect works on one of them"
        if shard is None:
            self.at_birth += 1
            if self.at_birth >= STILLBORN:
                rule = f"{STILLBORN} workers ended as they began (exit code {code}): too little memory"
                raise OutputError(f"{self.place.where}: {rule}? Try --workers 1, or {try_it}")
            time.sleep(0.1 * self.at_birth)
            return
        self.of_shards[shard] += 1
        if self.nothing_done and self.of_shards.total() > HOPELESS:
            rule = f"{HOPELESS} workers ended (exit code {code}), and no image was inspected"
            raise OutputError(f"{self.place.where}: {rule}; {try_it}")
        if self.of_shards[shard] > MOST_ENDS * ENDED:
            rule = f"{self.of_shards[shard]} workers ended in shard {shard} (exit code {code})"
            raise OutputError(f"{self.place.where}: {rule}; make smaller ones (--shard) in another --out")


@dataclass
class _Worker:
    """A process that inspects shards, seen from outside."""

    place: Place
    cores: tuple[int, ...]
    make: Make
    shard: int | None = None
    images: int = 0
    alive: bool = False
    _process: BaseProcess | None = None
    pipe: Connection = field(init=False)

    def begin(self) -> None:
        """Start the process, or another one in its place."""
        self.end()
        context = multiprocessing.get_context("spawn")  # OpenVINO does not survive a fork
        self.pipe, other = context.Pipe()
        arguments = (self.place, self.cores, self.make, other, os.getpid())
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
        self.shard = None
        return said

    def give(self, shard: int) -> None:
        """Let it inspect a shard."""
        self.shard = shard
        with suppress(OSError):  # it ended meanwhile, which is heard next
            self.pipe.send(shard)

    @property
    def exit_code(self) -> int | None:
        """Of the process, which has ended or is about to."""
        if self._process is None:
            return None
        self._process.join(5)
        return self._process.exitcode

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


def _work(place: Place, cores: tuple[int, ...], make: Make, pipe: Connection, parent: int) -> None:
    """The process: asks for shards until nobody gives any."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the business of the one that began us
    signal.signal(signal.SIGTERM, _leave)
    if not end_with_parent(parent, signal.SIGTERM):
        return
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, cores)
    said: object = READY
    try:
        manifest, batch = Manifest(place), batch_at(place)
        inspector = make(place, len(cores))
        while (number := _asked(pipe, said)) is not None:
            said = inspect_shard(manifest.shard(number), inspector, place, batch)
    except CasaeError as error:
        _asked(pipe, error)
    except Exception as error:  # of no image: those are rows
        _asked(pipe, OutputError(f"{place.where}: a worker of casae failed ({error!r}); please report it"))


def _leave(number: int, frame: object) -> None:
    """End as an exception does, so that notes are put right."""
    raise SystemExit(1)


def _asked(pipe: Connection, said: object) -> int | None:
    """Say something; the next shard, None where nobody is there any more."""
    try:
        pipe.send(said)
        return int(pipe.recv())
    except (EOFError, OSError):
        return None
