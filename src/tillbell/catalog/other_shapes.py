"""What `data` is in messages that are not about money, and in our own about the gateway."""

from __future__ import annotations

from tillbell.catalog.fields import (
    Shape,
    moment,
    number,
    open_object,
    part,
    required,
    text,
    texts,
    whole,
)

SHIPMENT: Shape = {
    "id": required(text("The shop's id of the shipment", "shp_20c7b1")),
    "status": required(text("Where it is", "in_transit")),
    "previousStatus": text("Where it was", "created"),
    "substate": text("More precise, as far as the carrier tells", "out_for_delivery"),
    "orderId": text("The order it brings", "ord_673f92b2c3d9"),
    "carrier": text("Who brings it", "dexpress"),
    "trackingNumber": text("The carrier's code", "TT0000000001"),
    "trackingUrl": text("Where the customer can look", None),
    "rawStatus": text("The carrier's own word or number", "4"),
    "message": text("For a person", "With the courier"),
    "estimatedDeliveryAt": moment("When it should arrive", "2026-05-04T16:00:00Z"),
    "deliveredAt": moment("When it arrived", None),
    "metadata": open_object("What the shop keeps with it", {}),
    "occurredAt": moment("When the carrier saw it", "2026-05-03T07:12:00Z"),
}

EMAIL: Shape = {
    "id": required(text("The mail service's id", "4c1f2a90-0000-4000-8000-000000000001")),
    "from": text("Sender", "Shop <orders@shop.example>"),
    "to": texts("Recipients", ["ada@example.com"]),
    "subject": text("Subject line", "Order ORD-1001"),
    "reason": text("Why it was not delivered", None),
    "bounceType": text("`permanent` or `temporary`", None),
    "url": text("What was clicked", None),
    "orderId": text("The order it is about", "ord_673f92b2c3d9"),
    "metadata": open_object("The mail's tags", {"order": "ORD-1001"}),
    "occurredAt": moment("When it happened", "2026-05-01T08:43:00Z"),
}

ANALYTICS: Shape = {
    "name": text("Name of a custom event or of the vital: LCP, INP, CLS …", None),
    "value": number("The vital's value: milliseconds, CLS without unit", None),
    "origin": text("Scheme and host", "https://shop.example"),
    "path": text("Path of the page", "/checkout"),
    "referrer": text("Where the visitor came from", None),
    "country": text("ISO 3166 code of two letters", "RS"),
    "deviceType": text("desktop, mobile, tablet", "mobile"),
    # 64-bit ids do not survive a JavaScript number.
    "sessionId": text("Digits as text", "123456789"),
    "deviceId": text("Digits as text", "987654321"),
    "properties": open_object("What the page sent along", {}),
    "occurredAt": moment("When it happened", "2026-05-01T08:30:00Z"),
}

ENDPOINT: Shape = {
    "appId": required(text("The application it belongs to", "app_01k0q2m8c4v7n9x3t5w6y8z0ef")),
    "appUid": text("The id its owner gave the application", "shop"),
    "endpointId": required(text("The endpoint", "ep_01k0q2m8c4v7n9x3t5w6y8z0gh")),
    "endpointUid": text("The id its owner gave it", "erp"),
    "url": required(text("Where it is", "https://erp.example/hooks")),
    "failingSince": moment("First failure after the last success", "2026-05-01T08:42:20Z"),
    "failSince": moment("The same, as Svix names it: when it was disabled", None),
    "stage": text("How long it has failed: 1h, 1d, 4d", None),
    "reason": text("Why we stopped sending", None),
}

_LAST_ATTEMPT: Shape = {
    "id": text("The attempt", "atmpt_01k0q2m8c4v7n9x3t5w6y8z0ijq2m8c4v7n9x30a"),
    "timestamp": moment("When it began", "2026-05-02T12:47:25.000000Z"),
    "responseStatusCode": whole("0 when there was no answer", 503),
    "result": text("How it ended, in one word", "refused"),
    "error": text("Class of failure; empty when a whole answer was read", ""),
}

DELIVERY: Shape = {
    **ENDPOINT,
    "msgId": required(text("The message", "msg_01k0q2m8c4v7n9x3t5w6y8z0ij")),
    "eventType": text("Its event type", "order.paid"),
    "deliveryId": required(text("The delivery", "dlv_01k0q2m8c4v7n9x3t5w6y8z0ijq2m8c4v7n9x30")),
    "attempts": required(whole("How many were made", 10)),
    "lastAttempt": part("The last one", _LAST_ATTEMPT),
}

MESSAGE: Shape = {
    **{name: ENDPOINT[name] for name in ("appId", "appUid", "endpointId", "endpointUid", "url")},
    "msgId": required(text("The message", "msg_01k0q2m8c4v7n9x3t5w6y8z0ij")),
    "msgEventId": text("The publisher's own id of it", "evt_1"),
    "lastAttempt": part("The last one", _LAST_ATTEMPT),
}

TEST: Shape = {
    "message": text("Anything", "Hello from Tillbell"),
    "attempt": whole("Counts pings", 1),
}
