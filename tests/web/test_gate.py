"""What every answer of the API has, whichever route gives it."""

from __future__ import annotations

import json
import re
import socket
from pathlib import Path
from typing import Any

import httpx
import pytest

import tillbell
from tests.web.served_gateway import ServedGateway

pytestmark = pytest.mark.sqlite_first

MESSAGE = {"eventType": "order.paid", "payload": {}}
TOO_LARGE = b'{"name":"' + b"a" * 1_048_576 + b'"}'


def answers(
    served: ServedGateway, app_id: str, headers: dict[str, str] | None = None
) -> list[tuple[int, httpx.Response]]:
    """Ask for the same refusals of message creation and of another route."""
    asked: list[tuple[int, httpx.Response]] = []
    nobody, http = served.client(None), served.client(served.key)
    nobody.headers.update(headers or {})
    http.headers.update(headers or {})
    for path, body, created in (
        (f"/app/{app_id}/msg", MESSAGE, 202),
        ("/app", {"name": "shop"}, 201),
    ):
        asked += [
            (created, http.post(path, json=body)),
            (401, nobody.post(path, json=body)),
            (413, http.post(path, content=TOO_LARGE)),
            (422, http.post(path, json={})),
        ]
    asked += [
        (204, nobody.get("/health")),
        (404, http.post("/app/nobody/msg", json=MESSAGE)),
        (404, http.get("/no/such/path")),
        (405, http.delete("/app")),
    ]
    nobody.close()
    http.close()
    return asked


def test_every_answer_forbids_to_store_and_to_guess_it(served: ServedGateway, app_id: str) -> None:
    for status, answer in answers(served, app_id):
        assert answer.status_code == status, answer.request.url
        assert answer.headers.get_list("cache-control") == ["no-store"], answer.request.url
        assert answer.headers["x-content-type-options"] == "nosniff", answer.request.url
        length = None if status == 204 else str(len(answer.content))
        assert answer.headers.get("content-length") == length, answer.request.url


def test_a_bug_is_a_500_of_our_shape_on_every_route(
    served: ServedGateway,
    app_id: str,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:
    def fail_at_once(*_: Any, **__: Any) -> None:
        raise RuntimeError("a bug")

    async def fail(*_: Any, **__: Any) -> None:
        fail_at_once()

    before = served.gateway.meters.request_errors
    monkeypatch.setattr(served.gateway.publisher, "submit", fail_at_once)
    monkeypatch.setattr(served.gateway.applications, "create", fail)
    for path, body in ((f"/app/{app_id}/msg", MESSAGE), ("/app", {"name": "shop"})):
        for headers in ({}, {"idempotency-key": "k"}):
            failed = served.http.post(path, json=body, headers={**headers, "x-request-id": "r-1"})
            assert failed.status_code == 500
            assert failed.json() == {
                "code": "internal",
                "detail": "The server failed.",
                "requestId": "r-1",
            }
            assert failed.headers["content-type"] == "application/problem+json"
            assert failed.headers["cache-control"] == "no-store"
    assert served.gateway.meters.request_errors == before + 4
    lines = [json.loads(line) for line in capfd.readouterr().err.splitlines()]
    bugs = [line for line in lines if line["event"] == "request.error"]
    assert [bug["request_id"] for bug in bugs] == ["r-1"] * 4
    assert all("a bug" in bug["exception"] for bug in bugs)


def raw_answer(served: ServedGateway, request: bytes) -> tuple[bytes, dict[str, Any]]:
    """Send bytes that are no request for the gateway; return the answer's head and its body."""
    with socket.create_connection(("127.0.0.1", served.server.port)) as connection:
        connection.sendall(request)
        parts = iter(lambda: connection.recv(65_536), b"")
        head, _, body = b"".join(parts).partition(b"\r\n\r\n")
    return head, json.loads(body)


def test_every_answer_names_its_request(served: ServedGateway, app_id: str) -> None:
    asked = [answer for _, answer in answers(served, app_id)]
    pages = httpx.Client(base_url=served.url)
    asked += [pages.get("/"), pages.get("/livez"), pages.post("/livez"), pages.get("/nothing")]
    asked += [pages.post("/api/webhooks/stripe/nobody"), pages.delete("/"), pages.get("/metrics")]
    ids = [answer.headers["x-request-id"] for answer in asked]
    assert len(set(ids)) == len(ids)
    for answer in asked:
        if answer.status_code >= 400:
            shown = answer.json()
            assert shown["requestId"] == answer.headers["x-request-id"], answer.request.url
            assert shown["code"], answer.request.url
            assert shown["detail"], answer.request.url
    sane, odd = ("a" * 128, "a-b_c.1:2/3+4="), ("a" * 129, "", "two words")
    for own in (*sane, *odd):
        answer = pages.get("/livez", headers={"x-request-id": own})
        assert (answer.headers["x-request-id"] == own) is (own in sane)
    pages.close()
    for request, status in ((b"GET /" + b"a" * 40_000, b"431"), (b"nonsense\r\n\r\n", b"400")):
        head, shown = raw_answer(served, request)
        assert status in head.split(b"\r\n")[0]
        assert b"x-request-id: " + shown["requestId"].encode() in head
        assert set(shown) == {"code", "detail", "requestId"}


def test_a_refused_method_names_those_of_all_routes(served: ServedGateway, app_id: str) -> None:
    for path, methods in (
        ("/app", {"GET", "HEAD", "POST"}),
        (f"/app/{app_id}", {"GET", "HEAD", "PUT", "PATCH", "DELETE"}),
        (f"/app/{app_id}/msg", {"GET", "HEAD", "POST"}),
        (f"/app/{app_id}/msg/bulk-expunge", {"POST", "GET", "HEAD"}),
    ):
        answer = served.http.request("OPTIONS", path)
        assert answer.status_code == 405
        assert set(answer.headers["allow"].split(", ")) == methods


def test_head_is_get_without_its_body(served: ServedGateway, app_id: str) -> None:
    for path in ("/app", f"/app/{app_id}", "/app/nobody", "/openapi.json"):
        whole, head = served.http.get(path), served.http.head(path)
        assert head.status_code == whole.status_code
        assert head.content == b""
        if whole.is_success:
            assert head.headers["content-length"] == whole.headers["content-length"]


def test_the_root_says_to_programs_what_answers_and_sends_people_to_sign_in(
    served: ServedGateway,
) -> None:
    with httpx.Client(base_url=served.url) as visitor:
        shown = visitor.get("/").json()
        assert shown["version"] == tillbell.__version__
        for name in ("openapi", "ready", "metrics"):
            assert visitor.get(shown[name]).is_success, name
        page = visitor.get("/", headers={"accept": "text/html,*/*;q=0.8"})
        assert (page.status_code, page.headers["location"]) == (303, "/login")


def test_the_api_reference_is_whole_and_loads_nothing_foreign(served: ServedGateway) -> None:
    with httpx.Client(base_url=served.url) as visitor:
        page = visitor.get("/docs")
        whole_document = visitor.get("/api/v1/openapi.json").json()
        listed = set(re.findall(r'href="(/docs/[^"#]+)#/[^"/]+/([^"]+)"', page.text))
        operations = {
            operation["operationId"]
            for members in (whole_document["paths"], whole_document["webhooks"])
            for methods in members.values()
            for operation in methods.values()
        }
        assert {id_ for _, id_ in listed} == operations
        for part in sorted({path for path, _ in listed}):
            assert f'data-document="{part}.json"' in visitor.get(part).text
            document = visitor.get(f"{part}.json")
            named = set(re.findall(r'"#/components/schemas/([^"]+)"', document.text))
            assert named <= set(document.json()["components"]["schemas"])
            assert len(document.content) < 250_000, part
        assert page.headers["content-type"] == "text/html; charset=utf-8"
        assert not re.search(r"<(script|style)(?![^>]* src=)[^>]*>|\son\w+=|\sstyle=", page.text)
        links = re.findall(r'(?:href|src)="([^"#]+)"', page.text)
        for link in dict.fromkeys(links + re.findall(r'src="([^"]+)"', visitor.get(part).text)):
            assert link.startswith("/"), link
            packed = visitor.get(link)
            whole = visitor.get(link, headers={"accept-encoding": "identity"})
            assert packed.content == whole.content, link
            assert packed.is_success, link
        policy = page.headers["content-security-policy"]
        assert "default-src 'none'" in policy
        assert "unsafe" not in policy
        assert "//" not in policy
        assert visitor.head("/docs").headers["content-length"]
        assert visitor.post("/docs").status_code == 405
        for path in ("/docs/", "/docs/docs.js"):
            assert visitor.get(path).is_success
        for path in ("/docs/../edge/auth.py", "/docs/vendored.toml", "/docsx"):
            assert visitor.get(path).status_code == 404, path


def test_the_access_log_names_no_value_of_a_request(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    with ServedGateway(tmp_path, access_log="all") as served:
        app_id = served.http.post("/app", json={"name": "shop"}).json()["id"]
        served.http.post(f"/app/{app_id}/msg?token=c4n4ry", json=MESSAGE)
        served.http.get(f"/app/{app_id}/msg?tag=c4n4ry", headers={"x-request-id": "r-2"})
        httpx.post(f"{served.url}/api/webhooks/stripe/c4n4ry", content=b"c4n4ry")
        httpx.get(f"{served.url}/api/v1/app/c4n4ry", headers={"authorization": "Bearer c4n4ry"})
    text = capfd.readouterr().err
    assert "c4n4ry" not in text
    lines = [json.loads(line) for line in text.splitlines()]
    lines = [line for line in lines if line["event"] == "request.served"]
    route = "/api/v1/app/{app_id}/msg"
    assert [(line["method"], line["route"], line["status"]) for line in lines] == [
        ("POST", "/api/v1/app", 201),
        ("POST", route, 422),
        ("GET", route, 200),
        ("POST", "/api/webhooks/{provider}/{token}", 404),
        ("GET", None, 401),
    ]
    assert lines[1]["app"] == lines[2]["app"] == app_id
    assert lines[1]["key_id"].startswith("key_")
    assert lines[2]["request_id"] == "r-2"
    assert lines[4]["key_id"] is None
    assert lines[2]["bytes"] > 0
    assert lines[2]["ms"] > 0


ORIGIN = "https://shop.example"


def test_a_page_of_an_allowed_origin_may_call_the_api(tmp_path: Path) -> None:
    with ServedGateway(tmp_path, cors_origins=[ORIGIN]) as served:
        app_id = served.http.post("/app", json={"name": "shop"}).json()["id"]
        path = f"/app/{app_id}/msg"
        question = {
            "origin": ORIGIN,
            "access-control-request-method": "POST",
            "access-control-request-headers": "authorization, content-type, idempotency-key",
        }
        with served.client(None) as browser:
            allowed = browser.options(path, headers=question)
            assert allowed.status_code == 204
            assert allowed.headers["access-control-allow-origin"] == ORIGIN
            assert "POST" in allowed.headers["access-control-allow-methods"]
            asked_for = question["access-control-request-headers"]
            assert allowed.headers["access-control-allow-headers"] == asked_for
            stranger = {**question, "origin": "https://shop.example.evil"}
            refused = browser.options(path, headers=stranger)
            assert "access-control-allow-origin" not in refused.headers
            unasked = browser.options(path, headers={"origin": ORIGIN})
            assert unasked.status_code == 401
        for _, answer in answers(served, app_id, {"origin": ORIGIN}):
            assert answer.headers["access-control-allow-origin"] == ORIGIN
            assert "x-request-id" in answer.headers["access-control-expose-headers"]
            assert answer.headers["vary"] == "origin"
            assert "access-control-allow-credentials" not in answer.headers
        hook = httpx.post(f"{served.url}/api/webhooks/stripe/x", headers={"origin": ORIGIN})
        assert "access-control-allow-origin" not in hook.headers


def test_without_the_setting_no_origin_may(served: ServedGateway, app_id: str) -> None:
    for _, answer in answers(served, app_id, {"origin": ORIGIN}):
        assert "access-control-allow-origin" not in answer.headers


def test_every_answer_to_a_limited_key_says_what_is_left(tmp_path: Path) -> None:
    with ServedGateway(tmp_path, api_rate_limit=100) as limited:
        app_id = limited.http.post("/app", json={"name": "shop"}).json()["id"]
        for status, answer in answers(limited, app_id):
            has_key = "authorization" in answer.request.headers
            assert answer.status_code == status, answer.request.url
            assert ("ratelimit" in answer.headers) is has_key, answer.request.url
