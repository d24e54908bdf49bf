import cv2
import numpy as np
import pytest

from casae.datasets.convert import convert
from casae.datasets.registry import open_dataset
from casae.errors import DatasetError


def severstal(tmp_path, *rows, head="ImageId,ClassId,EncodedPixels"):
    (tmp_path / "train_images").mkdir(exist_ok=True)
    for name in ("a.jpg", "b.jpg"):
        (tmp_path / "train_images" / name).write_bytes(cv2.imencode(".jpg", np.zeros((3, 4), np.uint8))[1])
    (tmp_path / "train.csv").write_text("\n".join([head, *rows, ""]))
    return tmp_path / "train.csv"


def test_runs_count_from_one_down_the_columns(tmp_path):
    data = open_dataset(f"severstal:{severstal(tmp_path, 'a.jpg,1,1 2 6 1', 'a.jpg,3,10 3', 'ghost.jpg,1,1 1')}")
    first, second = data.samples
    assert data.classes == ("1", "3")
    assert first.draw((3, 4), 2).tolist() == [[1, 0, 0, 2], [1, 0, 0, 2], [0, 1, 0, 2]]
    assert second.labelled
    assert not second.draw((3, 4), 2).any()
    assert "ghost.jpg: no such picture in train_images/" in data.notes


def test_the_older_form_joins_picture_and_class(tmp_path):
    file = severstal(tmp_path, "a.jpg_1,", "a.jpg_2,4 3", head="ImageId_ClassId,EncodedPixels")
    data = open_dataset(f"severstal:{file.parent}")
    assert data.classes == ("2",)
    assert data.samples[0].draw((3, 4), 1)[:, 1].tolist() == [1, 1, 1]


@pytest.mark.parametrize(
    ("row", "said"),
    [
        ("a.jpg,1,1 2 3", "line 2: EncodedPixels: a start has no length"),
        ("a.jpg,1,12 2", "line 2: EncodedPixels: runs must rise and lie in a picture of 4 x 3 px"),
        ("a.jpg,1,5 3 6 1", "line 2: EncodedPixels: runs must rise"),
        ("a.jpg,1,one 2", "line 2: EncodedPixels: invalid literal"),
    ],
)
def test_a_damaged_row_is_named(row, said, tmp_path):
    file = severstal(tmp_path, row)
    with pytest.raises(DatasetError) as error:
        open_dataset(f"severstal:{file}")
    assert str(error.value).startswith(f"{file}: {said}")


def test_another_table_is_refused(tmp_path):
    with pytest.raises(DatasetError, match=r"line 1: needs the columns ImageId, .*; it has x, y"):
        open_dataset(f"severstal:{severstal(tmp_path, head='x,y')}")


def test_a_ragged_region_of_many_runs_is_written_and_read(tmp_path):
    image = np.zeros((1200, 900), np.uint8)
    (tmp_path / "part" / "images").mkdir(parents=True)
    (tmp_path / "part" / "masks").mkdir()
    cv2.imwrite(str(tmp_path / "part" / "images" / "a.png"), image)
    image[::30, ::2] = 1  # 18,000 runs, more characters than Python's csv takes by itself
    cv2.imwrite(str(tmp_path / "part" / "masks" / "a.png"), image)
    (tmp_path / "part" / "dataset.toml").write_text('classes = ["dust"]\nmasks = "classes"\n')
    done = convert(f"folder:{tmp_path / 'part'}", f"severstal:{tmp_path / 'there'}")
    assert (tmp_path / "there" / "train.csv").stat().st_size > 131_072
    assert (done.differing, done.failures) == (0, ())
