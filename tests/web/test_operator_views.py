"""What operators see: the health of endpoints, the fate of messages, lists over applications."""

from __future__ import annotations

import time
from typing import Any

import httpx
import pytest

from tests.web.served_gateway import ServedGateway
from tillbell.clock import DAY, Micros, SystemClock
from tillbell.upkeep.chores import RetentionPurge

ROW_MAX = 5  # failures in a row that open a breaker


class Shop:
    """An application of its own, seen with the admin key."""

    def __init__(self, served: ServedGateway) -> None:
        self.served, self.http = served, served.http
        self.id: str = self.http.post("/app", json={"name": "shop"}).json()["id"]

    def endpoint(self, path: str = "/", **fields: Any) -> str:
        body = {"url": self.served.receiver.url(path), **fields}
        answer = self.http.post(f"/app/{self.id}/endpoint", json=body)
        assert answer.status_code == 201, answer.text
        return str(answer.json()["id"])

    def publish(self, attempts: int = 1, **fields: Any) -> str:
        body = {"eventType": "order.paid", "payload": {"n": 1}, **fields}
        answer = self.http.post(f"/app/{self.id}/msg", json=body)
        assert answer.status_code == 202, answer.text
        message_id = str(answer.json()["id"])
        if attempts:
            self.served.wait_for_attempts(message_id, attempts)
        return message_id

    def get(self, path: str, **query: Any) -> Any:
        answer = self.http.get(f"/app/{self.id}/{path}", params=query)
        assert answer.status_code == 200, answer.text
        return answer.json()


@pytest.fixture
def shop(served: ServedGateway) -> Shop:
    return Shop(served)


def overview(http: httpx.Client, name: str, **query: Any) -> list[dict[str, Any]]:
    answer = http.get(f"/{name}", params=query)
    assert answer.status_code == 200, answer.text
    rows: list[dict[str, Any]] = answer.json()["data"]
    return rows


# ── health of endpoints ──────────────────────────────────────────────────────────────────────────


def test_an_endpoint_says_since_when_and_how_it_fails(shop: Shop) -> None:
    down = shop.endpoint("/status/401")
    fresh = shop.get(f"endpoint/{down}")
    assert (fresh["health"], fresh["lastFailure"], fresh["circuit"]["state"]) == (
        "ok",
        None,
        "closed",
    )
    for _ in range(ROW_MAX):
        shop.publish()
    shown = shop.get(f"endpoint/{down}")

    assert (shown["health"], shown["lastSuccessAt"]) == ("failing", None)
    assert shown["failingSince"] <= shown["lastFailure"]["at"]
    assert (shown["lastFailure"]["status"], shown["lastFailure"]["error"]) == (401, "")
    assert "401" in shown["lastFailure"]["text"] or "key" in shown["lastFailure"]["text"]
    assert shown["circuit"]["state"] == "open"
    assert shown["circuit"]["nextProbeAt"] > shown["lastFailure"]["at"]
    stats = shop.get(f"endpoint/{down}/stats")
    assert (stats["fail"], stats["pending"], stats["health"]) == (0, ROW_MAX, "failing")
    assert shop.get("endpoint")["data"] == [shown]
    shop.http.patch(f"/app/{shop.id}/endpoint/{down}", json={"url": shop.served.receiver.url("/")})
    shop.http.post(f"/app/{shop.id}/msg/{shop.publish(0)}/endpoint/{down}/resend")
    shop.served.receiver.requests.clear()


def test_failing_endpoints_are_listed_over_applications(served: ServedGateway) -> None:
    one, two = Shop(served), Shop(served)
    well = one.endpoint("/well", channels=["well"])
    failing = {shop.endpoint("/status/500"): shop for shop in (one, two)}
    one.publish(2, channels=["well"])
    two.publish()
    everywhere = {
        row["id"]: row["appId"] for row in overview(served.http, "endpoint", health="failing")
    }

    assert {id_: everywhere[id_] for id_ in failing} == {i: s.id for i, s in failing.items()}
    assert well not in everywhere
    mine = overview(served.http, "endpoint", health="failing", app=two.id)
    assert [row["appId"] for row in mine] == [two.id]
    (shown,) = overview(served.http, "endpoint", health="ok", app=one.id)
    assert shown["id"] == well
    assert shown["lastSuccessAt"] is not None
    assert {row["id"] for row in overview(served.http, "endpoint", app=one.id)} == {
        well,
        *(id_ for id_, shop in failing.items() if shop is one),
    }
    with served.client(served.make_key("read", app_id=two.id)) as bound:
        assert [row["appId"] for row in overview(bound, "endpoint")] == [two.id]
        assert bound.get("/endpoint", params={"app": one.id}).status_code == 404
    first = served.http.get("/endpoint", params={"health": "failing", "limit": 1}).json()
    second = served.http.get(
        "/endpoint", params={"health": "failing", "limit": 1, "iterator": first["iterator"]}
    ).json()
    assert first["data"][0]["id"] > second["data"][0]["id"]


def test_what_fails_is_told_by_its_cause(shop: Shop) -> None:
    shop.endpoint("/well")
    waits, refuses = shop.endpoint("/status/500"), shop.endpoint("/status/501", retrySchedule=[])
    shop.publish(3)
    shop.publish(3)
    asked = shop.http.get("/problem", params={"app": shop.id}).json()
    causes = {cause["endpointId"]: cause for cause in asked["data"]}
    shown = {
        id_: (cause["status"], cause["failed"], cause["waiting"]) for id_, cause in causes.items()
    }
    assert shown == {waits: (500, 0, 2), refuses: (501, 2, 0)}
    assert (asked["searched"], asked["done"]) == (2, True)
    assert "501" in causes[refuses]["text"]
    for cause in causes.values():
        listed = overview(shop.http, "delivery", app=shop.id, filter=cause["filter"])
        assert {row["endpointId"] for row in listed} == {cause["endpointId"]}
        assert len(listed) == 2
    other = Shop(shop.served)
    other.endpoint("/well")
    other.publish()
    answer = other.http.get("/problem", params={"app": other.id}).json()
    assert (answer["data"], answer["done"]) == ([], True)


# ── why has a message not arrived ────────────────────────────────────────────────────────────────


def why(shop: Shop, message: str, endpoint: str) -> Any:
    return shop.get(f"msg/{message}/endpoint/{endpoint}/why")


def _check_standings(shop: Shop, endpoints: dict[str, str]) -> None:
    """Compare what `why` says of each endpoint with what was done to it."""
    standings = {code: shop.get(f"endpoint/{id_}/why") for code, id_ in endpoints.items()}
    assert {code: each["code"] for code, each in standings.items()} == {
        "delivered": "healthy",
        "filtered_type": "untried",
        "filtered_channel": "untried",
        "filtered_payload": "untried",
        "endpoint_disabled": "disabled",
        "retrying": "failing",
        "failed": "failing",
        "circuit_open": "circuit_open",
        "created_later": "untried",
    }
    assert [code for code, each in standings.items() if each["nextAt"]] == ["circuit_open"]
    assert "503" in standings["failed"]["text"]


def _check_filters(told: dict[str, Any]) -> None:
    """Compare what each endpoint says that it takes with what it was made to take."""
    takes = {code: fate["takes"] for code, fate in told.items()}
    fits = dict.fromkeys(("eventType", "channel", "profile", "payload"), True)
    text = takes["filtered_payload"].pop("payloadText")
    assert text.endswith("`n` is at least 2, and it is 1.")
    assert text in told["filtered_payload"]["text"]
    assert takes["filtered_payload"] == {**fits, "payload": False}
    assert takes["filtered_type"] == {**fits, "eventType": False, "payloadText": None}
    assert takes["filtered_channel"] == {**fits, "channel": False, "payloadText": None}
    assert takes["created_later"] == {**fits, "payloadText": None}


def test_every_reason_why_a_message_has_not_arrived_has_a_code_and_words(shop: Shop) -> None:
    well = shop.endpoint("/well")
    endpoints = {
        "delivered": well,
        "filtered_type": shop.endpoint(eventTypes=["email.*"]),
        "filtered_channel": shop.endpoint(channels=["eu"]),
        "filtered_payload": shop.endpoint(filter={"n": {"$gte": 2}}),
        "endpoint_disabled": shop.endpoint(disabled=True),
        "retrying": shop.endpoint("/status/500"),
        "failed": shop.endpoint("/status/503", retrySchedule=[]),
        "circuit_open": (down := shop.endpoint("/status/500", retrySchedule=[0] * 50)),
    }
    message = shop.publish(3 + ROW_MAX)
    endpoints["created_later"] = shop.endpoint()
    told = {code: why(shop, message, endpoint) for code, endpoint in endpoints.items()}

    assert {code: fate["code"] for code, fate in told.items()} == {code: code for code in told}
    assert all(fate["text"].endswith((".", ")")) for fate in told.values())
    assert [code for code, fate in told.items() if fate["nextAt"]] == ["retrying", "circuit_open"]
    assert "503" in told["failed"]["text"]
    _check_standings(shop, endpoints)
    _check_filters(told)
    everyone = shop.get(f"msg/{message}/why")["data"]
    assert {fate["code"]: fate["endpointId"] for fate in everyone} == endpoints
    [waiting] = shop.get("delivery", endpoint_id=down)["data"]
    assert waiting["waitingFor"]["code"] == "circuit_open"
    assert waiting["nextAttempt"] == waiting["nextAttemptAt"] == told["circuit_open"]["nextAt"]
    assert waiting["nextAttemptAt"] >= shop.get(f"endpoint/{down}")["circuit"]["nextProbeAt"]
    shop.http.patch(f"/app/{shop.id}/endpoint/{down}", json={"disabled": True})
    assert why(shop, message, down)["code"] == "endpoint_disabled"
    assert shop.get("delivery", endpoint_id=down)["data"][0]["nextAttempt"] is None
    shop.http.delete(f"/app/{shop.id}/endpoint/{down}")
    fate = why(shop, message, down)
    assert (fate["code"], fate["takes"]) == ("deleted", None)
    assert shop.http.get(f"/app/{shop.id}/msg/{message}/endpoint/ep_1/why").status_code == 404
    shop.http.delete(f"/app/{shop.id}/msg/{message}/content")
    assert why(shop, message, endpoints["created_later"])["code"] == "payload_expired"


def test_a_message_waits_behind_others_or_for_the_rate(shop: Shop) -> None:
    ordered = shop.endpoint("/status/500", ordering="fifo")
    first = shop.publish(orderKey="cart-1")
    second = shop.publish(0, orderKey="cart-1")
    fate = why(shop, second, ordered)
    assert (fate["code"], fate["nextAt"]) == ("ordered_behind", None)
    assert shop.get("delivery", msg_id=first)["data"][0]["id"] in fate["text"]
    shop.http.delete(f"/app/{shop.id}/endpoint/{ordered}")
    paced = shop.endpoint("/paced", throttleRate=1)
    shop.publish()
    assert why(shop, shop.publish(0), paced)["code"] in ("rate_limited", "retrying")


def test_the_message_of_a_transaction_has_a_fate(shop: Shop) -> None:
    shop.endpoint("/paid")
    body = {"direction": "pay_in", "amount": "1.00", "currency": "EUR", "uid": "order-7"}
    assert shop.http.post(f"/app/{shop.id}/transaction", json=body).status_code == 201
    step = shop.get("transaction/order-7")["transitions"][-1]
    fate = shop.get("transaction/order-7/why")

    shop.served.wait_for_attempts(fate["msgId"])
    fate = shop.get("transaction/order-7/why")
    assert (fate["code"], fate["eventType"]) == ("delivered", "transaction.pending")
    assert [each["code"] for each in fate["data"]] == ["delivered"]
    assert step["sequence"] == 1
    assert fate["standing"]["code"] == "not_reported"
    assert any("No callback names it" in line for line in fate["standing"]["missing"])
    assert [(step["kind"], step["word"]) for step in fate["steps"]] == [
        ("created", "Pending"),
        ("message", "succeeded"),
    ]


# ── lists over applications ──────────────────────────────────────────────────────────────────────


def pages(http: httpx.Client, name: str, **query: Any) -> list[dict[str, Any]]:
    """Read a list page by page, two rows each."""
    rows: list[dict[str, Any]] = []
    iterator: dict[str, str] = {}
    while True:
        page = http.get(f"/{name}", params={"limit": 2, **query, **iterator}).json()
        rows += page["data"]
        if page["done"]:
            return rows
        iterator = {"iterator": page["iterator"]}


def test_lists_go_over_applications_and_show_what_a_key_may_see(served: ServedGateway) -> None:
    one, two = Shop(served), Shop(served)
    for shop in (one, two):
        shop.endpoint("/status/500", retrySchedule=[])
        shop.endpoint("/fine")
        body = {"direction": "pay_in", "amount": "1.00", "currency": "EUR", "orderId": "lost"}
        assert shop.http.post(f"/app/{shop.id}/transaction", json=body).status_code == 201
    messages = {shop.publish(2): shop.id for shop in (one, two, one)}
    for name in ("delivery", "attempt"):
        everywhere = pages(served.http, name)
        places = [(row.get("timestamp", ""), row["id"]) for row in everywhere]
        assert places == sorted(set(places), reverse=True)
        assert {row["msgId"]: row["appId"] for row in everywhere}.items() >= messages.items()
        narrowed = pages(served.http, name, app=one.id)
        assert narrowed == [row for row in everywhere if row["appId"] == one.id]
        backwards = pages(served.http, name, app=one.id, order="ascending")
        assert backwards == narrowed[::-1]
    for query in ({}, {"app": one.id}):
        failed = pages(served.http, "delivery", state="failed", **query)
        attempts = pages(served.http, "attempt", status=2, status_code_class=500, **query)
        ours = [row for row in failed if row["appId"] in (one.id, two.id)]
        assert {row["id"] for row in failed} <= {row["deliveryId"] for row in attempts}
        expected = sum(app in (one.id, query.get("app", two.id)) for app in messages.values())
        assert len({row["msgId"] for row in ours} & set(messages)) == expected
    found = pages(served.http, "transaction", reference="lost")
    assert sorted(row["appId"] for row in found) == sorted([one.id, two.id])
    assert {row["appId"] for row in pages(served.http, "transaction")} >= {one.id, two.id}
    with served.client(served.make_key("read", app_id=two.id)) as bound:
        for name in ("delivery", "attempt", "transaction", "callback", "conflict"):
            assert {row["appId"] for row in pages(bound, name)} <= {two.id}
            assert bound.get(f"/{name}", params={"app": one.id}).status_code == 404
            assert pages(served.http, name, app=two.id) == pages(bound, name)


# ── who did what ─────────────────────────────────────────────────────────────────────────────────


def test_every_change_and_every_look_at_a_secret_is_on_record(served: ServedGateway) -> None:
    made = served.http.post("/key", json={"name": "ops", "scopes": ["write"]}).json()
    headers = {"x-request-id": "req-7", "x-forwarded-for": "203.0.113.7"}  # nobody trusts us
    with served.client(made["key"]) as http:
        app = http.post("/app", json={"name": "shop"}).json()["id"]
        body = {"url": served.receiver.url("/a"), "headers": {"Authorization": "Bearer canary-1"}}
        endpoint = http.post(f"/app/{app}/endpoint", json=body).json()["id"]
        path = f"/app/{app}/endpoint/{endpoint}"
        http.patch(path, json={"url": served.receiver.url("/b")}, headers=headers)
        http.patch(path, json={"url": served.receiver.url("/b")})  # changes nothing
        secret = http.get(f"{path}/secret").json()["key"]
        http.post(f"{path}/secret/rotate")
        source = {"name": "Cards", "provider": "allsecure", "secrets": ["canary-secret"]}
        http.post(f"/app/{app}/source", json=source)
        http.delete(path)
        trail = pages(http, f"app/{app}/audit")
        http.post("/event-type", json={"name": "ship.lost", "description": "x"})
        http.delete(f"/app/{app}")
    served.http.delete(f"/key/{made['id']}")
    assert [entry["action"] for entry in trail[::-1]] == [
        *("application.create", "endpoint.create", "endpoint.update", "endpoint.read-secret"),
        *("endpoint.update", "source.create", "endpoint.delete"),
    ]
    assert {(entry["actor"], entry["actorName"]) for entry in trail} == {(made["id"], "ops")}
    patched, rotated = trail[4], trail[2]
    assert (patched["requestId"], patched["address"]) == ("req-7", "127.0.0.1")
    assert patched["changes"] == {
        "url": {"before": served.receiver.url("/a"), "after": served.receiver.url("/b")}
    }
    assert rotated["changes"]["secrets"] == {"before": "(secret)", "after": "(secret)"}
    everything = pages(served.http, "audit")
    later = [entry["action"] for entry in everything if entry not in trail][:4]
    assert later == ["api-key.delete", "application.delete", "event-type.create", "api-key.create"]
    assert [e["target"] for e in pages(served.http, "audit", target=endpoint)] == [endpoint] * 5
    text = str(everything)
    assert "canary" not in text
    assert secret not in text
    assert made["key"] not in text


def test_a_stopped_endpoint_was_stopped_by_nobody_who_asked(shop: Shop) -> None:
    endpoint = shop.endpoint("/status/410")
    shop.publish()
    latest = shop.get("audit", target=endpoint)["data"][0]
    assert (latest["actor"], latest["requestId"]) == ("system", None)
    assert latest["changes"]["status"] == {"before": "active", "after": "disabled"}


def test_the_audit_of_configuration_has_a_retention(served: ServedGateway, shop: Shop) -> None:
    database, now = served.gateway.database, served.gateway.clock.now()
    assert shop.get("audit")["data"]
    while served.do(database.purge_audit(before=now + 1_000_000, limit=100)):
        pass
    assert shop.get("audit")["data"] == []


class _DaysLater(SystemClock):
    """The machine's clock, some weeks on: PostgreSQL drops whole partitions."""

    def now(self) -> Micros:
        return super().now() + 20 * DAY


def test_retention_is_changed_within_its_limits_and_counts_at_the_next_purge(
    served: ServedGateway, shop: Shop
) -> None:
    shop.endpoint()
    message = shop.publish()
    purge = RetentionPurge(served.gateway.database, _DaysLater(), served.gateway.retention)
    as_set = served.http.get("/retention").json()
    assert as_set == {"bodyDays": 30, "historyDays": 90, "auditDays": 730, "changed": []}

    served.do(purge.run())
    assert shop.get(f"msg/{message}")["payload"] == {"n": 1}
    for wrong in ({"bodyDays": 0}, {"bodyDays": 4_000}, {"bodyDays": 91}, {"historyDays": 29}):
        refused = served.http.patch("/retention", json=wrong)
        assert (refused.status_code, refused.json()["code"]) == (422, "validation"), wrong
    changed = served.http.patch("/retention", json={"bodyDays": 1}).json()
    assert changed == {**as_set, "bodyDays": 1, "changed": ["bodyDays"]}
    (entry, *_) = served.http.get("/audit", params={"target": "retention"}).json()["data"]
    assert entry["changes"]["body_days"] == {"before": None, "after": 1}

    served.do(purge.run())
    shown = served.http.get(f"/app/{shop.id}/msg/{message}", params={"with_content": True})
    assert shown.json()["payload"] == {"expired": True}
    back = served.http.patch("/retention", json={"bodyDays": None}).json()
    assert back == as_set


# ── what was sent, and what came back ────────────────────────────────────────────────────────────


def test_an_attempt_keeps_what_was_sent_and_the_head_of_the_answer(shop: Shop) -> None:
    secret = {"Authorization": "Bearer canary-1", "X-Shop": "main"}
    endpoint = shop.endpoint("/retry-after/503/7", headers=secret)
    begun = time.monotonic()
    message = shop.publish()
    passed_ms = (time.monotonic() - begun) * 1_000
    (sent,) = shop.served.receiver.to("/retry-after/503/7")
    (listed,) = shop.get(f"attempt/endpoint/{endpoint}")["data"]
    shown = shop.get(f"msg/{message}/attempt/{listed['id']}")

    headers = shown["requestHeaders"]
    assert headers == listed["requestHeaders"]
    assert headers["webhook-id"] == message
    assert headers["webhook-signature"] == sent.header("webhook-signature")
    assert (headers["Authorization"], headers["X-Shop"]) == ("***", "main")
    assert "canary" not in str(shown)
    assert shown["requestBody"].encode() == sent.body
    phases = shown["phases"]
    assert phases == listed["phases"]
    assert min(phases["wait"], phases["firstByte"]) > 0
    assert phases["name"] is phases["tls"] is None  # an address, and no TLS
    took = sum(phases[name] or 0 for name in ("connect", "firstByte", "read"))
    assert shown["responseDurationMs"] - 0.01 < took < passed_ms
    assert shown["responseHeaders"]["Retry-After"] == "7"
    shop.http.delete(f"/app/{shop.id}/msg/{message}/attempt/{listed['id']}/content")
    assert shop.get(f"msg/{message}/attempt/{listed['id']}")["responseHeaders"] == {}
    shop.http.delete(f"/app/{shop.id}/msg/{message}/content")
    assert shop.get(f"msg/{message}/attempt/{listed['id']}")["requestBody"] is None
