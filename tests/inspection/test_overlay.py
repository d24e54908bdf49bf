import itertools

import numpy as np
import pytest

from casae import InspectionSettings, Inspector
from casae.inspection import overlay
from casae.inspection.overlay import draw_overlay, picture_scale


def test_defects_are_green_and_rectangles_red_beside_their_labels(dark_model, spotted):
    picture = draw_overlay(Inspector(dark_model).inspect(spotted))
    assert picture.shape == (480, 640, 3)
    inside = picture[120, 400].astype(int)
    assert inside[1] > inside[0] + 50
    assert inside[1] > inside[2] + 50
    assert picture[400, 600].tolist() == [200, 200, 200]
    below = picture[139:146, 310:490]  # lower side of the bar's rectangle; its label stands above
    assert ((below[..., 0] > 150) & (below[..., 1] < 120)).any(0).all()


def test_a_hairline_is_seen_under_its_marks(dark_model):
    image = np.full((48, 64), 200, np.uint8)
    image[20, 10:50] = 10  # drawn ten times as large
    inspection = Inspector(dark_model).inspect(image)
    assert inspection.mask[:, 30].nonzero()[0].tolist() == [20]
    picture = draw_overlay(inspection)
    assert (picture[201:209, 300].astype(int).sum(1) < 200).all()  # dark, as in the image
    assert picture[[199, 210], 300].tolist() == [list(overlay.GREEN)] * 2


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


def test_labels_never_cover_each_other(dark_model):
    """Where there is no room for class and length the number stands alone, or nothing."""
    image = np.full((64, 64), 200, np.uint8)
    image[2::8, 2::8] = image[3::8, 2::8] = image[2::8, 3::8] = 10
    inspector = Inspector(dark_model, InspectionSettings(min_area_px=1))
    inspection = inspector.inspect(image)
    assert len(inspection.defects) == 64
    texts, boxes = [], []
    write, fill = overlay.cv2.putText, overlay.cv2.rectangle
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(overlay.cv2, "putText", lambda *a: texts.append(a[1]) or write(*a))
        patch.setattr(overlay.cv2, "rectangle", lambda *a: boxes.append((*a[1], *a[2])) or fill(*a))
        draw_overlay(inspection)
    assert texts[0] == "1 glare 2 px"
    assert any(text.isdigit() for text in texts)
    pairs = itertools.combinations(boxes, 2)
    assert not any(a[0] < b[2] and b[0] < a[2] and a[1] < b[3] and b[1] < a[3] for a, b in pairs)
