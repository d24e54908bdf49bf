from datetime import timedelta

import pytest

from asked import is_problem, png
from casae.errors import UsageError
from casae.records.database import opened
from casae.service import who as module
from casae.service.run import serve
from casae.service.settings import ServiceSettings
from casae.service.who import ROLES, add_user, change_user, new_token, who_has

SIGN_IN = {"name": "the admin", "password": "a good password"}
ASKED = (  # what each role may, from the least on
    ("viewer", "GET", "/api/v1/inspections", {}),
    ("viewer", "GET", "/metrics", {}),
    ("operator", "POST", "/api/v1/inspections", {"files": {"image": ("a.png", png())}}),
    ("engineer", "POST", "/api/v1/activations", {"json": {"model_sha256": "0" * 64}}),
    ("engineer", "POST", "/api/v1/rules?name=x", {"content": b"", "headers": {"Content-Type": "application/toml"}}),
    ("engineer", "POST", "/api/v1/jobs", {"json": {"kind": "convert", "dataset": "folder:x", "target": "coco:y"}}),
    ("admin", "GET", "/api/v1/users", {}),
    ("admin", "GET", "/api/v1/audit", {}),
)


def test_every_path_but_health_needs_somebody_known(serving):
    client = serving(login=True, activate=False)
    for path, methods in client.app.openapi()["paths"].items():
        for method in methods:
            answer = client.request(method, path.replace("{", "").replace("}", ""))
            if path in ("/health", "/ready"):
                assert answer.status_code in (200, 503)
            elif path == "/api/v1/session" and method == "post":
                is_problem(answer, 422)
            else:
                is_problem(answer, 401)
    assert client.get("/api/v1/openapi.json").status_code == 200


@pytest.mark.parametrize("role", ROLES)
def test_a_role_may_what_those_before_it_may(serving, token, role):
    client = serving(login=True, activate=False, token=token(role))
    for needed, method, path, parts in ASKED:
        answer = client.request(method, path, **parts)
        if ROLES.index(role) < ROLES.index(needed):
            assert f"this needs the role {needed}" in is_problem(answer, 403)
        else:
            assert answer.status_code not in (401, 403)


def test_a_token_is_kept_as_a_hash_ends_and_is_revoked(serving, token, tmp_path):
    secret = token("admin")
    assert secret.encode() not in b"".join(file.read_bytes() for file in (tmp_path / "home").glob("records.db*"))
    client = serving(login=True, activate=False, token=secret)
    made = client.post("/api/v1/users/the admin/tokens", json={"label": "PLC", "days": 1}).json()
    other = {"Authorization": f"Bearer {made['token']}"}
    assert client.get("/api/v1/users", headers=other).status_code == 200
    assert [each["label"] for each in client.get("/api/v1/users/the admin/tokens").json()] == ["test", "PLC"]
    assert client.delete(f"/api/v1/tokens/{made['id']}").status_code == 204
    is_problem(client.get("/api/v1/users", headers=other), 401)
    client.delete("/api/v1/session")
    assert client.get("/api/v1/users").status_code == 200  # a program does not sign out
    with opened(tmp_path / "home") as engine:
        _, late = new_token(engine, "the admin", "late", timedelta(seconds=-1))
        assert who_has(engine, late, "token", "") is None
        assert who_has(engine, secret, "session", "") is None


def test_a_person_signs_in_with_a_cookie_that_pages_of_others_cannot_use(serving, token):
    token("admin")
    client = serving(login=True, activate=False)
    answer = client.post("/api/v1/session", json=SIGN_IN)
    assert (answer.status_code, answer.json()["role"]) == (200, "admin")
    cookie = answer.headers["set-cookie"].lower()
    assert "httponly" in cookie
    assert "samesite=strict" in cookie
    assert client.get("/api/v1/users").status_code == 200
    new = {"name": "ben", "role": "viewer", "password": "another password"}
    assert "x-csrf-token" in is_problem(client.post("/api/v1/users", json=new), 403)
    csrf = client.get("/api/v1/session").json()["csrf"]
    assert client.post("/api/v1/users", json=new, headers={"X-CSRF-Token": csrf}).status_code == 201
    foreign = {"X-CSRF-Token": csrf, "Origin": "https://evil.example"}
    assert "another site" in is_problem(client.post("/api/v1/users", json=new, headers=foreign), 403)
    assert client.delete("/api/v1/session", headers={"X-CSRF-Token": csrf}).status_code == 204
    is_problem(client.get("/api/v1/users"), 401)


def test_wrong_passwords_are_counted_and_say_nothing(serving, token, monkeypatch):
    token("admin")
    client = serving(login=True, activate=False)
    said = set()
    for name in ("the admin", "nobody"):
        for _ in range(module.TRIES):
            answer = client.post("/api/v1/session", json={"name": name, "password": "wrong"})
            said.add(is_problem(answer, 401))
        refused = client.post("/api/v1/session", json=SIGN_IN | {"name": name})
        assert "too many wrong passwords" in is_problem(refused, 429)
        assert refused.headers["retry-after"] == "900"
    assert len(said) == 1
    monkeypatch.setattr(module, "WITHIN", timedelta(0))
    assert client.post("/api/v1/session", json=SIGN_IN).status_code == 200


def test_who_is_disabled_or_has_a_new_password_is_out(serving, token, tmp_path):
    admin, viewer = token("admin"), token("viewer")
    client = serving(login=True, activate=False, token=admin)
    asked = {"headers": {"Authorization": f"Bearer {viewer}"}}
    assert client.get("/api/v1/inspections", **asked).status_code == 200
    assert client.patch("/api/v1/users/the viewer", json={"disabled": True}).status_code == 200
    is_problem(client.get("/api/v1/inspections", **asked), 401)
    assert "last admin" in is_problem(client.patch("/api/v1/users/the admin", json={"disabled": True}), 422)
    assert "last admin" in is_problem(client.patch("/api/v1/users/the admin", json={"role": "viewer"}), 422)
    assert "at least 10 characters" in is_problem(
        client.patch("/api/v1/users/the admin", json={"password": "short"}), 422
    )
    is_problem(client.patch("/api/v1/users/nobody", json={}), 404)
    with opened(tmp_path / "home") as engine:
        with pytest.raises(UsageError, match="there is a user of this name"):
            add_user(engine, "the admin", "admin")
        with pytest.raises(UsageError, match="there is no such user"):
            change_user(engine, "nobody", role="viewer")
    lines = client.get("/api/v1/audit").json()
    assert (lines[0]["what"], lines[0]["subject"], lines[0]["detail"]["disabled"]) == (
        "changed a user",
        "the viewer",
        True,
    )


def test_without_login_only_this_machine_is_answered(client):
    assert client.get("/api/v1/inspections", headers={"Host": "127.0.0.1:8000"}).status_code == 200
    foreign = ("evil.example", "a{b.evil.example:8000", "a`b", "localhost.evil.example", "")
    for headers in (*({"Host": host} for host in foreign), {"X-Forwarded-For": "10.0.0.1"}):
        answer = client.get("/api/v1/inspections", headers=headers)
        assert "only this machine is answered" in is_problem(answer, 403)
    files = {"image": ("a.png", png())}
    origins = ("http://evil.example", "null", "http://[", "")
    for headers in (*({"Origin": origin} for origin in origins), {"Sec-Fetch-Site": "cross-site"}):
        is_problem(client.post("/api/v1/inspections", files=files, headers=headers), 403)
    assert client.post("/api/v1/inspections", files=files, headers={"Origin": "http://localhost"}).status_code == 201


def test_nobody_is_let_in_from_elsewhere_without_login(tmp_path):
    from casae.service.home import Home
    from casae.service.settings import service_settings

    with pytest.raises(UsageError, match="login cannot be off"):
        service_settings(tmp_path, {"host": "0.0.0.0", "login": False}, {})
    with pytest.raises(UsageError, match="casae users add NAME --role admin"):
        serve(Home(tmp_path / "home"), ServiceSettings(host="0.0.0.0", port=0))


def test_who_is_unknown_sends_no_body(serving, token):
    client = serving(login=True, activate=False)

    def body():
        yield bytes(2**20)

    for path in ("/api/v1/datasets?name=x", "/api/v1/models", "/api/v1/inspections"):
        is_problem(client.post(path, content=body(), headers={"Content-Type": "multipart/form-data; boundary=x"}), 401)
    operator = {"Authorization": f"Bearer {token('operator')}", "Content-Type": "multipart/form-data; boundary=x"}
    is_problem(client.post("/api/v1/datasets?name=x", content=body(), headers=operator), 403)
    long = client.post("/api/v1/session", content=b"{" * 10**6, headers={"Content-Type": "application/json"})
    is_problem(long, 413)


def test_many_names_from_one_address_are_stopped_too(serving, token, monkeypatch):
    token("admin")
    monkeypatch.setattr(module, "TRIES_OF_ALL", 3)
    client = serving(login=True, activate=False)
    for name in "abc":
        is_problem(client.post("/api/v1/session", json={"name": name, "password": "wrong"}), 401)
    is_problem(client.post("/api/v1/session", json=SIGN_IN), 429)


def test_answers_say_how_browsers_shall_treat_them(client):
    for path in ("/health", "/api/v1/inspections", "/nothing"):
        headers = client.get(path).headers
        assert headers["x-content-type-options"] == "nosniff"
        assert headers["x-frame-options"] == "DENY"
        assert "default-src 'none'" in headers["content-security-policy"]
        assert len(headers["x-request-id"]) == 36


def test_names_are_such_as_the_api_can_address(client, tmp_path):
    for name in ("", " ann", "ann ", "..", "a/b", "a\\b", "a\nb", "local", "x" * 101):
        with opened(tmp_path / "home") as engine, pytest.raises(UsageError, match="is no name for a user"):
            add_user(engine, name, "viewer")
        assert client.post("/api/v1/users", json={"name": name, "role": "viewer"}).status_code == 422
    assert client.post("/api/v1/users", json={"name": "Ann Müller", "role": "viewer"}).status_code == 201
    assert client.patch("/api/v1/users/Ann Müller", json={"disabled": True}).status_code == 200


def test_who_is_no_admin_is_changed_where_there_is_none(client, tmp_path):
    client.post("/api/v1/users", json={"name": "line", "role": "operator"})
    with opened(tmp_path / "home") as engine:
        assert change_user(engine, "line", disabled=True).disabled


def test_tokens_that_cannot_hold_are_named(client):
    nobody = "00000000-0000-0000-0000-000000000000"
    assert "no token of this id holds" in is_problem(client.delete(f"/api/v1/tokens/{nobody}"), 404)
    client.post("/api/v1/users", json={"name": "bob", "role": "viewer"})
    key = client.post("/api/v1/users/bob/tokens", json={"label": "x"}).json()["id"]
    assert client.delete(f"/api/v1/tokens/{key}").status_code == 204
    is_problem(client.delete(f"/api/v1/tokens/{key}"), 404)  # it holds no more
    client.patch("/api/v1/users/bob", json={"disabled": True})
    assert "enable them first" in is_problem(client.post("/api/v1/users/bob/tokens", json={"label": "x"}), 409)
    assert [each["what"] for each in client.get("/api/v1/audit").json()].count("revoked a token") == 1
