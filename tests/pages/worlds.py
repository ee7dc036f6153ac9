"""What is in the gateway whose pages are looked at: nothing, a usual day, or hostile text."""

from __future__ import annotations

from typing import Any

from tests.web.served_gateway import ServedGateway

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
    _endpoint(
        served,
        app,
        description="Confirmation mails",
        url=served.receiver.url(),
        filterTypes=["order.created"],
    )
    ids = [
        _publish(served, app, type_, order, eventId=f"order-{order['id']}-{number}")
        for number, (type_, order) in enumerate(zip(TYPES, ORDERS, strict=True))
    ]
    for id_ in ids:
        served.wait_for_attempts(id_, 2)
    return {"app": "baobab", "message": ids[0], "endpoint": good, "failing": bad}


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
    return {"app": "hostile", "message": ids[0], "endpoint": names[0], "failing": names[1]}


def _application(served: ServedGateway, name: str, uid: str) -> str:
    return str(_ok(served, "/app", {"name": name, "uid": uid})["id"])


def _endpoint(served: ServedGateway, app: str, **body: Any) -> str:
    return str(_ok(served, f"/app/{app}/endpoint", body)["id"])


def _publish(
    served: ServedGateway, app: str, type_: str, payload: dict[str, Any], **more: Any
) -> str:
    body = {"eventType": type_, "payload": payload, **more}
    return str(_ok(served, f"/app/{app}/msg", body)["id"])


def _ok(served: ServedGateway, path: str, body: dict[str, Any]) -> dict[str, Any]:
    answer = served.http.post(path, json=body)
    assert answer.is_success, answer.text
    shown: dict[str, Any] = answer.json()
    return shown
