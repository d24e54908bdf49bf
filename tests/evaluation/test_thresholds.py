import dataclasses

import cv2
import numpy as np
import pytest

from casae import InspectionSettings, Inspector
from casae.datasets.registry import open_dataset
from casae.errors import UsageError
from casae.evaluation.scores import evaluate
from casae.evaluation.thresholds import THRESHOLDS, Cost, choose, cost_curve, sensitivity
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


def test_the_curve_goes_from_the_surest_findings_to_all(parts, dark_model):
    costs = cost_curve(Inspector(dark_model), parts)
    assert [(cost.gs, cost.core_gs) for cost in costs] == list(THRESHOLDS)
    curve = sensitivity(costs, 100)
    assert [cost.core_gs for cost in curve] == sorted(cost.core_gs for cost in curve)
    assert {cost.gs for cost in curve if cost.core_gs <= 100} == {100}
    escaped = [cost.escaped for cost in curve]
    assert escaped == sorted(escaped, reverse=True)
    assert (escaped[0], escaped[-1]) == (1, 0)
    assert {(cost.regions, cost.defective, cost.good, cost.images) for cost in costs} == {(2, 2, 1, 3)}
    assert curve[0].passed == 1
    assert curve[0].rejected == 0
    recalled, why = choose(costs, "recall=1")
    assert recalled == next(cost for cost in curve if not cost.escaped)
    assert "touch 1 of the 2 held-out defects, which are too few to be surer than usual" in why
    assert recalled.summary()["escaped_regions"] == 0


@pytest.mark.parametrize(("gs", "core"), [(100, 100), (100, 25), (50, 10), (150, 75), (250, 250)])
def test_a_cost_is_what_an_inspector_with_these_thresholds_does(parts, dark_model, gs, core):
    cost = next(c for c in cost_curve(Inspector(dark_model), parts) if (c.gs, c.core_gs) == (gs, core))
    result = evaluate(Inspector(dark_model, InspectionSettings(gs=gs, core_gs=core)), parts)
    assert cost.pixels == sum((score.pixels for score in result.images), Counts(0, 0, 0, 0))
    assert cost.escaped == sum(not touched for score in result.images for _, touched in score.true_regions)
    assert cost.false_regions == sum(score.false_regions for score in result.images)


def test_folds_are_counted_together(parts, dark_model):
    inspector = Inspector(dark_model)
    both = cost_curve(
        inspector, parts.only(["good"], "fold 2"), cost_curve(inspector, parts.only(["clear", "faint"], "1"))
    )
    assert both == cost_curve(inspector, parts)


def cost(gs: float, f1_of_1000: int, escaped: int = 0, core: float = 25) -> Cost:
    missed = 1000 - f1_of_1000
    return Cost(gs, core, Counts(f1_of_1000, missed, missed, 0), regions=10, escaped=escaped, defective=10)


def test_the_best_f1_and_of_equals_the_one_next_to_the_papers():
    curve = [cost(50, 800), cost(100, 850), cost(130, 900), cost(160, 901), cost(200, 700), cost(110, 990, core=2)]
    assert choose(curve, "f1")[0].gs == 130
    assert choose(curve, None)[0].gs == 130
    assert choose(curve, "keep")[0].gs == 100


def test_a_model_that_cuts_once_goes_on_doing_so():
    curve = [cost(100, 900), cost(100, 850, core=100), cost(150, 870, core=150), cost(150, 860)]
    assert [(c.gs, c.core_gs) for c in (choose(curve, t, None)[0] for t in ("keep", "f1"))] == [(100, 100), (150, 150)]


def test_a_recall_is_reached_by_the_core_before_the_outlines_grow():
    of_100 = [cost(100, 900, escaped, core) for core, escaped in ((5, 4), (25, 2), (50, 1), (100, 1))]
    curve = [*of_100, *(cost(gs, 500, 0, core) for gs in (150, 200) for core in (25, gs))]
    assert [(c.gs, c.core_gs) for c in (choose(curve, f"recall=0.{share}")[0] for share in (6, 9, 95))] == [
        (100, 5),
        (100, 50),
        (150, 150),
    ]


def test_few_defects_make_no_model_surer_than_usual():
    curve = [cost(100, 900, 0, core) for core in (1, 5, 25, 100)]
    assert choose(curve, "recall=0.9")[0].core_gs == 1
    assert choose(curve, "recall=0.99")[0].core_gs == 25


def test_a_share_of_images_takes_the_surest_core_that_rejects_as_many():
    passes = {(100, 2): 6, (100, 25): 1, (100, 100): 0, (150, 150): 0}
    curve = [dataclasses.replace(cost(gs, 900, 3, core), passed=passes[gs, core]) for gs, core in passes]
    assert [choose(curve, f"images={share}")[0].core_gs for share in ("0.4", "0.9", "1")] == [2, 25, 100]
    assert choose(curve, "images=0.9")[1] == "the surest that find something in 0.9 of the 10 held-out defective images"
    unreached = choose([dataclasses.replace(each, passed=2) for each in curve], "images=0.9")
    assert unreached[1] == "none find something in 0.9 of the 10 held-out defective images; these reach 0.800"


def test_a_share_of_good_images_takes_what_touches_most_and_passes_them():
    rejects = {(100, 2): (0, 5), (100, 5): (1, 4), (100, 25): (4, 3), (100, 100): (9, 2), (150, 150): (9, 2)}
    curve = [
        dataclasses.replace(cost(gs, 900, escaped, core), good=20, rejected=rejected)
        for (gs, core), (rejected, escaped) in rejects.items()
    ]
    assert [choose(curve, f"good={share}")[0].core_gs for share in ("0.5", "0.8", "0.95", "1")] == [100, 25, 5, 2]
    said = "of those that find nothing in 0.8 of the 20 held-out good images, those that touch most"
    assert choose(curve, "good=0.8")[1] == said
    easy = [dataclasses.replace(each, rejected=0, escaped=0) for each in curve]
    assert choose(easy, "good=0.95")[0] == easy[2]  # nothing is gained by leaving the usual
    bare = [dataclasses.replace(each, regions=0, escaped=0, defective=0, passed=0) for each in curve]
    assert choose(bare, "good=0.95")[0].core_gs == 5
    strict = [dataclasses.replace(each, rejected=each.rejected + 1) for each in curve]
    assert choose(strict, "good=1")[1] == "none find nothing in 1 of the 20 held-out good images; these reach 0.950"
    few = [dataclasses.replace(each, good=4, rejected=0) for each in curve]
    chosen, why = choose(few, "good=0.9")
    assert chosen.core_gs == 25
    assert "of the 4 held-out good images, which are too few to be more sensitive than usual" in why
    none = [dataclasses.replace(each, good=0, rejected=0) for each in curve]
    assert choose(none, "good=0.9") == (none[2], "no good image is held out: thresholds as usual")


def test_an_image_with_a_defect_too_small_to_report_is_no_good_part(parts, dark_model):
    inspector = Inspector(dark_model, InspectionSettings(min_area_px=101))
    assert {(c.regions, c.defective, c.passed, c.good) for c in cost_curve(inspector, parts)} == {(0, 2, 2, 1)}


def test_a_recall_out_of_reach_is_said():
    curve = [cost(100, 900, 4), cost(100, 900, 4, 100), cost(150, 800, 2, 150), cost(200, 800, 2, 200)]
    chosen, why = choose(curve, "recall=0.99")
    assert chosen.gs == 150
    assert why == "none touch 0.99 of the 10 held-out defects; these reach 0.800"


def test_without_enough_to_judge_by_the_papers_gs_is_kept():
    assert choose([Cost(100, 25, good=5), Cost(150, 25, good=5)], "recall=0.9")[1].startswith("no defect among")
    few = [Cost(100, 25, Counts(1, 5, 5, 0), 3, 0, 0, 3), Cost(150, 25, Counts(5, 1, 1, 0), 3, 0, 0, 3)]
    chosen, why = choose(few, None)
    assert chosen.gs == 100
    assert "only 3 defective images held out" in why
    assert choose(few, "f1")[0].gs == 150


@pytest.mark.parametrize("target", ["recall=2", "recall=", "best", "recall=1.1", "images=2", "image=0.9"])
def test_another_target_is_refused(target):
    with pytest.raises(UsageError, match="--target"):
        choose([cost(100, 900)], target)


def test_a_core_that_the_model_never_reaches_gives_way():
    curve = [cost(100, 0, 10, 25), cost(100, 700, 4, 50), cost(100, 900, 1, 75), cost(100, 900, 0, 100)]
    for target in ("f1", "keep", None):
        chosen, why = choose(curve, target)
        assert (chosen.gs, chosen.core_gs) == (100, 75)
        assert why.endswith("; the core is larger than usual, which would cost over 10% of the held-out defects")
    holds = [cost(100, 900, 1, 25), cost(100, 900, 1, 50), cost(100, 900, 0, 100)]
    assert choose(holds, "f1") == (holds[0], "best F1 on the held-out images")


def test_one_lost_defect_of_few_may_be_luck_but_not_the_only_one():
    def of(regions: int) -> list[Cost]:
        curve = [cost(100, 900, 1, 25), cost(100, 900, 0, 100)]
        return [dataclasses.replace(each, regions=regions) for each in curve]

    assert [choose(of(regions), "f1")[0].core_gs for regions in (5, 2, 1)] == [25, 25, 100]


def test_the_best_f1_of_pixels_does_not_cost_defects():
    curve = [cost(gs, f1, escaped, gs) for gs, f1, escaped in ((30, 950, 4), (100, 900, 1), (130, 910, 1))]
    curve += [cost(gs, f1, escaped) for gs, f1, escaped in ((30, 950, 4), (100, 900, 1), (130, 910, 1))]
    assert choose(curve, "f1")[0].gs == 130


def test_outline_and_core_together_cost_no_more_defects_than_one_of_them_may():
    curve = [cost(100, 900, 0, 25), cost(100, 900, 0, 100), cost(30, 950, 2, 25), cost(30, 950, 1, 30)]
    assert (choose(curve, "f1")[0].gs, choose(curve, "f1")[0].core_gs) == (30, 30)
