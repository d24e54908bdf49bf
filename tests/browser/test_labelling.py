"""Labelling in a real browser: what is drawn is what is kept, whatever happens meanwhile."""

import itertools

import cv2
import numpy as np
import pytest

from casae.decoding import decode_image
from casae.inspection.inspector import Inspector

playwright = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")
WIDTH, HEIGHT = 320, 240
NUMBERS = itertools.count()


@pytest.fixture(scope="module")
def project(serving):
    """A project of four pictures with a ring that is dark, and how to ask for a label."""
    return made(serving, "rings")


@pytest.fixture
def fresh(serving):
    """A project that no other test has touched: where it is, how to ask for a label, its name."""
    name = f"fresh-{next(NUMBERS)}"
    return *made(serving, name)[:2], name


def made(serving, project):
    url, _, http = serving
    http.post("/api/v1/projects", json={"name": project, "classes": ["dark", "darker"]})
    image = np.full((HEIGHT, WIDTH), 200, np.uint8)
    cv2.circle(image, (80, 80), 30, 10, 8)
    data = cv2.imencode(".png", image)[1].tobytes()
    for name in ("a", "b", "c", "d"):
        answer = http.post(f"/api/v1/projects/{project}/pictures", files={"image": (f"{name}.png", data)})
        assert answer.status_code == 201, answer.text

    def label(picture):
        answer = http.get(f"/api/v1/projects/{project}/label/{picture}")
        return decode_image(answer.content, "label"), answer.headers["x-state"]

    return url, label, image


@pytest.fixture
def page(as_person):
    return as_person("ann")


def go_to(page, url, picture, of="rings", **query):
    page.goto(f"{url}/projects/{of}/label/{picture}" + ("?" + "&".join(f"{k}={v}" for k, v in query.items())))
    page.locator("body[data-ready=true]").wait_for()


def at(page, x, y):
    """Where a pixel of the picture is on the screen, while all of it is shown."""
    box = page.locator("#viewer canvas").bounding_box()
    zoom = min(box["width"] / WIDTH, box["height"] / HEIGHT)
    left = box["x"] + (box["width"] - WIDTH * zoom) / 2
    top = box["y"] + (box["height"] - HEIGHT * zoom) / 2
    return left + (x + 0.5) * zoom, top + (y + 0.5) * zoom


def stroke(page, *points):
    page.mouse.move(*at(page, *points[0]))
    page.mouse.down()
    for point in points[1:]:
        page.mouse.move(*at(page, *point), steps=4)
    page.mouse.up()


def click(page, x, y):
    page.mouse.click(*at(page, x, y))


def saved(page, state="saved"):
    playwright.expect(page.locator("#state")).to_have_attribute("data-kind", state)


def test_the_queue_goes_past_a_picture_that_cannot_be_read(page, project):
    url, _, _ = project
    damaged = {"status": 418, "json": {"detail": "b: is damaged"}}
    page.route("**/api/v1/projects/rings/label/b?*", lambda route: route.fulfill(**damaged))
    go_to(page, url, "a")
    page.keyboard.press("ArrowRight")
    saved(page, "not_read")
    playwright.expect(page.locator("#state")).to_contain_text("b: is damaged")
    playwright.expect(page.locator("#name")).to_have_text("a")
    page.keyboard.press("ArrowRight")
    playwright.expect(page.locator("#name")).to_have_text("c")
    go_to(page, url, "b")  # the first one that is opened
    saved(page, "not_read")
    page.keyboard.press("ArrowRight")
    playwright.expect(page.locator("#name")).to_have_text("c")


def test_strokes_are_kept_undone_and_submitted_by_keyboard(page, project):
    url, label, _ = project
    go_to(page, url, "a")
    page.locator("#brush").fill("5")
    page.keyboard.press("2")
    stroke(page, (200, 100), (240, 100))
    saved(page)
    drawn, state = label("a")
    assert state == "draft"
    assert set(np.unique(drawn)) == {0, 2}
    rows, columns = np.nonzero(drawn)
    assert (rows.min(), rows.max(), columns.min(), columns.max()) == (98, 102, 198, 242)
    page.keyboard.press("Control+z")
    saved(page)
    page.wait_for_timeout(400)
    assert not label("a")[0].any()
    page.keyboard.press("Control+y")
    page.wait_for_timeout(400)
    saved(page)
    assert np.array_equal(label("a")[0], drawn)
    page.keyboard.press("e")
    stroke(page, (220, 90), (220, 110))
    page.wait_for_timeout(400)
    saved(page)
    assert label("a")[0][100, 220] == 0
    page.keyboard.press("Enter")
    playwright.expect(page.locator("#name")).to_have_text("b")
    assert label("a")[1] == "done"


def test_a_hole_stays_a_hole_and_regions_change_class(page, project):
    url, label, image = project
    go_to(page, url, "b")
    page.keyboard.press("w")
    click(page, 80 + 30, 80)
    saved(page)
    assert np.array_equal(label("b")[0] == 1, image == 10)  # the ring, not its middle
    page.keyboard.press("f")
    page.keyboard.press("2")
    page.keyboard.press("f")
    click(page, 110, 80)
    page.wait_for_timeout(400)
    saved(page)
    assert np.array_equal(label("b")[0] == 2, image == 10)  # another class
    click(page, 80, 80)
    page.wait_for_timeout(400)
    saved(page)
    assert label("b")[0][80, 80] == 2  # the hole is filled
    click(page, 300, 200)
    saved(page, "no_hole")
    page.keyboard.press("x")
    click(page, 80, 80)
    page.wait_for_timeout(400)
    saved(page)
    assert not label("b")[0].any()


def test_polygons_and_scissors_close_and_others_are_not_painted_over(page, project):
    url, label, _ = project
    go_to(page, url, "c")
    page.keyboard.press("p")
    for point in ((200, 20), (260, 20), (260, 60), (200, 60)):
        click(page, *point)
    page.keyboard.press("Enter")
    saved(page)
    drawn = label("c")[0]
    assert drawn[40, 230] == 1
    assert drawn[20:61, 200:261].all()
    assert np.count_nonzero(drawn) == 61 * 41
    page.keyboard.press("2")
    page.keyboard.press("b")
    page.keyboard.press("l")
    stroke(page, (190, 40), (270, 40))
    page.wait_for_timeout(400)
    saved(page)
    drawn = label("c")[0]
    assert drawn[40, 230] == 1
    assert drawn[40, 195] == 2
    page.keyboard.press("s")
    click(page, 80, 46)
    click(page, 114, 80)
    click(page, 80, 114)
    page.wait_for_timeout(600)
    page.keyboard.press("Enter")
    page.wait_for_timeout(400)
    saved(page)
    assert label("c")[0][80, 100] == 2


def test_what_the_model_proposes_is_accepted_region_by_region(page, project, dark_model):
    url, label, image = project
    go_to(page, url, "d")
    page.keyboard.press("a")
    saved(page, "proposals_unnamed")  # of classes that the project lacks: they get the chosen one
    click(page, 110, 80)
    saved(page)
    found = Inspector(dark_model).inspect(image).mask
    assert not found[80, 80]  # the hole
    assert np.array_equal(label("d")[0] > 0, found)  # to the pixel
    page.keyboard.press("Shift+A")
    saved(page)


def test_nothing_is_lost_without_a_connection_or_by_a_reload(page, project):
    url, label, _ = project
    go_to(page, url, "d")
    before = label("d")[0]
    page.context.set_offline(True)
    stroke(page, (250, 200), (280, 200))
    saved(page, "not_saved")
    page.wait_for_timeout(300)
    assert np.array_equal(label("d")[0], before)
    page.evaluate("window.onbeforeunload = null")
    page.context.set_offline(False)
    page.on("dialog", lambda dialog: dialog.accept())
    go_to(page, url, "d")
    saved(page)
    assert label("d")[0][200, 265] == 1


def test_two_people_see_what_differs(as_person, project):
    url, label, _ = project
    one, other = as_person("ann"), as_person("eve")
    go_to(one, url, "c")
    go_to(other, url, "c")
    stroke(one, (20, 200), (60, 200))
    saved(one)
    stroke(other, (20, 220), (60, 220))
    other.locator("#conflict").wait_for()
    playwright.expect(other.locator("#difference")).to_be_visible()
    other.get_by_role("button", name="Take theirs").click()
    saved(other)
    stroke(other, (20, 220), (60, 220))
    other.wait_for_timeout(400)
    saved(other)
    drawn = label("c")[0]
    assert drawn[200, 40]
    assert drawn[220, 40]


def test_a_second_opinion_does_not_see_the_first(page, project):
    url, _, _ = project
    go_to(page, url, "a", second="true")
    saved(page, "empty")
    stroke(page, (200, 104), (240, 104))
    saved(page)
    page.keyboard.press("Enter")
    playwright.expect(page.locator("#name")).to_have_text("b")
    page.goto(f"{url}/projects/rings")
    page.get_by_role("heading", name="Agreement of two people").wait_for()


def test_keys_are_those_that_people_know(page, project):
    url, _, _ = project
    go_to(page, url, "a")
    page.keyboard.press("?")
    page.locator("#preset").select_option("labelme")
    page.get_by_role("button", name="Fill: f").click()
    page.keyboard.press("q")
    page.get_by_role("button", name="Close").click()
    page.keyboard.press("q")
    playwright.expect(page.locator('[data-tool="fill"]')).to_have_attribute("aria-pressed", "true")
    page.keyboard.press("d")
    playwright.expect(page.locator("#name")).to_have_text("b")


def test_a_wand_that_answers_late_is_waited_for(page, project):
    url, label, image = project
    page.route("**/wand/**", lambda route: (page.wait_for_timeout(700), route.continue_()))
    go_to(page, url, "b")
    page.keyboard.press("1")
    page.keyboard.press("w")
    click(page, 80, 50)  # on the ring
    page.keyboard.press("2")  # the class of later regions
    page.keyboard.press("Enter")
    playwright.expect(page.locator("#name")).not_to_have_text("b")
    drawn, state = label("b")
    assert state == "done"
    assert set(np.unique(drawn)) == {0, 1}
    assert drawn[image == 10].mean() > 0.9


def test_an_open_polygon_closes_when_its_picture_is_left(page, project):
    url, label, _ = project
    go_to(page, url, "c")
    before, _ = label("c")
    assert not before[170:211, 260:301].any()
    page.keyboard.press("p")
    for corner in ((260, 170), (300, 170), (300, 210), (260, 210)):
        click(page, *corner)
    page.get_by_role("button", name="Submit").click()
    playwright.expect(page.locator("#name")).not_to_have_text("c")
    drawn, state = label("c")
    assert (state, int((drawn != before).sum())) == ("done", 41 * 41)


def test_what_no_server_will_take_does_not_stand_in_the_way(page, project):
    url, _, _ = project
    go_to(page, url, "a", order="name")
    refuse = {"status": 418, "json": {"detail": "the patch ends outside"}}
    page.route(
        "**/label/a?**", lambda route: route.fulfill(**refuse) if route.request.method == "POST" else route.continue_()
    )
    stroke(page, (20, 200), (40, 200))
    saved(page, "refused")
    page.keyboard.press("ArrowRight")
    playwright.expect(page.locator("#name")).to_have_text("b")


def test_after_a_click_keys_mean_the_picture_again(page, fresh):
    url, label, name = fresh
    go_to(page, url, "a", of=name)
    for row in (30, 60, 90):
        stroke(page, (200, row), (240, row))
    page.get_by_role("button", name="Undo").click()
    saved(page)
    before = np.count_nonzero(label("a")[0])
    page.wait_for_timeout(500)
    page.keyboard.press("Enter")
    playwright.expect(page.locator("#name")).not_to_have_text("a")
    drawn, state = label("a")
    assert (np.count_nonzero(drawn), state) == (before, "done")


def test_a_second_press_submits_no_picture_unseen(page, fresh):
    url, label, name = fresh
    go_to(page, url, "c", of=name)
    page.wait_for_timeout(500)
    page.keyboard.press("Enter")
    page.wait_for_timeout(120)
    page.keyboard.press("Enter")
    playwright.expect(page.locator("#name")).to_have_text("d")
    page.wait_for_timeout(600)
    assert (label("c")[1], label("d")[1]) == ("done", "none")


def test_undo_takes_back_the_corner_that_was_set_last(page, fresh):
    url, label, name = fresh
    go_to(page, url, "d", of=name)
    stroke(page, (20, 20), (60, 20))
    saved(page)
    before = label("d")[0]
    page.keyboard.press("p")
    for x, y in ((200, 100), (240, 100), (240, 140), (300, 200)):
        click(page, x, y)
    page.keyboard.press("Control+z")
    page.keyboard.press("Enter")
    page.wait_for_timeout(400)
    saved(page)
    drawn = label("d")[0]
    assert (drawn[before > 0] == before[before > 0]).all()
    assert drawn[130, 239]
    assert not drawn[170, 280]
    page.keyboard.press("Control+z")
    page.wait_for_timeout(400)


def test_two_fingers_zoom_and_draw_nothing(as_person, fresh):
    url, label, name = fresh
    page = as_person("ann", viewport={"width": 820, "height": 1000}, has_touch=True)
    go_to(page, url, "d", of=name)
    before = label("d")[0]
    session = page.context.new_cdp_session(page)

    def touch(kind, *points):
        places = [
            {"x": at(page, x, y)[0], "y": at(page, x, y)[1], "id": number} for number, (x, y) in enumerate(points)
        ]
        session.send("Input.dispatchTouchEvent", {"type": kind, "touchPoints": places})

    for tool in ("wand", "polygon", "fill"):
        page.locator(f"[data-tool={tool}]").click()
        touch("touchStart", (80, 80))
        touch("touchStart", (80, 80), (120, 80))
        touch("touchMove", (60, 80), (140, 80))
        touch("touchEnd")
        page.wait_for_timeout(300)
        page.get_by_role("button", name="Fit").click()
    page.keyboard.press("Enter")  # would close a polygon
    page.wait_for_timeout(400)
    assert np.array_equal(label("d")[0], before)


def test_strokes_that_could_not_be_sent_are_sent_from_another_picture(as_person, fresh):
    url, label, name = fresh
    page = as_person("ann")
    go_to(page, url, "b", of=name)
    before = label("b")[0]
    page.context.set_offline(True)
    stroke(page, (250, 200), (300, 200))
    saved(page, "not_saved")
    page.evaluate("addEventListener('beforeunload', (event) => event.stopImmediatePropagation(), true)")
    page.context.set_offline(False)
    page.route("**/label/b?*", lambda route: route.abort() if route.request.method == "POST" else route.continue_())
    page.goto("about:blank")
    page.unroute("**/label/b?*")
    go_to(page, url, "c", of=name)
    page.wait_for_timeout(500)
    assert np.count_nonzero(label("b")[0]) > np.count_nonzero(before)
