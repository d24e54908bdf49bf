"""Server-sent events: inspections as they are recorded, and how far jobs are."""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from typing import Annotated

from fastapi import APIRouter, Header, Query, Request
from fastapi.sse import EventSourceResponse, ServerSentEvent

from casae.records.database import WAIT
from casae.records.queries import Filter, first_id, moment_of, page
from casae.service.api.inspections import Item, item_of
from casae.service.api.values import Id
from casae.service.jobs import jobs_now, page_of_jobs
from casae.service.problems import ProblemError, documented
from casae.service.state import Service, TheService, Viewer, who_asks

router = APIRouter(prefix="/api/v1", tags=["events"])
EVERY_S = 0.5
LATE = timedelta(seconds=2 * WAIT)  # a record that another process wrote may be seen so long after its id was made
MOST = 10_000  # inspections that are sent after a break; of more, the newest
PAGE = 500
NEWEST_JOBS = 20
ASK_AGAIN_S = 10.0  # who listens may have lost the right to


@router.get("/events", response_class=EventSourceResponse, responses=documented())
async def events(
    request: Request,
    service: TheService,
    who: Viewer,
    last_event_id: Annotated[Id | None, Header()] = None,
    since_id: Annotated[Id | None, Query(description="begin with what was inspected from this id on")] = None,
) -> AsyncIterator[ServerSentEvent]:
    """`inspection` events, `job` events of jobs that wait, run or change, and `end` where the right is lost.

    With Last-Event-ID, inspections since then come first, 10,000 at most; those of the minute before it come again, as
    one of them may have been recorded late. So each comes at least once: know them by their id.
    """
    since = since_id or first_id(datetime.now(UTC))
    if last_event_id:
        with suppress(OverflowError):  # of no time that there is
            since = max(since_id or "", first_id(moment_of(last_event_id) - LATE))
    seen, told_jobs, open_jobs = {last_event_id or ""}, dict[str, str](), set[str]()
    asked, is_first = time.monotonic(), True
    yield ServerSentEvent(comment="casae")
    while not service.stopping:
        for item in await asyncio.to_thread(_since, service, since):
            if item.id not in seen:
                seen.add(item.id)
                yield ServerSentEvent(data=item, event="inspection", id=item.id)
        since = max(since, first_id(datetime.now(UTC) - LATE))
        seen = {key for key in seen if key >= since}
        newest = await asyncio.to_thread(page_of_jobs, service.engine, service.home, None, NEWEST_JOBS)
        known = {job.id for job in newest}
        rest = await asyncio.to_thread(jobs_now, service.engine, service.home, open_jobs - known)
        for job in (*rest[::-1], *newest):
            now = job.model_dump_json()
            is_open = job.state in ("queued", "running")
            if told_jobs.get(job.id) != now and (not is_first or is_open):
                yield ServerSentEvent(data=job, event="job")
            told_jobs[job.id] = now
            (open_jobs.add if is_open else open_jobs.discard)(job.id)
        is_first = False
        await asyncio.sleep(EVERY_S)
        if time.monotonic() - asked > ASK_AGAIN_S:
            asked = time.monotonic()
            try:
                await asyncio.to_thread(who_asks, service, request.headers, request.method, who.address)
            except ProblemError as error:
                yield ServerSentEvent(raw_data=error.detail, event="end")
                return


def _since(service: Service, since: str) -> list[Item]:
    """Inspections from an id on, oldest first."""
    items, after = list[Item](), None
    while rows := page(service.engine, Filter(since_id=since), after, PAGE):
        items += [item_of(row) for row in rows]
        after = rows[-1].id
        if len(rows) < PAGE or len(items) >= MOST:
            break
    return items[::-1]
