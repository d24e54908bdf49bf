import re
from typing import get_args

import pytest

from asked import png, send
from casae.service.jobs import State
from casae.service.pages.texts import LANGUAGES, TEXTS
from casae.service.pages.views import STATIC

HTML = {"Accept": "text/html"}
SERVICE = STATIC.parent


def page(client, path, status=200, **headers):
    answer = client.get(path, headers=HTML | headers)
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"].startswith("text/html")
    assert "script-src 'self'" in answer.headers["content-security-policy"] or status >= 400
    return answer.text


def test_the_live_page_shows_what_came_and_the_counts_of_the_day(client):
    assert "Nothing was inspected yet" in page(client, "/")
    record = send(client, png(), serial="<b>4711</b>", product="ring")
    send(client, png(150, 0))
    html = page(client, "/")
    assert "&lt;b&gt;4711&lt;/b&gt;" in html
    assert html.count('<li class="card"') == 2
    assert f"/api/v1/inspections/{record['id']}/overlay" in html
    assert re.findall(r'data-count="(\w+)">(\d+)<', html) == [("OK", "1"), ("REVIEW", "0"), ("NG", "1")]


def test_the_history_is_filtered_and_paged(client, monkeypatch):
    from casae.service.pages import views

    monkeypatch.setattr(views, "A_PAGE", 3)
    for number in range(5):
        send(client, png(200 - number, number % 2), serial=f"s{number}")
    html = page(client, "/history")
    assert re.findall(r"<td>(s\d)</td>", html) == ["s4", "s3", "s2"]
    (older,) = re.findall(r'href="(\?[^"]*after=[^"]*)"', html)
    assert re.findall(r"<td>(s\d)</td>", page(client, f"/history{older.replace('&amp;', '&')}")) == ["s1", "s0"]
    assert re.findall(r"<td>(s\d)</td>", page(client, "/history?decision=NG&serial=s3")) == ["s3"]
    assert "No inspection is like that" in page(client, "/history?since=2099-01-01T00:00")
    page(client, "/history?since=soon")  # a field that says no time says nothing


def test_an_inspection_says_why_and_what_people_said(client):
    key = send(client, png(spots=2), serial="4711")["id"]
    other = send(client, png(120), serial="4711")["id"]
    html = page(client, f"/inspections/{key}")
    assert html.count("<tr tabindex") == 2
    assert f"/inspections/{other}" in html
    assert "no rule accepts it" in html
    client.post(f"/api/v1/inspections/{key}/reviews", json={"decision": "OK", "why": "<i>dust</i>"})
    html = page(client, f"/inspections/{key}")
    assert "&lt;i&gt;dust&lt;/i&gt;" in html
    page(client, "/inspections/01a22af1-6e31-7cde-b5c1-1b98c6e5a79e", 404)
    page(client, "/nothing", 404)


def test_a_browser_is_led_to_sign_in_and_back(serving, token):
    token("operator")
    client = serving(login=True, activate=False)
    answer = client.get("/history", headers=HTML, follow_redirects=False)
    assert (answer.status_code, answer.headers["location"]) == (303, "/login?next=%2Fhistory")
    assert 'value="/history"' in page(client, answer.headers["location"])
    told = {"name": "the operator", "password": "wrong", "back": "/history"}
    wrong = client.post("/login", data=told, headers=HTML)
    assert (wrong.status_code, "Name or password is wrong" in wrong.text) == (401, True)
    right = client.post("/login", data=told | {"password": "a good password"}, follow_redirects=False)
    assert (right.status_code, right.headers["location"]) == (303, "/history")
    assert "the operator" in page(client, "/history")
    for back in ("https://evil.example", "//evil.example", "/\\evil.example", "javascript:alert(1)"):
        answer = client.post(
            "/login", data=told | {"password": "a good password", "back": back}, follow_redirects=False
        )
        assert answer.headers["location"] == "/"


def test_behind_a_proxy_it_goes_back_to_what_was_asked_for(serving, token):
    token("operator")
    client = serving(login=True, activate=False, root_path="/casae")
    answer = client.get("/casae/history?decision=NG", headers=HTML, follow_redirects=False)
    assert (answer.status_code, answer.headers["location"]) == (
        303,
        "/casae/login?next=%2Fcasae%2Fhistory%3Fdecision%3DNG",
    )
    told = {"name": "the operator", "password": "a good password"}
    for back, place in (("/casae/history?decision=NG",) * 2, ("", "/casae/"), ("/elsewhere", "/casae/")):
        answer = client.post("/casae/login", data=told | {"back": back}, follow_redirects=False)
        assert (answer.status_code, answer.headers["location"]) == (303, place)


def test_cookies_of_other_programs_on_the_same_machine_lock_nobody_out(serving, token):
    token("operator")
    client = serving(login=True, activate=False)
    told = {"name": "the operator", "password": "a good password"}
    client.post("/login", data=told, follow_redirects=False)
    session = client.cookies["casae_session"]
    client.cookies.clear()
    for other in ('view={"a": 1}', "path=/", "flag", "a/b@c=1"):
        for said in (f"{other}; casae_session={session}", f"casae_session={session}; {other}"):
            assert client.get("/history", headers=HTML | {"Cookie": said}, follow_redirects=False).status_code == 200


def test_who_may_only_look_sees_no_buttons(serving, token, dark_model):
    client = serving(login=True, activate=True, token=token("engineer"))
    key = send(client, png())["id"]
    client.headers["Authorization"] = f"Bearer {token('viewer')}"
    html = page(client, f"/inspections/{key}")
    assert 'id="judge"' not in html
    assert 'href="/review"' not in html
    page(client, "/review", 403)


def test_pages_speak_the_language_of_the_browser(client):
    assert "Neueste Teile" in page(client, "/", **{"Accept-Language": "de-DE,de;q=0.9,en;q=0.5"})
    assert "Latest parts" in page(client, "/", **{"Accept-Language": "fr,en;q=0.5"})
    assert all(len(each) == len(LANGUAGES) and all(each) for each in TEXTS.values())


def test_every_text_is_used_and_every_text_that_is_used_is_there():
    used = "".join(file.read_text() for file in (SERVICE / "templates").iterdir())
    scripts = "".join(file.read_text() for file in STATIC.glob("*.js"))
    code = "".join(file.read_text() for file in (SERVICE / "pages").glob("*.py") if file.name != "texts.py")
    known = set(TEXTS)
    assert set(re.findall(r"\bt\.(\w+)", used)) <= known
    assert set(re.findall(r"\bwords\.(\w+)", scripts)) <= known
    assert not known & set(dir(dict))  # which templates would find first
    names = set(re.findall(r"\w+", used + scripts + code)) | set(get_args(State))
    put_together = {"tool", "about", "order", "queue", "chart", "step", "state", "truth", "drift", "nelson", "shape"}
    assert {name for name in known - names if name.partition("_")[0] not in put_together} == set()


def test_the_pages_weigh_little_and_load_nothing_from_elsewhere(client):
    send(client, png())
    sizes = {file.name: file.stat().st_size for file in STATIC.iterdir() if file.is_file()}
    assert sum(sizes.values()) < 200_000
    assert sum(file.stat().st_size for file in (STATIC / "vendor").glob("*.js")) < 800_000
    for path in ("/", "/history", "/review"):
        html = page(client, path)
        assert not re.findall(r"(?:src|href)=\"(?:https?:)?//", html)
        for script in re.findall(r'src="(/static/[^"]+)"', html):
            answer = client.get(script)
            assert answer.status_code == 200
            assert answer.headers["cache-control"] == "no-cache"


@pytest.mark.parametrize("reviewed", [True, False])
def test_lists_know_what_was_reviewed(client, reviewed):
    first, second = (send(client, png(gray))["id"] for gray in (200, 199))
    client.post(f"/api/v1/inspections/{first}/reviews", json={"decision": "OK", "why": ""})
    items = client.get("/api/v1/inspections", params={"reviewed": reviewed}).json()["items"]
    assert [item["id"] for item in items] == [first if reviewed else second]
