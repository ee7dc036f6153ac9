"""A request is done as asked, or an answer says why not: the rules that all routes share."""

from __future__ import annotations

import base64
from datetime import UTC, datetime
from typing import Any

import httpx
import pytest
from fastapi.routing import APIRoute
from standardwebhooks import Webhook
from svix.models import BackgroundTaskType

from tests.cases import each
from tests.web.served_gateway import ServedGateway
from tillbell.web.api.known_names import body_shape, kind_listed, unknown_members
from tillbell.web.api.rest import ROUTERS
from tillbell.web.edge.limits import GUESSES_MAX

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
    assert refused.json()["detail"][0]["loc"] == ["body", "filterTypes", "0"]
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
        assert refused.json()["detail"].startswith("The endpoint is disabled")
    served.http.patch(f"{path}/{endpoint}", json={"disabled": False})
    served.http.delete(f"/app/{app_id}/msg/{message}/content")
    assert resend() == (400, "missing_payload")
    replayed = served.http.post(f"{path}/{endpoint}/bulk-replay", json=since).json()
    served.do(served.gateway.tasks.wait_idle())
    data = served.http.get(f"/background-task/{replayed['id']}").json()["data"]
    assert (data["count"], data["skipped"]) == (0, {"missingPayload": 1})


def test_a_resend_and_why_say_the_same(served: ServedGateway, app_id: str) -> None:
    body = {"eventType": "order.paid", "payload": {"a": 1}}
    message = served.http.post(f"/app/{app_id}/msg", json=body).json()["id"]
    fields = {"url": served.receiver.url("/later"), "disabled": True}
    later = served.http.post(f"/app/{app_id}/endpoint", json=fields).json()["id"]
    path = f"/app/{app_id}/msg/{message}/endpoint/{later}"

    def both() -> tuple[str, str]:
        fate, refused = served.http.get(f"{path}/why"), served.http.post(f"{path}/resend")
        assert refused.status_code in (400, 409)
        return str(fate.json()["text"]), str(refused.json()["detail"])

    texts = [both()]
    served.http.patch(f"/app/{app_id}/endpoint/{later}", json={"disabled": False})
    served.http.delete(f"/app/{app_id}/msg/{message}/content")
    texts.append(both())
    assert all(told == refused for told, refused in texts)
    assert texts[0] != texts[1]


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


def test_a_key_of_a_deleted_application_gives_no_answer_about_it(served: ServedGateway) -> None:
    draft = {"application": {"name": "shop", "uid": "portal-gone"}}
    access, key = "/auth/app-portal-access/portal-gone", {"idempotency-key": "gone"}
    first = served.http.post(access, json=draft, headers=key)
    assert served.http.delete("/app/portal-gone").is_success
    refused = served.http.post(access, json=draft, headers=key)
    assert (refused.status_code, refused.json()["code"]) == (409, "idempotency_key_reused")
    again = served.http.post(access, json=draft, headers={"idempotency-key": "new"})
    assert again.json()["token"] != first.json()["token"]
    assert served.http.get("/app/portal-gone").is_success


def test_a_key_where_none_is_needed_is_refused(served: ServedGateway, app_id: str) -> None:
    for method in ("PUT", "PATCH", "DELETE"):
        refused = served.http.request(
            method, f"/app/{app_id}", json={"name": "b"}, headers={"idempotency-key": "k"}
        )
        code = refused.json()["code"]
        assert (refused.status_code, code) == (400, "idempotency_key_not_supported")
    shown = served.http.get(f"/app/{app_id}", headers={"idempotency-key": "k"})
    assert shown.json()["name"] == "shop"


def test_a_refused_request_leaves_its_key_free(served: ServedGateway, app_id: str) -> None:
    message: dict[str, Any] = {"eventType": "order.paid", "payload": {}}
    cases: list[tuple[str, dict[str, Any], dict[str, Any]]] = [
        ("/app", {"nam": "a"}, {"name": "a"}),
        (f"/app/{app_id}/msg", {"eventType": "order.paid"}, message),
        (f"/app/{app_id}/endpoint", {"url": "ftp://x"}, {"url": served.receiver.url("/fine")}),
    ]
    for path, wrong, right in cases:
        key = {"idempotency-key": f"mended {path}".replace(" ", "-")}
        assert served.http.post(path, json=wrong, headers=key).status_code == 422
        mended = served.http.post(path, json=right, headers=key)
        assert mended.status_code in (201, 202), mended.text
        again = served.http.post(path, json=right, headers=key)
        assert again.content == mended.content
        assert again.headers["idempotent-replayed"] == "true"


def test_a_key_says_that_the_query_was_another(served: ServedGateway, app_id: str) -> None:
    key, message = {"idempotency-key": "query"}, {"eventType": "order.paid", "payload": {}}
    path = f"/app/{app_id}/msg"
    assert served.http.post(path, json=message, headers=key).status_code == 202
    other = served.http.post(f"{path}?with_content=false", json=message, headers=key)
    assert other.status_code == 409
    assert "query" in other.json()["detail"]


# ── names that nobody reads ──────────────────────────────────────────────────────────────────────


def test_every_body_refuses_a_typing_error_and_tells_what_it_ignores(served: ServedGateway) -> None:
    """Whatever the route: no member of a body is dropped without a word."""
    shapes = [(route, shape) for route in _routes() if (shape := body_shape(route)) is not None]
    assert len(shapes) > 30
    for route, shape in shapes:
        known = [field.alias or name for name, field in shape.model_fields.items()]
        slip = max(known, key=len) + "x"
        near, far = unknown_members(shape, {slip: 1, "zzqqzz": 1}, ("body",))
        assert (near.near, near.is_refused) == (slip[:-1], True), route.path
        assert far.near is None
        assert not list(unknown_members(shape, {"zzqqzz": None}, ("body",)))


def _routes() -> list[APIRoute]:
    return [route for router in ROUTERS for route in router.routes if isinstance(route, APIRoute)]


@each(
    ("method", "path", "body"),
    [
        ("POST", "/app/{app}/endpoint", {"url": "{url}", "filterType": ["order.paid"]}),
        ("POST", "/app/{app}/endpoint", {"url": "{url}", "topics": ["order.paid"]}),
        ("PUT", "/app/{app}/endpoint/new", {"url": "{url}", "secret": "whsec_AAAA"}),
        ("PATCH", "/app/{app}/endpoint/ep", {"chanels": ["eu"]}),
        ("POST", "/app/{app}/endpoint/ep/secret/rotate", {"secret": "whsec_AAAA"}),
        ("POST", "/app/{app}/endpoint/ep/recover", {"since": "2026-01-01T00:00:00Z", "to": "x"}),
        ("POST", "/operational-webhook/endpoint", {"url": "{url}", "events": ["a"]}),
        ("POST", "/key", {"name": "k", "scopes": ["read"], "application": "a"}),
        ("POST", "/app/{app}/source", {"name": "s", "provider": "stripe", "secret": "whsec_A"}),
        ("POST", "/app/{app}/msg", {"eventType": "order.paid", "payload": {}, "chanels": ["eu"]}),
        ("POST", "/app/{app}/msg", {"eventType": "order.paid", "payload": {}, "topic": "x"}),
        (
            "POST",
            "/app/{app}/msg",
            {"eventType": "a", "payload": {}, "i": None, "application": {"name": "n", "colour": 1}},
        ),
        ("PUT", "/app/{app}", {"name": "shop", "metdata": {}}),
        ("PATCH", "/app/{app}/endpoint/ep", {"status": "disabled"}),
        ("PUT", "/app/{app}/endpoint/ep", {"url": "{url}", "uid": "ep", "status": "disabled"}),
    ],
)
def test_a_body_that_would_do_something_else_is_refused(
    served: ServedGateway, app_id: str, method: str, path: str, body: dict[str, Any]
) -> None:
    served.http.put(f"/app/{app_id}/endpoint/ep", json={"url": served.receiver.url()})
    body = {name: served.receiver.url() if v == "{url}" else v for name, v in body.items()}
    refused = served.http.request(method, path.replace("{app}", app_id), json=body)
    assert refused.status_code == 422, refused.text
    [problem] = refused.json()["detail"]
    assert problem["type"] == "unknown_member"
    assert problem["loc"][-1] not in ("url", "eventType")
    assert len(served.http.get(f"/app/{app_id}/endpoint").json()["data"]) == 1


def test_what_is_ignored_is_named(served: ServedGateway, app_id: str) -> None:
    body = {"name": "shop", "colour": "red", "nothing": None}
    changed = served.http.put(f"/app/{app_id}", json=body)
    assert (changed.status_code, changed.json()["ignored"]) == (200, ["colour"])
    assert changed.headers["ignored-members"] == '["colour"]'
    assert "ignored" not in served.http.put(f"/app/{app_id}", json={"name": "shop"}).json()


def test_what_was_answered_can_be_sent_back_with_a_change(
    served: ServedGateway, app_id: str
) -> None:
    http = served.http
    http.put(f"/app/{app_id}/endpoint/back", json={"url": served.receiver.url()})
    http.put("/event-type/sent.back", json={"description": "d", "featureFlag": "f"})
    http.put("/operational-webhook/endpoint/back", json={"url": served.receiver.url()})
    paths = {
        f"/app/{app_id}": "name",
        f"/app/{app_id}/endpoint/back": "description",
        "/event-type/sent.back": "description",
        "/operational-webhook/endpoint/back": "description",
    }
    for path, member in paths.items():
        for method in ("PUT", "PATCH"):
            answered = http.get(path).json() | {member: f"by {method}"}
            changed = http.request(method, path, json=answered)
            assert changed.status_code == 200, (path, changed.text)
            shown = changed.json()
            assert {"createdAt", "updatedAt"} <= set(shown.pop("ignored")), path
            varying = {"updatedAt", "revision", "last24Hours"}
            assert {k: v for k, v in shown.items() if k not in varying} == {
                k: v for k, v in answered.items() if k not in varying
            }
            refused = http.request(method, path, json=answered | {f"{member}z": "x"})
            assert refused.status_code == 422, path
    endpoint = http.get(f"/app/{app_id}/endpoint/back").json() | {"status": "disabled"}
    refused = http.put(f"/app/{app_id}/endpoint/back", json=endpoint)
    assert refused.json()["detail"][0]["type"] == "read_only"
    assert http.put("/event-type/sent.back", json={"name": "x", "description": "d"}).is_success
    http.delete("/operational-webhook/endpoint/back")


@each(
    ("path", "near"),
    [
        ("/app?limt=5", "limit"),
        ("/app/{app}/msg?event_type=order.paid", "event_types"),
        ("/app/{app}/msg?event_id=e1", None),
        ("/app/{app}/msg?transaction_id=t1", None),
        ("/app/{app}/delivery?msg_id=m&endpoint=e", "endpoint_id"),
        ("/provider?nme=stripe", None),
    ],
)
def test_a_parameter_that_nobody_reads_is_refused(
    served: ServedGateway, app_id: str, path: str, near: str | None
) -> None:
    refused = served.http.get(path.replace("{app}", app_id))
    assert refused.status_code == 422
    [problem] = refused.json()["detail"]
    assert problem["type"] == "unknown_parameter"
    assert near is None or f"did you mean `{near}`?" in problem["msg"]
    message = {"eventType": "order.paid", "payload": {}}
    slip = served.http.post(f"/app/{app_id}/msg?with_contents=false", json=message)
    assert slip.status_code == 422


def test_a_parameter_that_is_read_once_is_refused_twice(served: ServedGateway, app_id: str) -> None:
    many = f"/app/{app_id}/msg?event_types=order.paid&event_types=order.created"
    assert served.http.get(many).status_code == 200
    for path in (f"/app/{app_id}/msg?channel=a&channel=b", "/app?limit=5&limit=6"):
        refused = served.http.get(path)
        assert refused.json()["detail"][0]["type"] == "repeated_parameter", path


def test_the_kind_of_a_task_is_one_that_there_is(served: ServedGateway) -> None:
    refused = served.http.get("/background-task?task=recover")
    assert refused.status_code == 422
    assert "did you mean `endpoint.recover`?" in refused.json()["detail"][0]["msg"]
    for kind in BackgroundTaskType:
        assert served.http.get(f"/background-task?task={kind}").status_code == 200, kind


def test_a_payload_that_is_named_twice_is_expunged(served: ServedGateway, app_id: str) -> None:
    body = {"eventType": "order.paid", "payload": {}, "eventId": "twice"}
    served.http.post(f"/app/{app_id}/msg", json=body)
    done = served.http.post(f"/app/{app_id}/msg/bulk-expunge", json={"ids": ["twice", "twice"]})
    assert done.json() == {"results": {"twice": "expunged"}}


# ── values that mean something else ──────────────────────────────────────────────────────────────


@each(
    ("body", "kind"),
    [
        (b'{"name":"a","name":"b"}', "duplicate_member"),
        (b'{"name":"a","metadata":{"x":"1","x":"2"}}', "duplicate_member"),
        (b'{"name":NaN}', "not_a_number"),
        (b'{"name":-Infinity}', "not_a_number"),
        (b'{"name":"a","metadata":{"x":1e999}}', "number_too_large"),
        (b'{"name":"a","rateLimit":' + b"9" * 400 + b"}", "number_too_large"),
        (b'{"name":"   "}', "blank"),
    ],
)
def test_json_that_programs_read_differently_is_refused(
    served: ServedGateway, body: bytes, kind: str
) -> None:
    headers = {"content-type": "application/json"}
    refused = served.http.post("/app", content=body, headers=headers)
    assert refused.status_code == 422
    assert [problem["type"] for problem in refused.json()["detail"]] == [kind]


@each(
    ("member", "kind"),
    [
        (b'"eventType":"order.paid"', "duplicate_member"),
        (b'"deliverAt":"2026-12-01T00:00:00"', "datetime"),
        (b'"deliverAt":""', "datetime"),
        (b'"eventId":"  "', "blank"),
        (b'"eventId":NaN', "not_a_number"),
    ],
)
def test_a_message_that_programs_read_differently_is_refused(
    served: ServedGateway, app_id: str, member: bytes, kind: str
) -> None:
    payload = b'{"eventType":"x","eventType":"y","big":1e999,"payload":[1]}'
    body = b'{"eventType":"order.paid","payload":' + payload + b"}"
    path, headers = f"/app/{app_id}/msg", {"content-type": "application/json"}
    taken = served.http.post(path, content=body, headers=headers)
    assert taken.status_code == 202, "what the payload holds is left as it is"
    assert payload in taken.content
    refused = served.http.post(path, content=body[:-1] + b"," + member + b"}", headers=headers)
    assert refused.status_code == 422, refused.text
    assert [problem["type"] for problem in refused.json()["detail"]] == [kind]


def test_half_a_character_in_a_message_is_told(served: ServedGateway, app_id: str) -> None:
    body = b'{"eventType":"order.paid","payload":{"a":"\\u0000","b":"\\ud800"}}'
    headers = {"content-type": "application/json"}
    refused = served.http.post(f"/app/{app_id}/msg", content=body, headers=headers)
    assert (refused.status_code, refused.json()["code"]) == (400, "lone_surrogate")


def test_a_slip_in_an_event_type_is_refused_until_it_is_registered(
    served: ServedGateway, app_id: str
) -> None:
    def publish(event_type: str) -> httpx.Response:
        body = {"eventType": event_type, "payload": {}}
        return served.http.post(f"/app/{app_id}/msg", json=body)

    refused = publish("order.payed")
    assert refused.status_code == 422
    assert "did you mean `order.paid`?" in refused.json()["detail"][0]["msg"]
    for own in ("order.packed", "user.created", "custom", "invoice.paid"):
        assert publish(own).status_code == 202
    served.http.put("/event-type/order.payed", json={"description": "ours"})
    assert publish("order.payed").status_code == 202
    served.http.delete("/event-type/order.payed?expunge=true")


def test_a_wildcard_is_refused_where_none_is_read(served: ServedGateway, app_id: str) -> None:
    endpoint = f"/app/{app_id}/endpoint"
    made = served.http.post(endpoint, json={"url": served.receiver.url()}).json()["id"]
    replay = {"since": "2026-01-01T00:00:00Z", "eventTypes": ["order.*"]}
    for refused in (
        served.http.get(f"/app/{app_id}/msg?event_types=order.paid,order.*"),
        served.http.get(f"/app/{app_id}/attempt/endpoint/{made}?event_types=order.*"),
        served.http.get(f"/app/{app_id}/poller/sink?event_type=order.*"),
        served.http.post(f"{endpoint}/{made}/bulk-replay", json=replay),
    ):
        assert refused.status_code == 422
        assert refused.json()["detail"][0]["type"] == "wildcard"


def test_an_iterator_of_another_list_is_refused(served: ServedGateway, app_id: str) -> None:
    lists = [
        route.path.removeprefix("/api/v1").replace("{app_id}", app_id)
        for route in _routes()
        if kind_listed(route.path) and "GET" in (route.methods or ()) and "{" not in route.path[20:]
    ]
    assert len(lists) > 15
    for path in lists:
        for iterator in ("-zz_06h2rddfkg04893638556e1f84", "zz_1"):
            refused = served.http.get(path, params={"iterator": iterator})
            assert refused.status_code == 422, path
            assert refused.json()["detail"][0]["loc"] == ["query", "iterator"]


@each(
    ("fields", "changes", "place"),
    [
        ({"headers": {"X-Webhook-Secret": "a"}}, None, "headers"),
        ({"headerNames": {"X-Webhook-Secret": "X-A"}}, {"headers": {"x-a": "1"}}, "headers"),
        ({"headers": {"X-A": "1"}}, {"headerNames": {"X-Webhook-Secret": "x-a"}}, "headerNames"),
        ({}, {"headerNames": {"X-Webhok-Secret": "X-A"}}, "headerNames"),
        (
            {"profile": "standard", "headers": {"X-Webhook-Secret": "a"}},
            {"profile": "zenofy"},
            "profile",
        ),
    ],
)
def test_no_header_is_sent_twice(
    served: ServedGateway,
    app_id: str,
    fields: dict[str, Any],
    changes: dict[str, Any] | None,
    place: str,
) -> None:
    body = {"url": served.receiver.url(), "profile": "zenofy", **fields}
    answer = served.http.post(f"/app/{app_id}/endpoint", json=body)
    if changes is not None:
        assert answer.status_code == 201, answer.text
        path = f"/app/{app_id}/endpoint/{answer.json()['id']}"
        own = path + "/headers" if "headers" in changes else path
        answer = served.http.patch(own, json=changes)
    assert answer.status_code == 422
    assert answer.json()["detail"][0]["loc"][:2] == ["body", place]


def test_an_endpoint_without_the_secret_of_its_profile_says_so(
    served: ServedGateway, app_id: str
) -> None:
    path = f"/app/{app_id}/endpoint"
    made = served.http.post(path, json={"url": served.receiver.url(), "profile": "mozarto"}).json()
    assert "no secret" in made["notes"][0]
    key = {"key": "of-my-own-choice"}
    assert served.http.post(f"{path}/{made['id']}/secret/rotate", json=key).status_code == 200
    assert served.http.get(f"{path}/{made['id']}").json()["notes"] == []


@each("provider", ["stripe", "paddle"])
def test_a_secret_that_cannot_be_one_is_refused_with_its_form(
    served: ServedGateway, app_id: str, provider: str
) -> None:
    body = {"name": "s", "provider": provider, "secrets": ["x"]}
    refused = served.http.post(f"/app/{app_id}/source", json=body)
    assert refused.status_code == 422
    assert "begins with" in refused.json()["detail"][0]["msg"]


def test_a_name_of_nothing_is_refused_where_something_is_done(
    served: ServedGateway, app_id: str
) -> None:
    url = served.receiver.url("/fine")
    made = served.http.post(f"/app/{app_id}/endpoint", json={"url": url}).json()
    for event_type in ("order.paid", "thing.done"):
        message: dict[str, Any] = {"eventType": event_type, "payload": {}}
        assert served.http.post(f"/app/{app_id}/msg", json=message).status_code == 202
    since = {"since": "2020-01-01T00:00:00Z"}
    replay, callbacks = f"/app/{app_id}/endpoint/{made['id']}/bulk-replay", "/callback/replay"
    wrong: list[tuple[dict[str, Any], str]] = [
        ({"eventTypes": ["order.payed"]}, "did you mean `order.paid`?"),
        ({"eventTypes": ["order.paid", "no.such"]}, "no.such"),
        ({"filter": "type:no.such"}, "no.such"),
        ({"filter": "endpoint:nobody"}, "nobody"),
    ]
    for body, hint in wrong:
        refused = served.http.post(replay, json={**since, **body})
        assert refused.status_code == 422, refused.text
        assert hint in refused.json()["detail"][0]["msg"]
    right: list[dict[str, Any]] = [
        {"eventTypes": ["order.paid", "thing.done"]},  # published, though not registered
        {"filter": "type:thing.done,order.*"},
    ]
    for body in right:
        assert served.http.post(replay, json={**since, **body}).status_code == 202
    for body in (
        {"sourceId": "nobody"},
        {"provider": "strip"},
        {"transactionId": "trx_none"},
        {"filter": "provider:strip"},
    ):
        refused = served.http.post(f"/app/{app_id}{callbacks}", json=body)
        assert refused.status_code == 422, refused.text


def test_a_list_refuses_a_type_that_is_nearly_a_known_one(
    served: ServedGateway, app_id: str
) -> None:
    app = f"/app/{app_id}"
    made = served.http.post(f"{app}/endpoint", json={"url": served.receiver.url("/fine")}).json()
    attempts = f"{app}/attempt/endpoint/{made['id']}"
    for path, name in (
        (f"{app}/msg", "event_types"),
        (attempts, "event_types"),
        (f"{app}/poller/p", "event_type"),
        ("/message", "event_types"),
        ("/statistics/attempt", "event_type"),
    ):
        for value, status in (("order.refundet", 422), ("no.such", 200), ("order.paid", 200)):
            answer = served.http.get(path, params={name: value})
            assert answer.status_code == status, (path, answer.text)
    near = served.http.get("/message", params={"filter": "type:order.refundet"}).json()
    assert near["detail"][0]["suggestion"] == "order.refunded"


def test_a_member_twice_is_refused_however_it_is_written(
    served: ServedGateway, app_id: str
) -> None:
    message = b'{"eventType":"order.paid","payload":{"a":1,"a":2}%b}'
    path = f"/app/{app_id}/msg"
    assert served.http.post(path, content=message % b"").status_code == 202
    for more, loc in (
        (b',"eventType":"stock.low"', ["eventType"]),
        (b',"event\\u0054ype":"stock.low"', ["eventType"]),
        (b',"application":{"name":"a","name":"b"}', ["application", "name"]),
        (b',"application":{"name":"a","n\\u0061me":"b"}', ["application", "name"]),
        (
            b',"transformationsParams":{"rawPayload":"a","rawPayload":"b"}',
            ["transformationsParams", "rawPayload"],
        ),
    ):
        refused = served.http.post(path, content=message % more)
        assert refused.status_code == 422, refused.text
        assert refused.json()["detail"][0]["loc"] == ["body", *loc]


def test_a_body_that_says_it_is_compressed_is_refused(served: ServedGateway, app_id: str) -> None:
    gzip = {"content-encoding": "gzip"}
    for path, body in (
        ("/app", {"name": "a"}),
        (f"/app/{app_id}/msg", {"eventType": "order.paid", "payload": {}}),
    ):
        refused = served.http.post(path, json=body, headers=gzip)
        assert (refused.status_code, refused.json()["code"]) == (415, "unsupported_encoding")
        as_it_is = {"content-encoding": "identity"}
        assert served.http.post(path, json=body, headers=as_it_is).is_success


def test_null_is_what_is_left_out(served: ServedGateway, app_id: str) -> None:
    url = served.receiver.url("/fine")
    left_out = served.http.post(f"/app/{app_id}/endpoint", json={"url": url}).json()
    for name in left_out:
        if name not in ("id", "url"):
            body = {"url": url, name: None}
            made = served.http.post(f"/app/{app_id}/endpoint", json=body)
            assert made.status_code == 201, (name, made.text)


def test_a_number_is_digits(served: ServedGateway, app_id: str) -> None:
    made = served.http.post(f"/app/{app_id}/endpoint", json={"url": served.receiver.url("/fine")})
    attempts = f"/app/{app_id}/attempt/endpoint/{made.json()['id']}"
    for path, name, value in (
        ("/app", "limit", "5"),
        (attempts, "limit", "5"),
        (attempts, "status", "2"),
        (attempts, "status_code_class", "500"),
        ("/statistics/attempt", "step", "60"),
    ):
        for form, status in (
            (value, 200),
            (f"{value[0]}_{value[1:]}" if len(value) > 1 else f"0_{value}", 422),
            (f"+{value}", 422),
            (f" {value}", 422),
            (f"{value}.0", 422),
            (value.translate({48 + digit: 0x660 + digit for digit in range(10)}), 422),
        ):
            answer = served.http.get(path, params={name: form})
            assert answer.status_code == status, (path, form, answer.text)


def test_sdks_that_ask_for_ingest_are_told_of_sources(served: ServedGateway) -> None:
    root = str(served.http.base_url).partition("/api/")[0]
    answer = served.http.get(f"{root}/ingest/api/v1/source")
    assert (answer.status_code, answer.json()["code"]) == (404, "not_found")
    assert "/source" in answer.json()["detail"]
    assert answer.json()["requestId"]


# ── callbacks ────────────────────────────────────────────────────────────────────────────────────


def test_the_same_event_with_another_body_is_shown_as_a_conflict(
    served: ServedGateway, app_id: str
) -> None:
    secret = "whsec_" + base64.b64encode(b"k" * 32).decode()
    body = {"name": "s", "provider": "standardwebhooks", "secrets": [secret]}
    url = served.url + served.http.post(f"/app/{app_id}/source", json=body).json()["path"]
    payloads = [
        '{"type":"a","n":1}',
        '{"type":"a","n":1}',
        '{ "type": "a", "n": 1 }',
        '{"type":"a","n":2}',
    ]
    for payload in payloads:
        sent_at = datetime.now(UTC)
        signed = {
            "webhook-id": "event-1",
            "webhook-timestamp": str(int(sent_at.timestamp())),
            "webhook-signature": Webhook(secret).sign("event-1", sent_at, payload),
        }
        assert httpx.post(url, content=payload, headers=signed, verify=False).status_code == 200
    served.do(served.gateway.processor.wait_idle())
    log = served.http.get(f"/app/{app_id}/callback").json()["data"]
    assert [callback["outcome"] for callback in log[:3]] == ["conflict", "duplicate", "duplicate"]
    assert log[0]["duplicateOf"] == log[3]["id"]
    assert log[3]["id"] in log[0]["why"]
    shown = served.http.get(f"/app/{app_id}/callback", params={"outcome": "conflict"}).json()
    assert len(shown["data"]) == 1
    assert served.gateway.meters.callbacks["conflict"] == 1
    assert len(served.http.get(f"/app/{app_id}/msg").json()["data"]) == 1


# ── keys ─────────────────────────────────────────────────────────────────────────────────────────


def test_a_key_that_reads_moves_no_position(served: ServedGateway, app_id: str) -> None:
    message = {"eventType": "order.paid", "payload": {}}
    sent = served.http.post(f"/app/{app_id}/msg", json=message).json()["id"]
    path = f"/app/{app_id}/poller/sink/consumer/c"
    with served.client(served.make_key("read")) as reader:
        assert [m["id"] for m in reader.get(path).json()["data"]] == [sent]
        moved = reader.get(path, params={"iterator": sent})
        sought = reader.post(f"{path}/seek", json={"after": "2026-01-01T00:00:00Z"})
        assert (moved.status_code, sought.status_code) == (403, 403)
        assert served.http.get(path).json()["data"], "the position is where it was"
        assert served.http.get(path, params={"iterator": sent}).json()["data"] == []
        assert reader.get(path).json()["data"] == []


def test_guesses_are_slowed_down_and_lock_nobody_out(served: ServedGateway) -> None:
    with served.client("tb_" + "0" * 40) as stranger:
        statuses = [stranger.get("/app").status_code for _ in range(GUESSES_MAX + 3)]
        late = stranger.get("/app")
    assert set(statuses[: GUESSES_MAX // 2]) == {401}
    assert (late.status_code, late.json()["code"]) == (429, "rate_limited")
    assert int(late.headers["retry-after"]) >= 1
    assert served.http.get("/app").status_code == 200
