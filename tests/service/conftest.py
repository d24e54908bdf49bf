from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
from fastapi.testclient import TestClient

from asked import add_model
from casae.records.database import opened
from casae.service.app import create_app
from casae.service.home import Home
from casae.service.settings import ServiceSettings
from casae.service.who import add_user, new_token

Serving = Callable[..., TestClient]


@pytest.fixture
def serving(tmp_path: Path, dark_model: Path) -> Iterator[Serving]:
    """Make an application, on which the dark model judges unless told otherwise; see it through a client."""
    with ExitStack() as stack:

        def make(activate: bool = True, token: str | None = None, **settings: object) -> TestClient:
            values = {"room_mb": 0} | settings
            app = create_app(Home(tmp_path / "home"), ServiceSettings.model_validate(values))
            client = stack.enter_context(
                TestClient(
                    app,
                    base_url="http://localhost",
                    raise_server_exceptions=False,
                    root_path=str(settings.get("root_path", "")),
                    client=("127.0.0.1", 1),
                )
            )
            if token:
                client.headers["Authorization"] = f"Bearer {token}"
            if activate:
                sha256 = add_model(client, dark_model)
                assert client.post("/api/v1/activations", json={"model_sha256": sha256}).status_code == 201
            return client

        yield make


@pytest.fixture
def client(serving: Serving) -> TestClient:
    """An application without login, on which the dark model judges."""
    return serving()


@pytest.fixture
def token(tmp_path: Path) -> Callable[[str], str]:
    """Make a user of a role, who signs in by what this returns."""

    def make(role: str) -> str:
        Home(tmp_path / "home").prepare()
        with opened(tmp_path / "home") as engine:
            add_user(engine, f"the {role}", role, "a good password")
            return new_token(engine, f"the {role}", "test", None)[1]

    return make
