from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest

from casae.batch.job import Batch
from casae.batch.places import Place
from casae.batch.run import Engine, Run, run_batch


@pytest.fixture
def archive(tmp_path: Path, spotted: np.ndarray) -> Path:
    """Seven files in two folders: five images, one clean among them, one that is none, and a text."""
    folder = tmp_path / "archive"
    for name in ("a/1.png", "a/2.png", "b/1.png", "b/4711_left.png"):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        cv2.imwrite(str(folder / name), spotted)
    cv2.imwrite(str(folder / "b/clean.png"), spotted * 0 + 200)
    (folder / "broken.png").write_text("no image")
    (folder / "readme.txt").write_text("no image either")
    return folder


@pytest.fixture
def begun(tmp_path: Path, dark_model: Path) -> Callable[..., tuple[Place, Run]]:
    """Run a batch of sources into the folder `out`."""

    def run(*sources: object, engine: Engine = Engine(workers=1), failed_again: bool = False, **changes: object):
        batch = Batch.model_validate({"sources": tuple(map(str, sources)), "model": "", "shard": 2} | changes)
        place = Place.of(str(tmp_path / "out"))
        return place, run_batch(place, batch, {"model": dark_model}, engine, failed_again=failed_again)

    return run
