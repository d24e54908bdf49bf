from dataclasses import replace

import cv2
import numpy as np
import pytest
import torch

from casae.datasets.masks import mask_of
from casae.datasets.registry import open_dataset
from casae.datasets.sample import Dataset, Sample
from casae.errors import DatasetError
from casae.image import Frame
from casae.labelled import images as images_module
from casae.labelled.defects import labelled_crops, smallest_region
from casae.labelled.holdout import Fold, hold_out
from casae.labelled.images import LabelledImage, input_target, load, scaled, white_of
from casae.training.views import CropViews, EpochSampler, MaskViews, TileViews, draw


@pytest.fixture
def images(components):
    return load(open_dataset(f"folder:{components}"))


def test_validation_is_the_list_val_where_there_is_one(components):
    train, validation = hold_out(open_dataset(f"folder:{components}"), "train", 0.25, 0)
    assert [sample.name for sample in validation.samples] == ["component-0008"]
    assert len(train.samples) == 8
    everything, validation = hold_out(open_dataset(f"folder:{components}"), "all", 0.25, 0)
    assert len(everything.samples) == 11


def test_without_a_list_a_share_is_held_out_and_nothing_overlaps(components):
    dataset = open_dataset(f"folder:{components}")
    dataset.splits.pop("val")
    train, validation = hold_out(dataset, "all", 0.25, 0)
    names = [{sample.name for sample in part.samples} for part in (train, validation)]
    assert (len(names[0]), len(names[1])) == (8, 4)
    assert not names[0] & names[1]
    assert hold_out(dataset, "all", 0.25, 0)[1].samples == validation.samples
    assert hold_out(dataset, "all", 0.25, 1)[1].samples != validation.samples


def test_what_start_weights_have_learned_is_held_out_last(components):
    dataset = open_dataset(f"folder:{components}")
    dataset.splits.pop("val")
    known = {sample.name for sample in hold_out(dataset, "all", 0.1, 0)[1].samples}
    held = {sample.name for sample in hold_out(dataset, "all", 0.1, 0, known=known)[1].samples}
    assert held
    assert not held & known


@pytest.mark.parametrize(
    ("good", "defective", "held"),
    [(200, 10, (20, 1)), (40, 10, (10, 1)), (12, 10, (6, 1)), (2, 30, (1, 3)), (1, 30, (0, 3))],
)
def test_a_share_of_good_and_of_defective_images_is_held_out(tmp_path, good, defective, held):
    for part in ("images", "masks", "good"):
        (tmp_path / part).mkdir()
    (tmp_path / "dataset.toml").write_text('classes = ["dent"]')
    for index in range(good + defective):
        zero = index == 0  # a mask may say so as well
        folder = "images" if zero or index >= good else "good"
        cv2.imwrite(str(tmp_path / folder / f"{index}.png"), np.full((4, 4), index, np.uint8))
        if folder == "images":
            cv2.imwrite(str(tmp_path / "masks" / f"{index}.png"), np.full((4, 4), not zero, np.uint8))
    train, validation = hold_out(open_dataset(f"folder:{tmp_path}"), "all", 0.1, 0)
    free = sum(not image.label.any() for image in load(validation))
    assert len(train.samples) + len(validation.samples) == good + defective
    assert (free, len(validation.samples) - free) == held


@pytest.mark.parametrize(("images", "held"), [(10, (1, 0, 0)), (30, (1, 1, 1))])
def test_classes_share_what_is_held_out(tmp_path, images, held):
    mask = tmp_path / "mask.png"
    cv2.imwrite(str(mask), np.full((4, 4), 255, np.uint8))
    samples = tuple(Sample(str(index), tmp_path / str(index), mask_of(mask, 1 + index % 3)) for index in range(images))
    dataset = Dataset("set:x", ("a", "b", "c"), samples)
    validation = hold_out(dataset, "all", 0.1, 0)[1]
    counts = [sum(sample.label.value == value for sample in validation.samples) for value in (1, 2, 3)]
    assert tuple(counts) == held


def test_nothing_is_held_out_where_all_shall_be_learned(components):
    dataset = open_dataset(f"folder:{components}")
    dataset.splits.pop("val")
    train, validation = hold_out(dataset, "all", 0, 0)
    assert (len(train.samples), validation.samples) == (12, ())


def test_too_few_images_are_explained(components):
    dataset = open_dataset(f"folder:{components}").only(["component-0000"], "all")
    with pytest.raises(DatasetError, match="1 labelled images in 'all'; label at least 2"):
        hold_out(dataset, "all", 0.1, 0)


def test_folds_hold_everything_out_once(components):
    dataset = open_dataset(f"folder:{components}")
    folds = [hold_out(dataset, "all", 0.1, 0, Fold(index, 5)) for index in range(5)]
    held = [sample.name for _, validation in folds for sample in validation.samples]
    assert sorted(held) == sorted(sample.name for sample in dataset.samples)
    assert {len(part.samples) + len(validation.samples) for part, validation in folds} == {12}
    with pytest.raises(DatasetError, match="12 labelled images in 'all'; label at least 20"):
        hold_out(dataset, "all", 0.1, 0, Fold(0, 20))


def test_a_hairline_survives_in_the_target():
    label = np.zeros((400, 400), np.uint8)
    label[200, :] = 2
    label[50:90, 50:90] = 1
    target = input_target(label, Frame.of(label.shape, 64, 64, "letterbox"))
    assert set(np.unique(target)) == {0, 1}
    assert target[31:34].any(axis=0).mean() > 0.95
    assert target[31:34].any(axis=1).sum() <= 2
    assert target[:20].sum() == pytest.approx(40 * 40 / 6.25**2, rel=0.2)


def test_an_outline_stays_where_it_is_and_a_line_in_one_piece():
    label = np.zeros((300, 400), np.uint8)
    cv2.circle(label, (100, 150), 60, 1, -1)
    label[60:240:3, 155:165] = 1  # a rough edge
    frame = Frame.of(label.shape, 192, 256, "letterbox")
    assert abs(int(input_target(label, frame).sum()) - label.sum() * 0.64**2) < 0.05 * label.sum() * 0.64**2
    line = cv2.line(np.zeros((300, 400), np.uint8), (20, 30), (380, 170), 1, 1)
    target = input_target(line, frame)
    assert cv2.connectedComponents(target)[0] == 2
    assert target.sum() < 1.5 * 230  # pixels of the input that it crosses


def test_every_image_is_shown_once_before_any_is_shown_again():
    order = [draw(position, 10, 4, seed=0)[0] for position in range(10)]
    assert sorted(order[:4]) == sorted(order[4:8]) == [0, 1, 2, 3]
    assert [draw(position, 10, 4, seed=0)[0] for position in range(10)] == order
    assert [draw(position + 10, 10, 4, seed=0)[0] for position in range(10)] != order


def test_views_are_functions_of_seed_and_position(images):
    views = MaskViews(images, 64, 96, "letterbox", 20, seed=1)
    assert len(views) == 20
    image, target = views[7]
    assert image.shape == (1, 64, 96)
    assert target.shape == (64, 96)
    assert torch.equal(views[7][0], image)
    assert not torch.equal(views[27][0], image)
    assert set(target.unique().tolist()) <= {0.0, 1.0}


def test_crops_are_cut_by_class(images):
    crops = labelled_crops(images, 4, min_area_px=12)
    assert {crop.defect_class for crop in crops} <= {0, 1, 2, 3}
    view, defect_class = CropViews(crops, 8, seed=0)[3]
    assert view.shape == (1, 227, 227)
    assert view.dtype == torch.float32
    assert defect_class in range(4)


def test_the_sampler_counts_on():
    sampler = EpochSampler(3)
    assert list(sampler) == [0, 1, 2]
    assert list(sampler) == [3, 4, 5]
    sampler.position = 22
    assert list(sampler) == [22, 23]
    assert list(sampler) == [24, 25, 26]


def hairline(size: int, thickness: int) -> list[LabelledImage]:
    label = np.zeros((size, size), np.uint8)
    label[size // 2 : size // 2 + thickness, 10:-10] = 1
    return [LabelledImage("a", np.where(label, 20, 200).astype(np.uint8), label)]


def test_views_of_narrow_tiles_lie_as_the_tile_does():
    lying, standing = hairline(400, 3)[0], hairline(400, 3)[0]
    lying = LabelledImage("a", lying.gray[155:245], lying.label[155:245])
    standing = LabelledImage("b", lying.gray.T.copy(), lying.label.T.copy())
    views = TileViews([lying, standing], 96, 384, 20, seed=0)
    assert {tuple(views[position][0].shape) for position in range(20)} == {(1, 96, 384)}
    rows = [int(views[position][1].any(1).sum()) for position in range(20)]
    columns = [int(views[position][1].any(0).sum()) for position in range(20)]
    assert sum(rows) < sum(columns)  # the hairline lies in both


def test_scaling_keeps_a_thin_defect():
    image = scaled(hairline(1000, 2)[0], 0.25)
    assert image.gray.shape == image.label.shape == (250, 250)
    assert image.label[:, 100].sum() in (1, 2)
    assert image.label.max() == 1


def test_tiles_are_standardised_by_their_whole_image():
    images = hairline(400, 3)
    plain, standardised = (TileViews(images, 64, 64, 8, seed=1, standardised=way) for way in (False, True))
    mean, deviation = images[0].gray.mean() / 255, images[0].gray.std() / 255
    for position in range(8):
        expected = (plain[position][0] - mean) / deviation
        assert torch.allclose(standardised[position][0], expected, rtol=0.01, atol=0.02)


def test_tiles_show_defects_at_their_own_scale():
    views = TileViews(hairline(1000, 3), 64, 64, 40, seed=1)
    targets = [views[position][1] for position in range(40)]
    assert views[3][0].shape == (1, 64, 64)
    assert torch.equal(views[3][0], views[3][0])
    with_defect = [target for target in targets if target.any()]
    assert len(with_defect) >= 15  # a random place would show it in three of 40
    for position in range(10):
        image, target = views[position]
        if target.any():
            assert image[0][target > 0].mean() < image[0][target == 0].mean() - 0.3


def test_the_smallest_reported_region_follows_small_labels():
    def image(side: int) -> LabelledImage:
        label = np.zeros((60, 60), np.uint8)
        for corner in range(5, 55, 10):
            label[corner : corner + side, corner : corner + side] = 1
        return LabelledImage("a", label, label)

    assert [smallest_region([image(side)]) for side in (1, 3, 6, 8)] == [1, 2, 9, 12]
    assert smallest_region([]) == 12
    slip = image(40).label.copy()
    slip[0, 0] = 2
    assert smallest_region([image(40), LabelledImage("slip", image(40).gray, slip)]) == 12


def test_white_is_where_the_camera_ends():
    def of(dtype: type, largest: int) -> float:
        gray = np.full((4, 4), largest, dtype)
        return white_of([LabelledImage("a", gray, gray > 0)])

    assert [of(np.uint16, largest) for largest in (90, 1000, 1023, 4000, 40_000)] == [2**-8, 2**-6, 2**-6, 2**-4, 1.0]
    assert of(np.uint8, 90) is None


def test_a_hot_pixel_is_not_the_cameras_white():
    gray = np.full((200, 200), 4000, np.uint16)
    gray[7, 7] = 65535
    good = np.zeros(gray.shape, np.uint8)
    images = [LabelledImage("a", gray, good), LabelledImage("b", gray.astype(np.uint8), good)]
    assert white_of(images) == 2**-4


def test_a_small_bright_defect_is_below_the_cameras_white():
    gray = np.full((1000, 1000), 150, np.uint16)
    gray[500, 10:100] = 40_000
    assert white_of([LabelledImage("a", gray, (gray > 150).astype(np.uint8))]) == 1.0


def test_the_last_image_of_a_class_is_learned_from(tmp_path):
    for part in ("images", "masks"):
        (tmp_path / part).mkdir()
    (tmp_path / "dataset.toml").write_text('classes = ["dent", "crack"]')
    for index in range(6):
        cv2.imwrite(str(tmp_path / "images" / f"{index}.png"), np.full((4, 4), index, np.uint8))
        cv2.imwrite(str(tmp_path / "masks" / f"{index}.png"), np.full((4, 4), 2 if index == 3 else 1, np.uint8))
    dataset = open_dataset(f"folder:{tmp_path}")
    held = [{sample.name for sample in hold_out(dataset, "all", 0.5, seed)[1].samples} for seed in range(8)]
    assert all(len(names) == 3 and "3" not in names for names in held)


def test_more_images_than_memory_holds_are_refused(components, monkeypatch):
    dataset = open_dataset(f"folder:{components}").split("all")
    monkeypatch.setattr("casae.labelled.images._memory", lambda: 4 * 3.5 * 2 * 192 * 256)
    with pytest.raises(DatasetError, match="4 of 12 images of 'all' fill 25% of the memory; name fewer in a list"):
        load(dataset)


def test_good_images_that_memory_does_not_hold_are_left_out(tmp_path, monkeypatch):
    for part in ("images", "masks", "good"):
        (tmp_path / part).mkdir()
    (tmp_path / "dataset.toml").write_text('classes = ["dent"]')
    for index in range(3):
        cv2.imwrite(str(tmp_path / "images" / f"{index}.png"), np.full((40, 40), index, np.uint8))
        cv2.imwrite(str(tmp_path / "masks" / f"{index}.png"), np.eye(40, dtype=np.uint8))
    for index in range(9):
        cv2.imwrite(str(tmp_path / "good" / f"g{index}.png"), np.full((40, 40), index, np.uint8))
    dataset = open_dataset(f"folder:{tmp_path}")
    monkeypatch.setattr("casae.labelled.images._memory", lambda: 4 * 4.5 * 2 * 1600)
    names = [image.name for image in load(dataset, all_good=False)]
    assert names[:3] == ["0", "1", "2"]
    assert len(names) == 5
    with pytest.raises(DatasetError, match="5 of 12 images of 'all' fill"):
        load(dataset)
    monkeypatch.setattr("casae.labelled.images._memory", lambda: 4 * 2.5 * 2 * 1600)
    with pytest.raises(DatasetError, match="3 of 3 images with masks"):
        load(dataset, all_good=False)


def test_the_class_with_the_smallest_defects_decides_what_is_reported():
    label = np.zeros((200, 200), np.uint8)
    label[10:14, 20:120] = 1
    label[50:180:20, 50:56] = 2
    images = [LabelledImage("a", label, label)]
    assert smallest_region(images) == 1
    assert sum(crop.defect_class == 1 for crop in labelled_crops(images, 2, 1)) == 7


@pytest.mark.parametrize("defective", [1, 2])
def test_each_fold_learns_from_a_defect(tmp_path, defective):
    for part in ("images", "masks"):
        (tmp_path / part).mkdir()
    rng = np.random.default_rng(0)
    for index in range(11):
        cv2.imwrite(str(tmp_path / f"images/{index}.png"), rng.integers(0, 255, (32, 32), np.uint8))
        mask = np.zeros((32, 32), np.uint8)
        mask[4:9, 4:9] = {0: 1, 10: 2 if defective == 2 else 0}.get(index, 0)
        cv2.imwrite(str(tmp_path / f"masks/{index}.png"), mask)
    (tmp_path / "dataset.toml").write_text('classes = ["dent", "scratch"]')
    dataset = open_dataset(f"folder:{tmp_path}")
    if defective < 2:
        with pytest.raises(DatasetError, match="folds need two images with labelled defects"):
            hold_out(dataset, "all", 0, 0, Fold(0, 5))
        return
    for index in range(5):
        part, _ = hold_out(dataset, "all", 0, 0, Fold(index, 5))
        assert {"0", "10"} & {sample.name for sample in part.samples}


def test_masks_of_other_names_are_spoken_of(tmp_path):
    for part, name in (("images", "a.png"), ("masks", "a_seg.png")):
        (tmp_path / part).mkdir()
        cv2.imwrite(str(tmp_path / part / name), np.ones((4, 4), np.uint8))
    (tmp_path / "dataset.toml").write_text('classes = ["dent"]')
    rule = "0 labelled images in 'all', and 1 masks that no image is named like .masks/a_seg.png ...."
    with pytest.raises(DatasetError, match=rule):
        hold_out(open_dataset(f"folder:{tmp_path}"), "all", 0.1, 0)


def test_every_class_is_judged_where_the_masks_name_it(tmp_path):
    for part in ("images", "masks"):
        (tmp_path / part).mkdir()
    (tmp_path / "dataset.toml").write_text('classes = ["dent", "crack", "stain"]')
    values = [1] * 24 + [2] * 8 + [3] * 8
    for index, value in enumerate(values):
        cv2.imwrite(str(tmp_path / "images" / f"{index:02d}.png"), np.full((4, 4), index, np.uint8))
        cv2.imwrite(str(tmp_path / "masks" / f"{index:02d}.png"), np.array([[1, value]] * 2, np.uint8))
    dataset = open_dataset(f"folder:{tmp_path}")
    for seed in range(8):
        held = [values[int(sample.name)] for sample in hold_out(dataset, "all", 0.125, seed)[1].samples]
        assert sorted(held) == [1, 1, 1, 2, 3]


def test_a_class_of_two_images_is_learned_from_whole(tmp_path):
    mask = tmp_path / "mask.png"
    cv2.imwrite(str(mask), np.full((4, 4), 255, np.uint8))
    values = [1] * 20 + [2] * 8 + [3] * 2
    samples = tuple(Sample(str(i), tmp_path / str(i), mask_of(mask, value)) for i, value in enumerate(values))
    for seed in range(4):
        held = hold_out(Dataset("set:x", ("a", "b", "c"), samples), "all", 0.1, seed)[1].samples
        assert sorted({sample.label.value for sample in held}) == [1, 2]
        assert len(held) == 3


def test_small_classes_give_what_the_share_asks_for(tmp_path):
    mask = tmp_path / "mask.png"
    cv2.imwrite(str(mask), np.full((4, 4), 255, np.uint8))
    values = [1] * 3 + [value for value in range(2, 11) for _ in range(2)]
    samples = tuple(Sample(str(i), tmp_path / str(i), mask_of(mask, value)) for i, value in enumerate(values))
    dataset = Dataset("set:x", tuple("abcdefghij"), samples)
    assert len(hold_out(dataset, "all", 0.3, 0)[1].samples) == 6


def test_copies_are_held_out_or_learned_from_together(components):
    dataset = replace(open_dataset(f"folder:{components}"), splits={})
    names = [sample.name for sample in dataset.samples]
    groups = dict.fromkeys(names[:4], names[0]) | dict.fromkeys(names[5:7], names[5])
    for seed in range(12):
        train, validation = hold_out(dataset, "all", 0.25, seed, groups=groups)
        held = {sample.name for sample in validation.samples}
        assert held.isdisjoint(sample.name for sample in train.samples)
        assert len({name in held for name in names[:4]}) == len({name in held for name in names[5:7]}) == 1
    for index in range(3):
        held = {sample.name for sample in hold_out(dataset, "all", 0, 0, Fold(index, 3), groups=groups)[1].samples}
        assert len({name in held for name in names[:4]}) == 1


def test_where_all_are_alike_some_are_held_out_all_the_same(components):
    dataset = replace(open_dataset(f"folder:{components}"), splits={})
    groups = {sample.name: "one" for sample in dataset.samples}
    train, validation = hold_out(dataset, "all", 0.25, 0, groups=groups)
    assert train.samples
    assert validation.samples


def test_learned_images_are_not_held_out_while_others_are_free(components):
    """Also of a class of which every image is known."""
    dataset = replace(open_dataset(f"folder:{components}"), splits={})
    known = {sample.name for sample in dataset.samples[:6]}
    held = {sample.name for sample in hold_out(dataset, "all", 0.25, 0, known=known)[1].samples}
    assert not held & known


def test_the_limit_of_a_container_counts(tmp_path, monkeypatch):
    (tmp_path / "memory.max").write_text("1000000\n")
    monkeypatch.setattr(images_module, "CONTAINER_LIMITS", (tmp_path / "memory.max", tmp_path / "none"))
    assert images_module._memory() == 1e6
    (tmp_path / "memory.max").write_text("max\n")
    assert images_module._memory() > 1e6
