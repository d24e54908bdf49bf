import asyncio
import hashlib
import io
import threading
import time
from datetime import UTC, datetime, timedelta

import cv2
import numpy as np
import pytest

from asked import is_problem, png, send
from casae.inspection.inspector import Inspector
from casae.inspection.record import InspectionRecord
from casae.records.database import opened
from casae.records.queries import Filter, page
from casae.records.store import DatabaseStore, record_by_id
from casae.service.api import inspections

NOBODY = "01a22af1-6e31-7cde-b5c1-1b98c6e5a79e"


def test_a_picture_is_inspected_recorded_and_found_again(client, tmp_path):
    taken = "2026-11-30T06:00:00+01:00"
    answer = client.post(
        "/api/v1/inspections",
        files={"image": ("C:\\in\\part.png", png())},
        data={"serial": "4711", "product": "ring", "camera": "top", "taken_at": taken, "batch": ""},
    )
    assert answer.status_code == 201
    record = InspectionRecord.model_validate(answer.json())
    assert (record.decision, record.source, record.part.serial, record.part.batch) == ("NG", "part.png", "4711", None)
    assert (record.camera, datetime.fromisoformat(record.taken_at)) == ("top", datetime.fromisoformat(taken))
    assert answer.headers["location"] == f"/api/v1/inspections/{record.id}"
    whole = client.get(answer.headers["location"]).json()
    assert (whole["record"], whole["reviews"]) == (answer.json(), [])
    with opened(tmp_path / "home") as engine:
        assert record_by_id(engine, record.id) == record
    assert client.get("/api/v1/counts").json() == {"OK": 0, "REVIEW": 0, "NG": 1}


def test_the_same_picture_of_the_same_part_again_is_answered_with_its_record(client):
    first = client.post("/api/v1/inspections", files={"image": ("a.png", png())}, data={"serial": "1"})
    again = client.post("/api/v1/inspections", files={"image": ("a.png", png())}, data={"serial": "1"})
    other = client.post("/api/v1/inspections", files={"image": ("a.png", png())}, data={"serial": "2"})
    assert (first.status_code, again.status_code, other.status_code) == (201, 200, 201)
    assert first.json() == again.json()
    assert other.json()["id"] != first.json()["id"]


def test_lists_are_filtered_and_paged(client):
    for number in range(5):
        send(client, png(200 - number, number % 2), f"{number}.png", serial=str(number), product="ring")
    page = client.get("/api/v1/inspections", params={"decision": "OK", "limit": 2}).json()
    assert [item["serial"] for item in page["items"]] == ["4", "2"]
    rest = client.get("/api/v1/inspections", params={"decision": "OK", "limit": 2, "after": page["next"]}).json()
    assert ([item["serial"] for item in rest["items"]], rest["next"]) == (["0"], None)
    found = client.get("/api/v1/inspections", params={"class": "glare", "picture": "3.png"}).json()["items"]
    assert [item["serial"] for item in found] == ["3"]
    tomorrow = (datetime.now(UTC) + timedelta(days=1)).isoformat()
    assert client.get("/api/v1/inspections", params={"since": tomorrow}).json()["items"] == []
    assert client.get("/api/v1/inspections", params={"since": "0001-01-01T00:00:00Z"}).status_code == 200
    is_problem(client.get("/api/v1/inspections", params={"since": "yesterday"}), 422)
    misspelt = client.get("/api/v1/inspections", params={"decison": "NG"})
    assert is_problem(misspelt, 422) == "decison: is no parameter of this; is decision meant?"
    files = {"image": ("a.png", png())}
    assert "seriall: is no field" in is_problem(
        client.post("/api/v1/inspections", files=files, data={"seriall": "1"}), 422
    )
    assert page["items"][0]["inspected_at"] == client.get(f"/api/v1/inspections/{page['items'][0]['id']}").json()[
        "record"
    ]["inspected_at"].replace("+00:00", "+00:00")
    is_problem(client.get("/api/v1/inspections", params={"serial": "a\x00b"}), 422)


def test_pictures_of_an_inspection_come_by_its_id(client, dark_model):
    data = png(spots=2)
    record = send(client, data)
    at = f"/api/v1/inspections/{record['id']}"
    image = client.get(f"{at}/image")
    assert (image.content, image.headers["content-type"]) == (data, "image/png")
    inspection = Inspector(dark_model).inspect(data)
    drawn = cv2.imdecode(np.frombuffer(client.get(f"{at}/overlay").content, np.uint8), cv2.IMREAD_COLOR)
    assert np.abs(drawn[..., ::-1].astype(int) - inspection.overlay()).mean() < 2  # of JPEG
    mask = cv2.imdecode(np.frombuffer(client.get(f"{at}/mask").content, np.uint8), cv2.IMREAD_UNCHANGED)
    assert np.array_equal(mask > 0, inspection.mask)
    plain = client.get(f"{at}/overlay", params={"marks": False}).content
    assert cv2.imdecode(np.frombuffer(plain, np.uint8), cv2.IMREAD_COLOR).shape == drawn.shape
    crop = cv2.imdecode(np.frombuffer(client.get(f"{at}/crops/2").content, np.uint8), cv2.IMREAD_COLOR)
    assert 10 <= crop.shape[0] <= 12
    assert "has 2" in is_problem(client.get(f"{at}/crops/3"), 404)


def test_pictures_that_wait_to_be_drawn_hold_no_inspection_up(client, monkeypatch):
    record = send(client, png())
    service = client.app.state.service
    monkeypatch.setattr(service, "drawing", asyncio.Semaphore(0))  # as many are drawn as may be
    answers = []

    def ask():
        answers.append(client.get(f"/api/v1/inspections/{record['id']}/overlay"))

    monkeypatch.setattr(inspections, "LONGEST_S", 5.0)
    askers = [threading.Thread(target=ask) for _ in range(60)]  # more than there are threads to answer
    for each in askers:
        each.start()
    time.sleep(0.5)
    began = time.monotonic()
    assert send(client, png(180), "b.png")["decision"] == "NG"
    assert time.monotonic() - began < 4
    for each in askers:
        each.join()
    assert {answer.status_code for answer in answers} == {503}
    assert {answer.headers["retry-after"] for answer in answers} == {"5"}


def test_a_picture_that_is_gone_or_another_one_by_now_is_not_shown(client, tmp_path, dark_model):
    file = tmp_path / "secret.png"
    file.write_bytes(png())
    with opened(tmp_path / "home") as engine:
        key, _ = DatabaseStore(engine).add(Inspector(dark_model).inspect(file))
    at = f"/api/v1/inspections/{key}"
    assert client.get(f"{at}/image").content == png()
    file.write_bytes(b"a password")
    assert "not kept any more" in is_problem(client.get(f"{at}/image"), 410)
    is_problem(client.get(f"{at}/overlay"), 410)
    assert client.get(f"{at}/mask").status_code == 200
    is_problem(client.get(f"/api/v1/inspections/{NOBODY}"), 404)
    is_problem(client.get("/api/v1/inspections/..%2F..%2Fetc"), 404)


def test_a_review_is_a_new_row_and_the_first_stays(client):
    key = send(client, png())["id"]
    answer = client.post(f"/api/v1/inspections/{key}/reviews", json={"decision": "OK", "why": "dust"})
    assert answer.status_code == 201
    assert (answer.json()["who"], answer.json()["old"], answer.json()["new"]) == ("local", "NG", "OK")
    client.post(f"/api/v1/inspections/{key}/reviews", json={"decision": "NG", "why": "a scratch"})
    whole = client.get(f"/api/v1/inspections/{key}").json()
    assert [(each["old"], each["new"]) for each in whole["reviews"]] == [("NG", "OK"), ("OK", "NG")]
    assert whole["record"]["decision"] == "NG"
    is_problem(client.post(f"/api/v1/inspections/{NOBODY}/reviews", json={"decision": "OK", "why": ""}), 404)
    is_problem(client.post(f"/api/v1/inspections/{key}/reviews", json={"decision": "REVIEW", "why": ""}), 422)


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "is empty"),
        (b"no picture", "is damaged or not a PNG"),
        (png()[:60], "part.png"),
        (b"<svg xmlns='http://www.w3.org/2000/svg'/>", "is damaged or not a PNG"),
    ],
)
def test_what_is_no_picture_is_answered_with_why(client, content, said):
    answer = client.post("/api/v1/inspections", files={"image": ("part.png", content)})
    assert said in is_problem(answer, 422)
    assert client.get("/api/v1/inspections").json()["items"] == []


def test_too_much_is_refused_before_it_costs_anything(serving):
    client = serving(max_upload_mb=0.05, max_megapixels=0.5, activate=False)
    assert is_problem(client.post("/api/v1/inspections", files={"image": ("a.png", bytes(200_000))}), 413)
    wide = cv2.imencode(".png", np.zeros((1000, 1000), np.uint8))[1].tobytes()
    assert is_problem(client.post("/api/v1/inspections", files={"image": ("a.png", wide)}), 409)  # nothing is active
    is_problem(client.post("/api/v1/inspections", files={"image": ("a.png", b"x")}, data={"serial": "x" * 201}), 422)
    many = [("image", (f"{n}.png", b"x")) for n in range(30)]
    is_problem(client.post("/api/v1/inspections", files=many), 400)


def test_too_many_pixels_are_refused(serving):
    client = serving(max_megapixels=0.5)
    wide = cv2.imencode(".png", np.zeros((1000, 1000), np.uint8))[1].tobytes()
    answer = client.post("/api/v1/inspections", files={"image": ("a.png", wide)})
    assert "0.5 megapixels are the limit" in is_problem(answer, 413)


def test_a_full_queue_asks_to_come_again_and_a_slow_one_says_so(serving, monkeypatch):
    client = serving(queue=2, request_s=1)
    client.post("/api/v1/inspections", files={"image": ("a.png", png())})
    go_on = threading.Event()
    real = Inspector.inspect
    monkeypatch.setattr(Inspector, "inspect", lambda *values: go_on.wait(10) and real(*values))
    answers = []

    def ask(number):
        answers.append(client.post("/api/v1/inspections", files={"image": ("a.png", png(150 + number))}))

    threads = [threading.Thread(target=ask, args=(number,)) for number in range(2)]
    for thread in threads:
        thread.start()
    end = time.monotonic() + 5
    while client.app.state.service.queue.waiting < 2:
        assert time.monotonic() < end
    refused = client.post("/api/v1/inspections", files={"image": ("a.png", png(99))})
    assert "2 pictures wait already" in is_problem(refused, 429)
    assert int(refused.headers["retry-after"]) >= 1
    for thread in threads:
        thread.join()
    assert {answer.status_code for answer in answers} == {503}  # after a second
    assert "was not inspected within 1 s" in is_problem(answers[0], 503)
    assert "retry-after" in answers[0].headers
    go_on.set()
    assert client.post("/api/v1/inspections", files={"image": ("a.png", png(99))}).status_code == 201
    again = [client.post("/api/v1/inspections", files={"image": ("a.png", png(150 + number))}) for number in range(2)]
    assert 200 in [answer.status_code for answer in again]  # what was begun was kept, though nobody waited any more


def test_a_full_disk_takes_nothing_in(serving):
    client = serving(room_mb=10**12)
    answer = client.post("/api/v1/inspections", files={"image": ("a.png", png())})
    assert "MB left" in is_problem(answer, 503)
    assert answer.headers["retry-after"] == "60"


def test_a_database_that_is_away_is_503_and_nothing_is_claimed(client, monkeypatch):
    from casae.errors import RecordsError

    def away(*values):
        raise RecordsError("the server is away")

    monkeypatch.setattr(DatabaseStore, "add", away)
    answer = client.post("/api/v1/inspections", files={"image": ("a.png", png())})
    assert is_problem(answer, 503) == "the database does not answer; send it again later"


def test_pictures_are_kept_by_their_content_wherever_a_name_points(client, tmp_path):
    data = png()
    send(client, data, "../../../../tmp/evil.png")
    digest = hashlib.sha256(data).hexdigest()
    assert [file.name for file in (tmp_path / "home/images").rglob("*") if file.is_file()] == [f"{digest}.png"]
    record = send(client, data, "x" * 500 + ".exe")
    assert record["source"] == "x" * 200


def test_many_at_once_are_all_answered_in_turn(client, tmp_path):
    answers = []

    def ask(number):
        answers.append(send(client, png(100 + number), f"{number}.png"))

    threads = [threading.Thread(target=ask, args=(number,)) for number in range(12)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len({answer["id"] for answer in answers}) == 12
    with opened(tmp_path / "home") as engine:
        assert {row.id for row in page(engine, Filter())} == {answer["id"] for answer in answers}


def test_a_16_bit_tiff_is_shown_as_jpeg(client):
    import tifffile

    file = io.BytesIO()
    image = np.full((48, 64), 50000, np.uint16)
    image[10:20, 10:20] = 100
    tifffile.imwrite(file, image)
    record = send(client, file.getvalue(), "deep.tiff")
    at = f"/api/v1/inspections/{record['id']}"
    assert client.get(f"{at}/image").headers["content-type"] == "image/tiff"
    assert client.get(f"{at}/overlay").headers["content-type"] == "image/jpeg"


def test_heads_are_answered_without_a_body(client):
    record = send(client, png())
    for path in ("/health", "/ready", "/metrics", "/", f"/api/v1/inspections/{record['id']}/overlay"):
        whole, head = client.get(path), client.head(path)
        assert (head.status_code, head.content) == (whole.status_code, b"")
        assert head.headers["content-type"] == whole.headers["content-type"]
    assert client.head("/api/v1/inspections/none").status_code == 422
    assert client.head("/api/v1/events").status_code == 405  # it never ends
    refused = client.delete("/health")
    assert (refused.status_code, refused.headers["allow"]) == (405, "GET, HEAD")
    assert client.post("/").headers["allow"] == "GET, HEAD"


@pytest.mark.parametrize("path", ["/line", "/line/line"])  # the server puts its root before what comes
def test_a_proxy_may_take_the_root_away_or_not(serving, path):
    client = serving(root_path="/line")
    for there in ("/health", "/", "/static/casae.css", "/api/v1/inspections"):
        assert client.get(f"{path}{there}").status_code == 200, there
    assert client.get(f"{path}/nothing").status_code == 404


def test_what_is_said_twice_is_refused(client):
    answer = client.post("/api/v1/inspections", files={"image": ("a.png", png())}, data={"serial": ["1", "2"]})
    assert "serial: is given twice" in is_problem(answer, 422)
    assert "decision: is given twice" in is_problem(client.get("/api/v1/inspections?decision=OK&decision=NG"), 422)
    record = send(client, png())
    for findings, rule in (
        ([{"number": 1, "class": "a"}, {"number": 1, "class": None}], "defect 1 stands there twice"),
        ([{"class": "a", "polygons": [[]]}], "at least 3"),
        ([{"class": "a", "polygons": []}], "at least 1"),
    ):
        said = {"decision": "NG", "why": "", "findings": findings}
        assert rule in is_problem(client.post(f"/api/v1/inspections/{record['id']}/reviews", json=said), 422)


def test_the_last_page_says_that_it_is(client):
    for number in range(6):
        send(client, png(100 + number))
    first = client.get("/api/v1/inspections", params={"limit": 3}).json()
    last = client.get("/api/v1/inspections", params={"limit": 3, "after": first["next"]}).json()
    assert (len(first["items"]), len(last["items"]), last["next"]) == (3, 3, None)
    assert client.get("/api/v1/inspections", params={"limit": 6}).json()["next"] is None
    almost_all = client.get("/api/v1/inspections", params={"sample": 0.99999999}).json()
    assert len(almost_all["items"]) == 6


def test_who_has_not_seen_a_review_does_not_overrule_it(client):
    record = send(client, png())
    path = f"/api/v1/inspections/{record['id']}/reviews"
    said = {"decision": "NG", "why": "", "reviews_seen": 0}
    assert client.post(path, json=said).status_code == 201
    assert "local has said NG meanwhile" in is_problem(client.post(path, json=said | {"decision": "OK"}), 409)
    assert client.post(path, json=said | {"decision": "OK", "reviews_seen": 1}).status_code == 201
    assert client.post(path, json={"decision": "OK", "why": ""}).status_code == 201  # who does not say, is not asked


def test_blanks_round_a_value_are_none(client):
    record = send(client, png(), serial=" 7 ", product="ring ")
    assert (record["part"]["serial"], record["part"]["product"]) == ("7", "ring")
    found = client.get("/api/v1/inspections", params={"serial": "7 "}).json()["items"]
    assert [each["id"] for each in found] == [record["id"]]
