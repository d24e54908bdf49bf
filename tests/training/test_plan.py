from dataclasses import replace

import numpy as np
import pytest

from casae.datasets.registry import open_dataset
from casae.datasets.sample import Dataset, Sample
from casae.labelled.images import LabelledImage
from casae.models.bundle import InputSize
from casae.recipes import PRESETS
from casae.training.plan import Run, affordable
from casae.training.progress import Reporter
from casae.training.stop import Stop


@pytest.mark.parametrize(
    ("minutes", "classes", "unlabelled", "seconds"),
    [
        (2, 2, (), (84, 21.6, 14.4)),
        (2, 1, (), (95.4545, 24.5455)),
        (2, 2, ("a",), (52.8, 52.8, 14.4)),
        (20, 2, ("a",), (422.4, 506.88, 126.72, 144)),  # with a student
    ],
)
def test_minutes_are_shared_among_the_networks(components, tmp_path, minutes, classes, unlabelled, seconds):
    data = replace(open_dataset(f"folder:{components}"), classes=("a", "b")[:classes])
    settings = PRESETS["fast"].model_copy(update={"minutes": minutes})
    size = InputSize(height=64, width=64, fit="letterbox")
    run = Run(settings, data, data, [], [], size, 12, 1.0, tmp_path, Reporter(), Stop(), "cpu", unlabelled)
    budgets = [run.budget(stage, 480) for stage in run.shares]
    assert [budget.seconds for budget in budgets] == pytest.approx(seconds, abs=1e-3)


@pytest.mark.parametrize(("minutes", "scale", "judged"), [(2, 1.0, 20), (0.1, 1.0, 16), (2, 0.5, 40), (None, 1.0, 40)])
def test_large_held_out_images_are_judged_as_far_as_the_minutes_go(tmp_path, minutes, scale, judged):
    gray = np.zeros((1000, 1000), np.uint8)
    validation = [LabelledImage(str(index), gray, gray if index % 4 else gray + 1) for index in range(40)]
    held = Dataset("folder:x", ("a",), tuple(Sample(i.name, tmp_path / i.name) for i in validation), {}, "val")
    size = InputSize(height=256, width=256, fit="tile", scale=scale)
    settings = PRESETS["fast"].model_copy(update={"minutes": minutes})
    part, images, said = affordable(held, validation, size, settings)
    assert [sample.name for sample in part.samples] == [image.name for image in images]
    assert (len(images), sum(bool(image.label.any()) for image in images)) == (judged, judged // 4)
    assert bool(said) == (judged < 40)
