import json
import os
import signal
import subprocess
import sys
import tarfile
import threading
import time
from pathlib import Path

import cv2
import numpy as np
import pytest

from casae.batch.job import Batch, begin, read_batch
from casae.batch.local import core_sets, run_shards
from casae.batch.manifest import Manifest, Shard, finished, write_manifest
from casae.batch.places import Place
from casae.batch.plan import plan
from casae.batch.records import import_batch
from casae.batch.rows import read_rows, record_in, table_of
from casae.batch.run import Engine, run_batch, runs_of
from casae.batch.shard import ENDED, WORKING, Tally, inspect_shard
from casae.batch.sources import Entry, Listing
from casae.batch.summary import write_summary
from casae.errors import OutputError, UsageError
from casae.inspection.inspector import Inspector
from casae.records.database import opened
from casae.records.queries import failures_of
from casae.records.store import counted
from ending import Ends, NeverBorn


def sources(place):
    return sorted(row["entry"]["source"] for row in read_rows(place))


def test_every_image_has_one_row_with_its_record_or_why_there_is_none(begun, archive, dark_model):
    place, run = begun(archive)
    rows = list(read_rows(place))
    assert sources(place) == sorted(str(file) for file in archive.rglob("*.png"))
    assert (run.images, run.done, run.failed, run.decisions) == (6, 6, 1, {"NG": 4, "OK": 1})
    failed = [row["failure"] for row in rows if row["failure"]]
    assert failed == [f"{archive}/broken.png: is damaged or not a PNG, JPEG, BMP, TIFF, WebP, PGM or PPM image; "
                      "save it as PNG"]  # fmt: skip
    records = {row["entry"]["source"]: record_in(row) for row in rows}
    assert records[f"{archive}/broken.png"] is None
    record = records[f"{archive}/a/1.png"]
    same = Inspector(dark_model).inspect(archive / "a/1.png").record()
    told = {"id", "inspected_at"}
    assert record.model_dump(exclude=told) == same.model_dump(exclude=told)


def test_a_record_survives_parquet_as_it_is(begun, archive, dark_model, tmp_path):
    place, _ = begun(archive)
    rows = [record_in(row) for row in read_rows(place)]
    record = next(record for record in rows if record and record.defects)
    assert record.defects[0].polygons
    same = Inspector(dark_model).inspect(record.source).record()
    assert [d.model_dump() for d in same.defects] == [d.model_dump() for d in record.defects]


def test_it_goes_on_where_an_earlier_run_ended(begun, archive):
    place, _first = begun(archive)
    parts = sorted(finished(place))
    assert parts == [0, 1, 2]
    kept = (Path(place.where) / "inspections/part-0000000.parquet").read_bytes()
    (Path(place.where) / "inspections/part-0000001.parquet").unlink()
    (archive / "new.png").touch()  # the manifest is what was there at first
    place, second = begun(archive)
    assert (second.images, second.left, second.done) == (6, 2, 2)
    assert (Path(place.where) / "inspections/part-0000000.parquet").read_bytes() == kept
    assert len(sources(place)) == 6
    assert begun(archive)[1].done == 0


@pytest.mark.parametrize(
    ("change", "rule"),
    [
        ({"shard": 3}, "was begun with another shard size; say the same, or another --out"),
        ({"settings": {"gs": 50}}, "was begun with another threshold, scale or the like"),
        ({"part": {"product": "X"}}, "was begun with another product, batch or station"),
    ],
)
def test_another_batch_in_its_folder_is_refused(begun, archive, change, rule):
    begun(archive)
    with pytest.raises(UsageError, match=rule):
        begun(archive, **change)


def test_another_model_of_the_same_name_is_refused(begun, archive, dark_model, tmp_path):
    place, _ = begun(archive)
    other = tmp_path / "other" / dark_model.name
    other.parent.mkdir()
    other.write_bytes(dark_model.read_bytes() + b" ")
    with pytest.raises(UsageError, match="was begun with another model"):
        begin(place, read_batch(place), {"model": other})


def test_what_was_left_out_is_said_by_each_run(begun, archive):
    (archive / "raw.cr2").touch()
    _, run = begun(archive)
    _, again = begun(archive)
    assert again.left == 0
    assert again.left_out == run.left_out == {f"{archive}/raw.cr2": ".cr2 is not read; save it as PNG"}


@pytest.mark.parametrize("out", ["out", "archive/out", "archive"])
def test_its_own_mask_is_no_image(archive, tmp_path, dark_model, out):
    cv2.imwrite(str(tmp_path / "mask.png"), np.full((48, 64), 255, np.uint8))
    batch = Batch.model_validate({"sources": (str(archive),), "model": "", "shard": 9})
    files = {"model": dark_model, "roi": tmp_path / "mask.png"}
    assert run_batch(Place.of(str(tmp_path / out)), batch, files, Engine(workers=1)).images == 6


def test_zones_keep_their_mask_and_another_one_is_refused(archive, tmp_path, dark_model):
    mask = np.zeros((48, 64), np.uint8)
    mask[:20] = 7
    (tmp_path / "masks").mkdir()
    cv2.imwrite(str(tmp_path / "masks" / "zones.png"), mask)
    zones, rules = tmp_path / "zones.toml", tmp_path / "rules.toml"
    zones.write_text('mask = "masks/zones.png"\n[[zone]]\nname = "seal"\nvalue = 7\n')
    rules.write_text('[[rule]]\nmax_count = 9\n[[rule]]\nzone = "seal"\nmax_count = 0\n')
    batch = Batch.model_validate({"sources": (str(archive / "a"),), "model": "", "shard": 2})
    files = {"model": dark_model, "zones": zones, "rules": rules}
    place = Place.of(str(tmp_path / "out"))
    run_batch(place, batch, files, Engine(workers=1))
    (row, *_) = read_rows(place)
    assert record_in(row).decided_by.zone == "seal"
    cv2.imwrite(str(tmp_path / "masks" / "zones.png"), mask[::-1])
    with pytest.raises(UsageError, match="was begun with another mask of zones"):
        run_batch(place, batch, files, Engine(workers=1))


def test_results_are_sorted_by_product_or_day(begun, archive):
    place, _ = begun(archive, partition="product", parts="{product}_*")
    folders = {name.split("/")[1] for name in place.names("inspections")}
    assert folders == {"product=4711", "product=unknown"}
    assert len(sources(place)) == 6


def test_results_are_sorted_by_the_day_of_the_file(begun, archive):
    os.utime(archive / "a/1.png", (0, 1_700_000_000))
    for file in {*archive.rglob("*.png")} - {archive / "a/1.png"}:
        os.utime(file, (0, 1_600_000_000))
    place, _ = begun(archive, partition="day")
    rows = set(place.names("inspections"))
    assert sorted({name.split("/")[1] for name in rows}) == ["day=2020-09-13", "day=2023-11-14"]


def test_images_in_a_tar_are_inspected_where_they_are(begun, archive, tmp_path):
    with tarfile.open(tmp_path / "all.tar", "w") as tar:
        tar.add(archive, ".")
    place, run = begun(tmp_path / "all.tar", parts="{serial}_*")
    assert (run.done, run.failed, run.decisions) == (6, 1, {"NG": 4, "OK": 1})
    serials = {row["part"]["serial"] for row in read_rows(place) if row["failure"] is None}
    assert serials == {"4711", None}


def test_a_tar_that_was_cut_off_meanwhile_is_a_failure(begun, archive, tmp_path, dark_model):
    with tarfile.open(tmp_path / "all.tar", "w") as tar:
        tar.add(archive, ".")
    entries = list(Listing([str(tmp_path / "all.tar")]))
    place = Place.of(str(tmp_path / "cut"))
    batch = begin(place, Batch(sources=("x",), model=""), {"model": dark_model})
    write_manifest(place, entries, 64)
    *_, cut, last = sorted(entries, key=lambda entry: entry.offset)
    os.truncate(tmp_path / "all.tar", cut.offset + 3)
    tally = inspect_shard(Manifest(place).shard(0), Inspector(dark_model), place, batch)
    assert tally.failed == len({cut.source, last.source, f"{tmp_path}/all.tar/broken.png"})
    assert any("its tar was cut off" in (row["failure"] or "") for row in read_rows(place))


def test_pictures_with_their_defects_are_kept_where_rows_say(begun, archive):
    place, _ = begun(archive, overlays=True)
    rows = [row for row in read_rows(place) if row["failure"] is None]
    for row in rows:
        assert cv2.imread(str(Path(place.where) / row["overlay"])) is not None
    assert len({row["overlay"] for row in rows}) == 5


def test_shards_with_failures_are_done_anew_where_that_is_asked_for(begun, archive):
    place, _ = begun(archive)
    (archive / "broken.png").write_bytes((archive / "a/1.png").read_bytes())
    assert begun(archive)[1].done == 0
    place, run = begun(archive, failed_again=True)
    assert (run.done, run.failed) == (2, 0)
    assert len(sources(place)) == 6


def test_a_batch_of_nothing_is_refused_and_may_be_tried_again(begun, tmp_path, archive):
    (tmp_path / "none").mkdir()
    with pytest.raises(UsageError, match="none: holds no images; check the path"):
        begun(tmp_path / "none")
    with pytest.raises(UsageError, match="no such file or folder"):
        begun(tmp_path / "slip-of-the-keyboard")
    (tmp_path / "none/1.png").write_bytes((archive / "a/1.png").read_bytes())
    assert begun(tmp_path / "none")[1].done == 1


@pytest.mark.parametrize("name", ["deadly.png", "endless.png"])
def test_an_image_that_ends_its_worker_is_a_failure_and_the_others_are_inspected(archive, tmp_path, dark_model, name):
    (archive / "a" / name).write_bytes((archive / "a/1.png").read_bytes())
    place = Place.of(str(tmp_path / "out"))
    seconds = 3.0 if name == "endless.png" else 300.0
    begin(place, Batch(sources=("x",), model="", image_seconds=seconds), {"model": dark_model})
    write_manifest(place, Listing([str(archive)]), 4)
    tallies = list(run_shards(place, range(Manifest(place).shards), 2, Ends))
    assert sum(tally.images for tally in tallies) == 7
    reasons = {row["entry"]["source"]: row["failure"] for row in read_rows(place) if row["failure"]}
    assert sorted(Path(source).name for source in reasons) == ["broken.png", name]
    assert f"casae ended {ENDED} times in its turn" in reasons[f"{archive}/a/{name}"]
    assert not list(place.names(WORKING))


def test_workers_that_end_as_they_begin_end_the_run(archive, tmp_path, dark_model):
    place = Place.of(str(tmp_path / "out"))
    begin(place, Batch(sources=("x",), model=""), {"model": dark_model})
    write_manifest(place, Listing([str(archive)]), 4)
    with pytest.raises(OutputError, match=r"3 workers ended as they began \(exit code 9\)"):
        list(run_shards(place, [0, 1], 1, NeverBorn))


def test_workers_are_renewed_and_lose_nothing(archive, tmp_path, dark_model):
    place = Place.of(str(tmp_path / "out"))
    begin(place, Batch(sources=("x",), model=""), {"model": dark_model})
    write_manifest(place, Listing([str(archive)]), 1)
    assert len(list(run_shards(place, range(6), 1, renewed_after=2))) == 6
    assert len(sources(place)) == 6


def test_who_is_second_leaves_what_is_there(begun, archive, dark_model):
    place, _ = begun(archive)
    file = Path(place.where) / "inspections/part-0000000.parquet"
    before = file.read_bytes()
    tally = inspect_shard(Manifest(place).shard(0), Inspector(dark_model), place, read_batch(place))
    assert tally == Tally(shard=0, images=2)
    assert file.read_bytes() == before


@pytest.mark.parametrize(("count", "size"), [(1, 1), (5, 3), (130, 1), (9000, 5000), (300, 64)])
def test_a_manifest_gives_back_every_image(tmp_path, count, size):
    place = Place.of(str(tmp_path))
    entries = [Entry(f"/{index}.png", size=index) for index in range(count)]
    write_manifest(place, entries, size)
    manifest = Manifest(place)
    assert (manifest.images, manifest.shards) == (count, -(-count // size))
    assert [entry for shard in manifest for entry in shard.entries] == entries
    assert [shard.number for shard in manifest] == list(range(manifest.shards))
    assert manifest.shard(manifest.shards - 1).entries[-1] == entries[-1]


def test_parts_have_numbers_of_any_length(tmp_path):
    place = Place.of(str(tmp_path))
    for number in (5, 10_000_005):
        place.write(Shard(number, "day=x", ()).file, table_of([]))
    assert finished(place) == {5, 10_000_005}


def test_very_many_partitions_wait_for_no_end(tmp_path, monkeypatch):
    monkeypatch.setattr("casae.batch.manifest.WAITING", 10)
    place = Place.of(str(tmp_path))
    entries = [Entry(f"/{index}.png") for index in range(100)]
    write_manifest(place, entries, 64, lambda entry: f"product={entry.source[1:-5]}")
    shards = list(Manifest(place))
    assert sorted(entry for shard in shards for entry in shard.entries) == sorted(entries)
    assert all(
        entry.source[1:-5] == shard.partition.removeprefix("product=") for shard in shards for entry in shard.entries
    )


def test_products_that_are_no_folders_stay_apart():
    batch = Batch(sources=("x",), model="", partition="product", parts="{product}_*")
    names = [batch.partition_of(Entry(f"/in/{name}_1.png")) for name in ("a:b", "a*b", "a b", "a-b")]
    assert len(set(names)) == 4
    assert names[2:] == ["product=a b", "product=a-b"]


def test_a_manifest_that_went_is_not_made_anew_beside_results(begun, archive):
    place, _ = begun(archive)
    (Path(place.where) / "manifest.parquet").unlink()
    with pytest.raises(OutputError, match=r"manifest\.parquet: is gone, and results are there; choose another --out"):
        begun(archive)


def test_a_later_run_may_give_images_more_time(begun, archive):
    place, _ = begun(archive)
    begun(archive, image_seconds=1000.0)
    assert read_batch(place).image_seconds == 1000.0


def test_a_worker_that_is_told_to_leave_blames_no_image(archive, tmp_path, dark_model):
    place = Place.of(str(tmp_path / "out"))
    batch = begin(place, Batch(sources=("x",), model=""), {"model": dark_model})
    write_manifest(place, Listing([str(archive)]), 64)
    shard = Manifest(place).shard(0)
    place.note(f"{WORKING}/0000000.json", b'{"turn": 2, "ended": {}}')  # of a worker that was killed

    class Leaves:
        def __init__(self):
            self.inner = Inspector(dark_model)
            self.settings, self.conditions = self.inner.settings, self.inner.conditions

        def inspect(self, picture):
            raise SystemExit(1)

    with pytest.raises(SystemExit):
        inspect_shard(shard, Leaves(), place, batch)
    assert json.loads(place.read(f"{WORKING}/0000000.json")) == {"turn": None, "ended": {"2": 1}}


def test_a_model_that_ends_every_worker_ends_the_run(archive, tmp_path, dark_model, monkeypatch):
    monkeypatch.setattr("casae.batch.local.HOPELESS", 3)
    place = Place.of(str(tmp_path / "out"))
    begin(place, Batch(sources=("x",), model=""), {"model": dark_model})
    for file in list(archive.rglob("*.png")):
        file.rename(file.with_stem(f"deadly-{file.stem}"))
    write_manifest(place, Listing([str(archive)]), 64)
    with pytest.raises(OutputError, match=r"3 workers ended \(exit code 3\), and no image was inspected"):
        list(run_shards(place, [0], 1, Ends))


def test_a_row_of_a_table_that_nobody_can_read_is_a_failure(begun, archive):
    (archive / "list.csv").write_text("path\na/1.png\nfoo://x/1.png\n")
    place, run = begun(archive / "list.csv")
    assert (run.done, run.failed) == (2, 1)
    assert [row["failure"] for row in read_rows(place) if row["failure"]] == [
        "foo://x/1.png: Protocol not known: foo; check the URL"
    ]


def test_each_worker_has_cores_of_its_own():
    cores = sorted(os.sched_getaffinity(0))
    sets = core_sets(len(cores))
    assert sorted(core for each in sets for core in each) == cores
    assert core_sets(1) == [tuple(cores)]
    assert all(core_sets(3 * len(cores)))


def test_a_batch_becomes_records_once(begun, archive, tmp_path):
    place, _ = begun(archive)
    with opened(str(tmp_path / "home")) as engine:
        assert import_batch(engine, place) == (5, 5)
        assert import_batch(engine, place) == (0, 5)
        assert counted(engine) == {"NG": 4, "OK": 1}
        assert [row["source"] for row in failures_of(engine, None, 10)] == [f"{archive}/broken.png"]


def test_the_page_says_what_was_found_and_how_fast(begun, archive):
    place, _ = begun(archive)
    write_summary(place)
    page = (Path(place.where) / "report.html").read_text()
    assert "<b>6</b>of 6 images" in page
    assert "Not finished" not in page
    assert "archive/broken.png: is damaged" in page
    assert (Path(place.where) / "failures.csv").read_text("utf-8-sig").splitlines()[1].startswith(f"{archive}/broken")
    assert [run["images"] for run in runs_of(place)] == [6]


def test_a_plan_is_reckoned_from_what_was_measured(archive, dark_model):
    found = plan(Batch(sources=(str(archive),), model=""), {"model": dark_model}, workers=2, images=1_000_000)
    assert (found.images, found.measured, found.failed, found.workers) == (1_000_000, 6, 1, 2)
    assert found.seconds(4) == pytest.approx(1e6 / (4 * found.rate))
    assert found.core_hours == pytest.approx(1e6 / found.rate / 3600)
    files = [file.stat().st_size for file in archive.glob("*/*.png")]  # those that could be read
    assert found.image_bytes == pytest.approx(sum(files) / 5)


def casae(*arguments, **options):
    return subprocess.Popen(
        [sys.executable, "-m", "casae", *map(str, arguments)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        **options,
    )


def test_the_command_goes_on_after_its_whole_group_was_killed(archive, tmp_path, dark_model):
    for index in range(60):
        (archive / "a" / f"more-{index}.png").write_bytes((archive / "a/1.png").read_bytes())
    command = ("batch", archive, "--model", dark_model, "--out", tmp_path / "out", "--shard", "4", "--workers", "1")
    place, first = Place.of(str(tmp_path / "out")), casae(*command, start_new_session=True)
    waiting = time.monotonic() + 60
    while len(finished(place)) < 3 and time.monotonic() < waiting:
        time.sleep(0.02)
    os.killpg(first.pid, signal.SIGKILL)
    first.communicate()
    done = len(finished(place))
    assert 3 <= done < 17
    out, errors = casae(*command).communicate(timeout=120)
    assert (errors, f"; {4 * done} were done before" in out) == ("", True)
    assert sources(place) == sorted(str(file) for file in archive.rglob("*.png"))


def test_ctrl_c_stops_it_and_says_how_to_go_on(archive, tmp_path, dark_model):
    for index in range(400):
        (archive / "a" / f"more-{index}.png").write_bytes((archive / "a/1.png").read_bytes())
    place = Place.of(str(tmp_path / "out"))
    run = casae("batch", archive, "--model", dark_model, "--out", place.where, "--shard", "4", "--workers", "1")
    threading.Timer(60, run.kill).start()
    while not finished(place) and run.poll() is None:
        time.sleep(0.02)
    run.send_signal(signal.SIGINT)
    out, errors = run.communicate()
    assert (run.returncode, out, errors) == (130, "", "casae: stopped; the same command goes on\n")


def test_two_runs_in_one_folder_do_not_mix(archive, begun, dark_model):
    place, _ = begun(archive)
    from casae.lock import lock

    with lock(Path(place.where)), pytest.raises(OutputError, match="another process writes here"):
        begun(archive)


def test_the_command_reports_failures_by_its_exit_code(archive, tmp_path, dark_model):
    run = casae("batch", archive, "--model", dark_model, "--out", tmp_path / "out", "--workers", "1")
    out, errors = run.communicate(timeout=120)
    assert (run.returncode, errors) == (1, "")
    assert out.startswith("6 images: 1 OK, 0 REVIEW, 4 NG, 1 not inspected; ")
    assert json.loads((tmp_path / "out/batch.json").read_text())["sources"] == [str(archive)]


def test_without_ray_the_option_says_what_is_missing(archive, tmp_path, dark_model):
    (tmp_path / "hidden/ray").mkdir(parents=True)
    (tmp_path / "hidden/ray/__init__.py").write_text("raise ModuleNotFoundError('ray')")
    hidden = os.environ | {"PYTHONPATH": str(tmp_path / "hidden")}
    run = casae("batch", archive, "--model", dark_model, "--out", tmp_path / "out", "--ray", "auto", env=hidden)
    _out, errors = run.communicate(timeout=60)
    way = "pip install 'casae[batch]', in its folder pip install '.[batch]' -c constraints.txt"
    assert (run.returncode, errors) == (2, f"casae: --ray needs Ray; {way}\n")


def test_parts_are_named_by_what_is_in_them(tmp_path):
    assert table_of([])[:4] == b"PAR1"
    place = Place.of(str(tmp_path))
    place.write("inspections/part-0000000.parquet", b"PAR1 and no more")
    with pytest.raises(OutputError, match=r"part-0000000\.parquet: cannot be read"):
        list(read_rows(place))


def test_summary_needs_a_batch(tmp_path):
    with pytest.raises(OutputError, match="holds no batch; name a folder that casae batch wrote"):
        write_summary(Place.of(str(tmp_path)))


def test_engine_says_where_it_worked():
    assert Engine().name == "this machine"
    assert Engine(address="auto").name == "Ray at auto"
