import cv2
import numpy as np
import pytest

from casae.errors import ImageError, UsageError
from casae.inspection.inspector import Inspector
from casae.inspection.regions import find_regions
from casae.inspection.zones import read_zones

POLYGONS = """
[[zone]]
name = "seal"
polygon = [[0, 0], [9, 0], [9, 9], [0, 9]]
[[zone]]
name = "rim"
polygon = [[8, 0], [19, 0], [19, 19], [8, 19]]
"""


def spot(x: int, y: int):
    mask = np.zeros((20, 20), bool)
    mask[y, x : x + 2] = True
    return find_regions(mask)[0]


def test_a_defect_knows_every_zone_it_touches(tmp_path):
    file = tmp_path / "zones.toml"
    file.write_text(POLYGONS)
    zones = read_zones(file)
    assert zones.names == ("seal", "rim")
    assert zones.of(spot(2, 2), (20, 20)) == ("seal",)
    assert zones.of(spot(8, 2), (20, 20)) == ("seal", "rim")
    assert zones.of(spot(0, 15), (20, 20)) == ()
    assert zones.of(spot(17, 19), (20, 20)) == ("rim",)


def test_a_picture_without_a_zone_is_refused_whatever_is_found_in_it(tmp_path, dark_model):
    (tmp_path / "zones.toml").write_text(POLYGONS)
    inspector = Inspector(dark_model, zones=tmp_path / "zones.toml")
    assert inspector.inspect(np.full((20, 20), 200, np.uint8)).verdict.decision == "OK"
    cv2.imwrite(str(tmp_path / "small.png"), np.full((20, 7), 200, np.uint8))
    with pytest.raises(ImageError, match=r"small.png: zone 'rim' lies outside of its 7 x 20 px; draw zones for"):
        inspector.inspect(tmp_path / "small.png")


def test_a_mask_gives_zones_by_value(tmp_path):
    mask = np.zeros((20, 20), np.uint8)
    mask[:, 10:] = 7
    cv2.imwrite(str(tmp_path / "zones.png"), mask)
    file = tmp_path / "zones.toml"
    file.write_text('mask = "zones.png"\n[[zone]]\nname = "seal"\nvalue = 7\n')
    zones = read_zones(file)
    assert zones.of(spot(9, 3), (20, 20)) == ("seal",)
    assert zones.of(spot(3, 3), (20, 20)) == ()
    with pytest.raises(ImageError, match=r"a.png: is 30 x 20 px, the mask of zones 20 x 20; draw it as large"):
        zones.check((20, 30), "a.png")
    zones.check((20, 20), "a.png")
    before = zones.sha256
    mask[0, 0] = 7
    cv2.imwrite(str(tmp_path / "zones.png"), mask)
    assert read_zones(file).sha256 != before


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ('[[zone]]\nname = "a"\n', "line 1, column 1: zone #1: a: give it a polygon or a value"),
        ('[[zone]]\nname = "a"\nvalue = 3\n', r'a value needs mask = "FILE"'),
        ('[[zone]]\nname = "a"\npoligon = 3\n', "line 3, column 1: zone #1.poligon: no such setting"),
        ("mask = \n", "not valid TOML"),
        ("", "zone: field required"),
    ],
)
def test_wrong_zones_are_explained_with_their_line(tmp_path, text, told):
    file = tmp_path / "zones.toml"
    file.write_text(text)
    with pytest.raises(UsageError, match=told):
        read_zones(file)


def test_a_value_that_the_mask_does_not_have_is_named(tmp_path):
    cv2.imwrite(str(tmp_path / "zones.png"), np.zeros((5, 5), np.uint8))
    (tmp_path / "zones.toml").write_text('mask = "zones.png"\n[[zone]]\nname = "seal"\nvalue = 7\n')
    with pytest.raises(UsageError, match="no pixel of value 7, zone 'seal'"):
        read_zones(tmp_path / "zones.toml")
