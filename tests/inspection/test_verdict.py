import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from casae.errors import UsageError
from casae.inspection.measurement import measure, rounded
from casae.inspection.regions import find_regions
from casae.inspection.rules import SIZES, AcceptanceRules, check_names, check_scale, read_rules
from casae.inspection.verdict import Judged, Verdict
from casae.inspection.verdict import judge as judge_all


def sizes(length: int = 10, mm: float | None = None):
    mask = np.zeros((5, 70), bool)
    mask[2, 1 : 1 + length] = True
    return measure(find_regions(mask)[0], mask.astype(np.uint8), mask, mm)


def judge(defects, accepted):
    return judge_all([Judged(*each) for each in defects], accepted)


def rules(**values):
    return AcceptanceRules.model_validate(values)


def test_no_defect_is_ok_and_without_rules_any_defect_is_not():
    assert judge([], rules()).decision == "OK"
    verdict = judge([("dent", 0.9, sizes())], rules())
    assert (verdict.decision, verdict.reason) == ("NG", "dent: no rule accepts it")


def test_a_limit_may_be_reached_but_not_exceeded():
    limit = rules(rule=[{"class": "scratch", "max_length_px": 10}])
    assert judge([("scratch", 0.9, sizes(10))], limit).decision == "OK"
    verdict = judge([("scratch", 0.9, sizes(11))], limit)
    assert (verdict.decision, verdict.reason) == ("NG", "scratch 11 px long, 10 allowed")


@pytest.mark.parametrize("mm", [0.1, 0.05, 0.005, 0.01])
def test_a_limit_in_millimetres_may_be_reached_as_well(mm):
    for length in range(1, 50):
        defect = sizes(length, mm)
        limit = rules(rule=[{"max_length_mm": round(length * mm, 3), "max_area_mm2": round(length * mm**2, 6)}])
        assert judge([("scratch", 0.9, defect)], limit).decision == "OK"


def test_a_limit_of_many_digits_may_be_reached_too():
    limit = rules(rule=[{"max_area_mm2": 107 * 0.01237**2, "max_length_mm": 20 / 3}])
    defect = sizes(10, 1).model_copy(update={"area_mm2": rounded(107 * 0.01237**2), "length_mm": rounded(20 / 3)})
    assert judge([("scratch", 0.9, defect)], limit).decision == "OK"


def test_an_area_of_many_pixels_is_counted_exactly():
    limit = rules(rule=[{"max_area_px": 12345674}])
    assert judge([("stain", 0.9, sizes().model_copy(update={"area_px": 12345674}))], limit).decision == "OK"
    assert judge([("stain", 0.9, sizes().model_copy(update={"area_px": 12345675}))], limit).decision == "NG"


def test_the_rule_of_the_class_goes_before_the_general_one():
    both = rules(rule=[{"max_length_px": 5}, {"class": "dust", "max_count": 1}])
    assert judge([("dust", 0.9, sizes(30))], both).decision == "OK"
    assert judge([("dust", 0.9, sizes(3))] * 2, both).reason == "dust: 2 found, 1 allowed"
    assert judge([("dent", 0.9, sizes(6))], both).decision == "NG"


def test_an_uncertain_class_goes_to_review():
    verdict = judge([("dust", 0.55, sizes())], rules(rule=[{"max_count": 9}]))
    assert verdict.decision == "REVIEW"
    assert verdict.reason == "dust: the class is 55 % sure, 60 % needed"


def test_millimetres_need_a_scale():
    limit = rules(rule=[{"max_length_mm": 1.0}])
    with pytest.raises(UsageError, match="rule max_length_mm needs the scale of the image; add --mm-per-pixel"):
        check_scale(limit, None)
    check_scale(limit, 0.2)
    assert judge([("dust", 0.9, sizes(10, 0.2))], limit).reason == "dust 2 mm long, 1 allowed"


@pytest.mark.parametrize("measure_name", [name for name in SIZES if name != "holes"])
def test_every_limit_is_applied(measure_name):
    defect, name = sizes(10, 0.5), f"max_{measure_name}"
    reached = getattr(defect, measure_name)
    assert judge([("dent", 0.9, defect)], rules(rule=[{name: reached}])).decision == "OK"
    for limit in (0.9 * reached, 0):
        verdict = judge([("dent", 0.9, defect)], rules(rule=[{name: limit}]))
        assert (verdict.decision, verdict.kind, verdict.rule) == ("NG", "limit", "every class")
        assert (verdict.defect_class, verdict.field, verdict.value) == ("dent", measure_name, reached)
        assert verdict.limit == limit


def test_a_class_may_be_accepted_however_large():
    anything = rules(rule=[{"class": "dust", "unlimited": True}])
    assert judge([("dust", 0.9, sizes(50))], anything) == Verdict("OK", "within limits", value=1)


def test_of_a_class_none_may_be_accepted():
    assert judge([("dent", 0.9, sizes())], rules(rule=[{"max_count": 0}])).reason == "dent: 1 found, 0 allowed"


@pytest.mark.parametrize(
    ("text", "rule"),
    [
        ("[[rule]]\nclass = 'rust'\nmax_count = 1", "no class 'rust'"),
        ("[[rule]]\nmax_lenght_px = 3", "max_lenght_px"),
        ("rule = ", "not valid TOML"),
        ("review_below = 2", "review_below 2"),
        ("[[rule]]\nclass = 'dust'", "names no limit; give it one, or say unlimited = true"),
        ("[[rule]]\nmax_count = 1\nunlimited = true", "names limits; drop unlimited"),
        ("a = " + "[" * 5000, "not valid TOML"),
    ],
)
def test_a_wrong_rules_file_is_explained(tmp_path, text, rule):
    file = tmp_path / "rules.toml"
    file.write_text(text)
    with pytest.raises(UsageError, match=rule):
        read_rules(file, ["scratch", "dust"])


def test_a_rules_file_is_read(tmp_path):
    file = tmp_path / "rules.toml"
    file.write_text("review_below = 0.7\n[[rule]]\nclass = 'dust'\nmax_count = 3\n")
    read = read_rules(file, ["dust"])
    assert (read.review_below, read.rule[0].defect_class, read.rule[0].max_count.accept) == (0.7, "dust", 3)
    with pytest.raises(UsageError, match="cannot be read"):
        read_rules(tmp_path / "none.toml", ["dust"])


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16"])
def test_a_rules_file_from_windows_is_read(tmp_path, encoding):
    file = tmp_path / "rules.toml"
    file.write_text("review_below = 0.7", encoding)
    assert read_rules(file, ["dust"]).review_below == 0.7


def test_the_reason_shows_why():
    large = sizes().model_copy(update={"area_px": 123456})
    assert (
        judge([("dust", 0.9, large)], rules(rule=[{"max_area_px": 123449}])).reason
        == "dust of 123,456 px², 123,449 allowed"
    )
    accepting = rules(rule=[{"max_count": 1}])
    assert judge([("dust", 0.5999, sizes())], accepting).reason == "dust: the class is 59.99 % sure, 60 % needed"


@pytest.mark.parametrize(
    ("name", "told"), [('class = "scratch"\n', "2 for class 'scratch'"), ("", "2 for all classes")]
)
def test_two_rules_for_one_class_are_refused(tmp_path, name, told):
    file = tmp_path / "rules.toml"
    file.write_text(f"[[rule]]\n{name}max_length_px = 5\n[[rule]]\n{name}max_count = 0\n")
    with pytest.raises(UsageError, match=told):
        read_rules(file, ["scratch"])


@given(st.floats(0.01, 1e6), st.floats(0.01, 1e6))
@settings(max_examples=50, deadline=None)
def test_a_larger_limit_never_rejects_what_a_smaller_one_accepts(one, other):
    defect = [("dust", 0.9, sizes(37, 0.1))]
    smaller, larger = (judge(defect, rules(rule=[{"max_length_mm": limit}])).decision for limit in sorted((one, other)))
    assert (smaller, larger) in {("OK", "OK"), ("NG", "OK"), ("NG", "NG")}


@pytest.mark.parametrize(
    ("value", "limit", "said"),
    [(1.775057, 1.0, "1.78 mm long"), (0.50049, 0.5, "0.5005 mm long"), (2.0, 1.0, "2 mm long")],
)
def test_a_reason_has_as_few_digits_as_show_it(value, limit, said):
    verdict = Verdict("NG", "limit", defect_class="scratch", field="length_mm", value=value, limit=limit)
    assert verdict.reason.startswith(f"scratch {said},")


def test_a_rule_says_what_it_accepts():
    rule = rules(rule=[{"max_count": 2, "max_area_px": 1500, "max_length_mm": 0.5}]).rule[0]
    assert rule.allowed == "up to 2 of them, up to 1,500 px², up to 0.5 mm long"


def at(x: float, y: float = 2, *, zones=(), length: int = 1, name: str = "pore", mm: float | None = None):
    """A defect of one row whose first pixel is (x, y)."""
    half = 0.5
    left, top, right, bottom = x - half, y - half, x + length - half, y + half
    polygon = [(left, top), (right, top), (right, bottom), (left, bottom)]
    moved = {"centre_x_px": x + (length - 1) / 2, "centre_y_px": y}
    return Judged(name, 0.9, sizes(length, mm).model_copy(update=moved), [polygon], zones)


def test_a_band_leaves_the_middle_to_a_person():
    band = rules(rule=[{"max_length_px": {"accept": 10, "review": 12}}])
    decided = [judge([("scratch", 0.9, sizes(length))], band).decision for length in (10, 11, 12, 13)]
    assert decided == ["OK", "REVIEW", "REVIEW", "NG"]
    assert judge([("scratch", 0.9, sizes(11))], band).reason == "scratch 11 px long, above 10 a person decides"
    assert judge([("scratch", 0.9, sizes(13))], band).reason == "scratch 13 px long, 12 allowed"
    assert judge([("scratch", 0.9, sizes(11)), ("scratch", 0.9, sizes(13))], band).decision == "NG"


def test_the_most_special_rule_judges():
    table = rules(
        rule=[
            {"max_length_px": 5},
            {"class": "dust", "unlimited": True},
            {"zone": "seal", "max_length_px": 2},
            {"class": "dust", "zone": "seal", "max_length_px": 3, "name": "dust there"},
        ]
    )

    def decided(name, length, zones):
        return judge_all([at(1, length=length, name=name, zones=zones)], table)

    assert decided("pore", 5, ()).decision == "OK"
    assert decided("dust", 50, ()).decision == "OK"
    assert decided("pore", 3, ("seal",)).reason == "pore on seal 3 px long, 2 allowed"
    assert decided("dust", 3, ("seal",)).decision == "OK"
    verdict = decided("dust", 4, ("rim", "seal"))
    assert (verdict.decision, verdict.rule, verdict.zone) == ("NG", "dust there", "seal")


def test_a_defect_in_two_zones_keeps_the_rules_of_both():
    table = rules(rule=[{"zone": "a", "max_length_px": 9}, {"zone": "b", "max_length_px": 3}])
    assert judge_all([at(1, length=5, zones=("a", "b"))], table).zone == "b"
    assert judge_all([at(1, length=5, zones=("a",))], table).decision == "OK"
    strict = rules(rule=[{"class": "pore", "zone": "a", "max_length_px": 9}, {"zone": "b", "max_count": 0}])
    assert judge_all([at(1, length=5, zones=("a", "b"))], strict).zone == "b"  # though the other is more special
    assert judge_all([at(1, length=5, zones=("a",))], strict).decision == "OK"


def test_a_rule_of_one_zone_makes_no_other_less_sure():
    table = rules(rule=[{"zone": "a", "max_length_px": 9, "min_probability": 0.3}, {"zone": "b", "max_length_px": 9}])
    doubtful = at(1, zones=("a", "b"))._replace(probability=0.5)
    assert judge_all([doubtful], table).decision == "REVIEW"
    assert judge_all([doubtful._replace(zones=("a",))], table).decision == "OK"
    assert judge_all([at(1, length=5)], table).kind == "no rule"


def test_summed_area_and_count_are_of_one_class():
    table = rules(rule=[{"max_total_area_px": 10, "max_count": 3}])
    both = [at(1, length=6), at(1, 9, length=6, name="dust")]
    assert judge_all(both, table).decision == "OK"
    assert judge_all([*both, at(30, length=5)], table).reason == "pore: 11 px² together, 10 allowed"
    assert judge_all([at(10 * x) for x in range(4)], table).reason == "pore: 4 found, 3 allowed"


def test_what_holds_for_the_picture_holds_for_all_classes_together():
    table = rules(rule=[{"unlimited": True}], picture={"max_count": 1, "max_specks": 2})
    verdict = judge_all([at(1), at(9, name="dust")], table)
    assert (verdict.rule, verdict.reason) == ("picture", "all defects: 2 found, 1 allowed")
    assert judge_all([], table, specks=3).reason == "all defects: 3 specks, 2 allowed"
    assert judge_all([at(1)], table, specks=2).decision == "OK"


def test_limits_on_the_picture_alone_say_all():
    table = rules(picture={"max_total_area_px": 10})
    assert judge_all([at(1, length=4), at(9, 9, length=6, name="dust")], table).decision == "OK"
    assert judge_all([at(1, length=11)], table).reason == "all defects: 11 px² together, 10 allowed"


def test_defects_may_not_crowd_in_any_square():
    table = rules(rule=[{"max_in_square": 2, "square_px": 10}])
    assert judge_all([at(0), at(10, 12), at(20)], table).decision == "OK"
    verdict = judge_all([at(0), at(10, 12), at(9, 4)], table)
    assert verdict.reason == "pore: 3 in one square, 2 allowed"
    in_mm = rules(rule=[{"max_in_square": 2, "square_mm": 1}])
    assert judge_all([at(0, mm=0.1), at(10, 12, mm=0.1), at(9, 4, mm=0.1)], in_mm).decision == "NG"
    assert judge_all([at(0, mm=0.2), at(10, 12, mm=0.2), at(9, 4, mm=0.2)], in_mm).decision == "OK"


def test_defects_may_not_lie_too_close():
    table = rules(rule=[{"min_distance_px": {"accept": 5, "review": 3}}])
    assert judge_all([at(0)], table).decision == "OK"
    assert judge_all([at(0), at(6)], table).decision == "OK"
    verdict = judge_all([at(0), at(5)], table)
    assert (verdict.decision, verdict.reason) == ("REVIEW", "pore: 4 px from the next, below 5 a person decides")
    assert judge_all([at(0), at(3)], table).reason == "pore: 2 px from the next, 3 needed"
    in_mm = rules(rule=[{"min_distance_mm": 0.5}])
    assert judge_all([at(0, mm=0.1), at(5, mm=0.1)], in_mm).reason == "pore: 0.4 mm from the next, 0.5 needed"


def test_a_rule_may_ask_for_a_sure_class():
    table = rules(rule=[{"max_count": 9, "min_probability": 0.95}, {"class": "dust", "max_count": 9}])
    assert judge([("dust", 0.9, sizes())], table).decision == "OK"
    assert judge([("pore", 0.9, sizes())], table).reason == "pore: the class is 90 % sure, 95 % needed"


@pytest.mark.parametrize(
    ("text", "told"),
    [
        (
            "review_below = 0.5\n\n[[rule]]\nmax_count = 1\n\n[[rule]]\nclass = 'rust'\nmax_count = 1",
            "line 7, column 1",
        ),
        ("[[rule]]\nmax_count = 1\n[[rule]]\nclass = 'dust'\n  max_lenght_px = 3", "line 5, column 3"),
        ("[[rule]]\nmax_count = 1.5", "line 2, column 1: rule #1.max_count 1.5: must be whole numbers"),
        ("[[rule]]\nmax_area_px = 'x'", "must be a number, or two as in { accept = 0.4, review = 0.5 }"),
        ("[[rule]]\nmax_area_px = { accept = 5, review = 3 }", "max_area_px: accept 5 lies beyond review 3; swap them"),
        ("[[rule]]\nmin_distance_px = { accept = 3, review = 5 }", "accept 3 lies beyond review 5; swap them"),
        ("[[rule]]\nmax_in_square = 5", "max_in_square goes with the side of its square"),
        ("[[rule]]\nmax_count = inf", "must be whole numbers"),
        ("[[rule]]\nzone = 'seal'\nmax_count = 1", r"line 2, column 1: there is no zone 'seal'; name a file of zones"),
        ("[picture]\nmax_cuont = 1", "line 2, column 1: picture.max_cuont: no such setting"),
        ("[[rule]]\nmax_count = = 3", r"at line 2, column 13"),
    ],
)
def test_a_wrong_rule_is_told_with_line_and_column(tmp_path, text, told):
    file = tmp_path / "rules.toml"
    file.write_text(text)
    with pytest.raises(UsageError, match=told):
        read_rules(file, ["scratch", "dust"], [])


def test_a_defect_of_no_learned_class_is_for_a_person_unless_a_rule_names_it():
    limit = {"max_length_px": 10}
    verdict = judge([("unknown", 0.9, sizes())], rules(rule=[limit]))
    assert (verdict.decision, verdict.kind) == ("REVIEW", "unknown defect")
    assert verdict.reason == "unknown: unlike the defects that were learned, and no rule is for such"
    assert judge([("unknown", 0.9, sizes(11))], rules(rule=[limit])).decision == "NG"
    assert judge([("unknown", 0.9, sizes())], rules(rule=[{"class": "unknown", **limit}])).decision == "OK"
    assert judge([("unknown", 0.9, sizes())], rules()).reason == "unknown: no rule accepts it"
    check_names(rules(rule=[{"class": "unknown", **limit}]), ["scratch"], [])


def test_a_picture_far_from_learned_ones_is_for_a_person_where_it_would_pass():
    assert judge_all([], rules(), novelty=1.0).decision == "OK"
    assert judge_all([], rules(), novelty=None).decision == "OK"
    verdict = judge_all([], rules(), novelty=1.01)
    assert (verdict.decision, verdict.rule, verdict.limit) == ("REVIEW", "review_novelty", 1)
    assert verdict.reason == "unlike the pictures that were learned (novelty 1.01, up to 1 is usual)"
    assert judge_all([], rules(review_novelty=1.5), novelty=1.5).decision == "OK"
    assert judge_all([Judged("dent", 0.9, sizes())], rules(), novelty=9).decision == "NG"
