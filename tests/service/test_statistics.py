"""Statistics over HTTP: sums of records, limits of a frozen baseline, intervals of what people said."""

import time
from datetime import UTC, datetime, timedelta

import pytest

from asked import is_problem, png, send
from casae.metrics import proportion
from casae.records.database import opened
from casae.records.queries import prune

AT = "/api/v1/statistics"


@pytest.fixture
def inspected(client):
    """Twenty parts of a ring, eight of them NG, and two of a plate."""
    records = [send(client, png(200 - n, int(n < 8)), product="ring", serial=f"r{n}") for n in range(20)]
    records += [send(client, png(150 - n, 0), product="plate") for n in range(2)]
    return client, records


def test_points_count_parts_and_carry_changes(inspected):
    client, _ = inspected
    told = client.get(f"{AT}/series", params={"product": "ring", "step": "day"}).json()
    point = told["points"][-1]
    assert (point["parts"], point["ok"], point["ng"], point["defects"]) == (20, 12, 8, 8)
    assert 0.6 < point["brightness"] < 0.8
    assert point["sharpness"] > 0
    assert [each["who"] for each in told["changes"]] == ["local"]
    assert told["rejected"]["centre"] == pytest.approx(0.4)
    assert told["baseline"] is None
    everything = client.get(f"{AT}/series", params={"step": "week"}).json()
    assert sum(each["parts"] for each in everything["points"]) == 22
    assert client.get(f"{AT}/products").json() == ["plate", "ring"]


def test_limits_are_those_of_the_frozen_baseline(inspected):
    client, _ = inspected
    now = datetime.now(UTC)
    times = {"since": (now - timedelta(hours=2)).isoformat(), "until": (now + timedelta(hours=1)).isoformat()}
    made = client.post(f"{AT}/baselines", json={"product": "ring", "why": "the first day", **times})
    assert made.status_code == 201, made.text
    later = {"since": (now + timedelta(days=1)).isoformat(), "until": (now + timedelta(days=3)).isoformat()}
    told = client.get(f"{AT}/series", params={"product": "ring", "step": "day", **later}).json()
    assert told["baseline"]["why"] == "the first day"
    assert told["rejected"]["centre"] == pytest.approx(0.4)
    assert told["rejected"]["values"] == [None] * len(told["points"])
    for start, end, rule in (
        (now + timedelta(days=1), now + timedelta(days=2), "0 inspections say nothing"),
        (now - timedelta(days=9), now - timedelta(days=8), "take 20 at least"),
    ):
        asked = {"since": start.isoformat(), "until": end.isoformat()}
        assert rule in is_problem(client.post(f"{AT}/baselines", json=asked), 422)
    swapped = {"since": times["until"], "until": times["since"]}
    assert "must be before" in is_problem(client.post(f"{AT}/baselines", json=swapped), 422)


@pytest.fixture
def tokyo(monkeypatch):
    """A service whose clock is nine hours before that of Greenwich."""
    monkeypatch.setenv("TZ", "Asia/Tokyo")
    time.tzset()
    yield
    monkeypatch.undo()
    time.tzset()


def test_days_begin_and_baselines_are_shown_by_the_clock_of_the_service(tokyo, client):
    record = [send(client, png(200 - n)) for n in range(20)][-1]
    assert record["inspected_at"].endswith("+09:00")
    item, *_ = client.get("/api/v1/inspections").json()["items"]
    assert item["inspected_at"] == record["inspected_at"]
    today = datetime.fromisoformat(record["inspected_at"]).replace(hour=0, minute=0, second=0, microsecond=0)
    span = {
        "since": f"{today - timedelta(days=1):%Y-%m-%d}T00:00",
        "until": f"{today + timedelta(days=1):%Y-%m-%d}T00:00",
    }
    points = client.get(f"{AT}/series", params={"step": "day", **span}).json()["points"]
    assert [datetime.fromisoformat(each["start"]) for each in points][:2] == [today - timedelta(days=1), today]
    assert [each["parts"] for each in points][:2] == [0, 20]
    made = client.post(f"{AT}/baselines", json=span).json()
    assert made["since"] == (today - timedelta(days=1)).isoformat()
    assert client.get(f"{AT}/series", params=span).json()["baseline"] == made


def test_pareto_sizes_and_places(inspected):
    client, records = inspected
    (row,) = client.get(f"{AT}/classes", params={"product": "ring"}).json()
    assert (row["class"], row["defects"], row["parts"], row["rejected"]) == (records[0]["defects"][0]["class"], 8, 8, 8)
    sizes = client.get(f"{AT}/sizes", params={"product": "ring", "limit": 50}).json()
    assert (sizes["count"], sum(sizes["counts"]), sizes["capability"]) == (8, 8, None)
    places = client.get(f"{AT}/places").json()
    assert places["count"] == 8
    grid = places["rows"]
    assert grid[int(6.5 / 48 * 24)][int(7.5 / 64 * 24)] == 8
    assert client.get(f"{AT}/places", params={"class": "nothing"}).json()["count"] == 0


def test_escapes_count_blind_looks_alone_and_have_exact_intervals(inspected):
    client, records = inspected
    ng, ok = records[:8], records[8:20]

    def say(record, decision, blind=False):
        said = {"decision": decision, "why": "", "blind": blind}
        assert client.post(f"/api/v1/inspections/{record['id']}/reviews", json=said).status_code == 201

    say(ok[0], "NG", blind=True)
    say(ok[1], "OK", blind=True)
    say(ok[2], "NG")  # somebody chose to look
    say(ng[0], "NG")
    say(ng[0], "OK")  # the last word counts
    say(ng[1], "NG")
    told = client.get(f"{AT}/truth", params={"product": "ring"}).json()
    exact = proportion(1, 2)
    assert told["escapes"] == {"hits": 1, "total": 2, "value": 0.5, "low": exact.low, "high": exact.high}
    assert (told["overkill"]["hits"], told["overkill"]["total"]) == (1, 2)
    assert told["reviewed"]["value"] is None
    judged = client.get(f"{AT}/judged", params={"field": "area_px"}).json()
    assert sorted((each["truth"], each["value"]) for each in judged) == [
        ("NG", 0.0),
        ("NG", 0.0),
        ("NG", 36.0),
        ("OK", 0.0),
        ("OK", 36.0),
    ]
    is_problem(client.get(f"{AT}/judged", params={"field": "colour"}), 422)


def test_a_random_share_is_always_the_same_and_about_as_large_as_it_says(client):
    for number in range(60):
        send(client, png(100 + number, 0), serial=f"s{number}")

    def ids(share):
        items = client.get("/api/v1/inspections", params={"sample": share, "limit": 1000}).json()["items"]
        return [each["id"] for each in items]

    assert ids(0.5) == ids(0.5)
    assert 12 <= len(ids(0.5)) <= 48
    assert set(ids(0.2)) <= set(ids(0.5))
    assert (len(ids(0)), len(ids(1))) == (0, 60)


def test_too_many_points_are_refused(client):
    query = {"since": "2020-01-01T00:00:00Z", "step": "hour"}
    assert "more than 400 points" in is_problem(client.get(f"{AT}/series", params=query), 422)


def test_a_home_without_inspections_has_empty_charts(client):
    told = client.get(f"{AT}/series").json()
    assert told["rejected"] is None
    assert client.get(f"{AT}/sizes").json()["counts"] == []


@pytest.mark.parametrize("name", ["series", "classes", "sizes", "places", "truth", "judged"])
def test_times_at_the_ends_of_the_calendar_fail_nothing(client, name):
    ends = {"until": "0001-01-10T00:00:00Z"}, {"since": "9999-12-31T23:59:59-12:00"}, {"until": "9999-12-31T00:00"}
    for times in ends:
        assert client.get(f"{AT}/{name}", params=times).status_code == 200
    last = {"since": "2026-01-01T00:00:00Z", "until": "9999-12-31T23:59:59Z"}
    assert "0 inspections say nothing" in is_problem(client.post(f"{AT}/baselines", json=last), 422)


def test_what_was_pruned_is_a_gap_and_not_a_row_of_rejects(inspected, tmp_path):
    client, records = inspected
    said = {"decision": "NG", "why": "", "blind": False}
    for record in records[:8]:
        assert client.post(f"/api/v1/inspections/{record['id']}/reviews", json=said).status_code == 201
    with opened(tmp_path / "home") as engine:
        assert prune(engine, datetime.now(UTC)) == 14
        assert prune(engine, datetime.now(UTC)) == 0  # and is no second pruning
    told = client.get(f"{AT}/series", params={"step": "day"}).json()
    assert sum(each["parts"] for each in told["points"]) == 0
    assert all(each["pruned"] for each in told["points"])
    assert told["rejected"] is None
    assert client.get(f"{AT}/classes").json() == []
    assert client.get(f"{AT}/sizes").json()["count"] == 0
    times = {"since": (datetime.now(UTC) - timedelta(hours=1)).isoformat(), "until": datetime.now(UTC).isoformat()}
    assert "were dropped; begin behind that" in is_problem(client.post(f"{AT}/baselines", json=times), 422)
    send(client, png(99, 1), product="ring")
    assert client.get(f"{AT}/series").json()["points"][-1]["pruned"]  # part of the day is gone
    assert client.get(f"{AT}/sizes").json()["count"] == 1
