import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.sparse.csgraph import connected_components

from casae.inspection.classification import Named
from casae.inspection.distances import Outline, densest, nearest, together
from casae.inspection.joining import join
from casae.inspection.regions import find_regions


def row(*spans: tuple[int, int]) -> list:
    mask = np.zeros((7, 80), bool)
    for start, end in spans:
        mask[3, start:end] = True
    return sorted(find_regions(mask), key=lambda region: region.offset)


def test_pieces_nearer_than_the_gap_are_one_over_others_too():
    found = [Named("scratch", 0.9, region) for region in row((2, 12), (15, 20), (23, 33), (60, 70))]
    assert [each.region.area for each in join(found, 2.9)] == [10, 10, 10, 5]
    assert [each.region.area for each in join(found, 3)] == [25, 10]
    assert join(found, 0) == found


def test_other_classes_stay_apart_and_the_larger_piece_counts_more():
    first, second, third = row((2, 12), (15, 45), (48, 50))
    pieces = [Named("scratch", 0.6, first, 0.9), Named("scratch", 0.8, second, 0.2), Named("dust", 0.9, third)]
    joined = join(pieces, 5)
    assert [(each.name, each.probability, each.novelty) for each in joined] == [
        ("scratch", 0.75, 0.9),
        ("dust", 0.9, None),
    ]


@given(st.lists(st.tuples(st.integers(0, 30), st.integers(0, 30)), min_size=2, max_size=6, unique=True))
@settings(max_examples=100, deadline=None)
def test_distances_are_those_of_the_pixels_squares(places):
    mask = np.zeros((33, 33), bool)
    for x, y in places:
        mask[y : y + 2, x : x + 2] = True
    regions = find_regions(mask)
    outlines = [Outline(region.outlines) for region in regions]
    gaps = np.full((len(regions), len(regions)), np.inf)
    for one, own in enumerate(regions):
        for other, foreign in enumerate(regions):
            if one != other:
                apart = np.maximum(np.abs(own.pixels[:, None] - foreign.pixels[None]) - 1, 0)
                gaps[one, other] = np.hypot(*np.moveaxis(apart, 2, 0)).min()
                assert outlines[one].distance(outlines[other]) == pytest.approx(gaps[one, other])
    assert nearest(outlines) == pytest.approx(gaps.min())
    for most in (0.5, 3.0, 8.0):
        _, groups = connected_components(gaps <= most)
        assert together(outlines, most) == [groups.tolist().index(group) for group in groups]


@given(st.lists(st.tuples(st.integers(0, 40), st.integers(0, 40)), min_size=1, max_size=12), st.integers(1, 30))
@settings(max_examples=100, deadline=None)
def test_the_densest_square_is_found(points, side):
    spots = np.array(points)
    best = max(
        int(((spots[:, 0] >= x) & (spots[:, 0] <= x + side) & (spots[:, 1] >= y) & (spots[:, 1] <= y + side)).sum())
        for x in range(-side, 41)
        for y in range(-side, 41)
    )
    assert densest(points, side) == best
