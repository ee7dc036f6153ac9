"""What people are told of each event type: a title, a sentence, and which members are shown."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple


class EventWords(NamedTuple):
    """The words of one event type. `title` follows the name of the thing: "Order ORD-1 is paid"."""

    title: str
    tone: str = "plain"  # "good", "warn", "bad" or "plain"
    sentence: str = ""


class FamilyWords(NamedTuple):
    """What a family of event types is about."""

    noun: str
    names: tuple[str, ...]  # the first of these members that is there names the thing
    facts: tuple[tuple[str, str], ...]  # label, member; a point goes into an object
    amounts: tuple[tuple[str, str, str], ...] = ()  # label, member, member with its currency


_ENDPOINT_FACTS = (
    ("Application", "appUid"),
    ("URL", "url"),
    ("Failing since", "failingSince"),
    ("For", "stage"),
    ("Reason", "reason"),
    ("Event type", "eventType"),
    ("Message", "msgId"),
    ("Attempts", "attempts"),
    ("Last answer", "lastAttempt.responseStatusCode"),
    ("Last error", "lastAttempt.error"),
)

FAMILIES: Mapping[str, FamilyWords] = {
    "order": FamilyWords(
        "Order",
        ("number", "id"),
        (
            ("Customer", "customer.name"),
            ("E-mail", "customer.email"),
            ("Reference", "reference"),
            ("Reason", "cancelReason"),
        ),
        (("Amount", "amount", "currency"), ("Given back", "refundedAmount", "currency")),
    ),
    "transaction": FamilyWords(
        "Payment",
        ("uid", "id"),
        (
            ("Provider", "provider"),
            ("Provider's id", "pspTransactionId"),
            ("Status", "status"),
            ("Reason", "reason"),
            ("Provider says", "message"),
            ("Order", "orderId"),
            ("Reference", "merchantReference"),
            ("Belongs to", "parentId"),
        ),
        (("Amount", "amount", "currency"),),
    ),
    "subscription": FamilyWords(
        "Subscription",
        ("plan", "id"),
        (
            ("Customer", "customer.name"),
            ("E-mail", "customer.email"),
            ("Period ends", "currentPeriodEnd"),
            ("Ends", "effectiveAt"),
            ("Reason", "reason"),
        ),
        (("Price", "amount", "currency"),),
    ),
    "shipment": FamilyWords(
        "Parcel",
        ("trackingNumber", "id"),
        (
            ("Carrier", "carrier"),
            ("Order", "orderId"),
            ("Where", "substate"),
            ("Carrier says", "message"),
            ("Expected", "estimatedDeliveryAt"),
            ("Delivered", "deliveredAt"),
        ),
    ),
    "email": FamilyWords(
        "E-mail",
        ("subject", "id"),
        (("To", "to"), ("Reason", "reason"), ("Bounce", "bounceType"), ("Order", "orderId")),
    ),
    "product": FamilyWords(
        "Product",
        ("name", "id"),
        (("SKU", "sku"), ("In stock", "stock"), ("Before", "previousStock")),
        (("Price", "price", "currency"),),
    ),
    "customer": FamilyWords(
        "Customer", ("name", "email", "id"), (("E-mail", "email"), ("Phone", "phoneNumber"))
    ),
    "analytics": FamilyWords(
        "Page",
        ("path", "name"),
        (("Origin", "origin"), ("Name", "name"), ("Value", "value"), ("Country", "country")),
    ),
    "endpoint": FamilyWords("Endpoint", ("endpointUid", "endpointId"), _ENDPOINT_FACTS),
    "delivery": FamilyWords("Delivery to", ("endpointUid", "endpointId"), _ENDPOINT_FACTS),
    "message": FamilyWords("Message to", ("endpointUid", "endpointId"), _ENDPOINT_FACTS),
    "test": FamilyWords("Test", (), (("Message", "message"),)),
}

_RESEND = "Every attempt was used up. It can be resent."
_DECIDE = "Nothing was changed. A person must decide."

EVENTS: Mapping[str, EventWords] = {
    "order.created": EventWords("is new"),
    "order.updated": EventWords("changed"),
    "order.paid": EventWords("is paid", "good"),
    "order.cancelled": EventWords("is cancelled", "warn"),
    "order.refunded": EventWords("is refunded", "warn"),
    "order.partially_refunded": EventWords("is refunded in part", "warn"),
    "order.disputed": EventWords(
        "is disputed", "bad", "The customer's bank asks for the money back."
    ),
    "transaction.pending": EventWords("has begun"),
    "transaction.processing": EventWords("is on its way"),
    "transaction.on_hold": EventWords(
        "is on hold", "warn", "A person must look at it before it goes on."
    ),
    "transaction.authorized": EventWords(
        "is authorized", "plain", "The money is reserved, and not captured yet."
    ),
    "transaction.approved": EventWords("is approved", "good"),
    "transaction.declined": EventWords("is declined", "warn"),
    "transaction.failed": EventWords("has failed", "bad"),
    "transaction.cancelled": EventWords("is cancelled", "warn"),
    "transaction.rejected": EventWords("is rejected", "warn"),
    "transaction.conflict": EventWords(
        "has a conflict", "bad", f"A late callback contradicts how it ended. {_DECIDE}"
    ),
    "transaction.reversed": EventWords("took money back", "warn"),
    "subscription.created": EventWords("is new", "good"),
    "subscription.updated": EventWords("changed"),
    "subscription.renewed": EventWords("is renewed", "good"),
    "subscription.cancelled": EventWords("is cancelled", "warn"),
    "subscription.upcoming": EventWords("will renew soon"),
    "subscription.suspended": EventWords("is suspended", "warn"),
    "subscription.expired": EventWords("has expired", "warn"),
    "subscription.payment_failed": EventWords("could not be renewed", "bad"),
    "subscription.trial.started": EventWords("has begun its trial"),
    "subscription.trial.ended": EventWords("has ended its trial"),
    "shipment.created": EventWords("is known to the carrier"),
    "shipment.in_transit": EventWords("is on its way"),
    "shipment.delivered": EventWords("has arrived", "good"),
    "shipment.exception": EventWords("is held up", "bad"),
    "shipment.returned": EventWords("came back", "warn"),
    "shipment.cancelled": EventWords("is cancelled", "warn"),
    "email.sent": EventWords("is sent"),
    "email.delivered": EventWords("is delivered", "good"),
    "email.delayed": EventWords("is delayed", "warn"),
    "email.bounced": EventWords("bounced", "bad"),
    "email.complained": EventWords("is reported as spam", "bad"),
    "email.opened": EventWords("is opened"),
    "email.clicked": EventWords("is clicked"),
    "email.failed": EventWords("has failed", "bad"),
    "email.suppressed": EventWords("was not sent", "warn"),
    "email.unsubscribed": EventWords("made somebody unsubscribe", "warn"),
    "email.resubscribed": EventWords("made somebody subscribe again"),
    "product.created": EventWords("is new"),
    "product.updated": EventWords("changed"),
    "product.stock": EventWords("has another stock"),
    "product.deleted": EventWords("is deleted", "warn"),
    "customer.created": EventWords("is new"),
    "customer.updated": EventWords("changed"),
    "customer.deleted": EventWords("is deleted", "warn"),
    "analytics.pageview": EventWords("is seen"),
    "analytics.custom_event": EventWords("has reported something"),
    "analytics.web_vital": EventWords("has measured its speed"),
    "endpoint.failing": EventWords("is failing", "bad", "Attempts fail, and are made again."),
    "endpoint.paused": EventWords(
        "is paused", "bad", "Nothing but failures for days. Messages are kept."
    ),
    "endpoint.recovered": EventWords("answers again", "good"),
    "endpoint.disabled": EventWords("is disabled", "bad", "Nothing is sent to it."),
    "endpoint.created": EventWords("is added"),
    "endpoint.updated": EventWords("is changed"),
    "endpoint.deleted": EventWords("is deleted", "warn"),
    "delivery.failed": EventWords("has failed", "bad", _RESEND),
    "message.attempt.failing": EventWords(
        "is failing", "warn", "Four attempts failed; more will follow."
    ),
    "message.attempt.exhausted": EventWords("has failed", "bad", _RESEND),
    "message.attempt.recovered": EventWords("is accepted after failures", "good"),
    "test.ping": EventWords("from Tillbell", "good", "This endpoint works."),
}
