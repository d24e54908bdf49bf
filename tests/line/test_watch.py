import hashlib
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from contextlib import contextmanager
from pathlib import Path

import cv2
import numpy as np
import pytest

from casae import InspectionSettings, Inspector
from casae.errors import RecordsError, UsageError
from casae.inspection.rules import AcceptanceRules
from casae.line import watch as module
from casae.line.watch import Watch, WatchSettings, watch
from casae.records.database import opened, reading
from casae.records.queries import Filter, failures_of, page, records
from casae.records.store import DatabaseStore
from casae.service.catalogue import Catalogue
from casae.service.home import Home

NOW = {"every_s": 0.01, "still_s": 0.0, "room_mb": 0.0, "patience_s": 0.0}


@pytest.fixture
def engine(tmp_path):
    with opened(tmp_path / "home") as engine:
        yield engine


@pytest.fixture
def store(engine):
    return DatabaseStore(engine)


@pytest.fixture
def inspector(dark_model):
    return Inspector(dark_model)


@pytest.fixture
def inbox(tmp_path):
    (tmp_path / "in").mkdir()
    return tmp_path / "in"


def picture(file, gray=200):
    file.parent.mkdir(parents=True, exist_ok=True)
    cv2.imwrite(str(file), np.full((48, 64), gray, np.uint8))
    return file


def once(inbox, inspector, store, **settings):
    source = Watch(inbox, WatchSettings(**NOW | settings, once=True), None, threading.Event())
    watch(source, lambda: inspector, lambda _: store)
    return source.now


def sources(engine):
    return sorted(row.source for row in page(engine, Filter()))


@contextmanager
def watching(inbox, inspector, store, **settings):
    """A watch in a thread, and how to wait for something of it."""
    source = Watch(inbox, WatchSettings(**NOW | settings), None, threading.Event())
    thread = threading.Thread(target=watch, args=(source, lambda: inspector, lambda _: store))
    thread.start()

    def until(true: Callable[[], bool]) -> None:
        end = time.monotonic() + 20
        while not true():
            assert time.monotonic() < end
            time.sleep(0.01)

    try:
        yield source.now, until
    finally:
        source.stop.set()
        thread.join()


def test_what_lies_there_is_inspected_once_and_bad_files_are_remembered(inbox, inspector, engine, store):
    files = [picture(inbox / "a.png"), picture(inbox / "deep/b.png", 199)]
    (inbox / "bad.png").write_text("no picture")
    (inbox / "notes.txt").touch()
    (inbox / "phone.heic").touch()
    now = once(inbox, inspector, store)
    assert (now.kept, now.failed, now.known) == (2, 1, 0)
    assert now.trouble == f"{inbox / 'phone.heic'}: .heic is not read; save it as PNG"
    assert sources(engine) == sorted(map(str, files))
    with reading(engine) as connection:
        (reason,) = connection.exec_driver_sql("SELECT reason FROM failures").scalars()
    assert reason.startswith(f"{inbox / 'bad.png'}: is damaged")
    assert (inbox / "a.png").exists()  # nothing is moved or deleted unless somebody says so
    again = once(inbox, inspector, store)
    assert (again.kept, again.known) == (0, 2)


def test_an_empty_folder_is_no_error_and_no_folder_is_one(inbox, inspector, store, tmp_path):
    assert once(inbox, inspector, store).kept == 0
    with pytest.raises(UsageError, match="no such folder"):
        once(tmp_path / "nothing", inspector, store)
    with pytest.raises(UsageError, match="lies in the folder that is watched"):
        once(inbox, inspector, store, then="move", move_to=inbox / "done")
    with pytest.raises(UsageError, match="needs a folder to move to"):
        once(inbox, inspector, store, then="move")


def test_pictures_are_moved_where_no_other_lies_and_deleted_only_when_told(inbox, inspector, engine, store, tmp_path):
    done = tmp_path / "done"
    first = picture(inbox / "0001.png").read_bytes()
    (inbox / "bad.png").write_text("no picture")
    once(inbox, inspector, store, then="move", move_to=done)
    second = picture(inbox / "0001.png", 100).read_bytes()  # the camera begins again
    once(inbox, inspector, store, then="move", move_to=done)
    (day,) = (each for each in done.iterdir() if each.name != "failed")
    ending = hashlib.sha256(second).hexdigest()[:12]
    assert {file.name: file.read_bytes() for file in day.iterdir()} == {
        "0001.png": first,
        f"0001-{ending}.png": second,
    }
    assert [file.parent.name for file in (done / "failed").rglob("bad.png")] == [day.name]
    assert list(inbox.iterdir()) == []
    with reading(engine) as connection:
        kept = set(connection.exec_driver_sql("SELECT path FROM images").scalars())
    assert kept == set(map(str, day.iterdir()))
    picture(inbox / "c.png", 50)
    (inbox / "bad.png").write_text("no picture")
    once(inbox, inspector, store, then="delete")
    assert [file.name for file in inbox.iterdir()] == ["bad.png"]


def test_a_kill_between_record_and_move_leaves_nothing_behind(inbox, inspector, engine, store, tmp_path, monkeypatch):
    picture(inbox / "a.png")
    with monkeypatch.context() as changed:
        changed.setattr(module, "move_new", lambda file, target: (_ for _ in ()).throw(KeyboardInterrupt))
        with pytest.raises(KeyboardInterrupt):
            once(inbox, inspector, store, then="move", move_to=tmp_path / "done")
    now = once(inbox, inspector, store, then="move", move_to=tmp_path / "done")
    assert (now.kept, now.known, list(inbox.iterdir())) == (0, 1, [])
    assert len(list((tmp_path / "done").rglob("a.png"))) == 1


def test_a_picture_that_takes_the_place_of_an_inspected_one_is_not_put_away(inbox, inspector, engine, store, tmp_path):
    class Slow(DatabaseStore):
        def add(self, inspection):
            kept = super().add(inspection)
            if len(sources(engine)) == 1:
                picture(tmp_path / "new.png", 90).replace(inbox / "latest.png")
            return kept

    picture(inbox / "latest.png")
    source = Watch(inbox, WatchSettings(**NOW, once=True, then="delete"), None, threading.Event())
    watch(source, lambda: inspector, lambda _: Slow(engine))
    assert (source.now.kept, list(inbox.iterdir())) == (2, [])
    assert len({record.sha256 for record in records(engine, Filter())}) == 2


def test_two_that_move_the_same_name_at_once_lose_nothing(inbox, inspector, engine, store, tmp_path, monkeypatch):
    done, contents = tmp_path / "done", []
    real = DatabaseStore.place

    def slow(self, key, wanted, instead_of=None):
        place = real(self, key, wanted, instead_of)
        if instead_of is None:  # the other one is a moment faster
            contents.append(picture(Path(place), 90).read_bytes())
        return place

    monkeypatch.setattr(DatabaseStore, "place", slow)
    contents.append(picture(inbox / "0001.png").read_bytes())
    once(inbox, inspector, store, then="move", move_to=done)
    moved = [file.read_bytes() for file in done.rglob("*.png")]
    assert sorted(moved) == sorted(contents)
    with reading(engine) as connection:
        (path,) = connection.exec_driver_sql("SELECT path FROM images").scalars()
    assert Path(path).read_bytes() == contents[0]


def test_an_archive_that_is_not_mounted_is_waited_for(inbox, inspector, engine, store, tmp_path, monkeypatch):
    done = tmp_path / "done"
    done.mkdir()
    mounted = threading.Event()
    mounted.set()
    real = module.os.path.ismount
    monkeypatch.setattr(module.os.path, "ismount", lambda each: mounted.is_set() if Path(each) == done else real(each))
    monkeypatch.setattr(module, "LONGEST_WAIT", 0.1)
    with watching(inbox, inspector, store, then="move", move_to=done) as (now, until):
        mounted.clear()
        picture(inbox / "a.png")
        until(lambda: now.stuck == {inbox / "a.png"} and "cannot be put away" in now.trouble)
        assert list(done.iterdir()) == []
        mounted.set()
        until(lambda: list(inbox.iterdir()) == [] and not now.stuck and not now.trouble)
        mounted.clear()
        picture(inbox / "b.png")
        until(lambda: now.stuck == {inbox / "b.png"})
        (inbox / "b.png").unlink()  # somebody else puts it away
        until(lambda: not now.stuck and not now.trouble)
    assert len(list(done.rglob("a.png"))) == 1
    assert len(sources(engine)) == 2


def test_one_picture_that_casae_fails_on_stops_nothing(inbox, inspector, engine, store, monkeypatch):
    real = Inspector.inspect

    def fails(self, image, *values):
        if image.source.endswith("b.png"):
            raise ValueError("a bug")
        return real(self, image, *values)

    monkeypatch.setattr(Inspector, "inspect", fails)
    for number, name in enumerate("abc"):
        picture(inbox / f"{name}.png", 200 - number)
    now = once(inbox, inspector, store)
    assert (now.kept, now.failed) == (2, 1)
    assert once(inbox, inspector, store).failed == 1
    with reading(engine) as connection:
        (reason,) = connection.exec_driver_sql("SELECT reason FROM failures").scalars()  # once
    assert "casae failed on it (ValueError('a bug'))" in reason


def test_a_file_that_is_being_written_waits_until_it_is_whole(inbox, inspector, engine, store, tmp_path):
    content = picture(tmp_path / "whole.png").read_bytes()
    with watching(inbox, inspector, store, still_s=0.3) as (now, until):
        with (inbox / "slow.png").open("wb") as file:
            for piece in (content[:50], content[50:90], content[90:]):
                file.write(piece)
                file.flush()
                time.sleep(0.1)
        until(lambda: now.kept == 1)
    assert now.failed == 0


def test_a_slow_writer_is_waited_for_before_a_picture_is_moved_away(
    inbox, inspector, engine, store, tmp_path, monkeypatch
):
    monkeypatch.setattr(module, "AGAIN", 0.05)
    content = picture(tmp_path / "whole.png").read_bytes()
    with watching(inbox, inspector, store, patience_s=20, then="move", move_to=tmp_path / "done") as (now, until):
        with (inbox / "slow.png").open("wb") as file:
            file.write(content[:60])
            file.flush()
            time.sleep(0.4)
            file.write(content[60:])
        until(lambda: now.kept == 1)
    assert (now.failed, [file.name for file in (tmp_path / "done").rglob("*.png")]) == (0, ["slow.png"])


def test_what_was_broken_and_is_written_again_is_inspected(inbox, inspector, engine, store):
    (inbox / "a.png").write_text("half a picture")
    with watching(inbox, inspector, store) as (now, until):
        until(lambda: now.failed == 1)
        picture(inbox / "a.png")
        until(lambda: now.kept == 1)
        picture(inbox / "a.png", 100)  # and so is another picture of this name
        until(lambda: now.kept == 2)


def test_a_folder_that_vanishes_is_waited_for(inbox, inspector, engine, store, tmp_path):
    picture(inbox / "a.png")
    with watching(inbox, inspector, store) as (now, until):
        until(lambda: now.kept == 1)
        inbox.rename(tmp_path / "away")
        until(lambda: "is away" in now.trouble)
        picture(tmp_path / "away" / "b.png", 100)
        (tmp_path / "away").rename(inbox)
        until(lambda: now.kept == 2)
        assert (now.known, now.failed, now.trouble) == (0, 0, "")


def test_the_empty_place_of_a_share_is_an_outage_and_no_empty_folder(inbox, inspector, engine, store, monkeypatch):
    mounted = threading.Event()
    mounted.set()
    real = module.os.path.ismount
    monkeypatch.setattr(module.os.path, "ismount", lambda each: mounted.is_set() if Path(each) == inbox else real(each))
    picture(inbox / "a.png")
    with watching(inbox, inspector, store) as (now, until):
        until(lambda: now.kept == 1)
        mounted.clear()
        until(lambda: "nothing is mounted" in now.trouble)
        mounted.set()
        picture(inbox / "b.png", 100)
        until(lambda: now.kept == 2)
        assert now.known == 0


def test_a_database_that_is_away_is_waited_for(inbox, inspector, engine, store):
    class Away(DatabaseStore):
        tries = 0

        def add(self, inspection):
            Away.tries += 1
            if Away.tries in (2, 3, 5):
                raise RecordsError("the server is away")
            return super().add(inspection)

    for number in range(5):
        picture(inbox / f"{number}.png", 200 - number)
    said = []
    source = Watch(inbox, WatchSettings(**NOW, once=True), None, threading.Event())
    source.tell = lambda step, now: said.append(now.trouble)
    watch(source, lambda: inspector, lambda _: Away(engine))
    assert (source.now.kept + source.now.known, source.now.failed, len(sources(engine))) == (5, 0, 5)
    assert "the server is away; waiting, and trying again" in said


def test_a_full_disk_lets_pictures_wait(inbox, inspector, engine, store, tmp_path, monkeypatch):
    free = [100.0]
    usage = lambda home: type("usage", (), {"free": free[0] * 1e6})  # noqa: E731
    monkeypatch.setattr(module.shutil, "disk_usage", usage)
    picture(inbox / "a.png")
    settings = WatchSettings(**NOW | {"room_mb": 500.0})
    source = Watch(inbox, settings, tmp_path / "home", threading.Event())
    thread = threading.Thread(target=watch, args=(source, lambda: inspector, lambda _: store))
    thread.start()
    try:
        end = time.monotonic() + 20
        while "100 MB are free, 500 are needed" not in source.now.trouble:
            assert time.monotonic() < end
        assert source.now.kept == 0
        free[0] = 1000.0
        while source.now.kept == 0:
            assert time.monotonic() < end
    finally:
        source.stop.set()
        thread.join()


def test_another_inspector_judges_what_follows(inbox, inspector, engine, store):
    now_active = [inspector]
    source = Watch(inbox, WatchSettings(**NOW), None, threading.Event())
    picture(inbox / "a.png")
    thread = threading.Thread(target=watch, args=(source, lambda: now_active[0], lambda _: store))
    thread.start()
    try:
        end = time.monotonic() + 20
        while source.now.kept < 1:
            assert time.monotonic() < end
        now_active[0] = inspector.with_rules(AcceptanceRules(review_below=0.1))
        picture(inbox / "b.png", 100)
        while source.now.kept < 2:
            assert time.monotonic() < end
    finally:
        source.stop.set()
        thread.join()
    judged = {record.source[-5:]: record.rules_sha256 for record in records(engine, Filter())}
    assert judged["a.png"] != judged["b.png"]


def test_a_name_that_is_no_text_is_told_and_stops_nothing(inbox, inspector, engine, store):
    picture(inbox / "a.png")
    name = inbox / b"\xff.png".decode(errors="surrogateescape")
    try:
        shutil.copy(inbox / "a.png", name)
    except OSError:
        pytest.skip("this drive takes no such name")
    now = once(inbox, inspector, store)
    assert (now.kept, now.failed) == (1, 1)


def test_killed_again_and_again_every_picture_is_there_once(inbox, dark_model, engine, tmp_path):
    contents = {picture(inbox / f"{n}.png", 255 - n).read_bytes() for n in range(60)}
    command = [sys.executable, "-m", "casae", "watch", str(inbox), "--model", str(dark_model), "--room", "0"]
    command += ["--home", str(tmp_path / "home"), "--then", "move", "--to", str(tmp_path / "done"), "--still", "0"]
    printed = []
    for lines in (1, 9, 3, 17):  # after so many pictures
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
            printed += [process.stdout.readline() for _ in range(lines)]
            process.send_signal(signal.SIGKILL)
    subprocess.run([*command, "--once"], check=True, capture_output=True)
    rows = page(engine, Filter(), limit=100)
    assert len(rows) == len({row.source for row in rows}) == 60
    assert {line.split(maxsplit=3)[2] for line in printed} <= {row.source for row in rows}
    assert {file.read_bytes() for file in (tmp_path / "done").rglob("*.png")} == contents
    assert list(inbox.iterdir()) == []


ENDS = """
import os
from casae.cli.main import main
from casae.inspection.inspector import Inspector

real = Inspector.inspect

def inspect(self, image, *given, **named):
    if image.source.endswith("-bad.png"):
        os._exit(9)
    return real(self, image, *given, **named)

Inspector.inspect = inspect
main()
"""


def test_a_picture_that_ends_the_process_each_time_is_a_failure_in_the_end(inbox, dark_model, tmp_path, monkeypatch):
    monkeypatch.setenv("CASAE_CACHE", str(tmp_path / "cache"))
    for number, name in enumerate(("0-bad", "1-bad", "2", "3", "4")):
        picture(inbox / f"{name}.png", 200 + number)
    command = [sys.executable, "-c", ENDS, "watch", str(inbox), "--model", str(dark_model), "--once", "--still", "0"]
    command += ["--room", "0", "--home", str(tmp_path / "home")]
    codes = [subprocess.run(command, capture_output=True).returncode for _ in range(8)]
    assert codes == [9] * 5 + [0] * 3  # as a service manager starts it; the second one was begun beside the first
    with opened(tmp_path / "home") as engine:
        assert [Path(source).name for source in sources(engine)] == ["2.png", "3.png", "4.png"]
        reasons = sorted(row["reason"] for row in failures_of(engine, None, 9))
    assert [Path(reason.split(":")[0]).name for reason in reasons] == ["0-bad.png", "1-bad.png"]
    assert all("casae ended 3 times in its turn; look at it" in reason for reason in reasons)
    picture(inbox / "0-bad.png", 100)  # of this name another one comes
    subprocess.run([sys.executable, "-m", "casae", *command[3:]], check=True, capture_output=True)
    with opened(tmp_path / "home") as engine:
        assert Path(sources(engine)[0]).name == "0-bad.png"


def test_without_a_model_what_is_active_in_the_home_judges(inbox, dark_model, tmp_path):
    picture(inbox / "a.png")
    command = [sys.executable, "-m", "casae", "watch", str(inbox), "--once", "--still", "0", "--room", "0"]
    command += ["--home", str(tmp_path / "home")]
    done = subprocess.run(command, capture_output=True, text=True)
    assert (done.returncode, "no model is active" in done.stderr) == (2, True)
    home = Home(tmp_path / "home")
    home.prepare()
    with opened(home.folder) as engine:
        catalogue = Catalogue(home, engine, InspectionSettings())
        sha256 = catalogue.add_model(dark_model.read_bytes(), "ann").sha256
        catalogue.activate("", sha256, None, "ann", "")
    done = subprocess.run(command, capture_output=True, text=True)
    assert (done.returncode, done.stdout.splitlines()[-1]) == (0, "1 inspected, 0 could not be"), done.stderr


def test_sigterm_ends_a_watch_with_what_it_began(inbox, dark_model, engine, tmp_path):
    picture(inbox / "a.png")
    command = [sys.executable, "-m", "casae", "watch", str(inbox), "--model", str(dark_model), "--room", "0"]
    with subprocess.Popen([*command, "--home", str(tmp_path / "home")], stdout=subprocess.PIPE, text=True) as process:
        assert " OK  " in process.stdout.readline()
        process.terminate()
        assert process.stdout.read() == "1 inspected, 0 could not be\n"
    assert process.returncode == 0


@pytest.mark.parametrize("way", ["dots", "link to the folder", "link inside"])
def test_what_was_moved_away_does_not_come_in_again(inbox, inspector, engine, store, tmp_path, way):
    picture(inbox / "a.png")
    target = {
        "dots": inbox / ".." / "in" / "done",
        "link to the folder": tmp_path / "other" / "done",
        "link inside": tmp_path / "done",
    }[way]
    if way == "link to the folder":
        (tmp_path / "other").symlink_to(inbox)
    if way == "link inside":
        target.mkdir()
        (inbox / "archive").symlink_to(target)
        for _ in range(3):
            once(inbox, inspector, store, then="move", move_to=target)
        assert len(page(engine, Filter())) == 1
        assert [file.name for file in target.rglob("*.png")] == ["a.png"]
        return
    with pytest.raises(UsageError, match="lies in the folder that is watched"):
        once(inbox, inspector, store, then="move", move_to=target)


def test_labels_results_and_batches_are_neither_inspected_nor_deleted(inbox, inspector, engine, store, components):
    shutil.copytree(components, inbox / "dataset")
    for name in ("results/masks/a.png", "results/overlays/a.jpg", "batch/overlays/ab/a.jpg"):
        picture(inbox / name)
    (inbox / "results" / "inspections.jsonl").write_text("")
    for name in ("batch.json", "manifest.parquet"):
        (inbox / "batch" / name).write_text("")
    labels = {file.relative_to(inbox) for file in inbox.rglob("masks/*.png")}
    once(inbox, inspector, store, then="delete")
    assert {file.relative_to(inbox) for file in inbox.rglob("masks/*.png")} == labels
    assert (inbox / "batch/overlays/ab/a.jpg").exists()
    assert len(page(engine, Filter(), limit=1000)) == len(list((components / "images").iterdir()))
    assert not list(inbox.glob("dataset/images/*"))


def test_links_are_followed_and_what_lies_elsewhere_stays_there(inbox, inspector, engine, store, tmp_path):
    picture(tmp_path / "gold" / "a.png")
    picture(tmp_path / "other" / "b.png", 150)
    (inbox / "gold").symlink_to(tmp_path / "gold")
    (inbox / "b.png").symlink_to("../other/b.png")
    once(inbox, inspector, store, then="move", move_to=tmp_path / "done")
    assert (tmp_path / "gold" / "a.png").exists()
    (moved,) = (tmp_path / "done").rglob("*.png")
    assert not moved.is_symlink()  # which would lead nowhere from there
    assert moved.read_bytes() == (tmp_path / "other" / "b.png").read_bytes()
    once(inbox, inspector, store, then="delete")
    assert (tmp_path / "gold" / "a.png").exists()
    assert len(page(engine, Filter())) == 2


@pytest.mark.parametrize("stem", ["x" * 251, "ä" * 124])
def test_long_names_are_put_away_too(inbox, inspector, store, tmp_path, stem, monkeypatch):
    for gray in (200, 150):
        encoded = cv2.imencode(".png", np.full((48, 64), gray, np.uint8))[1]
        (inbox / f"{stem}.png").write_bytes(encoded.tobytes())
        with monkeypatch.context() as changed:
            if gray == 200:  # to another drive
                changed.setattr(module.os, "link", lambda *_: (_ for _ in ()).throw(OSError("no links")))
            now = once(inbox, inspector, store, then="move", move_to=tmp_path / "done")
        assert not list(inbox.iterdir()), now
    assert len(list((tmp_path / "done").rglob("*.png"))) == 2


def test_the_disk_that_is_full_is_named(inbox, inspector, store, tmp_path, monkeypatch):
    free = {tmp_path / "home": 9e9, tmp_path / "done": 5e6}
    monkeypatch.setattr(module.shutil, "disk_usage", lambda place: type("", (), {"free": free[place]}))
    for folder in free:
        folder.mkdir(exist_ok=True)
    settings = WatchSettings(**NOW | {"room_mb": 100}, then="move", move_to=tmp_path / "done")
    source = Watch(inbox, settings, tmp_path / "home", threading.Event())
    next(source._until_there_is_room())
    assert source.now.trouble.startswith(f"{tmp_path / 'done'}: 5 MB are free, 100 are needed")


def test_how_many_are_not_looked_at_is_said(inbox, inspector, store):
    for name in ("a.gif", "b.gif", "c.jp2"):
        (inbox / name).write_bytes(b"x")
    assert once(inbox, inspector, store).trouble.endswith("is not read; save it as PNG (and 2 more)")
