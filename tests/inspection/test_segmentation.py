import numpy as np
import pytest
import torch

from casae.errors import BundleError
from casae.inspection.regions import find_regions
from casae.inspection.segmentation import averaged, defect_probability, threshold
from casae.models.bundle import InputSize


def test_gs_is_compared_with_the_prediction_mask():
    """Equation (2): defect where 255 x P(background) <= Gs."""
    probability = np.array([[0.60, 0.61, 1.0, 0.0]], np.float32)
    assert threshold(probability, 100).tolist() == [[False, True, True, False]]


@pytest.mark.parametrize(("gs", "found"), [(0, 1), (127, 2), (255, 3)])
def test_a_larger_gs_finds_more(gs, found):
    assert threshold(np.array([1.0, 0.6, 0.0], np.float32), gs).sum() == found


def test_the_map_comes_back_at_the_size_of_the_image():
    image = np.zeros((30, 50, 3), np.uint16)
    image[:, 25:] = 65535
    seen = []

    def segmenter(values):
        seen.append(values)
        return values

    probability = defect_probability(segmenter, image, InputSize(height=32, width=64, fit="letterbox"))
    assert seen[0].shape == (1, 1, 32, 64)
    assert seen[0].dtype == np.float32
    assert probability.shape == (30, 50)
    assert probability[:, :20].max() < 0.01
    assert probability[:, 30:].min() > 0.99


def test_a_bright_image_of_little_contrast_keeps_its_gray_values_in_bfloat16():
    image = np.random.default_rng(0).normal(60000, 100, (64, 64)).astype(np.uint16)

    def spread(values):
        kept = torch.from_numpy(values).bfloat16().float().numpy()
        return ((kept - kept.mean()) / kept.std() + 10) / 20

    wanted = ((image - image.mean()) / image.std() + 10) / 20
    sizes = [InputSize(height=64, width=64, fit="letterbox", centred=centred) for centred in (True, False)]
    close, coarse = (np.abs(defect_probability(spread, image, size) - wanted).max() for size in sizes)
    assert close < 0.001 < 0.025 < coarse


TILES = InputSize(height=64, width=64, fit="tile")


def dark(values):
    return (values < 0.5).astype(np.float32)


@pytest.mark.parametrize("shape", [(64, 64), (40, 64), (1, 1), (30, 7)])
def test_an_image_no_larger_than_a_tile_is_one_tile(shape):
    image = np.random.default_rng(0).integers(0, 256, shape).astype(np.uint8)
    calls = []

    def segmenter(values):
        calls.append(values.shape)
        return dark(values)

    probability = defect_probability(segmenter, image, TILES)
    assert calls == [(1, 1, 64, 64)]
    assert np.array_equal(probability, image < 127.5)


@pytest.mark.parametrize("shape", [(65, 64), (200, 333), (64, 1000)])
def test_tiles_cover_every_pixel_once(shape):
    image = np.random.default_rng(0).integers(0, 256, shape).astype(np.uint8)
    probability = defect_probability(dark, image, TILES)
    np.testing.assert_allclose(probability, image < 127.5, atol=1e-6)


def test_tiles_of_a_scaled_image_bring_the_map_back_to_its_size():
    image = np.full((201, 333), 200, np.uint8)
    image[50:60, 100:300] = 10
    calls = []

    def segmenter(values):
        calls.append(values.shape)
        return dark(values)

    probability = defect_probability(segmenter, image, TILES.model_copy(update={"scale": 0.5}))
    assert len(calls) == 2 * 4  # 100 x 166 px in tiles of 64 px
    assert probability.shape == image.shape
    assert probability[52:58, 104:296].min() > 0.9
    assert probability[:46].max() == 0


def test_tiles_are_standardised_by_the_whole_image():
    """A tile of plain background must not have its noise blown up to look like a defect."""
    rng = np.random.default_rng(0)
    image = np.clip(rng.normal(120, 2, (64, 640)), 0, 255).astype(np.uint8)
    image[:, 576:] = 250
    seen = []

    def segmenter(values):
        seen.append(values)
        return dark(values)

    defect_probability(segmenter, image, TILES.model_copy(update={"standardised": True}))
    assert seen[0].dtype == np.float32
    assert seen[0].std() < 0.1
    assert seen[-1].max() == pytest.approx((250 - image.mean()) / image.std(), rel=0.01)


@pytest.mark.parametrize("fit", ["tile", "letterbox"])
def test_what_lies_across_the_input_is_seen_transposed(fit):
    seen = []

    def segmenter(values):
        seen.append(values[0, 0])
        return dark(values)

    size = InputSize(height=64, width=96, fit=fit)
    image = np.full((60, 90), 200, np.uint8)
    image[10:14, 20:70] = 10
    roi = np.zeros(image.shape, bool)
    roi[:, :50] = True
    lying, standing = (
        defect_probability(segmenter, picture, size, part) for picture, part in ((image, roi), (image.T.copy(), roi.T))
    )
    assert np.array_equal(seen[0], seen[1])
    assert np.array_equal(standing, lying.T)
    assert standing.flags.c_contiguous
    assert lying.max() > 0.5


def test_a_defect_across_tiles_is_one_region():
    image = np.full((100, 300), 200, np.uint8)
    image[50:53, 10:290] = 10
    regions = find_regions(threshold(defect_probability(dark, image, TILES), 100))
    assert [region.area for region in regions] == [3 * 280]


def test_tiles_that_disagree_blend_without_a_seam():
    seen = []

    def segmenter(values):
        seen.append(None)
        return np.full_like(values, len(seen) % 2)

    probability = defect_probability(segmenter, np.zeros((64, 400), np.uint8), TILES)
    assert len(seen) > 5
    assert probability[0].max() == 1
    assert probability[0].min() == 0
    assert np.abs(np.diff(probability[0])).max() < 0.1


@pytest.mark.parametrize("scale", [1, 0.7])
def test_tiles_outside_the_region_of_interest_cost_nothing_and_change_nothing_inside(scale):
    rng = np.random.default_rng(0)
    image, looked = rng.integers(0, 256, (96, 160), np.uint8), []
    small = InputSize(height=32, width=32, fit="tile", scale=scale)

    def segmenter(values):
        looked.append(1)
        return values

    whole = defect_probability(segmenter, image, small)
    everywhere = len(looked)
    roi = np.zeros(image.shape, bool)
    roi[40:60, 100:150] = True
    part = defect_probability(segmenter, image, small, roi)
    assert len(looked) - everywhere < 0.7 * everywhere
    assert np.array_equal(part, np.where(roi, whole, 0))


@pytest.mark.parametrize("value", [np.nan, np.inf, -0.5, 3])
def test_what_is_no_probability_is_refused(value):
    def broken(values):
        return np.full_like(values, value)

    for size in (InputSize(height=64, width=64, fit="letterbox"), TILES):
        with pytest.raises(BundleError, match="is no probability"):
            defect_probability(broken, np.zeros((64, 64), np.uint8), size)


def leaning(values):
    """Sees most at the top left."""
    height, width = values.shape[2:]
    slope = np.linspace(1, 0, height)[:, None] * np.linspace(0.8, 0.2, width)
    return (values * slope).astype(np.float32)


@pytest.mark.parametrize("looks", [1, 2, 4, 8])
def test_looks_from_several_sides_are_averaged(looks):
    values = np.random.default_rng(0).random((1, 1, 6, 8), np.float32)
    seen = []

    def segmenter(views):
        seen.append(views)
        return leaning(views)

    mean = averaged(segmenter, values, looks)
    upright = (lambda m: m, lambda m: m[::-1, ::-1], lambda m: m[::-1], lambda m: m[:, ::-1])
    positions = upright[:looks]
    each = [turn(leaning(turn(values[0, 0])[None, None])[0, 0]) for turn in positions]
    if looks == 8:
        lying = values[0, 0].T
        each += [turn(leaning(turn(lying)[None, None])[0, 0]).T for turn in positions]
    assert mean.dtype == np.float32
    np.testing.assert_allclose(mean[0, 0], np.mean(each, axis=0), rtol=1e-5)
    assert sum(map(len, seen)) == looks
    assert len(seen) == (2 if looks == 8 else 1)


def test_what_looks_the_same_from_all_sides_stays_as_it_is():
    values = np.random.default_rng(0).random((1, 1, 8, 8), np.float32)
    for looks in (1, 2, 4, 8):
        np.testing.assert_allclose(averaged(dark, values, looks), dark(values))


def test_a_coarse_look_sees_what_no_tile_does():
    """A segmenter that finds what covers an eighth to a half of its input."""

    def segmenter(values):
        share = (values < 0.5).mean()
        return ((values < 0.5) * (0.125 < share < 0.5)).astype(np.float32)

    image = np.full((256, 256), 200, np.uint8)
    image[64:192, 64:192] = 20  # a quarter of the image, and all of a tile
    size = InputSize(height=64, width=64, fit="tile")
    mask = threshold(defect_probability(segmenter, image, size), 100)
    assert not mask[110:140, 110:140].any()
    coarse = size.model_copy(update={"coarse": (64, 64)})
    both = threshold(defect_probability(segmenter, image, coarse), 100)
    assert both[68:188, 68:188].all()
    assert not both[:60].any()
    roi = np.zeros((256, 256), bool)
    roi[:, 128:] = True
    assert not threshold(defect_probability(segmenter, image, coarse, roi), 100)[:, :128].any()


def test_a_coarse_look_has_the_gray_values_of_its_tiles():
    image = np.random.default_rng(0).normal(120, 20, (300, 200)).clip(0, 255).astype(np.uint8)
    seen = []

    def segmenter(values):
        seen.append(values)
        return np.zeros_like(values)

    defect_probability(segmenter, image, InputSize(height=64, width=64, fit="tile", standardised=True, coarse=(64, 32)))
    assert seen[-1].shape == (1, 1, 64, 32)
    assert abs(seen[-1].mean()) < 0.1
