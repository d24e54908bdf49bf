import pytest

from casae.training.budget import Budget, one_cycle


def test_steps():
    budget = Budget(steps=4)
    assert (budget.progress, budget.remaining_seconds) == (0, None)
    budget.advance()
    assert budget.progress == 0.25
    assert budget.remaining_seconds == pytest.approx(3 * budget.spent)


def test_seconds_are_those_spent_on_steps(monkeypatch):
    clock = iter([100.0, 103.0, 500.0, 504.0])
    monkeypatch.setattr("casae.training.budget.time.monotonic", lambda: next(clock))
    budget = Budget(seconds=10)
    budget.start()
    budget.advance()
    assert budget.progress == 0.3
    budget.start()  # what happened in between does not count
    budget.advance()
    assert budget.progress == 0.7


@pytest.mark.parametrize("limits", [{"seconds": 100}, {"steps": 100}])
def test_a_budget_in_a_hurry_goes_through_what_is_left(limits, monkeypatch):
    clock = iter([0.0, *map(float, range(1, 100))])
    monkeypatch.setattr("casae.training.budget.time.monotonic", lambda: next(clock))
    budget = Budget(**limits)
    budget.start()
    for _ in range(40):
        budget.advance()
    budget.hurry(10)
    assert (budget.progress, budget.remaining_seconds) == (0.4, 10)
    for _ in range(5):
        budget.advance()
    assert (budget.progress, budget.remaining_seconds) == (pytest.approx(0.7), 5)
    for _ in range(5):
        budget.advance()
    assert (budget.progress, budget.remaining_seconds) == (1, 0)


def test_a_budget_that_ends_sooner_is_not_prolonged():
    budget = Budget(seconds=10, spent=9)
    budget.hurry(30)
    assert (budget.progress, budget.remaining_seconds) == (0.9, pytest.approx(1))


def test_the_learning_rate_rises_and_falls():
    rates = [one_cycle(step / 100) for step in range(101)]
    assert max(rates) == rates[20] == 1
    assert rates == sorted(rates[:21]) + sorted(rates[21:], reverse=True)
    assert rates[-1] == 0.01
