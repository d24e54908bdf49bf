from dataclasses import replace

import cv2
import numpy as np
import pytest

from casae import Inspector
from casae.config import InspectionSettings
from casae.datasets.registry import open_dataset
from casae.decoding import read_image
from casae.evaluation.compare import compare, difference
from casae.inspection.grain import Fingerprints
from casae.labelled.show import colour_of, drawn, sheet, write_labels
from casae.metrics import Interval
from casae.models.bundle import read_bundle, write_bundle


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
    assert found.gain.value == pytest.approx(found.second.scores()["iou"].value - found.first.scores()["iou"].value)
    assert (found.gain.low, found.gain.high) == (None, None)  # four pictures tell nothing of others
    same = compare(strict, strict, data)
    assert (same.wins, same.gain.value) == ((0, 4, 0), 0)


def test_many_pictures_have_an_interval(dark_model, data):
    copies = [replace(each, name=f"{each.name}-{n}") for each in data.samples for n in range(3)]
    strict, lenient = (Inspector(dark_model, InspectionSettings(gs=gs)) for gs in (1, 200))
    gain = compare(strict, lenient, replace(data, samples=tuple(copies))).gain
    assert gain.low < gain.value < gain.high
    assert compare(strict, strict, replace(data, samples=tuple(copies))).gain == Interval(0, 0, 0)


def test_a_score_that_one_model_alone_tells_stands_without_the_other(dark_model, telling_model, data):
    dark, telling = Inspector(dark_model), Inspector(telling_model)
    for first, second, place in ((telling, dark, 0), (dark, telling, 1)):
        found = compare(first, second, data)
        pair = found.scores()["images_unlike_learned"]
        assert pair[place].total == 4
        assert pair[1 - place].value is None
        assert found.to_dict()["scores"]["images_unlike_learned"][1 - place]["value"] is None


def test_a_model_that_has_learned_the_pictures_is_said_to_have(dark_model, data, tmp_path):
    grain = np.random.default_rng(0).integers(0, 9, (48, 64), np.uint8)
    for sample in data.samples:  # or there is nothing to know a picture by
        cv2.imwrite(str(sample.image), cv2.imread(str(sample.image), cv2.IMREAD_GRAYSCALE) + grain)
    bundle = read_bundle(dark_model)
    images = [read_image(sample.image) for sample in data.samples]
    write_bundle(replace(bundle, learned=Fingerprints.of(images).written()), tmp_path / "knows.casae")
    found = compare(Inspector(dark_model), Inspector(tmp_path / "knows.casae"), data)
    assert found.learned == (0, 4)
    assert found.to_dict()["learned"] == {"first": 0, "second": 4}


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
