"""The list itself: every event type, in one sentence, and how its sample differs.

`changes` are the members of the shape's sample that are different when this happens: a
sample of `order.created` must not look paid.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

_UNPAID = {"paymentStatus": "pending", "paidAt": None, "reference": None, "gateway": None}


class EventTypeRow(NamedTuple):
    """One event type of a family."""

    name: str
    description: str
    changes: Mapping[str, Any] = {}


_ORDER = (
    EventTypeRow("created", "A customer placed an order.", {"status": "pending", **_UNPAID}),
    EventTypeRow("updated", "Something about an order changed that has no type of its own."),
    EventTypeRow("paid", "An order was paid."),
    EventTypeRow(
        "cancelled",
        "An order was cancelled, or expired before it was paid.",
        {
            **_UNPAID,
            "status": "cancelled",
            "paymentStatus": "cancelled",
            "cancelledAt": "2026-05-01T09:30:00Z",
            "cancelReason": "expired",
        },
    ),
    EventTypeRow(
        "refunded",
        "All money of an order was given back.",
        {
            "status": "refunded",
            "paymentStatus": "refunded",
            "refundedAt": "2026-05-03T10:00:00Z",
            "refundedAmount": "149.99",
        },
    ),
    EventTypeRow(
        "partially_refunded",
        "Some money of an order was given back.",
        {
            "status": "partially_refunded",
            "paymentStatus": "partially_refunded",
            "refundedAt": "2026-05-03T10:00:00Z",
            "refundedAmount": "49.99",
        },
    ),
    EventTypeRow(
        "disputed",
        "The customer's bank asks for the money back.",
        {"status": "disputed", "paymentStatus": "disputed"},
    ),
)

_TRANSACTION = (
    EventTypeRow(
        "pending",
        "A transaction began; nothing is certain yet.",
        {"status": "Pending", "previousStatus": None, "sequence": 1, "rawStatus": "waiting"},
    ),
    EventTypeRow(
        "processing",
        "A pay-out is on its way at the provider.",
        {"status": "Processing", "direction": "pay_out", "rawStatus": "processing"},
    ),
    EventTypeRow(
        "on_hold",
        "A person must look at it before it goes on.",
        {"status": "On Hold", "rawStatus": "review", "message": "Held for review"},
    ),
    EventTypeRow(
        "authorized",
        "The payer's money is reserved, and not yet captured. Do not credit.",
        {
            "status": "Pending",
            "substate": "authorized",
            "authorizedAmount": "100.00",
            "capturedAmount": "0.00",
            "creditedAmount": "0.00",
            "rawStatus": "authorised",
        },
    ),
    EventTypeRow("approved", "The money moved. The only type that says so."),
    EventTypeRow(
        "declined",
        "The provider said no.",
        {"status": "Declined", "reason": "do_not_honour", "rawStatus": "declined"},
    ),
    EventTypeRow(
        "failed",
        "It went wrong on the way.",
        {"status": "Failed", "reason": "technical", "rawStatus": "error"},
    ),
    EventTypeRow(
        "cancelled",
        "The customer cancelled, or it expired; `reason` tells which.",
        {"status": "Cancelled", "reason": "expired", "rawStatus": "cancelled"},
    ),
    EventTypeRow(
        "rejected",
        "A person refused a pay-out. Do not debit.",
        {
            "status": "Rejected",
            "direction": "pay_out",
            "reason": "operator",
            "rawStatus": "rejected",
        },
    ),
    EventTypeRow(
        "conflict",
        "A late callback contradicts how it ended. Nothing was changed; a person decides.",
        {"status": "Declined", "previousStatus": "Declined", "rawStatus": "confirmed"},
    ),
    EventTypeRow(
        "reversed",
        "This transaction took the money of another, `parentId`, back.",
        {"direction": "pay_out", "parentId": "trx_01k0q2m8c4v7n9x3t5w6y8z0zz"},
    ),
)

_SUBSCRIPTION = (
    EventTypeRow("created", "A customer subscribed.", {"status": "created"}),
    EventTypeRow("updated", "Plan, price or customer changed."),
    EventTypeRow("renewed", "The next period was paid."),
    EventTypeRow(
        "cancelled",
        "It was cancelled; `effectiveAt` tells from when.",
        {
            "status": "cancelled",
            "cancelledAt": "2026-05-20T10:00:00Z",
            "effectiveAt": "2026-06-01T00:00:00Z",
        },
    ),
    EventTypeRow("upcoming", "It will renew soon."),
    EventTypeRow(
        "suspended", "It is interrupted.", {"status": "suspended", "reason": "payment_failed"}
    ),
    EventTypeRow("expired", "It came to its end.", {"status": "expired"}),
    EventTypeRow("payment_failed", "A renewal could not be paid.", {"reason": "card_declined"}),
    EventTypeRow(
        "trial.started",
        "Free time began.",
        {"status": "trialing", "trialEnd": "2026-05-15T00:00:00Z"},
    ),
    EventTypeRow("trial.ended", "Free time is over.", {"trialEnd": "2026-05-15T00:00:00Z"}),
)

_SHIPMENT = (
    EventTypeRow(
        "created",
        "The carrier knows of a parcel.",
        {"status": "created", "previousStatus": None, "substate": None, "rawStatus": "0"},
    ),
    EventTypeRow("in_transit", "It is on its way; `substate` tells more."),
    EventTypeRow(
        "delivered",
        "It arrived.",
        {
            "status": "delivered",
            "previousStatus": "in_transit",
            "substate": None,
            "rawStatus": "1",
            "deliveredAt": "2026-05-04T14:05:00Z",
        },
    ),
    EventTypeRow(
        "exception",
        "Something is in its way.",
        {"status": "exception", "substate": "address_not_found", "rawStatus": "9"},
    ),
    EventTypeRow(
        "returned", "It came back.", {"status": "returned", "substate": None, "rawStatus": "20"}
    ),
    EventTypeRow(
        "cancelled",
        "It will not be brought.",
        {"status": "cancelled", "substate": None, "rawStatus": "-1"},
    ),
)

_EMAIL = (
    EventTypeRow("sent", "The mail service took it."),
    EventTypeRow("delivered", "The recipient's server took it."),
    EventTypeRow(
        "delayed", "The recipient's server asked to come again.", {"reason": "mailbox busy"}
    ),
    EventTypeRow(
        "bounced",
        "It cannot be delivered.",
        {"reason": "mailbox does not exist", "bounceType": "permanent"},
    ),
    EventTypeRow("complained", "The recipient called it spam."),
    EventTypeRow("opened", "It was opened."),
    EventTypeRow(
        "clicked", "A link in it was followed.", {"url": "https://shop.example/orders/ORD-1001"}
    ),
    EventTypeRow("failed", "The mail service gave up.", {"reason": "domain not verified"}),
    EventTypeRow(
        "suppressed",
        "The mail service did not send it: the address is on its own list.",
        {"reason": "bounced before"},
    ),
    EventTypeRow("unsubscribed", "The recipient wants no more of them."),
    EventTypeRow("resubscribed", "The recipient wants them again."),
)

_ANALYTICS = (
    EventTypeRow("pageview", "A page was seen."),
    EventTypeRow("custom_event", "The page reported something.", {"name": "checkout_started"}),
    EventTypeRow(
        "web_vital", "The page measured how fast it was.", {"name": "LCP", "value": 1830.5}
    ),
)

_DELIVERY_FAILED = {"stage": None, "reason": "attempts_exhausted"}

_HEALTHY = {"failingSince": None}

FAMILIES: Mapping[str, tuple[EventTypeRow, ...]] = {
    "order": _ORDER,
    "transaction": _TRANSACTION,
    "subscription": _SUBSCRIPTION,
    "shipment": _SHIPMENT,
    "email": _EMAIL,
    "product": (
        EventTypeRow("created", "A product was added."),
        EventTypeRow("updated", "A product changed."),
        EventTypeRow("stock", "There are more or fewer of it.", {"stock": 4, "previousStock": 5}),
        EventTypeRow("deleted", "A product was removed."),
    ),
    "customer": (
        EventTypeRow("created", "A customer came."),
        EventTypeRow("updated", "Something about a customer changed."),
        EventTypeRow("deleted", "A customer was removed, or asked to be forgotten."),
    ),
    "analytics": _ANALYTICS,
    "endpoint": (
        EventTypeRow(
            "failing", "An endpoint has failed for an hour, a day, four days.", {"stage": "1h"}
        ),
        EventTypeRow(
            "paused", "Days of failures: we stopped; messages are kept.", {"reason": "failing"}
        ),
        EventTypeRow("recovered", "An endpoint answers again.", {"failingSince": None}),
        EventTypeRow(
            "disabled",
            "We stopped sending: it answered 410, or failed for days.",
            {"reason": "gone", "failSince": "2026-05-01T08:42:20Z"},
        ),
        EventTypeRow("created", "An endpoint was added.", _HEALTHY),
        EventTypeRow("updated", "An endpoint, its headers or its secret changed.", _HEALTHY),
        EventTypeRow("deleted", "An endpoint was removed.", _HEALTHY),
    ),
    "delivery": (
        EventTypeRow("failed", "Every attempt was used up. It can be resent.", _DELIVERY_FAILED),
    ),
    "message": (
        EventTypeRow("attempt.failing", "Four attempts at an endpoint failed; more will follow."),
        EventTypeRow("attempt.exhausted", "Every attempt was used up. It can be resent."),
        EventTypeRow("attempt.recovered", "It was accepted after four attempts or more failed."),
    ),
    "test": (EventTypeRow("ping", "Says hello, to see that an endpoint works."),),
}
