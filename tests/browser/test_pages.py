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
