"""Who plays in the demo: the shop, its subscribers, and the books they keep.

The subscribers are real HTTP servers that check each signature with `tillbell.verify`, as
a customer's would. Whether anything was lost is told by comparing what the shop published
with what the subscribers themselves have written down; the gateway is not asked.
"""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any, NamedTuple

from tillbell.catalog import CATALOG
from tillbell.clock import Clock, iso
from tillbell.testing.receiver import Behaviour, Exchange
from tillbell.verify import VerificationError, verify

_ORDERS = ("order.created", "order.paid", "order.refunded")
_MONEY = ("transaction.pending", "transaction.approved", "transaction.declined")
_GOODS = ("shipment.created", "shipment.delivered")


class Subscriber(NamedTuple):
    """One system that wants to know, and the dialect it speaks."""

    uid: str
    profile: str
    event_types: tuple[str, ...]
    refuses_every: int = 0  # every so manieth request is answered 503


SUBSCRIBERS = (
    Subscriber("ledger", "standard", _ORDERS + _MONEY),
    Subscriber("erp", "standard", _ORDERS + _GOODS, refuses_every=3),
    Subscriber("storefront", "shoppex", _ORDERS),
    Subscriber("school", "zenofy", ("order.paid", "order.refunded")),
    Subscriber("treasury", "mozarto", _MONEY),
)
STORY = (
    "order.created",
    "transaction.pending",
    "transaction.approved",
    "order.paid",
    "shipment.created",
    "shipment.delivered",
    "order.created",
    "transaction.pending",
    "transaction.declined",
    "order.paid",
    "order.refunded",
)
_PRICES = ("29.99", "149.99", "8.50", "1290.00", "64.00")


def payload_of(event_type: str, number: int, clock: Clock) -> dict[str, Any]:
    """Make a message of the shop: the catalogue's sample as of now, with a number of its own."""
    made = copy.deepcopy(CATALOG[event_type].sample)
    made["timestamp"] = iso(clock.now())
    facts = made["data"]
    if "number" in facts:
        facts["number"] = f"ORD-{1000 + number}"
    if "amount" in facts:
        facts["amount"] = _PRICES[number % len(_PRICES)]
    return made


def gist_of(payload: dict[str, Any]) -> str:
    """Say in a few words what a message is about."""
    facts = payload["data"]
    amount = f"{facts['amount']} {facts['currency']}" if "amount" in facts else ""
    return " ".join(filter(None, (facts.get("number") or facts.get("trackingNumber"), amount)))


class Books:
    """What was published for whom, and what each subscriber has written down."""

    def __init__(self) -> None:
        self.published = 0
        self.owed: set[tuple[str, str]] = set()  # (subscriber, message id)
        self.received: set[tuple[str, str]] = set()
        self.forged = 0  # requests whose signature was wrong
        self.on_received: Callable[[], None] = lambda: None

    @property
    def lost(self) -> set[tuple[str, str]]:
        """What a subscriber should have and has not."""
        return self.owed - self.received

    def note_published(self, event_type: str, message_id: str) -> None:
        """Write down who is owed a message."""
        self.published += 1
        self.owed |= {(s.uid, message_id) for s in SUBSCRIBERS if event_type in s.event_types}

    def behaviour_of(self, subscriber: Subscriber, secret: str) -> Behaviour:
        """Return how a subscriber answers: verify, write down, 200; or 503 when it is in a mood."""

        async def behave(exchange: Exchange) -> None:
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
            self.received.add((subscriber.uid, request.header("webhook-id") or ""))
            await exchange.answer(200)
            self.on_received()

        return behave
