import json
import shutil
from collections import Counter
from dataclasses import replace
from types import SimpleNamespace
from typing import get_args

import cv2
import numpy as np
import pytest
import torch

from casae.cli.reproduce import What
from casae.datasets.masks import mask_of
from casae.datasets.registry import open_dataset, packaged_splits
from casae.datasets.sample import KnownGood
from casae.decoding import read_image
from casae.errors import DatasetError, OutputError, UsageError
from casae.inspection.segmentation import threshold
from casae.labelled.defects import labelled_crops
from casae.labelled.images import LabelledImage, load
from casae.lock import lock
from casae.metrics import Counts
from casae.models.bundle import InputSize
from casae.recipes import PRESETS
from casae.reproduction import applications, neu_seg, segmenters, table3, table4
from casae.reproduction import run as reproduction
from casae.reproduction.neu_seg import SoftmaxTask, class_target, mean_iou
from casae.reproduction.run import ENTRIES, Request, reproduce
from casae.reproduction.segmenters import KINDS, Levels, Parts
from casae.training.budget import Budget
from casae.training.loop import _Run
from casae.training.progress import Reporter

SMALL = Request(seeds=1, views=16, iterations=4, minutes=0.02, width=4, size=64)

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def dataset(components):
    return open_dataset(f"folder:{components}")


@pytest.fixture(scope="module")
def table(dataset, tmp_path_factory):
    out = tmp_path_factory.mktemp("table3")
    return reproduce("table3", dataset, out, SMALL, "casae reproduce table3")


def rows_of(file):
    return {(row["row"], row["seed"]): row["iou"] for row in json.loads(file.with_suffix(".json").read_text())["rows"]}


def test_table3_has_every_row_of_the_paper(table):
    text = table.read_text("utf-8")
    for title in ("Otsu", "Kittler", "FCN", "Single AE", "CASAE without atrous convolution", "0.8960"):
        assert title in text
    assert "casae reproduce table3" in text
    assert set(rows_of(table)) == {("otsu", 0), ("kittler", 0)} | {(kind, 0) for kind in KINDS}
    assert cv2.imread(str(table.with_suffix(".png"))).shape[1] > 600


def test_a_killed_table_goes_on_to_the_same_rows(table, dataset, tmp_path, monkeypatch):
    original, steps = _Run._step, []

    def die(self, *arguments):
        loss = original(self, *arguments)
        steps.append(1)
        if len(steps) == 5:  # in the middle of the third network
            raise MemoryError("killed")
        return loss

    monkeypatch.setattr(_Run, "_step", die)
    with pytest.raises(MemoryError):
        reproduce("table3", dataset, tmp_path, SMALL)
    monkeypatch.undo()
    finished = len(list(tmp_path.glob("table3/*/row.json")))
    assert 2 < finished < len(KINDS) + 2
    before = {file: file.stat().st_mtime_ns for file in tmp_path.glob("table3/*/row.json")}
    assert rows_of(reproduce("table3", dataset, tmp_path, SMALL)) == rows_of(table)
    assert all(file.stat().st_mtime_ns == stamp for file, stamp in before.items())


def test_another_seed_is_another_row_beside_those_there_are(table, dataset, tmp_path):
    out = shutil.copytree(table.parent, tmp_path / "copy")
    both = reproduce("table3", dataset, out, replace(SMALL, seeds=2))
    before, after = rows_of(table), rows_of(both)
    assert {key: after[key] for key in before} == before
    assert ("casae", 1) in after
    assert "±" in both.read_text("utf-8")


def test_rows_of_other_settings_are_not_mixed(table, dataset):
    with pytest.raises(UsageError, match="holds rows of another --views; choose another --out"):
        reproduce("table3", dataset, table.parent, replace(SMALL, views=32))
    shorter = replace(dataset, splits={**dataset.splits, "train": dataset.splits["train"][1:]})
    with pytest.raises(UsageError, match="holds rows of other lists or classes;"):
        reproduce("table3", shorter, table.parent, SMALL)


def test_two_processes_do_not_make_rows_in_one_place(table, dataset):
    with lock(table.parent / "table3"), pytest.raises(OutputError, match="another process writes here"):
        reproduce("figure6", dataset, table.parent, SMALL)


def test_figure6_shows_the_networks_of_table3(table, dataset):
    picture = cv2.imread(str(reproduce("figure6", dataset, table.parent, SMALL)))
    assert picture.shape[1] > 5 * 200


def test_levels_give_the_iou_of_the_threshold_module():
    rng = np.random.default_rng(0)
    probability = rng.random((40, 50)).astype(np.float32)
    image = LabelledImage("x", np.zeros((40, 50), np.uint8), (rng.random((40, 50)) < probability).astype(np.uint8))
    levels = Levels.of([image], lambda gray: probability)
    for gs in (0, 100, 254):
        assert levels.iou(gs) == Counts.of(threshold(probability, gs), image.label > 0).iou
    best = levels.best_gs()
    assert levels.iou(best) == max(levels.iou(gs) for gs in range(1, 255))


def test_every_network_of_table3_has_the_same_recipe():
    shared = segmenters.settings_of(PRESETS["scratch"].segmenter)
    assert (shared.encoder, shared.joint, shared.residual, shared.fit) == ("atrous", False, False, "squeeze")
    assert shared.learning_rate == shared.learning_rate_2


class Known(torch.nn.Module):
    """P(defect) of a pixel is a hundredth of its gray value."""

    stride = 1

    def forward(self, image):
        probability = (255 * image / 100).clamp(1e-6, 1 - 1e-6)
        return torch.cat([(1 - probability).log(), probability.log()], dim=1)


def known_part(name, *values):
    """An image of 64 px a side: of each (gray value, label) a stripe."""
    gray, label = (np.repeat(np.repeat([column], 64, 0), 64 // len(values), 1) for column in zip(*values, strict=True))
    return [LabelledImage(name, gray.astype(np.uint8), label.astype(np.uint8))]


def test_the_threshold_is_chosen_where_nothing_is_judged(monkeypatch, tmp_path):
    monkeypatch.setattr(segmenters, "train_kind", lambda *_: SimpleNamespace(first=Known()))
    validation = known_part("validation", (90, 1), (50, 1), (30, 0), (10, 0))
    judged = known_part("judged", (90, 1), (50, 0), (30, 0), (10, 0))
    parts = Parts([], validation, judged, InputSize(height=64, width=64, fit="squeeze"))
    row = segmenters.learned_row(None, KINDS["ae"], parts, PRESETS["scratch"].segmenter, 8, 0, tmp_path)
    assert 255 * 0.5 <= row["gs"] < 255 * 0.7  # finds all of validation's defects and nothing else
    assert (row["iou"], row["iou_best_gs"]) == (1.0, 0.5)


def test_a_cascade_spends_the_views_of_one_network_on_two(dataset, monkeypatch, tmp_path):
    budgets = []
    monkeypatch.setattr(segmenters, "fit", lambda task, *_: budgets.append(task.budget.steps))
    settings = segmenters.settings_of(PRESETS["scratch"].segmenter.model_copy(update={"width": 4, "size": 64}))
    parts = Parts.of(dataset, "train", "test", settings)
    experiment = SimpleNamespace(reporter=Reporter())
    for key in ("ae", "casae"):
        segmenters.train_kind(experiment, KINDS[key], parts, settings, 80 * settings.batch, 0, tmp_path)
    assert budgets == [80, 48, 32]


def test_a_cascade_stands_beside_its_own_network_1(table):
    rows = json.loads(table.with_suffix(".json").read_text())["rows"]
    assert {row["row"] for row in rows if "iou_network_1" in row} == {"casae", "casae-plain", "casae-image"}
    assert "its network 1 alone" in table.read_text("utf-8")


def test_table4_compares_features_and_networks_class_by_class(dataset, tmp_path):
    file = reproduce("table4", dataset, tmp_path, SMALL)
    rows = json.loads(file.with_suffix(".json").read_text())["rows"]
    assert [row["row"] for row in rows] == list(table4.TITLES)
    for row in rows:
        matrix = np.array(row["confusion"])
        assert row["accuracy"] == np.trace(matrix) / matrix.sum()
        assert len(row["per_class"]) == len(dataset.classes)
    assert (tmp_path / "figure7.png").exists()


def test_halves_share_no_image_and_are_drawn_by_the_seed(dataset):
    by_image = [labelled_crops([image], len(dataset.classes), 12) for image in load(dataset)]
    halves = table4.halved(by_image, 0)
    sides = [{id(crop.gray) for crop in side} for side in (halves.learned, halves.judged)]
    assert not sides[0] & sides[1]
    assert sides[0]
    assert sides[1]
    groups = Counter(crops[0].defect_class for crops in by_image if crops)
    first_of = {id(crops[0]): crops[0].defect_class for crops in by_image if crops}
    learned = Counter(first_of[id(crop)] for crop in halves.learned if id(crop) in first_of)
    assert learned == {group: round(0.7 * count) for group, count in groups.items()}
    assert any(a is not b for a, b in zip(halves.judged, table4.halved(by_image, 1).judged, strict=False))


def test_copies_of_an_image_stay_on_one_side(dataset, tmp_path, monkeypatch):
    names = sorted(sample.name for sample in dataset.samples)
    copied = replace(dataset, copies=dict.fromkeys(names[: len(names) // 2], "one scene"))
    halves = []
    real = table4.halved
    monkeypatch.setattr(table4, "halved", lambda *given: halves.append(real(*given)) or halves[-1])
    monkeypatch.setattr(table4, "_row", lambda *_: (_ for _ in ()).throw(InterruptedError))
    with pytest.raises(InterruptedError):
        reproduce("table4", copied, tmp_path, SMALL)
    sides = [
        {crop.image.name for crop in side} & copied.copies.keys() for side in (halves[-1].learned, halves[-1].judged)
    ]
    assert sorted(map(bool, sides)) == [False, True]


def test_one_class_cannot_be_compared(dataset, tmp_path):
    with pytest.raises(DatasetError, match="needs two"):
        reproduce("table4", replace(dataset, classes=("defect",)), tmp_path, SMALL)


@pytest.fixture
def tiny(monkeypatch):
    """Trainings of a second, with networks to match."""
    preset = PRESETS["scratch"]
    segmenter = preset.segmenter.model_copy(update={"width": 4, "size": 64, "views": 16})
    classifier = preset.classifier.model_copy(update={"width": 6, "batch": 4})
    settings = preset.model_copy(update={"segmenter": segmenter, "classifier": classifier})
    monkeypatch.setattr(reproduction, "settings_for", lambda *_, **__: settings)


@pytest.mark.usefixtures("tiny")
def test_an_application_is_judged_whole(dataset, tmp_path):
    file = reproduce("figure9", dataset, tmp_path, SMALL)
    (row,) = json.loads(file.with_suffix(".json").read_text())["rows"]
    assert 0 <= row["pixel_auc"] <= 1
    assert row["clean_images_with_alarm"] <= row["clean_images"]
    assert "pixel AUC" in file.read_text("utf-8")
    assert cv2.imread(str(tmp_path / "figure9.png")).shape[1] > 600


@pytest.mark.usefixtures("tiny")
def test_alarms_are_counted_on_clean_images_of_no_list(dataset, tmp_path):
    part = dataset.split("test")
    known = sum(not sample.draw(read_image(sample.image).shape, 4).any() for sample in part.samples)
    unlisted = replace(part.samples[0], name="clean", label=KnownGood())
    more = replace(dataset, samples=(*dataset.samples, unlisted))
    (row,) = json.loads(reproduce("figure9", more, tmp_path, SMALL).with_suffix(".json").read_text())["rows"]
    assert row["clean_images"] == known + 1


@pytest.mark.usefixtures("tiny")
def test_two_stages_stand_beside_one_network(dataset, tmp_path):
    file = reproduce("neu-seg", dataset, tmp_path, SMALL)
    rows = json.loads(file.with_suffix(".json").read_text())["rows"]
    assert [(row["way"], row["looks"]) for row in rows] == [
        ("two-stage", "1"),
        ("two-stage", "2"),
        ("one-network", "1"),
    ]
    assert all(len(row["per_class"]) == len(dataset.classes) + 1 for row in rows)


@pytest.mark.usefixtures("tiny")
def test_a_set_with_clean_lists_is_judged_by_both(dataset, tmp_path, monkeypatch):
    monkeypatch.setattr(neu_seg, "_one_network", lambda *_: {"1": lambda gray: np.zeros(gray.shape, np.uint8)})
    monkeypatch.setattr(neu_seg, "WAYS", {"one-network": neu_seg._one_network})
    test, train = dataset.splits["test"], dataset.splits["train"]
    lists = {**dataset.splits, "train-clean": test, "test-clean": train, "own": test}
    file = reproduce("neu-seg", replace(dataset, splits=lists), tmp_path, SMALL)
    rows = json.loads(file.with_suffix(".json").read_text())["rows"]
    assert [(row["split"], row["test"]) for row in rows] == [("train", "test"), ("train-clean", "test-clean")]
    assert "| test-clean |" in file.read_text()
    own = reproduce("neu-seg", replace(dataset, splits=lists), tmp_path / "own", replace(SMALL, test="own"))
    assert "test-clean" not in own.read_text().split("```")[2].split("Lists")[0]


def test_names_are_painted_back_where_the_defects_are(dataset, monkeypatch, tmp_path):
    region = SimpleNamespace(at=(np.array([2, 3, 3]), np.array([5, 5, 6])))
    other = SimpleNamespace(at=(np.array([6]), np.array([1])))
    found = [
        SimpleNamespace(region=region, name=dataset.classes[1], nearest=None),
        SimpleNamespace(region=other, name="unknown", nearest=dataset.classes[0]),
    ]
    monkeypatch.setattr(neu_seg, "train", lambda *_, **__: None)
    monkeypatch.setattr(
        neu_seg, "Inspector", lambda *_: SimpleNamespace(inspect=lambda _: SimpleNamespace(defects=found))
    )
    experiment = SimpleNamespace(reporter=None)
    predict = neu_seg._two_stage(experiment, dataset, "train", PRESETS["scratch"], tmp_path)
    painted = np.zeros((8, 8), np.uint8)
    painted[2, 5] = painted[3, 5] = painted[3, 6] = 2
    painted[6, 1] = 1
    assert all(np.array_equal(predict[looks](np.zeros((8, 8), np.uint8)), painted) for looks in ("1", "2"))


def test_defects_without_class_cannot_be_compared(dataset, tmp_path):
    unnamed = tmp_path / "mask.png"
    cv2.imwrite(str(unnamed), np.full(read_image(dataset.samples[0].label.files[0]).shape, 255, np.uint8))
    samples = tuple(replace(sample, label=mask_of(unnamed)) for sample in dataset.samples)
    with pytest.raises(DatasetError, match="has a defect without class"):
        reproduce("neu-seg", replace(dataset, samples=samples), tmp_path, SMALL)


def test_a_target_of_classes_keeps_what_covers_most():
    from casae.image import Frame

    label = np.zeros((40, 40), np.uint8)
    label[:20, :20], label[20:, 20:] = 3, 1
    target = class_target(label, Frame.of((40, 40), 20, 20, "letterbox"))
    assert target[4, 4] == 3
    assert target[15, 15] == 1
    assert target[4, 15] == 0


def test_nothing_is_judged_by_what_it_learned(dataset, tmp_path):
    for request in (replace(SMALL, test="val"), replace(SMALL, split="all"), replace(SMALL, test="train")):
        with pytest.raises(DatasetError, match="separate them"):
            reproduce("table3", dataset, tmp_path, request)
    empty = replace(dataset, splits={**dataset.splits, "test": ()})
    with pytest.raises(DatasetError, match="no labelled image in 'test'"):
        reproduce("table3", empty, tmp_path, SMALL)
    assert not list(tmp_path.iterdir())


def test_a_class_whose_crops_are_all_learned_has_no_accuracy(dataset, tmp_path, monkeypatch):
    halved = table4.halved

    def without_the_first(by_image, seed):
        halves = halved(by_image, seed)
        return replace(halves, judged=[crop for crop in halves.judged if crop.defect_class])

    monkeypatch.setattr(table4, "halved", without_the_first)
    file = reproduce("table4", dataset, tmp_path, SMALL)
    assert all(row["per_class"][0] is None for row in json.loads(file.with_suffix(".json").read_text())["rows"])
    assert "| - |" in file.read_text("utf-8")


def test_too_few_images_to_judge_on_are_refused(dataset, tmp_path, monkeypatch):
    monkeypatch.setattr(table4, "halved", lambda *_: table4.Halves([], []))
    with pytest.raises(DatasetError, match="label more"):
        reproduce("table4", dataset, tmp_path, SMALL)
    assert not list(tmp_path.iterdir())


def test_a_class_that_is_nowhere_counts_for_nothing():
    assert mean_iou(np.array([[6, 2, 0], [0, 2, 0], [0, 0, 0]])) == (0.5, 0.625, [0.75, 0.5, None])


def test_dropout_goes_on_after_a_kill_as_without_one(dataset, table, tmp_path, monkeypatch):
    original = _Run._step

    def die(self, optimiser, batch):
        original(self, optimiser, batch)  # the first of two steps of the FCN
        self._save(optimiser)
        raise MemoryError("killed")

    monkeypatch.setattr(_Run, "_step", die)
    with pytest.raises(MemoryError):
        reproduce("table3", dataset, tmp_path, SMALL)
    monkeypatch.undo()
    monkeypatch.setattr(table3, "KINDS", {"fcn": KINDS["fcn"]})
    monkeypatch.setattr(table3, "TITLES", {key: table3.TITLES[key] for key in ("otsu", "kittler", "fcn")})
    reproduce("table3", dataset, tmp_path, SMALL)
    broken, whole = (
        torch.load(folder / "table3/fcn-0/network-1/best.pt", weights_only=True) for folder in (tmp_path, table.parent)
    )
    assert all(torch.equal(broken[name], whole[name]) for name in whole)


def test_clean_images_of_no_list_are_those_of_nanotwice(tmp_path):
    for folder in ("Anomalous/images", "Anomalous/gt", "Normal"):
        (tmp_path / folder).mkdir(parents=True)
    gray = np.zeros((4, 4), np.uint8)
    lists = packaged_splits("nanotwice")
    for name in lists["train10"] + lists["test"]:
        cv2.imwrite(str(tmp_path / "Anomalous/images" / f"{name}.tif"), gray)
    cv2.imwrite(str(tmp_path / "Normal/ITIA1141.tif"), gray)
    read = open_dataset(f"nanotwice:{tmp_path}")
    assert [sample.name for sample in applications._unlisted_clean(read, "train10").samples] == ["ITIA1141"]
    assert not applications._unlisted_clean(read, "train").samples


def test_one_network_sees_standing_images_as_it_learned_them():
    """Lying inputs show them transposed; of each column its own brightness is the class."""
    shapes = []

    class Bright(torch.nn.Module):
        def forward(self, x):
            shapes.append(tuple(x.shape[-2:]))
            return torch.cat([0.5 - x, x - 0.5], dim=1)

    settings = PRESETS["scratch"].segmenter
    size = InputSize(height=32, width=64, fit="letterbox")
    task = SoftmaxTask(Bright(), settings, Budget(steps=1), [], size, 1)
    gray = np.zeros((64, 32), np.uint8)
    gray[:20, 4:] = 255
    assert np.array_equal(task.predict(gray), (gray > 0).astype(np.uint8))
    assert shapes == [(32, 64)]


def test_the_command_knows_every_entry():
    assert set(get_args(What)) == set(ENTRIES)
