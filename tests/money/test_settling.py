"""What a callback about money does: matched, judged, told to subscribers, in one commit."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from tests.flow.world import START, World
from tests.money.teller import (
    APPROVED,
    DECLINED,
    FAILED,
    ON_HOLD,
    PAY_OUT,
    PENDING,
    PROCESSING,
    REJECTED,
    Teller,
    linked,
    news,
)
from tests.patience import PATIENCE_S
from tillbell.clock import HOUR, SECOND
from tillbell.errors import StoreUnavailable
from tillbell.model.callbacks import Callback, ForwardNotice, Outcome, ProviderAmount, References
from tillbell.model.sources import Source
from tillbell.model.transactions import TransactionKind, TransactionStatus
from tillbell.testing import ManualClock


async def test_an_approved_pay_in_is_credited_and_told_once(till: Teller, psp: Source) -> None:
    made = await till.create("O", user_id="u1", merchant_reference="M")
    approved = news("O", APPROVED, psp_transaction_id="P1", amount="100.00", raw_status="ok")

    callback = await till.tell(psp, approved)

    assert (callback.outcome, callback.transaction_id) == (Outcome.APPLIED, made.id)
    _, message = await till.messages()
    assert callback.message_ids == (message.id,)
    assert (message.event_type, message.order_key) == ("transaction.approved", made.id)
    assert message.channels == (f"source:{psp.id}",)
    data = await till.data(message)
    assert (data["previousStatus"], data["status"], data["sequence"]) == ("Pending", "Approved", 2)
    assert (data["amount"], data["currency"], data["type"]) == ("100.00", "EUR", "payment")
    assert (data["pspTransactionId"], data["rawStatus"]) == ("P1", "ok")
    assert await till.moved("O") == [("credit", "100.00")]


@pytest.mark.parametrize("status", [PROCESSING, REJECTED])
async def test_a_pay_in_has_no_such_status(
    till: Teller, psp: Source, status: TransactionStatus
) -> None:
    await till.create("O")

    callback = await till.tell(psp, news("O", status))

    assert callback.outcome is Outcome.ILLEGAL
    assert await till.status("O") is PENDING


async def test_a_word_that_no_table_knows_is_not_guessed(till: Teller, psp: Source) -> None:
    await till.create("O")

    callback = await till.tell(psp, news("O", None))

    assert callback.outcome is Outcome.UNMAPPED
    assert "'nonsense'" in callback.why


@pytest.mark.parametrize("status", [DECLINED, FAILED, REJECTED])
async def test_what_was_reserved_is_released_once(
    till: Teller, psp: Source, status: TransactionStatus
) -> None:
    await till.create("W", PAY_OUT, reserves=True)

    await till.tell(psp, news("W", status))
    stale = await till.tell(psp, news("W", FAILED if status is not FAILED else DECLINED))

    assert stale.outcome is Outcome.STALE
    assert await till.moved("W") == [("reserve", "100.00"), ("release", "100.00")]
    assert (await till.told()).total() == 2


# ── amounts ──────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    "amount",
    [
        ProviderAmount("99.99", "EUR"),
        ProviderAmount("100.00", "USD"),
        ProviderAmount("1E2", "EUR"),
        ProviderAmount("100.001", "EUR"),
    ],
)
async def test_an_amount_that_does_not_agree_is_shown_and_not_credited(
    till: Teller, psp: Source, amount: ProviderAmount
) -> None:
    await till.create("O")

    first = await till.tell(psp, news("O", APPROVED, amount=amount))
    again = await till.tell(psp, news("O", APPROVED, amount=amount))

    assert (first.outcome, again.outcome) == (Outcome.MISMATCH, Outcome.MISMATCH)
    assert await till.status("O") is PENDING
    assert [one.kind for one in await till.conflicts()] == ["mismatch"]
    assert (await till.told())["transaction.conflict"] == 1


async def test_too_much_is_credited_as_expected_and_the_rest_is_shown(
    till: Teller, psp: Source
) -> None:
    await till.create("O")

    callback = await till.tell(psp, news("O", APPROVED, amount="100.01"))

    assert callback.outcome is Outcome.APPLIED
    assert await till.moved("O") == [("credit", "100.00")]
    assert [(one.kind, one.amount) for one in await till.conflicts()] == [("mismatch", 10_001)]


async def test_a_settlement_in_another_currency_is_kept_beside(till: Teller, psp: Source) -> None:
    await till.create("O")

    await till.tell(psp, news("O", APPROVED, settlement=ProviderAmount("0.00150000", "BTC")))

    found = await till.read("O")
    assert (found.status, found.settlement_amount, found.settlement_currency) == (
        APPROVED,
        150_000,
        "BTC",
    )


async def test_two_pending_refunds_cannot_both_take_the_whole(till: Teller, psp: Source) -> None:
    await till.create("O")
    await till.tell(psp, news("O", APPROVED))
    for own_id in ("R1", "R2"):
        refund = linked("O", TransactionKind.REFUND, own_id, status=PENDING, amount="60.00")
        await till.tell(psp, refund)

    for own_id in ("R1", "R2"):
        await till.send(psp, linked("O", TransactionKind.REFUND, own_id, amount="60.00"))
    await till.idle()

    outcomes = [one.outcome for one in await till.callbacks()][-2:]
    assert outcomes == [Outcome.APPLIED, Outcome.MISMATCH]
    assert await till.moved("O") == [("credit", "100.00"), ("debit", "60.00")]


# ── which transaction ────────────────────────────────────────────────────────────────────────────


async def test_what_the_provider_calls_it_is_learned_and_finds_it(
    till: Teller, psp: Source
) -> None:
    await till.create("O")
    await till.tell(psp, news("O", PENDING, psp_transaction_id="P1", substate="authorized"))
    found = await till.read("O")
    assert (found.psp_transaction_id, found.substate, found.sequence) == ("P1", "authorized", 1)

    nameless = news("", APPROVED, references=References((), ("P1",)))
    callback = await till.tell(psp, nameless)

    assert callback.outcome is Outcome.APPLIED


async def test_one_payment_of_the_provider_is_not_counted_for_two(
    till: Teller, psp: Source
) -> None:
    await till.create("first")
    await till.create("second")
    await till.tell(psp, news("first", APPROVED, psp_transaction_id="P1"))

    callback = await till.tell(psp, news("second", APPROVED, psp_transaction_id="P1"))

    assert callback.outcome is Outcome.UNMATCHED
    assert await till.moved("second") == []


async def test_a_callback_that_comes_first_is_applied_when_its_transaction_appears(
    till: Teller, psp: Source
) -> None:
    early = await till.tell(psp, news("O", APPROVED))
    assert early.outcome is Outcome.UNMATCHED

    await till.create("O")
    await till.idle()

    assert await till.status("O") is APPROVED
    assert [one.outcome for one in await till.callbacks()] == [Outcome.APPLIED]


async def decided(till: Teller) -> Callback:
    """Return the callback once it is decided: the chore may be at it beside us."""
    (callback,) = await till.callbacks()
    while callback.outcome is None:
        await asyncio.sleep(0)
        await till.idle()
        (callback,) = await till.callbacks()
    return callback


async def test_it_is_looked_at_for_72_hours_and_no_longer(till: Teller, psp: Source) -> None:
    await till.tell(psp, news("O", APPROVED))
    waits = []
    for _ in range(40):
        callback = await decided(till)
        if callback.retry_at is None:
            break
        wait = callback.retry_at - till.world.clock.now()
        waits.append(wait)
        await till.pass_time(wait / SECOND + 31)
        await till.gateway.unmatched_callbacks.retry_due()
        await till.idle()

    callback = await decided(till)
    assert (callback.outcome, callback.retry_at) == (Outcome.UNMATCHED, None)
    assert sum(waits) <= 72 * HOUR < sum(waits) + HOUR
    assert len(waits) < 20


async def test_of_a_batch_what_is_known_is_applied_and_the_rest_waits(
    till: Teller, psp: Source
) -> None:
    await till.create("here")

    callback = await till.tell(psp, news("here", APPROVED), news("there", APPROVED))
    assert callback.outcome is Outcome.UNMATCHED
    assert await till.status("here") is APPROVED
    await till.create("there")
    await till.idle()

    assert await till.status("there") is APPROVED
    assert (await till.told())["transaction.approved"] == 2


async def test_what_is_passed_on_beside_is_passed_on_once(till: Teller, psp: Source) -> None:
    await till.tell(psp, ForwardNotice("order.paid", b"{}"), news("nobody", APPROVED))
    await till.create("nobody")
    await till.idle()

    assert (await till.told())["order.paid"] == 1


async def test_a_shops_order_is_no_missing_transaction(till: Teller, psp: Source) -> None:
    callback = await till.tell(psp, news("O", APPROVED, is_optional=True))

    assert callback.outcome is Outcome.NOTED


# ── many at once, and after a stop ───────────────────────────────────────────────────────────────


async def test_two_hundred_copies_at_once_have_one_effect(till: Teller, psp: Source) -> None:
    await till.create("O", order_id="order", merchant_reference="M")

    for number in range(200):
        name = ("O", "order", "M")[number % 3]
        await till.send(psp, news(name, APPROVED), key=f"event {number % 50}")
    await till.idle()

    assert await till.moved("O") == [("credit", "100.00")]
    assert (await till.told())["transaction.approved"] == 1
    assert {one.outcome for one in await till.callbacks()} == {Outcome.APPLIED, Outcome.DUPLICATE}


async def test_a_store_that_is_away_for_minutes_loses_nothing(
    till: Teller, psp: Source, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = till.world.clock
    assert isinstance(clock, ManualClock)
    await till.create("O")
    away = Away(till.books.candidate_transactions, 100)
    monkeypatch.setattr(till.books, "candidate_transactions", away.candidate_transactions)

    await till.send(psp, news("O", APPROVED))
    while away.left:
        await asyncio.wait_for(away.asked.wait(), PATIENCE_S)
        away.asked.clear()
        asyncio.get_running_loop().call_soon(clock.advance, 2)
    await till.idle()

    assert await till.moved("O") == [("credit", "100.00")]


class Away:
    """A read that fails so many times."""

    def __init__(self, read: Callable[..., Awaitable[Any]], times: int) -> None:
        self._read = read
        self.left = times
        self.asked = asyncio.Event()

    async def candidate_transactions(self, *arguments: Any) -> Any:
        if self.left:
            self.left -= 1
            self.asked.set()
            raise StoreUnavailable("away")
        return await self._read(*arguments)


async def test_callbacks_of_one_transaction_are_decided_in_the_order_they_came(
    till: Teller, psp: Source
) -> None:
    await till.create("W", PAY_OUT)
    for status in (ON_HOLD, PROCESSING, APPROVED):
        await till.send(psp, news("W", status))
    await till.idle()

    steps = [one.status for one in await till.steps("W")]
    assert steps == [PENDING, ON_HOLD, PROCESSING, APPROVED]


async def test_a_reversal_is_told_for_the_payment_too(till: Teller, psp: Source) -> None:
    payment = await till.create("O")
    await till.tell(psp, news("O", APPROVED))

    await till.tell(psp, linked("O", TransactionKind.CHARGEBACK, "D1"))

    (told,) = [one for one in await till.messages() if one.event_type == "transaction.reversed"]
    data = await till.data(told)
    assert (told.order_key, data["parentId"]) == (data["id"], payment.id)


async def test_what_was_stored_and_not_decided_is_decided_after_the_next_start(
    till: Teller, psp: Source, world_of_till: World
) -> None:
    await till.create("O")
    till.gateway.receiver.processor = Asleep()
    await till.send(psp, news("O", APPROVED))
    assert await till.status("O") is PENDING

    await world_of_till.stop()
    await world_of_till.start()
    again = Teller(world_of_till)
    again.gateway.source_cache.providers = till.gateway.source_cache.providers
    await again.gateway.source_cache.load()
    await again.gateway.reprocessor.recover_all()
    await again.idle()

    assert await again.status("O") is APPROVED


class Asleep:
    """A processor that forgets what it is given."""

    is_behind = False

    def hand_over(self, *_: object) -> None:
        pass


@pytest.fixture
def world_of_till(till: Teller) -> World:
    assert isinstance(till.world.clock, ManualClock)
    assert till.world.clock.now() >= START
    return till.world
