import numpy as np
import pytest

from casae import Inspector
from casae.inspection.brightness import full_scale_of, has_colour, reviewed
from casae.inspection.verdict import Verdict
from casae.models.bundle import Brightness, Bundle, write_bundle
from conftest import brightness_classifier, dark_manifest, dark_segmenter

LEARNED = Brightness(darkest=0.4, brightest=0.7)


@pytest.mark.parametrize("bits", [8, 10, 12, 14, 16])
def test_the_depth_of_a_camera_follows_from_what_was_learned(bits):
    image = np.random.default_rng(0).integers(0, 2**bits, (50, 60)).astype(np.uint16)
    assert full_scale_of(image, dark_manifest(brightness=LEARNED)) == 2.0 ** (bits - 16)
    assert full_scale_of((image // 2 ** (bits - 8)).astype(np.uint8), dark_manifest(brightness=LEARNED)) == 1


def test_the_depth_that_was_learned_is_kept():
    image = np.full((50, 60), 40000, np.uint16)
    assert full_scale_of(image, dark_manifest(brightness=LEARNED, white=1 / 16)) == 1 / 16
    assert full_scale_of(image // 256, dark_manifest()) == 1


@pytest.mark.parametrize(("level", "decision"), [(40, "REVIEW"), (60, "OK"), (150, "OK"), (210, "OK"), (250, "REVIEW")])
def test_a_picture_far_from_what_was_learned_is_not_silently_accepted(level, decision):
    gray = level / 255
    verdict = reviewed(Verdict("OK", "no defect"), gray, dark_manifest(brightness=LEARNED))
    assert verdict.decision == decision
    assert reviewed(Verdict("NG", "no rule"), gray, dark_manifest(brightness=LEARNED)).decision == "NG"
    assert reviewed(Verdict("OK", "no defect"), gray, dark_manifest(brightness=None)).decision == "OK"


def test_a_gray_picture_is_not_silently_judged_by_a_model_of_colours():
    gray, manifest = 100 / 255, dark_manifest(brightness=LEARNED)
    colours = manifest.model_copy(update={"input": manifest.input.model_copy(update={"channels": 3})})
    verdict = reviewed(Verdict("OK", "no defect"), gray, colours)
    assert (verdict.decision, verdict.reason) == ("REVIEW", "a gray picture, and the model has learned colours")
    image = np.full((4, 4, 3), 100, np.uint8)
    assert reviewed(Verdict("OK", "no defect"), gray, colours, image).decision == "REVIEW"
    image[0, 0, 0] = 101
    assert reviewed(Verdict("OK", "no defect"), gray, colours, image).decision == "OK"
    assert reviewed(Verdict("OK", "no defect"), gray, manifest).decision == "OK"


def test_a_gray_picture_that_is_kept_as_rgb_shows_no_colour():
    gray = np.random.default_rng(0).integers(0, 256, (3000, 1000), np.uint8)
    assert not has_colour(gray)
    kept = np.dstack([gray] * 3)
    assert not has_colour(kept)
    kept[1, 1, 2] ^= 1  # between those that are looked at first
    assert has_colour(kept)


def test_why_it_is_reviewed_is_said():
    dark = reviewed(Verdict("OK", "no defect"), 0.0, dark_manifest(brightness=LEARNED))
    assert dark.reason == "far darker (mean 0) than learned pictures (limit 0.2)"
    white = reviewed(Verdict("OK", "no defect"), 1.0, dark_manifest(brightness=LEARNED))
    assert white.reason == "far brighter (mean 1) than learned pictures (limit 0.85)"


def test_twelve_bits_in_sixteen_are_inspected_like_eight(spotted, tmp_path):
    manifest = dark_manifest(brightness=Brightness(darkest=0.6, brightest=0.9))
    write_bundle(Bundle(manifest, dark_segmenter(), brightness_classifier(), ""), tmp_path / "a.casae")
    inspector = Inspector(tmp_path / "a.casae")
    eight = inspector.inspect(spotted)
    twelve = inspector.inspect(spotted.astype(np.uint16) * 16)
    assert twelve.full_scale == 1 / 16
    assert np.array_equal(twelve.mask, eight.mask)
    assert [defect.name for defect in twelve.defects] == [defect.name for defect in eight.defects]
    assert twelve.overlay().mean() == pytest.approx(eight.overlay().mean(), abs=2)
