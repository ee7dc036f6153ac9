"""Who plays in the demo: the shop, its subscribers, and the books they keep.

The subscribers are real HTTP servers that check each signature with `tillbell.verify`, as
a customer's would. Whether anything was lost is told by comparing what the shop published
with what the subscribers themselves have written down; the gateway is not asked.
"""

from __future__ import annotations

import copy
import json
from collections.abc import Callable
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
    """One system that wants to know, and the dialect it speaks."""

    uid: str
    profile: str
    event_types: tuple[str, ...]
    refuses_every: int = 0  # every so manieth request is answered 503


SUBSCRIBERS = (
    Subscriber("ledger", "standard", _ORDERS + _MONEY + _MAIL),
    Subscriber("erp", "standard", _ORDERS + _GOODS, refuses_every=3),
    Subscriber("storefront", "shoppex", _ORDERS),
    Subscriber("school", "zenofy", ("order.paid", "order.refunded")),
    Subscriber("treasury", "mozarto", _MONEY),
)
# What happens, over and over: the shop publishes, or a provider of it is heard (`PAYMENT`, `MAIL`).
PAYMENT, MAIL = "payment", "mail"
STORY = (
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
    """Make a message of the shop: the catalogue's sample as of now, with a number of its own."""
    made = copy.deepcopy(CATALOG[event_type].sample)
    made["timestamp"] = iso(clock.now())
    facts = made["data"]
    if "number" in facts:
        facts["number"] = f"ORD-{1000 + number}"
    if "amount" in facts:
        facts["amount"] = _PRICES[number % len(_PRICES)]
    return made


def summary_of(payload: dict[str, Any]) -> str:
    """Say in a few words what a message is about."""
    facts = payload["data"]
    amount = f"{facts['amount']} {facts['currency']}" if "amount" in facts else ""
    return " ".join(filter(None, (facts.get("number") or facts.get("trackingNumber"), amount)))


def fact_of(profile: str, body: bytes) -> str:
    """Say what a delivery is about, if a provider's callback led to it: `email.bounced em-3`."""
    told = json.loads(body)
    if profile == "mozarto":
        status = told["transaction_status"].lower().replace(" ", "_")
        return f"transaction.{status} {told['merchantReference']}"
    if profile == "standard" and told["type"].startswith(("transaction.", "email.")):
        return f"{told['type']} {told['data'].get('uid') or told['data']['id']}"
    return ""


class DemoJournal:
    """What was published for whom, and what each subscriber has written down."""

    def __init__(self) -> None:
        self.published = 0
        self.heard = 0  # callbacks of providers
        self.owed: set[tuple[str, str]] = set()  # (subscriber, message id or fact)
        self.received: set[tuple[str, str]] = set()
        self.delivered: set[tuple[str, str]] = set()  # (subscriber, message id)
        self.twice = 0  # facts that a subscriber was told in two messages
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

    def note_received(self, event_type: str, about: str) -> None:
        """Write down who is owed the news that a provider's callback leads to."""
        fact = f"{event_type} {about}"
        self.owed |= {(s.uid, fact) for s in SUBSCRIBERS if event_type in s.event_types}

    def _write_down(self, subscriber: Subscriber, message_id: str, body: bytes) -> None:
        is_new = (subscriber.uid, message_id) not in self.delivered
        self.delivered.add((subscriber.uid, message_id))
        fact = subscriber.uid, fact_of(subscriber.profile, body)
        self.twice += is_new and bool(fact[1]) and fact in self.received
        self.received |= {(subscriber.uid, message_id), fact}

    def behaviour_of(self, subscriber: Subscriber, secret: str) -> Behaviour:
        """Return how a subscriber answers: verify, write down, 200; or 503 when it is in a mood."""

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
            self._write_down(subscriber, request.header("webhook-id") or "", request.body)
            await exchange.answer(200)
            self.on_received()

        return behave
