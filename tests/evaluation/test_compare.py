import cv2
import numpy as np
import pytest

from casae import Inspector
from casae.config import InspectionSettings
from casae.datasets.registry import open_dataset
from casae.evaluation.compare import compare, difference
from casae.labelled.show import colour_of, drawn, sheet, write_labels


@pytest.fixture
def data(tmp_path):
    """A dark bar and a fainter one in each of four pictures; only the dark one is labelled in the last."""
    for part in ("images", "masks"):
        (tmp_path / part).mkdir()
    for number in range(4):
        image, label = np.full((48, 64), 200, np.uint8), np.zeros((48, 64), np.uint8)
        image[10:16, 10:40] = 20
        image[30:36, 10:40] = 72
        label[10:16, 10:40] = 1
        label[30:36, 10:40] = 1 if number < 3 else 0
        cv2.imwrite(str(tmp_path / "images" / f"{number}.png"), image)
        cv2.imwrite(str(tmp_path / "masks" / f"{number}.png"), label)
    (tmp_path / "dataset.toml").write_text('classes = ["stain", "glare"]')
    return open_dataset(f"folder:{tmp_path}")


def test_who_wins_where(dark_model, data):
    strict, lenient = (Inspector(dark_model, InspectionSettings(gs=gs)) for gs in (1, 200))
    found = compare(strict, lenient, data)
    assert found.wins == (1, 0, 3)
    assert [pair.first.name for pair in found.pairs][-1] == "3"
    gain, low, high = found.gain
    assert low <= gain <= high
    assert gain == pytest.approx(found.second.scores()["iou"].value - found.first.scores()["iou"].value)
    same = compare(strict, strict, data)
    assert (same.wins, same.gain) == ((0, 4, 0), (0, 0, 0))


def test_pictures_of_labels_and_differences(data, tmp_path):
    sheets, failures = write_labels(data, tmp_path / "shown")
    assert (len(sheets), failures) == (1, [])
    assert sorted(file.name for file in (tmp_path / "shown").iterdir()) == [
        *(f"{n}.jpg" for n in range(4)),
        "sheet-1.jpg",
    ]
    label = np.zeros((40, 60), np.uint8)
    label[10:20, 10:30] = 2
    picture = drawn(np.zeros((40, 60), np.uint8), label)
    assert picture[9, 15].tolist() == list(colour_of(2))
    assert not picture[30].any()
    assert 0 < picture[15, 15].max() < max(colour_of(2))
    large = sheet([("one", picture), ("two", picture)], ["dent", "Kratzer äöü"])
    assert large.shape[1] == 2 * 328 + 8
    first, second = np.zeros((2, 40, 60), bool)
    first[10:20, 10:20] = second[10:20, 15:25] = True
    shown = difference(np.zeros((40, 60), np.uint8), first, second)
    tones = [tuple(shown[15, column]) for column in (12, 17, 22)]
    assert len(set(tones)) == 3
