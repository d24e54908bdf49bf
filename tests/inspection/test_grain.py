"""Which pictures were learned, told by fingerprints of their grain."""

import cv2
import numpy as np
import pytest

from casae.inspection.grain import BITS, NOTHING, TURNS, Fingerprints, turned


def steel(seed, height=200, width=200):
    noise = np.random.default_rng(seed).normal(0, 1, (height, width)).astype(np.float32)
    return np.clip(120 + 25 * cv2.GaussianBlur(noise, (0, 0), 1.2) * 3, 0, 255).astype(np.uint8)


@pytest.fixture(scope="module")
def learned():
    return Fingerprints.of(steel(seed) for seed in range(40))


@pytest.mark.parametrize("turn", range(TURNS))
def test_a_learned_picture_is_known_however_it_is_turned(learned, turn):
    copies = [np.ascontiguousarray(turned(steel(seed), turn)) for seed in range(5)]
    assert all(learned.knows(copy) for copy in copies)


def test_a_picture_that_was_saved_again_darker_is_known(learned):
    for seed in range(5):
        darker = cv2.convertScaleAbs(steel(seed), alpha=0.8, beta=-10)
        again = cv2.imdecode(cv2.imencode(".jpg", darker, [cv2.IMWRITE_JPEG_QUALITY, 80])[1], cv2.IMREAD_GRAYSCALE)
        assert learned.knows(again)


def test_other_pictures_are_not_known(learned):
    assert not any(learned.knows(steel(seed)) for seed in range(100, 140))
    assert not learned.knows(np.full((200, 200), 128, np.uint8))


@pytest.mark.parametrize("learned_from", [2, 5, 40])
def test_pictures_of_one_part_under_one_camera_are_different_ones(learned_from):
    """The same edges in all of them, at most two pixels apart, and grain of their own."""
    design = np.kron(np.random.default_rng(1).integers(40, 200, (10, 10)), np.ones((20, 20))).astype(np.float32)

    def part(seed):
        rng = np.random.default_rng(seed)
        moved = np.roll(design, tuple(rng.integers(-1, 2, 2)), (0, 1))
        return np.clip(moved + rng.normal(0, 6, moved.shape), 0, 255).astype(np.uint8)

    known = Fingerprints.of(part(seed) for seed in range(learned_from))
    assert sum(known.knows(part(seed)) for seed in range(100, 120)) == 0
    assert known.knows(part(1))


def test_they_are_written_and_read_and_joined(learned):
    data = learned.written()
    assert len(data) == 40 * BITS // 8
    again = Fingerprints.read(data + b"cut off")
    assert np.array_equal(again.bits, learned.bits)
    both = again.joined(Fingerprints.of([steel(0), steel(50)]))
    assert len(both) == 41
    assert both.knows(steel(50))


def test_nothing_knows_nothing():
    assert not len(NOTHING)
    assert not NOTHING.knows(steel(0))
    assert not len(Fingerprints.of([]))
