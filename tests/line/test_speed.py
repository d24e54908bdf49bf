import cv2
import pytest

from casae.config import InspectionSettings
from casae.errors import ImageError
from casae.line.speed import WHOLE, Timing, measure_speed


@pytest.fixture
def file(spotted, tmp_path):
    cv2.imwrite(str(tmp_path / "part.png"), spotted)
    return tmp_path / "part.png"


def test_every_stage_and_rate_is_measured(dark_model, file):
    rounds: list[None] = []
    speed = measure_speed(dark_model, file, InspectionSettings(threads=2), 4, [1, 2], lambda: rounds.append(None))
    *stages, whole = speed.stages
    assert stages == ["read", "segment", "regions", "classify", "measure", "record"]
    assert whole == WHOLE
    assert all(timing.p50 <= timing.p95 <= timing.p99 for timing in speed.stages.values())
    assert set(speed.images_per_second) == {1, 2}
    assert min(speed.images_per_second.values()) > 0
    assert (speed.defects, speed.threads) == (2, 2)
    assert len(rounds) == 4 + 6 * (1 + 2)
    assert list(file.parent.iterdir()) == [file]


def test_the_stages_of_a_round_add_up(dark_model, file):
    stages = measure_speed(dark_model, file, InspectionSettings(), 1, []).stages
    laps = {stage: timing.p50 for stage, timing in stages.items()}
    whole = laps.pop(WHOLE)
    assert whole == pytest.approx(sum(laps.values()))


def test_percentiles():
    assert Timing.of([float(value) for value in range(101)]) == Timing(50, 95, 99)


def test_an_unreadable_image_is_named(dark_model, tmp_path):
    with pytest.raises(ImageError, match=r"none\.png"):
        measure_speed(dark_model, tmp_path / "none.png", InspectionSettings(), 1, [1])
