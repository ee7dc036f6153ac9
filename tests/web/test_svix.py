"""What Svix's own server does, beyond what its newest SDK asks for: paths, lists, old forms."""

from __future__ import annotations

import json
import re
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest
import svix.api

from tests.cases import each
from tests.web.document import written_document
from tests.web.served_gateway import ServedGateway
from tillbell import ed25519

pytestmark = pytest.mark.sqlite_first

ORDER = {"eventType": "order.paid", "payload": {"id": 1}}
WHSK = ed25519.new_secret(b"s" * 32)


def made(answer: httpx.Response) -> dict[str, Any]:
    """Return what was created."""
    assert answer.status_code in (200, 201, 202), answer.text
    body: dict[str, Any] = answer.json()
    return body


def endpoint(served: ServedGateway, app_id: str, path: str = "/ok", **more: object) -> str:
    """Add an endpoint at a path of the receiver; return its id."""
    body = {"url": served.receiver.url(path), **more}
    return str(made(served.http.post(f"/app/{app_id}/endpoint", json=body))["id"])


def sent(served: ServedGateway, app_id: str, **more: object) -> str:
    """Publish a message; return its id."""
    return str(made(served.http.post(f"/app/{app_id}/msg", json={**ORDER, **more}))["id"])


def ids(answer: httpx.Response) -> list[str]:
    assert answer.status_code == 200, answer.text
    return [row["id"] for row in answer.json()["data"]]


# ── paths ────────────────────────────────────────────────────────────────────────────────────────


def test_one_slash_at_the_end_of_a_path_changes_nothing(served: ServedGateway, app_id: str) -> None:
    http, path = served.http, f"/app/{app_id}"
    url = served.receiver.url()
    first = made(http.post(f"{path}/endpoint/", json={"url": url, "uid": "slash"}))
    assert http.get(f"{path}/endpoint/slash/").json() == first
    assert http.patch(f"{path}/endpoint/slash/", json={"description": "d"}).status_code == 200
    headers = {"idempotency-key": "slash"}
    twice = [
        http.post(f"{path}/msg{slash}", json=ORDER, headers=headers).json() for slash in ("", "/")
    ]
    assert twice[0] == twice[1]
    assert http.get(f"{path}/msg/?limit=1").json()["data"][0]["id"] == twice[0]["id"]
    assert http.delete(f"{path}/endpoint/slash/").status_code == 204
    assert http.get(f"{path}/endpoint//").status_code == 404
    assert http.get(f"{path}/").json()["id"] == app_id


def test_health_needs_no_key(served: ServedGateway) -> None:
    with served.client(None) as nobody:
        for path in ("/health", "/health/", "/health/ping", "/health/ping/"):
            assert nobody.get(path).status_code == 204


def test_older_paths_are_served(served: ServedGateway, app_id: str) -> None:
    http, path = served.http, f"/app/{app_id}"
    good, bad = endpoint(served, app_id), endpoint(served, app_id, "/status/500")
    message = sent(served, app_id)
    served.wait_for_attempts(message, 2)
    both = http.get(f"{path}/attempt/msg/{message}").json()
    assert http.get(f"{path}/msg/{message}/attempt").json() == both
    assert len(both["data"]) == 2
    of_bad = http.get(f"{path}/msg/{message}/endpoint/{bad}/attempt").json()["data"]
    assert [row["endpointId"] for row in of_bad] == [bad]
    assert http.get(f"{path}/msg/{message}/endpoint/{good}/attempt?status=2").json()["data"] == []
    access = made(http.post(f"/auth/dashboard-access/{app_id}"))
    assert access["url"].endswith(access["token"])
    with served.client(access["token"]) as portal:
        assert portal.get(f"{path}/endpoint/{good}").status_code == 200


# ── lists ────────────────────────────────────────────────────────────────────────────────────────


PARAMETER = re.compile(r"\{\w+\}")


def operations_of_the_sdk() -> set[tuple[str, str]]:
    """Name every operation that the official Python SDK asks for."""
    folder = Path(svix.api.__file__).parent
    asked = re.compile(r'method="(\w+)",\s*path="([^"]+)"')
    pairs = (asked.findall(file.read_text()) for file in folder.glob("*.py"))
    return {(method.upper(), PARAMETER.sub("x", path)) for each in pairs for method, path in each}


def test_every_operation_of_the_sdk_is_served_or_said_to_be_not_offered(
    served: ServedGateway,
) -> None:
    offered = {
        (method.upper(), PARAMETER.sub("x", path))
        for path, item in written_document()["paths"].items()
        for method in item
    }
    asked = operations_of_the_sdk()
    assert len(asked & offered) > 60
    for method, path in sorted(asked - offered):
        refused = served.http.request(method, served.url + path, json={})
        assert refused.status_code == 404, path
        detail = refused.json()["detail"]
        assert "does not offer" in detail or "does not have the ingest API" in detail, path
    for path in ("/auth/whoami", "/app/x/events"):
        assert "does not offer" in served.http.get(path).json()["detail"], path
    assert "offer" not in served.http.get("/app/x/nowhere").json()["detail"]


def test_applications_and_event_types_come_oldest_first(served: ServedGateway, app_id: str) -> None:
    del app_id
    http = served.http
    apps = [str(made(http.post("/app", json={"name": "a"}))["id"]) for _ in range(3)]
    names = [f"sorted.{letter}" for letter in "cab"]
    for name in names:
        made(http.post("/event-type", json={"name": name, "description": "d"}))
    listed = ids(http.get("/app", params={"limit": 250}))
    assert listed[-3:] == apps
    assert ids(http.get("/app?order=descending&limit=3")) == apps[::-1]
    types = [row["name"] for row in http.get("/event-type?limit=250").json()["data"]]
    assert [name for name in types if name in names] == names
    after = http.get("/app", params={"limit": 1, "iterator": apps[0]}).json()
    assert [row["id"] for row in after["data"]] == [apps[1]]
    before = http.get("/app", params={"limit": 1, "iterator": f"-{apps[2]}"}).json()
    assert [row["id"] for row in before["data"]] == [apps[1]]


def test_endpoints_come_newest_first(served: ServedGateway, app_id: str) -> None:
    added = [endpoint(served, app_id) for _ in range(3)]
    assert ids(served.http.get(f"/app/{app_id}/endpoint")) == added[::-1]


def test_a_list_in_the_query_may_be_written_in_several_ways(
    served: ServedGateway, app_id: str
) -> None:
    http, path = served.http, f"/app/{app_id}"
    target = endpoint(served, app_id)
    by_type = {name: sent(served, app_id, eventType=name) for name in ("a.a", "b.b", "c.c")}
    for message in by_type.values():
        served.wait_for_attempts(message)
    wanted = {by_type["a.a"], by_type["b.b"]}
    for query in (
        "event_types=a.a,b.b",
        "event_types=a.a&event_types=b.b",
        "event_types[]=a.a&event_types[]=b.b",
        "event_types%5B%5D=a.a&event_types%5b%5d=b.b",
        "event_types[0]=a.a&event_types[1]=b.b",
        "limit=9&event_types[1]=a.a,b.b",
    ):
        assert set(ids(http.get(f"{path}/msg?{query}"))) == wanted, query
        assert set(ids(http.get(f"{path}/endpoint/{target}/msg?{query}"))) == wanted, query
        for of in (f"endpoint/{target}", f"msg/{by_type['a.a']}"):
            attempts = http.get(f"{path}/attempt/{of}?{query}").json()["data"]
            assert {row["msgId"] for row in attempts} <= wanted
            assert attempts
    states = http.get(f"{path}/delivery?endpoint_id={target}&state[]=failed&state[]=discarded")
    assert states.json()["data"] == []


def test_a_message_that_is_retried_is_sending(served: ServedGateway, app_id: str) -> None:
    http, path = served.http, f"/app/{app_id}"
    target = endpoint(served, app_id, "/status/500", retrySchedule=[3600])
    retried = sent(served, app_id)
    served.wait_for_attempts(retried)
    tomorrow = (datetime.now(UTC) + timedelta(hours=9)).isoformat()
    later = sent(served, app_id, deliverAt=tomorrow)

    def listed(status: int) -> list[str]:
        return ids(http.get(f"{path}/endpoint/{target}/msg", params={"status": status}))

    assert [listed(status) for status in range(5)] == [[], [later], [], [retried], []]
    (shown,) = http.get(f"{path}/msg/{retried}/endpoint").json()["data"]
    assert (shown["status"], shown["statusText"]) == (3, "sending")
    assert shown["nextAttempt"] is not None
    since = {"since": "2020-01-01T00:00:00Z"}
    task = made(http.post(f"{path}/endpoint/{target}/bulk-replay", json={**since, "status": 1}))
    assert served.wait_for_task(task["id"])["data"]["count"] == 1
    served.wait_for_attempts(later)
    assert listed(1) == []


def test_the_endpoints_of_a_message_come_oldest_first_and_deleted_ones_too(
    served: ServedGateway, app_id: str
) -> None:
    http = served.http
    added = [endpoint(served, app_id, path) for path in ("/ok", "/status/500", "/status/204")]
    message = sent(served, app_id)
    served.wait_for_attempts(message, 3)
    assert http.delete(f"/app/{app_id}/endpoint/{added[1]}").status_code == 204
    of_message = f"/app/{app_id}/msg/{message}/endpoint"
    assert ids(http.get(of_message)) == added
    assert ids(http.get(f"{of_message}?order=descending")) == added[::-1]
    page = http.get(of_message, params={"limit": 1, "iterator": added[0]}).json()
    (deleted,) = page["data"]
    shown = http.get(f"/app/{app_id}/endpoint/{added[2]}").json()
    assert (deleted["id"], deleted["statusReason"]) == (added[1], "deleted")
    assert (deleted["url"], deleted["disabled"]) == (served.receiver.url("/status/500"), True)
    assert deleted["createdAt"] < shown["createdAt"]


def test_an_attempts_id_is_an_iterator_too(served: ServedGateway, app_id: str) -> None:
    added = [endpoint(served, app_id, "/ok") for _ in range(4)]
    message = sent(served, app_id)
    served.wait_for_attempts(message, 4)
    for _ in range(3):
        served.wait_for_attempts(sent(served, app_id), 4)
    for path, params in (
        (f"/app/{app_id}/attempt/msg/{message}", {}),
        (f"/app/{app_id}/attempt/endpoint/{added[0]}", {}),
        (f"/app/{app_id}/attempt/endpoint/{added[0]}", {"filter": "code:2xx"}),
        ("/attempt", {"app": app_id}),
    ):
        every = ids(served.http.get(path, params=params))[:4]
        behind = served.http.get(path, params={**params, "limit": 2, "iterator": every[1]})
        assert ids(behind) == every[2:4]
        before = served.http.get(path, params={**params, "limit": 2, "iterator": f"-{every[3]}"})
        assert ids(before) == every[1:3]
        unknown = served.http.get(path, params={**params, "iterator": "atmpt_none"})
        assert unknown.status_code == 422


def test_a_payload_is_expunged_once(served: ServedGateway, app_id: str) -> None:
    message = sent(served, app_id, eventId="expunged-once")
    path, body = f"/app/{app_id}/msg/bulk-expunge", {"ids": [message, "nothing"]}
    first, again = (made(served.http.post(path, json=body))["results"] for _ in range(2))
    assert first == {message: "expunged", "nothing": "not-found"}
    assert set(again.values()) == {"not-found"}


def test_stats_count_from_the_very_moment(served: ServedGateway, app_id: str) -> None:
    http = served.http
    target = endpoint(served, app_id)
    first = made(http.post(f"/app/{app_id}/msg", json=ORDER))
    served.wait_for_attempts(first["id"])
    second = made(http.post(f"/app/{app_id}/msg", json=ORDER))
    served.wait_for_attempts(second["id"])
    path = f"/app/{app_id}/endpoint/{target}"

    def succeeded(**query: str) -> int:
        assert http.get(f"{path}/attempt-stats", params=query).status_code == 200
        return int(made(http.get(f"{path}/stats", params=query))["success"])

    at = {"first": first["timestamp"], "second": second["timestamp"]}
    assert succeeded() == succeeded(since=at["first"]) == 2
    assert succeeded(since=at["second"]) == succeeded(until=at["second"]) == 1
    assert succeeded(since=at["first"], until=at["second"]) == 1
    assert succeeded(since="2020-01-01T00:00:00Z", until=at["first"]) == 0
    refused = http.get(f"{path}/stats", params={"since": at["second"], "until": at["first"]})
    assert refused.status_code == 422


# ── replacing, headers, version ──────────────────────────────────────────────────────────────────


def test_replacing_by_id_clears_the_uid(served: ServedGateway, app_id: str) -> None:
    http = served.http
    target = endpoint(served, app_id, uid="e")
    made(http.patch(f"/app/{app_id}", json={"uid": app_id[4:]}))
    body = {"name": "b"}
    for path, uid, content in (
        ("/app", app_id[4:], body),
        (f"/app/{app_id}/endpoint", "e", {"url": served.receiver.url()}),
    ):
        id_ = app_id if path == "/app" else target
        by_uid = made(http.put(f"{path}/{uid}", json=content))
        assert (by_uid["id"], by_uid["uid"]) == (id_, uid)
        assert made(http.put(f"{path}/{id_}", json={**content, "uid": "n"}))["uid"] == "n"
        assert made(http.put(f"{path}/{id_}", json=content))["uid"] is None
        assert http.get(f"{path}/n").status_code == http.get(f"{path}/{uid}").status_code == 404
        made(http.put(f"{path}/{id_}", json={**content, "uid": uid}))
        assert made(http.put(f"{path}/{id_}", json={**content, "uid": None}))["uid"] is None


def test_the_version_of_an_endpoint_is_its_owners(served: ServedGateway, app_id: str) -> None:
    http = served.http
    target = endpoint(served, app_id)
    path = f"/app/{app_id}/endpoint/{target}"
    assert http.get(path).json()["version"] == 1
    changed = made(http.patch(path, json={"version": 7}))
    assert (changed["version"], changed["revision"]) == (7, 2)
    assert made(http.patch(path, json={"description": "d"}))["version"] == 7
    assert made(http.put(path, json={"url": served.receiver.url(), "version": 8}))["version"] == 8
    assert made(http.put(path, json={"url": served.receiver.url()}))["version"] == 1
    assert http.patch(path, json={"version": 0}).status_code == 422


def test_a_header_is_deleted_by_null(served: ServedGateway, app_id: str) -> None:
    http = served.http
    path = f"/app/{app_id}/endpoint/{endpoint(served, app_id, headers={'X-A': '1', 'X-B': '2'})}"
    change = {"headers": {"x-a": None, "X-C": "3"}, "deleteHeaders": ["X-B"]}
    assert http.patch(f"{path}/headers", json=change).status_code == 204
    assert http.get(f"{path}/headers").json()["headers"] == {"X-C": "3"}
    assert http.put(f"{path}/headers", json={"headers": {"X-C": None}}).status_code == 422
    for name in ("x-svix-id", "X-Svix-Anything", "X-Amzn-Trace-Id", "svix-id"):
        refused = http.patch(f"{path}/headers", json={"headers": {name: "1"}})
        assert refused.json()["detail"][0]["loc"] == ["body", "headers", name]


def test_a_place_in_a_problem_is_text(served: ServedGateway, app_id: str) -> None:
    path = f"/app/{app_id}"
    url = served.receiver.url()
    for refused in (
        served.http.post(f"{path}/endpoint", json={"url": url, "eventTypes": ["no.such.type"]}),
        served.http.post(f"{path}/endpoint", json={"url": url, "channels": ["a b"]}),
        served.http.post(f"{path}/msg", json={**ORDER, "tags": [1]}),
        served.http.post(f"{path}/msg", json={**ORDER, "channels": ["a b"]}),
    ):
        assert refused.status_code == 422
        loc = refused.json()["detail"][0]["loc"]
        assert len(loc) == 3
        assert all(isinstance(part, str) for part in loc), loc


# ── an application beside something else ─────────────────────────────────────────────────────────


@each("route", ["/app/{}/msg", "/auth/app-portal-access/{}"])
def test_another_uid_than_in_the_path_is_refused(served: ServedGateway, route: str) -> None:
    http = served.http
    body: dict[str, Any] = {**ORDER} if route.endswith("msg") else {}
    taken = f"taken-{len(route)}"
    made(http.post("/app", json={"name": "a", "uid": taken}))
    for other in (f"other-{len(route)}", taken):
        body["application"] = {"name": "a", "uid": other}
        refused = http.post(route.format("new-one"), json=body)
        assert refused.status_code == 422
        problem = refused.json()["detail"][0]
        assert problem["loc"] == ["body", "application", "uid"]
    assert http.get("/app/new-one").status_code == 404
    assert http.get(f"/app/other-{len(route)}").status_code == 404
    for uid in ({}, {"uid": f"same-{len(route)}"}):
        body["application"] = {"name": "a", **uid}
        made(http.post(route.format(f"same-{len(route)}"), json=body))
    body["application"]["uid"] = "ignored"  # it exists already
    made(http.post(route.format(f"same-{len(route)}"), json=body))
    assert http.get("/app/ignored").status_code == 404


# ── secrets ──────────────────────────────────────────────────────────────────────────────────────


def test_a_rotation_is_answered_as_the_sdk_expects(served: ServedGateway, app_id: str) -> None:
    http = served.http
    of_app = f"/app/{app_id}/endpoint/{endpoint(served, app_id)}"
    operational = made(
        http.post("/operational-webhook/endpoint", json={"url": served.receiver.url()})
    )
    for path in (of_app, f"/operational-webhook/endpoint/{operational['id']}"):
        for agent, status in (
            ("svix-libs/1.4.12/python", 204),
            ("svix-libs/2.6.0/java", 204),
            ("svix-libs/1.99.1/kotlin", 204),
            ("svix-libs/2.7.0/java", 200),
            ("svix-libs/10.0.1/go", 200),
            ("curl/8.0", 200),
            ("", 200),
        ):
            headers = {"user-agent": agent}
            rotated = http.post(f"{path}/secret/rotate", json={}, headers=headers)
            assert rotated.status_code == status, agent
            key = http.get(f"{path}/secret").json()["key"]
            assert rotated.content == b"" if status == 204 else rotated.json() == {"key": key}
            http.post(f"{path}/secret/rotate", json={"gracePeriodSeconds": 0})
    http.delete(f"/operational-webhook/endpoint/{operational['id']}")


def test_the_private_half_of_a_key_is_never_shown(served: ServedGateway, app_id: str) -> None:
    http = served.http
    target = endpoint(served, app_id, secret=WHSK)
    path = f"/app/{app_id}/endpoint/{target}"
    token = made(http.post(f"/auth/app-portal-access/{app_id}", json={}))["token"]
    public = ed25519.public_text(WHSK)
    with served.client(token) as portal:
        for client in (http, portal):
            assert client.get(f"{path}/secret").json() == {"key": public}
            rotated = client.post(f"{path}/secret/rotate", json={"key": WHSK})
            assert rotated.json() == {"key": public}
            made_for_it = client.post(f"{path}/secret/rotate", json={}).json()["key"]
            assert made_for_it.startswith("whpk_")
            assert made_for_it != public
            http.post(f"{path}/secret/rotate", json={"key": WHSK, "gracePeriodSeconds": 0})
        for page in ("", "/secret", "/headers"):
            assert "whsk_" not in portal.get(path + page).text
    message = sent(served, app_id)
    served.wait_for_attempts(message)
    (arrival,) = (r for r in served.receiver.requests if r.header("webhook-id") == message)
    stamp = arrival.header("webhook-timestamp")
    signature = (arrival.header("webhook-signature") or "").removeprefix("v1a,")
    signed = f"{message}.{stamp}.".encode() + arrival.body
    assert ed25519.verifier(public)(ed25519._decode(signature), signed)


def test_the_eleventh_rotation_is_refused(served: ServedGateway, app_id: str) -> None:
    http = served.http
    path = f"/app/{app_id}/endpoint/{endpoint(served, app_id)}"
    for _ in range(10):
        assert http.post(f"{path}/secret/rotate", json={}).status_code == 200
    key = http.get(f"{path}/secret").json()
    refused = http.post(f"{path}/secret/rotate", json={})
    assert (refused.status_code, refused.json()["code"]) == (400, "limit_reached")
    assert http.get(f"{path}/secret").json() == key
    message = sent(served, app_id)
    served.wait_for_attempts(message)
    (arrival,) = (r for r in served.receiver.requests if r.header("webhook-id") == message)
    assert len((arrival.header("webhook-signature") or "").split()) == 11
    assert http.post(f"{path}/secret/rotate", json={"gracePeriodSeconds": 0}).status_code == 200
    assert http.post(f"{path}/secret/rotate", json={}).status_code == 200


# ── event types ──────────────────────────────────────────────────────────────────────────────────


FLAGGED: dict[str, dict[str, Any]] = {
    "flag.old": {"featureFlag": "beta"},
    "flag.new": {"featureFlags": ["x", "beta"]},
}


def flagged(served: ServedGateway) -> tuple[str, ...]:
    """Register event types that need a flag, one of them built in; return their names."""
    for name, flags in FLAGGED.items():
        body = {"description": "d", "schemas": {"1": {"examples": [{"a": 1}]}}, **flags}
        shown = made(served.http.put(f"/event-type/{name}", json=body))
        assert (shown["featureFlags"][-1], shown["featureFlag"]) in (
            ("beta", "beta"),
            ("beta", "x"),
        )
    body = {"description": "d", "featureFlag": "beta"}
    made(served.http.put("/event-type/order.disputed", json=body))
    return (*FLAGGED, "order.disputed")


def test_an_event_type_with_a_flag_is_hidden_from_portals_without_it(
    served: ServedGateway, app_id: str
) -> None:
    names = flagged(served)
    made(served.http.put("/event-type/flag.none", json={"description": "d"}))
    target = f"/app/{app_id}/endpoint/{endpoint(served, app_id)}"
    for flags, is_seen in ((None, False), ([], False), (["other"], False), (["beta", "y"], True)):
        body = {} if flags is None else {"featureFlags": flags}
        token = made(served.http.post(f"/auth/app-portal-access/{app_id}", json=body))["token"]
        with served.client(token) as portal:
            rows = portal.get("/event-type?limit=250").json()["data"]
            listed = {row["name"] for row in rows}
            catalog = {row["name"] for row in portal.get("/event-type/catalog").json()}
            assert "flag.none" in listed
            assert "order.paid" in catalog
            assert ("order.disputed" in catalog) is is_seen
            for name in names:
                assert (name in listed) is is_seen
                selected = {"url": served.receiver.url(), "filterTypes": [name]}
                answers = (
                    portal.get(f"/event-type/{name}"),
                    portal.post(f"/app/{app_id}/endpoint", json=selected),
                    portal.patch(target, json=selected),
                    portal.post(f"{target}/send-example", json={"eventType": name}),
                )
                expected = (200, 201, 200, 202) if is_seen else (404, 422, 422, 422)
                assert tuple(answer.status_code for answer in answers) == expected


def test_feature_flags_are_changed_under_both_names(served: ServedGateway) -> None:
    http = served.http
    flagged(served)
    listed = {row["name"] for row in http.get("/event-type?limit=250").json()["data"]}
    assert listed >= FLAGGED.keys(), "a key that is no portal token sees all"
    cleared = made(http.patch("/event-type/flag.old", json={"featureFlag": None}))
    assert (cleared["featureFlag"], cleared["featureFlags"]) == (None, None)
    assert made(http.patch("/event-type/flag.new", json={"description": "e"}))["featureFlag"] == "x"
    assert http.delete("/event-type/order.disputed?expunge=true").status_code == 204


def test_the_ping_of_svix_is_an_example(served: ServedGateway, app_id: str) -> None:
    target = endpoint(served, app_id, filterTypes=["order.paid"])
    path = f"/app/{app_id}/endpoint/{target}/send-example"
    message = made(served.http.post(path, json={"eventType": "svix.ping"}))
    served.wait_for_attempts(message["id"])
    assert message["payload"] == {"success": True}
    (arrival,) = (r for r in served.receiver.requests if r.header("webhook-id") == message["id"])
    assert arrival.body == b'{"success":true}'


# ── raw payloads ─────────────────────────────────────────────────────────────────────────────────


def raw(served: ServedGateway, app_id: str, text: object, **headers: object) -> httpx.Response:
    """Publish a raw payload as the SDKs do."""
    params: dict[str, Any] = {"rawPayload": text}
    if headers:
        params["headers"] = {name.replace("_", "-"): value for name, value in headers.items()}
    body = {"eventType": "raw.text", "payload": {}, "transformationsParams": params}
    return served.http.post(f"/app/{app_id}/msg", json=body)


def arrivals(served: ServedGateway, message: str) -> list[tuple[bytes, str | None]]:
    """Return body and content type of every request of a message."""
    heard = (r for r in served.receiver.requests if r.header("webhook-id") == message)
    return [(r.body, r.header("content-type")) for r in heard]


XML = "<a>é</a>\n"


@each(
    "text, headers, shown",
    [
        ('{ "a": 1.10 }', {}, b'{ "a": 1.10 }'),
        ('{"a":1}', {"Content_Type": "application/json"}, b'{"a":1}'),
        ('{"a":1}', {"content_type": "text/plain"}, b'{"a":1}'),
        (XML, {"content_type": "text/xml"}, '{"rawPayload":"<a>é</a>\\n"}'.encode()),
        ("[1]", {}, b'{"rawPayload":"[1]"}'),
        ("a=1&b=%20", {"content_type": "x/y; q=1"}, b'{"rawPayload":"a=1&b=%20"}'),
        ("", {"content_type": "text/plain"}, b'{"rawPayload":""}'),
    ],
)
def test_a_raw_payload_is_sent_and_shown_as_it_is(
    served: ServedGateway, app_id: str, text: str, headers: dict[str, str], shown: bytes
) -> None:
    content_type = next(iter(headers.values()), "application/json")
    path = f"/app/{app_id}"
    target = endpoint(served, app_id, "/status/500", retrySchedule=[0])
    created = raw(served, app_id, text, **headers)
    message = made(created)["id"]
    served.wait_for_attempts(message, 2)
    resent = served.http.post(f"{path}/msg/{message}/endpoint/{target}/resend")
    assert resent.status_code == 202
    served.wait_for_attempts(message, 3)
    late = endpoint(served, app_id, retrySchedule=[])
    since = {
        "since": "2020-01-01T00:00:00Z",
        "until": made(created)["timestamp"][:11] + "23:59:59Z",
    }
    task = made(served.http.post(f"{path}/endpoint/{late}/replay-missing", json=since))
    assert served.wait_for_task(task["id"])["status"] == "finished"
    served.wait_for_attempts(message, 4)
    assert {*arrivals(served, message)} == {(text.encode(), content_type)}
    assert len(arrivals(served, message)) >= 4
    for answer in (
        created,
        served.http.get(f"{path}/msg/{message}"),
        served.http.get(f"{path}/endpoint/{target}/msg"),
        served.http.get(f"{path}/poller/any"),
    ):
        assert b'"payload":' + shown in answer.content
    for each_of in (target, late):
        served.http.delete(f"{path}/endpoint/{each_of}")


def test_profiles_carry_a_raw_payload_or_make_nothing_of_it(
    served: ServedGateway, app_id: str
) -> None:
    for profile in ("cloudevents", "shoppex", "zenofy", "mozarto"):
        endpoint(served, app_id, f"/raw/{app_id}/{profile}", profile=profile)
    message = made(raw(served, app_id, XML, content_type="text/xml"))
    assert message["deliveries"] == 2
    served.wait_for_attempts(message["id"], 2)
    (event,) = served.receiver.to(f"/raw/{app_id}/cloudevents")
    assert event.header("content-type") == "application/cloudevents+json"
    decoded = json.loads(event.body)
    assert (decoded["data"], decoded["datacontenttype"]) == (XML, "text/xml")
    (own,) = served.receiver.to(f"/raw/{app_id}/shoppex")
    assert json.loads(own.body)["data"] == XML
    params = {"rawPayload": "{}x"}
    for type_, deliveries in (("order.paid", 1), ("transaction.approved", 1)):
        body = {"eventType": type_, "payload": {}, "transformationsParams": params}
        answer = made(served.http.post(f"/app/{app_id}/msg", json=body))
        assert answer["deliveries"] == deliveries, "cloudevents only"


@each(
    "params, place",
    [
        ({"rawPayload": 1}, ["rawPayload"]),
        ({"rawPayload": {}}, ["rawPayload"]),
        ({"rawPayload": "a", "headers": {"content-type": "text"}}, ["headers", "content-type"]),
        (
            {"rawPayload": "a", "headers": {"content-type": "a/b\r\nX: 1"}},
            ["headers", "content-type"],
        ),
        ({"headers": {"Content-Type": 7}}, ["headers", "Content-Type"]),
        (
            {"rawPayload": "a", "headers": {"content-type": "a/" + "b" * 300}},
            ["headers", "content-type"],
        ),
    ],
)
def test_a_raw_payload_of_the_wrong_form_is_refused(
    served: ServedGateway, app_id: str, params: object, place: list[str]
) -> None:
    body = {**ORDER, "transformationsParams": params}
    refused = served.http.post(f"/app/{app_id}/msg", json=body)
    assert refused.status_code == 422
    assert refused.json()["detail"][0]["loc"] == ["body", "transformationsParams", *place]


def test_a_schema_refuses_a_raw_payload_that_is_no_json(served: ServedGateway) -> None:
    app = made(served.http.post("/app", json={"name": "a", "checkSchemas": True}))["id"]
    body = {"description": "d", "schemas": {"1": {"type": "object"}}}
    made(served.http.put("/event-type/raw.text", json=body))
    assert raw(served, app, "<a/>", content_type="text/xml").status_code == 422
    assert raw(served, app, '{"a":1}').status_code == 202
    assert served.http.delete("/event-type/raw.text?expunge=true").status_code == 204


# ── attempts ─────────────────────────────────────────────────────────────────────────────────────


def test_a_run_that_was_begun_by_hand_is_manual_to_its_end(
    served: ServedGateway, app_id: str
) -> None:
    target = endpoint(served, app_id, "/status/500", retrySchedule=[])
    message = sent(served, app_id)
    served.wait_for_attempts(message)
    made(served.http.patch(f"/app/{app_id}/endpoint/{target}", json={"retrySchedule": [0, 0]}))
    resend = f"/app/{app_id}/msg/{message}/endpoint/{target}/resend"
    assert served.http.post(resend).status_code == 202
    served.wait_for_attempts(message, 4)
    attempts = served.http.get(f"/app/{app_id}/attempt/msg/{message}").json()["data"]
    assert [row["triggerType"] for row in attempts] == [1, 1, 1, 0]
