import tempfile
from pathlib import Path

import cv2
import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from casae.datasets.masks import label_values
from casae.datasets.sample import UNCLASSED


def areas(seed: int, values: int) -> np.ndarray:
    """Random rectangles of the values 1..`values` on 0."""
    rng = np.random.default_rng(seed)
    label = np.zeros((40, 50), np.uint8)
    for value in rng.integers(1, values + 1, 6):
        y, x = rng.integers(0, (36, 46))
        label[y : y + rng.integers(4, 12), x : x + rng.integers(4, 12)] = value
    return label


def read_again(mask: np.ndarray, ending: str, classes: int, **meaning) -> np.ndarray:
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / f"mask.{ending}"
        assert cv2.imwrite(str(file), mask)
        return label_values(file, None, classes, **meaning)


@given(
    seed=st.integers(0, 10_000),
    classes=st.integers(1, 254),
    ending=st.sampled_from(["png", "bmp", "tiff", "pgm"]),
    three_channels=st.booleans(),
)
@settings(max_examples=60, deadline=None)
def test_values_of_classes_come_back_as_they_were_painted(seed, classes, ending, three_channels):
    label = areas(seed, classes)
    painted = np.dstack([label] * 3) if three_channels and ending != "pgm" else label
    assert np.array_equal(read_again(painted, ending, classes, meaning="classes"), label)


@given(
    seed=st.integers(0, 10_000),
    ending=st.sampled_from(["png", "bmp", "tiff", "jpg"]),
    depth=st.sampled_from([np.uint8, np.uint16]),
    said=st.sampled_from(["binary", None]),
)
@settings(max_examples=60, deadline=None)
def test_white_on_black_is_defect_in_every_format_and_depth(seed, ending, depth, said):
    painted = areas(seed, 1) > 0
    if ending in ("bmp", "jpg"):
        depth = np.uint8
    mask = painted.astype(depth) * np.iinfo(depth).max
    seen = read_again(mask, ending, 1, meaning=said)
    assert set(np.unique(seen)) <= {0, UNCLASSED}
    wrong = (seen > 0) != painted
    # what JPEG does to a corner of black and white is a few pixels
    assert np.count_nonzero(wrong) <= (0.02 * painted.size if ending == "jpg" else 0)
