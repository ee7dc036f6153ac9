"""What a callback about money does: matched, judged, told to subscribers, in one commit."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from tests.flow.gateway_harness import START, GatewayHarness
from tests.money.payment_harness import (
    APPROVED,
    DECLINED,
    FAILED,
    ON_HOLD,
    PAY_OUT,
    PENDING,
    PROCESSING,
    REJECTED,
    PaymentHarness,
    linked,
    news,
)
from tests.patience import PATIENCE_S
from tillbell.clock import HOUR, SECOND
from tillbell.errors import StoreUnavailable
from tillbell.model.callbacks import Callback, ForwardNotice, Outcome, ProviderAmount, References
from tillbell.model.sources import Source
from tillbell.model.transactions import TransactionKind, TransactionStatus
from tillbell.process.manual.audited import ActionReason
from tillbell.testing import ManualClock

CHARGEBACK, BACK = TransactionKind.CHARGEBACK, TransactionKind.CHARGEBACK_REVERSAL


async def test_an_approved_pay_in_is_credited_and_told_once(
    payments: PaymentHarness, psp: Source
) -> None:
    made = await payments.create("O", user_id="u1", merchant_reference="M")
    approved = news("O", APPROVED, psp_transaction_id="P1", amount="100.00", raw_status="ok")

    callback = await payments.tell(psp, approved)

    assert (callback.outcome, callback.transaction_id) == (Outcome.APPLIED, made.id)
    _, message = await payments.messages()
    assert callback.message_ids == (message.id,)
    assert (message.event_type, message.order_key) == ("transaction.approved", made.id)
    assert message.channels == (f"source:{psp.id}",)
    data = await payments.data(message)
    assert (data["previousStatus"], data["status"], data["sequence"]) == ("Pending", "Approved", 2)
    assert (data["amount"], data["currency"], data["type"]) == ("100.00", "EUR", "payment")
    assert (data["pspTransactionId"], data["rawStatus"]) == ("P1", "ok")
    assert await payments.moved("O") == [("credit", "100.00")]


@pytest.mark.parametrize("status", [PROCESSING, REJECTED])
async def test_a_pay_in_has_no_such_status(
    payments: PaymentHarness, psp: Source, status: TransactionStatus
) -> None:
    await payments.create("O")

    callback = await payments.tell(psp, news("O", status))

    assert callback.outcome is Outcome.ILLEGAL
    assert await payments.status("O") is PENDING


async def test_a_word_that_no_table_knows_is_not_guessed(
    payments: PaymentHarness, psp: Source
) -> None:
    await payments.create("O")

    callback = await payments.tell(psp, news("O", None))

    assert callback.outcome is Outcome.UNMAPPED
    assert "'nonsense'" in callback.why


@pytest.mark.parametrize("status", [DECLINED, FAILED, REJECTED])
async def test_what_was_reserved_is_released_once(
    payments: PaymentHarness, psp: Source, status: TransactionStatus
) -> None:
    await payments.create("W", PAY_OUT, reserves=True)

    await payments.tell(psp, news("W", status))
    stale = await payments.tell(psp, news("W", FAILED if status is not FAILED else DECLINED))

    assert stale.outcome is Outcome.STALE
    assert await payments.moved("W") == [("reserve", "100.00"), ("release", "100.00")]
    assert (await payments.told()).total() == 2


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
    payments: PaymentHarness, psp: Source, amount: ProviderAmount
) -> None:
    await payments.create("O")

    first = await payments.tell(psp, news("O", APPROVED, amount=amount))
    again = await payments.tell(psp, news("O", APPROVED, amount=amount))

    assert (first.outcome, again.outcome) == (Outcome.MISMATCH, Outcome.MISMATCH)
    assert await payments.status("O") is PENDING
    assert [one.kind for one in await payments.conflicts()] == ["mismatch"]
    assert (await payments.told())["transaction.conflict"] == 1


async def test_too_much_is_credited_as_expected_and_the_rest_is_shown(
    payments: PaymentHarness, psp: Source
) -> None:
    await payments.create("O")

    callback = await payments.tell(psp, news("O", APPROVED, amount="100.01"))

    assert callback.outcome is Outcome.APPLIED
    assert await payments.moved("O") == [("credit", "100.00")]
    assert [(one.kind, one.amount) for one in await payments.conflicts()] == [("mismatch", 1)]


async def test_a_settlement_in_another_currency_is_kept_beside(
    payments: PaymentHarness, psp: Source
) -> None:
    await payments.create("O")

    await payments.tell(psp, news("O", APPROVED, settlement=ProviderAmount("0.00150000", "BTC")))

    found = await payments.read("O")
    assert (found.status, found.settlement_amount, found.settlement_currency) == (
        APPROVED,
        150_000,
        "BTC",
    )


async def test_two_pending_refunds_cannot_both_take_the_whole(
    payments: PaymentHarness, psp: Source
) -> None:
    await payments.create("O")
    await payments.tell(psp, news("O", APPROVED))
    for own_id in ("R1", "R2"):
        refund = linked("O", TransactionKind.REFUND, own_id, status=PENDING, amount="60.00")
        await payments.tell(psp, refund)

    for own_id in ("R1", "R2"):
        await payments.send(psp, linked("O", TransactionKind.REFUND, own_id, amount="60.00"))
    await payments.idle()

    outcomes = [one.outcome for one in await payments.callbacks()][-2:]
    assert outcomes == [Outcome.APPLIED, Outcome.MISMATCH]
    assert await payments.moved("O") == [("credit", "100.00"), ("debit", "60.00")]


# ── which transaction ────────────────────────────────────────────────────────────────────────────


async def test_what_the_provider_calls_it_is_learned_and_finds_it(
    payments: PaymentHarness, psp: Source
) -> None:
    await payments.create("O")
    await payments.tell(psp, news("O", PENDING, psp_transaction_id="P1", substate="authorized"))
    found = await payments.read("O")
    assert (found.psp_transaction_id, found.substate, found.sequence) == ("P1", "authorized", 2)

    nameless = news("", APPROVED, references=References((), ("P1",)))
    callback = await payments.tell(psp, nameless)

    assert callback.outcome is Outcome.APPLIED


async def test_one_payment_of_the_provider_is_not_counted_for_two(
    payments: PaymentHarness, psp: Source
) -> None:
    await payments.create("first")
    await payments.create("second")
    await payments.tell(psp, news("first", APPROVED, psp_transaction_id="P1"))

    callback = await payments.tell(psp, news("second", APPROVED, psp_transaction_id="P1"))

    assert callback.outcome is Outcome.UNMATCHED
    assert await payments.moved("second") == []


async def test_a_callback_that_comes_first_is_applied_when_its_transaction_appears(
    payments: PaymentHarness, psp: Source
) -> None:
    early = await payments.tell(psp, news("O", APPROVED))
    assert early.outcome is Outcome.UNMATCHED

    await payments.create("O")
    await payments.idle()

    assert await payments.status("O") is APPROVED
    assert [one.outcome for one in await payments.callbacks()] == [Outcome.APPLIED]


async def test_what_a_person_keeps_as_not_paid_gives_nothing_back(
    payments: PaymentHarness, psp: Source
) -> None:
    for uid, is_early in (("late", False), ("early", True)):
        await payments.create(uid)
        act = ActionReason("key_1", "sold out")
        await payments.gateway.manual_actions.change_status(payments.app_id, uid, "cancel", act)
        paid = news(uid, APPROVED, psp_transaction_id=f"A of {uid}", amount="100.00")
        of_it = References((), (f"A of {uid}",))
        refund = linked("", TransactionKind.REFUND, f"R of {uid}", amount="100.00")
        other = refund._replace(
            references=References((uid,), ("B",)), psp_transaction_id=f"S of {uid}"
        )
        refund = refund._replace(references=of_it._replace(ours=(uid,)))
        await payments.tell(psp, paid)
        (conflict,) = await payments.conflicts(uid)
        if is_early:
            assert (await payments.tell(psp, refund)).outcome is Outcome.UNMATCHED
        await payments.keep(conflict.id)
        callback = (await payments.callbacks())[-1]
        callback = callback if is_early else await payments.tell(psp, refund)

        assert (callback.outcome, callback.retry_at) == (Outcome.NOTED, None)
        assert conflict.id in (callback.why or "")
        back = (linked(uid, kind, "D", amount="100.00") for kind in (CHARGEBACK, BACK))
        assert [(await payments.tell(psp, n)).outcome for n in back] == [Outcome.NOTED] * 2
        assert (await payments.tell(psp, other)).outcome is Outcome.UNMATCHED  # of another attempt
        assert (await payments.moved(uid), await payments.conflicts(uid)) == ([], [])


async def decided(payments: PaymentHarness) -> Callback:
    """Return the callback once it is decided: the chore may be at it beside us."""
    (callback,) = await payments.callbacks()
    while callback.outcome is None:
        await asyncio.sleep(0)
        await payments.idle()
        (callback,) = await payments.callbacks()
    return callback


async def test_it_is_looked_at_for_72_hours_and_no_longer(
    payments: PaymentHarness, psp: Source
) -> None:
    await payments.tell(psp, news("O", APPROVED))
    waits = []
    for _ in range(40):
        callback = await decided(payments)
        if callback.retry_at is None:
            break
        wait = callback.retry_at - payments.harness.clock.now()
        waits.append(wait)
        await payments.pass_time(wait / SECOND + 31)
        await payments.gateway.unmatched_callbacks.retry_due()
        await payments.idle()

    callback = await decided(payments)
    assert (callback.outcome, callback.retry_at) == (Outcome.UNMATCHED, None)
    assert sum(waits) <= 72 * HOUR < sum(waits) + HOUR
    assert len(waits) < 20


async def test_of_a_batch_what_is_known_is_applied_and_the_rest_waits(
    payments: PaymentHarness, psp: Source
) -> None:
    await payments.create("here")

    callback = await payments.tell(psp, news("here", APPROVED), news("there", APPROVED))
    assert callback.outcome is Outcome.UNMATCHED
    assert await payments.status("here") is APPROVED
    await payments.create("there")
    await payments.idle()

    assert await payments.status("there") is APPROVED
    assert (await payments.told())["transaction.approved"] == 2


async def test_what_is_passed_on_beside_is_passed_on_once(
    payments: PaymentHarness, psp: Source
) -> None:
    await payments.tell(psp, ForwardNotice("order.paid", b"{}"), news("nobody", APPROVED))
    await payments.create("nobody")
    await payments.idle()

    assert (await payments.told())["order.paid"] == 1


async def test_a_shops_order_is_no_missing_transaction(
    payments: PaymentHarness, psp: Source
) -> None:
    callback = await payments.tell(psp, news("O", APPROVED, is_optional=True))

    assert callback.outcome is Outcome.NOTED


# ── many at once, and after a stop ───────────────────────────────────────────────────────────────


async def test_two_hundred_copies_at_once_have_one_effect(
    payments: PaymentHarness, psp: Source
) -> None:
    await payments.create("O", order_id="order", merchant_reference="M")

    for number in range(200):
        name = ("O", "order", "M")[number % 50 % 3]  # copies are alike
        await payments.send(psp, news(name, APPROVED), key=f"event {number % 50}")
    await payments.idle()

    assert await payments.moved("O") == [("credit", "100.00")]
    assert (await payments.told())["transaction.approved"] == 1
    assert {one.outcome for one in await payments.callbacks()} == {
        Outcome.APPLIED,
        Outcome.DUPLICATE,
    }


async def test_a_store_that_is_away_for_minutes_loses_nothing(
    payments: PaymentHarness, psp: Source, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = payments.harness.clock
    assert isinstance(clock, ManualClock)
    await payments.create("O")
    away = Away(payments.books.commit_changes, 100)
    monkeypatch.setattr(payments.books, "commit_changes", away.commit_changes)

    await payments.send(psp, news("O", APPROVED))
    while away.left:
        await asyncio.wait_for(away.asked.wait(), PATIENCE_S)
        away.asked.clear()
        asyncio.get_running_loop().call_soon(clock.advance, 2)
    await payments.idle()

    assert await payments.moved("O") == [("credit", "100.00")]


class Away:
    """A write that fails so many times."""

    def __init__(self, write: Callable[..., Awaitable[Any]], times: int) -> None:
        self._write = write
        self.left = times
        self.asked = asyncio.Event()

    async def commit_changes(self, *arguments: Any) -> Any:
        if self.left:
            self.left -= 1
            self.asked.set()
            raise StoreUnavailable("away")
        return await self._write(*arguments)


async def test_callbacks_of_one_transaction_are_decided_in_the_order_they_came(
    payments: PaymentHarness, psp: Source
) -> None:
    await payments.create("W", PAY_OUT)
    for status in (ON_HOLD, PROCESSING, APPROVED):
        await payments.send(psp, news("W", status))
    await payments.idle()

    steps = [one.status for one in await payments.steps("W")]
    assert steps == [PENDING, ON_HOLD, PROCESSING, APPROVED]


async def test_a_reversal_is_told_for_the_payment_too(
    payments: PaymentHarness, psp: Source
) -> None:
    payment = await payments.create("O")
    await payments.tell(psp, news("O", APPROVED))

    await payments.tell(psp, linked("O", TransactionKind.CHARGEBACK, "D1"))

    (told,) = [one for one in await payments.messages() if one.event_type == "transaction.reversed"]
    data = await payments.data(told)
    assert (told.order_key, data["parentId"]) == (data["id"], payment.id)


async def test_what_was_stored_and_not_decided_is_decided_after_the_next_start(
    payments: PaymentHarness, psp: Source, world_of_till: GatewayHarness
) -> None:
    await payments.create("O")
    payments.gateway.receiver.processor = Asleep()
    await payments.send(psp, news("O", APPROVED))
    assert await payments.status("O") is PENDING

    await world_of_till.stop()
    await world_of_till.start()
    again = PaymentHarness(world_of_till)
    again.gateway.source_cache.providers = payments.gateway.source_cache.providers
    await again.gateway.source_cache.load()
    await again.gateway.reprocessor.recover_all()
    await again.idle()

    assert await again.status("O") is APPROVED


class Asleep:
    """A processor that forgets what it is given."""

    is_behind = False

    def hand_over(self, *_: object, **_options: object) -> None:
        pass


@pytest.fixture
def world_of_till(payments: PaymentHarness) -> GatewayHarness:
    assert isinstance(payments.harness.clock, ManualClock)
    assert payments.harness.clock.now() >= START
    return payments.harness
