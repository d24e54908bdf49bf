import math

import numpy as np
import pytest

from casae.inspection.regions import Rectangle
from casae.reproduction.baselines import FEATURES, features_of, kittler, minimum_error_threshold, mlp_predictions, otsu


def two_hills(seed: int, dark_share: float = 0.2) -> np.ndarray:
    rng = np.random.default_rng(seed)
    dark, bright = rng.uniform(20, 90), rng.uniform(140, 220)
    values = np.where(rng.random(6000) < dark_share, rng.normal(dark, 12, 6000), rng.normal(bright, 20, 6000))
    return np.clip(values, 0, 255).astype(np.uint8).reshape(60, 100)


def reference_threshold(values: np.ndarray) -> int:
    """Kittler and Illingworth pixel by pixel, as their paper states it: no cumulative sums, no histogram."""
    best, lowest = 255, math.inf
    for t in range(255):
        below, above = values[values <= t].astype(float), values[values > t].astype(float)
        if not (below.size and above.size and below.std() > 0 and above.std() > 0):
            continue
        p1, p2 = below.size / values.size, above.size / values.size
        j = 1 + 2 * (p1 * math.log(below.std()) + p2 * math.log(above.std()))
        j -= 2 * (p1 * math.log(p1) + p2 * math.log(p2))
        if j < lowest - 1e-9:
            best, lowest = t, j
    return best


@pytest.mark.parametrize("seed", range(6))
def test_kittler_agrees_with_an_independent_implementation(seed):
    values = two_hills(seed, dark_share=0.1 + 0.1 * seed)
    assert minimum_error_threshold(np.bincount(values.ravel(), minlength=256)) == reference_threshold(values)


@pytest.mark.parametrize("method", [otsu, kittler])
@pytest.mark.parametrize("dark", [True, False])
def test_the_smaller_half_is_the_defect_dark_or_bright(method, dark):
    rng = np.random.default_rng(1)
    image = rng.normal(170 if dark else 60, 5, (80, 80))
    image[20:30, 20:50] += -120 if dark else 120
    truth = np.zeros((80, 80), bool)
    truth[20:30, 20:50] = True
    assert np.array_equal(method(image.astype(np.uint8)), truth)


@pytest.mark.parametrize("method", [otsu, kittler])
def test_nothing_is_found_on_one_gray_value(method):
    assert not method(np.full((20, 20), 128, np.uint8)).any()


def test_sixteen_bits_are_split_like_eight():
    image = two_hills(3)
    assert np.array_equal(kittler(image), kittler(image.astype(np.uint16) * 257))


def test_features_tell_stripes_from_noise_and_stripes_across():
    rng = np.random.default_rng(0)
    stripes = np.tile(np.where(np.arange(80) % 16 < 8, 60, 180), (80, 1)).astype(np.uint8)
    kinds = [stripes, stripes.T.copy(), rng.integers(0, 256, (80, 80)).astype(np.uint8)]
    noisy = [(k.astype(int) + rng.integers(-8, 9, k.shape)).clip(0, 255).astype(np.uint8) for k in kinds * 10]
    classes = np.arange(30) % 3
    for name, features in FEATURES.items():
        rows = features_of([(image, Rectangle((39.5, 39.5), 60, 50, 0)) for image in noisy], features)
        assert np.isfinite(rows).all()
        found = mlp_predictions(rows[:21], classes[:21], rows[21:], seed=0)
        assert (found == classes[21:]).mean() >= 0.9, name


def test_the_mlp_is_a_function_of_its_seed():
    rng = np.random.default_rng(0)
    rows, classes = rng.random((30, 4)), np.arange(30) % 3
    first, again = (mlp_predictions(rows, classes, rows, seed=4) for _ in range(2))
    assert np.array_equal(first, again)
