import shutil
import signal

import cv2
import numpy as np
import pytest
import torch
from torch import nn

from casae.datasets.registry import open_dataset
from casae.decoding import read_image
from casae.errors import DatasetError
from casae.image import to_gray
from casae.inspection.grain import Fingerprints
from casae.inspection.segmentation import threshold
from casae.labelled.images import LabelledImage
from casae.models.bundle import InputSize, read_bundle
from casae.recipes import settings_for
from casae.synthetic.components import write_components
from casae.training import stages
from casae.training.progress import Reporter
from casae.training.state import read_weights
from casae.training.stop import Stop
from casae.training.train import train
from casae.training.unlabelled import identity_of, pseudo_labelled, unlabelled_images
from casae.training.views import AlternatingViews, MaskViews, SegmenterViews

LETTERBOX = InputSize(height=192, width=256, fit="letterbox")

pytestmark = pytest.mark.slow


class Bright(nn.Module):
    """Calls bright pixels defects, with logits of +-4 around a gray of 0.75."""

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        evidence = 80 * (image - 0.75)
        return torch.cat([torch.zeros_like(image), evidence.clamp(-4, 4)], dim=1)


class Constant(SegmenterViews):
    """Views that show their own position."""

    def __init__(self, views, seed):
        super().__init__([], views, seed)

    def __getitem__(self, position):
        return torch.tensor(position), torch.tensor(self.seed)


@pytest.fixture(scope="module")
def more(tmp_path_factory):
    """Ten images from the same line, with labels that nobody reads."""
    folder = tmp_path_factory.mktemp("line")
    list(write_components(folder, 10, seed=8, height=192, width=256))
    return folder / "images"


def test_labelled_held_out_and_test_images_are_left_out(components):
    dataset = open_dataset(f"folder:{components}")
    part = dataset.split("train")
    files = unlabelled_images(components / "images", dataset, "train", seed=0)
    lists = (part, dataset.split("val"), dataset.split("test"))
    expected = {s.name for s in dataset.samples} - {s.name for each in lists for s in each.samples}
    assert {file.stem for file in files} == expected


def test_copies_in_another_folder_are_left_out_as_well(components, more, tmp_path):
    dataset = open_dataset(f"folder:{components}")
    part = dataset.split("train")
    for number, file in enumerate((part.samples[0].image, dataset.split("test").samples[0].image)):
        shutil.copy(file, tmp_path / f"camera-{number}{file.suffix}")
    shutil.copy(next(more.iterdir()), tmp_path / "other.png")
    assert [file.name for file in unlabelled_images(tmp_path, dataset, "train", seed=0)] == ["other.png"]


def test_the_order_is_drawn_by_the_seed(components, more):
    dataset = open_dataset(f"folder:{components}")
    first, again, other = (unlabelled_images(more, dataset, "train", seed) for seed in (0, 0, 1))
    assert first == again
    assert first != other
    assert sorted(first) == sorted(other)


def test_a_folder_without_other_images_is_refused(components, tmp_path):
    dataset = open_dataset(f"folder:{components}")
    with pytest.raises(DatasetError, match="no such folder"):
        unlabelled_images(tmp_path / "nothing", dataset, "train", 0)
    assert unlabelled_images(components / "images", dataset, "all", 0) == []
    with pytest.raises(DatasetError, match="no image besides the labelled and test ones"):
        train(dataset, tmp_path / "part.casae", settings_for("scratch"), split="all", unlabelled=components / "images")


def test_what_the_network_sees_becomes_the_label(more):
    files = sorted(more.iterdir())
    found = pseudo_labelled(Bright(), files, LETTERBOX, Reporter(), Stop())
    assert len(found) == 10
    for image in found:
        gray = to_gray(read_image(more / f"{image.name}.png"))
        np.testing.assert_array_equal(image.gray, gray)
        evidence = 1 / (1 + np.exp(-np.clip(80 * (gray / 255 - 0.75), -4, 4)))
        np.testing.assert_array_equal(image.label, evidence >= 1 - 100 / 255)


def test_the_teacher_looks_four_ways_and_the_mean_counts(tmp_path):
    """A network that sees defects in the left half alone sees half of one from every side."""

    class Left(nn.Module):
        def forward(self, image):
            left = torch.arange(image.shape[3]) < image.shape[3] // 2
            evidence = torch.where(left, 8.0, -8.0).expand_as(image)
            return torch.cat([torch.zeros_like(image), evidence], dim=1)

    seen = []

    def look(gray, *rest):
        seen.append(gray.copy())
        return threshold(gray, *rest)

    file = tmp_path / "a.png"
    cv2.imwrite(str(file), np.full((192, 256), 100, np.uint8))
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr("casae.training.unlabelled.inspection.threshold", look)
        found = pseudo_labelled(Left(), [file], LETTERBOX, Reporter(), Stop())
    np.testing.assert_allclose(seen[0], 0.5, atol=1e-3)
    assert not found[0].label.any()


def test_of_unlabelled_images_each_is_seen_as_often_however_few_show_a_defect():
    gray, label = np.zeros((64, 64), np.uint8), np.zeros((64, 64), np.uint8)
    label[20:30, 20:30] = 1
    images = [LabelledImage(str(i), gray, label * (i == 0)) for i in range(8)]
    views = MaskViews(images, 64, 64, "letterbox", views=64, seed=0)
    shown = [sum(bool(each[position][1].any()) for position in range(64)) for each in (views, views.evenly())]
    assert shown[0] > 24
    assert shown[1] <= 8


def test_ctrl_c_ends_the_labelling_and_not_the_program(more):
    files, reporter, stop = sorted(more.iterdir()), Reporter(), Stop()
    reporter.step = lambda budget: signal.getsignal(signal.SIGINT)(signal.SIGINT, None)
    with stop.on_interrupt():
        assert len(pseudo_labelled(Bright(), files, LETTERBOX, reporter, stop)) == 1
    assert stop.requested


def test_an_unreadable_image_is_named_and_left_out(more, tmp_path, capsys):
    from rich.console import Console

    bad = tmp_path / "bad.png"
    bad.write_bytes(b"no image")
    files = [bad, *sorted(more.iterdir())[:2]]
    found = pseudo_labelled(Bright(), files, LETTERBOX, Reporter(Console(width=200)), Stop())
    assert len(found) == 2
    assert "bad.png" in capsys.readouterr().out


def test_no_more_time_is_taken_than_given(more):
    files = sorted(more.iterdir())
    assert len(pseudo_labelled(Bright(), files, LETTERBOX, Reporter(), Stop(), seconds=1e-9)) == 0


def test_every_second_view_is_a_labelled_one():
    views = AlternatingViews(Constant(4, seed=1), Constant(4, seed=2))
    assert len(views) == 8
    shown = [tuple(value.item() for value in views[position]) for position in range(4)]
    assert shown == [(0, 1), (0, 2), (1, 2), (1, 1)]


def test_a_changed_folder_has_another_identity(more):
    files = sorted(more.iterdir())
    assert identity_of(files) == identity_of(files[::-1])
    assert identity_of(files) != identity_of(files[1:])


@pytest.fixture
def tiny():
    settings = settings_for("scratch", width=4, size=64, epochs_1=1, epochs_2=1)
    segmenter = settings.segmenter.model_copy(update={"views": 16})
    classifier = settings.classifier.model_copy(update={"width": 6, "iterations": 2, "batch": 4})
    return settings.model_copy(update={"segmenter": segmenter, "classifier": classifier})


def test_training_says_how_many_unlabelled_images_it_saw(components, more, tmp_path, tiny):
    dataset = open_dataset(f"folder:{components}")
    alone = read_bundle(train(dataset, tmp_path / "alone.casae", tiny).file)
    both = read_bundle(train(dataset, tmp_path / "both.casae", tiny, unlabelled=more).file)
    again = read_bundle(train(dataset, tmp_path / "both.casae", tiny, unlabelled=more, resume=True).file)
    assert both.manifest.dataset.unlabelled_images == 10
    assert "10 unlabelled ones" in both.card
    assert alone.segmenter != both.segmenter
    assert again.segmenter == both.segmenter


def begun_with(monkeypatch, stage="network-2"):
    """What network 1 is when a stage begins, filled in as trainings come to it."""
    begun = []
    fitted = stages.fit

    def fit(task, batches, folder, *rest):
        if folder.name == stage:
            begun.append([value.clone() for value in task.casae.first.state_dict().values()])
        return fitted(task, batches, folder, *rest)

    monkeypatch.setattr(stages, "fit", fit)
    return begun


def same(weights, file):
    return all(torch.equal(mine, theirs) for mine, theirs in zip(weights, read_weights(file).values(), strict=True))


@pytest.mark.parametrize(
    ("gain", "error", "kept"), [(-0.03, 0.01, "teacher"), (-0.01, 0.03, "student"), (0.02, 0.01, "student")]
)
def test_a_student_that_is_worse_on_held_out_images_is_not_kept(
    components, more, tmp_path, tiny, monkeypatch, gain, error, kept
):
    monkeypatch.setattr(stages, "iou_gain", lambda first, second: (gain, error))
    monkeypatch.setattr(stages, "ENOUGH_DEFECTIVE", 1)
    begun = begun_with(monkeypatch)
    trained = train(open_dataset(f"folder:{components}"), tmp_path / "a.casae", tiny, unlabelled=more)
    folders = {"teacher": "network-1", "student": "student"}
    assert same(begun[0], trained.folder / folders[kept] / "best.pt")
    said = [note.text for note in trained.notes if "unlabelled images" in note.text]
    verb = "are not learned from" if kept == "teacher" else "are learned from as well"
    count = len(trained.validation.samples)
    assert said == [f"The unlabelled images {verb}: {100 * gain:+.1f} points of IoU on {count} held-out images"]
    learned = Fingerprints.read(read_bundle(trained.file).learned)
    assert len(learned) == len(open_dataset(f"folder:{components}").splits["train"]) + 10 * (kept == "student")


@pytest.mark.parametrize("moment", ["unlabelled", "student"])
def test_a_student_that_is_ended_early_is_not_kept(components, more, tmp_path, tiny, monkeypatch, moment):
    monkeypatch.setattr(stages, "ENOUGH_DEFECTIVE", 100)
    monkeypatch.setattr("casae.training.train.COOL_DOWN", 0.5)
    monkeypatch.setattr("casae.training.loop.COOL_DOWN", 0.5)
    stop, reporter = Stop(), Reporter()
    stage = reporter.stage
    reporter.stage = lambda name: (stop.request() if name == moment else None, stage(name))
    begun = begun_with(monkeypatch)
    trained = train(
        open_dataset(f"folder:{components}"), tmp_path / "a.casae", tiny, unlabelled=more, stop=stop, reporter=reporter
    )
    assert same(begun[0], trained.folder / "network-1" / "best.pt")
    assert trained.early


@pytest.mark.parametrize("joint", [True, False])
def test_a_training_that_is_exported_again_has_its_student(components, more, tmp_path, tiny, joint):
    settings = tiny.model_copy(update={"segmenter": tiny.segmenter.model_copy(update={"joint": joint})})
    data = open_dataset(f"folder:{components}")
    first = train(data, tmp_path / "a.casae", settings, unlabelled=more)
    one = read_bundle(first.file)
    again = train(data, tmp_path / "a.casae", settings, unlabelled=more, resume=True)
    other = read_bundle(again.file)
    assert one.segmenter == other.segmenter
    assert one.learned == other.learned
    assert first.scores == again.scores
    assert [n.text for n in first.notes if "unlabelled" in n.text] == [
        n.text for n in again.notes if "unlabelled" in n.text
    ]


def test_a_student_begins_anew(components, more, tmp_path, tiny, monkeypatch):
    begun = {}
    fitted = stages.fit

    def fit(task, batches, folder, *rest):
        begun[folder.name] = [value.clone() for value in task.casae.first.state_dict().values()]
        return fitted(task, batches, folder, *rest)

    monkeypatch.setattr(stages, "fit", fit)
    trained = train(open_dataset(f"folder:{components}"), tmp_path / "a.casae", tiny, unlabelled=more)
    teacher = read_weights(trained.folder / "network-1" / "best.pt").values()
    assert not any(
        torch.equal(mine, theirs) and mine.dim() > 1 for mine, theirs in zip(begun["student"], teacher, strict=True)
    )


def test_in_a_short_training_network_1_goes_on_itself(components, more, tmp_path, tiny, monkeypatch):
    begun = begun_with(monkeypatch)
    short = tiny.model_copy(update={"minutes": 0.02})
    trained = train(open_dataset(f"folder:{components}"), tmp_path / "a.casae", short, unlabelled=more)
    assert same(begun[0], trained.folder / "network-1" / "best.pt")
    assert not (trained.folder / "student").exists()
    learned = Fingerprints.read(read_bundle(trained.file).learned)
    assert len(learned) > len(open_dataset(f"folder:{components}").splits["train"])
