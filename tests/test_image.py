import sys

import cv2
import numpy as np
import PIL.Image
import pytest
import tifffile

from casae.decoding import decode_image, read_image
from casae.errors import ImageError
from casae.files import find_images
from casae.image import Frame, check_image, lies_across, resize, to_8bit, to_gray, to_unit


def png(image: np.ndarray) -> bytes:
    return bytes(cv2.imencode(".png", image)[1])


def test_formats_give_the_same_pixels(tmp_path):
    rgb = np.arange(5 * 7 * 3, dtype=np.uint8).reshape(5, 7, 3)
    for suffix in (".png", ".bmp"):
        cv2.imwrite(str(tmp_path / f"a{suffix}"), cv2.cvtColor(rgb, cv2.COLOR_RGB2BGR))
        assert np.array_equal(read_image(tmp_path / f"a{suffix}"), rgb)
    tifffile.imwrite(tmp_path / "a.tiff", rgb, compression="lzw")
    assert np.array_equal(read_image(tmp_path / "a.tiff"), rgb)


def test_sixteen_bits_stay_sixteen_bits():
    image = np.array([[0, 4095], [40000, 65535]], np.uint16)
    read = decode_image(png(image), "a.png")
    assert read.dtype == np.uint16
    assert np.array_equal(read, image)
    assert to_unit(read).max() == 1
    assert to_8bit(read)[1, 1] == 255


def test_scaling_follows_the_dtype_not_the_values():
    dark = np.full((2, 2), 51, np.uint8)
    assert to_unit(dark)[0, 0] == pytest.approx(0.2)
    assert to_unit(dark.astype(np.uint16))[0, 0] == pytest.approx(51 / 65535)


def test_transparency_is_dropped_and_one_pixel_is_an_image():
    rgba = np.full((1, 1, 4), 128, np.uint8)
    assert decode_image(png(rgba), "a.png").shape == (1, 1, 3)
    assert check_image(rgba).shape == (1, 1, 3)
    assert check_image(np.zeros((3, 4, 1), np.uint8)).shape == (3, 4)


def test_cmyk_jpeg_becomes_rgb(tmp_path):
    from PIL import Image

    Image.new("CMYK", (20, 10), (0, 255, 255, 0)).save(tmp_path / "red.jpg", quality=95)
    read = read_image(tmp_path / "red.jpg")
    assert read.shape == (10, 20, 3)
    assert read[5, 10, 0] > 200
    assert read[5, 10, 1:].max() < 60


def test_a_tiff_is_turned_upright(tmp_path):
    seen = np.arange(240, dtype=np.uint8).reshape(12, 20)
    half, quarter = np.rot90(seen, 2), np.rot90(seen, -1)
    upright = [seen, seen[:, ::-1], half, seen[::-1], seen.T, quarter, half.T, np.rot90(seen)]  # TIFF 6.0, page 36
    for orientation, image in enumerate(upright, start=1):
        PIL.Image.fromarray(seen).save(tmp_path / "a.tif", tiffinfo={274: orientation})
        assert np.array_equal(read_image(tmp_path / "a.tif"), image)


def test_a_jpeg_is_turned_upright(tmp_path):
    orientation = PIL.Image.Exif()
    orientation[274] = 6  # its left side belongs to the top
    stored = np.repeat([[0] * 30 + [255] * 30], 20, 0).astype(np.uint8)
    PIL.Image.fromarray(stored).save(tmp_path / "a.jpg", exif=orientation)
    seen = read_image(tmp_path / "a.jpg")
    assert seen.shape == (60, 20)
    assert seen[:20].max() < 50 < 200 < seen[40:].min()


def test_colours_of_a_tiff(tmp_path):
    rgb = np.random.default_rng(0).integers(0, 255, (12, 20, 3), np.uint8)
    picture = PIL.Image.fromarray(rgb)
    picture.quantize(16).save(tmp_path / "palette.tif")
    assert np.array_equal(read_image(tmp_path / "palette.tif"), np.asarray(picture.quantize(16).convert("RGB")))
    PIL.Image.new("CMYK", (20, 12), (0, 255, 255, 0)).save(tmp_path / "cmyk.tif")
    assert read_image(tmp_path / "cmyk.tif")[0, 0].tolist() == [255, 0, 0]
    tifffile.imwrite(tmp_path / "planes.tif", rgb.transpose(2, 0, 1), photometric="rgb", planarconfig="separate")
    assert np.array_equal(read_image(tmp_path / "planes.tif"), rgb)
    picture.convert("LA").save(tmp_path / "la.tif")
    assert read_image(tmp_path / "la.tif").shape == (12, 20)
    picture.convert("LAB").save(tmp_path / "lab.tif")
    with pytest.raises(ImageError, match="colours as CIELAB"):
        read_image(tmp_path / "lab.tif")


def test_white_is_zero_tiff_is_turned(tmp_path):
    tifffile.imwrite(tmp_path / "a.tif", np.array([[0, 255]], np.uint8), photometric="miniswhite")
    assert read_image(tmp_path / "a.tif").tolist() == [[255, 0]]


@pytest.mark.parametrize(
    ("data", "rule"),
    [
        (b"", "empty"),
        (b"just text, renamed\n", "not a PNG"),
        (png(np.zeros((40, 40), np.uint8))[:-20], "cut off"),
        (bytes(cv2.imencode(".jpg", np.zeros((40, 40), np.uint8))[1])[:-30], "cut off"),
        (bytes(cv2.imencode(".bmp", np.zeros((40, 40), np.uint8))[1])[:-30], "cut off"),
        (b"II*\0 but no tiff", "no picture"),
    ],
)
def test_a_bad_file_is_named_with_the_rule_it_breaks(data, rule):
    with pytest.raises(ImageError, match=rule) as error:
        decode_image(data, "line3/part.png")
    assert "line3/part.png" in str(error.value)
    assert "\n" not in str(error.value)


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(ImageError, match=r"gone\.png: cannot be read"):
        read_image(tmp_path / "gone.png")


@pytest.mark.parametrize(
    "array",
    [np.zeros((2, 2, 2), np.uint8), np.zeros((0, 4), np.uint8), np.zeros((2, 2), np.int64), np.full((2, 2), 7.0)],
)
def test_arrays_that_are_no_images_are_refused(array):
    with pytest.raises(ImageError):
        check_image(array)


def test_gray_of_a_gray_colour_is_the_same_gray():
    assert to_gray(np.full((2, 2, 3), 77, np.uint8)).tolist() == [[77, 77], [77, 77]]


def test_letterbox_keeps_the_aspect_ratio_and_mirrors():
    image = np.tile(np.arange(100, dtype=np.uint8), (50, 1))
    frame = Frame.of(image.shape, 64, 64, "letterbox")
    assert (frame.content_height, frame.content_width) == (32, 64)
    put = frame.put(image)
    assert put.shape == (64, 64)
    assert np.array_equal(put[32], put[31])
    assert frame.take(put, image.shape).shape == (50, 100)


def test_what_lies_across_an_input():
    assert lies_across((400, 300), 192, 256)
    assert lies_across((300, 400, 3), 256, 192)
    assert not any(lies_across(shape, 192, 256) for shape in ((300, 400), (300, 300)))
    assert not lies_across((400, 300), 256, 256)


def test_squeeze_fills_the_input():
    assert Frame.of((300, 400), 512, 512, "squeeze") == Frame(512, 512, 512, 512)


@pytest.mark.parametrize("shape", [(1, 1), (1, 3000), (3000, 1), (7, 5)])
def test_any_shape_goes_in_and_comes_back(shape):
    image = np.full(shape, 9, np.uint8)
    frame = Frame.of(shape, 64, 96, "letterbox")
    put = frame.put(image)
    assert put.shape == (64, 96)
    assert np.array_equal(frame.take(put, shape), image)


def test_shrinking_averages():
    checks = np.indices((8, 8)).sum(0) % 2 * np.float32(1)
    assert np.allclose(resize(checks, 4, 4), 0.5)


def test_images_are_found_in_folders_but_not_hidden_ones(tmp_path):
    for name in ("b/x.PNG", "a.jpg", "._a.jpg", "notes.txt", ".cache/y.png"):  # a Mac leaves ._a.jpg
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    assert [file.name for file in find_images(tmp_path)] == ["a.jpg", "x.PNG"]


def test_a_far_smaller_picture_is_the_mean_of_its_blocks():
    rng = np.random.default_rng(0)
    image = rng.random((120, 200)).astype(np.float32)
    np.testing.assert_allclose(resize(image, 30, 50), image.reshape(30, 4, 50, 4).mean((1, 3)), atol=1e-5)
    image = cv2.GaussianBlur(image, (0, 0), 3)
    once = cv2.resize(image, (45, 27), interpolation=cv2.INTER_AREA)  # 4.4 times smaller: two steps instead of one
    assert np.abs(resize(image, 27, 45) - once).max() < 0.01


def test_a_jpeg_may_hold_a_thumbnail_before_and_a_film_behind_its_pixels():
    image = np.random.default_rng(0).integers(0, 255, (32, 32), np.uint8)
    whole = cv2.imencode(".jpg", image)[1].tobytes()
    thumbnail = b"\xff\xe1" + (2 + len(whole)).to_bytes(2, "big") + whole
    with_both = whole[:2] + thumbnail + whole[2:] + b"film \xff\xda"
    assert np.array_equal(decode_image(with_both, "part"), decode_image(whole, "part"))
    with pytest.raises(ImageError, match="cut off"):
        decode_image(whole[:2] + thumbnail + whole[2:-2], "part")
    with pytest.raises(ImageError, match="cut off"):
        decode_image(whole[:4], "part")


@pytest.mark.skipif(sys.platform == "win32", reason="links need a privilege")
def test_images_are_found_where_links_lead_each_once(tmp_path):
    for folder in ("there", "here", "here/2026"):
        (tmp_path / folder).mkdir()
    for file in ("there/part.png", "here/2026/part.png"):
        (tmp_path / file).write_bytes(png(np.zeros((4, 4), np.uint8)))
    (tmp_path / "there/again").symlink_to(tmp_path / "there")
    (tmp_path / "here/line1").symlink_to(tmp_path / "there")
    (tmp_path / "here/1-latest").symlink_to(tmp_path / "here/2026")
    (tmp_path / "here/loop").symlink_to(tmp_path / "here/loop")
    (tmp_path / "here/gone.png").symlink_to(tmp_path / "nowhere.png")
    assert find_images(tmp_path / "here") == [tmp_path / "here/2026/part.png", tmp_path / "here/line1/part.png"]


def test_a_file_of_three_bytes_is_cut_off():
    with pytest.raises(ImageError, match="cut off"):
        decode_image(b"\xff\xd8\xff", "part")


@pytest.mark.parametrize("shape", [(512, 512), (100, 900)])
def test_no_line_vanishes_where_one_side_shrinks_and_the_other_grows(shape):
    lines = np.zeros((256, 1600), np.uint8)
    lines[:, ::37] = 255
    shrunk = resize(lines, *shape)
    for column in range(0, 1600, 37):
        at = column * shape[1] // 1600
        assert shrunk[:, max(0, at - 1) : at + 2].max() >= 40
