import numpy as np
import pytest

from casae.inspection.measurement import measure
from casae.inspection.regions import find_regions


def bar(background: float = 200, inside: float = 98) -> tuple[np.ndarray, np.ndarray]:
    image = np.full((30, 40), background, np.uint8)
    image[10:14, 8:28] = inside
    return image, image != background


def test_sizes_in_pixels_and_millimetres():
    image, mask = bar()
    (region,) = find_regions(mask)
    sizes = measure(region, image, mask, mm_per_pixel=0.5)
    assert (sizes.area_px, sizes.length_px, sizes.width_px, sizes.angle_deg) == (80, 20.0, 4.0, 0.0)
    assert (sizes.area_mm2, sizes.length_mm, sizes.width_mm) == (20.0, 10.0, 2.0)
    assert (sizes.perimeter_px, sizes.perimeter_mm) == (44.0, 22.0)
    assert (sizes.centre_x_px, sizes.centre_y_px) == (17.5, 11.5)
    assert sizes.contrast == pytest.approx(-102 / 255)


def test_without_a_scale_there_are_no_millimetres():
    image, mask = bar()
    sizes = measure(find_regions(mask)[0], image, mask)
    assert (sizes.length_mm, sizes.width_mm, sizes.area_mm2, sizes.perimeter_mm) == (None, None, None, None)


def test_contrast_leaves_other_defects_out_of_the_surrounding():
    image, mask = bar()
    image[16:18, 8:28] = 0
    mask[16:18, 8:28] = True
    sizes = measure(find_regions(mask)[0], image, mask)
    assert sizes.contrast == pytest.approx(-102 / 255)


def test_a_defect_that_fills_the_image_has_no_contrast():
    image = np.zeros((5, 5), np.uint8)
    mask = np.ones((5, 5), bool)
    assert measure(find_regions(mask)[0], image, mask).contrast is None
