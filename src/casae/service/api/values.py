"""Values that requests carry, and what they may be."""

import re
from datetime import datetime
from typing import Annotated

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, StringConstraints

FIRST_YEAR, LAST_YEAR = 1971, 2999  # so that a day more, or another clock's hours, are times too
DAY = re.compile(r"\d{4}-\d\d-\d\d[T ]")


def _iso(value: object) -> object:
    """A time as ISO 8601 alone: a number would be understood as seconds or milliseconds, as it is large or small."""
    if isinstance(value, str) and not DAY.match(value):
        raise ValueError("is no time; write such as 2026-11-30T06:00:00Z")
    return value


def _here(value: datetime) -> datetime:
    """A time without an offset is one of this machine's clock, as people read it on the pages."""
    if not FIRST_YEAR <= value.year <= LAST_YEAR:
        raise ValueError(f"lies before {FIRST_YEAR} or after {LAST_YEAR}; write such as 2026-11-30T06:00:00Z")
    return value if value.tzinfo else value.astimezone()


Text = Annotated[str, StringConstraints(max_length=200, pattern=r"^[^\x00-\x1f\x7f]*$")]
Name = Annotated[str, StringConstraints(min_length=1, max_length=100, pattern=r"^[^\x00-\x1f\x7f/\\]+$")]
Id = Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$")]
Sha256 = Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{64}$")]
Time = Annotated[datetime, BeforeValidator(_iso), AfterValidator(_here)]


class Body(BaseModel):
    """What a request carries as JSON: no other names, and no other types."""

    model_config = ConfigDict(strict=True, extra="forbid")
