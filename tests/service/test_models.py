import threading

import pytest

from asked import add_model, is_problem, png, send
from casae.models.bundle import read_bundle, write_bundle

RULES = b"[[rule]]\nmax_count = 5\n"
TOML = {"Content-Type": "application/toml"}


@pytest.fixture
def other_model(dark_model, tmp_path):
    """A second model, which finds nothing smaller than 1000 px."""
    bundle = read_bundle(dark_model)
    from dataclasses import replace

    file = tmp_path / "other.casae"
    write_bundle(
        replace(bundle, manifest=bundle.manifest.model_copy(update={"name": "other", "min_area_px": 1000})), file
    )
    return file


def test_without_a_model_it_is_not_ready_and_says_what_to_do(serving, dark_model):
    client = serving(activate=False)
    assert client.get("/health").json()["status"] == "ok"
    assert "no model is active" in is_problem(client.get("/ready"), 503)
    assert "no model is active" in is_problem(client.post("/api/v1/inspections", files={"image": ("a", png())}), 409)
    sha256 = add_model(client, dark_model)
    is_problem(client.get("/ready"), 503)  # to be there is not to judge
    client.post("/api/v1/activations", json={"model_sha256": sha256, "product": "ring"})
    assert client.get("/ready").status_code == 200
    assert send(client, png(), product="ring")["model"] == "dark"
    assert "for product plate" in is_problem(
        client.post("/api/v1/inspections", files={"image": ("a", png())}, data={"product": "plate"}), 409
    )


def test_rolled_back_to_nothing_it_is_not_ready(serving, dark_model):
    client = serving(activate=False)
    sha256 = add_model(client, dark_model)
    client.post("/api/v1/activations", json={"model_sha256": sha256, "product": "ring"})
    client.post("/api/v1/activations/rollback", json={"product": "ring"})
    assert "no model is active" in is_problem(client.get("/ready"), 503)


def test_two_who_roll_back_at_once_go_back_once(client, dark_model, monkeypatch):
    sha256 = add_model(client, dark_model)
    for _ in range(3):
        client.post("/api/v1/activations", json={"model_sha256": sha256, "product": "ring"})
    catalogue = client.app.state.service.catalogue
    real, known = catalogue.history, catalogue.history("ring")
    catalogue.roll_back("ring", "ann", "")
    monkeypatch.setattr(catalogue, "history", lambda *_: known)  # as the other one read it
    answer = client.post("/api/v1/activations/rollback", json={"product": "ring"})
    assert "somebody changed it just now" in is_problem(answer, 409)
    monkeypatch.setattr(catalogue, "history", real)
    assert len(catalogue.history("ring")) == 4


def test_a_model_is_added_once_described_and_taken_away_again(client, dark_model):
    (listed,) = client.get("/api/v1/models").json()
    assert (listed["name"], listed["added_by"]) == ("dark", "local")
    assert add_model(client, dark_model) == listed["sha256"]
    assert len(client.get("/api/v1/models").json()) == 1
    whole = client.get(f"/api/v1/models/{listed['sha256']}").json()
    assert (whole["classes"], whole["card"]) == (["stain", "glare"], "# dark\n")
    assert client.get(f"/api/v1/models/{listed['sha256']}/file").content == dark_model.read_bytes()
    is_problem(client.get(f"/api/v1/models/{'0' * 64}"), 404)
    is_problem(client.get("/api/v1/models/..%2Fx"), 404)
    for content in (b"", b"no model", dark_model.read_bytes()[:-100]):
        is_problem(client.post("/api/v1/models", files={"model": ("m.casae", content)}), 422)


def test_products_have_models_and_rules_of_their_own_and_go_back(client, other_model):
    first = send(client, png(), "a.png")
    assert (first["model"], first["decision"]) == ("dark", "NG")
    other = add_model(client, other_model)
    answer = client.post("/api/v1/rules", params={"name": "lenient"}, content=RULES, headers=TOML)
    assert answer.status_code == 201
    rules = answer.json()["sha256"]
    dark = client.get("/api/v1/activations").json()[0]["model_sha256"]
    told = {"model_sha256": dark, "rules_sha256": rules, "product": "ring", "why": "dust is fine"}
    assert client.post("/api/v1/activations", json=told).status_code == 201
    assert send(client, png(), "b.png", product="ring")["decision"] == "OK"
    assert send(client, png(), "b.png", product="plate")["decision"] == "NG"
    changed = client.post("/api/v1/activations", json={"model_sha256": other, "product": "ring"})
    assert changed.json()["rules_sha256"] == rules  # stays, as nobody says otherwise
    assert send(client, png(), "c.png", product="ring")["model"] == "other"
    back = client.post("/api/v1/activations/rollback", json={"product": "ring", "why": "misses scratches"})
    assert (back.status_code, back.json()["rules_sha256"]) == (201, rules)
    assert send(client, png(), "d.png", product="ring")["decision"] == "OK"
    history = client.get("/api/v1/activations", params={"product": "ring"}).json()
    assert [each["why"] for each in history] == ["misses scratches", "", "dust is fine"]
    assert history[0]["undoes"] == history[1]["id"]
    back = client.post("/api/v1/activations/rollback", json={"product": "ring"})
    assert (back.status_code, back.json()["model_sha256"]) == (201, None)  # nothing of its own: as product "" has it
    assert send(client, png(), "e.png", product="ring")["decision"] == "NG"
    is_problem(client.post("/api/v1/activations/rollback", json={"product": "ring"}), 409)
    is_problem(client.post("/api/v1/activations/rollback", json={}), 409)
    whats = [line["what"] for line in client.get("/api/v1/audit").json()]
    assert whats == [
        "rolled back",
        "rolled back",
        "activated",
        "activated",
        "added rules",
        "added a model",
        "activated",
        "added a model",
    ]


def test_rules_have_versions_and_name_what_is_wrong(client):
    for count in (1, 2):
        content = b"[[rule]]\nmax_count = %d\n" % count
        assert client.post("/api/v1/rules", params={"name": "ring"}, content=content, headers=TOML).status_code == 201
    client.post("/api/v1/rules", params={"name": "ring"}, content=b"[[rule]]\nmax_count = 1\n", headers=TOML)
    listed = client.get("/api/v1/rules").json()
    assert [(each["name"], each["version"]) for each in listed] == [("ring", 1), ("ring", 2), ("ring", 3)]
    assert listed[0]["sha256"] == listed[2]["sha256"]  # back to the first ones
    for name in ("ring", "other"):  # the newest of ring say so already
        client.post("/api/v1/rules", params={"name": name}, content=b"[[rule]]\nmax_count = 1\n", headers=TOML)
    versions = [(each["name"], each["version"]) for each in client.get("/api/v1/rules").json()]
    assert versions == [("ring", 1), ("ring", 2), ("ring", 3), ("other", 1)]
    whole = client.get(f"/api/v1/rules/{listed[1]['sha256']}").json()
    assert whole["content"]["rule"][0]["max_count"]["accept"] == 2
    broken = client.post("/api/v1/rules", params={"name": "ring"}, content=b"[[rule]]\nmax_cuont = 1\n", headers=TOML)
    assert "rules, line 2, column 1: rule #1.max_cuont: no such setting; is max_count" in is_problem(broken, 422)
    is_problem(client.post("/api/v1/rules", params={"name": "ring"}, content=RULES), 415)
    is_problem(client.get(f"/api/v1/rules/{'0' * 64}"), 404)
    dark = client.get("/api/v1/models").json()[0]["sha256"]
    strange = b'[[rule]]\nclass = "rust"\nmax_count = 1\n'
    sha256 = client.post("/api/v1/rules", params={"name": "x"}, content=strange, headers=TOML).json()["sha256"]
    answer = client.post("/api/v1/activations", json={"model_sha256": dark, "rules_sha256": sha256})
    assert "rust" in is_problem(answer, 422)
    assert len(client.get("/api/v1/activations").json()) == 1


def test_no_request_is_dropped_while_models_change(client, other_model):
    dark = client.get("/api/v1/models").json()[0]["sha256"]
    other = add_model(client, other_model)
    answers = []

    def ask():
        name = threading.get_ident()
        answers.extend(send(client, png(150 + number), f"{name}-{number}.png") for number in range(15))

    threads = [threading.Thread(target=ask) for _ in range(3)]
    for thread in threads:
        thread.start()
    for number in range(10):
        told = {"model_sha256": (other, dark)[number % 2]}
        assert client.post("/api/v1/activations", json=told).status_code == 201
    for thread in threads:
        thread.join()
    assert len({answer["id"] for answer in answers}) == 45
    found = {(answer["model"], bool(answer["defects"])) for answer in answers}
    assert found <= {("dark", True), ("other", False)}  # each by one model as a whole
