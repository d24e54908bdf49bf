import cv2
import numpy as np
import pytest

from casae.labelled.defects import smallest_region
from casae.labelled.images import LabelledImage
from casae.labelled.scale import choose_fit, input_size, outgrows, tile_size, view_size
from casae.recipes import PRESETS

CHOOSE = PRESETS["fast"].segmenter


def hairline(size: int, thickness: int) -> list[LabelledImage]:
    label = np.zeros((size, size), np.uint8)
    label[size // 2 : size // 2 + thickness, 10:-10] = 1
    return [LabelledImage("a", np.where(label, 20, 200).astype(np.uint8), label)]


def block(shape: tuple[int, int], side: int) -> LabelledImage:
    """One square defect in an image (H, W)."""
    label = np.zeros(shape, np.uint8)
    label[10 : 10 + side, 10 : 10 + side] = 1
    return LabelledImage("a", np.where(label, 20, 200).astype(np.uint8), label)


def test_the_input_follows_the_shape_of_the_images():
    images = [block((192, 256), 9)]
    assert input_size(images, 256, "letterbox") == (192, 256)
    assert input_size(images, 512, "squeeze") == (512, 512)
    tall = [block((900, 100), 9)]
    assert input_size(tall, 256, "letterbox") == (256, 32)
    assert input_size(tall, 256, "letterbox", 64) == (256, 64)


def test_what_scaling_would_lose_is_learned_from_tiles():
    assert choose_fit(hairline(200, 2), CHOOSE) == ("letterbox", 1, "")
    assert choose_fit(hairline(1000, 40), CHOOSE)[:2] == ("letterbox", 1)
    fit, scale, why = choose_fit(hairline(1024, 3), CHOOSE)
    assert (fit, scale) == ("tile", 1)
    assert "3.0 px, has 0.8 px in an input of 256 px" in why


def test_tiles_are_cut_at_the_smallest_scale_that_leaves_enough_of_a_defect():
    assert choose_fit(hairline(2000, 6), CHOOSE)[:2] == ("tile", 0.6)  # two pixels of the six are its rim
    tiles = CHOOSE.model_copy(update={"fit": "tile"})
    assert choose_fit(hairline(1000, 40), tiles)[:2] == ("tile", 0.26)  # no smaller than to be one tile
    assert choose_fit(hairline(1000, 40), tiles.model_copy(update={"scale": 0.8}))[:2] == ("tile", 0.8)


@pytest.mark.parametrize(
    ("shape", "scale", "tile"),
    [
        ((400, 400), 1, (416, 416)),
        ((640, 853), 0.5, (320, 448)),
        ((2040, 2720), 1, (736, 736)),
        ((1024, 1024), 1, (544, 544)),
        ((90, 900), 1, (96, 512)),
        ((900, 90), 0.5, (480, 64)),
    ],
)
def test_a_tile_of_an_inspection_is_the_typical_image_within_limits(shape, scale, tile):
    images = [LabelledImage("a", np.zeros(shape, np.uint8), np.zeros(shape, np.uint8))]
    assert tile_size(images, 256, scale) == tile
    assert all(side % 64 == 0 for side in tile_size(images, 256, scale, 64))
    assert max(tile_size(images, 1024, scale)) <= 1024


def test_views_of_narrow_tiles_have_as_many_pixels_as_a_square():
    assert view_size((736, 736), 256) == (256, 256)
    assert view_size((320, 448), 256) == (256, 256)
    assert view_size((96, 512), 256) == (96, 512)
    assert view_size((96, 768), 256) == (96, 672)
    assert view_size((768, 64), 256) == (768, 64)


def test_crumbs_beside_defects_decide_nothing():
    label = np.zeros((1000, 1000), np.uint8)
    label[100:160, 100:180] = 1
    crumbs = label.copy()
    crumbs[400:800:20, 500:502] = 1
    clean, crumbled = ([LabelledImage("a", each, each)] * 3 for each in (label, crumbs))
    assert smallest_region(crumbled) == smallest_region(clean) == 12
    assert choose_fit(crumbled, CHOOSE)[:2] == choose_fit(clean, CHOOSE)[:2] == ("letterbox", 1)


def test_thin_defects_in_the_larger_images_are_not_scaled_away():
    small = np.zeros((200, 200), np.uint8)
    small[50:80, 50:80] = 1
    images = [LabelledImage("s", small, small)] * 6
    assert choose_fit(images + hairline(1600, 3) * 4, CHOOSE)[:2] == ("tile", 1)
    assert choose_fit(images + hairline(1600, 9) * 5, CHOOSE)[:2] == ("tile", 1)


def test_a_few_large_images_do_not_shrink_the_others():
    wide = np.zeros((1200, 1600), np.uint8)
    wide[100:130, 100:130] = 1
    small = np.zeros((300, 300), np.uint8)
    small[100:130, 100:130] = 1
    images = [LabelledImage("s", small, small)] * 15 + [LabelledImage("w", wide, wide)] * 5
    assert choose_fit(images, CHOOSE)[:2] == ("tile", 0.85)


def test_a_narrow_input_costs_no_scale():
    def input_of(height: int, width: int) -> tuple[int, int]:
        return input_size([LabelledImage("a", blank := np.zeros((height, width), np.uint8), blank)], 256, "letterbox")

    assert input_of(256, 1600) == (64, 256)  # 41 px of 256, not 32
    assert input_of(1600, 256) == (256, 64)
    assert input_of(120, 900) == (32, 256)  # 34 px: a scale of 0.94 is near enough


def test_a_class_of_few_tiny_defects_is_not_outvoted():
    label = np.zeros((1500, 2000), np.uint8)
    for index in range(15):
        cv2.circle(label, (100 + 120 * index, 300), 40, 1, -1)
    gray = np.where(label, 20, 200).astype(np.uint8)
    assert choose_fit([LabelledImage("a", gray, label)], CHOOSE)[0] == "letterbox"
    label[1000:1004, 1000:1004] = 2
    fit, scale, why = choose_fit([LabelledImage("a", gray, label)], CHOOSE)
    assert (fit, scale) == ("tile", 1)
    assert "a thin labelled defect, 3.0 px" in why
    large = LabelledImage("b", gray, np.where(label == 1, np.uint8(1), np.uint8(0)))
    assert choose_fit([LabelledImage("a", gray, label), large], CHOOSE)[0] == "tile"
    assert choose_fit([LabelledImage("a", gray, label)] + [large] * 8, CHOOSE)[0] == "letterbox"


def test_squares_among_strips_are_not_scaled_away():
    """The input follows the strips, and a square fits it at a quarter of what its longer side says."""
    assert choose_fit([block((500, 500), 18)] * 10, CHOOSE)[:2] == ("letterbox", 1)
    fit, _, why = choose_fit([block((250, 450), 9)] * 6 + [block((450, 450), 9)] * 4, CHOOSE)
    assert (fit, "has 2.6 px" in why) == ("tile", True)


def test_narrow_images_are_seen_at_a_scale_that_fills_the_views():
    fit, scale, why = choose_fit([block((256, 1600), 40)], CHOOSE)
    assert (fit, scale) == ("tile", 0.4)
    assert "images this narrow show few pixels in an input of 256 px" in why
    assert choose_fit([block((256, 1600), 4)], CHOOSE)[:2] == ("tile", 1)
    assert choose_fit([block((60, 250), 40)], CHOOSE)[:2] == ("letterbox", 1)
    assert choose_fit([block((900, 1600), 60)], CHOOSE)[:2] == ("letterbox", 1)


def test_one_crumbled_mask_decides_nothing():
    good = block((1024, 1024), 400)
    label = good.label.copy()
    for place in range(20):
        label[600:605, 20 * place : 20 * place + 5] = 1
    crumbled = LabelledImage("b", good.gray, label)
    assert choose_fit([good] * 10 + [crumbled], CHOOSE)[:2] == ("letterbox", 1)
    assert choose_fit([good] * 5 + [crumbled] * 5, CHOOSE)[:2] == ("tile", 1)


def test_small_defects_keep_enough_pixels():
    """A spot is thick enough long before it is large enough."""
    fit, scale, why = choose_fit([block((1000, 1000), 25)] * 10, CHOOSE)
    assert (fit, scale) == ("tile", 0.32)
    assert "a small labelled defect, 25 px, has 6.4 px in an input of 256 px" in why
    assert choose_fit([block((1000, 1000), 40)] * 10, CHOOSE)[:2] == ("letterbox", 1)
    assert choose_fit([block((4000, 3000), 10)], CHOOSE)[:2] == ("tile", 0.5)  # an inspection takes its time as it is


def test_a_blot_on_a_hairline_does_not_make_it_thick():
    (image,) = hairline(2000, 6)
    image.label[990:1020, 500:530] = 1
    assert choose_fit([image], CHOOSE)[1] == pytest.approx(choose_fit(hairline(2000, 6), CHOOSE)[1], abs=0.15)


def test_one_large_picture_does_not_decide_the_scale():
    small = [block((480, 640), 9) for _ in range(5)]
    overview = LabelledImage("b", np.zeros((4000, 6000), np.uint8), np.zeros((4000, 6000), np.uint8))
    assert choose_fit([*small, overview], CHOOSE)[:2] == choose_fit(small, CHOOSE)[:2]


def test_small_defects_in_large_images_are_spoken_of():
    fit, scale, why = choose_fit([block((3000, 4000), 9)], CHOOSE)
    assert (fit, scale) == ("tile", 0.5)
    assert "a small one keeps 4.5 px, because images are large (--set scale=1 shows more)" in why


def blob(side, width, height=600):
    label = np.zeros((height, 800), np.uint8)
    label[100 : 100 + side, 100 : 100 + width] = 1
    return LabelledImage("a", np.full(label.shape, 90, np.uint8), label)


@pytest.mark.parametrize(
    ("images", "scale", "large"),
    [
        ([blob(200, 200)] * 3, 1.0, True),
        ([blob(200, 200)] * 3, 0.5, False),  # of half the side, a view shows enough around it
        ([blob(200, 200)] * 2 + [blob(20, 20)] * 8, 1.0, False),
        ([blob(20, 500)] * 3, 1.0, False),  # long and thin: a piece is as plain
        ([blob(200, 200)], 1.0, True),
        ([blob(0, 0)] * 3, 1.0, False),
    ],
)
def test_large_thick_defects_outgrow_a_view(images, scale, large):
    assert outgrows(images, (256, 256), scale) is large
