"""A tour of the whole API on the real program: it makes the examples of the OpenAPI document.

`python -m tests.web.tour` writes `src/tillbell/web/api/examples.json`; `test_examples.py` makes the
tour again and compares. What differs from run to run (ids, times, secrets, ports) is replaced.
"""

from __future__ import annotations

import itertools
import json
import re
import sys
import tempfile
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx

from tests.web.document import written_document
from tests.web.served_gateway import ServedGateway
from tillbell.configure.people import Visitor
from tillbell.deliver.resend import RECOVER
from tillbell.model.records import Task, TaskStatus
from tillbell.providers import PROVIDERS
from tillbell.providers.kit.base import SourceSetup
from tillbell.providers.kit.cases import samples
from tillbell.web.api import examples

FILE = Path(examples.__file__).with_name("examples.json")
BASE = "/api/v1"
WHY = {"reason": "Asked by the customer, ticket 4711."}
PAID = {"eventType": "order.paid", "payload": {"id": "ORD-1001", "total": "49.90"}}

_ID = re.compile(r"\b([a-z]+)_(0[0-9a-z]{25,})\b")
_TIME = re.compile(r"(\d{4}-\d\d-\d\d)T\d\d:\d\d:\d\d(\.\d+)?(?:Z|\+00:00)")
_SECRETS = (
    (re.compile(r"whsec_[A-Za-z0-9+/=]+"), "whsec_ZXhhbXBsZS1zZWNyZXQtZXhhbXBsZS1zZWNyZXQ="),
    (re.compile(r"\btb_[A-Za-z0-9_-]+"), "tb_EXAMPLE0000000000000000000000000000000000"),
    (re.compile(r"/setup/[A-Za-z0-9_-]{43}"), "/setup/EXAMPLETOKEN00000000000"),
    (re.compile(r"/export-link/[A-Za-z0-9_.-]+/"), "/export-link/EXAMPLETOKEN00000000000/"),
    (re.compile(r"t=\d{10},v1=[0-9a-f]{64}"), f"t=1780306200,v1={'0' * 64}"),
    (re.compile(r"(/api/webhooks/[a-z0-9-]+/)[A-Za-z0-9_-]+"), r"\1EXAMPLETOKEN00000000000"),
    (re.compile(r"(/inbox/)(?!inb_)[A-Za-z0-9_-]{32}"), r"\1EXAMPLETOKEN000000000000000000000"),
)
# Members whose value is another one each time, and what the examples show.
_VARYING = {
    "responseDurationMs": 38,
    "last4": "0000",
    "hash": "9f2b41c07d6a58e3" * 4,
    "phases": {
        "wait": 1.2,
        "name": 2.1,
        "connect": 8.4,
        "tls": 12.6,
        "firstByte": 14.6,
        "read": 0.3,
    },
    "requestId": "req_1f0c2b7de4a95c3380b6d1aa",
    "p95Ms": 38.2,
    "p50": 38.2,
    "p95": 112.5,
    "p99": 180.7,
    "token": "EXAMPLETOKEN00000000000",
    "webhook-timestamp": "1780306200",
    "webhook-signature": "v1,K5oZfzN95Z9UVu1EsfQmfVNQhnkZ2pj9o9NDN/H/pI4=",
}


class Tour:
    """Asks, and remembers the first answer of each status of each operation."""

    def __init__(self, served: ServedGateway) -> None:
        self.served = served
        self.operations = [
            (method.upper(), re.compile(re.sub(r"\{(\w+)\}", r"(?P<\1>[^/]+)", path)), operation)
            for path, item in written_document()["paths"].items()
            for method, operation in item.items()
        ]
        self.examples: dict[str, Any] = {}
        self.errors: dict[str, Any] = {}
        self._numbers: dict[str, dict[str, int]] = {}
        self._requests = itertools.count(1)
        self.secrets: set[str] = set()  # that were answered
        self.asked: dict[str, list[str]] = {}  # ids of the requests of each operation

    def ask(self, method: str, path: str, body: Any = None, **more: Any) -> Any:
        """Make a request that must succeed; return its answer."""
        http: httpx.Client = more.pop("http", self.served.http)
        url = path if path.startswith("/v1") else BASE + path
        headers = more.pop("headers", {}) | {"x-request-id": f"tour-{next(self._requests)}"}
        answer = http.request(method, self.served.url + url, json=body, headers=headers, **more)
        assert answer.is_success, (method, path, answer.text)
        is_json = answer.headers.get("content-type") == "application/json"
        shown = answer.json() if answer.content and is_json else None
        name, parameters = self._operation(method, url)
        self.secrets |= {
            secret for pattern, _ in _SECRETS[:2] for secret in pattern.findall(answer.text)
        }
        self.asked.setdefault(name, []).append(headers["x-request-id"])
        example = self.examples.setdefault(name, {"parameters": {}, "responses": {}})
        example["parameters"] |= self.plain({**parameters, **more.get("params", {})})
        if body is not None:
            example.setdefault("request", self.plain(body))
        if shown is not None:
            status = str(answer.status_code)
            example["responses"].setdefault(status, self.plain(shortened(shown)))
        return shown

    def changes(self, operation: str) -> bool:
        """Tell whether an operation is there to change something."""
        methods = [verb for verb, _, known in self.operations if known["operationId"] == operation]
        return methods != ["GET"]

    def refuse(self, status: int, method: str, path: str, **more: Any) -> None:
        """Make a request that must be refused with this status."""
        http: httpx.Client = more.pop("http", self.served.http)
        answer = http.request(method, self.served.url + BASE + path, **more)
        assert answer.status_code == status, answer.text
        shown = {**answer.json(), "requestId": "req_1f0c2b7de4a95c3380b6d1aa"}
        self.errors[str(status)] = self.plain(shown)

    def _operation(self, method: str, path: str) -> tuple[str, dict[str, str]]:
        fitting = [
            (pattern.fullmatch(path), operation["operationId"])
            for verb, pattern, operation in self.operations
            if verb == method
        ]
        matches = [(match.groupdict(), name) for match, name in fitting if match]
        assert matches, (method, path)
        parameters, name = min(matches, key=lambda match: len(match[0]))
        return name, parameters

    def plain(self, value: Any, name: str = "") -> Any:
        """Replace what differs from run to run."""
        if name in _VARYING and value is not None:
            return _VARYING[name]
        if isinstance(value, dict):
            return {self._plain_text(key): self.plain(item, key) for key, item in value.items()}
        if isinstance(value, list):
            return [self.plain(item) for item in value]
        return self._plain_text(value) if isinstance(value, str) else value

    def _plain_text(self, text: str) -> str:
        for pattern, instead in _SECRETS:
            text = pattern.sub(instead, text)
        text = text.replace(self.served.receiver.url("").rstrip("/"), "https://erp.example")
        text = text.replace(self.served.url.partition("//")[2], "127.0.0.1:8420")
        text = _TIME.sub(_plain_time, text)
        return _ID.sub(self._plain_id, text)

    def _plain_id(self, match: re.Match[str]) -> str:
        prefix, rest = match.groups()
        numbers = self._numbers.setdefault(prefix, {})
        number = numbers.setdefault(rest, len(numbers) + 1)
        return f"{prefix}_01k2{number:0{len(rest) - 4}}"


def _plain_time(match: re.Match[str]) -> str:
    day = datetime.fromisoformat(match[1]).replace(tzinfo=UTC)
    if abs(day - datetime.now(UTC)) > timedelta(days=40):
        return match[0]  # a sample's own
    return "2026-06-01T09:30:00" + (".000000" if match[2] else "") + "Z"


def shortened(shown: Any) -> Any:
    """Cut long lists: two items show what the others are like."""
    if isinstance(shown, list):
        return shown[:2]
    if isinstance(shown, dict) and isinstance(shown.get("data"), list):
        return {**shown, "data": shown["data"][:2]}
    return shown


def make_tour(served: ServedGateway) -> Tour:
    """Ask for everything at least once."""
    tour = Tour(served)
    visit_all(tour)
    return tour


def visit_all(tour: Tour) -> None:
    """Ask for everything at least once, on a tour that has not begun."""
    _messages(tour)
    _plots(tour)
    _polls(tour)
    _configuration(tour)
    _callbacks(tour)
    _money(tour)
    _operators(tour)
    _inboxes(tour)
    _refusals(tour)
    _endings(tour)


def examples_of(tour: Tour) -> dict[str, Any]:
    """Return the examples: `operations` by id, `errors` by status."""
    return {"operations": dict(sorted(tour.examples.items())), "errors": tour.errors}


def _messages(tour: Tour) -> None:
    ask = tour.ask
    ask("GET", "/health")
    ask("GET", "/health/ping")
    ask("POST", "/app", {"name": "My shop", "uid": "shop"})
    ask("POST", "/app", {"name": "My shop", "uid": "shop"}, params={"get_if_exists": True})
    ask("PUT", "/app/shop", {"name": "My shop", "uid": "shop"})
    ask("PUT", "/app/shop-2", {"name": "My second shop", "uid": "shop-2"})
    ask("PATCH", "/app/shop", {"metadata": {"plan": "gold"}})
    ask("GET", "/app")
    ask("GET", "/app/shop")
    address = tour.served.receiver.url("/hooks")
    wanted = {"url": address, "uid": "erp", "filterTypes": ["order.*", "transaction.*"]}
    ask("POST", "/app/shop/endpoint", {**wanted, "description": "The ERP"})
    ask("PUT", "/app/shop/endpoint/erp", {**wanted, "description": "The ERP"})
    ask("PUT", "/app/shop/endpoint/crm", {"url": address + "/crm", "uid": "crm", "disabled": True})
    large = {"currency": "EUR", "amount": {"$gte": 100}}
    ask("PATCH", "/app/shop/endpoint/crm", {"filter": large})
    ask("PATCH", "/app/shop/endpoint/erp", {"maxConcurrency": 5})
    ask("GET", "/app/shop/endpoint/erp")
    sent = ask("POST", "/app/shop/msg", {**PAID, "eventId": "evt-1001"})
    (attempt,) = tour.served.wait_for_attempts(sent["id"])
    ask("GET", "/app/shop/msg", params={"event_types": ["order.paid"]})
    ask("GET", "/app/shop/msg/evt-1001")
    ask("GET", "/app/shop/msg/evt-1001/endpoint")
    ask("GET", "/app/shop/msg/evt-1001/why")
    ask("GET", "/app/shop/msg/evt-1001/endpoint/erp/why")
    ask("POST", "/app/shop/msg/precheck/active", {"eventType": "order.paid"})
    ask("GET", "/app/shop/attempt/endpoint/erp", params={"limit": 1})
    ask("GET", "/app/shop/attempt/msg/evt-1001")
    ask("GET", "/app/shop/msg/evt-1001/attempt")
    ask("GET", "/app/shop/msg/evt-1001/endpoint/erp/attempt")
    ask("GET", "/app/shop/endpoint/erp/msg")
    ask("GET", f"/app/shop/msg/evt-1001/attempt/{attempt.id}")
    ask("GET", "/app/shop/delivery", params={"endpoint_id": "erp"})
    ask("GET", f"/app/shop/delivery/{attempt.delivery_id}")
    _cancels_and_edits(tour)
    ask("POST", "/app/shop/msg/evt-1001/endpoint/erp/resend")
    tour.served.wait_for_attempts(sent["id"], 2)
    _endpoints(tour)


def _cancels_and_edits(tour: Tour) -> None:
    ask = tour.ask
    later = (datetime.now(UTC) + timedelta(hours=1)).isoformat()
    delayed = ask("POST", "/app/shop/msg", {**PAID, "eventId": "evt-1002", "deliverAt": later})
    waiting = ask("GET", "/app/shop/delivery", params={"msg_id": delayed["id"]})["data"][0]
    ask("POST", f"/app/shop/delivery/{waiting['id']}/cancel")
    edited = {"payload": '{"id": "ORD-1001", "total": "59.90"}'}
    ask("POST", "/app/shop/msg/evt-1001/endpoint/erp/send-edited", edited)


def _endpoints(tour: Tour) -> None:
    ask = tour.ask
    ask("GET", "/app/shop/endpoint", params={"order": "ascending"})
    ask("GET", "/app/shop/endpoint/erp/why")
    ask("GET", "/app/shop/endpoint/erp/stats")
    ask("GET", "/app/shop/endpoint/erp/attempt-stats")
    ask("GET", "/filter/completion", params={"list": "delivery", "filter": "status:f"})


def _paused_task(tour: Tour) -> str:
    """Store a task that somebody has paused, and return its id."""
    gateway = tour.served.gateway

    async def store() -> str:
        app = await gateway.config_cache.application("shop")
        assert app is not None
        now = gateway.clock.now()
        arguments = {"app_id": app.id, "endpoint_id": "ep_gone", "since": 0, "until": now}
        task = Task(
            id=gateway.ids.new("qtask", now),
            scope=app.id,
            created_at=now,
            updated_at=now,
            kind=RECOVER,
            status=TaskStatus.PAUSED,
            arguments=arguments,
        )
        await gateway.config_cache.add(task)
        return task.id

    return tour.served.do(store())


def _plots(tour: Tour) -> None:
    ask = tour.ask
    for plot in ("attempt", "response-time", "pending", "attempts-needed", "endpoint", "marker"):
        ask("GET", f"/statistics/{plot}", params={"app": "shop", "endpoint": "erp"})
    ask("GET", "/statistics/event-type", params={"app": "shop"})


def _polls(tour: Tour) -> None:
    ask = tour.ask
    ask("GET", "/app/shop/poller/accounting")
    ask("GET", "/app/shop/poller/accounting/consumer/importer")
    seek = {"after": "2026-05-01T00:00:00Z"}
    ask("POST", "/app/shop/poller/accounting/consumer/importer/seek", seek)


def _configuration(tour: Tour) -> None:
    ask = tour.ask
    for path in ("/app/shop/endpoint/erp", "/operational-webhook/endpoint/ops"):
        if path.endswith("ops"):
            wanted = {"url": tour.served.receiver.url("/ops"), "uid": "ops"}
            ask("POST", "/operational-webhook/endpoint", wanted)
            ask("PUT", path, wanted)
            ask("PUT", path + "-2", {**wanted, "uid": "ops-2"})
            ask("PATCH", path, {"description": "The team on duty"})
            ask("GET", path)
            ask("GET", "/operational-webhook/endpoint", params={"order": "ascending"})
        ask("PUT", f"{path}/headers", {"headers": {"X-Team": "erp"}})
        ask("GET", f"{path}/headers")
        ask("GET", f"{path}/secret")
        ask("POST", f"{path}/secret/rotate", {"gracePeriodSeconds": 3600})
    changes = {"headers": {"X-Team": "billing"}, "deleteHeaders": ["X-Old"]}
    ask("PATCH", "/app/shop/endpoint/erp/headers", changes)
    text = "A customer collected enough points."
    schema = {"1": {"type": "object", "properties": {"points": {"type": "integer"}}}}
    created = {"name": "loyalty.reached", "description": text, "schemas": schema}
    ask("POST", "/event-type", created)
    ask("PUT", "/event-type/loyalty.reached", {"description": text, "schemas": schema})
    ask("PUT", "/event-type/loyalty.lost", {"description": "Points have expired."})
    ask("PATCH", "/event-type/loyalty.reached", {"deprecated": True})
    ask("GET", "/event-type/loyalty.reached")
    ask("GET", "/event-type", params={"with_content": True, "order": "ascending"})
    ask("GET", "/event-type/catalog")
    document = ask("GET", "/event-type/export/openapi")
    ask("POST", "/event-type/import/openapi", {"spec": document, "dryRun": True})
    left = "webhooks: {loyalty.left: {post: {description: Somebody has left.}}}"
    ask("POST", "/event-type/import/openapi", {"specRaw": left})
    example = {"eventType": "order.paid"}
    ask("POST", "/app/shop/endpoint/erp/preview", example)
    sent = ask("POST", "/app/shop/endpoint/erp/send-example", example)
    tour.served.wait_for_attempts(sent["id"])
    ask("DELETE", "/event-type/loyalty.lost")


NEWEST = {"limit": 1, "order": "descending"}
SECRETS = {
    "stripe": "whsec_C2FVsBQIhrscChlQIMVb5sSYspob7oD0",
    "resend": "whsec_C2FVsBQIhrscChlQIMVb5sSYspob7oD0",
    "dexpress": "passcode-1001",
}


def _sent(tour: Tour, provider: str, case: str, **fields: Any) -> str:
    """Send a callback as the provider would, with these fields; return its id."""
    url = tour.ask("GET", f"/app/shop/source/{provider}")["url"]
    sample = samples(provider)[case].case
    sample = sample._replace(
        id=f"evt_{len(tour.examples)}",
        at=tour.served.gateway.clock.now(),
        fields={**sample.fields, **fields},
    )
    signed = PROVIDERS[provider].sign(sample, SourceSetup((SECRETS[provider],), {}), url)
    target = tour.served.url + signed.target
    answer = httpx.request(
        signed.method, target, content=signed.body, headers=list(signed.headers), verify=False
    )
    assert answer.is_success, answer.text
    tour.served.wait_for_callbacks()
    (latest,) = tour.ask("GET", "/app/shop/callback", params=NEWEST)["data"]
    _await_attempts(tour, latest["messageIds"])
    return str(latest["id"])


def _await_attempts(tour: Tour, message_ids: list[str]) -> None:
    """Wait until each message was tried at each of its endpoints, unless it was canceled."""
    for message in message_ids:
        shown = tour.served.http.get(f"/app/shop/msg/{message}/endpoint").json()
        tried = [each for each in shown["data"] if each["statusText"] != "canceled"]
        if tried:
            tour.served.wait_for_attempts(message, len(tried))


def _callbacks(tour: Tour) -> None:
    ask = tour.ask
    for provider, secret in SECRETS.items():
        source = {"name": f"Our {provider}", "provider": provider, "uid": provider}
        ask("POST", "/app/shop/source", {**source, "secrets": [secret]})
    ask("PATCH", "/app/shop/source/stripe", {"metadata": {"account": "main"}})
    ask("GET", "/app/shop/source/stripe")
    ask("GET", "/app/shop/source", params={"order": "ascending"})
    wanted = {"direction": "pay_in", "amount": "49.90", "currency": "EUR", "orderId": "ORD-1001"}
    wanted |= {"uid": "pay-1001", "sourceId": "stripe", "pspTransactionId": "pi_3Nf001"}
    ask("POST", "/app/shop/transaction", {**wanted, "userId": "ada"})
    ask("POST", "/app/shop/transaction", {**wanted, "userId": "ada"})
    ask("POST", "/app/shop/source/stripe/test", {"case": "approved"})
    ask("POST", "/app/shop/source/stripe/test", {"case": "cancelled", "dryRun": False})
    callback = _sent(tour, "stripe", "approved")
    ask("GET", "/app/shop/callback", params={"outcome": ["applied"]})
    ask("GET", f"/app/shop/callback/{callback}")
    ask("POST", f"/app/shop/callback/{callback}/replay", {"dryRun": True})
    ask("POST", f"/app/shop/callback/{callback}/replay")
    ask("POST", "/app/shop/callback/replay", {"provider": "stripe", "dryRun": True})
    task = ask("POST", "/app/shop/callback/replay", {"outcomes": ["unmatched"]})["taskId"]
    tour.served.wait_for_task(task)
    _sent(tour, "dexpress", "delivered")
    _records(tour)
    ask("GET", "/app/shop/shipment")
    ask("GET", "/app/shop/shipment/dexpress:TT0000000001")
    _sent(tour, "resend", "bounced")
    (email,) = ask("GET", "/app/shop/email")["data"]
    ask("GET", f"/app/shop/email/{email['id']}")
    ask("GET", "/app/shop/suppression")
    ask("GET", "/app/shop/suppression/ada@example.com")
    ask("DELETE", "/app/shop/suppression/ada@example.com")
    ask("GET", "/provider/dexpress")
    ask("GET", "/provider")


def _product_webhooks(tour: Tour) -> None:
    ask = tour.ask
    hook = {"url": tour.served.receiver.url("/zenofy"), "secret": "shop-secret-1"}
    ask("PUT", "/app/shop/product-webhook", hook)
    ask("GET", "/app/shop/product-webhook")
    ask("PUT", "/app/shop/product/course/webhook", {**hook, "ownLinesOnly": True})
    ask("GET", "/app/shop/product/course/webhook")
    ask("DELETE", "/app/shop/product/course/webhook")
    ask("DELETE", "/app/shop/product-webhook")


def _records(tour: Tour) -> None:
    ask = tour.ask
    buyer = {"id": "cus-1001", "name": "Ada Lovelace", "email": "ada@example.com"}
    price = {"price": "49.90", "currency": "EUR"}
    ask("PUT", "/app/shop/product/course", {"name": "Starter course", **price, "stock": 5})
    ask("PUT", "/app/shop/product/course", {"name": "Starter course", **price, "stock": 5})
    ask("PATCH", "/app/shop/product/course", {"stock": 4})
    consent = {"isGiven": True, "source": "checkout", "at": "2026-05-01T08:29:00Z"}
    customer = {"name": buyer["name"], "email": buyer["email"], "consent": consent}
    ask("PUT", "/app/shop/customer/cus-1001", customer)
    ask("PUT", "/app/shop/customer/cus-1001", customer)
    ask("PATCH", "/app/shop/customer/cus-1001", {"phoneNumber": "+258840000000"})
    line: dict[str, Any] = {"productId": "course", "quantity": 1}
    line |= {"productName": "Starter course", "unitPrice": "49.90", "totalPrice": "49.90"}
    order: dict[str, Any] = {
        "number": "1001",
        "amount": "49.90",
        "currency": "EUR",
        "customer": buyer,
    }
    order |= {"createdAt": "2026-05-01T08:30:00Z", "items": [line]}
    ask("PUT", "/app/shop/order/ORD-2001", order)
    ask("PUT", "/app/shop/order/ORD-2001", order)
    ask("PATCH", "/app/shop/order/ORD-2001", {"affiliateId": "partner-7"})
    _product_webhooks(tour)
    _subscriptions_and_parcels(tour, buyer)
    for path, uid in (
        ("product", "course"),
        ("customer", "cus-1001"),
        ("order", "ORD-2001"),
        ("subscription", "box-1001"),
    ):
        _await_attempts(tour, [m["id"] for m in ask("GET", "/app/shop/msg")["data"]])
        ask("GET", f"/app/shop/{path}", params={"limit": 1})
        ask("GET", f"/app/shop/{path}/{uid}")
    _tables(tour)
    ask("DELETE", "/app/shop/product/course")
    ask("DELETE", "/app/shop/customer/cus-1001")
    also = {"also": ["ada.byron@example.com"]}
    tour.served.wait_for_task(ask("POST", "/app/shop/customer/cus-1001/erase", also)["id"])


def _many(tour: Tour) -> None:
    priced = {"amount": "49.90", "currency": "EUR"}
    for path, named in (
        ("order", {"uid": "ORD-2002", "number": "1002", **priced}),
        (
            "product",
            {"uid": "course-2", "name": "Advanced course", "price": "49.90", "currency": "EUR"},
        ),
        ("customer", {"uid": "cus-1002", "name": "Grace Hopper", "email": "grace@example.com"}),
        ("subscription", {"uid": "box-1002", "plan": "Monthly box", "status": "active", **priced}),
    ):
        tour.ask("PUT", f"/app/shop/{path}", {"data": [named]})


def _subscriptions_and_parcels(tour: Tour, buyer: dict[str, str]) -> None:
    _many(tour)
    ask = tour.ask
    box: dict[str, Any] = {
        "plan": "Monthly box",
        "amount": "29.99",
        "currency": "EUR",
        "status": "active",
    }
    box |= {"interval": "month", "intervalCount": 1, "currentPeriodEnd": "2026-06-01T00:00:00Z"}
    ask("PUT", "/app/shop/subscription/box-1001", {**box, "customer": buyer})
    ask("PUT", "/app/shop/subscription/box-1001", {**box, "customer": buyer})
    ask("PATCH", "/app/shop/subscription/box-1001", {"currentPeriodEnd": "2026-07-01T00:00:00Z"})
    parcel = {"carrier": "dhl", "trackingNumber": "00340434292135100186"}
    ask("PUT", "/app/shop/shipment/parcel-1001", {**parcel, "orderId": "ORD-2001"})
    ask("PUT", "/app/shop/shipment/parcel-1001", {**parcel, "orderId": "ORD-2001"})
    ask("PATCH", "/app/shop/shipment/parcel-1001", {"status": "in_transit"})


def _money(tour: Tour) -> None:
    ask = tour.ask
    ask("GET", "/app/shop/transaction", params={"user_id": "ada"})
    ask("GET", "/app/shop/transaction/pay-1001")
    ask("GET", "/app/shop/transaction/pay-1001/why")
    resent = ask("POST", "/app/shop/transaction/pay-1001/resend", WHY)
    tour.served.wait_for_attempts(resent["messageId"], 2)
    ask("POST", "/app/shop/transaction/pay-1001/reverse", {**WHY, "amount": "10.00"})
    expected = {**WHY, "amount": "5.00", "withinDays": 7}
    ask("POST", "/app/shop/transaction/pay-1001/expect-refund", expected)
    wanted = {"direction": "pay_out", "amount": "20.00", "currency": "EUR", "reserve": True}
    for uid in ("out-1", "out-2", "out-3"):
        ask("POST", "/app/shop/transaction", {**wanted, "uid": uid})
    ask("POST", "/app/shop/transaction/out-1/hold", WHY)
    ask("POST", "/app/shop/transaction/out-1/release", WHY)
    ask("POST", "/app/shop/transaction/out-1/approve", WHY)
    ask("POST", "/app/shop/transaction/out-2/reject", WHY)
    ask("POST", "/app/shop/transaction/out-3/cancel", WHY)
    for number in (2, 3):
        uid, psp = f"pay-100{number}", f"pi_3Nf00{number}"
        wanted = {"direction": "pay_in", "amount": "59.90", "currency": "EUR", "uid": uid}
        ask("POST", "/app/shop/transaction", {**wanted, "pspTransactionId": psp})
        # Another amount than was asked for: a person decides.
        _sent(tour, "stripe", "approved", **_intent(psp))
    first, second = ask("GET", "/app/shop/conflict", params={"open": True})["data"]
    ask("GET", f"/app/shop/conflict/{first['id']}")
    ask("POST", f"/app/shop/conflict/{first['id']}/keep", WHY)
    ask("POST", f"/app/shop/conflict/{second['id']}/accept", WHY)
    ask("GET", "/app/shop/audit")
    ask("GET", "/audit/head")
    ask("GET", "/audit/verify")
    ask("GET", "/statistics/callback", params={"app": "shop"})
    ask("GET", "/statistics/amount", params={"app": "shop"})
    wanted = {"pspType": "FORUMPAY", "type": "PAYIN", "baseamount": "25.00", "currency": "EUR"}
    headers = {"x-application": "shop"}
    ask("POST", "/v1/api/mozarto/cashier", {**wanted, "userId": "ada"}, headers=headers)


def _intent(psp_transaction_id: str) -> dict[str, Any]:
    intent = {"id": psp_transaction_id, "object": "payment_intent", "amount": 4990}
    intent |= {"amount_received": 4990, "currency": "eur", "status": "succeeded"}
    return {"id": f"evt_{psp_transaction_id}", "data": {"object": intent}}


def _give_factor_and_identity(tour: Tour, person_id: str) -> None:
    """Let a person need a code, and have come by an identity provider."""
    gateway = tour.served.gateway

    async def give() -> None:
        person = await gateway.database.person(person_id)
        assert person is not None
        factored = person._replace(totp_secret="sealed", oidc_id="https://id.example 7")
        await gateway.database.change_person(person, factored, gateway.clock.now(), [])

    tour.served.do(give())


def _accept_invitation(tour: Tour, link: str) -> None:
    """Let a person begin a session."""
    people, token = tour.served.gateway.people, link.rpartition("/")[2]
    password = "four words nobody joins"
    tour.served.do(people.accept_invitation(token, "Grace", password, Visitor("127.0.0.1")))


def _tables(tour: Tour) -> None:
    ask = tour.ask
    for kind, file in (
        ("orders", "uid,amount,currency\r\nORD-2002,20.00,EUR\r\n"),
        ("products", "uid,name,price,currency\r\ncourse,Starter course,149.99,EUR\r\n"),
        ("stock", "uid,stock\r\ncourse,12\r\n"),
        ("customers", "uid,name,tags\r\ncus-2,Grace Hopper,newsletter\r\n"),
        ("subscriptions", "uid,plan,amount,currency\r\nsub-2,Monthly box,29.99,EUR\r\n"),
    ):
        csv = {"headers": {"content-type": "text/csv"}, "content": file}
        ask("POST", f"/app/shop/import/{kind}", params={"onError": "stop"}, **csv)
    for kind in (
        *("orders", "products", "customers", "subscriptions", "shipments", "messages"),
        *("deliveries", "attempts", "callbacks", "transactions", "conflicts", "audit"),
    ):
        ask("GET", f"/app/shop/export/{kind}", params={"filter": "since:24h", "format": "csv"})
    sheet = {"name": "Orders of today", "kind": "orders", "filter": "since:24h"}
    link = ask("POST", "/app/shop/export-link", sheet)
    ask("GET", "/app/shop/export-link")
    ask("DELETE", f"/app/shop/export-link/{link['id']}")
    daily = {"name": "Stock, every morning", "kind": "products", "hour": 6, "target": "message"}
    schedule = ask("POST", "/app/shop/export-schedule", daily)
    ask("GET", "/app/shop/export-schedule")
    ask("DELETE", f"/app/shop/export-schedule/{schedule['id']}")


def _operators(tour: Tour) -> None:
    ask = tour.ask
    messages = tour.served.http.get("/app/shop/msg", params={"limit": 250}).json()["data"]
    _await_attempts(tour, [message["id"] for message in messages])
    for kind in (
        *("message", "endpoint", "delivery", "attempt", "callback", "transaction", "conflict"),
        "audit",
    ):
        ask("GET", f"/{kind}", params={"limit": 1})
        if kind != "endpoint":
            ask("GET", f"/export/{kind}", params={"filter": "since:24h", "format": "csv"})
    ask("GET", "/problem")
    ask("GET", "/search", params={"q": "evt-1001"})
    ask("GET", "/setting")
    ask("GET", "/hold")
    ask("POST", "/hold/release")
    ask("POST", "/reseal")
    key = ask("POST", "/key", {"name": "Shop backend", "scopes": ["publish"], "appId": "shop"})
    ask("GET", f"/key/{key['id']}")
    ask("GET", "/key", params={"limit": 2})
    ask("DELETE", f"/key/{key['id']}")
    person = ask("POST", "/person", {"email": "ops@shop.example", "appRoles": {"shop": "operator"}})
    one = f"/person/{person['id']}"
    ask("GET", one)
    ask("GET", "/person", params={"limit": 2})
    ask("PATCH", one, {"role": "viewer"})
    _give_factor_and_identity(tour, person["id"])
    ask("POST", f"{one}/reset-totp")
    ask("POST", f"{one}/unlink-identity")
    _accept_invitation(tour, ask("POST", f"{one}/link")["link"])
    ask("POST", f"{one}/sign-out")
    ask("DELETE", one)
    body = {"readOnly": True, "sessionId": "ada", "theme": {"accent": "#0a7ea4", "mode": "light"}}
    portal = ask("POST", "/auth/app-portal-access/shop", body)
    with tour.served.client(portal["token"]) as visitor:
        ask("POST", "/auth/logout", http=visitor)
    ask("POST", "/auth/dashboard-access/shop")
    ask("POST", "/auth/app-portal-access/shop", {"readOnly": True, "sessionId": "ada"})
    ask("POST", "/auth/app/shop/expire-all", {"sessionIds": ["ada"]})
    _tasks(tour)


def _tasks(tour: Tour) -> None:
    ask = tour.ask
    ask("GET", "/retention")
    wanted = {"email": "ada@shop.example", "kinds": ["endpoint"], "eventTypes": ["order.created"]}
    alert = ask("POST", "/alert", wanted)["id"]
    ask("GET", "/alert")
    ask("GET", f"/alert/{alert}")
    ask("PATCH", f"/alert/{alert}", {"digestMinutes": 15})
    ask("POST", f"/alert/{alert}/test")
    ask("DELETE", f"/alert/{alert}")
    ask("PATCH", "/retention", {"bodyDays": 14, "historyDays": 60})
    since = {"since": "2026-05-01T00:00:00Z"}
    for work in ("recover", "replay-missing", "bulk-replay"):
        task = ask("POST", f"/app/shop/endpoint/erp/{work}", since)["id"]
        tour.served.wait_for_task(task)
    ask("GET", f"/background-task/{task}")
    for act in ("pause", "resume", "cancel"):
        ask("POST", f"/background-task/{_paused_task(tour)}/{act}")
    plan = {"kind": "failed", "since": "2026-05-01T00:00:00Z"}
    ask("POST", "/app/shop/endpoint/erp/replay-plan", plan)
    ask("GET", "/background-task", params={"status": "finished"})


def _inboxes(tour: Tour) -> None:
    ask = tour.ask
    answer = {"status": 202, "contentType": "application/json", "body": '{"ok":true}'}
    url = ask("POST", "/inbox", {"name": "First look", "appId": "shop", "answer": answer})["url"]
    (inbox,) = ask("GET", "/inbox")["data"]
    path = f"/inbox/{inbox['id']}"
    ask("GET", path)
    ask("PATCH", path, {"answer": {"delayMs": 0, "headers": {"X-Shop": "test"}}})
    case = samples("stripe")["approved"].case._replace(at=tour.served.gateway.clock.now())
    signed = PROVIDERS["stripe"].sign(case, SourceSetup((SECRETS["stripe"],)), url)
    usual = {"user-agent": "Stripe/1.0", "accept-encoding": "identity"}
    target = tour.served.url + httpx.URL(url).path + "/payments?test=1"
    headers = dict(signed.headers) | usual
    assert httpx.post(target, content=signed.body, headers=headers).status_code == 202
    (request,) = ask("GET", f"{path}/request", params={"wait_ms": 10_000})["data"]
    one = f"{path}/request/{request['id']}"
    ask("GET", one)
    ask("GET", f"{one}/body")
    ask("POST", f"{one}/verify", {"scheme": "stripe", "secret": SECRETS["stripe"]})
    source = {"provider": "stripe", "secrets": [SECRETS["stripe"]], "replay": True}
    ask("POST", f"{path}/promote", {**source, "uid": "stripe-2"})
    tour.served.wait_for_callbacks()
    ask("DELETE", f"{path}/request")
    ask("DELETE", path)


def _refusals(tour: Tour) -> None:
    tour.refuse(400, "POST", "/app", content=b'{"name": "My shop"')
    with tour.served.client(None) as nobody:
        tour.refuse(401, "GET", "/app", http=nobody)
    with tour.served.client(tour.served.make_key("publish")) as publisher:
        tour.refuse(403, "GET", "/app", http=publisher)
    tour.refuse(404, "GET", "/app/shop/endpoint/nobody")
    tour.refuse(409, "POST", "/app/shop/msg", json={**PAID, "eventId": "evt-1001"})
    tour.refuse(413, "POST", "/app", content=b" " * 1_048_577)
    tour.refuse(422, "POST", "/app/shop/endpoint", json={"filterTypes": ["order.*"]})


def _endings(tour: Tour) -> None:
    ask = tour.ask
    (attempt,) = ask("GET", "/app/shop/attempt/msg/evt-1001", params={"limit": 1})["data"]
    ask("DELETE", f"/app/shop/msg/evt-1001/attempt/{attempt['id']}/content")
    ask("POST", "/app/shop/msg/bulk-expunge", {"ids": ["evt-1001", "evt-unknown"]})
    ask("DELETE", "/app/shop/msg/evt-1001/content")
    task = ask("POST", "/app/shop/msg/expunge-all-contents")["id"]
    tour.served.wait_for_task(task)
    rotated = {"secret": "whsec_bmV3LXNlY3JldC1uZXctc2VjcmV0LW5ldy1zZWM="}
    ask("POST", "/app/shop/source/stripe/secret/rotate", rotated)
    ask("DELETE", "/app/shop/source/stripe")
    ask("DELETE", "/app/shop/endpoint/crm")
    ask("DELETE", "/operational-webhook/endpoint/ops-2")
    ask("DELETE", "/app/shop-2")


def main() -> None:
    """Write the examples."""
    with tempfile.TemporaryDirectory() as folder, ServedGateway(Path(folder)) as served:
        made = examples_of(make_tour(served))
    FILE.write_text(json.dumps(made, indent=1, ensure_ascii=False) + "\n")
    print(f"{len(made['operations'])} operations", file=sys.stderr)


if __name__ == "__main__":
    main()
