"""Values that requests carry, and what they may be."""

import re
from datetime import UTC, datetime
from typing import Annotated

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, StringConstraints

FIRST, LAST = datetime(1971, 1, 1, tzinfo=UTC), datetime(2999, 12, 31, tzinfo=UTC)  # a day beyond is a time too
DAY = re.compile(r"\d{4}-\d\d-\d\d[T ]")


def _iso(value: object) -> object:
    """A time as ISO 8601 alone: a number would be understood as seconds or milliseconds, as it is large or small."""
    if isinstance(value, str) and not DAY.match(value):
        raise ValueError("is no time; write such as 2026-11-30T06:00:00Z")
    return value


def _here(value: datetime) -> datetime:
    """A time without an offset is one of this machine's clock, as people read it on the pages."""
    near = value.replace(tzinfo=value.tzinfo or UTC)
    if near < FIRST or near > LAST:  # nothing was inspected before or after: all the same
        return FIRST if near < FIRST else LAST
    return value if value.tzinfo else value.astimezone()


Text = Annotated[str, StringConstraints(strip_whitespace=True, max_length=200, pattern=r"^[^\x00-\x1f\x7f]*$")]
Name = Annotated[str, StringConstraints(min_length=1, max_length=100, pattern=r"^[^\x00-\x1f\x7f/\\]+$")]
Id = Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$")]
Sha256 = Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{64}$")]
Time = Annotated[datetime, BeforeValidator(_iso), AfterValidator(_here)]


class Body(BaseModel):
    """What a request carries as JSON: no other names, and no other types."""

    model_config = ConfigDict(strict=True, extra="forbid")
