"""`casae watch`, `casae users`, `casae records failures`: what the command line adds."""

import subprocess
import sys

import cv2
import pytest

from casae.records.database import opened
from casae.service.who import sign_in, who_has

WITHOUT = """
import sys
import importlib.util
found = importlib.util.find_spec
importlib.util.find_spec = lambda name, *rest: None if name == {missing!r} else found(name, *rest)
from casae.cli.main import main
sys.argv = ["casae", *sys.argv[1:]]
main()
"""


def casae(*arguments: object, cwd=None, said: str = "", missing: str = "") -> subprocess.CompletedProcess[str]:
    program = ["-c", WITHOUT.format(missing=missing)] if missing else ["-m", "casae"]
    command = [sys.executable, *program, *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, cwd=cwd, input=said, check=False)


@pytest.fixture
def inbox(tmp_path, spotted):
    (tmp_path / "in").mkdir()
    cv2.imwrite(str(tmp_path / "in" / "B7_4711.png"), spotted)
    (tmp_path / "in" / "bad.png").write_text("no picture")
    return tmp_path / "in"


def test_a_watched_folder_ends_up_in_the_records(inbox, dark_model, tmp_path):
    words = ("watch", "in", "--model", dark_model, "--once", "--still", 0, "--room", 0, "--parts", "{batch}_{serial}")
    done = casae(*words, cwd=tmp_path)
    assert done.returncode == 0
    assert done.stdout.splitlines()[-1] == "1 inspected, 1 could not be"
    assert f"  NG      {inbox}/B7_4711.png  " in done.stdout
    assert done.stderr.startswith(f"casae: {inbox}/bad.png: is damaged")
    found = casae("records", "find", "--serial", "4711", "--batch", "B7", cwd=tmp_path).stdout
    assert "B7_4711.png" in found
    failed = casae("records", "failures", cwd=tmp_path).stdout
    assert (failed.count("\n"), "bad.png: is damaged" in failed) == (1, True)
    key = found.splitlines()[1].split()[0]
    assert '"moved_to": null' in casae("records", "show", key, cwd=tmp_path).stdout
    nowhere = casae("records", "list", "--home", "typo", cwd=tmp_path)
    assert (nowhere.returncode, "typo: holds no records.db" in nowhere.stderr) == (2, True)
    assert not (tmp_path / "typo").exists()
    again = casae(*words, "--json", cwd=tmp_path)
    assert again.stdout == ""  # records are of what is new


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--then", "move"), "move: needs a folder to move to"),
        (("--parts", "{colour}"), "{colour}: is no pattern of a part"),
        (("--rules", "rules.toml"), "--model: goes with thresholds, rules and the like"),
        ((), "no model is active"),
        (("--every", "0"), "'--every'"),
        (("--model", "nowhere.casae"), "nowhere.casae"),
    ],
)
def test_what_cannot_be_watched_is_said_in_a_line(inbox, tmp_path, words, said):
    done = casae("watch", "in", "--once", *words, cwd=tmp_path)
    assert (done.returncode, done.stderr.count("\n")) == (2, 1), done.stderr
    assert said in done.stderr


def test_what_cannot_be_put_away_is_counted(inbox, dark_model, tmp_path):
    (tmp_path / "done").write_text("no folder")
    words = (
        "watch",
        "in",
        "--model",
        dark_model,
        "--once",
        "--still",
        0,
        "--room",
        0,
        "--then",
        "move",
        "--to",
        "done",
    )
    done = casae(*words, cwd=tmp_path)
    assert (done.returncode, done.stdout.splitlines()[-1]) == (
        1,
        "1 inspected, 1 could not be, 2 could not be put away",
    )
    assert len(list(inbox.iterdir())) == 2


def test_users_are_made_changed_and_listed(tmp_path):
    secret = "a good password\na good password\n"
    assert casae("users", "add", "ann", "--role", "admin", cwd=tmp_path, said=secret).stdout.endswith("ann is admin\n")
    made = casae("users", "add", "line-3", "--role", "operator", "--no-password", cwd=tmp_path)
    assert made.stdout == "line-3 is operator\n"
    token = casae("users", "token", "line-3", "--label", "PLC", "--days", 30, cwd=tmp_path).stdout.strip()
    casae("users", "change", "line-3", "--role", "viewer", cwd=tmp_path)
    assert casae("users", "list", cwd=tmp_path).stdout == "ann  admin\nline-3  viewer\n"
    with opened(tmp_path / "casae-home") as engine:
        assert sign_in(engine, "ann", "a good password", "here") is True
        assert who_has(engine, token, "token", "here").role == "viewer"
    assert casae("users", "change", "line-3", "--disable", cwd=tmp_path).stdout == "line-3 is viewer, disabled\n"
    for words, told, rule in (
        (("add", "ann", "--role", "viewer", "--no-password"), "", "ann: there is a user of this name"),
        (("add", "ben", "--role", "viewer"), "short\nshort\n", "password: has 5 characters; 10 are needed"),
        (("token", "nobody"), "", "nobody: there is no such user"),
        (("change", "ann", "--disable"), "", "ann: is the last admin"),
        (("add", "x", "--role", "king", "--no-password"), "", "'king'"),
    ):
        done = casae("users", *words, cwd=tmp_path, said=told)
        assert done.returncode == 2
        assert rule in done.stderr


@pytest.mark.parametrize(
    ("words", "missing", "extra"),
    [(("serve",), "fastapi", "serve"), (("users", "list"), "argon2", "serve"), (("watch", "in"), "alembic", "records")],
)
def test_a_missing_extra_is_named(inbox, tmp_path, words, missing, extra):
    done = casae(*words, cwd=tmp_path, missing=missing)
    assert (done.returncode, done.stderr.count("\n")) == (2, 1), done.stderr
    assert f"pip install 'casae[{extra}]'" in done.stderr
    assert not (tmp_path / "casae-home").exists()
