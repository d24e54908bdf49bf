import csv
import tarfile
from pathlib import Path

import pyarrow
import pytest
from pyarrow.parquet import write_table

from casae.batch.sources import Listing
from casae.errors import UsageError


def names(listing):
    return [Path(entry.source).name for entry in listing]


def test_a_folder_gives_its_images_and_says_what_it_passes_over(archive):
    (archive / "raw.cr2").touch()
    (archive / "gone.png").symlink_to("nowhere")
    listing = Listing([str(archive)])
    assert sorted(names(listing)) == ["1.png", "1.png", "2.png", "4711_left.png", "broken.png", "clean.png"]
    assert listing.left_out == {
        f"{archive}/raw.cr2": ".cr2 is not read; save it as PNG",
        f"{archive}/gone.png": "leads to no file, or may not be read; mend the link, or permissions",
    }
    assert listing.others == 1
    entry = next(iter(listing))
    assert (entry.size, entry.modified_ns) == (Path(entry.source).stat().st_size, Path(entry.source).stat().st_mtime_ns)


def test_masks_and_results_are_no_images_of_the_archive(archive):
    (archive / "dataset.toml").write_text('classes = ["a"]')
    (archive / "set/masks").mkdir(parents=True)
    (archive / "set/dataset.toml").touch()
    (archive / "set/masks/1.png").touch()
    (archive / "out/overlays").mkdir(parents=True)
    (archive / "out/inspections.jsonl").touch()
    (archive / "out/overlays/1.jpg").touch()
    assert len(names(Listing([str(archive)]))) == 6


def test_a_pattern_means_what_it_means_elsewhere(archive, tmp_path):
    odd = tmp_path / "lot [1]"
    odd.mkdir()
    (odd / "x.png").write_bytes((archive / "a/1.png").read_bytes())
    (tmp_path / "lot 1").mkdir()
    (tmp_path / "lot 1" / "y.png").touch()
    assert names(Listing([str(odd / "*.png")])) == ["x.png"]
    assert sorted(names(Listing([str(archive / "*")]))) == sorted(names(Listing([str(archive)])))  # folders as a whole
    (archive / "out/overlays").mkdir(parents=True)
    (archive / "out/inspections.jsonl").touch()
    (archive / "out/overlays/1.png").touch()
    (archive / "set/masks").mkdir(parents=True)
    (archive / "set/dataset.toml").touch()
    (archive / "set/masks/1.png").touch()
    assert len(names(Listing([str(archive / "**/*.png")]))) == 6  # none that casae made


def test_masks_of_a_dataset_are_no_images_of_a_pattern_either(archive):
    (archive / "set/masks").mkdir(parents=True)
    (archive / "set/dataset.toml").touch()
    (archive / "set/masks/1.png").touch()
    (archive / "set/2.png").touch()
    assert names(Listing([str(archive / "set/*")])) == ["2.png"]


def test_an_image_that_two_sources_name_is_there_once(archive):
    assert len(names(Listing([str(archive), str(archive / "a"), str(archive / "*.png")]))) == 6


@pytest.mark.parametrize("suffix", [".csv", ".parquet"])
def test_a_table_names_paths_that_begin_beside_it(archive, suffix):
    table = archive / f"list{suffix}"
    paths = ["a/1.png", str(archive / "b/1.png"), "", f"file://{archive}/a/2.png", "a/1.png", "s3://bucket/x.png"]
    if suffix == ".csv":
        with table.open("w", newline="", encoding="utf-8-sig") as stream:
            csv.writer(stream).writerows([["n", "path"], *([0, path] for path in paths)])
    else:
        write_table(pyarrow.table({"n": [0] * len(paths), "path": paths}), table)
    found = [entry.source for entry in Listing([str(table)])]
    assert found == [f"{archive}/a/1.png", f"{archive}/b/1.png", f"{archive}/a/2.png", "s3://bucket/x.png"]


def test_a_table_without_a_column_of_paths_says_which_it_has(tmp_path):
    (tmp_path / "list.csv").write_text("picture,n\n1.png,2\n")
    with pytest.raises(UsageError, match=r"list.csv: has no column of paths; call one 'path' \(picture, n are there\)"):
        list(Listing([str(tmp_path / "list.csv")]))


def tar_of(archive, to):
    with tarfile.open(to, "w") as tar:
        tar.add(archive, ".")
    return to


def test_a_tar_says_where_each_image_begins(archive, tmp_path):
    tar = tar_of(archive, tmp_path / "shard-1.tar")
    found = list(Listing([str(tmp_path / "shard-*.tar")]))
    assert len(found) == 6
    by_source = {entry.source: entry for entry in found}
    entry = by_source[f"{tar}/a/1.png"]
    state = (archive / "a/1.png").stat()
    assert entry[:4] == (f"{tar}/a/1.png", str(tar), entry.offset, state.st_size)
    assert entry.modified_ns // 1_000_000_000 == int(state.st_mtime)
    with tar.open("rb") as stream:
        stream.seek(entry.offset)
        assert stream.read(entry.size) == (archive / "a/1.png").read_bytes()


def test_a_folder_of_tars_gives_what_is_in_them(archive, tmp_path):
    (tmp_path / "tars").mkdir()
    tar_of(archive, tmp_path / "tars/1.tar")
    assert len(list(Listing([str(tmp_path / "tars")]))) == 6


@pytest.mark.parametrize(
    ("name", "content", "rule"),
    [
        ("x.tar.gz", b"", "x.tar.gz: is packed, so that no image can be read alone; unpack it to .tar"),
        ("x.tar", b"no tar" * 200, r"x.tar: cannot be read as .tar \("),
        ("x.parquet", b"no table", r"x.parquet: cannot be read as .parquet \("),
        ("x.csv", b"\xff\xfe\x00path", r"x.csv: cannot be read as .csv \("),
    ],
)
def test_what_cannot_be_read_is_named(tmp_path, name, content, rule):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(UsageError, match=rule):
        list(Listing([str(tmp_path / name)]))


@pytest.mark.parametrize("source", ["nothing", "no*.png", "no*.tar", "no.csv"])
def test_a_source_that_leads_to_nothing_is_named(tmp_path, source):
    with pytest.raises(UsageError, match="no such file or folder, and no file matches it"):
        list(Listing([str(tmp_path / source)]))


def test_a_tar_that_is_not_as_it_should_be_says_so_and_gives_what_it_has(archive, tmp_path):
    (archive / "a/link.png").hardlink_to(archive / "a/1.png")
    (archive / "a/soft.png").symlink_to("1.png")
    whole = tar_of(archive, tmp_path / "whole.tar").read_bytes()
    first = tmp_path / "first.tar"
    with tarfile.open(first, "w") as tar:
        tar.add(archive / "a/1.png", "x.png")
        tar.add(archive / "a/2.png", "x.png")
        tar.add(archive / "b/1.png", b"caf\xe9.png".decode(errors="surrogateescape"))
    listing = Listing([str(tmp_path / "whole.tar")])
    assert len(list(listing)) == 6
    assert sorted(Path(name).name for name in listing.left_out) in (["1.png", "soft.png"], ["link.png", "soft.png"])
    listing = Listing([str(first)])
    assert names(listing) == ["x.png", r"caf\xe9.png"]
    assert "stands in its tar again; the first one is inspected" in listing.left_out[f"{first}/x.png"]
    (tmp_path / "cut.tar").write_bytes(whole[: 3 * 10240 // 2])
    listing = Listing([str(tmp_path / "cut.tar")])
    assert 0 < len(list(listing)) < 6
    assert "is cut off or damaged at byte" in listing.left_out[str(tmp_path / "cut.tar")]
    (tmp_path / "both.tar").write_bytes(whole + b"\0" * 20480 + first.read_bytes())
    listing = Listing([str(tmp_path / "both.tar")])
    assert len(list(listing)) == 6
    assert "goes on behind its end" in listing.left_out[str(tmp_path / "both.tar")]


def test_one_broken_tar_among_others_stops_nothing(archive, tmp_path):
    (tmp_path / "tars").mkdir()
    tar_of(archive, tmp_path / "tars/1.tar")
    (tmp_path / "tars/0.tar").write_bytes(b"no tar" * 200)
    (tmp_path / "tars/2.tar.gz").touch()
    listing = Listing([str(tmp_path / "tars")])
    assert len(list(listing)) == 6
    assert [Path(name).name for name in listing.left_out] == ["0.tar", "2.tar.gz"]


def test_patterns_reach_into_folders(archive, tmp_path):
    for day in ("1", "2"):
        (tmp_path / f"day-{day}/x").mkdir(parents=True)
        tar_of(archive / "a", tmp_path / f"day-{day}/x/part.tar")
    assert len(names(Listing([str(tmp_path / "day-*/x/*.tar")]))) == 4
    assert len(names(Listing([str(tmp_path / "**/part.tar")]))) == 4
    assert sorted(names(Listing([str(archive / "*/*.png")]))) == [
        "1.png",
        "1.png",
        "2.png",
        "4711_left.png",
        "clean.png",
    ]


def test_what_a_batch_wrote_is_no_archive(archive):
    (archive / "out/overlays/0000000").mkdir(parents=True)
    for name in ("batch.json", "manifest.parquet", "overlays/0000000/0000.jpg"):
        (archive / "out" / name).touch()
    assert len(names(Listing([str(archive)]))) == 6


def test_only_so_much_is_remembered_of_what_is_passed_over(archive, monkeypatch):
    monkeypatch.setattr("casae.batch.sources.NAMED", 2)
    for index in range(5):
        (archive / f"{index}.cr2").touch()
    listing = Listing([str(archive)])
    list(listing)
    assert (len(listing.left_out), listing.more) == (2, 3)


def test_a_table_with_semicolons_or_without_text(archive, tmp_path):
    (archive / "list.csv").write_text("n;path\n1;a/1.png\n")
    assert names(Listing([str(archive / "list.csv")])) == ["1.png"]
    write_table(pyarrow.table({"image": [b"\x89PNG"]}), archive / "list.parquet")
    with pytest.raises(UsageError, match="column image holds no text; call the column of paths 'path'"):
        list(Listing([str(archive / "list.parquet")]))
