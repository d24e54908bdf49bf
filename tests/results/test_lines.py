import json

import pytest

from casae.errors import OutputError
from casae.inspection.inspection import Part, new_id
from casae.inspection.record import DecisionRecord, InspectionRecord
from casae.results.lines import RecordLines, Records


def record(source, reason="", sha256="0", **changes):
    values = {
        "id": new_id(),
        "inspected_at": "2026-11-29T10:00:00.000+01:00",
        "source": source,
        "sha256": sha256,
        "file_bytes": 1,
        "file_modified_ns": 1,
        "file_inode": 1,
        "name": source,
        "part": Part(),
        "camera": None,
        "taken_at": None,
        "width_px": 1,
        "height_px": 1,
        "full_scale": 1,
        "model": "m",
        "model_sha256": "0",
        "gs": 100,
        "core_gs": 25,
        "min_area_px": 12,
        "join_px": 0,
        "mm_per_pixel": None,
        "scale_error_percent": None,
        "calibration": None,
        "calibration_sha256": None,
        "straightened": False,
        "rules_sha256": "0",
        "roi_sha256": None,
        "zones_sha256": None,
        "precision": "f32",
        "classifier_precision": None,
        "casae_version": "0",
        "machine": None,
        "decision": "OK",
        "reason": reason,
        "decided_by": DecisionRecord.model_validate(
            {"kind": "no defect"} | dict.fromkeys(("rule", "class", "zone", "field", "value", "limit"))
        ),
        "defects": (),
        "novelty": None,
        "specks": 0,
    }
    return InspectionRecord.model_validate(values | changes)


@pytest.fixture
def file(tmp_path):
    return tmp_path / "inspections.jsonl"


def test_the_newest_line_of_a_picture_counts_and_every_line_stays(file):
    lines = RecordLines(file)
    for source, reason in (("a", "old"), ("b", "ü"), ("a", "new, and longer")):
        lines.append(record(source, reason))
    assert [(each.source, each.reason) for each in lines.read(lines)] == [("a", "new, and longer"), ("b", "ü")]
    assert [json.loads(line)["reason"] for line in file.read_bytes().splitlines()] == ["old", "ü", "new, and longer"]
    assert [each.reason for each in RecordLines(file).read(lines)] == ["new, and longer", "ü"]


def test_another_content_under_one_name_is_another_picture(file):
    lines = RecordLines(file)
    first, second = lines.append(record("a", "NG yesterday", "1")), lines.append(record("a", "OK today", "2"))
    assert first != second
    assert [each.reason for each in lines.read([first, second])] == ["NG yesterday", "OK today"]
    assert lines.latest("a") == second


def test_what_came_without_a_file_is_a_picture_of_its_own(file):
    lines = RecordLines(file)
    for _ in range(2):
        lines.append(record("array", file_bytes=None, file_modified_ns=None, file_inode=None))
    assert len(lines) == len(RecordLines(file)) == 2


def test_half_a_line_on_a_full_disk_spoils_nothing(file, monkeypatch):
    lines = RecordLines(file)
    lines.append(record("a"))

    def full(descriptor):
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as broken:
        broken.setattr("os.fsync", full)
        with pytest.raises(OSError, match="No space"):
            lines.append(record("b"))
    lines.append(record("c"))
    again = RecordLines(file)
    assert [each.source for each in again.read(again)] == ["a", "c"]


def test_a_line_without_an_end_is_left_out(file):
    lines = RecordLines(file)
    lines.append(record("a"))
    with file.open("ab") as stream:
        stream.write(b'{"schema_version": 1, "source": "b')
    again = RecordLines(file)
    again.append(record("c"))
    newest = RecordLines(file)
    assert [each.source for each in newest.read(newest)] == ["a", "c"]
    assert newest.names == {"a", "c"}


def test_records_of_some_pictures_are_read_again_and_again(file):
    lines = RecordLines(file)
    keys = [lines.append(record(source)) for source in "abc"]
    some = Records(lines, [keys[2], keys[0]])
    assert len(some) == 2
    assert [each.source for each in some] == [each.source for each in some] == ["c", "a"]


def test_a_link_in_the_place_of_the_lines_is_refused(file, tmp_path):
    file.symlink_to(tmp_path / "victim")
    with pytest.raises(OSError, match="symbolic link"):
        RecordLines(file)


def test_a_foreign_line_is_named(file):
    file.write_text('{"schema_version": 1}\n')
    with pytest.raises(OutputError, match="line 1 is no line"):
        RecordLines(file)
