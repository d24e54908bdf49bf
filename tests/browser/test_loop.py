"""The whole job in a browser: label, train, activate, inspect, review by keyboard, see it in the statistics."""

import os
from pathlib import Path

import cv2
import numpy as np
import pytest

playwright = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
pytestmark = [pytest.mark.filterwarnings("ignore::DeprecationWarning"), pytest.mark.slow]


def picture(seed):
    """A bright picture with a dark spot; file name and bytes."""
    rng = np.random.default_rng(seed)
    image = rng.normal(190, 6, (128, 160)).clip(0, 255).astype(np.uint8)
    x, y = int(rng.integers(30, 130)), int(rng.integers(30, 98))
    cv2.circle(image, (x, y), int(rng.integers(6, 12)), 30, -1)
    return cv2.imencode(".png", image)[1].tobytes(), (x, y)


def at(page, x, y):
    box = page.locator("#viewer canvas").bounding_box()
    zoom = min(box["width"] / 160, box["height"] / 128)
    left = box["x"] + (box["width"] - 160 * zoom) / 2
    top = box["y"] + (box["height"] - 128 * zoom) / 2
    return left + (x + 0.5) * zoom, top + (y + 0.5) * zoom


def test_label_train_activate_inspect_review_and_see_it(as_person, serving):
    url, clients, _ = serving
    page = as_person("eve")
    page.goto(f"{url}/projects")
    page.locator("#new-project [name=name]").fill("plates")
    page.locator("#new-project [name=classes]").fill("spot")
    page.get_by_role("button", name="Make").click()
    page.wait_for_url("**/projects/plates")
    files = [picture(seed) for seed in range(4)]
    page.locator("#files").set_input_files(
        [{"name": f"{n}.png", "mimeType": "image/png", "buffer": data} for n, (data, _) in enumerate(files)]
    )
    playwright.expect(page.locator(".thumbs li")).to_have_count(4)

    page.get_by_role("link", name="Label the next one").click()
    page.locator("body[data-ready=true]").wait_for()
    for number in range(4):
        name = page.locator("#name")
        playwright.expect(name).not_to_be_empty()
        _, place = files[int(name.inner_text())]
        page.keyboard.press("w")
        page.locator("#tolerance").fill("40")
        page.mouse.click(*at(page, *place))
        playwright.expect(page.locator("#state")).to_have_attribute("data-kind", "saved")
        page.keyboard.press("Enter")
        if number < 3:
            playwright.expect(page.locator("#state")).to_have_attribute("data-kind", "empty")
    playwright.expect(page.locator("#state")).to_have_attribute("data-kind", "all_labelled")

    page.goto(f"{url}/projects/plates")
    page.get_by_text("4 / 4 labelled").wait_for()
    page.locator("#train [name=minutes]").fill("1")
    page.get_by_role("button", name="Train", exact=True).click()
    page.locator(".job progress").wait_for(timeout=60_000)
    page.get_by_role("link", name="Compare").wait_for(timeout=480_000)
    page.get_by_role("link", name="Compare").click()
    page.wait_for_url("**/models?project=plates*")
    page.locator("#activate [name=why]").fill("the first one")
    page.get_by_role("button", name="Activate", exact=True).click()
    page.get_by_text("the first one").wait_for()

    page.locator('#compare [name="project"]').select_option("plates")
    page.locator('#compare [name="first"]').select_option(index=0)
    page.locator('#compare [name="second"]').select_option(index=0)
    page.get_by_role("button", name="Compare", exact=True).click()
    page.locator("#compared").wait_for(timeout=120_000)
    assert page.locator("#wins tr").count() == 4

    for seed in range(10, 14):
        record = clients["ann"].inspect(picture(seed)[0], name=f"{seed}.png", serial=f"plate {seed}", product="plates")
        assert record.model == "plates"
    page.goto(f"{url}/review")
    playwright.expect(page.locator("#part")).to_contain_text("plate")
    page.locator("#project").select_option("plates")
    part = page.locator("#part").inner_text()
    playwright.expect(page.locator("#ng")).to_be_enabled()
    page.keyboard.press("d")
    page.keyboard.press("x")
    page.keyboard.press("a")
    page.keyboard.press("n")
    playwright.expect(page.locator("#taken")).to_contain_text("plates:")
    playwright.expect(page.locator("#part")).not_to_have_text(part)

    page.goto(f"{url}/statistics?product=plates")
    page.locator("body[data-ready=true]").wait_for()
    playwright.expect(page.locator("#truth")).to_contain_text("1 / 1")
    playwright.expect(page.locator("#about-pareto")).to_be_attached()
    with page.expect_download() as download:
        page.locator('[data-csv="rejected"]').click()
    rows = Path(download.value.path()).read_text("utf-8-sig").splitlines()
    assert rows[0] == "start,inspections,ng,value,low,high,centre,baseline,nelson_rules,changes"
    assert sum(int(row.split(",")[1] or 0) for row in rows[1:]) == 4
    page.goto(f"{url}/projects/plates")
    page.get_by_text("4 / 5 labelled · 1 drafts").wait_for()
    if os.environ.get("CASAE_SHOTS"):
        page.screenshot(path=Path(os.environ["CASAE_SHOTS"]) / "loop.png", full_page=True)
