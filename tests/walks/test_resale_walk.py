"""A platform's webhook comes in, proven its way, and goes out in the way of another platform.

Shoppex, Zenofy and Mozarto call our source; each other profile has a receiver that was written
from that platform's own document, or with its own library, and believes nothing else.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import NamedTuple

import pytest
import standardwebhooks
import svix.webhooks

from tests.profiles import receivers
from tests.walks.subscribed_shop import ProviderAccount, SubscribedShop, Subscriber
from tests.web.served_gateway import ServedGateway
from tillbell.profiles import PROFILES

pytestmark = pytest.mark.sqlite_first

PAYER = "user_123"
PASSWORD = "password-of-the-merchant-01"
PASSWORDS = ("zenofy", "mozarto", "mozarto-legacy")  # they have none unless one is agreed


class Sender(NamedTuple):
    """What a platform says of one payment."""

    case: str
    order_id: str
    amount: str
    currency: str
    tells_orders: bool = True


SENDERS = {
    "shoppex": Sender("order-paid-product", "shx_7c41d0a2b9", "29.99", "USD"),
    "zenofy": Sender("order-paid", "673f92b2c3d94a0012ab0c01", "149.99", "MZN"),
    "mozarto": Sender("approved", "PAY-1001", "100.00", "EUR", tells_orders=False),
}
CHATS = {"slack", "discord", "teams"}  # people read them, no program
PAIRS = [
    (sender, profile)
    for sender in SENDERS
    for profile in PROFILES
    if profile != sender and profile not in CHATS
]

# ── what a subscriber does with what it gets ─────────────────────────────────────────────────────

Reading = Callable[[bytes, Mapping[str, str], str], str]


def platform(receiver: Callable[[bytes, Mapping[str, str], str], tuple[int, str]]) -> Reading:
    def read(body: bytes, headers: Mapping[str, str], secret: str) -> str:
        status, done = receiver(body, headers, secret)
        assert status == 200
        assert receiver(body, headers, "another secret")[0] == 401
        return done

    return read


def standard(body: bytes, headers: Mapping[str, str], secret: str) -> str:
    standardwebhooks.Webhook(secret).verify(body, dict(headers))
    return str(json.loads(body)["type"])


def by_svix(body: bytes, headers: Mapping[str, str], secret: str) -> str:
    svix.webhooks.Webhook(secret).verify(body, dict(headers))
    return str(json.loads(body)["type"])


def cloud_event(body: bytes, headers: Mapping[str, str], secret: str) -> str:
    assert json.loads(body)["specversion"] == "1.0"
    return standard(body, headers, secret)


READINGS: Mapping[str, Reading] = {
    "standard": standard,
    "svix": by_svix,
    "cloudevents": cloud_event,
    "shoppex": platform(receivers.shoppex),
    "zenofy": platform(receivers.zenofy),
    "mozarto": platform(receivers.mozarto),
    "mozarto-legacy": platform(receivers.mozarto_legacy),
}


def due(sender: Sender, profile: str) -> list[str]:
    """Return what a subscriber of that profile has done in the end; a payment is no order."""
    if profile == "mozarto":
        return [f"credit {PAYER} {sender.amount}"]
    if profile == "mozarto-legacy":
        return [f"credit {PAYER}"]
    orders = {
        "shoppex": ["OK", f"fulfil {sender.order_id}"],
        "zenofy": [f"order_paid PAID {sender.order_id}"],
    }.get(profile, ["order.paid"])
    payments = [] if profile in ("shoppex", "zenofy") else ["transaction.approved"]
    return (orders if sender.tells_orders else []) + payments


# ── the walks ────────────────────────────────────────────────────────────────────────────────────


class Resale:
    """One platform's account, and a subscriber who knows another platform."""

    def __init__(self, served: ServedGateway, sender: str, profile: str) -> None:
        self.shop, self.sender = SubscribedShop(served), SENDERS[sender]
        self.account: ProviderAccount = self.shop.account(sender, confirm="trust")
        self.paid = self.shop.begin(
            orderId=self.sender.order_id,
            amount=self.sender.amount,
            currency=self.sender.currency,
            userId=PAYER,
        )
        secret = PASSWORD if profile in PASSWORDS else None
        self.subscriber = Subscriber(self.shop, profile, secret)

    def done(self) -> list[str]:
        """Return what the subscriber did, when all that the callbacks led to is delivered."""
        self.shop.delivered()
        read, secret = READINGS[self.subscriber.profile], self.subscriber.secret
        return sorted(
            read(one.body, dict(one.headers), secret) for one in self.subscriber.arrivals()
        )


@pytest.mark.parametrize(("sender", "profile"), PAIRS)
def test_what_one_platform_says_another_platforms_merchant_believes(
    served: ServedGateway, sender: str, profile: str
) -> None:
    resale = Resale(served, sender, profile)
    said = resale.account.says(resale.sender.case)
    assert resale.shop.hear(said, said).status_code == 200  # it comes twice, as it may
    assert resale.shop.shown(resale.paid["id"])["status"] == "Approved"
    assert resale.done() == due(resale.sender, profile)


@pytest.mark.parametrize("sender", SENDERS)
def test_what_the_platform_did_not_say_goes_nowhere(served: ServedGateway, sender: str) -> None:
    resale = Resale(served, sender, "standard")
    forged = resale.account.says(resale.sender.case, secret="secret-of-somebody-else-0123")
    assert resale.shop.hear(forged).status_code == 401
    assert resale.shop.shown(resale.paid["id"])["status"] == "Pending"
    assert resale.done() == []


@pytest.mark.parametrize("sender", ["zenofy", "mozarto"])
def test_who_knows_the_password_is_believed_only_where_the_owner_says_so(
    served: ServedGateway, sender: str
) -> None:
    resale = Resale(served, sender, "standard")
    careful = resale.shop.account(sender)
    assert resale.shop.hear(careful.says(resale.sender.case)).status_code == 200
    assert resale.shop.shown(resale.paid["id"])["status"] == "Pending"
    assert resale.done() == ["transaction.conflict"]  # a person is asked
