"""What is in the gateway whose pages are looked at: nothing, a usual day, or hostile text."""

from __future__ import annotations

import hashlib
import hmac
import json
import time
from collections.abc import Sequence
from typing import Any

import httpx

from tests.web.served_gateway import ServedGateway
from tillbell.rules.delivery.breaker import ROW_MAX

STRIPE_SECRET = "whsec_pages0123456789"
Names = dict[str, str]  # name in a path → id

RLO = "\u202e"
HOSTILE = (
    "<script>alert(1)</script>",
    '"><img src=x onerror=alert(2)>',
    "' onmouseover='alert(3)",
    f"abc{RLO}exe.eciovni",
    "{{7*7}} ${7*7} <%= 7*7 %>",
    "javascript:alert(4)",
    "a" * 200,
    "\u0007\u0000\u001b[31m\u200b\ufeff"[0:1] + "bell",
    "مُحَمَّد 李小龍 Zoë 👩\u200d👩\u200d👧",
)
ORDERS: tuple[dict[str, Any], ...] = (
    {"id": "1001", "amount": "149.99", "currency": "EUR", "customer": {"name": "Ana Petrović"}},
    {"id": "1002", "amount": "12990", "currency": "RSD", "customer": {"name": "Милица"}},
    {"id": "MZ-20391", "amount": "2450.00", "currency": "MZN", "customer": {"name": "Maria"}},
    {"id": "1004", "amount": "-312.40", "currency": "EUR", "customer": {"name": "Zoë Ångström"}},
)
TYPES = ("order.paid", "order.created", "order.paid", "order.partially_refunded")


def usual(served: ServedGateway) -> Names:
    """Make a shop with endpoints that work, fail and filter, and some messages."""
    app = _application(served, "Baobab & Lipa", "baobab")
    good = _endpoint(served, app, description="Warehouse Maputo", url=served.receiver.url())
    bad = _endpoint(served, app, description="ERP Novi Sad", url=served.receiver.url("/status/503"))
    filters = _endpoint(
        served,
        app,
        description="Confirmation mails",
        url=served.receiver.url(),
        filterTypes=["order.created"],
        filter={"customer": {"email": {"$exists": True}}, "amount": {"$gte": 100}},
    )
    gone = _endpoint(served, app, description="Old CRM", url=served.receiver.url("/status/410"))
    down = _endpoint(
        served,
        app,
        description="Partner in Beira",
        url=served.receiver.url("/status/500"),
        retrySchedule=[0] * 50,
        filterTypes=[TYPES[-1]],
    )
    ids = [
        _publish(served, app, type_, order, eventId=f"order-{order['id']}-{number}")
        for number, (type_, order) in enumerate(zip(TYPES, ORDERS, strict=True))
    ]
    for id_, count in zip(ids, (2, 2, 2, 2 + ROW_MAX), strict=True):
        served.wait_for_attempts(id_, count)
    money = _payments(served, app, "Cards")
    ends = {"endpoint": good, "failing": bad, "filters": filters, "gone": gone, "down": down}
    names = {
        "app": "baobab",
        "message": ids[0],
        "job": _recovery(served, app, good),
        "act": _last_act(served, down),
        "alert": _alert(served, "Vera, on duty", quietFrom="22:00", quietUntil="07:00"),
    }
    names |= _person(served, "vera@shop.example")
    more = _inbox(served, app, "First look") | _shop(served, "Casa Capulana", "capulana")
    more |= _portal(served, app) | ends | money
    return names | more | {"stop": link_in_mail(served, names["alert"])}


def hostile(served: ServedGateway) -> Names:
    """Make a shop in which every text is hostile."""
    app = _application(served, HOSTILE[0], "hostile")
    names = [
        _endpoint(served, app, description=text, url=served.receiver.url(f"/ok?q={number}"))
        for number, text in enumerate(HOSTILE[:4])
    ]
    ids = []
    for text in HOSTILE:
        data = {
            "id": text,
            "amount": 14999000000000000001,
            "currency": "EUR",
            "customer": {"name": text, "email": text},
            text: [text, 1.10, None, True],
        }
        ids.append(_publish(served, app, "order.paid", {"data": data}))
    for id_ in ids:
        served.wait_for_attempts(id_, len(names))
    money = _payments(served, app, HOSTILE[1], HOSTILE[0])
    shop = _shop(served, HOSTILE[1], "hostile-shop", HOSTILE)
    ends = dict(zip(("endpoint", "failing", "filters", "gone"), names, strict=True))
    job = _recovery(served, app, names[0])
    person = _person(served, "'onmouseover=alert`5`//@shop.example")
    act = _last_act(served, names[0])
    own = {"app": "hostile", "message": ids[0], "job": job, "act": act} | person
    own["alert"] = _alert(served, HOSTILE[0])
    own["stop"] = link_in_mail(served, own["alert"])
    inbox = _inbox(served, app, HOSTILE[0], HOSTILE[1])
    return own | _portal(served, app) | {"down": names[0]} | ends | money | inbox | shop


def _alert(served: ServedGateway, name: str, **fields: object) -> str:
    """Tell somebody by e-mail of endpoints and orders."""
    body = {"email": "vera@shop.example", "name": name, "kinds": ["endpoint"], **fields}
    return str(_ok(served, "/alert", {**body, "eventTypes": ["order.created"]})["id"])


def link_in_mail(served: ServedGateway, alert: str) -> str:
    """Return the path of the link in a mail of an alert."""
    alerts = served.gateway.alerts
    return f"/unsubscribe/{alert}/{alerts.unsubscribe_token(served.do(alerts.get(alert)))}"


def _inbox(served: ServedGateway, app: str, name: str, text: str = "Ana") -> Names:
    """Make an inbox to which JSON, text and bytes have come; the JSON last."""
    made = _ok(served, "/inbox", {"name": name, "appId": app, "answer": {"body": text}})
    path = "/" + str(made["url"]).split("/", 3)[3]
    document = json.dumps({"id": 1001, "name": text, text: [1.10, None]}).encode()
    for body, kind in (
        (bytes(range(256)), "application/octet-stream"),
        (" ".join(HOSTILE).encode(), "text/plain"),
        (document, "application/json"),
    ):
        headers = {"content-type": kind, "x-text": text.encode("ascii", "replace").decode()}
        answer = httpx.post(f"{served.url}{path}/a?b={kind}", content=body, headers=headers)
        assert answer.is_success, answer.text
    rows = served.http.get(f"/inbox/{made['id']}/request").json()["data"]
    empty = _ok(served, "/inbox", {"name": text, "appId": app})["id"]
    first = str(rows[-1]["id"])
    return {"inbox": str(made["id"]), "request": first, "empty": str(empty)}


def _shop(
    served: ServedGateway,
    app_name: str,
    uid: str,
    texts: Sequence[str] = ("Ana Petrović", "Course", "spring"),
) -> Names:
    """Make a shop with an order that is paid too much and on its way, and what belongs to it."""
    name, title, note, *_ = texts
    app = _application(served, app_name, uid)
    _endpoint(served, app, description=title, url=served.receiver.url("/ok?shop"))
    customer = {"id": "cus-1", "name": name, "email": "ana@shop.example"}
    lines = [
        {"productId": "course", "productName": title, "quantity": 2, "totalPrice": "120.00"},
        {"productId": "book", "totalPrice": "19.90", "isBumpProduct": True},
    ]
    order = {
        "number": "7001",
        "amount": "139.90",
        "currency": "EUR",
        "customer": customer,
        "items": lines,
        "shippingAddress": {"line1": name, "city": "Maputo", "country": "MZ"},
        "metadata": {note: note},
    }
    path = f"/app/{app}"
    ids = {"shop": uid, "order": _put(served, f"{path}/order/7001", order)}
    cancelled = {**order, "number": title[:60], "status": "cancelled", "cancelReason": note}
    _put(served, f"{path}/order/7002", cancelled)
    _pay(served, app, "7001")
    parcel = {"carrier": title, "trackingNumber": "TT-1", "orderId": "7001", "status": "in_transit"}
    ids["shipment"] = _put(served, f"{path}/shipment/parcel-1", parcel)
    return ids | _records(served, path, customer, (name, title, note))


def _records(
    served: ServedGateway, path: str, customer: dict[str, Any], texts: tuple[str, str, str]
) -> Names:
    """Make a product with a webhook and one without, a customer and a subscription."""
    name, title, note = texts
    product = {"name": title, "sku": "C-1", "stock": 3, "price": "60.00", "currency": "EUR"}
    ids = {"product": _put(served, f"{path}/product/course", {**product, "description": note})}
    export = {"name": note, "kind": "products", "filter": "stock:<=5"}
    _ok(served, f"{path}/export-link", export)
    _ok(served, f"{path}/export-schedule", {**export, "target": "folder", "hour": 6})
    ids["book"] = _put(served, f"{path}/product/book", {"name": note})
    webhook = {"url": served.receiver.url("/ok?course"), "secret": "s3cret-of-the-course"}
    answer = served.http.put(f"{path}/product/course/webhook", json=webhook)
    assert answer.is_success, answer.text
    consent = {"isGiven": True, "source": note, "at": "2026-05-01T10:30:00+02:00"}
    person: dict[str, Any] = {
        **customer,
        "consent": consent,
        "tags": [note],
        "address": {"line1": name},
    }
    del person["id"]
    ids["customer"] = _put(served, f"{path}/customer/cus-1", person)
    monthly = {"status": "active", "amount": "29.99", "currency": "EUR", "interval": "month"}
    more = {"plan": title, "customer": customer, "currentPeriodEnd": "2026-12-24T00:00:00Z"}
    ids["subscription"] = _put(served, f"{path}/subscription/sub-1", {**monthly, **more})
    return ids


def _pay(served: ServedGateway, app: str, order: str) -> None:
    """Pay an order with 149.99 EUR."""
    source = {"name": "Cards", "provider": "stripe", "uid": "cards", "secrets": [STRIPE_SECRET]}
    path = str(_ok(served, f"/app/{app}/source", source)["path"])
    payment = {"direction": "pay_in", "amount": "149.99", "currency": "EUR", "sourceId": "cards"}
    names = {"pspTransactionId": "pi_shop", "orderId": order}
    _ok(served, f"/app/{app}/transaction", payment | names)
    event = _stripe_event("evt_shop", "payment_intent.succeeded", "pi_shop", order)
    headers = _stripe_headers(event, STRIPE_SECRET)
    assert served.http.post(served.url + path, content=event, headers=headers).is_success
    served.wait_for_callbacks()


def _put(served: ServedGateway, path: str, body: dict[str, Any]) -> str:
    answer = served.http.put(path, json=body)
    assert answer.is_success, answer.text
    return str(answer.json()["id"])


def _person(served: ServedGateway, email: str) -> Names:
    """Invite somebody; return the id, and the token of the link."""
    roles = {app["id"]: "operator" for app in served.http.get("/app").json()["data"]}
    invited = _ok(served, "/person", {"email": email, "appRoles": roles})
    return {"person": str(invited["id"]), "invitation": invited["link"].rpartition("/")[2]}


def _portal(served: ServedGateway, app: str) -> Names:
    """Make a link to the portal of an application."""
    link = _ok(served, f"/auth/app-portal-access/{app}", {})
    return {"portal": f"/portal/{app}", "portal_token": str(link["token"])}


def _last_act(served: ServedGateway, target: str) -> str:
    """Return the id of the newest entry of the audit log about something."""
    listed = served.http.get("/audit", params={"target": target}).json()["data"]
    return str(listed[0]["id"])


def _payments(served: ServedGateway, app: str, source_name: str, text: str = "1001") -> Names:
    """Make a payment that is credited and then doubted, one that waits, a held pay-out, and
    callbacks that are repeated, fit nothing, or prove nothing.
    """
    body = {"name": source_name, "provider": "stripe", "uid": "cards", "secrets": [STRIPE_SECRET]}
    path = str(_ok(served, f"/app/{app}/source", body)["path"])
    pay_in = {"direction": "pay_in", "amount": "149.99", "currency": "EUR", "sourceId": "cards"}
    paid = {**pay_in, "pspTransactionId": "pi_paid", "orderId": text, "userId": text}
    paid_id = str(_ok(served, f"/app/{app}/transaction", {**paid, "uid": "PAY-1001"})["id"])
    waits = _ok(served, f"/app/{app}/transaction", {**pay_in, "merchantReference": text})
    pay_out = {"direction": "pay_out", "amount": "20", "currency": "EUR", "uid": "OUT-7"}
    _ok(served, f"/app/{app}/transaction", pay_out)
    _ok(served, f"/app/{app}/transaction/OUT-7/hold", {"reason": text})
    ids = []
    for number, (type_, intent, secret) in enumerate(
        (
            ("payment_intent.succeeded", "pi_paid", STRIPE_SECRET),
            ("payment_intent.succeeded", "pi_paid", STRIPE_SECRET),
            ("payment_intent.canceled", "pi_paid", STRIPE_SECRET),
            ("payment_intent.succeeded", "pi_unknown", STRIPE_SECRET),
            ("payment_intent.succeeded", "pi_paid", "whsec_another"),
        )
    ):
        event = _stripe_event(f"evt_{max(number, 1)}", type_, intent, text)
        served.http.post(served.url + path, content=event, headers=_stripe_headers(event, secret))
        served.wait_for_callbacks()
    listed = served.http.get(f"/app/{app}/callback").json()["data"]
    ids = [str(callback["id"]) for callback in listed]
    return {
        "transaction": paid_id,
        "waiting": str(waits["id"]),
        "source": "cards",
        "callback": ids[-1],
        "refused": ids[0],
    }


def _stripe_event(id_: str, type_: str, intent: str, text: str) -> bytes:
    status = type_.rpartition(".")[2]
    about = {
        "id": intent,
        "object": "payment_intent",
        "amount": 14999,
        "amount_received": 14999 if status == "succeeded" else 0,
        "currency": "eur",
        "status": status,
        "description": text,
        "metadata": {text: text},
    }
    event = {
        "id": id_,
        "object": "event",
        "created": int(time.time()),
        "livemode": True,
        "type": type_,
        "data": {"object": about},
    }
    return json.dumps(event).encode()


def _stripe_headers(body: bytes, secret: str) -> dict[str, str]:
    """Sign as Stripe does: https://docs.stripe.com/webhooks#verify-manually."""
    at = int(time.time())
    mac = hmac.new(secret.encode(), f"{at}.".encode() + body, hashlib.sha256).hexdigest()
    return {"stripe-signature": f"t={at},v1={mac}", "content-type": "application/json"}


def _application(served: ServedGateway, name: str, uid: str) -> str:
    return str(_ok(served, "/app", {"name": name, "uid": uid})["id"])


def _endpoint(served: ServedGateway, app: str, **body: Any) -> str:
    return str(_ok(served, f"/app/{app}/endpoint", body)["id"])


def _publish(
    served: ServedGateway, app: str, type_: str, payload: dict[str, Any], **more: Any
) -> str:
    body = {"eventType": type_, "payload": payload, **more}
    return str(_ok(served, f"/app/{app}/msg", body)["id"])


def _recovery(served: ServedGateway, app: str, endpoint: str) -> str:
    path = f"/app/{app}/endpoint/{endpoint}/recover"
    return str(_ok(served, path, {"since": "2026-01-01T00:00:00Z"})["id"])


def _ok(served: ServedGateway, path: str, body: dict[str, Any]) -> dict[str, Any]:
    answer = served.http.post(path, json=body)
    assert answer.is_success, answer.text
    shown: dict[str, Any] = answer.json()
    return shown
