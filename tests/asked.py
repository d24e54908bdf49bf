"""What tests of the service ask, and what they expect of an answer."""

from pathlib import Path

import cv2
import httpx2
import numpy as np
from fastapi.testclient import TestClient

PASSWORD = "a good password"


def png(gray: int = 200, spots: int = 1, side: int = 64) -> bytes:
    """A bright picture with dark spots."""
    image = np.full((48, side), gray, np.uint8)
    for spot in range(spots):
        image[4 + 12 * spot : 10 + 12 * spot, 5:11] = 10
    return cv2.imencode(".png", image)[1].tobytes()


def add_model(client: TestClient, file: Path) -> str:
    """Its hash."""
    answer = client.post("/api/v1/models", files={"model": ("dark.casae", file.read_bytes())})
    assert answer.status_code in (200, 201), answer.text
    return answer.json()["sha256"]


def send(client: TestClient, picture: bytes, name: str = "part.png", **part: str) -> dict[str, object]:
    """The record of a picture."""
    answer = client.post("/api/v1/inspections", files={"image": (name, picture)}, data=part)
    assert answer.status_code in (200, 201), answer.text
    return answer.json()


def is_problem(answer: httpx2.Response, status: int) -> str:
    """Whether an answer is an error in the one form; what it says."""
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"] == "application/problem+json"
    content = answer.json()
    assert set(content) == {"type", "title", "status", "detail", "instance"}
    assert content["status"] == status
    assert content["instance"] == answer.headers["x-request-id"]
    return content["detail"]
