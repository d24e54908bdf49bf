import csv
import json
import sqlite3
import subprocess
import sys
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path

import cv2
import numpy as np
import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext

from casae import Inspector
from casae.errors import RecordsError, UsageError
from casae.inspection.inspection import Part
from casae.inspection.rules import AcceptanceRules
from casae.line.run import run
from casae.records import database, queries
from casae.records import store as store_module
from casae.records.aggregates import Span, by_class
from casae.records.database import FILE, backup, open_database, opened, reading, restore, writing
from casae.records.export import write
from casae.records.queries import Filter, forget_images, page, prunable, prune, records, reviews_of
from casae.records.schema import metadata
from casae.records.store import DatabaseStore, add_records, counted, record_by_id, review

YEAR = datetime(2026, 1, 1, tzinfo=UTC)


def test_the_migrations_make_what_the_schema_says(engine):
    with engine.connect() as connection:
        assert compare_metadata(MigrationContext.configure(connection), metadata) == []


def test_what_is_kept_is_found_again(engine, made):
    record = made(1)
    assert add_records(engine, [record]) == [record.id]
    assert record_by_id(engine, record.id) == record
    (row,) = page(engine, Filter())
    assert (row.decision, row.reviewed, row.serial, row.product, row.defects) == ("NG", None, "1", "ring", 2)
    with pytest.raises(UsageError, match="no inspection has this id"):
        record_by_id(engine, "x")


def test_the_same_inspection_is_kept_once_and_another_is_a_new_row(engine, made):
    first, again = made(1), made(2, sha256="0" * 64, source="/line/a.png")
    first = made(1, sha256="0" * 64, source="/line/a.png")
    assert add_records(engine, [first, again, first]) == [first.id] * 3
    for seconds, change in ((3, {"gs": 90.0}), (4, {"rules_sha256": "1" * 64}), (5, {"part": {"serial": "2"}})):
        other = made(seconds, sha256="0" * 64, source="/line/a.png", **change)
        assert add_records(engine, [other]) == [other.id]
    assert len(page(engine, Filter())) == 4
    assert counted(engine) == {"NG": 4}


def test_either_all_of_a_transaction_is_kept_or_nothing(engine, made):
    broken = made(2).model_copy(update={"id": None})
    with pytest.raises(RecordsError, match="the database says"):
        add_records(engine, [made(1), broken])
    assert page(engine, Filter()) == []
    assert counted(engine) == {}


def test_pages_follow_each_other_and_filters_meet(engine, made):
    decisions = ("OK", "REVIEW", "NG")
    kept = [made(n, decision=decisions[n % 3], part={"serial": str(n), "product": "ab"[n % 2]}) for n in range(30)]
    add_records(engine, kept)
    seen, after = [], None
    while rows := page(engine, Filter(decision="OK"), after, 4):
        seen += [row.id for row in rows]
        after = rows[-1].id
    assert seen == [record.id for record in reversed(kept) if record.decision == "OK"]
    ids = lambda **wanted: [int(row.serial) for row in page(engine, Filter(**wanted))]  # noqa: E731
    assert ids(since=YEAR + timedelta(seconds=27)) == [29, 28, 27]
    assert ids(until=YEAR + timedelta(seconds=2)) == [1, 0]
    assert ids(serial="7") == [7]
    assert ids(product="a", decision="NG") == [26, 20, 14, 8, 2]
    assert ids(defect_class="glare", since=YEAR + timedelta(seconds=29)) == [29]
    assert ids(defect_class="nothing") == []
    assert ids(picture="12.png") == [12]
    assert ids(picture="%") == []
    assert ids(defect_class="glare", until=YEAR + timedelta(seconds=1)) == [0]  # once, with two of them
    assert ids(model="dark", serial="3") == [3]
    assert ids(model="other") == []


def test_a_review_is_a_new_row_and_the_first_stays(engine, made):
    add_records(engine, [made(1)])
    key = made(1).id
    review(engine, key, "OK", "ann", "dust")
    review(engine, key, "NG", "ben", "a scratch after all")
    told = [(each["who"], each["old"], each["new"]) for each in reviews_of(engine, key)]
    assert told == [("ann", "NG", "OK"), ("ben", "OK", "NG")]
    (row,) = page(engine, Filter())
    assert (row.decision, row.reviewed) == ("NG", "NG")
    with pytest.raises(UsageError, match="no inspection has this id"):
        review(engine, "x", "OK", "ann", "")


def test_pruning_says_what_would_go_and_leaves_what_was_reviewed(engine, made):
    add_records(engine, [made(n) for n in range(5)])
    review(engine, made(1).id, "OK", "ann", "")
    before = YEAR + timedelta(seconds=3)
    assert prunable(engine, before) == 2
    assert prune(engine, before) == 2
    assert [row.id for row in page(engine, Filter())] == [made(n).id for n in (4, 3, 1)]
    assert counted(engine) == {"NG": 5}

    def killed(sha256):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        forget_images(engine, killed)
    gone = []
    assert forget_images(engine, gone.append) == [made(0).sha256, made(2).sha256] == gone  # all of it, once more
    assert forget_images(engine) == []


@pytest.mark.parametrize("suffix", [".csv", ".jsonl", ".parquet"])
def test_exports_hold_everything_in_order(engine, made, tmp_path, monkeypatch, suffix):
    monkeypatch.setattr(queries, "PAGE", 3)
    kept = [made(n, source=f"=cmd{n}") for n in range(7)]
    add_records(engine, kept)
    review(engine, kept[6].id, "OK", "ann", "dust")
    assert list(records(engine, Filter())) == kept[::-1]
    out = tmp_path / f"all{suffix}"
    assert write(engine, Filter(), out) == 7
    newest = [record.id for record in kept[::-1]]
    if suffix == ".csv":
        with out.open(encoding="utf-8-sig", newline="") as file:
            rows = list(csv.DictReader(file))
        assert [row["id"] for row in rows] == newest
        assert rows[0]["source"] == "'=cmd6"
        assert [rows[0][name] for name in ("reviewed", "reviewed_by", "reviewed_why")] == ["OK", "ann", "dust"]
        assert rows[1]["reviewed"] == ""
    elif suffix == ".jsonl":
        assert [json.loads(line)["id"] for line in out.read_text().splitlines()] == newest
    else:
        from pyarrow import parquet

        assert parquet.read_table(out).column("id").to_pylist() == newest
    with pytest.raises(UsageError, match="is there already"):
        write(engine, Filter(), out)


@pytest.mark.parametrize("suffix", [".csv", ".jsonl", ".parquet"])
def test_every_size_and_every_word_is_exported_too(engine, made, tmp_path, suffix):
    add_records(engine, [made(1), made(2)])
    for decision, blind in (("OK", True), ("NG", False)):
        review(engine, made(1).id, decision, "ann", "dust", blind=blind)
    assert write(engine, Filter(), tmp_path / f"defects{suffix}", "defects") == 4
    assert write(engine, Filter(), tmp_path / f"reviews{suffix}", "reviews") == 2
    sizes, said = (_rows(tmp_path / f"{name}{suffix}") for name in ("defects", "reviews"))
    wanted = [(record.id, each.number, each.area_px) for record in (made(2), made(1)) for each in record.defects]
    assert [(row["inspection_id"], int(row["number"]), int(row["area_px"])) for row in sizes] == wanted
    assert {row["class"] for row in sizes} == {each.defect_class for each in made(1).defects}
    assert [(row["new"], str(row["blind"]), row["serial"]) for row in said] == [
        ("OK", "True", "1"),
        ("NG", "False", "1"),
    ]


def _rows(file):
    if file.suffix == ".csv":
        with file.open(encoding="utf-8-sig", newline="") as stream:
            return list(csv.DictReader(stream))
    if file.suffix == ".jsonl":
        return [json.loads(line) for line in file.read_text().splitlines()]
    from pyarrow import parquet

    return parquet.read_table(file).to_pylist()


def test_the_pareto_counts_a_part_for_the_class_that_decided(engine, made):
    one, other = (each.model_dump(by_alias=True) for each in made(1).defects)
    both = [one | {"class": "dent"}, other | {"class": "dust"}]
    decided = made(1).decided_by.model_dump(by_alias=True)
    names = {1: "dent", 2: "dust", 3: None}
    add_records(engine, [made(n, defects=both, decided_by=decided | {"class": name}) for n, name in names.items()])
    told = {each.name: (each.parts, each.rejected) for each in by_class(engine, Span(YEAR, YEAR + timedelta(days=1)))}
    assert told == {"dent": (3, 2), "dust": (3, 2)}  # of none that is named, each counts


def test_a_run_into_the_database_goes_on_where_it_stopped(engine, dark_model, tmp_path, monkeypatch):
    for number in range(3):
        cv2.imwrite(str(tmp_path / f"{number}.png"), np.full((48, 64), 200 - number, np.uint8))
    (tmp_path / "bad.png").write_bytes(b"no picture")
    inspector = Inspector(dark_model)
    store = DatabaseStore(engine, Part(product="ring"), inspector.card)
    files = sorted(tmp_path.glob("*.png"))
    first = run(files, inspector, store)
    assert (len(first.keys), list(first.failures)) == (3, [str(tmp_path / "bad.png")])
    assert {row.product for row in page(engine, Filter())} == {"ring"}
    with monkeypatch.context() as changed:
        changed.setattr(inspector, "inspect", None)  # it is not asked again
        changed.setattr(store_module, "read_file", lambda file: pytest.fail(f"{file} is read again"))
        (tmp_path / "bad.png").unlink()
        files.remove(tmp_path / "bad.png")
        assert run(files, inspector, store).keys == first.keys
    assert counted(engine) == {"OK": 3}
    assert store.record(first.keys[0]).source == files[0].as_posix()
    inspector.rules = AcceptanceRules(review_below=0.1)
    assert not set(run(files, inspector, store).keys) & set(first.keys)
    with reading(engine) as connection:
        contents = connection.exec_driver_sql("SELECT content FROM rules").scalars().all()
        assert connection.exec_driver_sql("SELECT card FROM models").scalars().all() == ["# dark\n"]
        (taken,) = set(connection.exec_driver_sql("SELECT taken_at IS NOT NULL FROM images").scalars())
    assert {json.loads(content)["review_below"] for content in contents} == {0.6, 0.1}
    assert taken


WRITER = """
import sys
from casae.inspection.record import InspectionRecord
from casae.records.database import opened
from casae.records.store import add_records
with opened(sys.argv[1]) as engine, open(sys.argv[2]) as file:
    for line in file:
        add_records(engine, [InspectionRecord.model_validate_json(line)])
"""


def test_several_processes_write_at_once(home, made, tmp_path):
    same, writers = [made(n) for n in range(10)], []
    for number in (1, 2, 3):
        lines = [record.model_dump_json(by_alias=True) for record in same + [made(100 * number + n) for n in range(10)]]
        (tmp_path / f"{number}.jsonl").write_text("\n".join(lines))
        command = [sys.executable, "-c", WRITER, home, str(tmp_path / f"{number}.jsonl")]
        writers.append(subprocess.Popen(command, stderr=subprocess.PIPE, text=True))
    assert [(writer.communicate()[1], writer.returncode) for writer in writers] == [("", 0)] * 3
    with opened(home) as engine:
        assert counted(engine) == {"NG": 40}


def test_what_was_kept_survives_a_kill(home, made, tmp_path):
    (tmp_path / "all.jsonl").write_text("\n".join(made(n).model_dump_json(by_alias=True) for n in range(2000)))
    program = WRITER.replace("add_records(", "print(add_records(").replace("(line)])", "(line)])[0], flush=True)")
    answered: set[str] = set()
    for kept_now in (1, 30, 7, 50):
        command = [sys.executable, "-c", program, home, str(tmp_path / "all.jsonl")]
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as writer:
            new = 0
            for line in writer.stdout:
                new += line.strip() not in answered
                answered.add(line.strip())
                if new == kept_now:
                    writer.kill()
                    break
    with opened(home) as engine:
        found = {record.id for record in records(engine, Filter())}
        assert answered <= found
        assert sum(counted(engine).values()) == len(found)


def test_a_backup_is_restored_and_the_database_before_stays(tmp_path, made):
    with opened(tmp_path / "home") as engine:
        add_records(engine, [made(1)])
        backup(engine, tmp_path / "copy.db")
        add_records(engine, [made(2)])
        with pytest.raises(UsageError, match="is there already"):
            backup(engine, tmp_path / "copy.db")
    restore(tmp_path / "copy.db", tmp_path / "home")
    before = tmp_path / "home" / f"{FILE}.before-restore"
    assert (_count(tmp_path / "home" / FILE), _count(before)) == (1, 2)
    (tmp_path / "broken.db").write_bytes((tmp_path / "copy.db").read_bytes()[:5000])
    before.unlink()
    with pytest.raises(RecordsError, match=r"broken.db"):
        restore(tmp_path / "broken.db", tmp_path / "home")
    assert _count(tmp_path / "home" / FILE) == 1


@pytest.mark.parametrize("damage", [b"", b"no database" * 500])
def test_a_backup_takes_the_place_of_a_damaged_database(tmp_path, kept, damage):
    with opened(kept) as engine:
        backup(engine, tmp_path / "copy.db")
    (kept / FILE).write_bytes(damage)
    restore(tmp_path / "copy.db", kept)
    assert _count(kept / FILE) == 1
    before = kept / f"{FILE}.before-restore"
    assert not damage or before.read_bytes() == damage


def _count(file: Path) -> int:
    with closing(sqlite3.connect(file)) as connection:
        return connection.execute("SELECT count(*) FROM inspections").fetchone()[0]


def _second_step(folder: Path, body: str) -> Path:
    """The migrations, and one more."""
    for file in sorted(database.MIGRATIONS.rglob("*.py")):
        target = folder / file.relative_to(database.MIGRATIONS)
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(file.read_text())
    head = 'import sqlalchemy as sa\nfrom alembic import op\nrevision, down_revision = "9003", "0005"\n'
    (folder / "versions" / "9003_second.py").write_text(f"{head}def upgrade():\n{body}")
    return folder


@pytest.fixture
def kept(tmp_path, made):
    """A home with one inspection."""
    with opened(tmp_path / "home") as engine:
        add_records(engine, [made(1)])
    return tmp_path / "home"


def test_a_migration_keeps_what_was_there_and_a_copy_of_the_file(tmp_path, kept, made, monkeypatch):
    more = "    op.add_column('inspections', sa.Column('line', sa.Text))\n"
    monkeypatch.setattr(database, "MIGRATIONS", _second_step(tmp_path / "steps", more))
    with opened(kept) as engine, reading(engine) as connection:
        assert connection.exec_driver_sql("SELECT id, line FROM inspections").all() == [(made(1).id, None)]
    with closing(sqlite3.connect(kept / f"{FILE}.before-9003")) as before:
        assert before.execute("SELECT version_num FROM alembic_version").fetchone() == ("0005",)


FIRST_SCHEMA = """
import sys
from alembic import command
from casae.records import database
database.command.upgrade = lambda config, head, up=command.upgrade: up(config, "0001")
database.ScriptDirectory.get_current_head = lambda script: "0001"
database.open_database(sys.argv[1]).dispose()
"""
OPEN = "import sys; from casae.records.database import open_database; open_database(sys.argv[1]).dispose()"


@pytest.fixture
def of_the_first_schema(home, made):
    """A database as the first casae wrote it, with an inspection, its defects and a review."""
    subprocess.run([sys.executable, "-c", FIRST_SCHEMA, home], check=True)
    record = made(1)
    engine = database._engine(database._url_of(home))
    with writing(engine) as connection:
        for statement, values in (
            ("images (id, sha256, source, name, bytes, width_px, height_px) VALUES", (1000, "a", "/a", "a", 1, 64, 48)),
            ("models (sha256, name) VALUES", (record.model_sha256, "dark")),
            ("rules (sha256, content) VALUES", ("r", "{}")),
            (
                "inspections (id, known_by, image_id, model_sha256, rules_sha256, decision, kind, defects, largest_px,"
                " record) VALUES",
                (record.id, "k", 1000, record.model_sha256, "r", "NG", "default", 2, 80, record.model_dump_json()),
            ),
            (
                "reviews (id, inspection_id, at, who, old, new, why) VALUES",
                ("1", record.id, "t", "ann", "NG", "OK", ""),
            ),
        ):
            quoted = ", ".join(str(each) if isinstance(each, int) else f"'{each}'" for each in values)
            connection.exec_driver_sql(f"INSERT INTO {statement} ({quoted})".replace("%", "%%"))
    engine.dispose()
    return home


def test_a_database_of_the_first_schema_is_brought_to_this_one(of_the_first_schema, made):
    processes = [subprocess.Popen([sys.executable, "-c", OPEN, of_the_first_schema]) for _ in range(4)]
    assert [process.wait() for process in processes] == [0] * 4  # all at once: one does it, the others wait
    with opened(of_the_first_schema) as engine:
        (row,) = page(engine, Filter())
        assert (row.id, row.decision, row.reviewed) == (made(1).id, "NG", "OK")
        add_records(engine, [made(2)])
        with engine.connect() as connection:
            assert compare_metadata(MigrationContext.configure(connection), metadata) == []


def test_a_migration_that_fails_leaves_the_file_as_it_was(tmp_path, kept, made, monkeypatch):
    breaks = "    op.drop_table('defects')\n    op.add_column('nothing', sa.Column('line', sa.Text))\n"
    with monkeypatch.context() as changed:
        changed.setattr(database, "MIGRATIONS", _second_step(tmp_path / "steps", breaks))
        with pytest.raises(RecordsError, match="cannot be brought to schema 9003; it stays as it was"):
            open_database(kept)
    with opened(kept) as engine:
        assert record_by_id(engine, made(1).id) == made(1)
    assert list(kept.glob("*.new*")) == []


def test_a_newer_or_damaged_database_is_named(tmp_path, kept):
    with opened(kept) as engine, writing(engine) as connection:
        connection.exec_driver_sql("UPDATE alembic_version SET version_num = '9999'")
    with pytest.raises(RecordsError, match=r"records.db: is of a newer casae \(schema 9999\); upgrade casae"):
        open_database(kept)
    (tmp_path / "bad").mkdir()
    (tmp_path / "bad" / FILE).write_bytes(b"no database at all" * 100)
    with pytest.raises(RecordsError, match="file is not a database"):
        open_database(tmp_path / "bad")
    with pytest.raises(UsageError, match="no such database"):
        open_database("mysql://x/y")
    with pytest.raises(RecordsError, match=r"postgresql\+psycopg://ann:\*\*\*@127.0.0.1:1/x"):
        open_database("postgresql://ann:secret@127.0.0.1:1/x")


def test_a_database_in_use_is_not_replaced(tmp_path, kept, made):
    with opened(kept) as engine:
        backup(engine, tmp_path / "copy.db")
        with reading(engine) as connection:
            connection.exec_driver_sql("BEGIN")
            connection.exec_driver_sql("SELECT * FROM inspections").first()
            with pytest.raises(RecordsError, match=r"is in use .*end casae serve and casae watch first"):
                restore(tmp_path / "copy.db", kept)
    assert _count(kept / FILE) == 1
    restore(tmp_path / "copy.db", kept)
    assert _count(kept / FILE) == 1
