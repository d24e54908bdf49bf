import pytest

from casae.errors import UsageError
from casae.recipes import PRESETS, parsed, settings_for


def test_paper_holds_the_numbers_of_the_paper():
    segmenter, classifier = PRESETS["paper"].segmenter, PRESETS["paper"].classifier
    assert (segmenter.width, segmenter.size, segmenter.fit, segmenter.atrous) == (64, 512, "squeeze", True)
    assert (segmenter.batch, segmenter.learning_rate, segmenter.epochs_1, segmenter.epochs_2) == (2, 1e-4, 30, 20)
    assert (segmenter.loss, segmenter.patch, segmenter.norm, segmenter.residual) == ("weighted", 1, False, False)
    assert (classifier.optimiser, classifier.learning_rate, classifier.batch) == ("sgd", 1e-3, 8)
    assert (classifier.initial, classifier.iterations, classifier.width) == ("normal-0.001", 30_000, 96)


def test_what_is_asked_for_replaces_the_preset():
    settings = settings_for("fast", width=8, size=128, epochs_1=2, seed=4)
    assert (settings.segmenter.width, settings.segmenter.size, settings.segmenter.epochs_1, settings.seed) == (
        8,
        128,
        2,
        4,
    )
    assert settings.segmenter.epochs_2 == PRESETS["fast"].segmenter.epochs_2


def test_without_start_weights_the_paper_s_encoder_learns():
    assert settings_for("fast").start == "imagenet"
    assert settings_for("fast").segmenter.encoder == "efficientnet-lite0"
    scratch = settings_for("fast", start="scratch")
    assert scratch == settings_for("scratch")
    assert (scratch.start, scratch.segmenter.encoder) == ("scratch", "atrous")
    assert settings_for("fast", start="mine/weights.pt").start == "mine/weights.pt"


@pytest.mark.parametrize(
    ("values", "rule"),
    [
        ({"preset": "slow"}, "preset slow: no such preset; there are fast, scratch, paper"),
        ({"minutes": 3, "epochs_1": 2}, "choose one way"),
        ({"size": 100}, "size 100: must be a multiple of 32; 96 works"),
        ({"size": 96, "patch": 4}, "size 96: must be a multiple of 64; 128 works"),
        ({"patch": 3}, "patch 3: input should be 1, 2 or 4"),
        ({"minutes": -1}, "minutes -1: input should be greater than 0"),
        ({"width": 1}, "width 1: input"),
        ({"hold_out_share": 1.0}, "hold_out_share 1.0: input should be less than 1"),
        ({"epochs_1": 0}, "epochs_1 0"),
        ({"scale": 0.0}, "scale 0.0: input should be greater than 0"),
        ({"paste": 2.0}, "paste 2.0"),
        ({"colour": True}, "colour: no such setting"),
        ({"classifier__depth": 3}, r"classifier\.depth: no such setting"),
        ({"preset_": 3}, "preset_: no such setting"),
        ({"scale": 0.5, "tile": False}, "scale and no tiles"),
    ],
)
def test_what_cannot_work_is_explained(values, rule):
    with pytest.raises(UsageError, match=rule):
        settings_for(**values)


def test_settings_of_the_classifier_are_named_with_it():
    assert settings_for("fast", classifier__width=48).classifier.width == 48


@pytest.mark.parametrize("text", ["paste", "=3", ""])
def test_an_assignment_that_is_none_is_explained(text):
    with pytest.raises(UsageError, match="write NAME=VALUE"):
        parsed(text)


@pytest.mark.parametrize("given", [{"tile": True}, {"tile": False}, {"scale": 0.5}])
def test_what_decides_the_fit_is_said_once(given):
    with pytest.raises(UsageError, match="leave one out"):
        settings_for("fast", fit="letterbox", **given)


def test_every_network_has_a_part_of_the_time():
    with pytest.raises(UsageError, match="minutes_share"):
        settings_for("fast", minutes=10, minutes_share=(0.8, 0.2, 0.0))
