"""The receivers of docs/verify.md run, accept what is genuine and refuse the rest."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.cases import each
from tests.verify.apps import fastapi_app, flask_app
from tests.verify.requests import SECRET, signed

ROOT = Path(__file__).parents[2]
APPS = Path(__file__).parent / "apps"
BODY = '{"type": "order.paid", "note": "Šećer — قهوة"}'.encode()
Post = Callable[[bytes, dict[str, str]], tuple[int, bytes]]


@pytest.fixture(autouse=True)
def _secret(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WEBHOOK_SECRET", SECRET)


def flask_post(body: bytes, headers: dict[str, str]) -> tuple[int, bytes]:
    client = flask_app.app.test_client()
    answer = client.post("/webhooks", data=body, headers=headers, content_type="application/json")
    return answer.status_code, answer.data


def fastapi_post(body: bytes, headers: dict[str, str]) -> tuple[int, bytes]:
    async def post() -> httpx.Response:
        transport = httpx.ASGITransport(fastapi_app.app)
        async with httpx.AsyncClient(transport=transport, base_url="http://receiver") as client:
            return await client.post("/webhooks", content=body, headers=headers)

    answer = asyncio.run(post())
    return answer.status_code, answer.content


@pytest.fixture(scope="module")
def django_post() -> Post:
    import django
    from django.conf import settings
    from django.test import RequestFactory

    if not settings.configured:
        settings.configure(ALLOWED_HOSTS=["*"], USE_TZ=True)
        django.setup()
    from tests.verify.apps import django_views

    def post(body: bytes, headers: dict[str, str]) -> tuple[int, bytes]:
        request = RequestFactory().post(
            "/webhooks", body, content_type="application/json", headers=headers
        )
        answer = django_views.receive(request)
        return answer.status_code, answer.content

    return post


@pytest.fixture(params=["flask", "fastapi", "django"])
def post(request: pytest.FixtureRequest) -> Post:
    if request.param == "django":
        found: Post = request.getfixturevalue("django_post")
        return found
    return flask_post if request.param == "flask" else fastapi_post


def test_a_genuine_request_is_accepted(post: Post, capsys: pytest.CaptureFixture[str]) -> None:
    status, answer = post(BODY, signed(BODY, int(time.time())))
    assert (status, answer.strip(b'"')) == (200, b"OK")
    assert capsys.readouterr().out.startswith("order.paid msg_")


@each("spoil", ["body", "signature", "time", "headers"])
def test_anything_else_is_answered_401(post: Post, spoil: str) -> None:
    now_s = int(time.time())
    headers = signed(BODY, now_s - 1000 if spoil == "time" else now_s)
    if spoil == "signature":
        headers["webhook-signature"] = "v1,AAAA"
    body = BODY + b" " if spoil == "body" else BODY
    status, answer = post(body, {} if spoil == "headers" else headers)
    assert status == 401
    assert b"Invalid signature: " in answer


def test_meta_of_django_is_read_as_its_headers_are(django_post: Post) -> None:
    from django.test import RequestFactory

    from tillbell.verify import verify

    request: Any = RequestFactory().post(
        "/", BODY, content_type="application/json", headers=signed(BODY, int(time.time()))
    )
    assert verify(request.body, request.META, SECRET).event_type == "order.paid"


@pytest.mark.parametrize("name", ["flask_app", "fastapi_app", "django_views"])
def test_the_page_shows_the_programs_that_run_here(name: str) -> None:
    program = (APPS / f"{name}.py").read_text(encoding="utf-8").strip()
    assert f"```python\n{program}\n```" in (ROOT / "docs/verify.md").read_text(encoding="utf-8")
