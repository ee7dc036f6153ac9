"""Who may do what: every route × every kind of key."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterator
from typing import NamedTuple

import httpx
import pytest
from fastapi.routing import APIRoute

from tests.cases import each
from tests.web.served_gateway import ServedGateway
from tillbell.model.records import ApiKey
from tillbell.rules.rights import Action
from tillbell.web.api import described
from tillbell.web.api.rest import ROUTERS
from tillbell.web.api.routes import guard, operation_id
from tillbell.web.edge.access import ACCESS
from tillbell.web.edge.api_middleware import PUBLIC
from tillbell.web.edge.auth import Access, Capability, Tenant

pytestmark = pytest.mark.sqlite_first

BODIES = {"message.create": b'{"eventType":"order.paid","payload":{}}'}
# What is promised of each route, told apart from how the program declares it.
READS = (
    "message.precheck",
    "endpoint.plan-replay",
    "endpoint.preview",
    "authentication.logout",
)  # by POST
RESENDS = (
    "endpoint.recover",
    "endpoint.replay-missing",
    "endpoint.bulk-replay",
    "endpoint.plan-replay",
    "delivery.cancel",
    "background-task.pause",
    "background-task.resume",
    "background-task.cancel",
)
OF_EVERYBODY = ("event-type.list", "event-type.catalog", "event-type.get", "provider.")
OF_THE_KEY = (
    "api-key.",
    "person.",
    "background-task.",
    "authentication.logout",
    "cashier.",
    "overview.",
    "filter.",
    "search.",
    "export.",
    "statistics.",
    "live.",
    "inbox.",
)
PORTAL = {  # what a portal token needs, by the names of Svix; what is not here is not for portals
    Capability.VIEW_BASE: (
        "application.get",
        "endpoint.list",
        "endpoint.get",
        "endpoint.get-headers",
        "endpoint.stats",
        "endpoint.attempt-stats",
        "endpoint.preview",
        "endpoint.plan-replay",
        "event-type.list",
        "event-type.catalog",
        "event-type.get",
        "message.list",
        "message.get",
        "message.precheck",
        "message.list-attempted-destinations",
        "message-attempt.list-by-endpoint",
        "message-attempt.list-by-msg",
        "message-attempt.list-by-msg-old",
        "message-attempt.list-for-endpoint-old",
        "message-attempt.list-attempted-messages",
        "message-attempt.get",
        "delivery.list",
        "delivery.get",
        "overview.messages",
        "export.messages",
        "export.deliveries",
        "export.attempts",
        "application-export.messages",
        "application-export.deliveries",
        "application-export.attempts",
        "search.find",
        "live.stream",
        "overview.endpoints",
        "filter.completion",
        "overview.deliveries",
        "overview.problems",
        "overview.attempts",
        "statistics.attempts",
        "statistics.response-times",
        "statistics.pending",
        "statistics.needed",
        "statistics.endpoints",
        "statistics.event-types",
        "why.endpoint",
        "why.standing",
        "why.message",
        "authentication.logout",
        "background-task.list",
        "background-task.get",
    ),
    Capability.MANAGE_ENDPOINT: (
        "endpoint.create",
        "endpoint.upsert",
        "endpoint.patch",
        "endpoint.delete",
        "endpoint.set-headers",
        "endpoint.patch-headers",
    ),
    Capability.VIEW_SECRET: ("endpoint.get-secret",),
    Capability.MANAGE_SECRET: ("endpoint.rotate-secret",),
    Capability.CREATE_ATTEMPTS: (
        "endpoint.recover",
        "endpoint.replay-missing",
        "endpoint.bulk-replay",
        "endpoint.send-example",
        "message-attempt.resend",
        "delivery.cancel",
        "background-task.pause",
        "background-task.resume",
        "background-task.cancel",
    ),
}
CAPABILITIES = {name: needed for needed, names in PORTAL.items() for name in names}
RENAMED = {
    "product-webhook": "endpoint",
    "default-product-webhook": "endpoint",
    "api-key": "key",
    "authentication": "portal",
    "cashier": "transaction",
    "filter": "event-type",
    "live": "message",
    "message-attempt": "attempt",
    "message-poller": "message",
}
SINGULAR = {
    "messages": "message",
    "endpoints": "endpoint",
    "deliveries": "delivery",
    "problems": "delivery",
    "attempts": "attempt",
    "callbacks": "callback",
    "transactions": "transaction",
    "conflicts": "conflict",
}
COUNTED = {  # what a plot counts
    "response-times": "attempt",
    "pending": "delivery",
    "needed": "delivery",
    "event-types": "message",
    "amounts": "transaction",
    "markers": "audit",
}
FATAL = ("application.delete", "authentication.expire-all")
NOWHERE = "msg_00000000000000000000000000"
IDS = (
    "endpoint_id",
    "msg_id",
    "attempt_id",
    "delivery_id",
    "task_id",
    "key_id",
    "source_id",
    "callback_id",
    "transaction_id",
    "conflict_id",
    "shipment_id",
    "shipment_uid",
    "order_id",
    "order_uid",
    "product_id",
    "product_uid",
    "customer_id",
    "customer_uid",
    "subscription_id",
    "subscription_uid",
    "suppression_id",
    "person_id",
    "link_id",
    "schedule_id",
    "inbox_id",
    "request_id",
)
BEGIN = {"direction": "pay_in", "amount": "1.00", "currency": "EUR"}


class Route(NamedTuple):
    """One route as the table has it."""

    name: str
    method: str
    path: str
    access: Access


def every_route() -> Iterator[Route]:
    for router in (*ROUTERS, described.router):
        for route in router.routes:
            assert isinstance(route, APIRoute)
            if route.path in PUBLIC:
                continue
            first, *_ = (depends.dependency for depends in route.dependencies)
            assert first is guard, f"{route.path} is guarded late or not at all"
            assert route.methods is not None
            (method,) = route.methods
            yield Route(operation_id(route), method, route.path, ACCESS[operation_id(route)])


ROUTES = list(every_route())
by_name = each("route", ROUTES, ids=lambda route: route.name)


def promised_action(route: Route) -> Action:
    """Keys are the administrator's, a secret is not for readers; else GET reads."""
    if route.name.startswith(("api-key.", "person.")):
        return Action.ADMIN
    if route.name == "message.create":
        return Action.PUBLISH
    if route.name.startswith(("export.", "application-export.")):
        return Action.EXPORT
    is_reading = route.method == "GET" and not route.name.endswith(".get-secret")
    return Action.READ if is_reading or route.name in READS else Action.WRITE


def promised_tenant(route: Route) -> Tenant:
    """What is below an application is its own; which applications there are is the operator's."""
    if route.name.startswith(OF_EVERYBODY):
        return Tenant.SHARED
    if route.name.startswith(OF_THE_KEY):
        return Tenant.OWN
    is_below = "/app/{app_id}/" in route.path and not route.name.startswith("authentication.")
    return Tenant.APPLICATION if is_below or route.name == "application.get" else Tenant.OPERATOR


@by_name
def test_a_route_declares_what_is_promised(route: Route) -> None:
    _, action, tenant, portal = route.access
    assert action is promised_action(route)
    assert tenant is promised_tenant(route)
    assert portal is CAPABILITIES.get(route.name)


def test_every_row_is_of_a_route() -> None:
    assert {route.name for route in ROUTES} == set(ACCESS)


def test_every_promise_is_of_a_route() -> None:
    names = {route.name for route in ROUTES}
    assert {*CAPABILITIES, *READS, *RESENDS} <= names
    for start in (*OF_EVERYBODY, *OF_THE_KEY):
        assert any(name.startswith(start) for name in names)


class Keys(NamedTuple):
    """One key of each kind, and the application they are about."""

    app_id: str
    clients: dict[str, httpx.Client]


@pytest.fixture(scope="module")
def keys(served: ServedGateway) -> Iterator[Keys]:
    def application() -> str:
        return str(served.http.post("/app", json={"name": "shop"}).json()["id"])

    own, foreign = application(), application()
    texts: dict[str, str | None] = {
        "none": None,
        "read": served.make_key("read"),
        "write": served.make_key("write"),
        "publish": served.make_key("publish"),
        "own": served.make_key("write", app_id=own),
        "foreign": served.make_key("write", app_id=foreign),
        "expired": served.make_key("admin", expires_at=1),
        "portal": served.make_key(app_id=own, capabilities=(Capability.VIEW_BASE,)),
        "full portal": served.make_key(app_id=own, capabilities=tuple(Capability)),
    }
    clients = {kind: served.client(text) for kind, text in texts.items()}
    yield Keys(own, clients)
    for client in clients.values():
        client.close()


def ask(served: ServedGateway, keys: Keys, route: Route, kind: str) -> int:
    """Send a request that means nothing; return the status."""
    app_id = keys.app_id
    if route.name in FATAL and kind == "write":  # it may; the other keys need their application
        app_id = str(served.http.post("/app", json={"name": "to go"}).json()["id"])
    path = route.path.replace("{app_id}", app_id)
    for name in IDS:
        path = path.replace(f"{{{name}}}", NOWHERE)
    for name in ("sink_id", "consumer_id", "event_type_name"):
        path = path.replace(f"{{{name}}}", "nobody")
    if route.name == "authentication.logout" and "portal" in kind:
        return log_out(served, keys)
    if route.name == "live.stream":  # the guard comes first; what it lets pass would not end
        path += "?topics=nothing"
    body = None if route.method == "GET" else BODIES.get(route.name, b"{}")
    return keys.clients[kind].request(route.method, served.url + path, content=body).status_code


def log_out(served: ServedGateway, keys: Keys) -> int:
    """Ask with a token of its own: the others are still needed."""
    token = served.make_key(app_id=keys.app_id, capabilities=(Capability.VIEW_BASE,))
    with served.client(token) as client:
        return client.post("/auth/logout").status_code


def expected(route: Route, kind: str) -> set[int] | None:
    """Say which refusal must come; None when the guard lets it pass."""
    action, tenant = promised_action(route), promised_tenant(route)
    portal = CAPABILITIES.get(route.name)
    if kind in ("none", "expired"):
        return {401}
    allowed = {
        "read": action in (Action.READ, Action.EXPORT),
        "write": action is not Action.ADMIN,
        "publish": action is Action.PUBLISH,
        "own": action is not Action.ADMIN and tenant is not Tenant.OPERATOR,
        "foreign": action is not Action.ADMIN and tenant is not Tenant.OPERATOR,
        "portal": portal is Capability.VIEW_BASE,
        "full portal": portal is not None,
    }[kind]
    if not allowed:
        return {403}
    return {404} if kind == "foreign" and tenant is Tenant.APPLICATION else None


@pytest.mark.parametrize(
    "kind",
    ["none", "read", "write", "publish", "own", "foreign", "expired", "portal", "full portal"],
)
@by_name
def test_every_route_lets_in_whom_it_declares(
    served: ServedGateway, keys: Keys, route: Route, kind: str
) -> None:
    status = ask(served, keys, route, kind)
    wanted = expected(route, kind)
    if wanted is not None:
        assert status in wanted
    elif route.name != "authentication.logout":
        assert status not in (401, 403), "the guard should have let it pass"
    assert status < 500


def promised_resource(route: Route) -> str:
    """The resource in a scope is what the route is about, by the name in its path."""
    first, name = route.name.split(".")
    if route.name in RESENDS:
        return "attempt"
    if route.name == "message-attempt.expunge-content":
        return "message"  # who may erase a payload may erase what came back
    if first == "statistics":
        return COUNTED.get(name) or SINGULAR[name]
    if first in ("application-export", "import"):
        return "product" if name == "stock" else SINGULAR.get(name, name.removesuffix("s"))
    if first in ("overview", "export", "why"):
        nouns = (
            {"endpoint": "delivery", "message": "delivery", "standing": "endpoint"}
            if first == "why"
            else {}
        )
        return nouns.get(name, SINGULAR.get(name, name))
    return RENAMED.get(first, first)


def test_a_scope_of_one_resource_reaches_that_one_alone(served: ServedGateway, keys: Keys) -> None:
    """On every route: the scope of its resource is enough, those of all others are not."""
    resources = {promised_resource(route) for route in ROUTES}
    assert len(resources) > 15
    for resource in sorted(resources):
        others = [f"{other}:write" for other in sorted(resources - {resource})]
        scopes = {"read": [f"{resource}:read"], "write": [f"{resource}:write"], "others": others}
        clients = {
            kind: served.client(served.make_key(*named, app_id=keys.app_id))
            for kind, named in scopes.items()
        }
        for route in [route for route in ROUTES if promised_resource(route) == resource]:
            every = Keys(keys.app_id, clients)
            passes = {kind: ask(served, every, route, kind) != 403 for kind in clients}
            assert passes == may_pass(route), route.name
        for client in clients.values():
            client.close()


def may_pass(route: Route) -> dict[str, bool]:
    """Tell which scopes of keys that are bound to an application are enough for a route."""
    action, tenant = promised_action(route), promised_tenant(route)
    if route.name == "authentication.logout" or tenant is Tenant.OPERATOR:
        return {"read": False, "write": False, "others": False}
    reads = action in (Action.READ, Action.EXPORT)
    is_writing = reads or action in (Action.WRITE, Action.PUBLISH)
    return {"read": reads, "write": is_writing, "others": False}


def test_things_of_another_application_do_not_exist(served: ServedGateway, keys: Keys) -> None:
    """A key of one application, in its own path, with ids of another's things."""
    other = served.http.post("/app", json={"name": "other"}).json()["id"]
    body = {"url": served.receiver.url()}
    endpoint = served.http.post(f"/app/{other}/endpoint", json=body).json()["id"]
    sent = served.http.post(f"/app/{other}/msg", content=BODIES["message.create"]).json()["id"]
    attempt = served.wait_for_attempts(sent)[0]
    transaction = served.http.post(f"/app/{other}/transaction", json=BEGIN).json()["id"]
    ids = {
        "transaction_id": transaction,
        "endpoint_id": endpoint,
        "msg_id": sent,
        "attempt_id": attempt.id,
        "delivery_id": attempt.delivery_id,
    }
    asked = 0
    for route in ROUTES:
        if not any(f"{{{name}}}" in route.path for name in ids) or "{app_id}" not in route.path:
            continue
        path = route.path.format(app_id=keys.app_id, **ids)
        content = None if route.method == "GET" else b'{"url":"https://a.example/","reason":"r"}'
        answer = keys.clients["own"].request(route.method, served.url + path, content=content)
        assert answer.status_code in (404, 422), route
        assert sent not in answer.text
        asked += 1
    assert asked > 20
    queries = {"delivery": ids, f"attempt/msg/{sent}": {"endpoint_id": endpoint}}
    for path, query in queries.items():
        for name in set(query) & {"endpoint_id", "msg_id"}:
            answer = keys.clients["own"].get(
                f"/app/{keys.app_id}/{path}", params={name: query[name]}
            )
            assert answer.status_code == 404
    assert served.http.get(f"/app/{other}/endpoint/{endpoint}").status_code == 200


def test_the_reserved_application_answers_on_no_route_of_applications(
    served: ServedGateway, keys: Keys
) -> None:
    """Its endpoints have routes of their own; under `/app` it does not exist, even for admins."""
    body = {"url": served.receiver.url()}
    endpoint = served.http.post("/operational-webhook/endpoint", json=body).json()["id"]
    ids = defaultdict(lambda: NOWHERE, app_id="operational", endpoint_id=endpoint)
    asked = 0
    for route in ROUTES:
        if "{app_id}" not in route.path:
            continue
        path = served.url + route.path.format_map(ids)
        body_of_route = None if route.method == "GET" else BODIES.get(route.name, b"{}")
        for client in (served.http, keys.clients["write"], keys.clients["publish"]):
            answer = client.request(route.method, path, content=body_of_route)
            assert answer.status_code in (404, 403, 422), (route.name, answer.text)
            assert "whsec_" not in answer.text
            asked += 1
        assert served.http.request(route.method, path, content=body_of_route).status_code in (
            404,
            422,
        ), route.name
    assert asked > 200
    for path in ("/overview", "/endpoint", "/delivery"):
        answer = served.http.get(path, params={"app": "operational"})
        assert answer.status_code in (404, 422), path
    own = f"/operational-webhook/endpoint/{endpoint}"
    assert served.http.get(own).status_code == 200
    assert served.http.delete(own).status_code == 204


def test_a_portal_token_sends_the_sample_of_a_type_and_no_payload(
    served: ServedGateway, keys: Keys
) -> None:
    app = f"/app/{keys.app_id}"
    hook = served.receiver.url("/examples")
    endpoint = served.http.post(f"{app}/endpoint", json={"url": hook}).json()["id"]
    forged = {"eventType": "transaction.approved", "payload": {"id": "trx_1"}}
    portal = keys.clients["full portal"]
    assert portal.post(f"{app}/endpoint/{endpoint}/send-example", json=forged).status_code == 403
    sent = portal.post(
        f"{app}/endpoint/{endpoint}/send-example", json={"eventType": "transaction.approved"}
    )
    assert sent.status_code in (200, 202), sent.text
    served.wait_for_attempts(sent.json()["id"])
    (arrived,) = served.receiver.to("/examples")
    assert arrived.header("tillbell-example") == "true"
    assert sent.json()["tags"] == ["tillbell-example"]
    polled = served.http.get(f"{app}/poller/erp").json()["data"]
    assert sent.json()["id"] not in [message["id"] for message in polled]
    body = {"eventType": "order.paid", "payload": {}, "tags": ["tillbell-example"]}
    assert served.http.post(f"{app}/msg", json=body).status_code == 422


def test_only_keys_of_the_installation_take_a_providers_shared_url(
    served: ServedGateway, keys: Keys
) -> None:
    path = f"/app/{keys.app_id}/source"
    body = {"name": "x", "provider": "kopa", "default": True}
    assert keys.clients["own"].post(path, json=body).status_code == 403
    made = keys.clients["own"].post(path, json={**body, "default": False})
    assert made.status_code == 201, made.text
    one = f"{path}/{made.json()['id']}"
    assert keys.clients["own"].patch(one, json={"default": True}).status_code == 403
    assert keys.clients["write"].patch(one, json={"default": True}).status_code == 200
    assert keys.clients["own"].delete(one).status_code == 204


def test_a_scope_of_one_resource_is_for_that_one_only(served: ServedGateway, keys: Keys) -> None:
    with served.client(served.make_key("endpoint:read", "message:write")) as client:
        app = f"/app/{keys.app_id}"
        assert client.get(f"{app}/endpoint").status_code == 200
        assert client.post(f"{app}/endpoint", json={}).status_code == 403
        assert client.get(f"{app}/msg").status_code == 200
        assert client.get(f"{app}/delivery").status_code == 403


def test_a_signing_secret_is_not_for_read_keys(served: ServedGateway, keys: Keys) -> None:
    body = {"url": "https://example.com/hook"}
    made = served.http.post(f"/app/{keys.app_id}/endpoint", json=body).json()
    path = f"/app/{keys.app_id}/endpoint/{made['id']}"
    assert keys.clients["read"].get(path).status_code == 200
    assert keys.clients["read"].get(f"{path}/secret").status_code == 403


@pytest.mark.parametrize(
    "spoil",
    [
        lambda text: f"Bearer {text[:-1]}",
        lambda text: f"Bearer {text.swapcase()}",
        lambda text: f"Bearer  {text}",
        lambda text: f"Bearer {text}x",
        lambda text: f"Basic {text}",
        lambda text: text,
        lambda text: "Bearer " + "a" * 4000,
    ],
    ids=["truncated", "other case", "padded", "longer", "basic", "bare", "huge"],
)
def test_a_spoilt_key_is_no_key(served: ServedGateway, spoil: object) -> None:
    with served.client(None) as client:
        headers = {"authorization": spoil(served.key)}  # type: ignore[operator]
        refused = client.get("/app", headers=headers)
    assert refused.status_code == 401
    assert refused.json()["code"] == "authentication_failed"


def test_a_key_in_the_query_is_no_key(served: ServedGateway) -> None:
    with served.client(None) as client:
        assert client.get("/app", params={"api_key": served.key}).status_code == 401


def test_without_a_key_nobody_learns_which_paths_exist(served: ServedGateway) -> None:
    with served.client(None) as client:
        assert client.get("/no-such-thing").status_code == client.get("/app").status_code == 401


def test_a_revoked_key_stops_at_once_and_is_not_revived_by_its_use(served: ServedGateway) -> None:
    made = served.http.post("/key", json={"name": "k", "scopes": ["read"]}).json()
    with served.client(made["key"]) as client:
        assert client.get("/event-type").status_code == 200
        assert served.http.get(f"/key/{made['id']}").json()["lastUsedAt"] is not None
        assert served.http.delete(f"/key/{made['id']}").status_code == 204
        assert client.get("/event-type").status_code == 401
    assert served.http.get(f"/key/{made['id']}").status_code == 404


def test_a_key_is_shown_once_and_kept_as_a_hash(served: ServedGateway) -> None:
    body = {"name": "till", "scopes": ["publish"], "expiresAt": "2099-01-01T00:00:00Z"}
    made = served.http.post("/key", json=body).json()
    assert made["key"].startswith("tb_")
    shown = served.http.get("/key", params={"limit": 250}).json()["data"]
    assert [k for k in shown if k["id"] == made["id"]] == [
        {name: value for name, value in made.items() if name != "key"}
    ]

    async def stored() -> list[ApiKey]:
        return await served.gateway.config_cache.read_all(ApiKey)

    assert made["key"] not in str(served.do(stored()))


def test_the_operational_scope_is_no_application(served: ServedGateway) -> None:
    assert served.http.get("/app/operational").status_code == 404
    assert served.http.delete("/app/operational").status_code == 404
    refused = served.http.post("/app", json={"name": "x", "uid": "operational"})
    assert refused.status_code == 422


def test_no_answer_allows_another_origin(served: ServedGateway) -> None:
    for origin in ("null", "https://evil.example"):
        answer = served.http.get("/app", headers={"origin": origin})
        assert not [name for name in answer.headers if name.startswith("access-control")]


def test_an_admin_key_of_the_settings_that_is_replaced_or_removed_is_logged(
    served: ServedGateway, capfd: pytest.CaptureFixture[str]
) -> None:
    def start_with(key: str | None) -> list[str]:
        served.do(served.gateway.api_keys.ensure_admin(key))
        lines = [json.loads(line) for line in capfd.readouterr().err.splitlines()]
        told = [line for line in lines if line["event"].startswith("admin_key.")]
        assert all(line["level"] == "warning" for line in told)
        return [line["event"] for line in told]

    first, second = "configured-key-0001", "configured-key-0002"
    assert start_with(first) == []
    assert start_with(second) == ["admin_key.replaced"]
    assert start_with(None) == ["admin_key.removed"]
    for key in (first, second):
        with served.client(key) as client:
            assert client.get("/app").status_code == 401
