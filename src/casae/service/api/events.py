"""Server-sent events: inspections as they are recorded, and how far jobs are."""

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Annotated

from fastapi import APIRouter, Header
from fastapi.sse import EventSourceResponse, ServerSentEvent

from casae.records.queries import Filter, first_id, page
from casae.service.api.inspections import Item
from casae.service.api.values import Id
from casae.service.jobs import page_of_jobs
from casae.service.problems import documented
from casae.service.state import Service, TheService, Viewer

router = APIRouter(prefix="/api/v1", tags=["events"])
EVERY_S = 0.5
LATE = timedelta(seconds=10)  # a record that another process wrote may be seen so long after its id was made
MOST = 1000  # inspections between two looks; of more, the newest
NEWEST_JOBS = 20


@router.get("/events", response_class=EventSourceResponse, responses=documented())
async def events(
    service: TheService, who: Viewer, last_event_id: Annotated[Id | None, Header()] = None
) -> AsyncIterator[ServerSentEvent]:
    """`inspection` and `job` events. With Last-Event-ID, inspections since then come first."""
    since = last_event_id or first_id(datetime.now(UTC))
    seen, told_jobs = {last_event_id or ""}, dict[str, str]()
    yield ServerSentEvent(comment="casae")
    while not service.stopping:
        for item in await asyncio.to_thread(_since, service, since):
            if item.id not in seen:
                seen.add(item.id)
                yield ServerSentEvent(data=item, event="inspection", id=item.id)
        since = max(since, first_id(datetime.now(UTC) - LATE))
        seen = {key for key in seen if key >= since}
        for job in await asyncio.to_thread(page_of_jobs, service.engine, service.home, None, NEWEST_JOBS):
            now = job.model_dump_json()
            if told_jobs.get(job.id, "") != now and (told_jobs or job.state in ("queued", "running")):
                yield ServerSentEvent(data=job, event="job")
            told_jobs[job.id] = now
        await asyncio.sleep(EVERY_S)


def _since(service: Service, since: str) -> list[Item]:
    """Inspections from an id on, oldest first."""
    rows = page(service.engine, Filter(since_id=since), limit=MOST)
    return [Item.model_validate(row._asdict()) for row in reversed(rows)]
