import pytest

from casae import cluster
from casae.cluster import LOCAL, check_cores, joined, needs_ray, said_there
from casae.errors import OutputError, UsageError


class Cluster:
    def __init__(self, *cores):
        self._nodes = [{"Alive": count >= 0, "Resources": {"CPU": float(abs(count))}} for count in cores]

    def nodes(self):
        return self._nodes


@pytest.mark.parametrize("cores", [(4,), (2, 8), (0,), (0, 0)])
def test_a_machine_that_is_large_enough_or_may_come_is_waited_for(cores):
    check_cores(Cluster(*cores), "auto", 4)


@pytest.mark.parametrize("cores", [(2,), (2, 3), (2, -8)])
def test_more_cores_than_any_machine_has_are_refused(cores):
    with pytest.raises(UsageError, match=r"--cores 4: the largest machine of auto has [23]; ask for fewer"):
        check_cores(Cluster(*cores), "auto", 4)


def test_what_casae_said_on_another_machine_is_said_here():
    text = """ray::MapWorker() (pid=12, ip=10.0.0.2)
  File "shard.py", line 98, in inspect_shard
casae.errors.OutputError: /share/out/part: cannot be written (No space left on device); free space, try it again

The above exception was the direct cause of the following exception:
ray.exceptions.UserCodeException: UDF failed to process a data block."""
    said = said_there(Exception(text))
    assert type(said) is OutputError
    assert str(said) == "/share/out/part: cannot be written (No space left on device); free space, try it again"
    assert said_there(Exception("a raylet is gone")) is None


def test_ray_tells_its_makers_nothing_and_asks_for_a_token(monkeypatch):
    pytest.importorskip("ray", reason="ray is not installed")
    for name in ("RAY_USAGE_STATS_ENABLED", "RAY_AUTH_MODE"):
        monkeypatch.delenv(name, raising=False)
    import os

    needs_ray()
    assert (os.environ["RAY_USAGE_STATS_ENABLED"], os.environ["RAY_AUTH_MODE"]) == ("0", "token")


class Talker:
    """Prints as Ray does: of workers that end, and at its own end what it kept back."""

    def is_initialized(self):
        return False

    def init(self, **settings):
        pass

    def shutdown(self):
        print("(raylet) kept back")


def test_what_ray_prints_is_not_among_results(monkeypatch, capsys):
    monkeypatch.setattr(cluster, "needs_ray", Talker)
    with joined(LOCAL):
        print("(raylet) a worker ended")
    print("result")
    assert tuple(capsys.readouterr()) == ("result\n", "(raylet) a worker ended\n(raylet) kept back\n")
