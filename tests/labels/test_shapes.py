import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from casae.labels.runs import from_coco
from casae.labels.shapes import Shape, ellipse, line, polygon

HEIGHT, WIDTH = 30, 40


def drawn(box, left, top):
    shape = Shape.of("a", box, left, top)
    return np.zeros((HEIGHT, WIDTH), bool) if shape is None else shape.mask(HEIGHT, WIDTH)


@given(arrays.arrays(bool, st.tuples(st.integers(1, 30), st.integers(1, 40))), st.integers(-5, 20), st.integers(-5, 20))
def test_a_shape_is_its_pixels_wherever_it_lies(pixels, left, top):
    shape = Shape.of("a", pixels, left, top)
    if shape is None:
        assert not pixels.any()
        return
    assert shape.area == np.count_nonzero(pixels)
    there = np.zeros((80, 80), bool)
    there[20 + top : 20 + top + pixels.shape[0], 20 + left : 20 + left + pixels.shape[1]] = pixels
    assert np.array_equal(shape.mask(HEIGHT, WIDTH), there[20 : 20 + HEIGHT, 20 : 20 + WIDTH])


def test_a_polygon_is_between_its_corners():
    mask = drawn(*polygon([[3, 2], [7, 2], [7, 5], [3, 5]], HEIGHT, WIDTH))
    assert np.argwhere(mask).min(0).tolist() == [2, 3]
    assert np.argwhere(mask).max(0).tolist() == [4, 6]
    assert mask.sum() == 12


corner = st.tuples(st.floats(-10, 50), st.floats(-10, 40))


@given(st.lists(corner, min_size=3, max_size=9))
def test_polygons_are_those_of_pycocotools(corners):
    coco = pytest.importorskip("pycocotools.mask")
    runs = coco.frPyObjects([np.ravel(corners).tolist()], HEIGHT, WIDTH)
    theirs = from_coco(coco.merge(runs)["counts"].decode(), HEIGHT, WIDTH)
    ours = drawn(*polygon(corners, HEIGHT, WIDTH))
    assert np.array_equal(ours, theirs) or not theirs.any()


def test_what_encloses_no_pixel_is_a_line_and_not_lost():
    mask = drawn(*polygon([[3, 4.2], [20, 4.2], [20, 4.3]], HEIGHT, WIDTH))
    assert mask[4, 3:20].all()
    assert mask.sum() <= 19


def test_a_line_is_one_pixel_wide_and_cut_at_the_edge():
    mask = drawn(*line([[-5, 3.5], [100, 3.5]], HEIGHT, WIDTH))
    assert mask[3].all()
    assert mask.sum() == WIDTH


def test_an_ellipse_holds_the_pixels_whose_middle_it_covers():
    mask = drawn(*ellipse((10.5, 10.5), (3, 3), HEIGHT, WIDTH))
    assert mask[10].nonzero()[0].tolist() == [7, 8, 9, 10, 11, 12, 13]
    turned = drawn(*ellipse((10.5, 10.5), (6, 2), HEIGHT, WIDTH, turned=90))
    assert np.argwhere(turned).max(0).tolist() == [16, 12]


@pytest.mark.parametrize("corners", [[[1, 2], [3, 4]], [[1, 2, 3]] * 3, [[np.nan, 1]] * 3, [[1e9, 1]] * 3, [1, 2, 3]])
def test_what_is_no_polygon_is_refused(corners):
    with pytest.raises(ValueError, match="corner"):
        polygon(corners, HEIGHT, WIDTH)
