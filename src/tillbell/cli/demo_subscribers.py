"""The subscribers of the demo, the events of the shop, and the journal that compares both.

The subscribers are real HTTP servers that check each signature with `tillbell.verify`, as a
customer's would. A message is lost if the shop published it and a subscriber did not note it;
the gateway itself is not asked.
"""

from __future__ import annotations

import copy
import json
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

from tillbell.catalog import CATALOG
from tillbell.clock import Clock, iso
from tillbell.testing.exchange import Behaviour, ReceiverExchange
from tillbell.verify import VerificationError, verify

_ORDERS = ("order.created", "order.paid", "order.refunded")
_MONEY = ("transaction.pending", "transaction.approved", "transaction.declined")
_MAIL = ("email.delivered", "email.bounced")
_GOODS = ("shipment.created", "shipment.delivered")


class Subscriber(NamedTuple):
    """One system that subscribes, and the profile it wants."""

    uid: str
    profile: str
    event_types: tuple[str, ...]
    description: str
    refuses_every: int = 0  # 3: every third request is answered 503; 1: each; 0: none


SUBSCRIBERS = (
    Subscriber("ledger", "standard", _ORDERS + _MONEY + _MAIL, "Ledger"),
    Subscriber("erp", "standard", _ORDERS + _GOODS, "ERP", refuses_every=3),
    Subscriber("storefront", "shoppex", _ORDERS, "Storefront"),
    Subscriber("school", "zenofy", ("order.paid", "order.refunded"), "School"),
    Subscriber("treasury", "mozarto", _MONEY, "Treasury"),
    Subscriber("old-warehouse", "standard", _GOODS, "Old warehouse", refuses_every=1),
)
# One round: the shop publishes an event, or a provider sends callbacks (`PAYMENT`, `MAIL`).
PAYMENT, MAIL = "payment", "mail"
EVENTS = (
    "order.created",
    PAYMENT,
    "order.paid",
    MAIL,
    "shipment.created",
    "shipment.delivered",
    "order.created",
    PAYMENT,
    MAIL,
    "order.paid",
    "order.refunded",
)
_PRICES = ("29.99", "149.99", "8.50", "1290.00", "64.00")


def payload_of(event_type: str, number: int, clock: Clock) -> dict[str, Any]:
    """Return a payload: the catalogue's sample with the time of now and its own order number."""
    payload = copy.deepcopy(CATALOG[event_type].sample)
    payload["timestamp"] = iso(clock.now())
    data = payload["data"]
    if "number" in data:
        data["number"] = f"ORD-{1000 + number}"
    if "amount" in data:
        data["amount"] = _PRICES[number % len(_PRICES)]
    return payload


def summary_of(payload: dict[str, Any]) -> str:
    """Return number and amount of a payload in a few words: `ORD-1003 29.99 EUR`."""
    data = payload["data"]
    amount = f"{data['amount']} {data['currency']}" if "amount" in data else ""
    return " ".join(filter(None, (data.get("number") or data.get("trackingNumber"), amount)))


def event_of(profile: str, body: bytes) -> str:
    """Return the event that a callback led to, as `email.bounced em-3`; "" for other deliveries."""
    content = json.loads(body)
    if profile == "mozarto":
        status = content["transaction_status"].lower().replace(" ", "_")
        return f"transaction.{status} {content['merchantReference']}"
    if profile == "standard" and content["type"].startswith(("transaction.", "email.")):
        return f"{content['type']} {content['data'].get('uid') or content['data']['id']}"
    return ""


def _expecting(event_type: str) -> Iterator[str]:
    """Yield who should receive an event: not who refuses everything."""
    for subscriber in SUBSCRIBERS:
        if event_type in subscriber.event_types and subscriber.refuses_every != 1:
            yield subscriber.uid


class DemoJournal:
    """What each subscriber should receive, and what it has received."""

    def __init__(self) -> None:
        self.published = 0
        self.callbacks = 0  # sent by providers
        self.expected: set[tuple[str, str]] = set()  # (subscriber, message id or event)
        self.received: set[tuple[str, str]] = set()
        self.delivered: set[tuple[str, str]] = set()  # (subscriber, message id)
        self.duplicates = 0  # events that a subscriber got in two messages
        self.forged = 0  # requests whose signature was wrong
        self.on_received: Callable[[], None] = lambda: None

    @property
    def lost(self) -> set[tuple[str, str]]:
        """What subscribers should have received and have not."""
        return self.expected - self.received

    def note_published(self, event_type: str, message_id: str) -> None:
        """Note who should receive a message."""
        self.published += 1
        self.expected |= {(uid, message_id) for uid in _expecting(event_type)}

    def note_callback(self, event_type: str, about: str) -> None:
        """Note who should receive the event that follows from a provider's callback."""
        event = f"{event_type} {about}"
        self.expected |= {(uid, event) for uid in _expecting(event_type)}

    def _note_delivery(self, subscriber: Subscriber, message_id: str, body: bytes) -> None:
        is_new = (subscriber.uid, message_id) not in self.delivered
        self.delivered.add((subscriber.uid, message_id))
        event = subscriber.uid, event_of(subscriber.profile, body)
        self.duplicates += is_new and bool(event[1]) and event in self.received
        self.received |= {(subscriber.uid, message_id), event}

    def behaviour_of(self, subscriber: Subscriber, secret: str) -> Behaviour:
        """Return how a subscriber behaves: verify, note, answer 200; or 503 by `refuses_every`."""

        async def behave(exchange: ReceiverExchange) -> None:
            request = exchange.request
            try:
                verify(request.body, request.headers, secret, profile=subscriber.profile)
            except VerificationError:
                self.forged += 1
                await exchange.answer(401)
                return
            if subscriber.refuses_every and exchange.nth % subscriber.refuses_every == 0:
                await exchange.answer(503)
                return
            self._note_delivery(subscriber, request.header("webhook-id") or "", request.body)
            await exchange.answer(200)
            self.on_received()

        return behave
