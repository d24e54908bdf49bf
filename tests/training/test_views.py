import pickle
from dataclasses import replace

import numpy as np
import torch

from casae.inspection.regions import find_regions
from casae.labelled.defects import LabelledCrop
from casae.labelled.images import LabelledImage, scaled
from casae.training import views
from casae.training.augmentation import Augmentation
from casae.training.views import AlternatingViews, CoarseViews, CropViews, MaskViews, TileViews, balanced, pasted


def test_a_pasted_defect_takes_the_brightness_of_its_new_place():
    image, other = np.full((40, 40), 0.7, np.float32), np.full((40, 40), 0.2, np.float32)
    added = np.zeros((40, 40), np.uint8)
    added[10:16, 10:30] = 1
    other[added > 0] = 0.1  # darker than its surroundings by 0.1
    mixed, defect = pasted(image, np.zeros_like(added), other, added)
    assert np.array_equal(defect, added)
    np.testing.assert_allclose(mixed[12:14, 14:26], 0.6, atol=0.02)
    np.testing.assert_allclose(mixed[30:], 0.7)
    assert (image == np.float32(0.7)).all()


def test_what_is_pasted_over_is_gone():
    image = np.full((40, 40), 0.5, np.float32)
    old, added = np.zeros((40, 40), np.uint8), np.zeros((40, 40), np.uint8)
    old[12:14, 15:20], old[30:35, 30:35], added[10:16, 10:30] = 1, 1, 1
    _, defect = pasted(image, old, image - 0.2, added)
    assert defect[30:35, 30:35].all()
    assert defect.sum() == added.sum() + 25


def test_views_paste_defects_onto_clean_images_and_stay_functions_of_the_position():
    label = np.zeros((64, 64), np.uint8)
    label[28:36, 28:36] = 1
    gray = np.where(label, 20, 180).astype(np.uint8)
    images = [LabelledImage("bad", gray, label), LabelledImage("good", np.full_like(gray, 120), np.zeros_like(label))]
    plain = MaskViews(images, 64, 64, "letterbox", 40, seed=0)
    pasting = MaskViews(images, 64, 64, "letterbox", 40, seed=0, paste=1.0)
    tiles = TileViews(images, 32, 32, 40, seed=0, paste=1.0)
    assert sum(not defect.any() for _, defect in (plain[i] for i in range(40))) >= 20
    assert all(defect.any() for _, defect in (pasting[i] for i in range(40)))
    assert tiles[7][0].shape == (1, 32, 32)
    for kind in (pasting, tiles):
        assert all((a == b).all() for a, b in zip(kind[5], kind[5], strict=True))


def test_a_portrait_is_learned_from_as_it_is_inspected():
    gray = np.random.default_rng(0).integers(0, 255, (48, 80), np.uint8)
    lying, standing = LabelledImage("a", gray, gray > 200), LabelledImage("b", gray.T.copy(), (gray > 200).T.copy())
    one, other = (MaskViews([image], 64, 96, "letterbox", 4, seed=1)[0] for image in (lying, standing))
    assert one[0].shape == (1, 64, 96)
    assert torch.equal(one[0], other[0])
    assert torch.equal(one[1], other[1])


def test_half_of_the_views_show_defects_however_many_images_are_good():
    assert balanced([0, 1, 2], 5) == [0, 1, 2, 3, 4]
    assert sorted(balanced([1, 4], 7)) == [0, 1, 1, 1, 2, 3, 4, 4, 5, 6]
    assert balanced([], 3) == [0, 1, 2]
    gray, clean = np.full((32, 32), 120, np.uint8), np.zeros((32, 32), np.uint8)
    images = [LabelledImage(f"good {i}", gray, clean) for i in range(9)] + [LabelledImage("bad", gray, clean + 1)]
    views = MaskViews(images, 32, 32, "letterbox", 36, seed=0)
    assert len(views) == 36
    assert sum(bool(defect.any()) for _, defect in (views[i] for i in range(36))) == 18


def test_without_any_defect_there_is_nothing_to_paste():
    clean = LabelledImage("good", np.full((32, 32), 120, np.uint8), np.zeros((32, 32), np.uint8))
    assert not MaskViews([clean], 32, 32, "letterbox", 4, seed=0, paste=1.0)[0][1].any()


def crop_of(mask, gray=None):
    (region,) = find_regions(mask)
    gray = np.full(mask.shape, 128, np.uint8) if gray is None else gray
    return LabelledCrop(LabelledImage("a", gray, mask.astype(np.uint8)), region, 0)


def rectangles_shown(monkeypatch, mask):
    shown = []
    monkeypatch.setattr(views, "_disturbed", lambda rectangle, rng: shown.append(rectangle) or rectangle)
    crops = CropViews([crop_of(mask)], 40, seed=0)
    for position in range(40):
        crops[position]
    return [rectangle.length for rectangle in shown]


def test_a_hairline_is_shown_whole_and_in_pieces(monkeypatch):
    mask = np.zeros((50, 240), bool)
    mask[20:22, 20:220] = True
    lengths = rectangles_shown(monkeypatch, mask)
    assert 10 <= lengths.count(200.0) <= 30
    assert min(lengths) < 60
    assert max(lengths) == 200


def test_a_round_defect_is_never_cut(monkeypatch):
    mask = np.zeros((80, 80), bool)
    mask[20:60, 20:50] = True
    assert set(rectangles_shown(monkeypatch, mask)) == {40.0}


def test_light_is_uneven_over_whole_images_and_even_over_tiles():
    gray = np.full((64, 64), 60, np.uint8)
    gray[:, ::2] = 160  # contrast, without which light does not vary; columns stay alike
    lines = [LabelledImage("lines", gray, np.zeros((64, 64), np.uint8))]
    uneven = Augmentation(False, 0, 0, 1, 0, 0, gain=0, bias=0, gamma=0, shading=0.3, blur=0, noise=0)
    whole = MaskViews(lines, 64, 64, "squeeze", 8, seed=0).augmented(uneven)
    tiles = TileViews(lines, 32, 32, 8, seed=0).augmented(uneven)
    assert max(float(whole[position][0].std(1).max()) for position in range(8)) > 0.05
    assert max(float(tiles[position][0][:, 1:-1].std(1).max()) for position in range(8)) < 0.01


def test_a_scratch_among_many_pores_is_seen():
    label = np.zeros((1000, 1000), np.uint8)
    label[5:600:20, 5:600:20] = label[6:600:20, 5:600:20] = 1
    label[900, 500:900] = 2
    image = scaled(LabelledImage("pores", 200 - 100 * (label > 0).astype(np.uint8), label), 0.9)
    assert set(np.unique(image.label)) == {0, 1, 2}
    tiles = TileViews([image], 64, 64, 400, seed=0).augmented(Augmentation(False, 0, 0, 1, 0, 0))
    lines = sum(int(tiles[position][1].sum(1).max()) > 20 for position in range(400))
    assert 4 < lines < 40  # 0.6 of the tiles are around defects, of these 1 in 1 + 900 ** 0.5


def test_crumbs_draw_no_tiles_where_there_is_a_defect():
    label = np.zeros((400, 400), np.uint8)
    label[50:60, 50:60] = 1
    label[200:400:10, 200:400:10] = 1  # crumbs of one pixel
    image = LabelledImage("a", np.full((400, 400), 200, np.uint8), label)
    alone = LabelledImage("b", image.gray, np.where(np.arange(400) > 100, label, 0).astype(np.uint8))
    tiles = TileViews([image, alone], 32, 32, 8, seed=0, min_area=12)
    assert [len(each.regions) for each in tiles.places] == [1, 400]


def test_rare_classes_come_as_often_as_they_are_said_to():
    mask = np.zeros((40, 40), np.uint8)
    mask[10:20, 10:20] = 1
    many, rare = crop_of(mask), replace(crop_of(mask), defect_class=1)
    views = CropViews([many] * 9 + [rare], 60, seed=0, repeats=[1, 3])
    assert sum(int(views[index][1]) for index in range(12)) == 3


def test_light_does_not_drown_faint_crops():
    mask = np.zeros((60, 60), np.uint8)
    mask[20:40, 20:40] = 1
    faint = crop_of(mask, np.where(mask, 120, 124).astype(np.uint8))
    clear = crop_of(mask, np.where(mask, 20, 220).astype(np.uint8))
    spread = [np.std([float(CropViews([crop], 30, seed=0)[i][0].mean()) for i in range(30)]) for crop in (faint, clear)]
    assert spread[0] < spread[1] / 3


def test_views_of_crops_go_to_another_process():
    mask = np.zeros((40, 40), np.uint8)
    mask[10:20, 10:20] = 1
    views = CropViews([crop_of(mask)], 4, seed=0)
    packed, shown = pickle.dumps(views), views[2][0]
    del views
    assert torch.equal(pickle.loads(packed)[2][0], shown)


def test_a_coarse_view_shows_large_defects_alone():
    gray, label = np.full((400, 400), 90, np.uint8), np.zeros((400, 400), np.uint8)
    label[50:250, 50:250], label[300:306, 300:306] = 1, 1
    views = CoarseViews([LabelledImage("a", gray, label)], 64, 64, 8, 0, True)
    _, target = views.pairs[0]
    assert target[20:30, 20:30].all()
    assert not target[44:].any()
    image, defect = views[0]
    assert (image.shape, defect.shape) == ((1, 64, 64), (64, 64))


def test_two_kinds_of_views_take_turns():
    label = np.zeros((64, 64), np.uint8)
    label[20:30, 20:30] = 1
    dark, bright = (
        MaskViews([LabelledImage("a", np.full((64, 64), gray, np.uint8), label)], 64, 64, "letterbox", 8, 0)
        for gray in (60, 200)
    )
    both = AlternatingViews(dark, bright).augmented(Augmentation()).evenly()
    assert len(both) == 16
    bright_ones = [both[position][0].mean() > 0.45 for position in range(16)]
    assert all(bright_ones[at] != bright_ones[at + 1] for at in range(0, 16, 2))
    for process in (0, 1):  # of two that take turns, each sees both kinds
        assert 2 <= sum(bright_ones[process::2]) <= 6
