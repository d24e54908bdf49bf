"""Projects over HTTP: labels are kept version by version, whatever comes."""

import threading
import zlib

import cv2
import numpy as np
import pytest

from asked import is_problem, png, send
from casae.datasets.folder import read_folder
from casae.decoding import decode_image
from casae.errors import RecordsError

PROJECTS = "/api/v1/projects"


@pytest.fixture
def project(client):
    """A project of two pictures of 64 x 48 px."""
    answer = client.post(PROJECTS, json={"name": "rings", "classes": ["dark", "fibre"]})
    assert answer.status_code == 201, answer.text
    for name in ("a", "b"):
        answer = client.post(f"{PROJECTS}/rings/pictures", files={"image": (f"{name}.png", png())})
        assert answer.status_code == 201, answer.text
    return client


def paint(client, picture, version, x, y, values, **more):
    values = np.asarray(values, np.uint8)
    query = {"version": version, "x": x, "y": y, "height": values.shape[0], "width": values.shape[1]} | more
    return client.post(f"{PROJECTS}/rings/label/{picture}", params=query, content=zlib.compress(values.tobytes()))


def label(client, picture, **query):
    answer = client.get(f"{PROJECTS}/rings/label/{picture}", params=query)
    assert answer.status_code == 200, answer.text
    return decode_image(answer.content, "label"), int(answer.headers["x-version"]), answer.headers["x-state"]


def test_a_label_becomes_the_mask_of_the_dataset_when_it_is_submitted(project, tmp_path):
    folder = tmp_path / "home" / "datasets" / "rings"
    assert paint(project, "a", 0, 5, 4, [[1, 1], [2, 255]]).json()["version"] == 1
    assert read_folder(folder).samples[0].label is None  # nobody learns from a draft
    answer = project.post(f"{PROJECTS}/rings/submit/a", params={"version": 1})
    assert answer.json()["state"] == "done"
    drawn = read_folder(folder).samples[0].draw((48, 64), 2)
    assert drawn[4:6, 5:7].tolist() == [[1, 1], [2, 255]]
    assert np.count_nonzero(drawn) == 4
    (item,) = project.get(PROJECTS).json()
    assert (item["pictures"], item["done"], item["drafts"]) == (2, 1, 0)


def test_a_label_of_another_version_is_refused_and_nothing_changes(project):
    paint(project, "a", 0, 0, 0, [[1]])
    answer = paint(project, "a", 0, 1, 1, [[2]])
    assert "is at version 1 by local" in is_problem(answer, 409)
    assert answer.headers["x-version"] == "1"
    drawn, version, state = label(project, "a")
    assert (drawn[0, 0], drawn[1, 1], version, state) == (1, 0, 1, "draft")
    assert "is at version 1" in is_problem(project.post(f"{PROJECTS}/rings/submit/a", params={"version": 7}), 409)


def test_of_many_who_paint_at_once_one_wins_each_version(project):
    wins = []

    def try_to(value):
        if paint(project, "a", 0, value, 0, [[1]]).status_code == 200:
            wins.append(value)

    threads = [threading.Thread(target=try_to, args=(value,)) for value in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(wins) == 1
    drawn, version, _ = label(project, "a")
    assert (np.flatnonzero(drawn).tolist(), version) == (wins, 1)


def test_what_was_not_submitted_is_not_learned_from(project, tmp_path, monkeypatch):
    from casae.labelling import project as module

    def away(table):
        raise RecordsError("the database is away")

    paint(project, "a", 0, 0, 0, [[1]])
    monkeypatch.setattr(module, "insert", away)
    is_problem(project.post(f"{PROJECTS}/rings/submit/a", params={"version": 1}), 503)
    assert not (tmp_path / "home/datasets/rings/masks/a.png").exists()
    monkeypatch.undo()
    assert project.post(f"{PROJECTS}/rings/submit/a", params={"version": 1}).status_code == 200
    assert (tmp_path / "home/datasets/rings/masks/a.png").exists()


def test_a_draft_is_dropped_back_to_what_was_submitted(project):
    paint(project, "a", 0, 0, 0, [[1]])
    project.post(f"{PROJECTS}/rings/submit/a", params={"version": 1})
    paint(project, "a", 2, 9, 9, [[2]])
    assert label(project, "a")[0][9, 9] == 2
    assert project.post(f"{PROJECTS}/rings/discard/a", params={"version": 3}).json()["state"] == "done"
    drawn, version, _ = label(project, "a")
    assert (np.count_nonzero(drawn), drawn[0, 0], version) == (1, 1, 4)


@pytest.mark.parametrize(
    ("change", "rule"),
    [
        ({"values": [[7]]}, "value 7 names no class"),
        ({"x": 63, "values": [[1, 1]]}, "is 64 x 48 px, the patch ends at 65, 1"),
    ],
)
def test_a_patch_that_does_not_fit_is_refused(project, change, rule):
    assert rule in is_problem(paint(project, "a", 0, **{"x": 0, "y": 0} | change), 422)
    assert label(project, "a")[1] == 0


@pytest.mark.parametrize("content", [b"", b"nothing", zlib.compress(b"123"), zlib.compress(bytes(10**6))])
def test_what_is_no_patch_is_refused(project, content):
    query = {"version": 0, "x": 0, "y": 0, "width": 2, "height": 2}
    assert "patch" in is_problem(project.post(f"{PROJECTS}/rings/label/a", params=query, content=content), 422)


def test_a_second_opinion_is_made_blindly_and_changes_no_dataset(project, tmp_path):
    paint(project, "a", 0, 10, 10, np.ones((10, 10)))
    project.post(f"{PROJECTS}/rings/submit/a", params={"version": 1})
    assert not label(project, "a", second=True)[0].any()
    paint(project, "a", 0, 10, 10, np.full((10, 5), 2), second=True)
    project.post(f"{PROJECTS}/rings/submit/a", params={"version": 1, "second": True})
    assert label(project, "a")[0][12, 12] == 1
    told = project.get(f"{PROJECTS}/rings/agreement").json()
    assert (told["pictures"], told["iou"], told["same_class"]) == (1, 0.5, 0.0)
    assert told["worst"] == [
        {"picture": "a", "first": "dark", "second": "fibre", "iou": 0.5, "x": 10, "y": 10, "width": 10, "height": 10}
    ]


def test_tools_answer_with_outlines(project):
    shape = project.get(f"{PROJECTS}/rings/wand/a", params={"x": 6, "y": 5, "tolerance": 10}).json()
    assert shape["polygons"] == [[[4.5, 3.5], [10.5, 3.5], [10.5, 9.5], [4.5, 9.5]]]
    assert "most of the picture" in is_problem(project.get(f"{PROJECTS}/rings/wand/a", params={"x": 40, "y": 40}), 422)
    ends = {"x": 5, "y": 4, "to_x": 10, "to_y": 9}
    way = project.get(f"{PROJECTS}/rings/scissors/a", params=ends).json()["points"]
    assert way[0] == [5, 4]
    assert way[-1] == [10, 9]
    assert "must be in the picture" in is_problem(
        project.get(f"{PROJECTS}/rings/scissors/a", params=ends | {"x": 99}), 422
    )


def test_the_model_proposes_regions_by_the_names_of_the_project(project):
    told = project.get(f"{PROJECTS}/rings/proposals/a").json()
    assert told["model"] == "dark"
    (found,) = told["items"]
    assert found["value"] in (1, 255)
    assert found["polygons"]


def test_what_to_label_next_is_what_the_model_is_unsure_of(project):
    image = np.full((48, 64), 200, np.uint8)
    image[10:40, 10:50] = 128  # neither dark nor bright
    data = cv2.imencode(".png", image)[1].tobytes()
    project.post(f"{PROJECTS}/rings/pictures", files={"image": ("z.png", data)})
    for _ in range(100):
        told = project.get(f"{PROJECTS}/rings/pictures", params={"order": "uncertain"}).json()
        if told["looked"] == 3:
            break
        threading.Event().wait(0.1)
    assert told["items"][0]["picture"] == "z"
    newest = project.get(f"{PROJECTS}/rings/pictures", params={"order": "newest"}).json()
    assert newest["items"][0]["picture"] == "z"


def test_the_label_book_and_classes(project):
    book = {
        "classes": {
            "dark": {
                "definition": "darker than 50",
                "examples": [
                    {"picture": "a", "x": 5, "y": 4, "width": 6, "height": 6, "belongs": True, "note": "clear"}
                ],
            }
        }
    }
    assert project.put(f"{PROJECTS}/rings/book", json=book).status_code == 200
    assert project.get(f"{PROJECTS}/rings/book").json() == book
    answer = project.put(f"{PROJECTS}/rings/classes", json={"classes": ["very dark", "fibre", "dent"]})
    assert answer.json()["classes"] == ["very dark", "fibre", "dent"]
    assert project.get(f"{PROJECTS}/rings/book").json()["classes"]["very dark"]["definition"] == "darker than 50"
    stale = {"classes": ["very dark", "fibre", "hole"], "was": ["dark", "fibre"]}  # of a page from before
    assert "very dark, fibre, dent by now" in is_problem(project.put(f"{PROJECTS}/rings/classes", json=stale), 409)
    assert project.get(f"{PROJECTS}/rings").json()["classes"] == ["very dark", "fibre", "dent"]
    fewer = project.put(f"{PROJECTS}/rings/classes", json={"classes": ["dark"]})
    assert "has 3 classes" in is_problem(fewer, 422)
    assert "is no class" in is_problem(project.put(f"{PROJECTS}/rings/book", json={"classes": {"x": {}}}), 422)
    place = project.get(f"{PROJECTS}/rings/place/a", params={"x": 5, "y": 4, "width": 6, "height": 6})
    assert decode_image(place.content, "place").mean() < 30


def test_pictures_are_shown_as_they_are(project):
    view = decode_image(project.get(f"{PROJECTS}/rings/view/a").content, "view")
    assert np.array_equal(view, decode_image(png(), "a"))
    assert decode_image(project.get(f"{PROJECTS}/rings/thumb/a").content, "thumb").shape == (180, 240, 3)


def test_an_inspection_becomes_a_label_as_the_review_says(project):
    record = send(project, png(spots=2), name="part.png")
    found = {each["number"]: each["class"] for each in record["defects"]}
    assert len(found) == 2
    missed = [[[40, 30], [50, 30], [50, 40], [40, 40]]]
    findings = [{"number": 1, "class": None}, {"number": 2, "class": "fibre"}, {"class": "dark", "polygons": missed}]
    said = {"decision": "NG", "why": "", "findings": findings}
    review = project.post(f"/api/v1/inspections/{record['id']}/reviews", json=said)
    assert review.status_code == 201, review.text
    assert review.json()["findings"][1] == {"number": 2, "class": "fibre", "polygons": None}
    answer = project.post(f"/api/v1/inspections/{record['id']}/labels", json={"project": "rings"})
    assert answer.status_code == 201, answer.text
    drawn, _, state = label(project, answer.json()["picture"])
    assert state == "draft"
    assert np.count_nonzero(drawn == 2) == 36
    assert np.count_nonzero(drawn == 1) == 11 * 11
    name = answer.json()["picture"]
    said = {"decision": "OK", "why": "", "findings": [{"number": each, "class": None} for each in (1, 2)]}
    assert project.post(f"/api/v1/inspections/{record['id']}/reviews", json=said).status_code == 201
    again = project.post(f"/api/v1/inspections/{record['id']}/labels", json={"project": "rings"})
    assert (again.status_code, again.json()["picture"]) == (201, name)  # nobody has drawn on the one of before
    drawn, version, _ = label(project, name)
    assert not drawn.any()
    assert paint(project, name, version, 0, 0, np.ones((4, 4), np.uint8)).status_code == 200
    again = project.post(f"/api/v1/inspections/{record['id']}/labels", json={"project": "rings"})
    assert "somebody has drawn on" in is_problem(again, 409)


def test_a_part_that_is_ok_though_no_rule_accepts_defects_has_none(project):
    record = send(project, png(spots=2), name="fine.png")
    assert (record["decided_by"]["kind"], len(record["defects"])) == ("no rule", 2)
    missed = [{"class": "dark", "polygons": [[[40, 30], [50, 30], [50, 40], [40, 40]]]}]
    said = {"decision": "OK", "why": "", "findings": missed}
    assert project.post(f"/api/v1/inspections/{record['id']}/reviews", json=said).status_code == 201
    answer = project.post(f"/api/v1/inspections/{record['id']}/labels", json={"project": "rings"})
    drawn, _, _ = label(project, answer.json()["picture"])
    assert np.count_nonzero(drawn) == 11 * 11


@pytest.mark.parametrize(
    "findings", [[{"number": 9, "class": None}], [{"class": "dark"}], [{"polygons": [[[1, 2]]]}], [{"number": 0}]]
)
def test_findings_that_cannot_be_are_refused(project, findings):
    record = send(project, png())
    said = {"decision": "NG", "why": "", "findings": findings}
    is_problem(project.post(f"/api/v1/inspections/{record['id']}/reviews", json=said), 422)


@pytest.mark.parametrize("path", ["pictures", "book", "agreement", "label/a", "view/a", "proposals/a"])
def test_what_is_not_there_is_said(project, path):
    assert "there is no such project" in is_problem(project.get(f"{PROJECTS}/none/{path}"), 404)
    if path.endswith("/a"):
        status = 404 if not path.startswith("label") else 422
        assert "no picture of rings" in is_problem(project.get(f"{PROJECTS}/rings/{path}z"), status)


def test_names_that_are_taken_or_cannot_be_are_refused(project):
    assert "choose another name" in is_problem(project.post(PROJECTS, json={"name": "rings", "classes": ["a"]}), 409)
    twice = project.post(f"{PROJECTS}/rings/pictures", files={"image": ("a.jpg", png())})
    assert "there is a picture of this name" in is_problem(twice, 422)
    for name, data in (("x.txt", png()), ("x.png", b"nothing"), ("..", png())):
        is_problem(project.post(f"{PROJECTS}/rings/pictures", files={"image": (name, data)}), 422)
    assert {each["picture"] for each in project.get(f"{PROJECTS}/rings/pictures").json()["items"]} == {"a", "b"}


def test_roles_decide_who_labels(serving, token):
    viewer = serving(activate=False, login=True, token=token("viewer"))
    assert viewer.get(PROJECTS).status_code == 200
    assert viewer.post(PROJECTS, json={"name": "rings", "classes": ["a"]}).status_code == 403


def test_a_project_comes_out_as_a_zip_and_in_again(project):
    paint(project, "a", 0, 5, 4, [[1, 1]])
    project.post(f"{PROJECTS}/rings/submit/a", params={"version": 1})
    answer = project.get("/api/v1/datasets/rings/file")
    assert answer.headers["content-type"] == "application/zip"
    again = project.post("/api/v1/datasets", params={"name": "copy"}, files={"content": ("copy.zip", answer.content)})
    assert again.status_code == 201, again.text
    told = project.get(f"{PROJECTS}/copy").json()
    assert (told["pictures"], told["done"]) == (2, 1)
    assert "no such dataset" in is_problem(project.get("/api/v1/datasets/none/file"), 404)


def test_the_probability_is_computed_again_by_the_model_that_inspected(project, tmp_path):
    record = send(project, png())
    at = f"/api/v1/inspections/{record['id']}/probability"
    found = decode_image(project.get(at).content, "probability")
    assert found.shape == (48, 64)
    assert found[6, 7] > 200
    assert found[40, 40] < 50
