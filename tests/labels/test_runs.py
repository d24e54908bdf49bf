import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from casae.labels.runs import flags_of, from_coco, from_label_studio, runs_of, to_coco, to_label_studio

masks = arrays.arrays(bool, st.tuples(st.integers(1, 40), st.integers(1, 40)))


@given(masks)
def test_every_form_gives_the_same_mask_back(mask):
    height, width = mask.shape
    assert np.array_equal(flags_of(runs_of(mask.ravel()), mask.size), mask.ravel())
    assert np.array_equal(from_coco(to_coco(mask), height, width), mask)
    assert np.array_equal(from_coco(runs_of(mask.T.ravel()).tolist(), height, width), mask)
    assert np.array_equal(from_label_studio(to_label_studio(mask), height, width), mask)


@given(masks)
def test_packed_runs_are_those_of_pycocotools(mask):
    coco = pytest.importorskip("pycocotools.mask")
    assert to_coco(mask) == coco.encode(np.asfortranarray(mask.astype(np.uint8)))["counts"].decode()


def test_coco_counts_down_the_columns_and_we_along_the_rows():
    mask = np.array([[False, True], [True, True]])
    assert runs_of(mask.ravel()).tolist() == [1, 3]
    assert from_coco([1, 3], 2, 2).tolist() == [[False, True], [True, True]]
    assert from_coco([2, 1, 1], 2, 2).tolist() == [[False, True], [False, False]]


def test_a_long_run_takes_several_words():
    mask = np.zeros((300, 300), bool)
    mask[10:] = True
    assert np.array_equal(from_label_studio(to_label_studio(mask), 300, 300), mask)


def test_values_one_by_one_are_read_as_label_studio_writes_them():
    """Two pixels, each value on its own: 0 0 0 0, 255 255 255 255."""
    bits = f"{8:032b}{7:05b}{2:04b}{3:04b}{7:04b}{15:04b}" + "0" + "00" + "111" + "00000000" * 4 + "11111111" * 4
    bits += "0" * (-len(bits) % 8)
    data = [int(bits[at : at + 8], 2) for at in range(0, len(bits), 8)]
    assert from_label_studio(data, 1, 2).tolist() == [[False, True]]


@pytest.mark.parametrize(
    ("counts", "rule"),
    [
        ([1, 2], "cover 3 pixels where 4"),
        ([5, -1], "0 or more"),
        ("é", "no character"),
        ("P", "cut off"),
        ("1", "where 4"),
    ],
)
def test_damaged_runs_are_refused(counts, rule):
    with pytest.raises(ValueError, match=rule):
        from_coco(counts, 2, 2)


@pytest.mark.parametrize(
    ("data", "rule"),
    [
        ([], "list of bytes"),
        ([0], "cut off"),
        ([300], "list of bytes"),
        ([0, 0, 0, 8, 63, 255, 255, 255], "8 values where 16"),
        ("text", "list of"),
    ],
)
def test_a_damaged_brush_mask_is_refused(data, rule):
    with pytest.raises(ValueError, match=rule):
        from_label_studio(data, 2, 2)
