"""The queue in front of the road: pictures that came by HTTP, inspected one after the other in the order they came."""

import asyncio
import hashlib
import shutil
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, replace
from datetime import datetime
from functools import partial

import structlog
from sqlalchemy import Engine

from casae.decoding import decode_image
from casae.errors import CasaeError
from casae.inspection.inspection import Inspection, Part, Picture
from casae.inspection.inspector import Inspector
from casae.inspection.record import InspectionRecord
from casae.records.store import DatabaseStore
from casae.service.catalogue import Activation, Catalogue
from casae.service.home import Home
from casae.service.metrics import INSPECTION_SECONDS, WAITING
from casae.service.problems import ProblemError, come_again
from casae.service.settings import ServiceSettings

READ_AHEAD = 2  # pictures that are decoded: one is inspected, one waits; the others wait as files
FIRST_GUESS_S = 0.5  # of an inspection, before one was measured
SMOOTHING = 0.9
log = structlog.get_logger("casae")


@dataclass(frozen=True)
class Upload:
    """A picture that came by HTTP.

    Attributes:
        data: bytes of its file.
        name: that it came with, to be shown and kept in records, never used as a path.
        part: that it shows; `camera` and `taken_at` as of `Picture`.
    """

    data: bytes
    name: str
    part: Part
    camera: str | None
    taken_at: datetime | None


class InspectionQueue:
    """Inspects uploads of one process; several requests share it.

    Args:
        catalogue: says what judges them.
        engine: of the records.
        home: keeps the pictures.
        settings: how many wait, and for how long.
    """

    def __init__(self, catalogue: Catalogue, engine: Engine, home: Home, settings: ServiceSettings) -> None:
        self._catalogue, self._engine, self._home, self._settings = catalogue, engine, home, settings
        self._readers, self._inspectors = ThreadPoolExecutor(1), ThreadPoolExecutor(1)
        self._decoded = threading.Semaphore(READ_AHEAD)
        self._inside = 0
        self._seconds = FIRST_GUESS_S

    @property
    def waiting(self) -> int:
        """Pictures that are inspected or wait for it."""
        return self._inside

    async def inspect(self, upload: Upload) -> tuple[InspectionRecord, bool]:
        """The record, which is on disk when this returns, and whether it is new.

        Raises:
            ImageError: the picture cannot be inspected.
            ProblemError: nothing is active, the queue or the disk is full, or it took too long.
        """
        if self._inside >= self._settings.queue:
            rule = f"{self._inside} pictures wait already; send it again later"
            raise come_again(429, rule, self._inside * self._seconds)
        self._inside += 1
        WAITING.set(self._inside)
        try:
            return await self._inspect(upload)
        finally:
            self._inside -= 1
            WAITING.set(self._inside)

    def close(self) -> None:
        """Wait for what is being inspected."""
        self._readers.shutdown()
        self._inspectors.shutdown()

    async def _inspect(self, upload: Upload) -> tuple[InspectionRecord, bool]:
        active = await asyncio.to_thread(self._ready, upload)
        inspector = await asyncio.to_thread(self._catalogue.inspector, active)
        sha256 = await asyncio.to_thread(lambda: hashlib.sha256(upload.data).hexdigest())
        store = DatabaseStore(self._engine, card=inspector.card)
        earlier = await asyncio.to_thread(store.known, sha256, upload.name, inspector.conditions, upload.part)
        if earlier is not None:
            return await asyncio.to_thread(store.record, earlier), False
        read = self._readers.submit(self._read, upload, sha256, inspector)
        try:
            async with asyncio.timeout(self._settings.request_s):
                inspecting = await asyncio.wrap_future(read)
                inspection = await asyncio.wrap_future(inspecting)
        except TimeoutError:
            # What has begun cannot be taken back: kept, it answers the next try.
            read.add_done_callback(partial(self._once_read, partial(self._keep_late, upload, store)))
            rule = f"was not inspected within {self._settings.request_s:g} s; send it again later"
            raise come_again(503, f"{upload.name}: {rule}", self._inside * self._seconds) from None
        return await asyncio.to_thread(self._kept, upload, inspection, store)

    def _ready(self, upload: Upload) -> Activation:
        free = shutil.disk_usage(self._home.folder).free / 1e6
        if free < self._settings.room_mb:
            rule = f"the disk has {free:,.0f} MB left, {self._settings.room_mb:,.0f} are needed"
            raise come_again(503, f"{rule}; free space", 60)
        active = self._catalogue.active(upload.part.product)
        if active is None:
            of = f"product {upload.part.product}" if upload.part.product else "pictures of no product"
            rule = f"no model is active for {of}; activate one (POST /api/v1/activations), or name another product"
            raise ProblemError(409, rule)
        return active

    def _read(self, upload: Upload, sha256: str, inspector: Inspector) -> "Future[Inspection]":
        """Decode a picture while the one before is inspected, and no further one."""
        self._decoded.acquire()
        try:
            image = decode_image(upload.data, upload.name, self._settings.max_megapixels)
            picture = Picture(
                upload.name, sha256, image, part=upload.part, camera=upload.camera, taken_at=upload.taken_at
            )
            inspecting = self._inspectors.submit(self._measured, inspector, picture)
        except BaseException:
            self._decoded.release()
            raise
        inspecting.add_done_callback(lambda _: self._decoded.release())
        return inspecting

    def _measured(self, inspector: Inspector, picture: Picture) -> Inspection:
        began = time.perf_counter()
        inspection = inspector.inspect(picture)
        took = time.perf_counter() - began
        INSPECTION_SECONDS.observe(took)
        self._seconds = SMOOTHING * self._seconds + (1 - SMOOTHING) * took
        return inspection

    def _once_read(self, keep: "Callable[[Future[Inspection]], None]", read: "Future[Future[Inspection]]") -> None:
        if not read.cancelled() and read.exception() is None:
            read.result().add_done_callback(keep)

    def _keep_late(self, upload: Upload, store: DatabaseStore, inspecting: "Future[Inspection]") -> None:
        """Keep an inspection that nobody waits for any more."""
        if inspecting.cancelled() or inspecting.exception() is not None:
            return
        try:
            self._kept(upload, inspecting.result(), store)
        except CasaeError as error:
            log.error(str(error), picture=upload.name)

    def _kept(self, upload: Upload, inspection: Inspection, store: DatabaseStore) -> tuple[InspectionRecord, bool]:
        """First the picture, then the record, so that a record has its picture."""
        self._home.keep_image(upload.data, inspection.sha256, upload.name)
        key, record = store.add(replace(inspection, part=upload.part))
        self._home.keep_image(upload.data, inspection.sha256, upload.name)  # `prune` may have come between
        return (record, True) if key == record.id else (store.record(key), False)
