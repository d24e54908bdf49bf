import socket
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
from sqlalchemy import Engine

from casae import Inspector
from casae.inspection.inspection import Part
from casae.inspection.record import InspectionRecord
from casae.records.database import opened
from casae.records.store import DatabaseStore


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """Where records are kept."""
    return tmp_path / "home"


@pytest.fixture
def engine(home: Path) -> Iterator[Engine]:
    """Its database."""
    with opened(home) as engine:
        yield engine


@pytest.fixture
def keep(engine: Engine, dark_model: Path) -> Callable[..., InspectionRecord]:
    """Inspect a part with a dark bar, or without, and keep that; its record."""
    inspector = Inspector(dark_model)

    def run(serial: str, is_bad: bool = True) -> InspectionRecord:
        image = np.full((48, 64), 200, np.uint8)
        image[0, 0] = hash(serial) % 256 // 4 + 150  # each is another picture
        if is_bad:
            image[10:14, 30:50] = 10
        part = Part(serial=serial, batch="B7", product="ring", station="3")
        return DatabaseStore(engine).add(inspector.inspect(image, part))[1]

    return run


@pytest.fixture
def port() -> int:
    """A free one."""
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return int(found.getsockname()[1])
