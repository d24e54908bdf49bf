import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from casae.inspection.regions import Rectangle, crop_rectangle, find_regions, upright_crop


def mask_of(*rows: str) -> np.ndarray:
    return np.array([[c == "#" for c in row] for row in rows])


def test_a_bar_has_the_size_of_its_pixels():
    (region,) = find_regions(mask_of("......", ".####.", ".####.", "......"))
    assert region.area == 8
    assert region.rectangle == Rectangle((2.5, 1.5), 4.0, 2.0, 0.0)
    assert region.rectangle.corners.tolist() == [[0.5, 0.5], [4.5, 0.5], [4.5, 2.5], [0.5, 2.5]]
    assert region.offset == (1, 1)
    assert region.outlines[0].tolist() == [[0.5, 0.5], [4.5, 0.5], [4.5, 2.5], [0.5, 2.5]]
    assert region.perimeter == 8.0


def test_a_single_pixel_is_one_by_one():
    (region,) = find_regions(mask_of("...", ".#.", "..."))
    rectangle = region.rectangle
    assert (region.area, rectangle.centre, rectangle.length, rectangle.width) == (1, (1.0, 1.0), 1.0, 1.0)


def test_a_diagonal_is_seen_along_its_direction():
    (falling,) = find_regions(np.eye(20, dtype=bool))
    (rising,) = find_regions(np.eye(20, dtype=bool)[::-1].copy())
    assert falling.rectangle.angle == 135
    assert rising.rectangle.angle == 45
    assert rising.rectangle.length == pytest.approx(20 * 2**0.5, abs=1e-3)
    assert rising.rectangle.width == pytest.approx(2**0.5, abs=1e-3)


def test_holes_are_outlined_and_do_not_count():
    (region,) = find_regions(mask_of("#####", "#...#", "#...#", "#####"))
    assert region.area == 14
    assert len(region.outlines) == 2
    assert region.outlines[0].max(0).tolist() == [4.5, 3.5]
    assert region.outlines[1].min(0).tolist() == [0.5, 0.5]


def test_regions_come_largest_first_and_small_ones_not_at_all():
    mask = mask_of("##..#", "##...", "....#", "...##")
    assert [region.area for region in find_regions(mask)] == [4, 3, 1]
    assert [region.area for region in find_regions(mask, min_area=3)] == [4, 3]
    assert find_regions(np.zeros((3, 3), bool)) == []


def test_a_full_mask_is_one_region():
    (region,) = find_regions(np.ones((5, 9), bool))
    assert (region.rectangle.length, region.rectangle.width) == (9.0, 5.0)


@given(seed=st.integers(0, 10_000), turns=st.integers(1, 3))
@settings(max_examples=40, deadline=None)
def test_rotating_the_mask_rotates_the_rectangles(seed, turns):
    rng = np.random.default_rng(seed)
    mask = np.zeros((40, 40), bool)
    top, left, height, width = rng.integers(1, 18, 4)
    mask[top : top + height, left : left + width] = rng.random((height, width)) < 0.7
    before = find_regions(mask, 2)
    after = find_regions(np.rot90(mask, turns).copy(), 2)
    assert [region.area for region in before] == [region.area for region in after]
    for region in before:
        x, y = region.rectangle.centre
        for _ in range(turns):
            x, y = y, 39 - x
        key = sorted(
            (abs(r.rectangle.centre[0] - x) + abs(r.rectangle.centre[1] - y), r.rectangle.length * r.rectangle.width)
            for r in after
            if r.area == region.area
        )
        assert key[0][1] == pytest.approx(region.rectangle.length * region.rectangle.width, abs=0.02)


def test_an_upright_crop_holds_the_pixels_of_its_rectangle():
    image = np.zeros((10, 12), np.uint8)
    image[4:6, 3:9] = np.arange(1, 13).reshape(2, 6)
    (region,) = find_regions(image > 0)
    assert upright_crop(image, region.rectangle).tolist() == np.arange(1, 13).reshape(2, 6).tolist()


def test_an_upright_region_turned_by_90_degrees_is_laid_down():
    image = np.zeros((12, 10), np.uint8)
    image[3:9, 4:6] = 7
    (region,) = find_regions(image > 0)
    crop = upright_crop(image, region.rectangle)
    assert crop.shape == (2, 6)
    assert (crop == 7).all()


def test_an_oblique_bar_is_cropped_upright_with_its_colour():
    import cv2

    image = np.full((100, 100, 3), 200, np.uint8)
    cv2.line(image, (20, 20), (80, 60), (10, 20, 30), 9)
    (region,) = find_regions(image[..., 0] < 100)
    crop = upright_crop(image, region.rectangle.grown(-3))
    assert crop.shape[1] > 4 * crop.shape[0]
    assert np.abs(crop[:, 8:-8].astype(int) - [10, 20, 30]).max() < 12


def test_a_crop_over_the_border_repeats_it():
    image = np.full((4, 4), 50, np.uint8)
    assert (upright_crop(image, Rectangle((0, 0), 8, 6, 30)) == 50).all()


def test_a_long_thin_scratch_survives_the_reduction():
    image = np.full((40, 2000), 200, np.uint8)
    image[20, 100:1900] = 0
    crop = upright_crop(image, Rectangle((1000, 20), 1800, 40, 0), (227, 227))
    assert crop.shape == (227, 227)
    assert crop[110:120, 100].min() < 110


def test_the_classifier_sees_a_margin():
    assert crop_rectangle(Rectangle((5, 5), 100, 10, 20)).width == 34
    assert crop_rectangle(Rectangle((5, 5), 3, 2, 20)).length == 11


@given(seed=st.integers(0, 10_000), density=st.sampled_from([0.02, 0.3, 0.5, 0.8]))
@settings(max_examples=60, deadline=None)
def test_regions_are_the_connected_components(seed, density):
    mask = np.random.default_rng(seed).random((30, 41)) < density
    count, labels = cv2.connectedComponents(mask.view(np.uint8), connectivity=8)
    expected = {np.flatnonzero(labels == index).tobytes() for index in range(1, count)}
    found = set()
    for region in find_regions(mask):
        whole = np.zeros_like(mask)
        whole[region.at] = True
        found.add(np.flatnonzero(whole).tobytes())
        assert whole.sum() == region.area
    assert found == expected


def test_an_island_in_a_lake_is_a_region_of_its_own():
    big, island = find_regions(mask_of("#####", "#...#", "#.#.#", "#...#", "#####"))
    assert (big.area, len(big.outlines), island.area, island.offset) == (16, 2, 1, (2, 2))


def enclosed(outlines, shape) -> np.ndarray:
    """Pixels whose centres lie inside polygons, by the even-odd rule."""
    y, x = np.mgrid[: shape[0], : shape[1]]
    inside = np.zeros(shape, bool)
    for polygon in outlines:
        for (x1, y1), (x2, y2) in zip(polygon, np.roll(polygon, -1, axis=0), strict=True):
            if x1 == x2:
                inside ^= (y > min(y1, y2)) & (y < max(y1, y2)) & (x < x1)
            else:
                assert y1 == y2
    return inside


def signed_area(polygon) -> float:
    x, y = polygon.T
    return float((x * np.roll(y, -1) - np.roll(x, -1) * y).sum() / 2)


@given(seed=st.integers(0, 10_000), density=st.sampled_from([0.05, 0.3, 0.5, 0.7, 0.95]))
@settings(max_examples=60, deadline=None)
def test_an_outline_drawn_again_is_the_region(seed, density):
    mask = np.random.default_rng(seed).random((17, 23)) < density
    for region in find_regions(mask):
        areas = [signed_area(polygon) for polygon in region.outlines]
        assert sum(areas) == region.area
        assert areas[0] > 0
        assert all(area < 0 for area in areas[1:])
        pixels = np.zeros_like(mask)
        pixels[region.at] = True
        assert np.array_equal(enclosed(region.outlines, mask.shape), pixels)


def test_a_line_one_pixel_wide_has_an_area():
    mask = np.zeros((5, 30), bool)
    mask[2, 2:27] = True
    (region,) = find_regions(mask)
    (outline,) = region.outlines
    assert outline.tolist() == [[1.5, 1.5], [26.5, 1.5], [26.5, 2.5], [1.5, 2.5]]
    assert signed_area(outline) == region.area == 25


def test_long_slanting_scratches_cost_their_pixels_and_not_their_boxes():
    mask = np.zeros((3000, 3000), np.uint8)
    for index in range(40):
        cv2.line(mask, (index * 60, 5), (index * 60 + 600, 2990), 1, 2)
    regions = find_regions(mask.view(bool))
    assert len(regions) == 40
    held = sum(region.rows.nbytes + region.columns.nbytes for region in regions)
    assert held <= 8 * int(mask.sum())
