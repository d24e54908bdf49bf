import numpy as np
import pytest

from casae.datasets.registry import open_dataset
from casae.image import as_seen, gray_levels, planes, to_gray, transposed
from casae.labelled.colour import channels_of, is_clearer_in_colour
from casae.labelled.images import load, scaled
from casae.synthetic.components import draw_component, write_components


@pytest.fixture(scope="module")
def tinted(tmp_path_factory):
    folder = tmp_path_factory.mktemp("tints")
    assert len(list(write_components(folder, 8, 0, 96, 128, "tints"))) == 8
    return folder


def test_tints_are_as_bright_as_what_is_around_them():
    drawn = draw_component(3, 288, 384, 6, "tints")
    gray, defect = to_gray(drawn.picture).astype(float), drawn.label > 0
    plain = to_gray(draw_component(3, 288, 384, 0, "tints").picture).astype(float)
    assert abs(gray[defect].mean() - plain[defect].mean()) < 0.1
    assert is_clearer_in_colour(drawn.picture, drawn.label)
    assert not is_clearer_in_colour(np.repeat(to_gray(drawn.picture)[..., None], 3, axis=2), drawn.label)


def test_the_labelled_defects_choose_colour(tinted):
    channels, why = channels_of(open_dataset(f"folder:{tinted}"), None)
    assert channels == 3
    assert why.endswith("pictures a colour shows the defects far better than gray")
    assert channels_of(open_dataset(f"folder:{tinted}"), 1)[0] == 1


def test_gray_pictures_leave_nothing_to_choose(components):
    assert channels_of(open_dataset(f"folder:{components}"), None)[0] == 1


def test_images_are_loaded_in_colour_or_gray(tinted):
    data = open_dataset(f"folder:{tinted}")
    gray, colour = load(data)[0], load(data, channels=3)[0]
    assert (gray.pixels.shape, colour.pixels.shape) == ((96, 128), (96, 128, 3))
    assert np.array_equal(gray.pixels, colour.gray)
    half = scaled(colour, 0.5)
    assert (half.pixels.shape, half.label.shape) == ((48, 64, 3), (48, 64))


def test_arrays_of_one_and_three_channels():
    image = np.arange(24, dtype=np.uint8).reshape(2, 4, 3)
    assert planes(image.astype(np.float32)).shape == (3, 2, 4)
    assert planes(np.zeros((2, 4), np.float32)).shape == (1, 2, 4)
    assert as_seen(image, 3) is image
    assert np.array_equal(as_seen(image[..., 0], 3)[..., 1], image[..., 0])
    assert as_seen(image, 1).shape == (2, 4)
    assert np.array_equal(transposed(image)[3, 1], image[1, 3])
    mean, deviation = gray_levels(image)
    assert mean == pytest.approx(image.mean() / 255)
    assert deviation == pytest.approx(image.std() / 255 + 1e-4, rel=1e-4)
