"""Providers that tell their state by a look-up: it moves while callbacks come late and doubled.

A look-up may fail, be slow, or give an old state. The books end at the provider's balance.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import msgspec
import pytest

from tests.money.lives import Account, Event, account
from tests.money.payment_harness import PaymentHarness
from tests.money.test_lives_gateways import klarna, klarna_dispute
from tests.money.test_lives_looked_up import mercado
from tests.scale import IS_WHOLE, seed, soak
from tillbell.errors import ConflictError
from tillbell.process.manual.audited import ActionReason
from tillbell.testing.exchange import ReceiverExchange

pytestmark = pytest.mark.sqlite_first

LIVES_PLAYED = 100 if IS_WHOLE else 3  # of each provider
MOODS = ("fresh", "fresh", "fresh", "old", "failing", "slow")
HOUR_S, DAY_S = 3_601, 86_401


class State(NamedTuple):
    """What a provider answers from a moment on, what is left there, and what it sends then."""

    answer: Mapping[str, Any]
    balance: int
    events: tuple[Event, ...] = ()


class AskedLife(NamedTuple):
    """The states of one payment at a provider, one after another."""

    states: Callable[[int], list[State]]
    names: Callable[[int], Mapping[str, Any]]  # by which the shop knows the payment
    config: Mapping[str, Any] = {}


class ProviderServer:
    """A provider with one payment, which answers in its mood."""

    def __init__(self, payments: PaymentHarness, n: int, states: list[State]) -> None:
        self.states = states
        self.place = 0
        self.mood = "fresh"
        self.during: list[Event] = []  # sent while a slow answer is on its way
        self.shop: Account | None = None
        self.url = payments.harness.receiver.url(f"/payment-{n}")
        payments.harness.receiver.on(f"/payment-{n}", self._tell)

    async def _tell(self, exchange: ReceiverExchange) -> None:
        place, mood = self.place, self.mood
        if mood == "failing":
            await exchange.answer(503, b"")
            return
        if mood == "slow" and self.place + 1 < len(self.states):
            self.mood = "fresh"
            self.place += 1
            assert self.shop is not None
            for event in self.states[self.place].events:
                await self.shop.begin(event)
        answer = self.states[max(0, place - 1) if mood == "old" else place].answer
        await exchange.answer(200, msgspec.json.encode(answer))


# ── Klarna ───────────────────────────────────────────────────────────────────────────────────────


def klarna_states(n: int) -> list[State]:
    """Reserve, capture and refund in parts; a dispute is won, another lost."""
    push = Event({"order_id": f"order-{n}", "event_type": "FRAUD_RISK_ACCEPTED"})
    states = []
    for word, captured, refunded in (
        ("AUTHORIZED", 0, 0),
        ("PART_CAPTURED", 4_000, 0),
        ("CAPTURED", 10_000, 0),
        ("CAPTURED", 10_000, 1_000),
        ("CAPTURED", 10_000, 2_500),
    ):
        answer: Mapping[str, Any] = {
            "status": word,
            "order_amount": 10_000,
            "captured_amount": captured,
            "refunded_amount": refunded,
            "purchase_currency": "EUR",
        }
        states.append(State(answer, captured - refunded, (push,)))
    answer, balance = states[-1].answer, states[-1].balance
    won, lost = klarna_dispute(n, "q", "WON", 5_000), klarna_dispute(n, "r", "LOST", 4_000)
    moves = (-5_000, 0, 5_000, -4_000, 0, 0)
    for event, move in zip((*won, *lost), moves, strict=True):
        balance += move
        states.append(State(answer, balance, (event,)))
    refused = klarna(n, "request.state-change.declined", "x")
    return [states[0]._replace(events=(refused, push)), *states[1:]]


# ── Mercado Pago ─────────────────────────────────────────────────────────────────────────────────


def mercado_states(n: int) -> list[State]:
    about = {"action": "payment.updated", "type": "payment", "data": {"id": f"{n}"}}
    hint = Event({**about, "live_mode": True})
    return [
        State(mercado(word, refunded // 100), balance, (hint,))
        for word, refunded, balance in (
            ("pending", 0, 0),
            ("rejected", 0, 0),
            ("in_process", 0, 0),
            ("authorized", 0, 0),
            ("approved", 0, 10_000),
            ("approved", 1_000, 9_000),
            ("approved", 2_000, 8_000),
            ("in_mediation", 2_000, 8_000),
            ("approved", 2_000, 8_000),
            ("refunded", 10_000, 0),
        )
    ]


# ── Przelewy24 ───────────────────────────────────────────────────────────────────────────────────


def p24_states(n: int) -> list[State]:
    about = {"sessionId": f"{n}", "orderId": n, "merchantId": 1, "currency": "EUR"}
    paid = {**about, "posId": 1, "amount": 10_000, "originAmount": 10_000, "methodId": 154}
    hint = Event({**paid, "statement": "p24-A"})

    def refund(uuid: str, status: int) -> Event:
        return Event({**about, "refundsUuid": uuid, "amount": 1_000, "status": status})

    def state(status: str, balance: int, *events: Event) -> State:
        answer = {"data": {"status": status, "amount": 10_000, "currency": "EUR"}}
        return State(answer, balance, events)

    return [
        state("0", 0),
        state("1", 0, hint),
        state("2", 10_000, hint),
        state("2", 9_000, refund("u1", 0)),
        state("2", 9_000, refund("u2", 1)),
        state("2", 8_000, refund("u3", 0)),
    ]


# ── ForumPay, Brite, Neosurf ─────────────────────────────────────────────────────────────────────


def forumpay_states(n: int) -> list[State]:
    """The first payment of an order is given up, and another one is paid."""
    words = ("waiting", "cancelled", "waiting", "processing", "underpayment", "confirmed")
    return [
        State(
            {"status": word, "invoice_amount": "100.00", "invoice_currency": "EUR"},
            10_000 * (word == "confirmed"),
            (Event({"payment_id": f"{'ab'[place > 1]}{n}", "reference_no": f"{n}"}),),
        )
        for place, word in enumerate(words)
    ]


def brite_states(n: int) -> list[State]:
    def state(word: int, own_id: str) -> State:
        fields = {
            "transaction_id": f"{own_id}{n}",
            "session_id": f"{n}",
            "transaction_state": word,
        }
        answer = {"status": word, "amount": "100.00", "currency": "EUR"}
        return State(answer, 10_000 * (word == 5), (Event(fields),))

    return [state(1, "a"), state(3, "a"), state(1, "b"), state(4, "b"), state(5, "b")]


def neosurf_states(n: int) -> list[State]:
    def state(word: str, own_id: str) -> State:
        fields = {
            "transactionId": f"{own_id}{n}",
            "merchantTransactionId": f"{n}",
            "status": word,
            "amount": "10000",
            "currency": "eur",
        }
        answer = {"status": word, "amount": "100.00", "currency": "EUR"}
        return State(answer, 10_000 * (word == "ok"), (Event(fields),))

    return [state("pending", "a"), state("ko", "a"), state("pending", "b"), state("ok", "b")]


INVOICE = {"lookup": {"amount": "/invoice_amount", "currency": "/invoice_currency"}}
LIVES: Mapping[str, AskedLife] = {
    "klarna": AskedLife(
        klarna_states,
        lambda n: {"psp_transaction_id": f"order-{n}"},
        {"partialCapture": "credit"},
    ),
    "mercadopago": AskedLife(mercado_states, lambda n: {"psp_transaction_id": f"{n}"}),
    "przelewy24": AskedLife(p24_states, lambda _: {}),
    "forumpay": AskedLife(forumpay_states, lambda _: {}, INVOICE),
    "brite": AskedLife(brite_states, lambda _: {}),
    "neosurf": AskedLife(neosurf_states, lambda _: {}),
}


@soak
@pytest.mark.parametrize("provider", LIVES)
async def test_the_books_end_as_what_the_provider_answers_does(
    payments: PaymentHarness, provider: str
) -> None:
    chance = random.Random(seed())
    for n in range(1_000, 1_000 + LIVES_PLAYED):
        life = LIVES[provider]
        server = ProviderServer(payments, n, life.states(n))
        shop = server.shop = await account(payments, provider, lookupUrl=server.url, **life.config)
        await payments.create(f"{n}", source_id=shop.source.id, **life.names(n))
        log = await play(server, shop, chance)

        for wait in (301, HOUR_S, DAY_S):
            await payments.pass_time(wait)
            await payments.gateway.status_checker.check_due()
            await payments.gateway.unmatched_callbacks.retry_due()
            await payments.idle()
        asked = [conflict.why for conflict in await payments.conflicts(f"{n}")]
        balance = await payments.balance(f"{n}")
        assert (balance, asked) == (server.states[-1].balance, []), log


async def play(server: ProviderServer, shop: Account, chance: random.Random) -> list[str]:
    """Let the state move, and its events come twice, late and in another order; return both."""
    waiting: list[Event] = []
    log: list[str] = []
    while True:
        place = server.place
        waiting += [*server.states[place].events] * 2
        chance.shuffle(waiting)
        late = chance.randint(0, len(waiting) // 2)
        sent, waiting = waiting[late:], waiting[:late]
        for event in sent:
            server.mood = chance.choice(MOODS)
            log.append(f"{server.place}: {len(sent)} events, {server.mood}")
            await shop.send(event)
            await shop.payments.gateway.status_checker.check_due()
            await shop.payments.idle()
        if server.place + 1 == len(server.states):
            break
        server.place += 1
    server.mood = chance.choice(("fresh", "failing"))
    log.append(f"end: {len(waiting)} events, {server.mood}")
    for event in waiting:
        await shop.send(event)
        await shop.payments.gateway.status_checker.check_due()
    server.mood = "fresh"
    return log


async def test_a_word_of_a_look_up_that_is_not_known_cannot_be_accepted(
    payments: PaymentHarness,
) -> None:
    server = ProviderServer(
        payments, 77, [State(mercado(word), 0) for word in ("approved", "charged_back")]
    )
    shop = await account(payments, "mercadopago", lookupUrl=server.url)
    await payments.create("77", psp_transaction_id="77")
    about = {"action": "payment.updated", "type": "payment", "data": {"id": "77"}}
    for server.place in range(2):
        await shop.send(Event({**about, "live_mode": True}))
        await payments.gateway.status_checker.check_due()

    (conflict,) = await payments.conflicts()
    with pytest.raises(ConflictError, match="reverse"):
        await payments.accept(conflict.id)
    await payments.gateway.manual_actions.reverse(
        payments.app_id, "77", 10_000, ActionReason("key_1", "charged back")
    )
    await payments.keep(conflict.id)
    assert (await payments.balance("77"), await payments.conflicts()) == (0, [])
