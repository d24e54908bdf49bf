from dataclasses import replace

import pytest

from casae.config import PRESETS
from casae.datasets.readers import open_dataset
from casae.inspection.bundle import InputSize
from casae.training.progress import Reporter
from casae.training.run import Run


@pytest.mark.parametrize(
    ("classes", "unlabelled", "seconds"),
    [(2, (), (84, 21.6, 14.4)), (1, (), (95.4545, 24.5455)), (2, ("a",), (52.8, 52.8, 14.4))],
)
def test_minutes_are_shared_among_the_networks(components, tmp_path, classes, unlabelled, seconds):
    data = replace(open_dataset(f"folder:{components}"), classes=("a", "b")[:classes])
    settings = PRESETS["fast"].model_copy(update={"minutes": 2})
    size = InputSize(height=64, width=64, fit="letterbox")
    run = Run(settings, data, data, [], [], size, 12, 1.0, tmp_path, Reporter(), unlabelled)
    budgets = [run.budget(stage, 480) for stage in range(1, len(seconds) + 1)]
    assert [budget.seconds for budget in budgets] == pytest.approx(seconds, abs=1e-3)
