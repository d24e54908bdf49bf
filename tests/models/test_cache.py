import importlib
import json
import os
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from casae.models import cache as compiled
from casae.models.cache import SUFFIX, CompiledNetworks, key_of
from casae.models.runtime import Network, without
from conftest import dark_segmenter

IMAGE = np.linspace(0, 1, 64 * 64, dtype=np.float32).reshape(1, 1, 64, 64)


def network(folder: Path | None, threads: int = 0) -> Network:
    return Network(dark_segmenter(), "dark", threads, kept=CompiledNetworks(folder))


def files(folder: Path, count: int) -> list[Path]:
    """The kept files, once there are so many: they are written beside the inspection."""
    for _ in range(200):
        found = [file for file in folder.glob("*.compiled") if len(file.stem) == 64]
        if len(found) == count:
            return found
        time.sleep(0.05)
    pytest.fail(f"{len(found)} files instead of {count}")


def test_the_next_process_finds_what_was_compiled_and_computes_the_same(tmp_path):
    first = network(tmp_path)(IMAGE)
    (file,) = files(tmp_path, 1)
    second = network(tmp_path)
    second._model = None  # cannot be compiled
    assert np.array_equal(second(IMAGE), first)
    file.unlink()
    third = network(tmp_path)
    third._model = None
    with pytest.raises(AttributeError):
        third(IMAGE)


def test_another_setting_or_shape_is_another_network(tmp_path):
    network(tmp_path)(IMAGE)
    network(tmp_path, threads=1)(IMAGE)
    network(tmp_path)(IMAGE[..., :32])
    files(tmp_path, 3)


@pytest.mark.parametrize("damage", [lambda b: b"", lambda b: b[:40], lambda b: b[:-9] + b"\0" * 9, lambda b: b[::-1]])
def test_a_damaged_file_is_compiled_anew(tmp_path, damage):
    right = network(tmp_path)(IMAGE)
    (file,) = files(tmp_path, 1)
    file.write_bytes(damage(file.read_bytes()))
    assert np.array_equal(network(tmp_path)(IMAGE), right)
    for _ in range(200):
        if CompiledNetworks(tmp_path).read(file.stem):
            return
        time.sleep(0.05)
    pytest.fail("not written again")


def test_what_openvino_does_not_accept_is_compiled_anew(tmp_path):
    right = network(tmp_path)(IMAGE)
    (file,) = files(tmp_path, 1)
    CompiledNetworks(tmp_path).write(file.stem, b"of another world")
    assert np.array_equal(network(tmp_path)(IMAGE), right)


def test_without_a_folder_or_where_none_can_be_made_nothing_is_kept(tmp_path):
    (tmp_path / "file").write_text("no folder")
    for folder in (None, tmp_path / "file"):
        kept = CompiledNetworks(folder)
        kept.write("a", b"network")
        assert kept.read("a") is None


def test_the_oldest_networks_go_first_and_no_file_of_others(tmp_path, monkeypatch):
    monkeypatch.setattr(compiled, "MOST", 2)
    (tmp_path / "folder").mkdir()
    (tmp_path / "notes.txt").write_text("mine")
    os.utime(tmp_path / "notes.txt", (1, 1))
    kept = CompiledNetworks(tmp_path)
    for age, key in enumerate("abc"):
        kept.write(key, b"network")
        os.utime(tmp_path / f"{key}.compiled", (1000 + age, 1000 + age))
        kept.read("a")
    assert {file.name for file in tmp_path.iterdir()} == {"a.compiled", "c.compiled", "folder", "notes.txt"}


@pytest.mark.usefixtures("full_disk")
def test_a_full_disk_leaves_no_half_file(tmp_path):
    CompiledNetworks(tmp_path).write("a", b"network")
    assert list(tmp_path.iterdir()) == []


def test_the_folder_is_the_users_own_or_that_of_the_environment(tmp_path, monkeypatch):
    monkeypatch.setenv("CASAE_CACHE", str(tmp_path))
    assert CompiledNetworks.of_user().folder == tmp_path
    monkeypatch.setenv("CASAE_CACHE", "")
    assert CompiledNetworks.of_user().folder is None
    monkeypatch.delenv("CASAE_CACHE")
    assert "casae" in str(CompiledNetworks.of_user().folder)


def test_a_hidden_module_is_back_afterwards():
    with without("json"), pytest.raises(ModuleNotFoundError):
        importlib.import_module("json")
    assert importlib.import_module("json") is json


def test_parts_do_not_run_into_each_other():
    assert key_of([b"ab", b"c"]) != key_of([b"a", b"bc"])


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no such permissions")
def test_others_may_read_what_is_kept(tmp_path):
    before = os.umask(0o022)
    try:
        CompiledNetworks(tmp_path).write("key", b"network")
    finally:
        os.umask(before)
    assert (tmp_path / f"key{SUFFIX}").stat().st_mode & 0o777 == 0o644


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no such permissions")
def test_what_others_could_have_written_is_not_run(tmp_path):
    kept = CompiledNetworks(tmp_path / "cache")
    kept.write("key", b"network")
    assert kept.read("key") == b"network"
    file = tmp_path / "cache" / f"key{SUFFIX}"
    file.chmod(0o666)
    assert kept.read("key") is None
    file.chmod(0o644)
    (tmp_path / "cache").chmod(0o777)
    assert kept.read("key") is None
    (tmp_path / "cache").chmod(0o755)
    content = file.read_bytes()
    file.rename(tmp_path / "elsewhere")
    file.symlink_to(tmp_path / "elsewhere")
    assert content
    assert kept.read("key") is None
