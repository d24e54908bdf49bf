"""A small client of the service: one machine inspects, others ask it.

>>> from casae.client import Client
>>> client = Client("http://line-pc:8000", token="casae_...")  # doctest: +SKIP
>>> record = client.inspect("part.png", serial="4711", product="ring")  # doctest: +SKIP
>>> record.decision, [defect.defect_class for defect in record.defects]  # doctest: +SKIP
"""

import time
from collections.abc import Iterator, Mapping
from datetime import datetime
from pathlib import Path
from types import EllipsisType, TracebackType
from typing import Any, Self

import httpx2

from casae.errors import CasaeError
from casae.inspection.record import InspectionRecord

BUSY, AWAY = 429, 503
AGAIN = {BUSY, AWAY}
LONGEST_WAIT_S = 30.0


class ServiceError(CasaeError):
    """The service answered with an error, or not at all.

    Attributes:
        status: of HTTP; None without an answer.
        problem: what the service said, as RFC 9457 has it.
    """

    def __init__(self, said: str, status: int | None = None, problem: Mapping[str, Any] | None = None) -> None:
        super().__init__(said)
        self.status, self.problem = status, dict(problem or {})


class Client:
    """Talks to a service; use it with `with`, or close it. Threads may share one.

    Args:
        url: of the service, such as http://127.0.0.1:8000.
        token: that `casae users token` printed; None where nobody signs in.
        patience_s: for which a request is repeated while the service is busy, starting, or away.
        timeout_s: of one try.

    Raises:
        ServiceError: from every call: the service says no, or nobody answers.
    """

    def __init__(self, url: str, token: str | None = None, patience_s: float = 60.0, timeout_s: float = 90.0) -> None:
        headers = {"Authorization": f"Bearer {token}"} if token else {}
        self._http = httpx2.Client(base_url=url, headers=headers, timeout=timeout_s)
        self._patience_s = patience_s

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Let go of the connections."""
        self._http.close()

    def inspect(
        self,
        image: str | Path | bytes,
        *,
        name: str | None = None,
        serial: str | None = None,
        batch: str | None = None,
        product: str | None = None,
        station: str | None = None,
        recipe: str | None = None,
        camera: str | None = None,
        taken_at: datetime | None = None,
    ) -> InspectionRecord:
        """Inspect a picture; the record is on the service's disk when this returns.

        It is safe to repeat: the same picture of the same part is recorded once.

        Args:
            image: a file, or its bytes.
            name: of the picture in records; by default that of the file.
            serial, batch, product, station, recipe: of the part.
            camera: that took it.
            taken_at: when, with an offset from UTC.
        """
        data = image if isinstance(image, bytes) else Path(image).read_bytes()
        shown = name or ("upload" if isinstance(image, bytes) else Path(image).name)
        told = {
            "serial": serial,
            "batch": batch,
            "product": product,
            "station": station,
            "recipe": recipe,
            "camera": camera,
            "taken_at": None if taken_at is None else taken_at.astimezone().isoformat(),
        }
        form = {key: value for key, value in told.items() if value is not None}
        return InspectionRecord.model_validate_json(
            self._ask("POST", "/api/v1/inspections", files={"image": (shown, data)}, data=form).content
        )

    def inspection(self, key: str) -> InspectionRecord:
        """The record of an id."""
        return InspectionRecord.model_validate(self.get(f"/api/v1/inspections/{key}")["record"])

    def inspections(self, **filters: Any) -> Iterator[dict[str, Any]]:
        """Rows of inspections, newest first, page after page; filters as of GET /api/v1/inspections."""
        after = None
        while True:
            page = self.get("/api/v1/inspections", **filters, after=after)
            yield from page["items"]
            after = page["next"]
            if after is None:
                return

    def review(self, key: str, decision: str, why: str) -> dict[str, Any]:
        """Say what a part truly is, OK or NG."""
        return self.post(f"/api/v1/inspections/{key}/reviews", decision=decision, why=why)

    def overlay(self, key: str) -> bytes:
        """The picture with its defects marked, JPEG."""
        return self._ask("GET", f"/api/v1/inspections/{key}/overlay").content

    def add_model(self, file: str | Path) -> dict[str, Any]:
        """Add a .casae file; it judges nothing before it is activated."""
        path = Path(file)
        answer = self._ask("POST", "/api/v1/models", files={"model": (path.name, path.read_bytes())})
        return dict(answer.json())

    def activate(
        self, model_sha256: str, rules_sha256: str | EllipsisType | None = ..., product: str = "", why: str = ""
    ) -> None:
        """Let a model judge a product from now on, by its rules so far unless others are given; None are none."""
        rules = {} if rules_sha256 is ... else {"rules_sha256": rules_sha256}
        self.post("/api/v1/activations", model_sha256=model_sha256, product=product, why=why, **rules)

    def job(self, **wanted: Any) -> dict[str, Any]:
        """Begin a job, such as kind="train", dataset="folder:rings", name="rings", and wait until it is over."""
        job = self.post("/api/v1/jobs", **wanted)
        while job["state"] in ("queued", "running"):
            time.sleep(1)
            job = self.get(f"/api/v1/jobs/{job['id']}")
        return job

    def get(self, path: str, **query: Any) -> Any:
        """What a path answers."""
        told = {key: value for key, value in query.items() if value is not None}
        return self._ask("GET", path, params=told).json()

    def post(self, path: str, **content: Any) -> Any:
        """What a path answers to JSON."""
        return self._ask("POST", path, json=content).json()

    def _ask(self, method: str, path: str, **parts: Any) -> httpx2.Response:
        """The answer, after further tries where the service is busy or away.

        A POST whose answer was lost is sent again for inspections alone, which are recorded once.
        """
        repeats = method == "GET" or path == "/api/v1/inspections"
        end, wait = time.monotonic() + self._patience_s, 0.2
        while True:
            try:
                answer = self._http.request(method, path, **parts)
                if answer.status_code not in AGAIN or not (repeats or answer.status_code == BUSY):
                    return _checked(answer)
                told = answer.headers.get("Retry-After", "")
                wait = float(told) if told.isdecimal() else wait
            except (httpx2.TimeoutException, httpx2.NetworkError, httpx2.RemoteProtocolError) as error:
                unsent = isinstance(error, (httpx2.ConnectError, httpx2.ConnectTimeout))
                if time.monotonic() + wait > end or not (repeats or unsent):
                    raise ServiceError(f"{self._http.base_url}: does not answer ({error}); is it running?") from error
            except httpx2.HTTPError as error:
                raise ServiceError(f"{self._http.base_url}{path}: {error}; try again") from error
            else:
                if time.monotonic() + wait > end:
                    return _checked(answer)
            time.sleep(wait)
            wait = min(LONGEST_WAIT_S, 2 * wait)


def _checked(answer: httpx2.Response) -> httpx2.Response:
    if answer.is_success:
        return answer
    problem = answer.json() if "json" in answer.headers.get("content-type", "") else {}
    said = problem.get("detail", answer.text[:200])
    raise ServiceError(f"{answer.request.url.path}: {said}", answer.status_code, problem)
