"""Steps run on as many threads as are fastest."""

import statistics
from collections.abc import Iterator

import pytest
import torch

from casae.training.threads import BETWEEN, PAUSE, TRIED, StepThreads


@pytest.fixture
def four() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(4)
    yield
    torch.set_num_threads(before)


def run(threads: StepThreads, pace: dict[int, float]) -> int:
    """Steps on a machine whose pace depends on the number of threads; the number that most of the last ones had."""
    numbers: list[int] = []
    clock = 0.0
    while clock < 4 * PAUSE:
        took = pace[torch.get_num_threads()]
        threads.step(took)
        clock += took
        numbers.append(torch.get_num_threads())
    return statistics.mode(numbers[len(numbers) // 2 :])


@pytest.mark.usefixtures("four")
def test_keeps_all_threads_where_they_are_fastest() -> None:
    threads = StepThreads()
    assert run(threads, {4: 0.1, 3: 0.12, 2: 0.2}) == 4
    assert run(threads, {4: 0.1, 3: 0.095, 2: 0.2}) == 4, "a few percent are noise"


@pytest.mark.usefixtures("four")
def test_gives_way_to_a_busy_neighbour_and_comes_back() -> None:
    threads = StepThreads()
    run(threads, {4: 0.1, 3: 0.12, 2: 0.2})
    assert run(threads, {4: 0.3, 3: 0.15, 2: 0.2}) == 3
    assert run(threads, {4: 0.3, 3: 0.25, 2: 0.2}) == 2
    assert run(threads, {4: 0.1, 3: 0.12, 2: 0.2}) == 4
    run(threads, {4: 0.3, 3: 0.15, 2: 0.2})
    threads.restore()
    assert torch.get_num_threads() == 4


@pytest.mark.usefixtures("four")
def test_long_steps_are_not_spent_on_trials() -> None:
    threads = StepThreads()
    for _ in range(BETWEEN + TRIED - 1):
        threads.step(PAUSE)
        assert torch.get_num_threads() == 4
    threads.step(PAUSE)
    assert torch.get_num_threads() == 3


def test_one_thread_stays_one() -> None:
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        assert run(StepThreads(), {1: 0.1}) == 1
    finally:
        torch.set_num_threads(before)
