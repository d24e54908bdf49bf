import itertools

import cv2
import numpy as np
import pytest

from casae.inspection.measurement import Measures, measure
from casae.inspection.regions import Region, find_regions
from drawn import arc, bar, disc

ANGLES = (0, 7, 22.5, 30, 45, 61, 77.7, 90, 123, 135)
SHIFTS = ((0, 0), (0.3, 0.1), (0.49, 0.27))


def measured(mask: np.ndarray) -> Measures:
    return measure(max(find_regions(mask), key=lambda region: region.area), mask.astype(np.uint8), mask)


@pytest.mark.parametrize(("length", "width"), [(10, 5), (40, 6), (100, 30), (400, 20)])
def test_a_bar_is_as_long_and_wide_as_it_was_drawn_at_every_angle(length, width):
    found = [measured(bar(length, width, *place)) for place in itertools.product(ANGLES, SHIFTS)]
    lengths = np.array([each.length_px - length for each in found])
    widths = np.array([each.width_px - width for each in found])
    assert abs(lengths.mean()) <= 0.25
    assert abs(widths.mean()) <= 0.25
    assert max(abs(lengths).max(), abs(widths).max()) <= 1.5
    assert np.mean([each.area_px for each in found]) == pytest.approx(length * width, rel=0.02)
    ferets = np.array([each.feret_max_px - np.hypot(length, width) for each in found])
    assert abs(ferets.mean()) <= 0.8
    assert abs(np.mean([each.feret_min_px for each in found]) - width) <= 0.25


@pytest.mark.parametrize("diameter", [8, 20, 100, 400])
def test_a_disc_is_as_wide_as_it_was_drawn(diameter):
    found = [measured(disc(diameter, shift)) for shift in ((x, y) for x in (0.05, 0.2, 0.45) for y in (0.1, 0.3))]
    for name in ("length_px", "width_px", "feret_max_px", "feret_min_px"):
        errors = np.array([getattr(each, name) - diameter for each in found])
        assert abs(errors.mean()) <= 0.5, name
        assert abs(errors).max() <= 1.5, name
    assert all(each.straightness > 0.95 for each in found)


@pytest.mark.parametrize("angle", ANGLES)
def test_a_line_one_pixel_thick_has_its_length(angle):
    found = measured(bar(60, 1.5, angle))
    assert found.length_px == pytest.approx(60, abs=1.5)
    assert found.skeleton_length_px == pytest.approx(60, abs=1.5)
    assert found.mean_width_px == pytest.approx(1.5, abs=0.65)
    assert found.straightness > 0.99


@pytest.mark.parametrize(("radius", "width", "degrees"), [(20, 2, 180), (50, 3, 270), (100, 10, 300)])
def test_a_bent_scratch_is_measured_along_itself(radius, width, degrees):
    found = measured(arc(radius, width, degrees))
    along = np.deg2rad(degrees) * radius
    assert found.skeleton_length_px == pytest.approx(along, rel=0.02, abs=1.5)
    assert found.mean_width_px == pytest.approx(width, rel=0.1)
    chord = 2 * radius * np.sin(np.deg2rad(degrees) / 2)
    assert found.straightness == pytest.approx(chord / along, abs=0.04)


def test_a_thick_blob_is_measured_on_a_smaller_scale_and_still_holds():
    found = measured(bar(1500, 300, 20))
    assert found.skeleton_length_px == pytest.approx(1500, rel=0.02)
    assert found.mean_width_px == pytest.approx(300, rel=0.02)


def test_a_single_pixel_and_a_row_of_three():
    one = np.zeros((5, 5), bool)
    one[2, 2] = True
    found = measured(one)
    sizes = found.length_px, found.width_px, found.feret_max_px, found.skeleton_length_px, found.mean_width_px
    assert sizes == (1, 1, 1, 1, 1)
    one[2, 1:4] = True
    found = measured(one)
    assert (found.length_px, found.width_px, found.skeleton_length_px, found.straightness) == (3, 1, 3, 1)


@pytest.mark.parametrize("thickness", [3, 7])
@pytest.mark.parametrize("radius", [40, 60, 280])
def test_a_ring_is_as_long_as_all_the_way_round_it(radius, thickness):
    image = np.zeros((600, 600), np.uint8)
    cv2.circle(image, (300, 300), radius, 255, thickness)
    ring = measured(image > 0)
    assert ring.skeleton_length_px == pytest.approx(2 * np.pi * radius, rel=0.03)
    assert ring.straightness == 0
    image[298:303, 300:] = 0  # a cut makes no difference, for a limit
    assert measured(image > 0).skeleton_length_px == pytest.approx(ring.skeleton_length_px, rel=0.04)


def test_a_way_goes_round_the_loops_at_its_ends():
    image = np.zeros((200, 400), np.uint8)
    cv2.circle(image, (80, 100), 40, 255, 3)
    cv2.line(image, (120, 100), (320, 100), 255, 3)
    assert measured(image > 0).skeleton_length_px == pytest.approx(2 * np.pi * 40 + 200, rel=0.02)
    assert measured(image[:, ::-1] > 0).skeleton_length_px == pytest.approx(2 * np.pi * 40 + 200, rel=0.02)
    cv2.circle(image, (350, 100), 30, 255, 3)
    assert measured(image > 0).skeleton_length_px == pytest.approx(2 * np.pi * 70 + 200, rel=0.02)
    image[98:103, 200:204] = 0  # a hole in a line is no loop
    assert measured(image > 0).holes == 1


@pytest.mark.parametrize("seed", range(5))
def test_no_diameter_is_smaller_than_a_side(seed):
    rng = np.random.default_rng(seed)
    image = np.zeros((120, 120), np.uint8)
    cv2.fillPoly(image, [rng.integers(10, 110, (7, 2)).astype(np.int32)], 255)
    found = measured(image > 0)
    assert found.feret_max_px >= found.length_px
    assert found.feret_min_px <= found.width_px


def test_holes_and_the_edge_are_seen():
    ring = disc(20) & ~np.pad(disc(6), 7)
    found = measured(ring)
    assert (found.holes, found.at_edge) == (1, False)
    for side in (np.s_[4, :5], np.s_[4, 5:], np.s_[:5, 4], np.s_[5:, 4]):
        mask = np.zeros((9, 9), bool)
        mask[3:6, 3:6] = True
        assert not measured(mask).at_edge
        mask[side] = True
        assert measured(mask).at_edge


def test_pieces_of_a_joined_line_are_measured_as_one():
    whole = bar(80, 3, 30)
    broken = whole.copy()
    middle = whole.shape[0] // 2
    broken[:, middle - 3 : middle + 3] = False
    pieces = find_regions(broken)
    assert len(pieces) == 2
    joined = Region.joined(pieces)
    assert joined.area == broken.sum()
    assert np.array_equal(np.argwhere(broken), np.stack(joined.at, axis=1))
    found = measure(joined, broken.astype(np.uint8), broken)
    assert found.length_px == pytest.approx(80, abs=1.5)
    assert found.skeleton_length_px == pytest.approx(80, abs=2)
    assert (len(joined.outlines), found.holes) == (2, 0)
    assert found.perimeter_px == pytest.approx(sum(piece.perimeter for piece in pieces))
