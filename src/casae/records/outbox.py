"""Who is told what is kept: each new inspection and review waits for each subscriber until they have it.

It is put there by the transaction that keeps it (a transactional outbox), so nothing is forgotten and no time is
compared: neither a kill nor a clock that lags matters.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

from sqlalchemy import Engine, delete, func, select

from casae.errors import UsageError
from casae.inspection.record import InspectionRecord
from casae.records.database import reading, writing
from casae.records.schema import inspections, outbox, reviews, subscribers
from casae.records.store import now, once


@dataclass(frozen=True)
class Subscriber:
    """Who is told.

    Attributes:
        name: that they go by.
        since: from when on, ISO 8601, UTC.
        waiting: messages that they do not have yet.
    """

    name: str
    since: str
    waiting: int


@dataclass(frozen=True)
class Message:
    """What a subscriber is told.

    Attributes:
        id: of the inspection or review; a message that comes twice has the same one.
        kind: which of them it is.
        record: of the inspection.
        decision: of casae, or what the review says.
        content: JSON, the record, or the review with the part.
    """

    id: str
    kind: Literal["inspection", "review"]
    record: InspectionRecord
    decision: str
    content: str


def subscribe(engine: Engine, name: str) -> bool:
    """Have a subscriber told of what is kept from now on; whether they are new.

    Raises:
        RecordsError: the database does not take it.
    """
    with writing(engine) as connection:
        return once(connection, subscribers, {"name": name, "since": now()}, "name")


def unsubscribe(engine: Engine, name: str) -> int:
    """Tell a subscriber no more; how many messages they do not get.

    Raises:
        UsageError: there is none of this name.
        RecordsError: the database does not take it.
    """
    with writing(engine) as connection:
        dropped = connection.execute(delete(outbox).where(outbox.c.subscriber == name)).rowcount
        if not connection.execute(delete(subscribers).where(subscribers.c.name == name)).rowcount:
            raise UsageError(f"{name}: nobody of this name is told; casae publish list shows who is")
    return dropped


def all_subscribers(engine: Engine) -> list[Subscriber]:
    """Who is told, and how much waits for them."""
    waiting = func.count(outbox.c.id)
    query = select(subscribers.c.name, subscribers.c.since, waiting).outerjoin(outbox).group_by(subscribers.c.name)
    with reading(engine) as connection:
        return [Subscriber(*row) for row in connection.execute(query.order_by(subscribers.c.name))]


def waiting_for(engine: Engine, name: str, limit: int) -> list[Message]:
    """What a subscriber does not have yet, oldest first.

    Raises:
        UsageError: nobody of this name is told (any more).
    """
    wanted = select(outbox.c.id, inspections.c.record, *reviews.c).select_from(outbox).join(inspections)
    wanted = wanted.outerjoin(reviews, reviews.c.id == outbox.c.id).where(outbox.c.subscriber == name)
    with reading(engine) as connection:
        rows = connection.execute(wanted.order_by(outbox.c.id).limit(limit)).all()
        if not rows and connection.scalar(select(subscribers.c.name).where(subscribers.c.name == name)) is None:
            raise UsageError(f"{name}: nobody of this name is told any more")
    names = reviews.c.keys()
    return [_message(key, record, dict(zip(names, review, strict=True))) for key, record, *review in rows]


def delivered(engine: Engine, name: str, keys: Sequence[str]) -> None:
    """A subscriber has these.

    Raises:
        RecordsError: the database does not take it; then they get them again.
    """
    with writing(engine) as connection:
        connection.execute(delete(outbox).where(outbox.c.subscriber == name, outbox.c.id.in_(keys)))


def _message(key: str, content: str, review: dict[str, Any]) -> Message:
    record = InspectionRecord.model_validate_json(content)
    if review["id"] is None:
        return Message(key, "inspection", record, record.decision, content)
    said = review | {"findings": json.loads(review["findings"] or "[]"), "blind": bool(review["blind"])}
    said |= {"part": record.part.model_dump()}
    return Message(key, "review", record, review["new"], json.dumps(said, ensure_ascii=False))
