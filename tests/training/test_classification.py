import numpy as np
import pytest

from casae.config import PRESETS
from casae.inspection.regions import find_regions
from casae.training.budget import Budget
from casae.training.classification import ClassificationTask, build
from casae.training.data import LabelledCrop
from casae.training.loop import ENOUGH


def crops_of(images):
    spot = np.zeros((32, 32), bool)
    spot[4:12, 4:12] = spot[20:28, 4:12] = True
    return [
        LabelledCrop(gray, r, 0)
        for gray in (spot.astype(np.uint8) for _ in range(images))
        for r in find_regions(spot, 1)
    ]


@pytest.mark.parametrize(
    ("preset", "images", "decides"),
    [("fast", 0, False), ("fast", ENOUGH - 1, False), ("fast", ENOUGH, True), ("paper", 1, True)],
)
def test_few_held_out_images_do_not_choose_weights(preset, images, decides):
    """However many crops they hold; the paper's constant learning rate needs the choice."""
    settings = PRESETS[preset].classifier.model_copy(update={"width": 6})
    task = ClassificationTask(build(settings, 2), settings, Budget(steps=1), crops_of(1), crops_of(images), 2)
    assert len(task.validation) == 2 * images
    assert task.score_decides is decides
