import cv2
import numpy as np
import pytest

from casae.datasets.registry import open_dataset
from casae.errors import DatasetError, UsageError
from casae.labelled.split import draw_test


def folder_of(root, names):
    """Pictures of noise; every third is free of defects, the others show class 1 or 2."""
    rng = np.random.default_rng(0)
    for index, name in enumerate(names):
        for part in ("images", "masks"):
            (root / part / name).parent.mkdir(parents=True, exist_ok=True)
        image = cv2.resize(rng.integers(0, 255, (24, 24), np.uint8), (96, 96))
        mask = np.zeros((96, 96), np.uint8)
        if index % 3:
            mask[10:20, 10:20] = index % 3
        cv2.imwrite(str(root / "images" / f"{name}.png"), image)
        cv2.imwrite(str(root / "masks" / f"{name}.png"), mask)
    (root / "dataset.toml").write_text('classes = ["dent", "scratch"]')
    return open_dataset(f"folder:{root}")


def test_parts_stay_whole(tmp_path):
    names = [f"part{part:02d}_{view}" for part in range(12) for view in "abc"]
    drawn = draw_test(folder_of(tmp_path, names), 0.25, pattern="^[^_]+")
    assert drawn.groups == 12
    parts = {name.split("_")[0] for name in drawn.test}
    assert len(drawn.test) == 3 * len(parts) == 9
    assert {value: inside for value, (inside, _) in drawn.classes.items()} == {0: 3, 1: 3, 2: 3}
    assert draw_test(open_dataset(f"folder:{tmp_path}"), 0.25, pattern="^([^_]+)_").test == drawn.test
    assert draw_test(open_dataset(f"folder:{tmp_path}"), 0.25, 1, "^[^_]+").test != drawn.test


def test_groups_that_are_too_large_are_no_empty_list(tmp_path):
    data = folder_of(tmp_path, [f"lot{lot}/{n}" for lot in "AB" for n in range(10)])
    with pytest.raises(
        DatasetError, match=r"smallest group \(their folders\) has 10 of 20 pictures.* share of 0.2; say --group"
    ):
        draw_test(data, 0.2)
    assert len(draw_test(data, 0.5).test) == 10


def test_folders_are_groups_and_else_neighbours(tmp_path):
    folders = draw_test(folder_of(tmp_path / "one", [f"lot{lot}/{n}" for lot in range(5) for n in range(4)]), 0.2)
    assert (folders.by, len({name.split("/")[0] for name in folders.test})) == ("their folders", 1)
    neighbours = draw_test(folder_of(tmp_path / "two", [f"{n:03d}" for n in range(60)]), 0.2)
    assert neighbours.by == "3 neighbours by name"
    numbers = [int(name) for name in neighbours.test]
    assert len(numbers) == 12
    assert all(number // 3 * 3 + step in numbers for number in numbers for step in range(3))


def test_copies_are_never_apart(tmp_path):
    folder_of(tmp_path, [f"{n:03d}" for n in range(60)])
    for copy in ("030", "059"):
        for part in ("images", "masks"):
            (tmp_path / part / f"{copy}.png").write_bytes((tmp_path / part / "000.png").read_bytes())
    for seed in range(5):
        test = draw_test(open_dataset(f"folder:{tmp_path}"), 0.3, seed).test
        assert len({"000", "030", "059"} & set(test)) in (0, 3)


def test_a_pattern_that_groups_nothing_is_explained(tmp_path):
    data = folder_of(tmp_path, ["a_1", "b_2", "c_3"])
    with pytest.raises(UsageError, match="is no regular expression"):
        draw_test(data, 0.3, pattern="[")
    with pytest.raises(UsageError, match="finds nothing in 'a_1'"):
        draw_test(data, 0.3, pattern="x+")
    with pytest.raises(DatasetError, match="all 3 pictures are one group"):
        draw_test(data, 0.3, pattern="_")
