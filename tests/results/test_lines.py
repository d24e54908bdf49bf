import pytest

from casae.results.lines import RecordLines, Records
from casae.results.record import InspectionRecord


def record(path, reason="", name=None):
    return InspectionRecord(
        path=path,
        name=name or path,
        sha256="0",
        width_px=1,
        height_px=1,
        model="m",
        model_sha256="0",
        gs=100,
        min_area_px=12,
        mm_per_pixel=None,
        rules_sha256="0",
        decision="OK",
        reason=reason,
        defects=(),
    )


@pytest.fixture
def file(tmp_path):
    return tmp_path / "inspections.jsonl"


def test_the_newest_line_of_a_path_counts_and_keeps_its_place(file):
    lines = RecordLines(file)
    for path, reason in (("a", "old"), ("b", "ü"), ("a", "new, and longer")):
        lines.append(record(path, reason))
    assert [(each.path, each.reason) for each in lines.read(lines)] == [("a", "new, and longer"), ("b", "ü")]
    assert len(file.read_bytes().splitlines()) == 3
    lines.tidy()
    assert [each.reason for each in lines.read(lines)] == ["new, and longer", "ü"]
    assert len(file.read_bytes().splitlines()) == 2


def test_lines_go_on_after_tidying(file):
    lines = RecordLines(file)
    for path in "aab":
        lines.append(record(path))
    lines.tidy()
    lines.append(record("c", "last"))
    assert lines["c"].reason == "last"
    assert [each.path for each in RecordLines(file).read("abc")] == ["a", "b", "c"]


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
    assert [each.path for each in RecordLines(file).read("ac")] == ["a", "c"]
    assert list(RecordLines(file)) == ["a", "c"]


def test_a_line_without_an_end_is_left_out(file):
    lines = RecordLines(file)
    lines.append(record("a"))
    with file.open("ab") as stream:
        stream.write(b'{"schema_version": 1, "path": "b')
    again = RecordLines(file)
    again.append(record("c"))
    assert list(RecordLines(file)) == ["a", "c"]
    assert again.names == {"a", "c"}


def test_records_of_some_paths_are_read_again_and_again(file):
    lines = RecordLines(file)
    for path in "abc":
        lines.append(record(path))
    some = Records(lines, ["c", "unknown", "a"])
    assert len(some) == 2
    assert [each.path for each in some] == [each.path for each in some] == ["c", "a"]
