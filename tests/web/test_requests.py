"""Bodies, parameters and repeats: what is refused, and how it is told."""

from __future__ import annotations

import asyncio
import re
from typing import Any
from urllib.parse import quote

import httpx
import pytest
from fastapi.routing import APIRoute
from starlette.routing import Match

from tests.web.served_gateway import ServedGateway
from tillbell.errors import StoreUnavailable
from tillbell.web.api.rest import ROUTERS
from tillbell.web.api.route_index import IndexedRouter

pytestmark = pytest.mark.sqlite_first

DEEP = b'{"name":' + b"[" * 70 + b"]" * 70 + b"}"


@pytest.mark.parametrize(
    ("body", "status", "code"),
    [
        (b'{"name":', 400, "malformed"),
        (b'{"name":"\xff"}', 400, "not_utf8"),
        (b'{"name":"a\\u0000"}', 400, "nul_character"),
        (b'{"name":"\\ud800"}', 400, "lone_surrogate"),
        (b'{"\\ud800":1}', 400, "lone_surrogate"),
        (DEEP, 400, "too_deep"),
        (b"[" * 100_000, 400, "too_deep"),
        (b'{"a":' * 100_000, 400, "too_deep"),
        (b"[" * 5_000 + b"]" * 64, 400, "too_deep"),
        (b'{"name":"' + b"a" * 1_048_576 + b'"}', 413, "payload_too_large"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_every_way_to_be_unreadable_has_its_own_error(
    served: ServedGateway, body: bytes, status: int, code: str
) -> None:
    refused = served.http.post("/app", content=body)
    assert (refused.status_code, refused.json()["code"]) == (status, code)
    assert refused.headers["content-type"] == "application/problem+json"


@pytest.mark.parametrize(
    ("body", "loc"),
    [
        ({"name": "a" * 257}, ["body", "name"]),
        ({"name": "a", "uid": "a" * 257}, ["body", "uid"]),
        ({"name": "a", "uid": "ä"}, ["body", "uid"]),
        ({"name": "a", "uid": "."}, ["body", "uid"]),
        ({"name": "a", "uid": ".."}, ["body", "uid"]),
        ({"name": "a", "throttleRate": 0}, ["body", "throttleRate"]),
        ({"name": "a", "throttleRate": "7"}, ["body", "throttleRate"]),
        ({"name": "a", "metadata": {str(n): "" for n in range(51)}}, ["body", "metadata"]),
        ({"name": "a", "metadata": {"k": 1}}, ["body", "metadata", "k"]),
        ({}, ["body", "name"]),
        ([], ["body"]),
    ],
)
def test_every_broken_rule_is_told_where(
    served: ServedGateway, body: object, loc: list[str]
) -> None:
    refused = served.http.post("/app", json=body)
    assert refused.status_code == 422
    assert refused.headers["content-type"] == "application/json"
    assert refused.json()["detail"][0]["loc"] == loc


def test_an_event_type_is_found_under_every_name_that_is_registered(served: ServedGateway) -> None:
    http = served.http
    for name in ("acme.eu/orders", "a/b/c", "import/x", "a:b"):
        made = http.post("/event-type", json={"name": name, "description": "d"})
        assert made.status_code == 201, name
        for path in (f"/event-type/{name}", f"/event-type/{quote(name, safe='')}/"):
            assert http.get(path).json()["name"] == name
        changed = http.patch(f"/event-type/{name}", json={"description": "e"})
        assert changed.json()["description"] == "e"
        assert http.delete(f"/event-type/{name}?expunge=true").status_code == 204
        assert http.get(f"/event-type/{name}").status_code == 404
    for name in ("catalog", ".", "..", "/a", "a/", "a//b", "a/../b"):
        refused = http.post("/event-type", json={"name": name, "description": "d"})
        assert refused.status_code == 422, name


@pytest.mark.parametrize(
    "query",
    [
        {"limit": "0"},
        {"limit": "251"},
        {"limit": "1000000000"},
        {"limit": "-1"},
        {"limit": "many"},
        {"iterator": "' OR 1=1--"},
        {"iterator": "app_1; drop table records"},
        {"iterator": "a" * 300},
        {"order": "sideways"},
        {"after": "20261130"},
        {"after": "1764460800.5"},
    ],
)
def test_a_tampered_list_is_refused(served: ServedGateway, query: dict[str, str]) -> None:
    path = "/message" if "after" in query else "/app"
    assert served.http.get(path, params=query).status_code == 422


@pytest.mark.parametrize(
    "name", ["' OR 1=1--", "%2e%2e%2f", "%00", "a" * 10_240, "{app_id}", "\u202egnp"]
)
def test_a_strange_name_is_not_found(served: ServedGateway, name: str) -> None:
    url = httpx.URL(served.url).copy_with(
        raw_path=b"/api/v1/app/" + httpx.URL(f"/{name}").raw_path[1:]
    )
    assert served.http.get(url).status_code in (404, 422)


@pytest.mark.parametrize("method", ["PUT", "DELETE", "TRACE", "OPTIONS"])
def test_a_method_that_is_not_there_is_told(served: ServedGateway, method: str) -> None:
    refused = served.http.request(method, "/app")
    assert (refused.status_code, refused.json()["code"]) == (405, "method_not_allowed")
    assert set(refused.headers["allow"].split(", ")) == {"GET", "HEAD", "POST"}


def test_what_is_not_served_is_not_found(served: ServedGateway) -> None:
    for path in ("/stats/usage/app", "/integration", "/app/x/connector", "/nothing"):
        refused = served.http.get(path)
        assert (refused.status_code, refused.json()["code"]) == (404, "not_found")


# ── endpoints ────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("fields", "loc"),
    [
        ({"url": "file:///etc/passwd"}, ["body", "url"]),
        ({"url": "http://169.254.169.254/latest"}, ["body", "url"]),
        ({"url": "http://user:pass@hooks.example.com/"}, ["body", "url"]),
        ({"profile": "telegraph"}, ["body", "profile"]),
        ({"eventTypes": ["ordr.*"]}, ["body", "eventTypes", "0"]),
        ({"filterTypes": ["ordr.*"]}, ["body", "filterTypes", "0"]),
        ({"filterTypes": []}, ["body", "filterTypes"]),
        ({"channels": ["no blanks"]}, ["body", "channels", "0"]),
        ({"filter": {"total": {"$gtee": 1}}}, ["body", "filter", "total", "$gtee"]),
        ({"filter": "total >= 1"}, ["body", "filter"]),
        ({"secret": "short"}, ["body", "secret"]),
        ({"headers": {"X-A": "a\r\nX-Injected: 1"}}, ["body", "headers", "X-A"]),
        ({"headers": {"Host": "internal"}}, ["body", "headers", "Host"]),
        ({"headers": {"X-A": "a" * 16_384}}, ["body", "headers", "X-A"]),
        (
            {"headerNames": {"webhook-id": "Content-Length"}},
            ["body", "headerNames", "Content-Length"],
        ),
        ({"timeout": 0}, ["body", "timeout"]),
        ({"success": "3xx"}, ["body", "success"]),
        ({"retrySchedule": [-1]}, ["body", "retrySchedule", "0"]),
    ],
    ids=lambda value: "/".join(value) if isinstance(value, dict) else "",
)
def test_a_bad_endpoint_is_refused(
    served: ServedGateway, app_id: str, fields: dict[str, Any], loc: list[object]
) -> None:
    body = {"url": "https://hooks.example.com/"} | fields
    refused = served.http.post(f"/app/{app_id}/endpoint", json=body)
    assert refused.status_code == 422
    assert refused.json()["detail"][0]["loc"] == loc


def test_our_own_fields_are_kept_through_a_put_that_does_not_know_them(
    served: ServedGateway, app_id: str
) -> None:
    ours = {
        "profile": "svix",
        "retrySchedule": [1, 2],
        "timeout": 5,
        "success": "200",
        "ordering": "fifo",
        "maxConcurrency": 3,
        "headerNames": {"svix-id": "X-Id"},
        "filter": {"total": {"$gte": 100}, "items": {"sku": {"$in": ["a", "b"]}}},
    }
    url = served.receiver.url()
    made = served.http.post(f"/app/{app_id}/endpoint", json={"url": url, **ours}).json()
    assert {name: made[name] for name in ours} == ours
    put = served.http.put(f"/app/{app_id}/endpoint/{made['id']}", json={"url": url}).json()
    assert {name: put[name] for name in ours} == ours
    path = f"/app/{app_id}/endpoint/{made['id']}"
    assert served.http.patch(path, json={"filter": {}}).json()["filter"] is None


def test_both_generations_of_names_are_taken_and_given(served: ServedGateway, app_id: str) -> None:
    body = {"url": served.receiver.url(), "filterTypes": ["order.paid"], "rateLimit": 9}
    made = served.http.post(f"/app/{app_id}/endpoint", json=body).json()
    assert made["eventTypes"] == made["filterTypes"] == ["order.paid"]
    assert made["throttleRate"] == made["rateLimit"] == 9


def test_a_profile_that_cannot_use_the_secret_is_refused(
    served: ServedGateway, app_id: str
) -> None:
    body = {"url": served.receiver.url(), "profile": "zenofy", "secret": "plain words"}
    made = served.http.post(f"/app/{app_id}/endpoint", json=body).json()
    path = f"/app/{app_id}/endpoint/{made['id']}"
    assert served.http.patch(path, json={"profile": "standard"}).status_code == 422
    assert served.http.get(path).json()["profile"] == "zenofy"


def test_an_endpoint_enabled_again_begins_anew(served: ServedGateway, app_id: str) -> None:
    made = served.http.post(f"/app/{app_id}/endpoint", json={"url": served.receiver.url()}).json()
    path = f"/app/{app_id}/endpoint/{made['id']}"
    stopped = served.http.patch(path, json={"disabled": True}).json()
    assert (stopped["status"], stopped["statusReason"]) == ("disabled", "owner")
    again = served.http.patch(path, json={"disabled": False}).json()
    assert (again["status"], again["statusReason"], again["revision"]) == ("active", None, 3)


def test_changes_at_the_same_time_do_not_undo_each_other(
    served: ServedGateway, app_id: str
) -> None:
    made = served.http.post(f"/app/{app_id}/endpoint", json={"url": served.receiver.url()}).json()
    path = f"/app/{app_id}/endpoint/{made['id']}"

    async def both() -> None:
        async with httpx.AsyncClient(
            base_url=f"{served.url}/api/v1", headers={"authorization": f"Bearer {served.key}"}
        ) as client:
            await asyncio.gather(
                *(
                    client.patch(path, json=change)
                    for change in ({"description": "d"}, {"timeout": 7}, {"metadata": {"a": "b"}})
                ),
                client.put(f"{path}/headers", json={"headers": {"X-A": "1"}}),
            )

    asyncio.run(both())
    shown = served.http.get(path).json()
    assert (shown["description"], shown["timeout"], shown["metadata"]) == ("d", 7, {"a": "b"})
    assert served.http.get(f"{path}/headers").json()["headers"] == {"X-A": "1"}


# ── bytes ────────────────────────────────────────────────────────────────────────────────────────


def test_a_payload_comes_back_byte_for_byte(served: ServedGateway, app_id: str) -> None:
    payload = b'{"b":1.10,"a":1e2,"big":12345678901234567890123,"s":"\\u00e9\\/", "a2":[ 1 ]}'
    body = b'{"eventType":"order.paid","eventId":"e","payload":' + payload + b"}"
    served.http.post(f"/app/{app_id}/endpoint", json={"url": served.receiver.url("/bytes")})
    made = served.http.post(f"/app/{app_id}/msg", content=body).json()
    served.wait_for_attempts(made["id"])
    endpoint = served.http.get(f"/app/{app_id}/endpoint").json()["data"][0]["id"]
    for path in (
        f"/app/{app_id}/msg/e",
        f"/app/{app_id}/msg",
        f"/app/{app_id}/endpoint/{endpoint}/msg",
        f"/app/{app_id}/attempt/endpoint/{endpoint}?with_msg=true",
    ):
        assert b'"payload":' + payload in served.http.get(path).content, path
    assert b'"payload":' + payload in polled(served, app_id)


def polled(served: ServedGateway, app_id: str) -> bytes:
    """Ask a poller until it tells something: of a shared database it is two seconds behind."""
    while not (answer := served.http.get(f"/app/{app_id}/poller/any")).json()["data"]:
        pass
    return answer.content


def test_a_delivery_is_found_by_message_and_by_endpoint(served: ServedGateway, app_id: str) -> None:
    made = served.http.post(f"/app/{app_id}/endpoint", json={"url": served.receiver.url()}).json()
    sent = served.http.post(
        f"/app/{app_id}/msg", json={"eventType": "order.paid", "payload": {}}
    ).json()
    served.wait_for_attempts(sent["id"])
    of_message = served.http.get(f"/app/{app_id}/delivery", params={"msg_id": sent["id"]}).json()
    of_endpoint = served.http.get(
        f"/app/{app_id}/delivery", params={"endpoint_id": made["id"], "state": "succeeded"}
    ).json()
    assert of_message["data"] == of_endpoint["data"]
    (delivery,) = of_message["data"]
    assert (delivery["state"], delivery["attempts"], delivery["status"]) == ("succeeded", 1, 0)
    assert served.http.get(f"/app/{app_id}/delivery/{delivery['id']}").json() == delivery
    assert served.http.get(f"/app/{app_id}/delivery").status_code == 422


# ── repeats ──────────────────────────────────────────────────────────────────────────────────────


def test_a_repeated_post_is_answered_alike_and_says_so(served: ServedGateway) -> None:
    headers = {"idempotency-key": '"quoted"'}
    body = {"name": "k", "scopes": ["read"]}
    first = served.http.post("/key", json=body, headers=headers)
    second = served.http.post("/key", json=body, headers={"idempotency-key": "quoted"})
    assert second.json() == first.json()
    assert (first.status_code, second.status_code) == (201, 201)
    assert "idempotent-replayed" not in first.headers
    assert second.headers["idempotent-replayed"] == "true"


@pytest.mark.sqlite
def test_a_kept_answer_holds_no_secret_in_the_clear(served: ServedGateway) -> None:
    headers = {"idempotency-key": "secret-inside"}
    made = served.http.post("/key", json={"name": "k", "scopes": ["read"]}, headers=headers).json()
    stored = [path.read_bytes() for path in served.folder.glob("*.db*")]
    assert any(made["id"].encode() in content for content in stored), "it is in there, as a hash"
    assert not any(made["key"].encode() in content for content in stored)


def test_another_body_another_path_another_key_are_no_repeat(served: ServedGateway) -> None:
    headers = {"idempotency-key": "mine"}
    assert served.http.post("/app", json={"name": "a"}, headers=headers).status_code == 201
    reused = served.http.post("/app", json={"name": "b"}, headers=headers)
    assert (reused.status_code, reused.json()["code"]) == (409, "idempotency_key_reused")
    made = {"name": "e.x", "description": ""}
    assert served.http.post("/event-type", json=made, headers=headers).status_code == 201
    with served.client(served.make_key("write")) as client:
        assert client.post("/app", json={"name": "b"}, headers=headers).status_code == 201


@pytest.mark.parametrize("key", ["", "a b", "a" * 257, '""'])
def test_a_malformed_idempotency_key_is_refused(served: ServedGateway, key: str) -> None:
    refused = served.http.post("/app", json={"name": "a"}, headers={"idempotency-key": key})
    assert (refused.status_code, refused.json()["code"]) == (400, "idempotency_key_malformed")


@pytest.mark.parametrize("key", ["", "a b", '""'])
def test_a_message_with_a_malformed_idempotency_key_is_refused(
    served: ServedGateway, app_id: str, key: str
) -> None:
    message = {"eventType": "order.paid", "payload": {}}
    headers = {"idempotency-key": key}
    refused = served.http.post(f"/app/{app_id}/msg", json=message, headers=headers)
    assert (refused.status_code, refused.json()["code"]) == (400, "idempotency_key_malformed")
    assert served.http.get(f"/app/{app_id}/msg").json()["data"] == []


def test_what_was_done_and_not_answered_is_not_done_again(
    served: ServedGateway, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As after a process that ended between its commit and its answer."""
    headers, body = {"idempotency-key": "lost"}, {"name": "lost"}

    async def lost(*_: object) -> None:
        raise StoreUnavailable("The process has ended.")

    with monkeypatch.context() as patched:
        patched.setattr(served.gateway.database, "store_idempotent_answer", lost)
        assert served.http.post("/app", json=body, headers=headers).status_code == 503
    again = served.http.post("/app", json=body, headers=headers)
    assert (again.status_code, again.json()["code"]) == (409, "idempotency_key_in_use")
    shown = served.http.get("/app", params={"limit": 250}).json()["data"]
    assert [one["name"] for one in shown].count("lost") == 1


def test_what_was_refused_may_be_tried_again_with_its_key(
    served: ServedGateway, monkeypatch: pytest.MonkeyPatch
) -> None:
    headers, body = {"idempotency-key": "refused"}, {"name": "refused"}

    async def refuse(*_: object, **__: object) -> None:
        raise StoreUnavailable("No.")

    with monkeypatch.context() as patched:
        patched.setattr(served.gateway.database, "put", refuse)
        assert served.http.post("/app", json=body, headers=headers).status_code == 503
    assert served.http.post("/app", json=body, headers=headers).status_code == 201


def test_a_post_still_running_is_not_begun_twice(served: ServedGateway) -> None:
    async def burst() -> list[httpx.Response]:
        headers = {"authorization": f"Bearer {served.key}", "idempotency-key": "burst"}
        async with httpx.AsyncClient(base_url=f"{served.url}/api/v1", headers=headers) as client:
            asked = [client.post("/app", json={"name": "burst"}) for _ in range(20)]
            return await asyncio.gather(*asked)

    answers = asyncio.run(burst())
    assert {answer.status_code for answer in answers} <= {201, 409}
    made = {answer.json()["id"] for answer in answers if answer.status_code == 201}
    assert len(made) == 1
    shown = served.http.get("/app", params={"limit": 250}).json()["data"]
    assert [one["id"] for one in shown if one["name"] == "burst"] == list(made)


def test_json_is_read_whatever_its_type_is_called(served: ServedGateway, app_id: str) -> None:
    form = {"content-type": "application/x-www-form-urlencoded"}
    app, message = f"/app/{app_id}", f"/app/{app_id}/msg"
    published = b'{"eventType": "order.paid", "payload": {"a": 1}}'
    for method, path, body in (
        ("POST", "/app", b'{"name": "curl"}'),
        ("PATCH", app, b' {"name": "curl"}'),
        ("POST", message, published),
    ):
        answer = served.http.request(method, path, content=body, headers=form)
        assert answer.is_success, (path, answer.text)
        for text in (b"name=curl", b""):
            refused = served.http.request(method, path, content=text, headers=form)
            assert refused.status_code in (400, 422), (path, refused.text)
            if text:
                assert "Content-Type: application/json" in refused.json()["detail"]
    empty = served.http.post(message, content=b"")
    assert "empty" in empty.json()["detail"]
    typed = {"content-type": "text/plain"}
    assert served.http.post("/app", content=b'{"name": "x"}', headers=typed).is_success


def test_a_rule_is_told_so_that_it_can_be_followed(served: ServedGateway, app_id: str) -> None:
    app = f"/app/{app_id}"
    message = {"eventType": "", "payload": {}}
    url = served.receiver.url()
    cases: tuple[tuple[str, str, Any, str], ...] = (
        ("GET", f"{app}/msg?before=yesterday", None, "a time such as 2026-"),
        ("GET", f"{app}/msg?after=2026-13-01T00:00:00Z", None, "a time such as 2026-"),
        ("POST", f"{app}/msg", message, "must not be empty"),
        ("POST", f"{app}/endpoint", {"url": "localhost:3000"}, "http:// where it is allowed"),
        ("POST", f"{app}/endpoint", {"url": url, "secret": "abc"}, "whsec_ and base64 of 24"),
        ("POST", f"/auth/app-portal-access/{app_id}", None, "must be a JSON object"),
        ("POST", "/app", [1], "must be a JSON object"),
    )
    for method, path, body, rule in cases:
        refused = served.http.request(method, path, json=body)
        assert refused.status_code == 422, path
        (problem,) = refused.json()["detail"]
        assert rule in problem["msg"], (path, problem)
    unknown = served.http.post("/app/nobody/msg", json={**message, "eventType": "order.paid"})
    assert unknown.json()["detail"] == "There is no such application."


def test_every_path_finds_the_routes_that_it_may_mean() -> None:
    routes = [route for router in ROUTERS for route in router.routes if isinstance(route, APIRoute)]
    router = IndexedRouter(routes=[*routes])
    for route in routes:
        for value in ("msg", "a.b:c"):
            path = re.sub(r"\{[^}]*\}", value, route.path)
            for asked in (path, f"{path}/y"):
                scope = {"type": "http", "method": "GET", "path": asked}
                matching = [r for r in routes if r.matches(dict(scope))[0] is not Match.NONE]
                tried = router.routes_for(asked)
                assert [r for r in tried if r in matching] == matching, asked
                assert len(tried) <= len(matching) + 12, asked
