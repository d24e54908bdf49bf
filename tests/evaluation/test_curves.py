import cv2
import numpy as np
import pytest

from casae import Inspector
from casae.datasets.readers import open_dataset
from casae.errors import UsageError
from casae.evaluation.curves import Cost, choose_gs, cost_curve
from casae.metrics import Counts


@pytest.fixture
def parts(tmp_path):
    """A clear defect, one at the edge of what the dark model marks, and a good part."""
    for part in ("images", "masks"):
        (tmp_path / part).mkdir()
    (tmp_path / "dataset.toml").write_text('classes = ["stain", "glare"]\n')
    for name, level in (("clear", 10), ("faint", 77), ("good", 200)):
        image = np.full((64, 64), 200, np.uint8)
        image[20:30, 20:30] = level
        cv2.imwrite(str(tmp_path / "images" / f"{name}.png"), image)
        cv2.imwrite(str(tmp_path / "masks" / f"{name}.png"), (image < 100).astype(np.uint8))
    return open_dataset(f"folder:{tmp_path}")


def test_a_larger_gs_lets_fewer_defects_escape(parts, dark_model):
    costs = cost_curve(Inspector(dark_model), parts)
    escaped = [cost.escaped for cost in costs]
    assert escaped == sorted(escaped, reverse=True)
    assert (escaped[0], escaped[-1]) == (1, 0)
    assert {(cost.regions, cost.defective, cost.good, cost.images) for cost in costs} == {(2, 2, 1, 3)}
    assert costs[0].passed == 1
    assert costs[0].rejected == 0
    recalled, why = choose_gs(costs, "recall=1")
    assert recalled.gs == next(cost.gs for cost in costs if not cost.escaped)
    assert "touches 1 of the held-out defects" in why
    assert recalled.summary()["escaped_regions"] == 0


def test_folds_are_counted_together(parts, dark_model):
    inspector = Inspector(dark_model)
    both = cost_curve(
        inspector, parts.only(["good"], "fold 2"), cost_curve(inspector, parts.only(["clear", "faint"], "1"))
    )
    assert both == cost_curve(inspector, parts)


def cost(gs: float, f1_of_1000: int, escaped: int = 0) -> Cost:
    missed = 1000 - f1_of_1000
    return Cost(gs, Counts(f1_of_1000, missed, missed, 0), regions=10, escaped=escaped, defective=10)


def test_the_best_f1_and_of_equals_the_one_next_to_the_papers():
    curve = [cost(50, 800), cost(100, 850), cost(130, 900), cost(160, 901), cost(200, 700)]
    assert choose_gs(curve, "f1")[0].gs == 130
    assert choose_gs(curve, None)[0].gs == 130
    assert choose_gs(curve, "keep")[0].gs == 100


def test_a_recall_out_of_reach_is_said():
    chosen, why = choose_gs([cost(100, 900, escaped=4), cost(150, 900, 2), cost(200, 800, 2)], "recall=0.99")
    assert chosen.gs == 150
    assert why == "no Gs touches 0.99 of the held-out defects; this one touches 0.800"


def test_without_enough_to_judge_by_the_papers_gs_is_kept():
    assert choose_gs([Cost(100, good=5), Cost(150, good=5)], "recall=0.9")[1].startswith("no defect among")
    few = [Cost(100, Counts(1, 5, 5, 0), 3, 0, 0, 3), Cost(150, Counts(5, 1, 1, 0), 3, 0, 0, 3)]
    chosen, why = choose_gs(few, None)
    assert chosen.gs == 100
    assert "only 3 defective images held out" in why
    assert choose_gs(few, "f1")[0].gs == 150


@pytest.mark.parametrize("target", ["recall=2", "recall=", "best", "recall=1.1"])
def test_another_target_is_refused(target):
    with pytest.raises(UsageError, match="--target"):
        choose_gs([cost(100, 900)], target)
