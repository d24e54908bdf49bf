from dataclasses import replace

import numpy as np
import pytest

from casae.training.augmentation import AUGMENTATIONS, Augmentation, Window, visible_levels


def picture() -> tuple[np.ndarray, np.ndarray]:
    image = np.full((64, 96), 0.8, np.float32)
    image[20:40, 30:60] = 0.1
    return image, (image < 0.5).astype(np.uint8)


def test_image_and_mask_move_together():
    image, label = picture()
    for seed in range(20):
        moved, moved_label = Augmentation().geometry(image, label, np.random.default_rng(seed))
        assert (moved.shape, moved.dtype, moved_label.dtype) == (image.shape, np.float32, np.uint8)
        dark = moved < 0.45
        assert (dark == (moved_label == 1)).mean() > 0.98


def test_labels_keep_their_values():
    image, label = picture()
    label[label == 1] = 3
    _, moved = Augmentation().geometry(image, label, np.random.default_rng(1))
    assert set(np.unique(moved)) == {0, 3}


def test_without_strength_the_picture_stays_or_is_mirrored():
    still = Augmentation(
        quarter_turns=False,
        rotation=0,
        translation=0,
        zoom=1,
        shear=0,
        elastic=0,
        gain=0,
        bias=0,
        gamma=0,
        shading=0,
        blur=0,
        noise=0,
    )
    image, label = picture()
    image += np.linspace(0, 0.1, 96, dtype=np.float32)
    results = [still(image, label, np.random.default_rng(seed))[0] for seed in range(8)]
    straight = [np.allclose(result, image, atol=1e-4) for result in results]
    mirrored = [np.allclose(result, image[:, ::-1], atol=1e-4) for result in results]
    assert all(a != b for a, b in zip(straight, mirrored, strict=True))
    assert any(straight)
    assert any(mirrored)


def test_a_long_picture_is_never_turned_across():
    image = np.tile(np.linspace(0, 1, 256, dtype=np.float32), (32, 1))
    for seed in range(20):
        moved, _ = Augmentation().geometry(image, np.zeros(image.shape, np.uint8), np.random.default_rng(seed))
        assert np.ptp(moved[16]) > 0.5


def test_a_narrow_picture_is_not_replaced_by_its_mirror_image():
    image = np.zeros((32, 768), np.float32)
    image[:] = np.linspace(0, 1, 32, dtype=np.float32)[:, None]  # mirrored, it would fall again
    shown = []
    for seed in range(20):
        moved, _ = AUGMENTATIONS["medium"].geometry(image, image.astype(np.uint8), np.random.default_rng(seed))
        steps = np.diff(moved, axis=0)
        shown.append(max((steps > 0).mean(), (steps < 0).mean()))
    assert np.mean(shown) > 0.8


def test_light_stays_in_range_and_varies():
    image, _ = picture()
    means = [Augmentation().light(image, np.random.default_rng(seed)).mean() for seed in range(30)]
    assert np.std(means) > 0.03
    lit = Augmentation().light(image, np.random.default_rng(0))
    assert lit.dtype == np.float32
    assert lit.min() >= 0
    assert lit.max() <= 1


def test_uneven_light_has_no_edges():
    image = np.full((128, 96), 0.5, np.float32)
    shaded = Augmentation(gain=0, bias=0, gamma=0, shading=0.3, blur=0, noise=0)
    lit = np.stack([shaded.light(image, np.random.default_rng(seed)) for seed in range(20)])
    assert lit.std((1, 2)).max() > 0.05
    assert np.abs(np.diff(lit, axis=1)).max() < 0.03
    assert np.abs(np.diff(lit, axis=2)).max() < 0.03


def test_the_same_seed_gives_the_same_view():
    image, label = picture()
    first, again = (Augmentation()(image, label, np.random.default_rng(5))[0] for _ in range(2))
    assert np.array_equal(first, again)


def test_light_does_not_drown_what_has_little_contrast():
    rng = np.random.default_rng(0)
    sheet = rng.normal(0.5, 0.01, (64, 64)).astype(np.float32)
    dark = rng.normal(0.03, 0.01, (64, 64)).clip(0, 1).astype(np.float32)
    for image in (sheet, dark):
        mean, deviation = float(image.mean()), float(image.std())
        even = replace(AUGMENTATIONS["medium"], shading=0)
        for seed in range(30):
            lit = even.light(image, np.random.default_rng(seed), (mean, deviation))
            assert abs(lit.mean() - mean) < 2 * deviation
            assert lit.std() < 1.6 * deviation
            uneven = AUGMENTATIONS["medium"].light(image, np.random.default_rng(seed), (mean, deviation))
            assert uneven.std() < 5 * deviation


def test_light_of_an_image_of_full_contrast_varies_fully():
    image, _ = picture()
    for seed in range(5):
        levels = float(image.mean()), float(image.std())
        plain, known = (Augmentation().light(image, np.random.default_rng(seed), each) for each in (None, levels))
        assert np.allclose(plain, known, atol=1e-6)


@pytest.mark.parametrize("centre", [(8, 3), (8, 16000), (8, 32990)])
def test_a_part_of_a_very_long_picture_is_that_of_a_short_one(centre):
    x, y = centre
    image = np.random.default_rng(0).random((33000, 16), dtype=np.float32)
    start = min(max(0, y - 500), 32000)
    small = image[start : start + 1000]
    long, short = (
        AUGMENTATIONS["strong"].geometry(
            picture, (picture > 0.5).astype(np.uint8), np.random.default_rng(1), Window(32, 32, (x, below))
        )
        for picture, below in ((image, y), (small, y - start))
    )
    assert np.allclose(long[0], short[0], atol=0.02)
    assert np.mean(long[1] != short[1]) < 0.01


@pytest.mark.parametrize("window", [None, Window(32, 32, (20.3, 30.7)), Window(64, 16, (20, 30))])
def test_still_views_mix_no_pixels(window):
    image = np.random.default_rng(0).random((60, 50), dtype=np.float32)
    label = (image > 0.5).astype(np.uint8)
    still, free = (replace(AUGMENTATIONS["medium"], still=share) for share in (1.0, 0.0))
    for seed in range(8):
        moved, moved_label = still.geometry(image, label, np.random.default_rng(seed), window)
        assert np.isin(moved, image).all()
        assert np.array_equal(moved_label, moved > 0.5)
        assert not np.isin(free.geometry(image, label, np.random.default_rng(seed), window)[0], image).all()


def test_a_share_of_the_change_in_brightness_stays():
    """Contrast varies as before; of how bright the whole is, only a part does, for inspections do not see it."""
    image = np.random.default_rng(0).uniform(0.2, 0.8, (64, 64)).astype(np.float32)
    levels = float(image.mean()), float(image.std())
    still = Augmentation(gain=0.3, bias=0.1, gamma=0, noise=0, blur=0)

    def lit(drift: float) -> list[np.ndarray]:
        view = replace(still, drift=drift)
        return [view.light(image, np.random.default_rng(seed), levels) for seed in range(50)]

    free, bound = ([view.mean() - levels[0] for view in lit(drift)] for drift in (1.0, 0.25))
    assert np.std(bound) == pytest.approx(0.25 * np.std(free), rel=0.1)
    spread = [[view.std() for view in lit(drift)] for drift in (1.0, 0.25)]
    assert np.std(spread[1]) == pytest.approx(np.std(spread[0]), rel=0.2)


def test_what_is_around_a_part_does_not_count_as_its_contrast():
    rng = np.random.default_rng(0)
    part = rng.normal(0.6, 0.01, (100, 100)).clip(0, 1).astype(np.float32)
    label = np.zeros((100, 100), np.uint8)
    label[40:60, 40:60] = 1
    assert visible_levels(part, label)[1] == pytest.approx(0.01, rel=0.1)
    on_black = part.copy()
    on_black[:, :40] = rng.normal(0.05, 0.002, (100, 40))
    assert on_black.std() > 0.2
    assert visible_levels(on_black, label)[1] == pytest.approx(0.01, rel=0.1)
    striped = part.copy()
    striped[:, ::2] *= 0.2
    assert visible_levels(striped, label)[1] == pytest.approx(striped.std(), rel=0.01)
    stained = part.copy()
    stained[label > 0] = 0.1
    assert visible_levels(stained, label)[1] == pytest.approx(stained.std(), rel=0.01)
    varied = rng.uniform(0, 1, (100, 100)).astype(np.float32)
    assert visible_levels(varied, label)[1] == pytest.approx(varied.std(), rel=0.01)
    assert visible_levels(part, label + 1) == pytest.approx((part.mean(), part.std()), abs=1e-3)
