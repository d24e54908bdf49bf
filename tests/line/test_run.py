import base64
import csv
import errno
import json
import os
import re
import shutil
import sys
from dataclasses import replace
from hashlib import sha256
from importlib.metadata import version
from pathlib import Path
from types import SimpleNamespace

import cv2
import numpy as np
import pytest

from casae import InspectionSettings, Inspector, files
from casae.errors import OutputError, UsageError
from casae.inspection.classification import Named
from casae.inspection.inspection import Picture
from casae.inspection.record import InspectionRecord
from casae.inspection.verdict import AcceptanceRules
from casae.line.begun import Begun
from casae.line.files import gather
from casae.line.run import NO_MEMORY, inspect_files
from casae.models.bundle import read_bundle, write_bundle
from casae.results import report
from casae.results.folder import ResultsFolder
from casae.results.lines import RecordLines
from casae.results.report import _card


@pytest.fixture
def inspector(dark_model):
    return Inspector(dark_model)


@pytest.fixture
def pictures(tmp_path, spotted):
    """Two files of one name in different folders, one clean one, and three that are no images."""
    folder = tmp_path / "in"
    for name, image in (("a/part.png", spotted), ("b/part.png", spotted[::-1]), ("clean.png", spotted * 0 + 200)):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        cv2.imwrite(str(folder / name), image)
    (folder / "empty.png").touch()
    (folder / "text.png").write_text("no image")
    (folder / "cut.png").write_bytes((folder / "clean.png").read_bytes()[:-10])
    return folder


def lines(out):
    return [json.loads(line) for line in (out / "inspections.jsonl").read_text().splitlines()]


def test_every_result_is_written_and_bad_files_stop_nothing(inspector, pictures, tmp_path):
    out = tmp_path / "out"
    records, failures = inspect_files(inspector, gather([str(pictures)]).files, out)
    assert [record.decision for record in records] == ["NG", "NG", "OK"]
    assert sorted(path.rsplit("/", 1)[1] for path in failures) == ["cut.png", "empty.png", "text.png"]
    names = [line["name"] for line in lines(out)]
    assert len(set(names)) == 3
    for name in names:
        mask = cv2.imread(str(out / "masks" / f"{name}.png"), cv2.IMREAD_UNCHANGED)
        assert mask.shape == (48, 64)
        assert set(np.unique(mask)) <= {0, 255}
        assert (out / "overlays" / f"{name}.jpg").exists()
    with (out / "defects.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 4
    assert rows[0]["class"] == "glare"
    assert float(rows[0]["length_px"]) == 20
    assert len((out / "failures.csv").read_text().splitlines()) == 4
    with (out / "images.csv").open(encoding="utf-8-sig") as file:
        pictures = {row["id"]: row for row in csv.DictReader(file)}
    told = [(line["id"], line["decision"], line["reason"], str(len(line["defects"]))) for line in lines(out)]
    assert [(key, row["decision"], row["reason"], row["defects"]) for key, row in pictures.items()] == told


def test_a_record_can_be_read_back_and_tells_everything(inspector, pictures, tmp_path):
    inspect_files(inspector, [pictures / "a/part.png"], tmp_path / "out")
    (line,) = lines(tmp_path / "out")
    record = InspectionRecord.model_validate(line)
    assert (record.schema_version, record.width_px, record.height_px, record.gs) == (1, 64, 48, 100)
    assert record.source == str(pictures / "a/part.png")
    first = record.defects[0]
    assert first.rectangle == ((29.5, 9.5), (49.5, 9.5), (49.5, 13.5), (29.5, 13.5))
    assert first.polygons[0] == ((29.5, 9.5), (49.5, 9.5), (49.5, 13.5), (29.5, 13.5))
    assert first.length_mm is None


def test_starting_again_does_only_what_is_new(inspector, pictures, tmp_path, monkeypatch):
    out, files = tmp_path / "out", gather([str(pictures)]).files
    inspect_files(inspector, files, out)
    seen = []
    original = Picture.of
    monkeypatch.setattr(Picture, "of", lambda file, most: seen.append(file.name) or original(file, most))
    inspect_files(inspector, files, out)
    assert sorted(seen) == ["cut.png", "empty.png", "text.png"]
    cv2.imwrite(str(pictures / "clean.png"), np.zeros((9, 9), np.uint8))
    inspect_files(inspector, files, out)
    assert "clean.png" in seen
    assert len(lines(out)) == 4


def test_other_settings_are_inspected_anew_and_the_old_line_stays(dark_model, pictures, tmp_path):
    out, files = tmp_path / "out", [pictures / "a/part.png"]
    inspect_files(Inspector(dark_model), files, out)
    strict = Inspector(dark_model, InspectionSettings(min_area_px=50))
    (record,), _ = inspect_files(strict, files, out)
    assert len(record.defects) == 1
    assert [len(line["defects"]) for line in lines(out)] == [2, 1]
    assert len((out / "defects.csv").read_text().splitlines()) == 2
    tolerant = Inspector(dark_model, rules=AcceptanceRules.model_validate({"rule": [{"max_count": 5}]}))
    (record,), _ = inspect_files(tolerant, files, out)
    assert record.decision == "OK"
    roi = np.zeros(cv2.imread(str(files[0])).shape[:2], np.uint8)
    roi[:5] = 1
    (record,), _ = inspect_files(Inspector(dark_model, roi=roi), files, out)
    assert not record.defects


def test_a_line_cut_off_by_a_kill_is_done_again(inspector, pictures, tmp_path):
    out, files = tmp_path / "out", gather([str(pictures / "*" / "*.png")]).files
    inspect_files(inspector, files, out)
    data = (out / "inspections.jsonl").read_bytes()
    (out / "inspections.jsonl").write_bytes(data[:-40])
    records, _ = inspect_files(inspector, files, out)
    assert len(records) == len(lines(out)) == 2


def test_a_kill_in_the_middle_loses_nothing_recorded(inspector, pictures, tmp_path, monkeypatch):
    out, files = tmp_path / "out", gather([str(pictures / "*" / "*.png")]).files
    original = Inspector.inspect

    def killed_at_b(self, picture):
        if Path(picture.source).parent.name == "b":
            raise KeyboardInterrupt
        return original(self, picture)

    monkeypatch.setattr(Inspector, "inspect", killed_at_b)
    with pytest.raises(KeyboardInterrupt):
        inspect_files(inspector, files, out)
    assert len(lines(out)) == 1


def test_foreign_lines_are_not_overwritten(inspector, pictures, tmp_path):
    (tmp_path / "inspections.jsonl").write_text('{"schema_version": 9}\n')
    with pytest.raises(OutputError, match="line 1"):
        inspect_files(inspector, [pictures / "clean.png"], tmp_path)
    assert (tmp_path / "inspections.jsonl").read_text() == '{"schema_version": 9}\n'


def test_an_output_place_that_cannot_be_written_is_named(inspector, pictures, tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(OutputError, match="choose another --out"):
        inspect_files(inspector, [pictures / "clean.png"], tmp_path / "file" / "out")


def test_the_report_is_one_file_with_pictures(inspector, pictures, tmp_path):
    out = tmp_path / "out"
    inspect_files(inspector, gather([str(pictures)]).files, out)
    html = (out / "report.html").read_text()
    assert html.count("<article>") == 2
    assert "text.png: is damaged or not a PNG" in html
    assert 'src="data:image/jpeg;base64,' in html
    assert "http" not in html.replace("http-equiv", "")
    assert "None" not in html


def test_the_report_is_in_millimetres_where_they_are_known(dark_model, pictures, tmp_path):
    inspect_files(Inspector(dark_model, InspectionSettings(mm_per_pixel=0.1)), [pictures / "a/part.png"], tmp_path)
    html = (tmp_path / "report.html").read_text()
    assert "longest, mm</th>" in html
    row = html[html.index("<td>glare</td>") :].split("</tr>")[0]
    assert re.findall(r'class="n">([0-9.]+)<', row) == ["2", "1", "2.00", "1.30", "1.16"]


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({}, "No acceptance rules were given: any defect makes an image NG."),
        ({"picture": {"max_count": 3}}, "<p> All defects of a picture: "),
        ({"rule": [{"max_count": 3}]}, "<p>Accepted: every "),
    ],
)
def test_the_report_says_by_which_rules_it_judged(dark_model, pictures, tmp_path, given, words):
    accepted = AcceptanceRules.model_validate(given)
    inspect_files(Inspector(dark_model, rules=accepted), [pictures / "a/part.png"], tmp_path)
    html = (tmp_path / "report.html").read_text()
    assert words in html
    assert ("No acceptance rules" in html) == (not given)


def test_the_report_says_how_it_was_looked(dark_model, pictures, tmp_path):
    for looks, words in ((1, "threshold Gs 100<"), (2, "threshold Gs 100, 2 looks at each<")):
        out = tmp_path / str(looks)
        inspect_files(Inspector(dark_model, InspectionSettings(looks=looks)), [pictures / "a/part.png"], out)
        html = (out / "report.html").read_text()
        assert words in html.replace(", no scale", "<")


def test_the_report_does_without_a_picture_that_has_moved(inspector, pictures, tmp_path):
    out = tmp_path / "out"
    files = [pictures / "a/part.png"]
    inspect_files(inspector, files, out)
    from casae.results.report import write_report

    records, _ = inspect_files(inspector, files, out)
    files[0].unlink()
    write_report(out / "report.html", records, {}, out, inspector)
    assert "<article>" in (out / "report.html").read_text()


def test_a_rejected_part_comes_first_however_many_are_accepted(dark_model, spotted, tmp_path, monkeypatch):
    monkeypatch.setattr("casae.results.report.ROWS", 3)
    monkeypatch.setattr("casae.results.report.CARDS", 2)
    small = np.full((48, 64), 200, np.uint8)
    small[30:34, 5:9] = 20
    for index in range(5):
        cv2.imwrite(str(tmp_path / f"a{index}.png"), spotted + index)
    cv2.imwrite(str(tmp_path / "bad.png"), small)
    rules = AcceptanceRules.model_validate({"rule": [{"class": "stain", "max_area_px": 1000}]})
    inspector = Inspector(dark_model, rules=rules)
    name = {1: "glare", 2: "stain"}
    monkeypatch.setattr(
        inspector, "name_regions", lambda image, found, _: [Named(name[len(found)], 0.9, each) for each in found]
    )
    inspect_files(inspector, gather([str(tmp_path / "*.png")]).files, tmp_path / "out")
    html = (tmp_path / "out" / "report.html").read_text()
    assert html.index("<h3>bad.png</h3>") < html.index("<h3>a0.png</h3>")
    assert html.index('<td class="path">bad.png</td>') < html.index('<td class="path">a0.png</td>')
    assert html.count("<article>") == 2
    assert html.count('<td class="path">') == 3
    assert "Accepted: stain (up to 1,000 px²). Anything beyond that makes an image NG." in html


def test_names_in_the_report_are_escaped(inspector, spotted, tmp_path):
    file = tmp_path / "<b>&.png"
    cv2.imwrite(str(file), spotted)
    inspect_files(inspector, [file], tmp_path / "out")
    assert "<b>" not in (tmp_path / "out" / "report.html").read_text().replace("<b>dark</b>", "").replace(
        "<b>1</b>", ""
    ).replace("<b>2</b>", "").replace("<b>0</b>", "")


def test_files_folders_and_globs_each_once(pictures):
    one = str(pictures / "a" / "part.png")
    assert gather([one, str(pictures / "a"), str(pictures / "**" / "part.png")]).files == [
        pictures / "a/part.png",
        pictures / "b/part.png",
    ]


def test_masks_and_overlays_of_results_are_no_images(inspector, pictures):
    inspect_files(inspector, gather([str(pictures)]).files, pictures / "out")
    assert len(list((pictures / "out" / "masks").iterdir())) == 3
    assert len(gather([str(pictures)]).files) == 6


def test_a_folder_that_is_named_as_an_image_is_none(pictures):
    (pictures / "album.png").mkdir()
    assert len(gather([str(pictures)]).files) == 6


def test_pictures_that_are_gone_are_made_again(inspector, pictures, tmp_path):
    out, file = tmp_path / "out", pictures / "a" / "part.png"
    inspect_files(inspector, [file], out)
    (out / "overlays" / "part.jpg").write_bytes(b"")
    (out / "masks" / "part.png").unlink()
    inspect_files(inspector, [file], out)
    assert len(lines(out)) == 2
    name = lines(out)[1]["name"]
    assert (out / "masks" / f"{name}.png").stat().st_size


def test_two_processes_do_not_write_into_one_folder(inspector, pictures, tmp_path):
    with ResultsFolder(tmp_path / "out"), pytest.raises(OutputError, match="another process writes here"):
        inspect_files(inspector, [pictures / "clean.png"], tmp_path / "out")
    inspect_files(inspector, [pictures / "clean.png"], tmp_path / "out")


def test_what_is_done_with_a_record_does_not_lose_it(inspector, pictures, tmp_path):
    def done(file, record, failure):
        raise BrokenPipeError

    with pytest.raises(BrokenPipeError):
        inspect_files(inspector, [pictures / "clean.png"], tmp_path, done)
    assert len(lines(tmp_path)) == 1


@pytest.mark.skipif(sys.platform != "linux", reason="other systems have no such names")
def test_a_name_that_is_no_utf8_is_told(inspector, pictures, tmp_path):
    odd = pictures / os.fsdecode(b"t\xfcr.png")
    odd.write_bytes((pictures / "clean.png").read_bytes())
    records, failures = inspect_files(inspector, [odd, pictures / "clean.png"], tmp_path)
    assert len(records) == 1
    assert next(iter(failures.values())).endswith(r"t\xfcr.png: the name is not UTF-8; rename the file")
    assert r"t\xfcr.png" in (tmp_path / "failures.csv").read_text("utf-8")


def test_long_names_fit(inspector, pictures, tmp_path):
    files = [pictures / folder / f"{'x' * 247}.png" for folder in "ab"]
    for file in files:
        file.write_bytes((pictures / "clean.png").read_bytes())
    records, _ = inspect_files(inspector, files, tmp_path)
    assert len({record.name for record in records}) == 2


def test_another_precision_is_another_inspection(dark_model, pictures, tmp_path):
    file = pictures / "a" / "part.png"
    for precision in ("f32", "bf16"):
        inspect_files(Inspector(dark_model, InspectionSettings(precision=precision)), [file], tmp_path)
        assert lines(tmp_path)[-1]["precision"] == precision
    assert lines(tmp_path)[0]["casae_version"] == version("casae")


@pytest.mark.parametrize("change", [{"gs": 150, "core_gs": 100}, {"core_gs": 25}, {"mm_per_pixel": 0.1}], ids=str)
def test_another_threshold_or_scale_is_another_inspection(inspector, dark_model, pictures, tmp_path, change):
    out, files = tmp_path / "out", [pictures / "a/part.png"]
    inspect_files(inspector, files, out)
    (record,), _ = inspect_files(Inspector(dark_model, InspectionSettings(**change)), files, out)
    assert {name: getattr(record, name) for name in change} == change


def test_a_model_that_was_trained_anew_inspects_anew(dark_model, pictures, tmp_path):
    out, files, model = tmp_path / "out", [pictures / "a/part.png"], shutil.copy(dark_model, tmp_path / "dark.casae")
    inspect_files(Inspector(model), files, out)
    write_bundle(replace(read_bundle(model), card="trained anew\n"), model)
    anew = Inspector(model)
    (record,), _ = inspect_files(anew, files, out)
    assert record.model_sha256 == anew.conditions.model_sha256


def test_tiny_areas_keep_their_digits(dark_model, pictures, tmp_path):
    inspector = Inspector(dark_model, InspectionSettings(mm_per_pixel=0.0002))
    (record,), _ = inspect_files(inspector, [pictures / "a" / "part.png"], tmp_path)
    for defect in record.defects:
        assert defect.area_mm2 == pytest.approx(defect.area_px * 0.0002**2, rel=1e-6)


def test_paths_that_lead_nowhere_are_named(tmp_path):
    with pytest.raises(UsageError, match="nothing: no such file"):
        gather(["nothing"])
    with pytest.raises(UsageError, match=r"\(nothing\): no such file"):
        gather([""])
    assert gather([str(tmp_path)]).files == []
    assert gather([str(tmp_path)]).notes == [f"{tmp_path}: holds no images yet"]


def test_a_file_that_cannot_be_read_any_more_keeps_its_earlier_record(inspector, pictures, tmp_path):
    out, file = tmp_path / "out", pictures / "a" / "part.png"
    inspect_files(inspector, [file], out)
    file.write_bytes(b"")
    records, failures = inspect_files(inspector, [file], out)
    assert (len(records), len(failures)) == (0, 1)
    (line,) = lines(out)
    assert len(line["defects"]) == 2
    assert len((out / "defects.csv").read_text().splitlines()) == 3


def test_an_interrupted_inspection_leaves_no_mask_of_other_settings(dark_model, pictures, tmp_path, monkeypatch):
    out, files = tmp_path / "out", [pictures / "a" / "part.png"]
    first, second = Inspector(dark_model), Inspector(dark_model, InspectionSettings(min_area_px=50))

    def killed(self, record):
        raise KeyboardInterrupt

    inspect_files(first, files, out)
    mask = cv2.imread(str(out / "masks" / "part.png"), cv2.IMREAD_UNCHANGED)
    with monkeypatch.context() as dying:
        dying.setattr(RecordLines, "append", killed)
        with pytest.raises(KeyboardInterrupt):
            inspect_files(second, files, out)
    inspect_files(first, files, out)
    assert np.array_equal(cv2.imread(str(out / "masks" / "part.png"), cv2.IMREAD_UNCHANGED), mask)
    assert len(lines(out)) == 1


def test_globs_leave_masks_and_overlays_of_results_out(inspector, pictures):
    everything = str(pictures / "**" / "*.png")
    inspect_files(inspector, gather([everything]).files, pictures / "out")
    assert len(gather([everything]).files) == 6


def test_the_report_does_without_a_damaged_overlay(inspector, pictures, tmp_path):
    out, file = tmp_path / "out", pictures / "a" / "part.png"
    inspect_files(inspector, [file], out)
    overlay = out / "overlays" / "part.jpg"
    overlay.write_bytes(overlay.read_bytes()[:-100])
    inspect_files(inspector, [file], out)
    html = (out / "report.html").read_text()
    assert "<article>" in html
    assert 'class="overlay"' not in html.split("</style>")[1]


def test_crops_of_cameras_with_12_bits_are_no_black_pictures(inspector, pictures, spotted, tmp_path):
    file = pictures / "deep.png"
    cv2.imwrite(str(file), spotted.astype(np.uint16) * 16)
    (record,), _ = inspect_files(inspector, [pictures / "a" / "part.png"], tmp_path)
    card = _card(
        record.model_copy(
            update={"source": str(file), "sha256": sha256(file.read_bytes()).hexdigest(), "full_scale": 1 / 16}
        ),
        tmp_path,
        None,
    )
    crop = cv2.imdecode(np.frombuffer(base64.b64decode(card.defects[0][0].split(",")[1]), np.uint8), 0)
    assert crop.max() > 150


@pytest.mark.parametrize("other", ["PART", "Part"])
def test_names_that_are_one_file_on_windows_are_told_apart(inspector, pictures, tmp_path, other):
    (pictures / f"b/{other}.png").write_bytes((pictures / "clean.png").read_bytes())
    records, _ = inspect_files(inspector, [pictures / "a/part.png", pictures / f"b/{other}.png"], tmp_path / "out")
    assert len({record.name.lower() for record in records}) == 2


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no such names")
def test_pictures_have_names_that_every_drive_takes(inspector, pictures, tmp_path):
    file = (pictures / "a/part.png").rename(pictures / "a/2026-01-01T10:00:00.png")
    (record,), _ = inspect_files(inspector, [file], tmp_path / "out")
    assert record.source == str(file)
    assert record.name.startswith("2026-01-01T10_00_00-")
    assert (tmp_path / "out/masks" / f"{record.name}.png").exists()


def test_a_drive_without_locks_is_not_taken_for_another_inspection(inspector, pictures, tmp_path, monkeypatch):
    fcntl = pytest.importorskip("fcntl")

    def flock(*arguments: object) -> None:
        raise OSError(37, "No locks available")

    monkeypatch.setattr(fcntl, "flock", flock)
    with pytest.raises(OutputError, match="cannot lock files"):
        inspect_files(inspector, [pictures / "clean.png"], tmp_path / "out")


@pytest.mark.parametrize("place", ["inspect", "add"])
def test_an_image_too_large_for_the_memory_stops_nothing(inspector, pictures, tmp_path, monkeypatch, place):
    owner, error = (Inspector, MemoryError()) if place == "inspect" else (ResultsFolder, insufficient())
    real = getattr(owner, place)

    def scarce(self, image, *arguments):
        if image.source.endswith("clean.png"):
            raise error
        return real(self, image, *arguments)

    monkeypatch.setattr(owner, place, scarce)
    records, failures = inspect_files(inspector, gather([str(pictures)]).files, tmp_path / "out")
    assert len(records) == 2
    assert [reason for path, reason in failures.items() if path.endswith("clean.png")] == [
        f"{pictures}/clean.png: does not fit into this machine's memory; make it smaller, or inspect it elsewhere"
    ]


def test_a_folder_has_one_name_however_it_is_reached(inspector, pictures, tmp_path, monkeypatch):
    (tmp_path / "cron").mkdir()
    (tmp_path / "today").symlink_to(pictures)
    monkeypatch.chdir(tmp_path / "cron")
    assert gather(["../in", "../today", str(pictures)]).files == gather([str(pictures)]).files
    (pictures / "link.png").symlink_to(pictures / "clean.png")
    assert str(gather(["../today/link.png"]).files[0]) == f"{pictures}/link.png"


def test_a_table_that_cannot_be_written_leaves_the_one_before(inspector, pictures, tmp_path, monkeypatch):
    out = tmp_path / "out"
    inspect_files(inspector, gather([str(pictures)]).files, out)
    before = (out / "images.csv").read_text()
    monkeypatch.setattr(files.csv, "writer", lambda stream: SimpleNamespace(writerow=full_disk, writerows=full_disk))
    with pytest.raises(OutputError, match=r"images.csv: cannot be written .*; free space, start again"):
        inspect_files(inspector, gather([str(pictures)]).files, out)
    assert (out / "images.csv").read_text() == before
    monkeypatch.undo()
    inspect_files(inspector, gather([str(pictures)]).files, out)
    assert not list(out.glob("*.part"))


def insufficient() -> cv2.error:
    error = cv2.error("Insufficient memory")
    error.code = NO_MEMORY
    return error


def full_disk(_: object) -> None:
    raise OSError(errno.ENOSPC, "No space left on device")


def test_two_arrays_in_one_folder_leave_two_lines_and_two_pictures(inspector, spotted, tmp_path):
    with ResultsFolder(tmp_path / "out") as store:
        keys = [store.add(inspector.inspect(image))[0] for image in (spotted, spotted[::-1].copy(), spotted)]
        records = store.finish(keys, {})
    assert len(lines(tmp_path / "out")) == len(records) == 3
    assert [record.decision for record in records] == ["NG", "NG", "NG"]
    assert len({line["id"] for line in lines(tmp_path / "out")}) == 3
    assert len(list((tmp_path / "out" / "masks").iterdir())) == 3


def test_a_new_picture_under_an_old_name_leaves_the_earlier_verdict(inspector, pictures, tmp_path):
    out, file = tmp_path / "out", pictures / "a" / "part.png"
    inspect_files(inspector, [file], out)
    first = lines(out)[0]
    before = (out / "masks" / f"{first['name']}.png").read_bytes()
    file.write_bytes((pictures / "clean.png").read_bytes())
    (record,), _ = inspect_files(inspector, [file], out)
    assert record.decision == "OK"
    assert [line["decision"] for line in lines(out)] == ["NG", "OK"]
    assert (out / "masks" / f"{first['name']}.png").read_bytes() == before
    assert len((out / "defects.csv").read_text().splitlines()) == 3  # those of the earlier part still count
    assert "1 picture has the file name of an earlier one" in (out / "report.html").read_text()


def test_a_known_file_is_not_read_again(inspector, pictures, tmp_path, monkeypatch):
    out, file = tmp_path / "out", pictures / "a" / "part.png"
    inspect_files(inspector, [file], out)
    read = []
    monkeypatch.setattr("casae.results.folder.read_file", lambda path: read.append(path) or path.read_bytes())
    inspect_files(inspector, [file], out)
    assert read == []
    os.utime(file)
    inspect_files(inspector, [file], out)
    assert read == [file]
    assert len(lines(out)) == 1


def test_an_inspection_keeps_the_conditions_that_it_had(dark_model, spotted):
    inspector = Inspector(dark_model, InspectionSettings(min_area_px=50, mm_per_pixel=0.1))
    inspection = inspector.inspect(spotted)
    before = inspection.record()
    inspector.conditions = replace(inspector.conditions, min_area_px=1, mm_per_pixel=None)
    inspector.rules = AcceptanceRules(review_below=0.1)
    assert inspection.record() == before
    assert (before.min_area_px, before.mm_per_pixel) == (50, 0.1)
    after = inspector.inspect(spotted).record()
    assert (after.min_area_px, after.mm_per_pixel) == (1, None)
    assert after.rules_sha256 != before.rules_sha256


def test_records_that_another_program_changed_are_not_mixed_up(inspector, pictures, tmp_path):
    out = tmp_path / "out"
    records, _ = inspect_files(inspector, gather([str(pictures)]).files, out)
    (out / "inspections.jsonl").write_text("")
    with pytest.raises(OutputError, match="was changed by another program; read the file"):
        list(records)


def test_a_name_leads_into_no_other_folder(inspector, pictures, tmp_path):
    out = tmp_path / "out"
    inspect_files(inspector, [pictures / "clean.png"], out)
    line = lines(out)[0] | {"name": "../../victim"}
    (out / "inspections.jsonl").write_text(json.dumps(line) + "\n")
    with pytest.raises(OutputError, match="line 1 is no line"):
        inspect_files(inspector, [pictures / "clean.png"], out)


@pytest.mark.skipif(sys.platform == "win32", reason="links need a privilege")
def test_nothing_is_written_through_links(inspector, pictures, tmp_path):
    out, victim = tmp_path / "out", tmp_path / "victim"
    inspect_files(inspector, [pictures / "clean.png"], out)
    victim.write_text("mine")
    for name in ("defects.csv.part", "report.html.part", "masks/part.png.part", "overlays/part.jpg.part"):
        (out / name).symlink_to(victim)
    inspect_files(inspector, [pictures / "a/part.png"], out)
    assert victim.read_text() == "mine"
    (out / ".lock").unlink()
    (out / ".lock").symlink_to(victim)
    with pytest.raises(OutputError, match="cannot be written"):
        inspect_files(inspector, [pictures / "clean.png"], out)


def test_a_spreadsheet_runs_nothing(inspector, pictures, tmp_path, monkeypatch):
    monkeypatch.setattr(inspector, "name_regions", lambda image, found, _: [Named("=1+1", 0.9, each) for each in found])
    inspect_files(inspector, [pictures / "a/part.png"], tmp_path)
    table = (tmp_path / "defects.csv").read_bytes()
    assert table.startswith(b"\xef\xbb\xbf")
    assert b"'=1+1" in table
    assert b",=1+1" not in table


@pytest.mark.skipif(sys.platform == "win32", reason="links need a privilege")
def test_what_is_not_looked_at_is_named(pictures, spotted, tmp_path):
    for name in ("a.jfif", "b.jpe"):
        (pictures / name).write_bytes(bytes(cv2.imencode(".jpg", spotted)[1]))
    (pictures / "scan.gif").touch()
    (pictures / "notes.txt").touch()
    (pictures / "gone.png").symlink_to(tmp_path / "nowhere.png")
    gathered = gather([str(pictures)])
    assert {"a.jfif", "b.jpe"} <= {file.name for file in gathered.files}
    assert {Path(path).name: why for path, why in gathered.left_out.items()} == {
        "scan.gif": ".gif is not read; save it as PNG",
        "gone.png": "leads to no file; mend the link",
    }
    assert gathered.notes == [f"{pictures}: 1 files of other types are passed over"]


def test_a_folder_that_exists_is_no_pattern(spotted, tmp_path):
    for name in ("lot [1]/right.png", "lot1/wrong.png"):
        (tmp_path / name).parent.mkdir()
        cv2.imwrite(str(tmp_path / name), spotted)
    assert [file.name for file in gather([str(tmp_path / "lot [1]" / "*.png")]).files] == ["right.png"]
    assert [file.name for file in gather([str(tmp_path / "lot [1]")]).files] == ["right.png"]
    assert [file.name for file in gather([str(tmp_path / "lot?" / "*.png")]).files] == ["wrong.png"]


def test_the_labels_of_a_dataset_are_not_inspected(components):
    gathered = gather([str(components)])
    assert {file.parent.name for file in gathered.files} == {"images"}
    assert any("12 label masks are not inspected" in note for note in gathered.notes)
    assert len(gather([str(components / "masks")]).files) == 12


def test_labels_of_a_dataset_are_not_overwritten(inspector, pictures, tmp_path):
    label = tmp_path / "part" / "masks" / "clean.png"
    label.parent.mkdir(parents=True)
    label.write_bytes(b"painted by hand")
    with pytest.raises(OutputError, match="its masks are no results of casae; choose another --out"):
        inspect_files(inspector, [pictures / "clean.png"], tmp_path / "part")
    assert label.read_bytes() == b"painted by hand"
    assert [file.name for file in (tmp_path / "part").iterdir()] == ["masks"]


def test_a_camera_without_images_does_not_stop_the_others(pictures, tmp_path):
    (tmp_path / "second camera").mkdir()
    gathered = gather([str(pictures), str(tmp_path / "second camera")])
    assert gathered.files == gather([str(pictures)]).files
    assert gathered.notes == [f"{tmp_path}/second camera: holds no images yet"]


def test_the_report_does_without_pictures_that_do_not_fit_into_memory(inspector, pictures, tmp_path, monkeypatch):
    def too_large(*_):
        raise MemoryError

    monkeypatch.setattr(report, "crop_to_see", too_large)
    inspect_files(inspector, [pictures / "a" / "part.png"], tmp_path / "out")
    html = (tmp_path / "out" / "report.html").read_text("utf-8")
    assert 'alt="crop of defect' not in html
    assert "glare" in html


def test_a_picture_that_ended_the_process_time_and_again_stops_no_other(inspector, pictures, tmp_path, monkeypatch):
    monkeypatch.setenv("CASAE_CACHE", str(tmp_path / "cache"))
    files = [pictures / "a/part.png", pictures / "clean.png"]
    out = tmp_path / "out"

    def stopped(source, record, failure):
        raise KeyboardInterrupt

    for _ in range(4):
        with pytest.raises(KeyboardInterrupt):  # who stops it blames no picture
            inspect_files(inspector, files, out, stopped)
    for _ in range(3):
        list(Begun.at(out).begin(files[0]))  # as if it had ended then
    shutil.rmtree(out)
    records, failures = inspect_files(inspector, files, out)
    assert [Path(record.source) for record in records] == [files[1]]
    assert "casae ended 3 times in its turn" in failures[str(files[0])]
    assert "casae ended" in inspect_files(inspector, files, out)[1][str(files[0])]  # it is not tried again
    files[0].write_bytes((pictures / "clean.png").read_bytes())
    records, failures = inspect_files(inspector, files, out)  # changed, it is
    assert (len(list(records)), failures) == (2, {})
