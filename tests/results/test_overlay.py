import numpy as np

from casae import Inspector
from casae.results.overlay import draw_overlay, picture_scale


def test_defects_are_green_and_rectangles_red(dark_model, spotted):
    picture = draw_overlay(Inspector(dark_model).inspect(spotted))
    assert picture.shape == (480, 640, 3)
    inside = picture[120, 400].astype(int)
    assert inside[1] > inside[0] + 50
    assert inside[1] > inside[2] + 50
    assert picture[400, 600].tolist() == [200, 200, 200]
    red = (picture[..., 0] > 200) & (picture[..., 1] < 60)
    assert red.sum() > 200


def test_the_image_itself_is_not_drawn_on(dark_model, spotted):
    colour = np.dstack([spotted] * 3)
    before = colour.copy()
    draw_overlay(Inspector(dark_model).inspect(colour))
    assert np.array_equal(colour, before)


def test_pictures_have_a_size_for_people():
    assert picture_scale((200, 200)) == 2
    assert picture_scale((2040, 2720)) == 1 / 2
    assert picture_scale((600, 800)) == 1
    assert picture_scale((1, 1)) == 480
    assert picture_scale((10, 1500)) == 1
