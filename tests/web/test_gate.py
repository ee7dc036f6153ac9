"""What every answer of the API has, whichever route gives it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.web.served_gateway import ServedGateway

pytestmark = pytest.mark.sqlite_first

MESSAGE = {"eventType": "order.paid", "payload": {}}
TOO_LARGE = b'{"name":"' + b"a" * 1_048_576 + b'"}'


def answers(served: ServedGateway, app_id: str) -> list[tuple[int, httpx.Response]]:
    """Ask for the same refusals of message creation and of another route."""
    asked: list[tuple[int, httpx.Response]] = []
    nobody = served.client(None)
    for path, body, created in (
        (f"/app/{app_id}/msg", MESSAGE, 202),
        ("/app", {"name": "shop"}, 201),
    ):
        asked += [
            (created, served.http.post(path, json=body)),
            (401, nobody.post(path, json=body)),
            (413, served.http.post(path, content=TOO_LARGE)),
            (422, served.http.post(path, json={})),
        ]
    asked += [
        (204, nobody.get("/health")),
        (404, served.http.post("/app/nobody/msg", json=MESSAGE)),
        (404, served.http.get("/no/such/path")),
    ]
    nobody.close()
    return asked


def test_every_answer_forbids_to_store_and_to_guess_it(served: ServedGateway, app_id: str) -> None:
    for status, answer in answers(served, app_id):
        assert answer.status_code == status, answer.request.url
        assert answer.headers.get_list("cache-control") == ["no-store"], answer.request.url
        assert answer.headers["x-content-type-options"] == "nosniff", answer.request.url
        length = None if status == 204 else str(len(answer.content))
        assert answer.headers.get("content-length") == length, answer.request.url


def test_a_bug_is_a_500_of_our_shape_on_every_route(
    served: ServedGateway, app_id: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def fail(*_: Any, **__: Any) -> None:
        raise RuntimeError("a bug")

    monkeypatch.setattr(served.gateway.publisher, "publish_for", fail)
    monkeypatch.setattr(served.gateway.applications, "create", fail)
    for path, body in ((f"/app/{app_id}/msg", MESSAGE), ("/app", {"name": "shop"})):
        for headers in ({}, {"idempotency-key": "k"}):
            failed = served.http.post(path, json=body, headers=headers)
            assert failed.status_code == 500
            assert failed.json() == {"code": "internal", "detail": "The server failed."}
            assert failed.headers["content-type"] == "application/problem+json"
            assert failed.headers["cache-control"] == "no-store"


def test_every_answer_to_a_limited_key_says_what_is_left(tmp_path: Path) -> None:
    with ServedGateway(tmp_path, api_rate_limit=100) as limited:
        app_id = limited.http.post("/app", json={"name": "shop"}).json()["id"]
        for status, answer in answers(limited, app_id):
            has_key = "authorization" in answer.request.headers
            assert answer.status_code == status, answer.request.url
            assert ("ratelimit" in answer.headers) is has_key, answer.request.url
