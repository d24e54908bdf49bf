"""What the client repeats, and what it never does twice."""

import httpx2
import pytest

from casae import client as module
from casae.client import Client, ServiceError

BUSY = httpx2.Response(429, headers={"Retry-After": "0"}, json={"detail": "busy"})
AWAY = httpx2.Response(503, headers={"Retry-After": "0"}, json={"detail": "starts"})
LOST = httpx2.ReadError("the connection broke")
REFUSED = httpx2.ConnectError("refused")
SLOW = httpx2.ReadTimeout("timed out")
OFF = httpx2.ConnectTimeout("timed out")


@pytest.fixture
def asked(monkeypatch):
    """A client whose service answers, one after the other, as it is told; and what it was asked."""
    monkeypatch.setattr(module.time, "sleep", lambda seconds: None)
    seen = []

    def make(*answers):
        left = list(answers)

        def answer(request):
            seen.append((request.method, request.url.path))
            given = left.pop(0)
            if isinstance(given, Exception):
                raise given
            return given

        client = Client("http://line-pc", "a token")
        client._http = httpx2.Client(base_url="http://line-pc", transport=httpx2.MockTransport(answer))
        return client

    return make, seen


@pytest.mark.parametrize("trouble", [BUSY, AWAY, LOST, REFUSED, SLOW, OFF])
def test_questions_are_asked_again(asked, trouble):
    make, seen = asked
    assert make(trouble, httpx2.Response(200, json=[])).get("/api/v1/inspections") == []
    assert len(seen) == 2


@pytest.mark.parametrize("trouble", [BUSY, REFUSED])
def test_what_never_arrived_is_sent_again(asked, trouble):
    make, seen = asked
    make(trouble, httpx2.Response(201, json={})).review("key", "OK", "dust")
    assert len(seen) == 2


@pytest.mark.parametrize("trouble", [AWAY, LOST])
def test_what_may_have_arrived_is_sent_once(asked, trouble):
    make, seen = asked
    with pytest.raises(ServiceError):
        make(trouble, httpx2.Response(201, json={})).review("key", "OK", "dust")
    assert len(seen) == 1


def test_an_inspection_whose_answer_was_lost_is_sent_again(asked, monkeypatch):
    make, seen = asked
    monkeypatch.setattr(module.InspectionRecord, "model_validate_json", lambda content: content)
    assert make(LOST, AWAY, httpx2.Response(200, content=b"record")).inspect(b"picture") == b"record"
    assert seen == [("POST", "/api/v1/inspections")] * 3


def test_patience_ends(asked):
    make, seen = asked
    client = make(*[AWAY] * 3)
    client._patience_s = 0
    with pytest.raises(ServiceError, match="starts") as said:
        client.get("/ready")
    assert (said.value.status, len(seen)) == (503, 1)
