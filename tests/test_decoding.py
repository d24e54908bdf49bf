import os
import struct
import time
import zlib

import cv2
import numpy as np
import PIL.Image
import pytest
import tifffile

from casae.decoding import decode_image, orientation_of, read_image, size_of
from casae.errors import ImageError


@pytest.fixture
def plate():
    """A noisy gray picture, (200, 300) uint8, without a black pixel."""
    return np.random.default_rng(0).integers(100, 150, (200, 300)).astype(np.uint8)


def encoded(suffix: str, image: np.ndarray) -> bytes:
    return bytes(cv2.imencode(suffix, image)[1])


@pytest.mark.parametrize("change", [lambda d, a: d[:a] + bytes(64) + d[a + 64 :], lambda d, a: d[:a] + d[a + 9 :]])
def test_a_jpeg_with_a_hole_is_damaged_though_its_markers_are_there(plate, change):
    data = encoded(".jpg", plate)
    with pytest.raises(ImageError, match=r"is damaged .*copy it again"):
        decode_image(change(data, len(data) // 2), "part")


def test_a_jpeg_that_claims_more_than_it_holds_is_refused_before_it_is_decoded():
    data = bytearray(encoded(".jpg", np.zeros((16, 16), np.uint8)))
    at = data.index(b"\xff\xc0") + 5
    for height, width, rule in ((32000, 32000, "too large: 400 megapixels"), (2000, 2000, "is cut off")):
        data[at : at + 4] = struct.pack(">HH", height, width)
        with pytest.raises(ImageError, match=rule):
            decode_image(bytes(data), "part")


@pytest.mark.parametrize(
    "data",
    [
        b"\xff\xd8" + b"\xff" * 50_000_000,
        b"\xff\xd8" + b"\xff\xfe\x00\x02" * 5_000_000,
        b"\xff\xd8\xff\xe1\xff\xff" + bytes(70000),
    ],
)
def test_a_jpeg_of_headers_alone_takes_no_time(data):
    began = time.monotonic()
    with pytest.raises(ImageError, match="cut off"):
        decode_image(data, "part")
    assert time.monotonic() - began < 2


def test_a_header_is_believed_only_as_far_as_the_bytes_go(plate):
    png = bytearray(encoded(".png", plate * 0))
    png[16:24] = struct.pack(">II", 15000, 15000)
    png[29:33] = struct.pack(">I", zlib.crc32(png[12:29]))
    with pytest.raises(ImageError, match=r"is cut off: .* bytes cannot hold 15000 x 15000 px"):
        decode_image(bytes(png), "part")
    bmp = bytearray(encoded(".bmp", plate))
    bmp[18:26] = struct.pack("<ii", 20000, 19000)
    with pytest.raises(ImageError, match="cut off"):
        decode_image(bytes(bmp), "part")


@pytest.mark.parametrize(("width", "height"), [(1_100_000, 4), (4, 1_100_000), (8192, 140_000)])
def test_what_is_too_large_is_told_with_the_limit_and_a_way(width, height):
    data = b"P5 %d %d 255\n" % (width, height)
    with pytest.raises(ImageError, match=r"too large: .*(cut it into parts|--max-megapixels)"):
        decode_image(data, "part")


def test_the_limit_can_be_raised(plate):
    data = encoded(".png", plate)
    with pytest.raises(ImageError, match=r"0\.05 megapixels are the limit"):
        decode_image(data, "part", max_megapixels=0.05)
    assert decode_image(data, "part", max_megapixels=0.06).shape == plate.shape


def test_every_page_is_looked_at_or_the_file_is_refused(plate, tmp_path):
    file = tmp_path / "a.tif"
    tifffile.imwrite(file, np.stack([plate, plate]), photometric="minisblack")
    with pytest.raises(ImageError, match="holds 2 pages, and one picture a file is inspected"):
        read_image(file)
    tifffile.imwrite(file, np.stack([plate, plate]), imagej=True)
    with pytest.raises(ImageError, match="holds 2 pages"):
        read_image(file)
    with tifffile.TiffWriter(file) as writer:
        writer.write(plate[::4, ::4], subfiletype=1, photometric="minisblack")
        writer.write(plate, photometric="minisblack")
    assert np.array_equal(read_image(file), plate)


def test_an_animation_is_refused(plate, tmp_path):
    frames = [PIL.Image.fromarray(plate + index) for index in range(3)]
    frames[0].save(tmp_path / "a.png", save_all=True, append_images=frames[1:])
    with pytest.raises(ImageError, match="holds 3 frames"):
        read_image(tmp_path / "a.png")
    moving = b"VP8X" + struct.pack("<I", 10) + b"\2" + bytes(9) + b"ANMF" * 2
    with pytest.raises(ImageError, match="holds 2 frames"):
        decode_image(b"RIFF" + struct.pack("<I", 4 + len(moving)) + b"WEBP" + moving, "part")


def test_no_band_is_left_out_unasked(plate, tmp_path):
    file = tmp_path / "a.tif"
    bands = np.dstack([plate] * 4)
    tifffile.imwrite(file, bands, photometric="rgb", extrasamples=["unspecified"])
    with pytest.raises(ImageError, match="holds 4 bands, of which 1 have no stated meaning"):
        read_image(file)
    tifffile.imwrite(file, bands, photometric="rgb", extrasamples=["unassalpha"])
    assert read_image(file).shape == (200, 300, 3)


def test_missing_and_cut_parts_of_a_tiff_are_told(plate, tmp_path):
    file = tmp_path / "a.tif"
    tifffile.imwrite(file, plate, photometric="minisblack", tile=(64, 64), compression="deflate")
    with tifffile.TiffFile(file) as known:
        offsets = known.pages[0].tags["TileByteCounts"]
    data = bytearray(file.read_bytes())
    size = 4 if offsets.dtype.name == "LONG" else 2
    data[offsets.valueoffset : offsets.valueoffset + size] = bytes(size)
    with pytest.raises(ImageError, match="parts of the picture are missing"):
        decode_image(bytes(data), "part")
    tifffile.imwrite(file, plate, photometric="minisblack", compression="jpeg")
    with tifffile.TiffFile(file) as known:
        start, count = known.pages[0].dataoffsets[0], known.pages[0].databytecounts[0]
    data = bytearray(file.read_bytes())
    data[start + count // 4 : start + count] = bytes(count - count // 4)
    with pytest.raises(ImageError, match=r"is damaged|cut off"):
        decode_image(bytes(data), "part")


def test_a_huge_tile_is_refused_before_it_takes_memory(plate, tmp_path):
    file = tmp_path / "a.tif"
    tifffile.imwrite(file, plate, photometric="minisblack", tile=(64, 64), compression="deflate")
    with tifffile.TiffFile(file) as known:
        tag = known.pages[0].tags["TileWidth"]
    data = bytearray(file.read_bytes())
    data[tag.valueoffset : tag.valueoffset + 2] = struct.pack("<H", 65520)
    with pytest.raises(ImageError):
        decode_image(bytes(data), "part")


@pytest.mark.parametrize("suffix", [".bmp", ".pgm", ".tif"])
def test_a_file_that_is_still_being_copied_is_named(plate, tmp_path, suffix):
    if suffix == ".tif":
        tifffile.imwrite(tmp_path / "a.tif", plate, photometric="minisblack")
        data = (tmp_path / "a.tif").read_bytes()
    else:
        data = encoded(suffix, plate)
    half = len(data) // 2 + 37
    with pytest.raises(ImageError, match="still being copied"):
        decode_image(data[:half] + bytes(len(data) - half), "part")
    decode_image(data, "part")


@pytest.mark.parametrize("suffix", [".bmp", ".pgm", ".tif"])
def test_a_part_on_black_is_no_copy_in_progress(plate, tmp_path, suffix):
    cv2.circle(plate, (150, 100), 60, 200, 3)
    disc = np.zeros_like(plate)
    cv2.circle(disc, (150, 100), 90, 1, -1)
    for picture in (plate * disc, np.where(np.arange(200)[:, None] < 120, plate, 0).astype(np.uint8), plate * 0):
        if suffix == ".tif":
            tifffile.imwrite(tmp_path / "a.tif", picture, photometric="minisblack")
        else:
            (tmp_path / f"a{suffix}").write_bytes(encoded(suffix, picture))
        assert np.array_equal(read_image(tmp_path / f"a{suffix}"), picture)


def test_the_largest_value_of_a_pgm_is_white():
    values = np.array([[0, 1023], [511, 256]])
    data = b"P5\n# a comment\n2 2\n1023\n" + values.astype(">u2").tobytes()
    assert decode_image(data, "part").tolist() == [[0, 65535], [32735, 16400]]


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_what_is_no_number_is_called_so(tmp_path, value):
    image = np.full((20, 30), 0.5, np.float32)
    image[3, 4] = value
    tifffile.imwrite(tmp_path / "a.tif", image)
    with pytest.raises(ImageError, match="1 values are NaN or infinite"):
        read_image(tmp_path / "a.tif")
    (tmp_path / "a.pgm").write_bytes(b"Pf\n30 20\n-1.0\n" + image.tobytes())
    with pytest.raises(ImageError, match="NaN or infinite"):
        read_image(tmp_path / "a.pgm")
    tifffile.imwrite(tmp_path / "a.tif", np.linspace(0, 200, 600, dtype=np.float32).reshape(20, 30))
    with pytest.raises(ImageError, match=r"from 0 to 200 leave 0\.\.1"):
        read_image(tmp_path / "a.tif")


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no pipes here")
def test_what_is_no_ordinary_file_is_not_waited_for(tmp_path):
    os.mkfifo(tmp_path / "a.png")
    with pytest.raises(ImageError, match="no ordinary file"):
        read_image(tmp_path / "a.png")


def test_a_file_of_gigabytes_is_not_read(tmp_path):
    with (tmp_path / "a.tif").open("wb") as file:
        file.write(b"II*\0")
        file.truncate(4 * 2**30)
    with pytest.raises(ImageError, match=r"has 4\.3 GB, more than 400 megapixels can have"):
        read_image(tmp_path / "a.tif")


@pytest.mark.parametrize("orientation", range(1, 9))
def test_the_size_of_a_tiff_is_that_of_the_upright_picture(tmp_path, orientation):
    file = tmp_path / "a.tif"
    tifffile.imwrite(file, np.zeros((4, 9), np.uint8), extratags=[(274, 3, 1, orientation, True)])
    assert size_of(file) == read_image(file).shape


def _half_zeros(data):
    half = int(0.572 * len(data))
    return data[:half] + bytes(len(data) - half)


def test_what_a_copier_made_room_for_is_named_in_other_formats_too(plate, tmp_path):
    encoded = cv2.imencode(".webp", plate, (cv2.IMWRITE_WEBP_QUALITY, 90))[1].tobytes()
    with pytest.raises(ImageError, match="ends in zeros: still being copied"):
        decode_image(_half_zeros(encoded), "a.webp")
    bright = np.full((256, 256, 3), 130, np.uint8)
    for options in ({"planarconfig": "separate"}, {"tile": (64, 64)}):
        file = tmp_path / "a.tif"
        tifffile.imwrite(
            file, np.moveaxis(bright, -1, 0) if "planarconfig" in options else bright, photometric="rgb", **options
        )
        whole = file.read_bytes()
        assert (decode_image(whole, "a.tif") == bright).all()
        with pytest.raises(ImageError, match="still being copied"):
            decode_image(_half_zeros(whole), "a.tif")


def test_a_nearly_blank_mask_is_whole_however_small_its_file(tmp_path):
    mask = np.zeros((3000, 4000), np.uint8)
    mask[100:400, 200:900] = 255
    for options in ({"compression": "zstd"}, {"compression": "lzma"}, {"compression": "zstd", "rowsperstrip": 3000}):
        tifffile.imwrite(tmp_path / "m.tif", mask, **options)
        assert (read_image(tmp_path / "m.tif") == mask).all()
    PIL.Image.fromarray(mask > 0).save(tmp_path / "g4.tif", compression="group4")
    assert (read_image(tmp_path / "g4.tif") == mask).all()
    lossless = cv2.imencode(".webp", mask, (cv2.IMWRITE_WEBP_QUALITY, 101))[1].tobytes()
    assert (decode_image(lossless, "m.webp")[..., 0] == mask).all()


@pytest.mark.parametrize("white", [15, 100, 255])
@pytest.mark.parametrize("kind", ["P5", "P6", "P2", "P3"])
def test_the_largest_value_of_a_small_pgm_is_white_too(kind, white):
    values = np.linspace(0, white, 24).astype(np.uint8)
    head = f"{kind} {8 if kind in ('P3', 'P6') else 24} 1 {white}\n".encode()
    body = values.tobytes() if kind in ("P5", "P6") else " ".join(map(str, values)).encode()  # no line ends it
    decoded = decode_image(head + body, "a.pgm")
    assert abs(decoded.ravel().astype(float) - values * (255 / white)).max() <= 1


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("suffix", [".png", ".webp", ".jpg"])
def test_every_file_that_says_how_it_lies_is_turned_and_its_size_too(tmp_path, suffix, orientation):
    upright = np.zeros((40, 64, 3), np.uint8)
    upright[:10, :20] = 200
    exif = PIL.Image.Exif()
    exif[274] = orientation
    inverse = {6: 8, 8: 6}.get(orientation, orientation)
    turned = {1: None, 2: 0, 3: 3, 4: 1, 5: 5, 6: 4, 7: 6, 8: 2}[inverse]
    stored = PIL.Image.fromarray(upright) if turned is None else PIL.Image.fromarray(upright).transpose(turned)
    stored.save(tmp_path / f"a{suffix}", exif=exif, **({"lossless": True} if suffix == ".webp" else {}))
    found = read_image(tmp_path / f"a{suffix}")
    assert abs(found.astype(int) - upright).max() <= (30 if suffix == ".jpg" else 0)
    assert size_of(tmp_path / f"a{suffix}") == (40, 64)
    assert orientation_of((tmp_path / f"a{suffix}").read_bytes()) == orientation


def test_colours_are_those_of_the_file(tmp_path):
    colours = np.random.default_rng(0).integers(0, 255, (32, 32, 3), np.uint8)
    PIL.Image.fromarray(colours).convert("YCbCr").save(tmp_path / "y.tif", compression="tiff_lzw")
    with pytest.raises(ImageError, match="has its colours as YCBCR"):
        read_image(tmp_path / "y.tif")
    indices = np.arange(256, dtype=np.uint8).reshape(16, 16)
    small = np.stack([np.arange(256)] * 3).astype(np.uint16)  # 8 bits where 16 are due
    tifffile.imwrite(tmp_path / "p.tif", indices, photometric="palette", colormap=small)
    assert (read_image(tmp_path / "p.tif")[..., 0] == indices).all()
    shades = np.linspace(0, 1, 256, dtype=np.float32).reshape(16, 16)
    tifffile.imwrite(tmp_path / "f.tif", shades, photometric="miniswhite")
    assert np.allclose(read_image(tmp_path / "f.tif"), 1 - shades)


def test_several_pictures_in_one_file_are_counted(plate, tmp_path):
    gray = plate if plate.ndim == 2 else plate[..., 0]
    pgm = f"P5\n# a comment\n{gray.shape[1]} {gray.shape[0]}\n255\n".encode() + gray.tobytes()
    assert (decode_image(pgm, "a.pgm") == gray).all()
    with pytest.raises(ImageError, match="holds 3 pictures"):
        decode_image(pgm * 3, "a.pgm")
    tifffile.imwrite(tmp_path / "s.tif", np.stack([gray] * 5), truncate=True)
    with pytest.raises(ImageError, match="holds 5 planes"):
        read_image(tmp_path / "s.tif")


def test_a_jpeg_that_is_whole_and_not_read_is_not_called_damaged(plate):
    codecs = pytest.importorskip("imagecodecs")
    gray = np.ascontiguousarray(plate if plate.ndim == 2 else plate[..., 0])
    with pytest.raises(ImageError, match="is a JPEG-LS, which is not read"):
        decode_image(bytes(codecs.jpegls_encode(gray)), "a.jpg")
    assert (decode_image(bytes(codecs.ljpeg_encode(gray)), "a.jpg") == gray).all()
    with pytest.raises(ImageError, match="is a JPEG of 12 bits, which is not read"):
        decode_image(bytes(codecs.jpeg_encode(gray.astype(np.uint16) * 16, bitspersample=12)), "a.jpg")
