"""A browser on a real server: Debian's chromium, driven by Playwright."""

import shutil
from typing import NamedTuple

import httpx2
import pytest

from asked import PASSWORD
from casae.client import Client
from casae.records.database import opened
from casae.service.who import add_user, new_token
from served import served

CHROMIUM = shutil.which("chromium")


class Serving(NamedTuple):
    """A service: where it is, clients of people, and how its engineer asks for what a client has no word for."""

    url: str
    clients: dict[str, Client]
    http: httpx2.Client


@pytest.fixture(scope="session")
def browser():
    playwright = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
    if CHROMIUM is None:
        pytest.skip("chromium is not installed")
    with playwright.sync_playwright() as driver:
        running = driver.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield running
        running.close()


@pytest.fixture(scope="module")
def serving(tmp_path_factory, dark_model):
    """A service with login and a rule, and clients of an operator and of an engineer."""
    home = tmp_path_factory.mktemp("browser") / "home"
    rules = home.parent / "rules.toml"
    rules.write_text("[[rule]]\nmax_area_px = { accept = 40, review = 400 }\n")
    tokens = {}
    with opened(home) as engine:
        for name, role in (("ann", "operator"), ("eve", "engineer")):
            add_user(engine, name, role, PASSWORD)
            _, tokens[name] = new_token(engine, name, "tests", None)
    with served(home, "--model", str(dark_model), "--rules", str(rules), "--login") as running:
        clients = {name: Client(running.url, token) for name, token in tokens.items()}
        authorization = {"Authorization": f"Bearer {tokens['eve']}"}
        with httpx2.Client(base_url=running.url, headers=authorization, timeout=30) as http:
            yield Serving(running.url, clients, http)
        for client in clients.values():
            client.close()


@pytest.fixture
def as_person(browser, serving):
    """Opens a page of somebody who signed in; an error of a script fails the test."""
    contexts, errors = [], list[str]()
    url = serving.url

    def opened_by(name, **options):
        context = browser.new_context(**{"viewport": {"width": 1280, "height": 800}, "locale": "en-GB"} | options)
        contexts.append(context)
        page = context.new_page()
        page.set_default_timeout(8000)
        page.on("pageerror", lambda error: errors.append(str(error)))
        page.on("console", lambda said: errors.append(said.text) if said.type == "error" else None)
        page.goto(f"{url}/history")
        page.get_by_label("Name").fill(name)
        page.get_by_label("Password").fill(PASSWORD)
        page.get_by_role("button", name="Sign in").click()
        page.wait_for_url("**/history")
        return page

    yield opened_by
    for context in contexts:
        context.close()
    expected = ("401", "409", "418", "ERR_INTERNET")  # 418: of a test that plays the server
    assert [each for each in errors if not any(sign in each for sign in expected)] == []
