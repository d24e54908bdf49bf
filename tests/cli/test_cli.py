import json
import os
import shutil
import sqlite3
import subprocess
import sys
from contextlib import closing

import cv2
import numpy as np
import pytest

from casae import Inspector
from casae.cli import DATASET_HELP
from casae.datasets.registry import READERS
from conftest import two_classes


def casae(*arguments: object, cwd=None) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "casae", *map(str, arguments)]
    environment = os.environ | {"COLUMNS": "160", "NO_COLOR": "1"}
    return subprocess.run(command, capture_output=True, text=True, cwd=cwd, env=environment, check=False)


@pytest.fixture
def picture(tmp_path, spotted):
    cv2.imwrite(str(tmp_path / "part.png"), spotted)
    return tmp_path / "part.png"


def test_inspect_prints_a_table_and_where_the_report_is(picture, dark_model, tmp_path):
    done = casae("inspect", picture, "--model", dark_model, "--out", tmp_path / "out", "--mm-per-pixel", "0.1")
    assert (done.returncode, done.stderr) == (0, "")
    assert "NG" in done.stdout
    assert "2.00 mm" in done.stdout
    assert f"Report: {tmp_path / 'out' / 'report.html'}" in done.stdout


def test_inspect_json_is_a_line_an_image(picture, dark_model, tmp_path):
    done = casae("inspect", picture, picture, "--model", dark_model, "--out", tmp_path / "out", "--json")
    (line,) = done.stdout.splitlines()
    assert json.loads(line) == json.loads((tmp_path / "out" / "inspections.jsonl").read_text())


def test_unreadable_files_are_named_and_the_exit_code_is_1(picture, dark_model, tmp_path):
    (tmp_path / "bad.png").write_text("text")
    done = casae("inspect", tmp_path, "--model", dark_model, "--out", tmp_path / "out")
    assert done.returncode == 1
    assert "bad.png: is damaged or not a PNG, JPEG, BMP, TIFF" in done.stderr
    assert "1 image: 0 OK, 0 REVIEW, 1 NG, 1 not inspected" in done.stdout


@pytest.mark.parametrize(
    ("arguments", "rule"),
    [
        (["inspect", "nowhere", "--model", "component"], "nowhere: no such file or folder"),
        (["inspect", "x" * 300, "--model", "component"], "no such file or folder"),
        (["inspect", "", "--model", "component"], "(nothing): no such file or folder"),
        (["inspect", "part.png", "--model", "none"], "none: no such model file"),
        (["inspect", "part.png"], "--model: no model is named"),
        (["inspect", "part.png", "--model", "component", "--mm-per-pixel", "0,005"], "write a point, such as 0.005"),
        (["evaluate", "folder:x"], "Missing option '--model'; see casae evaluate --help"),
        (["data", "check"], "see casae data check --help"),
        (["inspect", "part.png", "--mm-per-pixel", "-1"], "--mm-per-pixel -1"),
        (["inspect", "part.png", "--threshold", "300"], "300"),
        (["inspect", "part.png", "--out", "part.png/out", "--model", "component"], "choose another --out"),
        (["train", "folder:.", "--out", "a.casae"], "dataset.toml: missing"),
        (["train", "folder:.", "--out", "a.casae", "--set", "wide=3"], "wide: no such setting"),
        (["train", "folder:.", "--out", "a.casae", "--size", "100"], "multiple of 32"),
        (["train", "folder:.", "--out", "a.casae", "--target", "best"], "say recall=0.99"),
        (["evaluate", "kitti:.", "--model", "component"], "a dataset is named"),
        (["data", "check", "folder:nowhere"], "no such folder"),
        (["synthetic", "--out", "x", "--size", "big"], "write width x height"),
    ],
)
def test_a_mistake_is_one_line_and_exit_code_2(arguments, rule, tmp_path, spotted):
    (tmp_path / "empty").mkdir()
    if "part.png" in arguments[1:2] or "folder:." in arguments:
        cv2.imwrite(str(tmp_path / "part.png"), spotted)
    done = casae(*arguments, cwd=tmp_path)
    assert done.returncode == 2, done.stdout + done.stderr
    assert rule in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_folder_without_permission_is_named(picture, dark_model, tmp_path):
    locked = tmp_path / "locked"
    locked.mkdir(mode=0o500)
    done = casae("inspect", picture, "--model", dark_model, "--out", locked / "out")
    assert done.returncode == 2
    assert "cannot be written" in done.stderr


def test_a_rules_file_decides(picture, dark_model, tmp_path):
    (tmp_path / "rules.toml").write_text("review_below = 0\n[[rule]]\nmax_area_px = 500\n")
    done = casae("inspect", picture, "--model", dark_model, "--rules", "rules.toml", cwd=tmp_path)
    assert (done.returncode, done.stderr) == (0, "")
    assert "1 image: 1 OK, 0 REVIEW, 0 NG" in done.stdout


def test_every_option_reaches_the_inspection(picture, dark_model, spotted, tmp_path):
    roi = np.zeros(spotted.shape, np.uint8)
    roi[:20] = 255
    cv2.imwrite(str(tmp_path / "roi.bmp"), roi)
    numbers = ["--threshold", 150, "--core", 30, "--min-area", 20, "--mm-per-pixel", 0.1]
    words = ["--model", dark_model, "--roi", "roi.bmp", "--precision", "f32", "--json"]
    done = casae("inspect", picture, *numbers, *words, cwd=tmp_path)
    record = json.loads(done.stdout)
    names = ("gs", "core_gs", "min_area_px", "mm_per_pixel", "precision", "classifier_precision")
    assert [record[name] for name in names] == [150, 30, 20, 0.1, "f32", "f32"]
    assert record["roi_sha256"] == Inspector(dark_model, roi=roi).conditions.roi_sha256
    assert len(record["defects"]) == 1


@pytest.mark.parametrize(("error", "code"), [("RuntimeError('a bug')", 2), ("KeyboardInterrupt", 130)])
def test_a_crash_is_not_taken_for_some_bad_files(picture, dark_model, tmp_path, error, code):
    program = f"""
import sys
from casae.line import run
def inspect_files(*_): raise {error}
run.inspect_files = inspect_files
from casae.cli.main import main
sys.argv = ["casae", "inspect", {str(picture)!r}, "--model", {str(dark_model)!r}]
main()
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, cwd=tmp_path, check=False)
    assert done.returncode == code, done.stderr


def test_draw_check_and_evaluate(dark_model, tmp_path):
    assert casae("synthetic", "--out", "parts", "--count", "4", "--size", "160x120", cwd=tmp_path).returncode == 0
    checked = casae("data", "check", "folder:parts", cwd=tmp_path)
    assert checked.returncode == 0
    assert "160 x 120 px: 4" in checked.stdout
    (tmp_path / "parts" / "masks" / "component-0001.png").write_text("broken")
    checked = casae("data", "check", "folder:parts", cwd=tmp_path)
    assert checked.returncode == 1
    assert "component-0001.png: is damaged or not a PNG" in checked.stdout
    settings = tmp_path / "parts" / "dataset.toml"
    settings.write_text('classes = ["stain", "glare"]')
    for mask in (tmp_path / "parts" / "masks").iterdir():
        cv2.imwrite(str(mask), np.ones((120, 160), np.uint8))
    done = casae(
        "evaluate", "folder:parts", "--model", dark_model, "--json", "e.json", "--sheet", "s.png", cwd=tmp_path
    )
    assert done.returncode == 0, done.stderr
    scores = json.loads((tmp_path / "e.json").read_text())
    assert set(scores["scores"]["iou"]) == {"value", "low", "high", "hits", "total"}
    assert (tmp_path / "s.png").stat().st_size > 1000


def test_help_and_version():
    assert "inspect" in casae("--help").stdout
    assert casae("--version").stdout.startswith("casae 0.")
    assert "Exit codes" in casae("inspect", "--help").stdout


@pytest.mark.slow
def test_folds_judge_every_image_and_choose_the_threshold_on_all(components, tmp_path):
    out = tmp_path / "part.casae"
    quick = ["--preset", "scratch", "--set", "width=4", "--size", "64", "--minutes", "0.04"]
    done = casae("train", f"folder:{components}", "--split", "all", "--out", out, "--folds", "2", *quick)
    assert done.returncode == 0, done.stderr
    assert "2 folds" in done.stdout
    assert {file.name for file in tmp_path.glob("*.casae")} == {"part.casae", "part-fold-1.casae", "part-fold-2.casae"}
    identities = [json.loads(file.read_text()) for file in tmp_path.glob("part-fold-*-training/identity.json")]
    assert len({identity["validation"] for identity in identities}) == 2
    assert "on 12 images, each judged by a model that did not learn from it" in out.with_suffix(".html").read_text()


@pytest.mark.slow
@pytest.mark.parametrize(
    ("arguments", "rule"),
    [
        (["--folds", "50"], "label at least 50"),
        (["--folds", "2", "--from", "weights.pt"], "--folds with --from weights.pt"),
    ],
)
def test_folds_that_cannot_be_are_refused_before_anything_is_trained(components, tmp_path, arguments, rule):
    done = casae("train", f"folder:{components}", "--out", tmp_path / "part.casae", *arguments)
    assert done.returncode == 2
    assert rule in done.stderr
    assert not list(tmp_path.iterdir())


def test_evaluation_says_what_it_needs_and_what_is_too_good(components, dark_model, tmp_path):
    data = two_classes(components, tmp_path / "part")
    shutil.rmtree(data / "splits")
    done = casae("evaluate", f"folder:{data}", "--model", dark_model)
    assert done.returncode == 2
    assert "has no splits/test.txt" in done.stderr
    next((data / "masks").iterdir()).unlink()
    done = casae("evaluate", f"folder:{data}", "--model", dark_model, "--split", "all")
    assert "1 images of 'all' have no mask and are not judged" in done.stdout
    assert "Too good for a judgement if the model has learned from these images" in done.stdout


def test_an_evaluation_judges_the_list_that_is_asked_for(components, dark_model, tmp_path):
    data, scores = two_classes(components, tmp_path / "part"), tmp_path / "e.json"
    for asked, images in (([], 3), (["--split", "train"], 8)):
        casae("evaluate", f"folder:{data}", "--model", dark_model, "--json", scores, *asked)
        assert json.loads(scores.read_text())["images"] == images


def test_a_reader_of_json_may_leave(dark_model, spotted, tmp_path):
    for index in range(5):
        cv2.imwrite(str(tmp_path / f"{index}.png"), spotted)
    command = f"{sys.executable} -m casae inspect . --model {dark_model} --out out --json | head -1"
    done = subprocess.run(command, shell=True, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert (done.stderr, len(done.stdout.splitlines())) == ("", 1)
    assert len((tmp_path / "out" / "inspections.jsonl").read_text().splitlines()) == 5
    assert not (tmp_path / "out" / "failures.csv").exists()


@pytest.mark.slow
def test_all_images_are_learned_from_where_nothing_shall_be_held_out(components, tmp_path):
    shutil.copytree(components, tmp_path / "part", ignore=shutil.ignore_patterns("splits"))
    out = tmp_path / "part.casae"
    quick = ["--preset", "scratch", "--set", "width=4", "--size", "64", "--minutes", "0.04", "--hold-out", "0"]
    done = casae("train", f"folder:{tmp_path / 'part'}", "--out", out, *quick)
    assert done.returncode == 0, done.stderr
    assert "Learns from 12 pictures (" in done.stdout
    assert "judge it with casae evaluate" in done.stdout
    assert not out.with_suffix(".html").exists()
    assert casae("inspect", components / "images", "--model", out, "--out", tmp_path / "found").returncode == 0


def test_benchmark_prints_stages_and_rates(picture, dark_model, tmp_path):
    run = casae(
        "benchmark", "--model", dark_model, "--image", picture, "--rounds", 2, "--json", tmp_path / "speed.json"
    )
    assert run.returncode == 0, run.stderr
    assert "segment" in run.stdout
    assert "2 streams" in run.stdout
    assert json.loads((tmp_path / "speed.json").read_text())["stages"]["file to record"]["p50"] > 0
    wrong = casae("benchmark", "--model", dark_model, "--image", picture, "--streams", "two")
    assert (wrong.returncode, "--streams two" in wrong.stderr) == (2, True)


def test_json_is_utf8_wherever_it_goes(dark_model, spotted, tmp_path):
    file = tmp_path / "検査.png"
    cv2.imwrite(str(file), spotted)
    command = [sys.executable, "-m", "casae", "inspect", str(file), "--model", str(dark_model), "--json"]
    environment = os.environ | {"PYTHONIOENCODING": "latin-1"}
    result = subprocess.run(command, capture_output=True, cwd=tmp_path, env=environment)
    assert json.loads(result.stdout.decode("utf-8"))["source"] == str(file)


def test_names_in_brackets_are_printed_whole(picture, dark_model, tmp_path):
    out = tmp_path / "lot[a1]"
    assert str(out / "report.html") in casae("inspect", picture, "--model", dark_model, "--out", out).stdout


def test_a_name_that_the_terminal_cannot_show_is_shown_otherwise(dark_model, spotted, tmp_path):
    cv2.imencode(".png", spotted)[1].tofile(tmp_path / "零件.png")
    command = [sys.executable, "-m", "casae", "inspect", ".", "--model", str(dark_model)]
    environment = {**os.environ, "PYTHONIOENCODING": "latin-1"}
    done = subprocess.run(command, capture_output=True, cwd=tmp_path, env=environment, check=False)
    assert (done.returncode, done.stderr) == (0, b"")
    assert rb"\u96f6" in done.stdout


def test_rules_are_tried_on_recorded_inspections(picture, dark_model, tmp_path):
    assert casae("inspect", picture, "--model", dark_model, cwd=tmp_path).returncode == 0
    (tmp_path / "rules.toml").write_text(
        "review_below = 0\n[[rule]]\nmax_area_px = 500\n[[rule]]\nclass = 'rust'\nmax_count = 1\n"
    )
    done = casae("rules", "try", "rules.toml", "casae-results", cwd=tmp_path)
    assert (done.returncode, done.stderr) == (0, "")
    assert "1 of 1 verdicts change" in done.stdout
    assert "no recorded defect is of class 'rust'" in done.stdout
    (tmp_path / "rules.toml").write_text("[[rule]]\nmax_lenght_px = 500\n")
    done = casae("rules", "try", "rules.toml", "casae-results", cwd=tmp_path)
    assert done.returncode == 2
    assert done.stderr.startswith("casae: rules.toml, line 2, column 1: rule #1.max_lenght_px: no such setting")


def test_zones_and_joining_reach_the_inspection(dark_model, tmp_path):
    image = np.full((60, 90), 200, np.uint8)
    image[20:24, 10:30] = image[20:24, 34:50] = 20
    cv2.imwrite(str(tmp_path / "part.png"), image)
    (tmp_path / "zones.toml").write_text("[[zone]]\nname = 'seal'\npolygon = [[0, 0], [89, 0], [89, 30], [0, 30]]\n")
    (tmp_path / "rules.toml").write_text("[[rule]]\nzone = 'seal'\nmax_count = 1\nmax_length_px = 30\n")
    words = ["inspect", "part.png", "--model", dark_model, "--rules", "rules.toml", "--zones", "zones.toml", "--json"]
    record = json.loads(casae(*words, cwd=tmp_path).stdout)
    assert record["reason"] == "glare on seal: 2 found, 1 allowed"
    record = json.loads(casae(*words, "--join", 8, cwd=tmp_path).stdout)
    assert record["reason"].startswith("glare on seal 39 px long, 30 allowed")
    assert [defect["zones"] for defect in record["defects"]] == [["seal"]]
    assert record["join_px"] == 8


def test_a_calibration_is_made_and_used(picture, dark_model, spotted, tmp_path):
    words = ["calibrate", "ruler", "--from", "10,20", "--to", "60,20", "--mm", 5, "part.png", "--out", "bench.toml"]
    done = casae(*words, cwd=tmp_path)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith("0.1 mm a pixel; sizes may be wrong by 1.41 %\n")
    words = ["inspect", "part.png", "--model", dark_model, "--calibration", "bench.toml", "--json"]
    record = json.loads(casae(*words, cwd=tmp_path).stdout)
    assert (record["calibration"], record["mm_per_pixel"], record["scale_error_percent"]) == ("bench", 0.1, 1.41)
    for arguments, rule in (
        (["chessboard", "part.png", "--corners", "9", "--square-mm", 5], "9: write marks a row x rows"),
        (["chessboard", "part.png", "--corners", "9x6", "--square-mm", 5], "part.png: does not show 9 x 6 corners"),
        (["coin", "part.png", "--diameter-mm", 20], "part.png: shows no disc"),
        (["ruler", "--from", "1", "--to", "2,3", "--mm", 1], "--from 1: write x,y in px"),
    ):
        done = casae("calibrate", *arguments, cwd=tmp_path)
        assert (done.returncode, rule in done.stderr) == (2, True), done.stderr


def test_the_loop_of_an_engineer_at_the_command_line(components, dark_model, tmp_path):
    shutil.copytree(components, tmp_path / "my-part")
    shutil.rmtree(tmp_path / "my-part" / "splits", ignore_errors=True)
    done = casae("data", "split", "folder:my-part", "--share", 0.3, cwd=tmp_path)
    assert (done.returncode, done.stderr) == (0, "")
    assert "labelled pictures in my-part/splits/test.txt" in done.stdout
    again = casae("data", "split", "folder:my-part", cwd=tmp_path)
    assert (again.returncode, "has a list test already" in again.stderr) == (2, True)
    done = casae("data", "show", "folder:my-part", "--split", "test", "--out", "shown", cwd=tmp_path)
    assert (done.returncode, done.stderr) == (0, "")
    assert (tmp_path / "shown" / "sheet-1.jpg").is_file()
    done = casae("inspect", "my-part/images", "--model", dark_model, cwd=tmp_path)
    assert done.returncode == 0
    done = casae("data", "convert", "results:casae-results", "labelme:found", cwd=tmp_path)
    assert "read again: every pixel as before" in done.stdout
    words = ["compare", dark_model, dark_model, f"folder:{two_classes(components, tmp_path / 'two')}", "--split", "all"]
    done = casae(*words, "--sheet", "changed.jpg", cwd=tmp_path)
    assert (done.returncode, done.stderr) == (0, "")
    assert "these images do not tell which is better" in done.stdout


def test_the_help_names_every_reader():
    assert [name for name in READERS if f" {name}" not in DATASET_HELP.replace(":", " ")] == []


def test_novelty_says_what_it_did(telling_model, tmp_path):
    (tmp_path / "gray" / "images").mkdir(parents=True)
    (tmp_path / "gray" / "dataset.toml").write_text('classes = ["stain"]')
    for number in range(12):
        cv2.imwrite(str(tmp_path / "gray" / "images" / f"{number}.png"), np.full((64, 64), 100 + number, np.uint8))
    (tmp_path / "gray" / "images" / "broken.png").write_bytes(b"no picture")
    done = casae("novelty", telling_model, "folder:gray", "--out", "new.casae", cwd=tmp_path)
    assert done.returncode == 1
    assert done.stdout == (
        "new.casae takes pictures like these 12 for usual, 12 of which were unlike the learned ones until now\n"
    )
    assert "broken.png" in done.stderr
    done = casae("novelty", "component", "folder:gray", cwd=tmp_path)
    assert (done.returncode, "is part of casae; say --out FILE, or copy component.casae" in done.stderr) == (2, True)


def test_what_was_found_is_written_as_labels_too(telling_model, tmp_path):
    image = np.full((64, 64), 210, np.uint8)
    image[8:30, 8:30] = 0  # so dark that it is unknown
    cv2.imwrite(str(tmp_path / "a.png"), image)
    done = casae("inspect", "a.png", "--model", telling_model, "--labels", "folder:found", cwd=tmp_path)
    assert (done.returncode, done.stderr) == (0, "1 regions of 1 pictures as labels: folder:found\n")
    assert set(np.unique(cv2.imread(str(tmp_path / "found" / "masks" / "a.png"), cv2.IMREAD_UNCHANGED))) == {0, 255}
    done = casae("inspect", "a.png", "--model", telling_model, "--labels", "folder:found", cwd=tmp_path)
    assert (done.returncode, "found: is not empty" in done.stderr) == (2, True)


def test_records_are_kept_found_reviewed_and_exported(dark_model, spotted, tmp_path):
    cv2.imwrite(str(tmp_path / "a.png"), spotted)
    cv2.imwrite(str(tmp_path / "b.png"), np.full((48, 64), 200, np.uint8))
    casae("inspect", "a.png", "b.png", "--model", dark_model, "--out", "results", cwd=tmp_path)

    def records(*words: object) -> subprocess.CompletedProcess[str]:
        return casae("records", *words, cwd=tmp_path)

    assert records("import", "results").stdout == "2 new, 0 were there already\n"
    assert records("import", "results").stdout == "0 new, 2 were there already\n"
    listed = records("list").stdout
    assert "1 OK, 0 REVIEW, 1 NG" in listed
    found = records("find", "--decision", "NG", "--since", "1h").stdout.splitlines()
    assert len(found) == 2
    key = found[1].split()[0]
    assert records("review", key, "OK", "--why", "dust", "--who", "ann").returncode == 0
    shown = json.loads(records("show", key).stdout)
    assert (shown["record"]["decision"], shown["reviews"][0]["new"]) == ("NG", "OK")
    assert records("export", "all.csv").stdout == "2 inspections in all.csv\n"
    assert records("prune", "--before", "2000-01-01").stdout.startswith(
        "0 inspections from before 2000-01-01 00:00 would"
    )
    assert records("backup", "copy.db").returncode == 0
    assert records("restore", "copy.db").stdout == "casae-home holds what copy.db held\n"
    with closing(sqlite3.connect(tmp_path / "casae-home" / "records.db")) as connection:
        ((what, subject),) = connection.execute("SELECT what, subject FROM audit")
        assert (what, subject) == ("restored a backup", "copy.db")
        ((content,),) = connection.execute("SELECT content FROM rules")
        assert json.loads(content)["rule"] == []  # that decided, out of the results folder
    assert records("export", "sizes.csv", "--rows", "defects").stdout.startswith("2 defects in")
    assert records("export", "said.jsonl", "--rows", "reviews").stdout == "1 reviews in said.jsonl\n"
    for words, code, said in (
        (("show", "x"), 2, "x: no inspection has this id"),
        (("find", "--since", "soon"), 2, "--since soon: is no time"),
        (("find", "--since", "9999999d"), 2, "--since 9999999d: is no time"),
        (("restore", "copy.db", "--home", "postgresql://x@y/z"), 2, "its records are a server's"),
        (("import", "nowhere"), 2, "nowhere: holds no inspections.jsonl"),
        (("list", "--home", "a.png"), 2, "a.png: holds no records.db"),
        (("import", "results", "--home", "a.png"), 3, "a.png"),
    ):
        done = records(*words)
        assert (done.returncode, done.stderr.count("\n")) == (code, 1)
        assert said in done.stderr


@pytest.mark.parametrize("words", [["records", "list"], ["publish", "list"], ["publish", "drop", "mqtt"]])
def test_records_without_their_extra_say_so(words, tmp_path):
    program = f"""
import sys
import importlib.util
found = importlib.util.find_spec
importlib.util.find_spec = lambda name, *rest: None if name == "alembic" else found(name, *rest)
from casae.cli.main import main
sys.argv = ["casae", *{words}]
main()
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, cwd=tmp_path, check=False)
    assert (done.returncode, done.stderr.count("\n")) == (2, 1)
    assert "records need alembic; pip install 'casae[records]'" in done.stderr
