import json

import cv2
import numpy as np
import pytest

from casae.datasets.registry import open_dataset
from casae.errors import DatasetError


@pytest.fixture
def folder(tmp_path):
    """Two tasks: one with two annotations and two classes, one that nobody annotated."""
    (tmp_path / "images").mkdir()
    for name in ("a", "b"):
        cv2.imwrite(str(tmp_path / "images" / f"{name}.png"), np.full((20, 30), 90, np.uint8))
    tasks = [
        {"id": 7, "data": {"image": "/data/upload/1/01234567-a.png"}},
        {"id": 8, "data": {"image": "images/b.png"}},
    ]
    (tmp_path / "tasks.json").write_text(json.dumps(tasks))
    for annotation, tag, number, columns in ((3, "dent", 0, 2), (5, "dent", 0, 4), (5, "deep scratch", 1, 9)):
        mask = np.zeros((20, 30), np.uint8)
        mask[number * 5 : number * 5 + 2, :columns] = 255
        cv2.imwrite(str(tmp_path / f"task-7-annotation-{annotation}-by-1-tag-{tag}-{number}.png"), mask)
    return tmp_path


def test_a_mask_a_region_is_read_by_task_and_newest_annotation(folder):
    data = open_dataset(f"label-studio-png:{folder}")
    assert data.classes == ("deep scratch", "dent")
    one, other = data.samples
    label = one.draw((20, 30), 2)
    assert (label[:2, :4].min(), label[5:7, :9].min()) == (2, 1)
    assert np.count_nonzero(label) == 26
    assert not other.labelled


def test_masks_and_export_must_be_of_one_project(folder):
    (folder / "task-9-annotation-1-by-1-tag-dent-0.png").write_bytes(
        (folder / "task-7-annotation-3-by-1-tag-dent-0.png").read_bytes()
    )
    with pytest.raises(DatasetError, match=r"task-9-.*: tasks\.json has no task of this number"):
        open_dataset(f"label-studio-png:{folder}")
    (folder / "tasks.json").unlink()
    with pytest.raises(DatasetError, match="has 0 JSON; put the masks and one JSON export"):
        open_dataset(f"label-studio-png:{folder}")
