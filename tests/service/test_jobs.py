import io
import json
import os
import threading
import time
import zipfile
from pathlib import Path
from types import SimpleNamespace

import pytest

from asked import is_problem, png
from casae.config import InspectionSettings
from casae.models.bundle import read_bundle
from casae.records.database import opened
from casae.service import datasets
from casae.service.catalogue import Catalogue
from casae.service.home import Home
from casae.service.jobs import JobRunner, Train, _words, job_by_id, page_of_jobs

NOBODY = "01a22af1-6e31-7cde-b5c1-1b98c6e5a79e"


def packed(files):
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w") as archive:
        for name, data in files.items():
            archive.writestr(name, data)
    return content.getvalue()


def of_folder(folder):
    return packed({str(file.relative_to(folder)): file.read_bytes() for file in folder.rglob("*") if file.is_file()})


@pytest.fixture
def dataset(client, components):
    answer = client.post(
        "/api/v1/datasets", params={"name": "rings"}, files={"content": ("r.zip", of_folder(components))}
    )
    assert answer.status_code == 201, answer.text
    return answer.json()


@pytest.fixture
def runner(client, tmp_path):
    """Does the jobs of the home until the test is over."""
    home = Home(tmp_path / "home")
    with opened(home.folder) as engine:
        made = JobRunner(engine, home, Catalogue(home, engine, InspectionSettings()), str(home.folder))
        made.start()
        yield made
        made.stop()


def over(client, key, states=("done", "failed", "cancelled"), seconds=120):
    end = time.monotonic() + seconds
    while (job := client.get(f"/api/v1/jobs/{key}").json())["state"] not in states:
        assert time.monotonic() < end, job
        time.sleep(0.1)
    return job


def begin(client, **wanted):
    answer = client.post("/api/v1/jobs", json=wanted)
    assert answer.status_code == 202, answer.text
    return answer.json()["id"]


def test_a_dataset_is_unpacked_whole_or_not_at_all(client, dataset, tmp_path):
    assert dataset["files"] == 27
    assert [each["name"] for each in client.get("/api/v1/datasets").json()] == ["rings"]
    again = client.post("/api/v1/datasets", params={"name": "rings"}, files={"content": ("r.zip", b"x")})
    assert "there is such a dataset" in is_problem(again, 409)
    inside = packed({"rings/images/a.png": png(), "rings/dataset.toml": b""})
    client.post("/api/v1/datasets", params={"name": "inside"}, files={"content": ("r.zip", inside)})
    assert sorted(each.name for each in (tmp_path / "home/datasets/inside").iterdir()) == ["dataset.toml", "images"]
    link = zipfile.ZipInfo("link.png")
    link.external_attr = 0o120777 << 16
    for content in (
        b"no zip",
        packed({"../evil.png": b"x"}),
        packed({"/etc/evil.png": b"x"}),
        packed({"a/../../../evil.png": b"x"}),
        packed({"a.png": png(), "C:\\evil.png": b"x"}),
        packed({"a.png": png()})[:-30],
        packed({"a.png": png()}).replace(b"IDAT", b"JDAT"),
        packed({"a": b"x", "a/b": b"x"}),
        packed({".": b"x"}),
    ):
        answer = client.post("/api/v1/datasets", params={"name": "bad"}, files={"content": ("r.zip", content)})
        is_problem(answer, 422)
    bomb = io.BytesIO()
    with zipfile.ZipFile(bomb, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("zeros.png", bytes(50_000_000))
        archive.writestr(link, "/etc/passwd")
    answer = client.post("/api/v1/datasets", params={"name": "bad"}, files={"content": ("r.zip", bomb.getvalue())})
    assert "packed 200 times at most" in is_problem(answer, 422)
    for name in ("..", "a/b", ".hidden", "a:b"):
        answer = client.post(
            "/api/v1/datasets", params={"name": name}, files={"content": ("r.zip", packed({"a": b""}))}
        )
        is_problem(answer, 422)
    assert sorted(each.name for each in (tmp_path / "home/datasets").iterdir()) == ["inside", "rings"]
    assert not list(tmp_path.rglob("evil*"))


def test_jobs_convert_evaluate_and_inspect_beside_the_line(client, dataset, runner):
    converting = begin(client, kind="convert", dataset="folder:rings", target="coco:rings-coco")
    model = client.get("/api/v1/models").json()[0]["sha256"]
    batch = begin(client, kind="batch", pictures="rings/images", model_sha256=model, product="ring")
    job = over(client, converting)
    assert (job["state"], job["result"]) == ("done", {"dataset": "coco:rings-coco"}), job
    assert "rings-coco" in [each["name"] for each in client.get("/api/v1/datasets").json()]
    job = over(client, batch)
    assert (job["state"], job["progress"]) == ("done", 1.0), job
    items = client.get("/api/v1/inspections", params={"product": "ring", "limit": 1000}).json()["items"]
    assert len(items) == 12
    assert "12 inspected" in client.get(f"/api/v1/jobs/{batch}/log").text
    assert client.get(f"/api/v1/inspections/{items[0]['id']}/overlay").status_code == 200
    assert [job["id"] for job in client.get("/api/v1/jobs").json()] == [batch, converting]


def test_a_job_that_fails_says_why_and_the_next_one_runs(client, dataset, runner):
    model = client.get("/api/v1/models").json()[0]["sha256"]
    failing = begin(client, kind="evaluate", dataset="folder:rings", model_sha256=model, split="nothing")
    good = begin(client, kind="convert", dataset="folder:rings", target="labelme:rings-labelme")
    job = over(client, failing)
    assert job["state"] == "failed"
    assert "nothing" in job["error"]
    assert "Traceback" not in client.get(f"/api/v1/jobs/{failing}/log").text
    assert over(client, good)["state"] == "done"


def test_what_a_job_names_is_checked_at_once(client, dataset):
    for dataset in ("folder:../..", "folder:/etc", "rings", "folder:", "folder:rings/../../home"):
        is_problem(client.post("/api/v1/jobs", json={"kind": "train", "dataset": dataset, "name": "m"}), 422)
    for name in ("../m", "a/b", "", "-x"):
        is_problem(client.post("/api/v1/jobs", json={"kind": "train", "dataset": "folder:rings", "name": name}), 422)
    is_problem(
        client.post("/api/v1/jobs", json={"kind": "convert", "dataset": "folder:rings", "target": "coco:../x"}), 422
    )
    train = {"kind": "train", "dataset": "folder:rings", "name": "m"}
    for more in ({"target": "best"}, {"target": "recall=2"}, {"looks": 3}, {"looks": "2"}):
        is_problem(client.post("/api/v1/jobs", json=train | more), 422)
    gone = {"kind": "train", "dataset": "folder:gone", "name": "m"}
    assert "gone: is not there" in is_problem(client.post("/api/v1/jobs", json=gone), 404)
    long = {"kind": "batch", "pictures": "x" * 300, "model_sha256": "0" * 64}
    is_problem(client.post("/api/v1/jobs", json=long), 404)
    is_problem(client.post("/api/v1/jobs", json={"kind": "shell", "command": "ls"}), 422)
    for path in ("", "/log", "/files", "/files/x"):
        is_problem(client.get(f"/api/v1/jobs/{NOBODY}{path}"), 404)
    is_problem(client.post(f"/api/v1/jobs/{NOBODY}/cancel"), 404)


def test_a_training_is_the_command_that_does_it(tmp_path):
    home = SimpleNamespace(jobs=tmp_path, dataset=lambda name: name)
    wanted = Train(
        kind="train", dataset="folder:rings", name="rings", split="train", minutes=5, target="good=0.95", looks=4
    )
    words = _words(home, "key", wanted, resumed=True)
    assert words[:4] == ["train", "folder:rings", "--out", str(tmp_path / "key/rings.casae")]
    given = dict(zip(words[4:-1:2], words[5:-1:2], strict=True))
    known = {"--preset": "fast", "--seed": "0", "--split": "train", "--minutes": "5.0"}
    assert given == known | {"--target": "good=0.95", "--looks": "4"}
    assert words[-1] == "--resume"


def test_events_begin_where_a_page_was_drawn(client, monkeypatch):
    from casae.service.api import events

    monkeypatch.setattr(events, "EVERY_S", 0.02)
    service = client.app.state.service
    before, first, second = (
        client.post("/api/v1/inspections", files={"image": (f"{n}.png", png())}).json()["id"] for n in range(3)
    )
    threading.Timer(1, lambda: setattr(service, "stopping", True)).start()
    with client.stream("GET", "/api/v1/events", params={"since_id": first}) as stream:
        ids = [line.removeprefix("id: ") for line in stream.iter_lines() if line.startswith("id: ")]
    assert ids == [first, second]
    assert before < first


def test_without_a_list_a_training_takes_the_usual_pictures(tmp_path):
    home = SimpleNamespace(jobs=tmp_path, dataset=lambda name: name)
    wanted = Train(kind="train", dataset="folder:rings", name="rings")
    assert "--split" not in _words(home, "key", wanted, resumed=False)
    some = wanted.model_copy(update={"split": "few"})
    assert _words(home, "key", some, resumed=False)[-2:] == ["--split", "few"]


def test_a_dataset_that_cannot_be_packed_leaves_nothing_behind(client, dataset, monkeypatch):
    home = client.app.state.service.home

    def full(self, file, name):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(zipfile.ZipFile, "write", full)
    assert "the disk of the service fails" in is_problem(client.get("/api/v1/datasets/rings/file"), 503)
    assert list(home.passing.glob("*.zip")) == []
    monkeypatch.undo()
    usage = datasets.shutil.disk_usage(home.passing)
    monkeypatch.setattr(datasets.shutil, "disk_usage", lambda folder: usage._replace(free=100))
    assert "the disk of the service fails" in is_problem(client.get("/api/v1/datasets/rings/file"), 503)
    monkeypatch.undo()
    (home.datasets / "rings" / "notes.txt").write_text("old")
    os.utime(home.datasets / "rings" / "notes.txt", (0, 0))  # a zip knows no time before 1980
    packed = client.get("/api/v1/datasets/rings/file").content
    assert "rings/notes.txt" in zipfile.ZipFile(io.BytesIO(packed)).namelist()


def test_a_job_that_waits_or_runs_is_cancelled(client, dataset, runner):
    training = begin(client, kind="train", dataset="folder:rings", name="rings", minutes=30)
    waiting = begin(client, kind="convert", dataset="folder:rings", target="coco:never")
    over(client, training, ("running",))
    assert client.post(f"/api/v1/jobs/{waiting}/cancel").json()["state"] == "cancelled"
    end = time.monotonic() + 60
    while not (job := client.get(f"/api/v1/jobs/{training}").json())["stage"]:
        assert time.monotonic() < end, client.get(f"/api/v1/jobs/{training}/log").text
        time.sleep(0.1)
    assert job["left_s"] is None or job["left_s"] > 0
    client.post(f"/api/v1/jobs/{training}/cancel")
    assert over(client, training)["state"] == "cancelled"
    words = str(runner.home.jobs / training).encode()
    assert not [each for each in Path("/proc").glob("[0-9]*") if words in _command(each)]


def _command(process):
    try:
        return (process / "cmdline").read_bytes()
    except OSError:
        return b""


@pytest.mark.slow
def test_a_training_makes_a_model_of_the_home_and_goes_on_after_a_restart(client, dataset, runner, tmp_path):
    wanted = {"kind": "train", "dataset": "folder:rings", "name": "rings", "minutes": 0.5, "preset": "scratch"}
    wanted |= {"looks": 2, "target": "keep"}
    key = begin(client, **wanted)
    over(client, key, ("running",))
    log = tmp_path / "home/jobs" / key / "log.txt"
    end = time.monotonic() + 60
    while not log.exists() or not client.get(f"/api/v1/jobs/{key}").json()["stage"]:
        assert time.monotonic() < end
        time.sleep(0.1)
    runner.stop()  # the service ends
    with opened(tmp_path / "home") as engine:
        assert job_by_id(engine, runner.home, key).state == "running"
        again = JobRunner(engine, runner.home, runner.catalogue, runner.database)
        again.start()
        job = over(client, key, seconds=300)
        again.stop()
    assert job["state"] == "done", job
    model = client.get(f"/api/v1/models/{job['result']['model_sha256']}").json()
    assert model["name"] == "rings"
    assert read_bundle(runner.home.model(job["result"]["model_sha256"])).manifest.looks == 2
    assert "rings.casae" in client.get(f"/api/v1/jobs/{key}/files").json()
    page = client.get(f"/api/v1/jobs/{key}/files/rings.html")
    assert page.headers["content-security-policy"].startswith("sandbox")
    is_problem(client.get(f"/api/v1/jobs/{key}/files/..%2F..%2Frecords.db"), 404)


def test_events_say_what_is_inspected_and_how_far_jobs_are(client, dataset, runner, monkeypatch):
    from casae.service.api import events

    monkeypatch.setattr(events, "EVERY_S", 0.02)
    service = client.app.state.service
    late = client.post("/api/v1/inspections", files={"image": ("0.png", png())}).json()  # maybe recorded after `first`
    first = client.post("/api/v1/inspections", files={"image": ("a.png", png())}).json()
    missed = client.post("/api/v1/inspections", files={"image": ("b.png", png())}).json()
    begin(client, kind="convert", dataset="folder:rings", target="coco:rings-coco")
    end, kinds = time.monotonic() + 30, []
    service.stopping = False

    def stop():
        while time.monotonic() < end and page_of_jobs(service.engine, service.home, None, 1)[0].state != "done":
            time.sleep(0.1)
        time.sleep(1)  # so that it is told
        service.stopping = True

    thread = threading.Thread(target=stop)
    thread.start()
    with client.stream("GET", "/api/v1/events", headers={"Last-Event-ID": first["id"]}) as stream:
        assert stream.headers["content-type"].startswith("text/event-stream")
        lines = list(stream.iter_lines())
    thread.join()
    kinds = [line.removeprefix("event: ") for line in lines if line.startswith("event: ")]
    ids = [line.removeprefix("id: ") for line in lines if line.startswith("id: ")]
    assert ids == [late["id"], missed["id"]]
    assert "job" in kinds
    told = [json.loads(line.removeprefix("data: ")) for line in lines if line.startswith("data: ")]
    assert [told[0]["id"], told[1]["id"]] == ids
    assert [each["state"] for each in told if "state" in each][-1] == "done"


def test_a_zip_of_a_mac_is_what_its_person_sees(client, components):
    mac = {
        f"rings/{file.relative_to(components)}": file.read_bytes() for file in components.rglob("*") if file.is_file()
    }
    mac |= {
        "__MACOSX/rings/._dataset.toml": b"x",
        "rings/images/._a.png": b"x",
        "rings/.DS_Store": b"x",
        ".DS_Store": b"x",
    }
    put = client.post("/api/v1/datasets", params={"name": "mac"}, files={"content": ("r.zip", packed(mac))})
    assert put.status_code == 201, put.text
    assert client.get("/api/v1/projects/mac").status_code == 200
    empty = client.post(
        "/api/v1/datasets", params={"name": "empty"}, files={"content": ("r.zip", packed({"__MACOSX/a": b""}))}
    )
    assert "holds no file" in is_problem(empty, 422)
    assert client.get("/api/v1/projects/empty").status_code == 404


def test_events_tell_of_every_job_that_waits_or_runs(client, dataset, monkeypatch):
    from casae.service.api import events

    monkeypatch.setattr(events, "EVERY_S", 0.02)
    monkeypatch.setattr(events, "NEWEST_JOBS", 2)
    begun = [begin(client, kind="convert", dataset="folder:rings", target=f"coco:to-{n}") for n in range(5)]
    service = client.app.state.service
    service.stopping = False
    threading.Timer(1, lambda: setattr(service, "stopping", True)).start()
    with client.stream("GET", "/api/v1/events") as stream:
        told = [json.loads(line.removeprefix("data: ")) for line in stream.iter_lines() if line.startswith("data: ")]
    assert [each["id"] for each in told] == begun
