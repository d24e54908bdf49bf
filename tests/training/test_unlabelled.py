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
from casae.models.bundle import InputSize, read_bundle
from casae.recipes import settings_for
from casae.synthetic.components import write_components
from casae.training.progress import Reporter
from casae.training.stop import Stop
from casae.training.train import train
from casae.training.unlabelled import AlternatingViews, identity_of, pseudo_labelled, unlabelled_images
from casae.training.views import SegmenterViews

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
    files = unlabelled_images(components / "images", dataset, (part,), seed=0)
    expected = {s.name for s in dataset.samples} - {s.name for s in (*part.samples, *dataset.split("test").samples)}
    assert {file.stem for file in files} == expected


def test_copies_in_another_folder_are_left_out_as_well(components, more, tmp_path):
    dataset = open_dataset(f"folder:{components}")
    part = dataset.split("train")
    for number, file in enumerate((part.samples[0].image, dataset.split("test").samples[0].image)):
        shutil.copy(file, tmp_path / f"camera-{number}{file.suffix}")
    shutil.copy(next(more.iterdir()), tmp_path / "other.png")
    assert [file.name for file in unlabelled_images(tmp_path, dataset, (part,), seed=0)] == ["other.png"]


def test_the_order_is_drawn_by_the_seed(components, more):
    dataset = open_dataset(f"folder:{components}")
    first, again, other = (unlabelled_images(more, dataset, (), seed) for seed in (0, 0, 1))
    assert first == again
    assert first != other
    assert sorted(first) == sorted(other)


def test_a_folder_without_other_images_is_refused(components, tmp_path):
    dataset = open_dataset(f"folder:{components}")
    with pytest.raises(DatasetError, match="no such folder"):
        unlabelled_images(tmp_path / "nothing", dataset, (), 0)
    with pytest.raises(DatasetError, match="no image besides"):
        unlabelled_images(components / "images", dataset, (dataset,), 0)


def test_what_the_network_sees_becomes_the_label(more):
    files = sorted(more.iterdir())
    found = pseudo_labelled(Bright(), files, LETTERBOX, Reporter(), Stop())
    assert len(found) == 8  # the surest four fifths
    for image in found:
        gray = to_gray(read_image(more / f"{image.name}.png"))
        np.testing.assert_array_equal(image.gray, gray)
        evidence = 1 / (1 + np.exp(-np.clip(80 * (gray / 255 - 0.75), -4, 4)))
        np.testing.assert_array_equal(image.label, evidence >= 1 - 100 / 255)


def test_the_least_sure_image_is_left_out(tmp_path):
    files = [tmp_path / f"{name}.png" for name in ("doubtful", "a", "b", "c", "d")]
    for file in files:
        cv2.imwrite(str(file), np.full((64, 64), 191 if file.stem == "doubtful" else 250, np.uint8))
    found = pseudo_labelled(Bright(), files, LETTERBOX, Reporter(), Stop())
    assert {image.name for image in found} == set("abcd")


def test_images_in_which_nothing_is_seen_are_not_the_surest_for_that(tmp_path):
    levels = {"missed": 189, "a": 100, "b": 100, "c": 100, "d": 100, "defect": 250}
    files = [tmp_path / f"{name}.png" for name in levels]
    for file, level in zip(files, levels.values(), strict=True):
        cv2.imwrite(str(file), np.full((64, 64), level, np.uint8))
    found = pseudo_labelled(Bright(), files, LETTERBOX, Reporter(), Stop())
    assert {image.name for image in found} == {"a", "b", "c", "d", "defect"}


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
    assert shown == [(0, 1), (0, 2), (1, 1), (1, 2)]


def test_a_changed_folder_has_another_identity(more):
    files = sorted(more.iterdir())
    assert identity_of(files) == identity_of(files[::-1])
    assert identity_of(files) != identity_of(files[1:])


def test_training_says_how_many_unlabelled_images_it_saw(components, more, tmp_path):
    settings = settings_for("scratch", width=4, size=64, epochs_1=1, epochs_2=1)
    segmenter = settings.segmenter.model_copy(update={"views": 16})
    classifier = settings.classifier.model_copy(update={"width": 6, "iterations": 2, "batch": 4})
    settings = settings.model_copy(update={"segmenter": segmenter, "classifier": classifier})
    dataset = open_dataset(f"folder:{components}")
    alone = read_bundle(train(dataset, tmp_path / "alone.casae", settings).file)
    both = read_bundle(train(dataset, tmp_path / "both.casae", settings, unlabelled=more).file)
    again = read_bundle(train(dataset, tmp_path / "both.casae", settings, unlabelled=more, resume=True).file)
    assert both.manifest.dataset.unlabelled_images == 10
    assert "10 unlabelled ones" in both.card
    assert alone.segmenter != both.segmenter
    assert again.segmenter == both.segmenter
