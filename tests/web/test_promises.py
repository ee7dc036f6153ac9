"""A request is done as asked, or an answer says why not: the rules that all routes share."""

from __future__ import annotations

from typing import Any

import pytest

from tests.web.served_gateway import ServedGateway

pytestmark = pytest.mark.sqlite_first


# ── who gets what ────────────────────────────────────────────────────────────────────────────────


def test_an_own_type_takes_its_name_from_the_alias_and_gives_it_back(
    served: ServedGateway, app_id: str
) -> None:
    url = served.receiver.url("/hook")

    def endpoint(profile: str, selector: str) -> str:
        fields = {"url": url, "profile": profile, "filterTypes": [selector]}
        made = served.http.post(f"/app/{app_id}/endpoint", json=fields)
        assert made.status_code == 201, made.text
        return str(made.json()["id"])

    def takers(event_type: str) -> set[str]:
        published = served.http.post(
            f"/app/{app_id}/msg", json={"eventType": event_type, "payload": {"a": 1}}
        )
        listed = served.http.get(f"/app/{app_id}/delivery?msg_id={published.json()['id']}")
        return {delivery["endpointId"] for delivery in listed.json()["data"]}

    family, name = endpoint("shoppex", "invoice.*"), endpoint("shoppex", "invoice.created")
    exact = endpoint("standard", "order.created")
    assert takers("order.created") == {family, name, exact}

    registered = served.http.put("/event-type/invoice.created", json={"description": "ours"})
    assert registered.status_code == 201
    own = endpoint("standard", "invoice.created")
    assert takers("order.created") == {exact}
    assert takers("invoice.created") == {family, name, own}

    assert served.http.delete("/event-type/invoice.created?expunge=true").status_code == 204
    assert takers("order.created") == {family, name, exact}
    assert takers("order.refunded") == {family}


def test_a_profile_that_reads_the_selectors_otherwise_is_refused(
    served: ServedGateway, app_id: str
) -> None:
    fields = {
        "url": served.receiver.url("/hook"),
        "profile": "shoppex",
        "filterTypes": ["invoice.*"],
    }
    made = served.http.post(f"/app/{app_id}/endpoint", json=fields).json()
    path = f"/app/{app_id}/endpoint/{made['id']}"

    refused = served.http.patch(path, json={"profile": "standard"})
    assert refused.status_code == 422
    assert refused.json()["detail"][0]["loc"] == ["body", "filterTypes", 0]
    both = {"profile": "standard", "filterTypes": ["order.*"]}
    assert served.http.patch(path, json=both).status_code == 200


def test_a_resend_is_done_or_says_why_not(served: ServedGateway, app_id: str) -> None:
    fields = {"url": served.receiver.url("/resent"), "filterTypes": ["email.*"]}
    path = f"/app/{app_id}/endpoint"
    endpoint = served.http.post(path, json=fields).json()["id"]
    body = {"eventType": "order.paid", "payload": {"a": 1}}
    message = served.http.post(f"/app/{app_id}/msg", json=body).json()["id"]

    def resend() -> tuple[int, str]:
        answer = served.http.post(f"/app/{app_id}/msg/{message}/endpoint/{endpoint}/resend")
        return answer.status_code, answer.json().get("code", "")

    assert resend() == (201, "")
    served.wait_for_attempts(message)
    assert resend() == (202, "")
    served.wait_for_attempts(message, 2)
    served.http.patch(f"{path}/{endpoint}", json={"disabled": True})
    assert resend() == (409, "endpoint_disabled")
    since = {"since": "2026-01-01T00:00:00Z"}
    for task in ("recover", "replay-missing", "bulk-replay"):
        refused = served.http.post(f"{path}/{endpoint}/{task}", json=since)
        assert (refused.status_code, refused.json()["code"]) == (409, "endpoint_disabled")
    served.http.patch(f"{path}/{endpoint}", json={"disabled": False})
    served.http.delete(f"/app/{app_id}/msg/{message}/content")
    assert resend() == (400, "missing_payload")
    replayed = served.http.post(f"{path}/{endpoint}/bulk-replay", json=since).json()
    served.do(served.gateway.tasks.wait_idle())
    data = served.http.get(f"/background-task/{replayed['id']}").json()["data"]
    assert (data["count"], data["skipped"]) == (0, {"missingPayload": 1})


# ── idempotency keys ─────────────────────────────────────────────────────────────────────────────


def test_a_key_belongs_to_the_resource_and_not_to_its_name(served: ServedGateway) -> None:
    http, key = served.http, {"idempotency-key": "belongs"}
    message = {"eventType": "order.paid", "payload": {"a": 1}}
    url = {"url": served.receiver.url()}

    def publish(name: str, query: str = "") -> dict[str, Any]:
        answer = http.post(f"/app/{name}/msg{query}", json=message, headers=key)
        assert answer.status_code == 202, answer.text
        return dict(answer.json())

    first = http.post("/app", json={"name": "shop", "uid": "again"}).json()["id"]
    by_uid, by_id = publish("again"), publish(first)
    assert by_uid == by_id, "one application, one message"
    endpoint = http.post("/app/again/endpoint", json=url, headers=key).json()["id"]
    assert http.post(f"/app/{first}/endpoint", json=url, headers=key).json()["id"] == endpoint
    rotate = "secret/rotate"
    http.patch(f"/app/again/endpoint/{endpoint}", json={"uid": "named"})
    secrets = {
        http.post(f"/app/again/endpoint/{name}/{rotate}", headers=key).json()["key"]
        for name in ("named", endpoint)
    }
    assert len(secrets) == 1

    http.delete("/app/again")
    second = http.post("/app", json={"name": "shop", "uid": "again"}).json()["id"]
    republished = publish("again")
    assert republished["id"] != by_uid["id"]
    assert http.get(f"/app/{second}/msg/{republished['id']}").status_code == 200
    created = http.post("/app/again/endpoint", json=url, headers=key).json()["id"]
    assert http.get(f"/app/{second}/endpoint/{created}").status_code == 200


def test_the_answer_to_a_repeat_is_the_first_one_exactly(
    served: ServedGateway, app_id: str
) -> None:
    message = {"eventType": "order.paid", "payload": {"card": "secret"}}
    path, key = f"/app/{app_id}/msg?with_content=false", {"idempotency-key": "exactly"}
    first, second = (served.http.post(path, json=message, headers=key) for _ in range(2))
    assert (second.status_code, second.content) == (first.status_code, first.content)
    assert first.json()["payload"] == {}
    other = served.http.post(f"/app/{app_id}/msg", json=message, headers=key)
    assert (other.status_code, other.json()["code"]) == (409, "idempotency_key_reused")

    draft = {"application": {"name": "shop", "uid": "portal-shop"}}
    access = "/auth/app-portal-access/portal-shop"
    tokens = [served.http.post(access, json=draft, headers=key).content for _ in range(3)]
    assert len(set(tokens)) == 1


def test_a_key_where_none_is_needed_is_refused(served: ServedGateway, app_id: str) -> None:
    for method in ("PUT", "PATCH", "DELETE"):
        refused = served.http.request(
            method, f"/app/{app_id}", json={"name": "b"}, headers={"idempotency-key": "k"}
        )
        code = refused.json()["code"]
        assert (refused.status_code, code) == (400, "idempotency_key_not_supported")
    shown = served.http.get(f"/app/{app_id}", headers={"idempotency-key": "k"})
    assert shown.json()["name"] == "shop"
