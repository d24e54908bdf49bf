import cv2
import numpy as np
import pytest

from casae import Inspector
from casae.datasets.registry import open_dataset
from casae.errors import UsageError
from casae.evaluation.verdicts import Tally, judge_again, judge_parts, records_of, summary, tally_of, true_verdict
from casae.inspection.rules import AcceptanceRules
from casae.line.run import inspect_files


def rules(**values) -> AcceptanceRules:
    return AcceptanceRules.model_validate(values)


@pytest.fixture
def folder(tmp_path):
    """Three parts with a dark bar of 10, 20 and 30 px, of which the second is labelled twice as long."""
    for part in ("images", "masks"):
        (tmp_path / "parts" / part).mkdir(parents=True)
    for name, length, labelled in (("a", 10, 10), ("b", 20, 40), ("c", 30, 30)):
        image, label = np.full((60, 80), 200, np.uint8), np.zeros((60, 80), np.uint8)
        image[20:24, 20 : 20 + length] = 10
        label[20:24, 20 : 20 + labelled] = 1
        cv2.imwrite(str(tmp_path / "parts" / "images" / f"{name}.png"), image)
        cv2.imwrite(str(tmp_path / "parts" / "masks" / f"{name}.png"), label)
    (tmp_path / "parts" / "dataset.toml").write_text('classes = ["stain", "glare"]')
    return tmp_path / "parts"


LIMIT = {"rule": [{"max_length_px": {"accept": 15, "review": 25}}], "review_below": 0}


def test_the_truth_of_a_part_is_its_label_under_the_rules(dark_model):
    conditions = Inspector(dark_model).conditions
    label = np.zeros((60, 80), np.uint8)
    assert true_verdict(label, ("stain", "glare"), rules(**LIMIT), conditions).decision == "OK"
    label[20:24, 20:40] = 1
    assert true_verdict(label, ("stain", "glare"), rules(**LIMIT), conditions).decision == "REVIEW"
    label[20:24, 20:60] = 1
    assert true_verdict(label, ("stain", "glare"), rules(**LIMIT), conditions).defect_class == "stain"
    label[label > 0] = 255
    assert true_verdict(label, ("stain", "glare"), rules(**LIMIT), conditions).defect_class == "defect"


def test_labelled_parts_are_tallied(dark_model, folder):
    (folder / "images" / "broken.png").write_text("no picture")
    cv2.imwrite(str(folder / "masks" / "broken.png"), np.zeros((60, 80), np.uint8))
    inspector = Inspector(dark_model, rules=rules(**LIMIT))
    tally, failures = judge_parts(open_dataset(f"folder:{folder}"), inspector)
    assert dict(tally.counts) == {("OK", "OK"): 1, ("NG", "REVIEW"): 1, ("NG", "NG"): 1}
    assert list(failures) == ["broken"]
    assert tally.lines()[0].startswith("0 of 2 NG parts escaped as OK (0.0 %, 95 % interval 0.0 .. 84.2 %)")


def test_recorded_inspections_are_judged_again(dark_model, folder, tmp_path):
    inspect_files(Inspector(dark_model), sorted((folder / "images").glob("*.png")), tmp_path / "out")
    before = (tmp_path / "out" / "inspections.jsonl").read_bytes()
    records = records_of(tmp_path / "out")
    assert [record.decision for record in records] == ["NG"] * 3
    changes = list(judge_again(records, rules(**LIMIT)))
    assert [change.verdict.decision for change in changes] == ["OK", "REVIEW", "NG"]
    assert summary(changes) == [("OK", [0, 0, 0]), ("REVIEW", [0, 0, 0]), ("NG", [1, 1, 1])]
    assert (tmp_path / "out" / "inspections.jsonl").read_bytes() == before
    tally = tally_of(changes, rules(**LIMIT), open_dataset(f"folder:{folder}"))
    assert dict(tally.counts) == {("OK", "OK"): 1, ("NG", "REVIEW"): 1, ("NG", "NG"): 1}
    lenient = rules(rule=[{"max_length_px": 25}], review_below=0)
    tally = tally_of(list(judge_again(records, lenient)), lenient, open_dataset(f"folder:{folder}"))
    assert tally.escaped == ["b"]


def test_zones_of_another_size_are_said_of_labels_too(dark_model, folder, tmp_path):
    (tmp_path / "zones.toml").write_text('[[zone]]\nname = "seal"\npolygon = [[900, 0], [990, 0], [990, 9]]\n')
    inspector = Inspector(dark_model, rules=rules(**LIMIT), zones=tmp_path / "zones.toml")
    tally, failures = judge_parts(open_dataset(f"folder:{folder}"), inspector)
    assert not tally.counts
    assert all("zone 'seal' lies outside of its 80 x 60 px" in reason for reason in failures.values())


def test_parts_of_one_name_are_all_judged_again_and_the_newest_has_the_label(dark_model, folder, tmp_path):
    (tmp_path / "line").mkdir()
    for name in "abc":
        (tmp_path / "line" / "a.png").write_bytes((folder / "images" / f"{name}.png").read_bytes())
        inspect_files(Inspector(dark_model), [tmp_path / "line" / "a.png"], tmp_path / "out")
    changes = list(judge_again(records_of(tmp_path / "out"), rules(**LIMIT)))
    assert [change.verdict.decision for change in changes] == ["OK", "REVIEW", "NG"]
    tally = tally_of(changes, rules(**LIMIT), open_dataset(f"folder:{folder}"))
    assert sum(tally.counts.values()) == 1
    assert [now for _, now in tally.counts] == ["NG"]


def test_judging_again_says_the_same_as_inspecting_again(dark_model, folder, tmp_path):
    files = sorted((folder / "images").glob("*.png"))
    inspect_files(Inspector(dark_model), files, tmp_path / "one")
    accepted = rules(rule=[{"max_area_px": 90, "max_count": 1}], picture={"max_total_area_px": 100})
    inspect_files(Inspector(dark_model, rules=accepted), files, tmp_path / "two")
    again = [
        (each.verdict.decision, each.verdict.reason) for each in judge_again(records_of(tmp_path / "one"), accepted)
    ]
    assert again == [(record.decision, record.reason) for record in records_of(tmp_path / "two")]


def test_a_rule_that_records_cannot_answer_is_refused(dark_model, folder, tmp_path):
    inspect_files(Inspector(dark_model), sorted((folder / "images").glob("*.png")), tmp_path / "out")
    records = records_of(tmp_path / "out")
    with pytest.raises(UsageError, match="needs the scale of the image"):
        list(judge_again(records, rules(rule=[{"max_length_mm": 1}])))
    with pytest.raises(UsageError, match=r"a rule names zone 'seal', and .* was inspected without"):
        list(judge_again(records, rules(rule=[{"zone": "seal", "max_count": 1}])))
    with pytest.raises(UsageError, match="cannot be read"):
        records_of(tmp_path / "nowhere")


def test_a_half_written_line_does_not_disturb(dark_model, folder, tmp_path):
    inspect_files(Inspector(dark_model), sorted((folder / "images").glob("*.png")), tmp_path / "out")
    with (tmp_path / "out" / "inspections.jsonl").open("a") as lines:
        lines.write('{"id": ')
    assert len(records_of(tmp_path / "out")) == 3


def test_a_tally_without_parts_says_so():
    assert Tally().lines()[0] == "no parts to count of: NG parts escaped as OK"
