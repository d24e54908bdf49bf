import json
import math

import cv2
import numpy as np
import pytest

from casae import Inspector
from casae.calibration.calibration import Calibration, Lens
from casae.calibration.estimate import Grid, from_coin, from_grid, from_ruler
from casae.config import InspectionSettings
from casae.errors import ImageError, UsageError
from casae.line.run import inspect_files
from casae.results.report import _card

SIZE = (960, 720)  # width, height
SCALE = 0.08  # mm a pixel, in the middle
FINER = 3  # samples a pixel and direction


def board(tilt=(0, 0, 4), radial=(0.0, 0.0), kind="chessboard", focal=3.0) -> np.ndarray:
    """What a pinhole camera sees of a board of 9 x 6 marks every 5 mm, turned by degrees about its middle."""
    width, height = SIZE
    f = focal * width
    y, x = np.mgrid[: height * FINER, : width * FINER]
    seen = np.stack([(x.ravel() + 0.5) / FINER - 0.5, (y.ravel() + 0.5) / FINER - 0.5], axis=1)[:, None]
    matrix = np.array([[f, 0, (width - 1) / 2], [0, f, (height - 1) / 2], [0, 0, 1.0]])
    straight = cv2.undistortPoints(seen, matrix, np.array([*radial, 0, 0, 0.0]), criteria=(3, 50, 1e-9))[:, 0]
    rays = np.concatenate([straight, np.ones((len(straight), 1))], axis=1)
    turned = cv2.Rodrigues(np.deg2rad(np.array(tilt, float)))[0]
    middle = np.array([0, 0, f * SCALE])
    points = rays * ((turned[:, 2] @ middle) / (rays @ turned[:, 2]))[:, None] - middle
    u, v = points @ turned[:, 0] / 5 + 5, points @ turned[:, 1] / 5 + 3.5  # in squares, from the board's corner
    if kind == "chessboard":
        dark = (u >= 0) & (u < 10) & (v >= 0) & (v < 7) & ((np.floor(u) + np.floor(v)) % 2 == 0)
    else:
        near_u, near_v = np.rint(u), np.rint(v)
        dark = (np.hypot(u - near_u, v - near_v) < 0.3) & (near_u >= 1) & (near_u <= 9) & (near_v >= 1) & (near_v <= 6)
    image = np.where(dark, 30, 220).reshape(height * FINER, width * FINER).astype(np.uint8)
    image = cv2.GaussianBlur(cv2.resize(image, SIZE, interpolation=cv2.INTER_AREA), (0, 0), 0.7)
    return np.clip(image + np.random.default_rng(0).normal(0, 2, image.shape), 0, 255).astype(np.uint8)


CHESSBOARD = Grid("chessboard", 9, 6, 5)


@pytest.mark.parametrize("radial", [(0, 0), (-0.5, 0), (0.8, 0)])
def test_a_chessboard_gives_the_scale_within_a_five_hundredth(radial):
    found = from_grid([("board", board(radial=radial))], CHESSBOARD, "bench")
    assert found.mm_per_pixel == pytest.approx(SCALE, rel=0.002)
    assert found.straight_error_percent < 0.2
    assert found.tilt_degrees < 2
    assert (found.width_px, found.height_px) == SIZE
    if any(radial):
        assert found.error_percent > 1.5 * found.straight_error_percent


def test_straightening_takes_the_lens_out():
    bent = board(radial=(-0.8, 0))
    found = from_grid([("board", bent)], CHESSBOARD, "bench")
    again = from_grid([("board", found.straightened(bent))], CHESSBOARD, "bench")
    assert again.error_percent < 0.25 < found.error_percent
    assert again.mm_per_pixel == pytest.approx(found.mm_per_pixel, rel=0.002)


def test_a_board_that_lies_askew_says_so():
    found = from_grid([("board", board(tilt=(0, 12, 3)))], CHESSBOARD, "bench")
    assert found.tilt_degrees == pytest.approx(12, abs=1)
    assert found.error_percent > 1


def test_several_views_give_the_lens():
    views = [board(tilt=tilt, radial=(-0.5, 0)) for tilt in ((0, 0, 3), (14, 0, 0), (0, -15, 5), (-10, 10, 0))]
    found = from_grid([(f"{number}", view) for number, view in enumerate(views)], CHESSBOARD, "bench")
    assert found.mm_per_pixel == pytest.approx(SCALE, rel=0.002)
    assert found.lens.focal_px == pytest.approx(3 * SIZE[0], rel=0.03)
    assert found.lens.radial[0] == pytest.approx(-0.5, abs=0.1)
    assert found.lens.residual_px < 0.2


def test_a_grid_of_dots_does_too():
    found = from_grid([("dots", board(kind="dots"))], Grid("circles", 9, 6, 5), "bench")
    assert found.mm_per_pixel == pytest.approx(SCALE, rel=0.002)


def test_what_shows_no_board_is_named():
    with pytest.raises(ImageError, match=r"empty\.png: does not show 9 x 6 corners inside a chessboard"):
        from_grid([("empty.png", np.full((200, 300), 99, np.uint8))], CHESSBOARD, "bench")
    with pytest.raises(ImageError, match="the pictures of the grid differ in size"):
        from_grid([("a", board()), ("b", board()[:-1])], CHESSBOARD, "bench")


def test_a_ruler_is_two_points():
    found = from_ruler((100, 100), (1300, 1000), 15, "ruler")
    assert found.mm_per_pixel == pytest.approx(0.01)
    assert found.error_percent == pytest.approx(100 * math.sqrt(0.5) / 1500, rel=0.01)
    with pytest.raises(UsageError, match="are one point"):
        from_ruler((1, 1), (1, 1), 15, "ruler")


@pytest.mark.parametrize(("ground", "coin"), [(220, 60), (40, 190)])
def test_a_coin_gives_the_scale(ground, coin):
    y, x = np.mgrid[:600, :800]
    share = np.clip(150.4 - np.hypot(x - 400.3, y - 280.7) + 0.5, 0, 1)
    image = np.clip(ground + (coin - ground) * share + np.random.default_rng(0).normal(0, 3, (600, 800)), 0, 255)
    found = from_coin(image.astype(np.uint8), 23.25, "coin.png", "coin")
    assert found.mm_per_pixel == pytest.approx(23.25 / 300.8, rel=found.error_percent / 100)
    assert found.error_percent < 0.5
    with pytest.raises(ImageError, match=r"coin\.png: shows no disc alone"):
        from_coin(image[:300].astype(np.uint8), 23.25, "coin.png", "coin")


@pytest.mark.parametrize("diameter", [80, 150, 300, 560])
@pytest.mark.parametrize("noise", [0, 4])
def test_the_scale_of_a_coin_is_as_near_as_it_says(diameter, noise):
    y, x = np.mgrid[:600, :600]
    share = np.clip(diameter / 2 - np.hypot(x - 300.3, y - 299.6) + 0.5, 0, 1)
    image = 220 - 160 * share + np.random.default_rng(0).normal(0, noise, (600, 600))
    found = from_coin(np.clip(image, 0, 255).astype(np.uint8), 10, "coin.png", "coin")
    assert 10 / diameter == pytest.approx(found.mm_per_pixel, rel=found.error_percent / 200)


def some(**changes) -> Calibration:
    lens = Lens(focal_px=200, centre_x_px=31.5, centre_y_px=23.5, radial=(0.4, 0), tangential=(0, 0), residual_px=0.1)
    values = {"name": "bench", "method": "chessboard", "mm_per_pixel": 0.1, "error_percent": 0.5, "lens": lens}
    return Calibration(**values | {"straight_error_percent": 0.1, "width_px": 64, "height_px": 48} | changes)


def test_a_file_is_read_as_it_was_written(tmp_path):
    for calibration in (some(), some(lens=None, straight_error_percent=None, made="2026-11-29")):
        calibration.write(tmp_path / "bench.toml")
        assert Calibration.read(tmp_path / "bench.toml") == calibration
    (tmp_path / "bench.toml").write_text("name = 'x'\nmethod = 'ruler'\nmm_per_pixel = -1\nerror_percent = 1\n")
    with pytest.raises(UsageError, match=r"line 3, column 1: mm_per_pixel -1: .*write it anew with casae calibrate"):
        Calibration.read(tmp_path / "bench.toml")


def test_an_inspection_states_scale_and_error_of_its_calibration(dark_model, spotted, tmp_path):
    some().write(tmp_path / "bench.toml")
    record = Inspector(dark_model, calibration=tmp_path / "bench.toml").inspect(spotted).record()
    assert (record.mm_per_pixel, record.scale_error_percent, record.calibration) == (0.1, 0.5, "bench")
    assert record.calibration_sha256 == some().sha256
    assert record.defects[0].length_mm == pytest.approx(0.1 * record.defects[0].length_px)
    straight = Inspector(dark_model, calibration=some(), straighten=True).inspect(spotted)
    assert (straight.record().scale_error_percent, straight.record().straightened) == (0.1, True)
    assert np.array_equal(straight.image, some().straightened(spotted))
    json.dumps(straight.to_dict())


def test_a_side_that_cannot_be_straightened_is_said():
    with pytest.raises(ImageError, match=r"strip.png: has a side of 40000 px, and 32766 is the longest"):
        some().straightened(np.zeros((2, 40000), np.uint8), "strip.png")


def test_a_calibration_holds_for_pictures_of_its_size(dark_model, spotted):
    inspector = Inspector(dark_model, calibration=some(width_px=100))
    with pytest.raises(ImageError, match="array: has 64 x 48 px, calibration 'bench' is of 100 x 48"):
        inspector.inspect(spotted)
    with pytest.raises(UsageError, match="both state the scale"):
        Inspector(dark_model, InspectionSettings(mm_per_pixel=1), calibration=some())
    with pytest.raises(UsageError, match="straightening needs a calibration that knows the lens"):
        Inspector(dark_model, calibration=some(lens=None), straighten=True)


def test_crops_of_a_report_are_cut_from_the_straightened_picture(dark_model, spotted, tmp_path):
    cv2.imwrite(str(tmp_path / "part.png"), spotted)
    bent = some(lens=some().lens.model_copy(update={"radial": (9.0, 0.0)}))
    inspector = Inspector(dark_model, calibration=bent, straighten=True)
    (record,), _ = inspect_files(inspector, [tmp_path / "part.png"], tmp_path / "out")
    crops = [_card(record, tmp_path / "out", each).defects[0][0] for each in (bent, some(), None)]
    assert crops[0] != crops[1]
    assert crops[2] is None
