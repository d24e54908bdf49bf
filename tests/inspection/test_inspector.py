import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

import cv2
import numpy as np
import pytest

from casae import AcceptanceRules, ImageError, InspectionSettings, Inspector
from casae.errors import BundleError, UsageError
from casae.models.bundle import Bundle, write_bundle
from casae.models.runtime import Network, processor
from conftest import brightness_classifier, dark_manifest, dark_segmenter


def test_the_road(dark_model, spotted):
    inspection = Inspector(dark_model, InspectionSettings(mm_per_pixel=0.1)).inspect(spotted)
    bar, spot = inspection.defects
    assert (bar.number, bar.name, bar.region.area) == (1, "glare", 80)
    assert (bar.measures.length_px, bar.measures.width_px, bar.measures.length_mm) == (20.0, 4.0, 2.0)
    assert spot.region.area == 36
    assert inspection.mask.sum() == 116
    assert inspection.probability.shape == spotted.shape
    assert (inspection.verdict.decision, inspection.source, inspection.conditions.gs) == ("NG", "array", 100)


def test_small_regions_are_neither_reported_nor_in_the_mask(dark_model, spotted):
    inspection = Inspector(dark_model, InspectionSettings(min_area_px=40)).inspect(spotted)
    assert len(inspection.defects) == 1
    assert inspection.mask.sum() == 80


@pytest.mark.parametrize("turns", [1, 2, 3])
def test_rotating_the_image_rotates_masks_and_rectangles(dark_model, spotted, turns):
    inspector = Inspector(dark_model)
    before, after = inspector.inspect(spotted), inspector.inspect(np.rot90(spotted, turns).copy())
    assert np.array_equal(np.rot90(before.mask, turns), after.mask)
    for upright, turned in zip(before.defects, after.defects, strict=True):
        assert turned.measures.length_px == upright.measures.length_px
        assert turned.name == upright.name
    assert after.defects[0].measures.angle_deg == (90 if turns % 2 else 0)


def test_the_shipped_model_follows_a_rotation():
    from casae.synthetic.components import draw_component

    picture = draw_component(5, 384, 512, defects=5).picture
    inspector = Inspector("component")
    before, after = inspector.inspect(picture).mask, inspector.inspect(np.rot90(picture).copy()).mask
    turned = np.rot90(before)
    assert before.any()
    assert (turned & after).sum() / (turned | after).sum() > 0.7


def test_bits_and_channels_do_not_change_the_result(dark_model, spotted):
    inspector = Inspector(dark_model)
    expected = inspector.inspect(spotted).mask
    wide = spotted.astype(np.uint16) * 257
    for image in (wide, np.dstack([spotted] * 3), np.dstack([spotted] * 4), spotted[..., None]):
        assert np.array_equal(inspector.inspect(image).mask, expected)
    assert np.array_equal(inspector.inspect((spotted / 255).astype(np.float32)).mask, expected)


def test_one_pixel_can_be_inspected(dark_model):
    inspector = Inspector(dark_model, InspectionSettings(min_area_px=1))
    assert len(inspector.inspect(np.zeros((1, 1), np.uint8)).defects) == 1
    assert inspector.inspect(np.full((1, 1), 255, np.uint8)).defects == ()


def test_a_file_is_read_and_hashed(dark_model, spotted, tmp_path):
    cv2.imwrite(str(tmp_path / "a.png"), spotted)
    inspection = Inspector(dark_model).inspect(tmp_path / "a.png")
    assert inspection.source == str(tmp_path / "a.png")
    assert len(inspection.sha256) == 64
    with pytest.raises(ImageError, match=r"b\.png: cannot be read"):
        Inspector(dark_model).inspect(tmp_path / "b.png")


def test_a_single_class_is_certain(spotted, tmp_path):
    write_bundle(Bundle(dark_manifest(classes=("dent",)), dark_segmenter(), None, ""), tmp_path / "a.casae")
    defects = Inspector(tmp_path / "a.casae").inspect(spotted).defects
    assert [(defect.name, defect.probability) for defect in defects] == [("dent", 1.0)] * 2


def test_gs_can_be_changed_after_training(dark_model):
    ramp = np.tile(np.linspace(60, 90, 64).astype(np.uint8), (64, 1))
    areas = [Inspector(dark_model, InspectionSettings(gs=gs)).inspect(ramp).mask.sum() for gs in (20, 100, 200)]
    assert areas == sorted(areas)
    assert areas[0] < areas[2]


def test_a_region_needs_a_core_and_keeps_its_outline(dark_model):
    """A dark bar that fades at its ends, and a gray one: with a core the gray one goes, the other stays as it was."""
    image = np.full((48, 64), 200, np.uint8)
    image[10:14, 10:50] = 74
    image[10:14, 20:40] = 10
    image[30:34, 10:50] = 74
    plain = Inspector(dark_model, InspectionSettings(gs=100)).inspect(image)
    cored = Inspector(dark_model, InspectionSettings(gs=100, core_gs=25)).inspect(image)
    assert [defect.measures.length_px for defect in plain.defects] == [40, 40]
    assert [defect.measures.length_px for defect in cored.defects] == [40]
    assert np.array_equal(cored.mask[:20], plain.mask[:20])
    assert not cored.mask[20:].any()


def test_thresholds_come_from_the_model_or_from_the_user(spotted, tmp_path):
    manifest = dark_manifest().model_copy(update={"core_gs": 25})
    file = tmp_path / "cored.casae"
    write_bundle(Bundle(manifest, dark_segmenter(), brightness_classifier(), ""), file)

    def thresholds(**settings):
        inspection = Inspector(file, InspectionSettings(**settings)).inspect(spotted)
        return inspection.conditions.gs, inspection.conditions.core_gs

    assert thresholds() == (100, 25)
    assert thresholds(core_gs=40) == (100, 40)
    assert thresholds(gs=150) == (150, 150)
    assert thresholds(gs=150, core_gs=25) == (150, 25)
    assert thresholds(gs=10, core_gs=25) == (10, 10)


def test_scale_and_smallest_area_come_from_the_model_or_from_the_user(spotted, tmp_path):
    file, manifest = tmp_path / "scaled.casae", dark_manifest(mm_per_pixel=0.5, min_area_px=40)
    write_bundle(Bundle(manifest, dark_segmenter(), brightness_classifier(), ""), file)

    def lengths(**settings):
        return [d.measures.length_mm for d in Inspector(file, InspectionSettings(**settings)).inspect(spotted).defects]

    assert lengths() == [10.0]
    assert lengths(mm_per_pixel=0.1) == [2.0]
    assert lengths(min_area_px=30) == [10.0, 3.0]


def test_a_network_that_openvino_refuses_is_named():
    with pytest.raises(BundleError, match="segmenter: OpenVINO cannot read"):
        Network(b"no onnx", "segmenter")(np.zeros((1, 1, 32, 32), np.float32))


def test_inspecting_works_where_torch_cannot_be_imported(dark_model, spotted, tmp_path):
    cv2.imwrite(str(tmp_path / "a.png"), spotted)
    code = f"""
import sys
for name in ("torch", "lightning", "onnx"):
    sys.modules[name] = None
from casae.cli.main import main
sys.argv = ["casae", "inspect", {str(tmp_path / "a.png")!r}, "--model", {str(dark_model)!r}, "--out", {str(tmp_path)!r}]
main()
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "1 image: 0 OK, 0 REVIEW, 1 NG" in done.stdout


def test_nothing_is_found_outside_the_region_of_interest(dark_model, spotted, tmp_path):
    roi = np.zeros(spotted.shape, np.uint8)
    roi[:20] = 255
    file = tmp_path / "roi.png"
    cv2.imwrite(str(file), roi)
    for given in (roi, file):
        (bar,) = Inspector(dark_model, roi=given).inspect(spotted).defects
        assert bar.region.area == 80
    with pytest.raises(ImageError, match="is 32 x 48 px, the region of interest 64 x 48"):
        Inspector(dark_model, roi=roi).inspect(spotted[:, :32])
    with pytest.raises(ImageError, match="is 0 everywhere"):
        Inspector(dark_model, roi=np.zeros_like(roi))


def test_masks_may_be_as_large_as_pictures_may(dark_model, spotted, tmp_path):
    cv2.imwrite(str(tmp_path / "mask.png"), np.full(spotted.shape, 255, np.uint8))
    (tmp_path / "zones.toml").write_text('mask = "mask.png"\n[[zone]]\nname = "seal"\nvalue = 255\n')
    small, large = InspectionSettings(max_megapixels=0.001), InspectionSettings(max_megapixels=0.01)
    for masks in ({"roi": tmp_path / "mask.png"}, {"zones": tmp_path / "zones.toml"}):
        with pytest.raises(ImageError, match=r"0.001 megapixels are the limit"):
            Inspector(dark_model, small, **masks)
        assert Inspector(dark_model, large, **masks).inspect(spotted).verdict.decision == "NG"


def test_a_region_of_interest_with_transparency_is_refused(dark_model, tmp_path):
    roi = np.full((48, 64, 4), 255, np.uint8)
    roi[:20, :, 3] = 0
    cv2.imwrite(str(tmp_path / "roi.png"), roi)
    with pytest.raises(
        ImageError, match=r"roi\.png: is partly transparent; draw the area to inspect in white on black"
    ):
        Inspector(dark_model, roi=tmp_path / "roi.png")


def test_precision_is_the_processors_own_unless_asked_for(dark_model, spotted):
    assert Inspector(dark_model, InspectionSettings(precision="f32")).conditions.precision == "f32"
    assert Inspector(dark_model).conditions.precision == ("bf16" if "BF16" in processor().features else "f32")
    assert Inspector(dark_model, InspectionSettings(precision="bf16")).inspect(spotted).mask.sum() == 116


def test_threads_may_share_an_inspector(dark_model):
    inspector = Inspector(dark_model)
    images = [np.full((48, 64), value, np.uint8) for value in (0, 255)]
    expected = [inspector.probability(image) for image in images]
    assert not np.array_equal(*expected)
    with ThreadPoolExecutor(2) as pool:
        found = list(pool.map(inspector.probability, images * 200))
    assert all(np.array_equal(one, expected[index % 2]) for index, one in enumerate(found))


def test_nothing_is_found_outside_the_region_of_interest_at_any_threshold(dark_model, spotted):
    roi = np.zeros(spotted.shape, bool)
    roi[10:15, 10:15] = True
    inspection = Inspector(dark_model, InspectionSettings(gs=255), roi=roi).inspect(spotted)
    assert not inspection.mask[~roi].any()


def test_rules_in_millimetres_are_refused_before_the_first_image(dark_model):
    with pytest.raises(UsageError, match="--mm-per-pixel"):
        Inspector(dark_model, rules=AcceptanceRules.model_validate({"rule": [{"max_length_mm": 1}]}))


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no processes are forked here")
def test_a_forked_process_is_told_and_does_not_wait_for_ever(dark_model):
    program = f"""
import multiprocessing, numpy
from casae import CasaeError, Inspector
inspector, image = Inspector({str(dark_model)!r}), numpy.zeros((48, 64), numpy.uint8)
inspector.inspect(image)
def child():
    for use in (lambda: inspector.inspect(image), lambda: Inspector({str(dark_model)!r})):
        try:
            use()
        except CasaeError as error:
            print(error, flush=True)
process = multiprocessing.get_context("fork").Process(target=child)
process.start()
process.join(20)
process.kill()
"""
    result = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60)
    assert result.stdout.count("get_context('spawn')") == 2


def test_rules_for_a_class_that_the_model_does_not_know_are_refused(dark_model):
    misspelt = AcceptanceRules.model_validate({"rule": [{"class": "stian", "max_count": 0}, {"max_count": 9}]})
    with pytest.raises(UsageError, match="no class 'stian'; it knows stain, glare"):
        Inspector(dark_model, rules=misspelt)
    inspector = Inspector(dark_model)
    with pytest.raises(UsageError, match="stian"):
        inspector.rules = misspelt


def test_a_probability_asks_for_an_image_as_an_inspection_does(dark_model, spotted):
    inspector = Inspector(dark_model)
    with pytest.raises(ImageError):
        inspector.probability(spotted.astype(np.int32))
    assert np.array_equal(inspector.probability(spotted[..., None]), inspector.probability(spotted))


def test_the_black_of_a_jpeg_is_not_inspected(dark_model, spotted, tmp_path):
    roi = np.zeros(spotted.shape, np.uint8)
    roi[:20] = 255
    cv2.imwrite(str(tmp_path / "roi.jpg"), roi)
    rows = np.flatnonzero(Inspector(dark_model, roi=tmp_path / "roi.jpg").roi.any(axis=1))
    assert (rows[0], rows[-1]) == (0, 19)
