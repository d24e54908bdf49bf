import cv2
import pytest

from casae.config import InspectionSettings
from casae.errors import ImageError
from casae.evaluation.speed import WHOLE, Timing, measure_speed


def test_every_stage_is_timed_and_they_add_up(dark_model, spotted, tmp_path):
    file = tmp_path / "part.png"
    cv2.imwrite(str(file), spotted)
    rounds: list[None] = []
    speed = measure_speed(dark_model, file, InspectionSettings(threads=2), 4, [1, 2], lambda: rounds.append(None))
    *stages, whole = speed.stages
    assert stages == ["read", "segment", "regions", "measure", "classify", "record"]
    assert whole == WHOLE
    assert speed.stages[WHOLE].p50 >= max(speed.stages[stage].p50 for stage in stages)
    assert all(timing.p50 <= timing.p95 <= timing.p99 for timing in speed.stages.values())
    assert set(speed.images_per_second) == {1, 2}
    assert (speed.defects, speed.threads) == (2, 2)
    assert len(rounds) == 4 + 6 * (1 + 2)
    assert not list(tmp_path.glob("*.jsonl"))


def test_percentiles():
    assert Timing.of([float(value) for value in range(101)]) == Timing(50, 95, 99)


def test_an_unreadable_image_is_named(dark_model, tmp_path):
    with pytest.raises(ImageError, match=r"none\.png"):
        measure_speed(dark_model, tmp_path / "none.png", InspectionSettings(), 1, [1])
