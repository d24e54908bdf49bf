import numpy as np
import PIL.Image
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import casae
from casae import Inspector, Part
from casae.config import InspectionSettings
from casae.errors import ImageError
from casae.inspection.inspection import Picture, new_id
from casae.inspection.record import InspectionRecord


def test_ids_stand_in_the_order_of_time_and_are_uuids():
    ids = [new_id() for _ in range(200)]
    assert [identifier[14] for identifier in ids] == ["7"] * 200
    assert {identifier[19] for identifier in ids} <= set("89ab")
    assert len(set(ids)) == 200
    assert [identifier[:13] for identifier in ids] == sorted(identifier[:13] for identifier in ids)


def test_an_image_comes_in_many_forms(dark_model, spotted, tmp_path):
    PIL.Image.fromarray(spotted).save(tmp_path / "a.png")
    inspector = Inspector(dark_model)
    wanted = inspector.inspect(spotted).mask
    colour = np.dstack([spotted] * 3)
    forms = [
        tmp_path / "a.png",
        str(tmp_path / "a.png"),
        (tmp_path / "a.png").read_bytes(),
        PIL.Image.fromarray(spotted),
        PIL.Image.fromarray(colour).convert("P"),
        torch.from_numpy(spotted),
        torch.from_numpy(np.ascontiguousarray(colour.transpose(2, 0, 1))),
    ]
    for form in forms:
        assert np.array_equal(inspector.inspect(form).mask, wanted)


@pytest.mark.parametrize("form", [None, 3, ["part.png"], object()])
def test_what_is_no_image_is_refused_in_a_sentence(form):
    with pytest.raises(ImageError, match="is no image; pass a path, the bytes of a file, or an array"):
        Picture.of(form)


def test_an_inspection_tells_everything_by_itself(dark_model, spotted):
    part = Part(serial="4711", batch="B7", product="plate", station="line 3", recipe="R2")
    inspection = Inspector(dark_model).inspect(spotted, part)
    content = inspection.to_dict()
    assert InspectionRecord.model_validate(content) == inspection.record()
    assert content["part"] == part.model_dump()
    assert (content["camera"], content["taken_at"]) == (None, None)
    assert content["decided_by"]["kind"] == "no rule"
    assert content["decided_by"]["class"] == inspection.defects[0].name
    assert inspection.overlay().shape == (480, 640, 3)
    html = inspection._repr_html_()
    assert "<b>NG</b>" in html
    assert 'src="data:image/jpeg;base64,' in html


def test_rules_may_be_a_file(dark_model, spotted, tmp_path):
    (tmp_path / "rules.toml").write_text("[[rule]]\nmax_area_px = 500\n")
    inspector = Inspector(dark_model, rules=tmp_path / "rules.toml")
    assert inspector.inspect(spotted).verdict.decision != "NG"
    inspector.rules = str(tmp_path / "rules.toml")
    with pytest.raises(casae.UsageError, match="cannot be read"):
        Inspector(dark_model, rules="none.toml")


@given(seed=st.integers(0, 10_000), mm_per_pixel=st.sampled_from([None, 0.001, 0.37]))
@settings(max_examples=12, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_a_record_holds_what_the_mask_holds_and_comes_back_from_json(dark_model, seed, mm_per_pixel):
    rng = np.random.default_rng(seed)
    image = np.full((160, 240), 200, np.uint8)
    for _ in range(rng.integers(0, 5)):
        y, x = rng.integers(0, (140, 220))
        image[y : y + rng.integers(3, 20), x : x + rng.integers(3, 20)] = 20
    inspection = Inspector(dark_model, InspectionSettings(mm_per_pixel=mm_per_pixel)).inspect(image)
    record = inspection.record()
    assert InspectionRecord.model_validate_json(record.model_dump_json(by_alias=True)) == record
    assert sum(defect.area_px for defect in record.defects) == np.count_nonzero(inspection.mask)
    assert [defect.number for defect in record.defects] == list(range(1, len(record.defects) + 1))
    for defect in record.defects:
        assert defect.area_px <= (defect.length_px + 1) * (defect.width_px + 1)
        assert (defect.area_mm2 is None) == (mm_per_pixel is None)
    assert record.decision == ("NG" if record.defects else "OK")
