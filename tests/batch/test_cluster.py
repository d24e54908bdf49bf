"""A batch on a Ray cluster of this machine's own, on loopback."""

import os
import re
import subprocess
import sys
import time
from pathlib import Path

import pytest

from casae.batch.manifest import finished
from casae.batch.places import Place
from casae.batch.rows import read_rows

pytest.importorskip("ray", reason="ray is not installed")
pytestmark = pytest.mark.slow


def casae(*arguments):
    return subprocess.Popen(
        [sys.executable, "-m", "casae", *map(str, arguments)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=os.environ | {"PYTHONPATH": str(Path(__file__).parents[1])},
    )


def actors_of(process):
    """Processes that inspect for a driver, by their titles and parents."""
    parents, titles = {}, {}
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            parents[int(folder.name)] = int((folder / "stat").read_text().rpartition(")")[2].split()[1])
            titles[int(folder.name)] = (folder / "cmdline").read_bytes()
        except OSError:
            continue
    below = {process.pid}
    while more := {pid for pid, parent in parents.items() if parent in below} - below:
        below |= more
    return [pid for pid in below if titles.get(pid, b"").startswith(b"ray::MapWorker")]


def test_a_killed_actor_is_begun_again_and_every_image_has_one_row(archive, tmp_path, dark_model):
    for index in range(120):
        (archive / "a" / f"more-{index}.png").write_bytes((archive / "a/1.png").read_bytes())
    place = Place.of(str(tmp_path / "out"))
    run = casae("batch", archive, "--model", dark_model, "--out", place.where, "--shard", "4", "--ray", "local")
    until = time.monotonic() + 120
    while not finished(place) and run.poll() is None and time.monotonic() < until:
        time.sleep(0.02)
    for actor in actors_of(run)[:1]:
        os.kill(actor, 9)
    out, errors = run.communicate(timeout=200)
    assert run.returncode == 1, errors
    assert re.match(r"126 images: 1 OK, 0 REVIEW, 124 NG, 1 not inspected; ", out)
    assert sorted(row["entry"]["source"] for row in read_rows(place)) == sorted(map(str, archive.rglob("*.png")))


@pytest.mark.parametrize("address", ["127.0.0.1:9", "auto"])
def test_a_cluster_that_is_not_there_is_named(archive, tmp_path, dark_model, address):
    run = casae("batch", archive, "--model", dark_model, "--out", tmp_path / "out", "--ray", address)
    _, errors = run.communicate(timeout=100)
    assert run.returncode == 2
    assert f"casae: --ray {address}: no cluster answers (" in errors.splitlines()[-1]
