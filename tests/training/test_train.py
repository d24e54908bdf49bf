import csv
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from dataclasses import replace
from importlib.resources import files
from pathlib import Path
from types import SimpleNamespace
from typing import ClassVar

import cv2
import numpy as np
import pytest
import torch
from rich.console import Console

from casae import Inspector
from casae.datasets.masks import mask_of
from casae.datasets.registry import open_dataset
from casae.datasets.sample import KnownGood
from casae.decoding import read_image
from casae.errors import BundleError, DatasetError, MissingExtraError, OutputError, UsageError
from casae.image import to_gray
from casae.inspection.segmentation import with_features
from casae.labelled.defects import labelled_crops, smallest_region
from casae.labelled.images import load
from casae.lock import lock
from casae.models.bundle import read_bundle
from casae.networks import export
from casae.networks.cascade import CASAE
from casae.recipes import settings_for
from casae.synthetic.components import write_components
from casae.training import crew, loop
from casae.training.classification import size_classes
from casae.training.progress import Reporter
from casae.training.state import claim, folder_of, learned_by
from casae.training.stop import Stop
from casae.training.train import train

pytestmark = pytest.mark.slow


@pytest.fixture
def small():
    """A training of a few seconds."""
    settings = settings_for("scratch", width=4, size=64, epochs_1=2, epochs_2=1)
    segmenter = settings.segmenter.model_copy(update={"views": 16})
    classifier = settings.classifier.model_copy(update={"width": 6, "iterations": 6, "batch": 4})
    return settings.model_copy(update={"segmenter": segmenter, "classifier": classifier})


@pytest.fixture(scope="module")
def dataset(components):
    return open_dataset(f"folder:{components}")


def test_one_folder_is_of_one_training_at_a_time(small, dataset, tmp_path):
    folder = folder_of(tmp_path / "part.casae")
    claim(folder, {})
    with lock(folder), pytest.raises(OutputError, match="part-training: another process writes here"):
        train(dataset, tmp_path / "part.casae", small, resume=True)


def test_too_few_views_are_spoken_of(small, dataset, tmp_path):
    trained = train(dataset, tmp_path / "part.casae", small)
    (warning,) = (note.text for note in trained.notes if "hardly begun" in note.text)
    assert warning.startswith("Network 1 saw 32 views only")
    assert warning in read_bundle(trained.file).manifest.notes


def test_a_training_makes_a_bundle_that_inspects(small, dataset, tmp_path):
    trained = train(dataset, tmp_path / "part.casae", small, command="casae train")
    manifest = read_bundle(trained.file).manifest
    assert manifest.classes == dataset.classes
    assert (manifest.input.height, manifest.input.width) == (192, 256)
    assert (manifest.gs, manifest.core_gs) == (100, 25)
    images, held = (load(dataset.split(name)) for name in ("train", "val"))
    assert manifest.mm_per_pixel == dataset.mm_per_pixel > 0
    assert manifest.min_area_px == smallest_region([*images, *held])
    assert manifest.sizes == size_classes(labelled_crops(images, 4, manifest.min_area_px), 4)
    assert manifest.dataset.sha256 == dataset.split("train").sha256
    assert manifest.dataset.images == 8
    assert manifest.scores["validation"]["export_difference_segmenter"] < 0.02
    assert trained.scores["accuracy_true_crops_cnn"] is not None
    inspection = Inspector(trained.file).inspect(dataset.samples[0].image)
    assert inspection.probability.shape == (192, 256)
    folder = tmp_path / "part-training"
    with (folder / "network-1" / "metrics.csv").open() as file:
        assert len([row for row in csv.DictReader(file) if row["val_iou"]]) == 2
    assert list((folder / "network-2").glob("events.out.tfevents.*"))


@pytest.mark.parametrize(("residual", "start"), [(True, 0.7), (False, None)])
def test_both_networks_have_to_beat_network_1(small, dataset, tmp_path, monkeypatch, residual, start):
    starts = []

    def fit(task, batches, folder, reporter, stop, device):
        starts.append(task.start_score)
        return 0.7

    monkeypatch.setattr("casae.training.train.fit", fit)
    monkeypatch.setattr("casae.training.stages.fit", fit)
    segmenter = small.segmenter.model_copy(update={"residual": residual})
    train(dataset, tmp_path / "part.casae", small.model_copy(update={"segmenter": segmenter}))
    assert starts == [None, start, None]


def test_what_is_learned_without_labels_is_remembered(small, components, tmp_path):
    shutil.copytree(components, tmp_path / "part")
    splits = tmp_path / "part" / "splits"
    (splits / "train.txt").write_text("".join(f"component-{index:04d}\n" for index in range(8)))
    (splits / "test.txt").unlink()
    here = open_dataset(f"folder:{tmp_path / 'part'}")
    train(here, tmp_path / "part.casae", small, unlabelled=tmp_path / "part" / "images")
    learned = learned_by(tmp_path / "part-training" / "weights.pt")
    known = {sample.name for sample in here.samples if learned.knows(to_gray(read_image(sample.image)))}
    assert {sample.name for sample in here.samples} - known == {s.name for s in here.split("val").samples}


def test_the_same_seed_gives_the_same_bundle(small, dataset, tmp_path):
    files = [train(dataset, tmp_path / name / "part.casae", small).file for name in "ab"]
    assert files[0].read_bytes() == files[1].read_bytes()
    other = train(dataset, tmp_path / "c" / "part.casae", small.model_copy(update={"seed": 1})).file
    assert read_bundle(other).segmenter != read_bundle(files[0]).segmenter


def test_an_earlier_model_is_kept_beside_the_new_one(small, dataset, tmp_path):
    out, before = tmp_path / "a.casae", tmp_path / "a-before.casae"
    out.write_bytes(b"of another training")
    train(dataset, out, small)
    assert before.read_bytes() == b"of another training"
    train(dataset, out, small, resume=True)  # only exported again
    assert before.read_bytes() == b"of another training"


@pytest.mark.parametrize(("pause", "last_step", "again"), [(60, 3, 1), (-1, 1, 0), (-1, 4, 1)])
def test_a_killed_training_goes_on_to_the_same_result(small, dataset, tmp_path, monkeypatch, pause, last_step, again):
    """Killed after `last_step` of two epochs with two steps each, it takes `again` of them again."""
    whole = train(dataset, tmp_path / "whole" / "part.casae", small)
    step, save = loop._Run._step, loop._Run._save
    steps = []

    def count(self, *rest):
        loss = step(self, *rest)
        steps.append(self.task.budget.step)
        if again and len(steps) == last_step:
            raise MemoryError("killed")
        return loss

    def die_when_saved(self, *rest):
        save(self, *rest)
        if not again and len(steps) == last_step:
            raise MemoryError("killed")

    monkeypatch.setattr(loop, "SAVING_PAUSE", pause)
    monkeypatch.setattr(loop._Run, "_step", count)
    monkeypatch.setattr(loop._Run, "_save", die_when_saved)
    out = tmp_path / "broken" / "part.casae"
    with pytest.raises(MemoryError):
        train(dataset, out, small)
    with pytest.raises(UsageError, match="--resume"):
        train(dataset, out, small)
    with pytest.raises(UsageError, match="other settings, data or casae"):
        train(dataset, out, small.model_copy(update={"seed": 9}), resume=True)
    assert train(dataset, out, small, resume=True).file.read_bytes() == whole.file.read_bytes()
    assert steps[last_step] == last_step - again + 1
    curve = (out.parent / "part-training" / "network-1" / "metrics.csv").read_text()
    assert sorted({row["epoch"] for row in csv.DictReader(curve.splitlines())}) == ["0", "1"]
    monkeypatch.setattr(loop, "_Run", None)  # what is finished is not trained again
    assert train(dataset, out, small, resume=True).file.read_bytes() == whole.file.read_bytes()


def test_half_a_checkpoint_is_told_and_learned_anew(small, dataset, tmp_path, monkeypatch, capsys):
    whole = train(dataset, tmp_path / "whole" / "part.casae", small)

    def die(*arguments):
        raise MemoryError("killed")

    out = tmp_path / "broken" / "part.casae"
    with monkeypatch.context() as broken:
        broken.setattr(loop._Run, "_save", die)
        with pytest.raises(MemoryError):
            train(dataset, out, small)
    state = out.parent / "part-training" / "network-1" / "last.pt"
    state.write_bytes((tmp_path / "whole/part-training/network-1/last.pt").read_bytes()[:2000])
    resumed = train(dataset, out, small, resume=True, reporter=Reporter(Console()))
    assert resumed.file.read_bytes() == whole.file.read_bytes()
    assert "is damaged; this network learns anew" in capsys.readouterr().out.replace("\n", " ")


@pytest.mark.parametrize(("residual", "patient"), [(True, [True, True]), (False, [False, True])])
def test_ctrl_c_ends_the_first_network_early_only_if_the_second_adds_to_it(
    small, dataset, tmp_path, monkeypatch, residual, patient
):
    seen, original = [], loop.fit

    def fit(task, batches, folder, reporter, stop, device):
        seen.append(stop.patient)
        return original(task, batches, folder, reporter, stop, device)

    monkeypatch.setattr("casae.training.stages.fit", fit)
    settings = small.segmenter.model_copy(update={"residual": residual})
    train(dataset, tmp_path / "part.casae", small.model_copy(update={"segmenter": settings}), stop=Stop())
    assert seen[:2] == patient


def test_all_images_can_be_learned_from(small, dataset, tmp_path):
    everything = replace(dataset, splits={})
    trained = train(everything, tmp_path / "part.casae", small.model_copy(update={"hold_out_share": 0}), split="all")
    manifest = read_bundle(trained.file).manifest
    assert (manifest.dataset.images, manifest.dataset.validation_images) == (12, 0)
    assert [trained.scores[name] for name in ("iou_network_1", "iou", "accuracy_true_crops_cnn")] == [None] * 3
    assert trained.scores["export_difference_segmenter"] < 0.02


def test_the_recipe_of_the_paper_runs_when_made_small(dataset, tmp_path):
    settings = settings_for("paper", width=4, size=64, epochs_1=1, epochs_2=1)
    segmenter = settings.segmenter.model_copy(update={"views": 8})
    classifier = settings.classifier.model_copy(update={"width": 6, "iterations": 3})
    settings = settings.model_copy(update={"segmenter": segmenter, "classifier": classifier})
    manifest = read_bundle(train(dataset, tmp_path / "paper.casae", settings).file).manifest
    assert (manifest.input.height, manifest.input.width, manifest.input.fit) == (64, 64, "squeeze")
    assert manifest.training.model_dump()["segmenter"]["loss"] == "weighted"


def test_a_model_of_tiles_remembers_it_and_starts_from_an_earlier_one(small, dataset, tmp_path):
    tiles = small.model_copy(update={"segmenter": small.segmenter.model_copy(update={"fit": "tile"})})
    first = train(dataset, tmp_path / "first.casae", tiles)
    assert read_bundle(first.file).manifest.input.fit == "tile"
    assert Inspector(first.file).inspect(dataset.samples[0].image).probability.shape == (192, 256)
    again = tiles.model_copy(update={"start": str(first.folder / "weights.pt"), "minutes": 0.02})
    assert train(dataset, tmp_path / "again.casae", again).scores["iou"] is not None


@pytest.mark.parametrize("has_bf16", [False, True])
def test_fast_starts_from_the_shipped_encoder_whatever_the_processor(has_bf16, dataset, tmp_path, monkeypatch):
    monkeypatch.setattr(crew, "has_bf16", lambda device: has_bf16)
    settings = settings_for("fast", width=4, size=64, epochs_1=1, epochs_2=1)
    segmenter = settings.segmenter.model_copy(update={"views": 8})
    classifier = settings.classifier.model_copy(update={"width": 6, "iterations": 3, "batch": 4})
    trained = train(
        dataset, tmp_path / "a.casae", settings.model_copy(update={"segmenter": segmenter, "classifier": classifier})
    )
    weights = torch.load(trained.folder / "weights.pt", weights_only=True)
    shipped = torch.load(str(files("casae") / "models" / "efficientnet-lite0.pt"), weights_only=True)
    kept, learned = "stem.0.weight", "blocks.9.body.0.weight"
    assert torch.equal(weights[f"first.encoder.{kept}"], shipped[kept])
    assert not torch.equal(weights[f"first.encoder.{learned}"], shipped[learned])
    assert read_bundle(trained.file).manifest.training.start == "imagenet"
    assert Inspector(trained.file).inspect(dataset.samples[0].image).probability.shape == (192, 256)


def test_a_refused_training_is_not_in_the_way_of_the_next(small, dataset, tmp_path):
    with pytest.raises(UsageError, match="no start weights"):
        train(dataset, tmp_path / "part.casae", small.model_copy(update={"start": "missing.pt"}))
    assert list(tmp_path.iterdir()) == []


def test_one_class_trains_no_classifier(small, dataset, tmp_path):
    samples = []
    for sample in dataset.samples:
        mask = tmp_path / f"{sample.name}.png"
        label = cv2.imread(str(sample.label.files[0]), cv2.IMREAD_UNCHANGED)
        cv2.imwrite(str(mask), 255 * (label > 0).astype(np.uint8))
        samples.append(replace(sample, label=mask_of(mask)))
    one = replace(dataset, classes=("defect",), samples=tuple(samples))
    trained = train(one, tmp_path / "part.casae", small)
    assert trained.scores["accuracy_true_crops_cnn"] is None
    assert read_bundle(trained.file).classifier is None


def test_a_folder_of_the_same_name_is_not_deleted(small, components, tmp_path):
    data = shutil.copytree(components, tmp_path / "part-training")
    with pytest.raises(UsageError, match="part-training: is needed for the training, and holds something else"):
        train(open_dataset(f"folder:{data}"), tmp_path / "part.casae", small)
    assert len(list((data / "images").iterdir())) == 12


def test_images_without_any_defect_are_refused(small, dataset, tmp_path):
    good = replace(dataset, samples=tuple(replace(s, label=KnownGood()) for s in dataset.samples))
    with pytest.raises(DatasetError, match="no labelled defect among 8 images"):
        train(good, tmp_path / "part.casae", small)
    assert not (tmp_path / "part-training").exists()


def test_masks_that_name_no_class_are_refused_before_anything_is_learned(small, components, tmp_path):
    shutil.copytree(components, tmp_path / "part")
    for mask in (tmp_path / "part/masks").iterdir():
        defect = cv2.imread(str(mask), cv2.IMREAD_UNCHANGED) > 0
        cv2.imwrite(str(mask), defect.astype(np.uint8) * 255)
    with pytest.raises(DatasetError, match=r"names its class; paint the values 1\.\.4, or list a single class"):
        train(open_dataset(f"folder:{tmp_path / 'part'}"), tmp_path / "part.casae", small)
    assert not (tmp_path / "part-training").exists()


def test_images_and_classes_that_nothing_is_learned_from_are_spoken_of(small, components, tmp_path, capsys):
    shutil.copytree(components, tmp_path / "part")
    (tmp_path / "part/masks/component-0000.png").unlink()
    for mask in (tmp_path / "part/masks").iterdir():
        label = cv2.imread(str(mask), cv2.IMREAD_UNCHANGED)
        cv2.imwrite(str(mask), np.where(label == 2, 1, label))
    data = open_dataset(f"folder:{tmp_path / 'part'}")
    train(data, tmp_path / "part.casae", small, reporter=Reporter(Console(stderr=True, width=2000)))
    said = capsys.readouterr().err
    assert "1 images without a mask are not learned from; move those without defects to good/" in said
    assert f"No labelled defect of class {data.classes[1]} to learn from: it will hardly be recognised" in said


def test_starting_anew_from_ones_own_weights_can_be_resumed(small, dataset, tmp_path, monkeypatch):
    """They were in the folder that the new training takes over; what they have learned is not held out."""
    everything = replace(dataset, splits={})
    out = tmp_path / "part.casae"
    first = train(everything.only([s.name for s in dataset.samples[:8]], "all"), out, small, split="all")
    learned = learned_by(first.folder / "weights.pt")
    assert len(learned) == 6
    again = small.model_copy(update={"start": str(first.folder / "weights.pt")})

    def die(*arguments):
        raise MemoryError("killed")

    monkeypatch.setattr(loop._Run, "_score", die)
    with pytest.raises(MemoryError):
        train(everything, out, again, split="all")
    monkeypatch.undo()
    trained = train(everything, out, again, split="all", resume=True)
    assert not any(learned.knows(to_gray(read_image(sample.image))) for sample in trained.validation.samples)
    learned = learned_by(first.folder / "weights.pt")
    fewer = everything.only([sample.name for sample in everything.samples[1:]], "all")
    train(fewer, out, again, split="all", resume=True)  # of other pictures: it begins anew, from weights that know more
    images = [to_gray(read_image(sample.image)) for sample in everything.samples]
    assert any(learned.knows(image) for image in images)
    now = learned_by(first.folder / "weights.pt")
    assert all(now.knows(image) for image in images if learned.knows(image))


def test_a_camera_of_twelve_bits_is_brought_to_full_scale(small, dataset, tmp_path):
    samples = []
    for sample in dataset.samples:
        image = tmp_path / f"{sample.name}.png"
        cv2.imwrite(str(image), cv2.imread(str(sample.image), cv2.IMREAD_GRAYSCALE).astype(np.uint16) * 16)
        samples.append(replace(sample, image=image))
    trained = train(replace(dataset, samples=tuple(samples)), tmp_path / "part.casae", small)
    inspector = Inspector(trained.file)
    assert inspector.manifest.white == 1 / 16
    inspection = inspector.inspect(samples[0].image)
    assert inspection.image.max() > 40_000
    names = {sample.name for name in ("train", "val") for sample in dataset.split(name).samples}
    seen = [inspector.in_full_scale(read_image(sample.image)) for sample in samples if sample.name in names]
    size = inspector.manifest.input  # in full scale once, as when inspected
    features = np.concatenate([with_features(inspector.segmenter, image, size)[1] for image in seen])
    assert np.allclose(read_bundle(trained.file).novelty.picture.mean, features.mean(0), rtol=1e-3, atol=1e-4)
    assert np.array_equal(inspection.probability, inspector.probability(read_image(samples[0].image)))


def test_a_wrong_suffix_is_explained(small, dataset, tmp_path):
    with pytest.raises(UsageError, match=r"say --out .*model\.casae"):
        train(dataset, tmp_path / "model.pt", small)


def test_weights_that_do_not_bear_rounding_are_stored_as_they_are(monkeypatch):
    torch.manual_seed(0)
    casae, images = CASAE.of_width(4).eval(), torch.rand(2, 1, 32, 32).numpy()
    torch.nn.init.normal_(casae.second.head.weight, std=100)  # or both differ from it by a last digit alone
    compact = export.export_segmenter(casae, images)
    monkeypatch.setattr(export, "LARGEST_DIFFERENCE", compact.difference / 2)
    exact = export.export_segmenter(casae, images)
    assert exact.difference < compact.difference
    assert len(exact.onnx) > 1.3 * len(compact.onnx)


def test_an_export_that_differs_is_refused(monkeypatch):
    casae = CASAE.of_width(4).eval()
    monkeypatch.setattr(export, "LARGEST_DIFFERENCE", -1.0)
    with pytest.raises(BundleError, match="differs by"):
        export.export_segmenter(casae, torch.rand(2, 1, 32, 32).numpy())


@pytest.mark.skipif(os.name == "nt", reason="POSIX signals")
def test_ctrl_c_keeps_the_best_so_far(components, tmp_path):
    out = tmp_path / "part.casae"
    program = "from casae.training import loop; loop.COOL_DOWN = 2.0; from casae.cli.main import main; main()"
    options = ["--preset", "scratch", "--set", "width=4", "--size", "64", "--minutes", "30"]
    process = subprocess.Popen(
        [sys.executable, "-c", program, "train", f"folder:{components}", "--out", str(out), *options],
        stdout=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    best, curve = (tmp_path / "part-training" / "network-1" / name for name in ("best.pt", "metrics.csv"))
    deadline = time.monotonic() + 300
    try:
        while not (best.exists() and curve.exists()) and time.monotonic() < deadline:
            time.sleep(0.2)
        lines = len(curve.read_text().splitlines())
        os.killpg(process.pid, signal.SIGINT)  # a terminal sends it to the loader processes, too
        printed, _ = process.communicate(timeout=300)
    finally:
        process.kill()
    assert process.returncode == 0, printed
    assert read_bundle(out).manifest.classes
    assert "held-out images" in out.with_suffix(".html").read_text()
    assert json.loads((tmp_path / "part-training" / "identity.json").read_text())["settings"]["minutes"] == 30
    assert "Ending in 2 s" in printed
    assert "Classes are learned for 2 s more" in printed
    assert len(curve.read_text().splitlines()) > lines  # it went on, with a falling rate


class Recorder:
    """What casae uses of MLflow's client."""

    runs: ClassVar[list[tuple[str, str]]] = []
    metrics: ClassVar[list[tuple[str, str, float]]] = []

    def __init__(self, tracking_uri):
        self.uri = tracking_uri

    def get_experiment_by_name(self, name):
        return SimpleNamespace(experiment_id=name)

    def create_run(self, experiment, run_name):
        self.runs.append((experiment, run_name, self.uri))
        return SimpleNamespace(info=SimpleNamespace(run_id=run_name))

    def log_metric(self, run, name, value, step):
        self.metrics.append((run, name, value))

    def set_terminated(self, run):
        pass


def test_curves_go_to_mlflow_where_a_uri_is_given(small, dataset, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "mlflow", SimpleNamespace())
    monkeypatch.setitem(sys.modules, "mlflow.tracking", SimpleNamespace(MlflowClient=Recorder))
    train(dataset, tmp_path / "part.casae", small, reporter=Reporter(mlflow="sqlite:///runs.db"))
    stages = ("network-1", "network-2", "classifier")
    assert Recorder.runs == [("casae", f"part {stage}", "sqlite:///runs.db") for stage in stages]
    assert {name for _, name, _ in Recorder.metrics} == {"loss", "val_iou", "val_accuracy"}


def test_without_mlflow_its_uri_is_explained(small, dataset, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "mlflow", None)
    with pytest.raises(MissingExtraError, match="pip install mlflow-skinny"):
        train(dataset, tmp_path / "part.casae", small, reporter=Reporter(mlflow="sqlite:///runs.db"))


def test_an_earlier_model_is_still_there_after_a_kill_at_the_very_end(small, dataset, tmp_path, monkeypatch):
    out, before = tmp_path / "a.casae", tmp_path / "a-before.casae"
    out.write_bytes(b"of another training")

    def die(*arguments):
        raise MemoryError("killed")

    monkeypatch.setattr(Path, "touch", die)  # of what says that all is done
    with pytest.raises(MemoryError):
        train(dataset, out, small)
    monkeypatch.undo()
    train(dataset, out, small, resume=True)
    assert before.read_bytes() == b"of another training"


def test_copies_are_grouped_before_it_is_drawn(small, components, tmp_path):
    shutil.copytree(components, tmp_path / "part")
    shutil.rmtree(tmp_path / "part/splits")
    for index in range(3):
        for part in ("images", "masks"):
            shutil.copy(tmp_path / f"part/{part}/component-0000.png", tmp_path / f"part/{part}/again-{index}.png")
    names = {"component-0000", *(f"again-{index}" for index in range(3))}
    trained = train(open_dataset(f"folder:{tmp_path / 'part'}"), tmp_path / "a.casae", small, split="all")
    held = {sample.name for sample in trained.validation.samples}
    assert held & names in (set(), names)
    assert any("4 pictures are copies of each other, 1 different ones" in note.text for note in trained.notes)


def test_the_same_picture_in_both_lists_is_refused(small, components, tmp_path):
    shutil.copytree(components, tmp_path / "part")
    data = open_dataset(f"folder:{tmp_path / 'part'}")
    held = data.split("val").samples[0]
    for part in ("images", "masks"):
        shutil.copy(tmp_path / f"part/{part}/component-0000.png", tmp_path / f"part/{part}/{held.name}.png")
    with pytest.raises(DatasetError, match=f"{held.name} = component-0000: the same picture is learned from and held"):
        train(data, tmp_path / "a.casae", small)


@pytest.mark.parametrize("preset", ["fast", "scratch"])
def test_a_model_of_colour_sees_it(preset, tmp_path):
    list(write_components(tmp_path / "tints", 8, 0, 96, 128, "tints"))
    settings = settings_for(preset, size=64, epochs_1=1, epochs_2=1, views=16, classifier__width=6, paste=0.3)
    classifier = settings.classifier.model_copy(update={"iterations": 4, "batch": 4})
    settings = settings.model_copy(update={"classifier": classifier})
    data = open_dataset(f"folder:{tmp_path / 'tints'}")
    trained = train(data, tmp_path / "tint.casae", settings)
    assert any("in colour (in" in note.text for note in trained.notes)
    inspector = Inspector(tmp_path / "tint.casae")
    assert inspector.manifest.input.channels == 3
    picture = read_image(tmp_path / "tints" / "images" / "component-0000.png")
    turned = inspector.probability(picture[..., ::-1].copy())
    assert inspector.probability(picture).shape == turned.shape == (96, 128)
    assert not np.allclose(inspector.probability(picture), turned, atol=1e-4)
    inspector.inspect(to_gray(picture))
    gray = settings.model_copy(update={"segmenter": settings.segmenter.model_copy(update={"channels": 1})})
    assert read_bundle(train(data, tmp_path / "gray.casae", gray).file).manifest.input.channels == 1


def test_tiles_of_colour_are_learned(tmp_path):
    list(write_components(tmp_path / "tints", 8, 0, 96, 128, "tints"))
    settings = settings_for("scratch", tile=True, size=64, epochs_1=1, epochs_2=1, views=16, width=4)
    classifier = settings.classifier.model_copy(update={"iterations": 4, "batch": 4, "width": 6})
    data = open_dataset(f"folder:{tmp_path / 'tints'}")
    trained = train(data, tmp_path / "tint.casae", settings.model_copy(update={"classifier": classifier}))
    manifest = read_bundle(trained.file).manifest
    assert (manifest.input.fit, manifest.input.channels) == ("tile", 3)
    Inspector(trained.file).inspect(tmp_path / "tints" / "images" / "component-0001.png")


def test_a_model_of_colours_inspects_colours(small, tmp_path):
    list(write_components(tmp_path / "tints", 12, seed=0, height=96, width=128, kind="tints"))
    settings = small.model_copy(update={"segmenter": small.segmenter.model_copy(update={"channels": 3})})
    trained = train(open_dataset(f"folder:{tmp_path / 'tints'}"), tmp_path / "part.casae", settings)
    inspector = Inspector(trained.file)
    assert inspector.manifest.input.channels == 3
    image = read_image(next(iter(sorted((tmp_path / "tints" / "images").iterdir()))))
    inspection = inspector.inspect(image)
    assert np.array_equal(inspection.probability, inspector.probability(image))
    assert not np.array_equal(inspection.probability, inspector.probability(to_gray(image)))
    assert inspection.novelty == inspector.look(image)[1]
