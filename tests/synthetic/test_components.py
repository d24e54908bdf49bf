import shutil

import numpy as np
import pytest

from casae.datasets.registry import open_dataset
from casae.errors import OutputError, UsageError
from casae.synthetic.components import draw_component, write_components
from casae.synthetic.defects import BRUSHES, CLASSES
from casae.synthetic.surfaces import draw_surface


def test_the_same_seed_draws_the_same_part():
    first, again, other = (draw_component(seed, 120, 160) for seed in (4, 4, 5))
    assert np.array_equal(first.picture, again.picture)
    assert np.array_equal(first.label, again.label)
    assert not np.array_equal(first.picture, other.picture)


def test_a_part_without_defects_has_an_empty_label_and_fine_grain():
    component = draw_component(1, 300, 400, defects=0)
    assert not component.label.any()
    assert component.picture.shape == (300, 400, 3)
    assert 2 < component.picture.std(axis=(0, 1)).min() < 25


@pytest.mark.parametrize("name", CLASSES)
def test_each_mask_covers_what_its_brush_changed(name):
    for brush in BRUSHES[name]:
        rng = np.random.default_rng(11)
        before = draw_surface(510, 680, rng)
        after = before.copy()
        mask = brush(after, 0.25, rng)
        change = np.abs(after - before).max(axis=2)
        assert 5 < mask.sum() < mask.size / 4
        assert np.median(change[mask]) > 0.08
        assert change[~mask].mean() < 0.005


def test_every_class_is_drawn():
    drawn = np.unique([value for seed in range(12) for value in np.unique(draw_component(seed, 240, 320).label)])
    assert drawn.tolist() == [0, 1, 2, 3, 4]


def test_too_small_a_picture_is_refused():
    with pytest.raises(UsageError, match="too small"):
        draw_component(0, 30, 400)


def test_a_folder_is_a_dataset(components):
    dataset = open_dataset(f"folder:{components}")
    assert dataset.classes == CLASSES
    assert {name: len(names) for name, names in dataset.splits.items()} == {"train": 8, "val": 1, "test": 3}
    assert dataset.mm_per_pixel == pytest.approx(0.02125)


def test_a_place_that_cannot_be_written_is_named(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(OutputError, match="cannot be written"):
        list(write_components(tmp_path / "file", 1, 0, 100, 100))


def test_a_dataset_of_another_origin_is_left_as_it_is(tmp_path):
    (tmp_path / "dataset.toml").write_text('classes = ["mine"]')
    with pytest.raises(OutputError, match="did not draw"):
        next(write_components(tmp_path, 2, 0, 64, 64))
    assert [file.name for file in tmp_path.iterdir()] == ["dataset.toml"]


def test_what_cannot_be_drawn_leaves_nothing(tmp_path):
    with pytest.raises(UsageError, match="too small"):
        next(write_components(tmp_path / "new", 2, 0, 32, 64))
    assert not (tmp_path / "new").exists()


def test_few_pictures_have_no_empty_list(tmp_path):
    list(write_components(tmp_path, 2, 0, 64, 64))
    list(write_components(tmp_path, 4, 0, 64, 64))
    assert all(file.read_text() for file in (tmp_path / "splits").iterdir())


def test_pictures_that_would_not_be_drawn_are_left_alone(tmp_path):
    list(write_components(tmp_path, 4, 0, 64, 64))
    list(write_components(tmp_path, 4, 0, 64, 64))  # the same again does no harm
    with pytest.raises(OutputError, match="holds other pictures or lists"):
        list(write_components(tmp_path, 2, 0, 64, 64))
    assert len((tmp_path / "splits" / "test.txt").read_text().split()) == 1


def test_what_is_added_to_a_drawn_part_is_learned_from(tmp_path):
    list(write_components(tmp_path, 10, 0, 64, 64))
    for part in ("images", "masks"):
        shutil.copy(tmp_path / part / "component-0000.png", tmp_path / part / "mine.png")
    assert "mine" in {sample.name for sample in open_dataset(f"folder:{tmp_path}").split("train").samples}


def test_uneven_areas_are_large_and_faint():
    for seed in range(6):
        drawn = draw_component(seed, 360, 480, 3, "faint")
        plain = draw_component(seed, 360, 480, 0, "faint")
        area = drawn.label == 2
        assert 0.01 < area.mean() < 0.25
        change = drawn.picture.astype(float)[area].mean() / plain.picture.astype(float)[area].mean() - 1
        assert 0.02 < abs(change) < 0.11
        assert not plain.label.any()
    assert (drawn.label == 1).any()
