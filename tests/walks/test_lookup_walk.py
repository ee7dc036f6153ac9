"""News that proves nothing, of every provider that sends such: nothing moves until it is asked.

By password, by query, through the payer's browser, by a form of one id: whatever the callback
says, the provider's own look-up decides, and only what it says of the same money.
"""

from __future__ import annotations

import socket
from collections.abc import Iterator
from typing import Any

import msgspec
import pytest

from tests.providers.test_every_provider import ALL
from tests.walks.subscribed_shop import SubscribedShop
from tests.web.served_gateway import ServedGateway
from tillbell.model.callbacks import TransactionNotice
from tillbell.model.sources import Trust
from tillbell.model.transactions import TransactionKind, TransactionStatus
from tillbell.money import format_amount
from tillbell.providers import PROVIDERS
from tillbell.providers.kit.base import SourceSetup
from tillbell.testing.behaviours import raw
from tillbell.testing.exchange import ReceiverExchange

pytestmark = pytest.mark.sqlite_first


def hints() -> Iterator[tuple[str, TransactionNotice]]:
    """Go through all cases that say, or may mean, that money came, and do not prove it."""
    for one in ALL:
        trust = one.provider.verify(one.incoming, one.setup).trust
        for said in one.provider.parse(one.incoming, one.setup).notices:
            if isinstance(said, TransactionNotice) and is_hint(said, trust):
                yield f"{one.provider.name}:{one.name}", said


def is_hint(said: TransactionNotice, trust: Trust | None) -> bool:
    is_good = said.status is TransactionStatus.APPROVED and trust is not Trust.SIGNED
    return said.kind is TransactionKind.PAYMENT and (said.is_hint or is_good)


HINTS = dict(hints())
# One of each provider and way. The payer who gave up may come back: of that it is asked later.
ASKED = {
    (name.partition(":")[0], said.is_hint): name
    for name, said in HINTS.items()
    if said.if_silent is None
}.values()


# Where the answers of this file have what is asked for, whatever the provider's own have.
FLAT = {"status": "/status", "amount": "/amount", "currency": "/currency", "minorUnits": False}


class Doubted:
    """A payment that is open, and the callback that hints at it."""

    def __init__(self, served: ServedGateway, name: str, **config: Any) -> None:
        self.served, self.shop = served, SubscribedShop(served)
        provider, _, case = name.partition(":")
        self.provider = PROVIDERS[provider]
        (settings,) = [one.sample.config for one in ALL if one[:2] == (self.provider, case)]
        self.account = self.shop.account(provider, **{**settings, **config})
        self.hint = self.account.says(case)
        self.payment = self.shop.begin(**self._about())
        self.id = self.payment["id"]
        self.asked = 0

    def _about(self) -> dict[str, Any]:
        """Return what the shop knows of the payment that the callback is about."""
        setup = SourceSetup((self.account.secret,), self.account.settings)
        notices = self.provider.parse(self.hint, setup).notices
        (said,) = [one for one in notices if isinstance(one, TransactionNotice)]
        fields: dict[str, Any] = {"amount": "49.90", "currency": "EUR"}
        if said.amount is not None:
            code = said.amount.currency or "EUR"
            is_minor, value = said.amount.is_minor, said.amount.value
            amount = format_amount(int(value), code) if is_minor else value
            fields = {"amount": amount, "currency": code}
        if said.references.ours:
            return {**fields, "orderId": said.references.ours[0]}
        source = {"sourceId": self.account.source["id"]}
        return {**fields, **source, "pspTransactionId": said.references.psp[0]}

    def knows(self, **state: Any) -> None:
        """Let the provider's look-up say this of the payment."""

        async def answer(exchange: ReceiverExchange) -> None:
            self.asked += 1
            await exchange.answer(200, msgspec.json.encode(state))

        self.served.receiver.on(f"/state/{self.id}", answer)

    @property
    def approved(self) -> str:
        """Return the provider's own word for it, ours where it has none."""
        words = self.provider.statuses.items()
        return next(
            (word for word, status in words if status is TransactionStatus.APPROVED), "Approved"
        )

    def told(self, times: int = 1) -> None:
        """Let the provider send, and let the gateway ask as it then does."""
        for _ in range(times):
            assert self.shop.hear(self.hint).status_code < 400
            self.served.do(self.served.gateway.status_checker.check_due())

    def stands(self) -> tuple[str, list[tuple[str, str]], list[str]]:
        """Return its status, its effects, and what a person is asked."""
        status = str(self.shop.shown(self.id)["status"])
        conflicts = self.shop.get("conflict", open="true")["data"]
        return status, self.shop.moved(self.id), [one["kind"] for one in conflicts]


@pytest.fixture
def state_url(served: ServedGateway) -> str:
    return served.receiver.url("/state/{id}")


@pytest.mark.parametrize("name", HINTS)
def test_no_hint_moves_anything_where_nobody_can_be_asked(served: ServedGateway, name: str) -> None:
    doubted = Doubted(served, name)
    doubted.told(2)
    status, effects, _ = doubted.stands()
    assert (status, effects) == ("Pending", [])


@pytest.mark.parametrize("name", ASKED)
def test_what_the_provider_confirms_is_credited_once(
    served: ServedGateway, state_url: str, name: str
) -> None:
    doubted = Doubted(served, name, lookupUrl=state_url, lookup=FLAT)
    amount, currency = doubted.payment["amount"], doubted.payment["currency"]
    doubted.knows(status=doubted.approved, amount=amount, currency=currency)
    doubted.told(3)
    assert doubted.stands() == ("Approved", [("credit", amount)], [])
    assert doubted.asked >= 1
    types = [one["type"] for one in doubted.shop.told()]
    assert types == ["transaction.pending", "transaction.approved"]


# ── what a look-up may do instead; one provider of each way stands for all ───────────────────────

SOME = ["mozarto:approved", "brite:credit", "forumpay:changed", "kopa:returned-authorised"]
WRONG = {
    "resets": None,
    "fails": b"HTTP/1.1 500 Oh\r\nContent-Length: 2\r\n\r\n{}",
    "is moved": b"HTTP/1.1 302 Found\r\nLocation: /paid\r\nContent-Length: 0\r\n\r\n",
    "says nothing": b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}",
    "is a page": b"HTTP/1.1 200 OK\r\nContent-Length: 15\r\n\r\n<p>approved</p>",
    "says another word": b'HTTP/1.1 200 OK\r\nContent-Length: 18\r\n\r\n{"status":"quite"}',
    "breaks off": b'HTTP/1.1 200 OK\r\nContent-Length: 99\r\n\r\n{"status":"confirmed"',
}


@pytest.mark.parametrize("wrong", WRONG)
def test_a_look_up_that_does_not_tell_changes_nothing(
    served: ServedGateway, state_url: str, wrong: str
) -> None:
    doubted = Doubted(served, "forumpay:changed", lookupUrl=state_url, lookup=FLAT)
    said = WRONG[wrong]
    served.receiver.on(f"/state/{doubted.id}", resets if said is None else raw(said))
    doubted.told(2)
    assert doubted.stands() == ("Pending", [], [])
    doubted.knows(status="confirmed", amount="49.90", currency="EUR")
    doubted.told()  # it is asked again with the next hint, and tells
    assert doubted.stands() == ("Approved", [("credit", "49.90")], [])


@pytest.mark.parametrize("name", SOME)
def test_where_nobody_answers_it_stays_open(served: ServedGateway, name: str) -> None:
    doubted = Doubted(served, name, lookupUrl=f"http://127.0.0.1:{closed_port()}/state/{{id}}")
    doubted.told(2)
    assert doubted.stands() == ("Pending", [], [])
    assert len(doubted.shop.told()) == 1


@pytest.mark.parametrize(
    ("name", "amount", "currency"),
    [
        ("mozarto:approved", "0.01", None),
        ("brite:credit", None, "USD"),
        ("forumpay:changed", "-1", None),
        ("kopa:returned-authorised", "49,90", None),
    ],
)
def test_a_look_up_that_tells_of_other_money_asks_a_person(
    served: ServedGateway, state_url: str, name: str, amount: str | None, currency: str | None
) -> None:
    doubted = Doubted(served, name, lookupUrl=state_url, lookup=FLAT)
    due = doubted.payment
    doubted.knows(
        status=doubted.approved,
        amount=amount or due["amount"],
        currency=currency or due["currency"],
    )
    doubted.told(2)
    assert doubted.stands() == ("Pending", [], ["mismatch"])


@pytest.mark.parametrize("name", SOME)
def test_a_look_up_that_says_no_ends_it_or_its_attempt(
    served: ServedGateway, state_url: str, name: str
) -> None:
    doubted = Doubted(served, name, lookupUrl=state_url, lookup=FLAT)
    doubted.knows(status="Declined")
    doubted.told(2)
    may_retry = PROVIDERS[name.partition(":")[0]].payer_may_retry
    assert doubted.stands() == ("Pending" if may_retry else "Declined", [], [])


@pytest.mark.parametrize("name", SOME)
def test_a_hint_of_a_payment_that_nobody_knows_makes_none(served: ServedGateway, name: str) -> None:
    shop = SubscribedShop(served)
    provider, _, case = name.partition(":")
    account = shop.account(provider, lookupUrl=served.receiver.url("/state/{id}"))
    assert shop.hear(account.says(case)).status_code < 400
    assert shop.get("transaction")["data"] == []
    (callback,) = shop.log()
    assert (callback["outcome"], callback["transactionId"]) == ("unmatched", None)


async def resets(exchange: ReceiverExchange) -> None:
    exchange.reset()


def closed_port() -> int:
    """Return a port that was free a moment ago."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        return int(server.getsockname()[1])
