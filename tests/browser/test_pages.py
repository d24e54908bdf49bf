"""The pages in a real browser, on the real server: Debian's chromium, driven by Playwright."""

import os
from pathlib import Path

import cv2
import numpy as np
import pytest

from asked import PASSWORD, png

playwright = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")
SIZES = {"phone": (390, 844), "tablet": (1024, 768), "desktop": (1920, 1080)}


@pytest.fixture(scope="module")
def service(serving):
    """With a few inspections of every kind."""
    url, clients, _ = serving
    for number, spots in enumerate(((), (18,), (30, 18), (), (18,), (30,))):
        image = np.full((480, 640), 200, np.uint8)
        for row, side in enumerate(spots):
            image[100 + 60 * row : 100 + 60 * row + side, 200 : 200 + side] = 10
        data = cv2.imencode(".png", image)[1].tobytes()
        clients["ann"].inspect(data, name=f"{number}.png", serial=f"part {number}", product="ring")
    return url, clients["ann"]


@pytest.fixture
def page(as_person):
    return as_person("ann")


def test_cards_come_by_themselves(page, service):
    url, client = service
    page.goto(f"{url}/")
    before = page.locator("#cards .card").count()
    count = int(page.locator('[data-count="OK"]').inner_text())
    page.wait_for_timeout(700)
    record = client.inspect(png(180, 0), name="fresh.png", serial="fresh")
    page.locator(f'[data-id="{record.id}"]').wait_for()
    assert page.locator("#cards .card").count() == before + 1
    assert page.locator("#cards .card").first.inner_text().startswith("✓ OK")
    assert int(page.locator('[data-count="OK"]').inner_text()) == count + 1
    page.locator(f'[data-id="{record.id}"] a').click()
    page.wait_for_url(f"**/inspections/{record.id}")


def colour_at(page, x, y):
    """Of a pixel of the viewer's canvas, in CSS pixels."""
    script = """([x, y]) => {
        const canvas = document.querySelector("#viewer canvas");
        const ratio = canvas.width / canvas.clientWidth;
        return [...canvas.getContext("2d").getImageData(x * ratio, y * ratio, 1, 1).data];
    }"""
    return page.evaluate(script, [x, y])


def test_the_viewer_shows_pixels_layers_and_the_defect_that_is_chosen(page, service):
    url, client = service
    (row,) = client.inspections(serial="part 5")
    page.goto(f"{url}/inspections/{row['id']}")
    page.wait_for_timeout(500)
    page.locator("#defects tbody tr").first.click()
    page.wait_for_timeout(200)
    assert page.locator('#defects tr[aria-selected="true"]').count() == 1
    box = page.locator("#viewer canvas").bounding_box()
    middle = (box["width"] / 2, box["height"] / 2)
    red, green, blue, _ = colour_at(page, *middle)
    assert green > red + 30  # the mask lies on it
    page.get_by_label("Mask", exact=True).first.uncheck()
    page.wait_for_timeout(200)
    red, green, blue, _ = colour_at(page, *middle)
    assert (red, green, blue) == (10, 10, 10)  # the very pixel
    page.get_by_role("button", name="Fit").click()
    assert page.locator("#viewer .scale").inner_text().endswith("%")
    page.locator("#viewer canvas").focus()
    before = page.locator("#viewer .scale").inner_text()
    page.keyboard.press("+")
    page.wait_for_timeout(200)
    assert page.locator("#viewer .scale").inner_text() != before


def test_doubtful_parts_are_judged_by_keyboard(page, service):
    url, client = service
    waiting = list(client.inspections(decision="REVIEW", reviewed=False))
    assert len(waiting) == 2
    page.goto(f"{url}/review")
    part = page.locator("#part")
    playwright.expect(page.locator("#waiting")).to_have_text(str(len(waiting)))
    playwright.expect(part).not_to_be_empty()
    first = part.inner_text()
    judgeable = playwright.expect(page.locator("#ng"))
    judgeable.to_be_enabled()
    page.keyboard.press("d")
    page.keyboard.press("n")
    playwright.expect(part).not_to_have_text(first)
    page.keyboard.press("u")  # back to it, and the later word counts
    playwright.expect(part).to_have_text(first)
    judgeable.to_be_enabled()
    page.keyboard.press("o")
    playwright.expect(part).not_to_have_text(first)
    page.locator("#reason").fill("a scratch")
    page.keyboard.press("n")  # is written, and judges nothing
    part.focus()
    judgeable.to_be_enabled()
    page.keyboard.press("n")
    playwright.expect(page.locator("#empty")).to_be_visible()
    said = [client.get(f"/api/v1/inspections/{row['id']}")["reviews"] for row in waiting]
    told = {(reviews[-1]["new"], reviews[-1]["why"], reviews[-1]["who"]) for reviews in said}
    assert told == {("OK", "", "ann"), ("NG", "a scratchn", "ann")}
    assert sorted(len(reviews) for reviews in said) == [1, 2]
    page.keyboard.press("?")
    assert page.locator("#keys").is_visible()
    page.keyboard.press("Escape")
    page.keyboard.press("u")  # also where nothing waits
    playwright.expect(part).to_be_visible()
    playwright.expect(page.locator("#ng")).to_be_enabled()
    page.keyboard.press("n")
    playwright.expect(page.locator("#empty")).to_be_visible()


def doubtful(client, *serials):
    image = np.full((480, 640), 200, np.uint8)
    image[100:118, 200:218] = 10
    for level, serial in enumerate(serials):
        image[0, 0] = level
        client.inspect(cv2.imencode(".png", image)[1].tobytes(), name=f"{serial}.png", serial=serial, product="ring")


def test_a_held_key_judges_one_part_and_an_empty_queue_looks_again(page, service):
    url, client = service
    page.goto(f"{url}/review")
    playwright.expect(page.locator("#empty")).to_be_visible()
    doubtful(client, "held 1", "held 2", "held 3")
    part = page.locator("#part")
    playwright.expect(part).not_to_be_empty(timeout=15_000)
    first = part.inner_text()
    playwright.expect(page.locator("#ng")).to_be_enabled()
    page.keyboard.down("n")
    playwright.expect(part).not_to_have_text(first)
    playwright.expect(page.locator("#ng")).to_be_enabled()
    second = part.inner_text()
    for _ in range(5):
        page.keyboard.down("n")  # the system repeats it
    page.wait_for_timeout(500)
    page.keyboard.up("n")
    assert part.inner_text() == second
    waiting = [row["serial"] for row in client.inspections(decision="REVIEW", reviewed=False)]
    assert sorted([*waiting, first]) == ["held 1", "held 2", "held 3"]
    (third,) = {*waiting} - {second}
    (row,) = client.inspections(serial=third)
    client.review(row["id"], "OK", "somebody else was faster")
    page.keyboard.press("n")
    playwright.expect(page.locator("#empty")).to_be_visible()
    reviews = client.get(f"/api/v1/inspections/{row['id']}")["reviews"]
    assert [each["new"] for each in reviews] == ["OK"]


def review_of(page, url, client, serial):
    """Make a doubtful part, the only one, and wait until it can be judged."""
    for row in client.inspections(decision="REVIEW", reviewed=False):
        client.review(row["id"], "OK", "done")
    doubtful(client, serial)
    page.goto(f"{url}/review")
    playwright.expect(page.locator("#part")).to_have_text(serial)
    playwright.expect(page.locator("#ng")).to_be_enabled()
    (row,) = client.inspections(serial=serial)
    return lambda: client.get(f"/api/v1/inspections/{row['id']}")["reviews"]


def test_what_is_typed_into_a_list_of_classes_judges_nothing(page, service):
    url, client = service
    reviews = review_of(page, url, client, "typed")
    choice = page.locator("#findings select").first
    choice.focus()
    page.keyboard.type("no d")
    playwright.expect(page.locator("#findings select").first).to_be_focused()
    assert reviews() == []
    page.locator("#part").focus()
    page.keyboard.press("n")
    playwright.expect(page.locator("#empty")).to_be_visible()
    assert [each["class"] for each in reviews()[0]["findings"]] == [None]


def test_what_was_said_of_a_part_is_there_again(page, service):
    url, client = service
    reviews = review_of(page, url, client, "again")
    page.keyboard.press("d")
    page.keyboard.press("x")
    page.locator("#reason").fill("dust")
    page.get_by_role("button", name="Later").click()
    playwright.expect(page.locator("#ng")).to_be_enabled()
    assert page.locator("#findings .changed").count() == 1  # put off, and not forgotten
    assert page.locator("#reason").input_value() == "dust"
    page.locator("#part").focus()
    page.keyboard.press("m")
    box = page.locator("#viewer canvas").bounding_box()
    for x, y in ((60, 60), (90, 60), (90, 90)):
        page.mouse.click(box["x"] + x, box["y"] + y)
    page.keyboard.press("Enter")
    page.keyboard.press("n")
    playwright.expect(page.locator("#empty")).to_be_visible()
    page.keyboard.press("u")
    playwright.expect(page.locator("#ng")).to_be_enabled()
    page.keyboard.press("o")
    playwright.expect(page.locator("#empty")).to_be_visible()
    first, second = reviews()
    assert len(first["findings"]) == 2
    assert (second["findings"], second["why"], second["new"]) == (first["findings"], "dust", "OK")


def test_two_people_do_not_overrule_each_other_unseen(as_person, service):
    url, client = service
    page, other = as_person("ann"), as_person("eve")
    reviews = review_of(page, url, client, "both")
    other.goto(f"{url}/review")
    playwright.expect(other.locator("#ng")).to_be_enabled()
    page.keyboard.press("n")
    playwright.expect(page.locator("#empty")).to_be_visible()
    other.keyboard.press("o")
    playwright.expect(other.locator("#trouble")).to_contain_text("ann has said NG meanwhile")
    assert [each["new"] for each in reviews()] == ["NG"]
    other.keyboard.press("o")  # meant
    playwright.expect(other.locator("#empty")).to_be_visible()
    assert [each["new"] for each in reviews()] == ["NG", "OK"]


def test_on_a_phone_the_picture_and_the_verdict_are_on_screen_together(as_person, service):
    url, client = service
    page = as_person("ann", viewport={"width": 390, "height": 844}, has_touch=True)
    review_of(page, url, client, "phone")
    seen = [page.locator(each).bounding_box() for each in ("#viewer", "#ok", "#ng")]
    assert all(box["y"] >= 0 and box["y"] + box["height"] <= 844 for box in seen)
    assert seen[0]["y"] + seen[0]["height"] <= seen[1]["y"]
    page.keyboard.press("n")


def test_a_verdict_before_the_script_has_its_answer_is_kept(page, service):
    url, client = service
    (row,) = client.inspections(serial="part 1")
    slow = lambda route: (page.wait_for_timeout(1500), route.continue_())  # noqa: E731
    page.route(f"**/api/v1/inspections/{row['id']}", slow)
    page.goto(f"{url}/inspections/{row['id']}", wait_until="commit")
    page.get_by_label("Reason").fill("burr")
    page.get_by_role("button", name="Part is NG").click()
    page.get_by_text("burr").wait_for()
    assert "decision=" not in page.url
    assert client.get(f"/api/v1/inspections/{row['id']}")["reviews"][-1]["why"] == "burr"
    page.unroute_all(behavior="ignoreErrors")


def test_a_picture_that_fails_for_a_while_comes_again(page, service):
    url, client = service
    (row,) = client.inspections(serial="part 2")
    page.route("**/view", lambda route: route.fulfill(status=418, json={"detail": "busy drawing"}))
    page.goto(f"{url}/inspections/{row['id']}")
    playwright.expect(page.locator("#viewer .note")).to_have_text("busy drawing")
    page.unroute("**/view")
    playwright.expect(page.locator("#viewer .note")).to_be_hidden(timeout=10_000)
    page.unroute_all(behavior="ignoreErrors")


def test_long_names_break_no_page(as_person, service, serving):
    url, client = service
    name = "a-project-with-a-name-that-says-all-there-is-to-say-of-it-and-then-some-more-of-that"
    serving.http.post("/api/v1/projects", json={"name": name, "classes": ["c" * 60]})
    serving.http.post(f"/api/v1/projects/{name}/pictures", files={"image": ("0.png", png(side=120))})
    client.inspect(png(66, 0), name="long.png", serial="S-" + "0123456789" * 9)
    for width in (390, 820, 1440):
        page = as_person("eve", viewport={"width": width, "height": 800})
        review_of(page, url, client, f"long {width}")
        for path in ("/review", "/history", "/projects", f"/projects/{name}", f"/projects/{name}/label/0", "/"):
            page.goto(url + path)
            page.wait_for_timeout(500)
            assert page.evaluate("document.documentElement.scrollWidth") <= width, (path, width)


def test_a_project_of_many_pictures_shows_them_all(page, service, serving):
    url, _ = service
    serving.http.post("/api/v1/projects", json={"name": "many", "classes": ["dark"]})
    for number in range(205):
        serving.http.post("/api/v1/projects/many/pictures", files={"image": (f"p{number:03}.png", png(side=64))})
    page.goto(f"{url}/projects/many")
    assert page.locator(".thumbs li").count() == 200
    page.get_by_role("link", name="Next picture").click()
    playwright.expect(page.locator(".thumbs li")).to_have_count(5)
    page.locator("[name=find]").fill("P20")
    page.get_by_role("button", name="Find").click()
    playwright.expect(page.locator(".thumbs li")).to_have_count(5)
    assert page.locator(".thumbs .small").all_inner_texts() == [f"p{number}" for number in range(200, 205)]


def test_the_live_page_comes_back_by_itself(page, service):
    url, client = service
    page.route("**/api/v1/events*", lambda route: route.fulfill(status=418))  # after which a browser asks no more
    page.goto(f"{url}/")
    playwright.expect(page.locator("#lost")).to_be_visible()
    page.unroute("**/api/v1/events*")
    playwright.expect(page.locator("#lost")).to_be_hidden(timeout=15_000)
    page.wait_for_timeout(700)
    record = client.inspect(png(170, 0), name="after.png", serial="after")
    page.locator(f'[data-id="{record.id}"]').wait_for()


def test_a_judgement_on_the_page_of_a_part_is_kept(page, service):
    url, client = service
    (row,) = client.inspections(serial="part 0")
    page.goto(f"{url}/inspections/{row['id']}")
    page.get_by_label("Reason").fill("missed a dent")
    page.get_by_role("button", name="Part is NG").click()
    page.get_by_text("missed a dent").wait_for()
    assert page.locator("h1 ~ .verdict").all_inner_texts()[-1].endswith("NG")


def test_signing_out_ends_it(page, service):
    url, _ = service
    page.get_by_role("button", name="Sign out").click()
    page.wait_for_url("**/login*")
    page.goto(f"{url}/history")
    page.wait_for_url("**/login?next=*")


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("size", SIZES)
def test_pages_fit_every_screen_and_everybody(browser, service, serving, size, scheme):
    """No page scrolls sideways, axe-core finds nothing serious; CASAE_SHOTS names a folder for pictures."""
    axe = pytest.importorskip("axe_playwright_python.sync_playwright", reason="axe-playwright-python is not installed")
    url, client = service
    plates(serving.http)
    width, height = SIZES[size]
    context = browser.new_context(viewport={"width": width, "height": height}, color_scheme=scheme, locale="en-GB")
    shown = context.new_page()
    shown.set_default_timeout(8000)
    shown.goto(f"{url}/login")
    check(axe, shown, size)
    shown.get_by_label("Name").fill("eve")
    shown.get_by_label("Password").fill(PASSWORD)
    shown.get_by_role("button", name="Sign in").click()
    shown.wait_for_url(f"{url}/")
    (row,) = client.inspections(serial="part 2")
    for name, path in (
        ("live", "/"),
        ("history", "/history"),
        ("review", "/review"),
        ("gallery", "/history?look=gallery"),
        ("part", f"/inspections/{row['id']}"),
        ("projects", "/projects"),
        ("project", "/projects/plates"),
        ("label", "/projects/plates/label/0"),
        ("models", "/models?project=plates"),
        ("statistics", "/statistics"),
    ):
        shown.goto(url + path)
        if name != "live":  # which listens as long as it is open
            shown.wait_for_load_state("networkidle")
        shown.wait_for_timeout(600)
        check(axe, shown, size)
        if os.environ.get("CASAE_SHOTS"):
            shown.screenshot(path=Path(os.environ["CASAE_SHOTS"]) / f"{name}-{size}-{scheme}.png", full_page=True)
    context.close()


def plates(http):
    """A project with pictures, made once."""
    made = http.post("/api/v1/projects", json={"name": "plates", "classes": ["dark", "bright"]})
    if made.status_code == 201:
        for number in range(3):
            http.post("/api/v1/projects/plates/pictures", files={"image": (f"{number}.png", png(side=120))})


def check(axe, page, size):
    assert page.evaluate("document.documentElement.scrollWidth") <= SIZES[size][0]
    found = axe.Axe().run(page).response["violations"]
    serious = [
        f"{each['id']}: {each['nodes'][0]['html']}" for each in found if each["impact"] in ("serious", "critical")
    ]
    assert serious == [], page.url
