import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from casae import Inspector
from casae.inspection.novelty import FEWEST, Usual, learned
from casae.inspection.rules import AcceptanceRules
from casae.models.bundle import Familiar


def drawn(count: int, features: int, seed: int = 0, **changes: float) -> np.ndarray:
    """Features that hang together, of pictures of one kind."""
    rng = np.random.default_rng(seed)
    mixing = np.random.default_rng(features).normal(size=(features, features))
    return changes.get("shift", 0) + rng.normal(size=(count, features)) @ mixing


@pytest.mark.parametrize("count", [12, 30, 300])
def test_pictures_like_the_learned_ones_are_within_and_others_beyond_the_limit(count):
    usual = learned(drawn(count, 40), np.arange(count))
    assert (usual.distances(drawn(500, 40, seed=1)) > 1).mean() <= 0.02
    assert (usual.distances(drawn(50, 40, seed=2, shift=60)) > 1).all()


def test_a_direction_in_which_nothing_varied_counts_most():
    table = drawn(200, 2)
    table = np.stack([table[:, 0], table[:, 0] + 0.1 * table[:, 1]], 1)
    along, across = table.mean(0) + 2 * table.std(0), table.mean(0) + 2 * table.std(0) * (1, -1)
    near, far = Usual.of(table).distances(np.stack([along, across]))
    assert far > 5 * near


def test_too_few_pictures_tell_nothing():
    table = drawn(3 * FEWEST, 4)
    assert learned(table[: FEWEST - 1], np.arange(FEWEST - 1)) is None
    assert learned(table, np.arange(len(table)) // 6) is None  # many tiles of few pictures
    assert learned(table, np.arange(len(table)) // 3) is not None
    assert learned(table[:, :0], np.arange(len(table))) is None


def test_a_picture_is_as_unlike_as_its_most_unlike_tile():
    table, owners = drawn(80, 6), np.arange(80) // 4
    one, another = learned(table, owners), learned(table, np.arange(80))
    assert one.limit > another.limit  # the largest of four is larger


@given(st.integers(0, 2**32 - 1), st.integers(1, 60), st.sampled_from([0, 1e-7, 1, 1e4]))
@settings(max_examples=60, deadline=None)
def test_whatever_was_learned_can_be_kept_and_read_again(seed, features, size):
    rng = np.random.default_rng(seed)
    count = int(rng.integers(FEWEST, 30))
    table = size * rng.normal(size=(count, features))
    table[count // 2 :] = table[0]  # pictures that are all the same
    usual = learned(table, np.arange(count))
    again = Usual.known(Familiar.model_validate_json(usual.familiar.model_dump_json()))
    others = table + size * rng.normal(size=table.shape)
    assert np.allclose(usual.distances(others), again.distances(others), rtol=1e-3, atol=1e-6)


def test_a_picture_unlike_those_that_were_learned_is_for_a_person(telling_model):
    inspector = Inspector(telling_model)
    usual, gray = np.full((64, 64), 195, np.uint8), np.full((64, 64), 110, np.uint8)
    assert inspector.inspect(usual).verdict.decision == "OK"
    assert 0 < inspector.inspect(usual).novelty < 1
    inspection = inspector.inspect(gray)
    assert (inspection.verdict.decision, inspection.verdict.kind) == ("REVIEW", "novelty")
    assert inspection.verdict.reason.startswith("unlike the pictures that were learned (novelty ")
    record = inspection.record()
    assert record.novelty == inspection.novelty == inspector.look(gray)[1] > 1
    assert (record.decided_by.rule, record.decided_by.value) == ("review_novelty", record.novelty)
    inspector.rules = AcceptanceRules(review_novelty=10)
    assert inspector.inspect(gray).verdict.decision == "OK"


def test_where_nothing_is_looked_at_nothing_is_unlike(telling_model, tmp_path):
    roi = np.zeros((64, 64), np.uint8)
    roi[:5, :5] = 255
    assert Inspector(telling_model, roi=roi).inspect(np.full((64, 64), 195, np.uint8)).novelty is not None


def test_a_model_that_makes_no_features_tells_nothing(dark_model, spotted):
    inspection = Inspector(dark_model).inspect(spotted)
    assert inspection.novelty is None
    assert [defect.novelty for defect in inspection.defects] == [None, None]


def test_a_defect_unlike_those_that_were_learned_is_unknown(telling_model):
    image = np.full((64, 64), 210, np.uint8)
    image[8:30, 8:30] = 0
    inspector = Inspector(telling_model, rules=AcceptanceRules.model_validate({"rule": [{"max_area_px": 10**4}]}))
    (defect,) = inspector.inspect(image).defects
    assert (defect.name, defect.nearest) == ("unknown", "stain")
    assert defect.novelty > 1
    verdict = inspector.inspect(image).verdict
    assert (verdict.decision, verdict.kind, verdict.defect_class) == ("REVIEW", "unknown defect", "unknown")
    (record,) = inspector.inspect(image).record().defects
    assert (record.defect_class, record.nearest_class, record.novelty) == ("unknown", "stain", defect.novelty)
    inspector.rules = AcceptanceRules.model_validate({"rule": [{"class": "unknown", "max_area_px": 10**4}]})
    assert inspector.inspect(image).verdict.kind != "unknown defect"
    cv2.circle(image, (48, 48), 6, 75, -1)
    names = {defect.name for defect in inspector.inspect(image).defects}
    assert "unknown" in names
