"""News that is not proven moves nothing until its provider, a person or silence confirms it."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from tests.money.payment_harness import (
    APPROVED,
    CANCELLED,
    DECLINED,
    FAILED,
    ON_HOLD,
    PAY_OUT,
    PENDING,
    PROCESSING,
    PaymentHarness,
    linked,
    news,
)
from tests.money.psp import PSP
from tillbell.clock import DAY, HOUR, MINUTE, SECOND
from tillbell.model.callbacks import Outcome
from tillbell.model.sources import Source, Trust
from tillbell.model.transactions import TransactionKind, TransactionStatus
from tillbell.testing.exchange import ReceiverExchange

GRACE_S = 15 * MINUTE / SECOND
UNSIGNED = [trust for trust in Trust if trust is not Trust.SIGNED]


class Provider:
    """The provider's look-up: says what it was told to say."""

    def __init__(self, payments: PaymentHarness) -> None:
        self.says: dict[str, Any] = {}
        self.asked: list[str] = []
        self.is_down = False
        self.url = payments.harness.receiver.url("/state?of={uid}")
        payments.harness.receiver.on("/state?of=O", self._answer)

    async def _answer(self, exchange: ReceiverExchange) -> None:
        self.asked.append(exchange.request.path)
        if self.is_down:
            await exchange.answer(503)
        else:
            await exchange.answer(200, msgspec.json.encode(self.says))


@pytest.fixture
def provider(payments: PaymentHarness) -> Provider:
    return Provider(payments)


@pytest.fixture
async def asked(payments: PaymentHarness, provider: Provider) -> Source:
    """A source whose unproven news is confirmed by a look-up."""
    return await payments.source(lookupUrl=provider.url)


# ── a person ─────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("trust", UNSIGNED)
@pytest.mark.parametrize("status", [APPROVED, DECLINED, ON_HOLD, PROCESSING])
async def test_unproven_news_is_shown_to_a_person(
    payments: PaymentHarness, psp: Source, trust: Trust, status: TransactionStatus
) -> None:
    await payments.create("O", PAY_OUT)

    callback = await payments.tell(psp, news("O", status), trust=trust)

    assert callback.outcome is Outcome.NOTED
    assert await payments.status("O") is PENDING
    assert [(one.kind, one.status) for one in await payments.conflicts()] == [
        ("unconfirmed", status)
    ]


async def test_the_same_unproven_news_asks_a_person_once(
    payments: PaymentHarness, psp: Source
) -> None:
    await payments.create("O")
    for _ in range(3):
        await payments.tell(psp, news("O", APPROVED), trust=Trust.SECRET)

    assert len(await payments.conflicts()) == 1


async def test_its_owner_may_choose_to_believe_it(payments: PaymentHarness) -> None:
    source = await payments.source(confirm="trust")
    await payments.create("O")

    await payments.tell(source, news("O", APPROVED), trust=Trust.SECRET)

    assert await payments.moved("O") == [("credit", "100.00")]


async def test_even_then_a_hint_is_not_believed(payments: PaymentHarness) -> None:
    source = await payments.source(confirm="trust")
    await payments.create("O")

    callback = await payments.tell(source, news("O", APPROVED, is_hint=True), trust=Trust.SIGNED)

    assert callback.outcome is Outcome.NOTED
    assert await payments.status("O") is PENDING


# ── the provider ─────────────────────────────────────────────────────────────────────────────────


async def test_the_provider_confirms_it(
    payments: PaymentHarness, asked: Source, provider: Provider
) -> None:
    await payments.create("O")
    provider.says = {"status": "Captured", "amount": "100.00", "currency": "eur"}

    await payments.tell(asked, news("O", APPROVED), trust=Trust.SECRET)
    assert await payments.status("O") is PENDING
    await payments.gateway.status_checker.check_due()

    assert await payments.moved("O") == [("credit", "100.00")]
    assert (await payments.steps("O"))[-1].trust == "confirmed"


async def test_what_the_provider_says_counts_not_what_was_told(
    payments: PaymentHarness, asked: Source, provider: Provider
) -> None:
    await payments.create("O")
    provider.says = {"status": "void"}

    await payments.tell(asked, news("O", APPROVED), trust=Trust.SECRET)
    await payments.gateway.status_checker.check_due()

    assert await payments.status("O") is CANCELLED
    assert await payments.moved("O") == []


@pytest.mark.parametrize(
    ("says", "kinds"),
    [
        ({"status": "captured", "amount": "99.99", "currency": "EUR"}, ["mismatch"]),
        ({"status": "captured", "amount": "100.00", "currency": "USD"}, ["mismatch"]),
        ({"status": "who knows"}, []),
        ({}, []),
        ([], []),
    ],
)
async def test_an_answer_that_does_not_fit_moves_nothing(
    payments: PaymentHarness, asked: Source, provider: Provider, says: Any, kinds: list[str]
) -> None:
    await payments.create("O")
    provider.says = says

    await payments.tell(asked, news("O", APPROVED), trust=Trust.SECRET)
    await payments.gateway.status_checker.check_due()

    assert await payments.status("O") is PENDING
    assert [one.kind for one in await payments.conflicts()] == kinds


async def test_many_copies_ask_the_provider_once(
    payments: PaymentHarness, asked: Source, provider: Provider
) -> None:
    await payments.create("O")
    provider.says = {"status": "pending"}
    for _ in range(20):
        await payments.send(asked, news("O", APPROVED), trust=Trust.SECRET)
    await payments.idle()

    await payments.gateway.status_checker.check_due()

    assert len(provider.asked) == 1


async def test_a_transaction_without_a_source_takes_that_of_its_news(
    payments: PaymentHarness, asked: Source, provider: Provider
) -> None:
    made = await payments.create("O")
    assert made.source_id is None
    provider.says = {"status": "captured", "amount": "100.00", "currency": "EUR"}

    await payments.tell(asked, news("O", APPROVED), trust=Trust.SECRET)
    await payments.gateway.status_checker.check_due()

    found = await payments.read("O")
    assert (found.status, found.source_id, found.provider) == (APPROVED, asked.id, "psp")


# ── silence ──────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("status", [CANCELLED, FAILED])
async def test_what_the_payer_did_counts_after_the_grace_time(
    payments: PaymentHarness, psp: Source, status: TransactionStatus
) -> None:
    await payments.create("O")
    hint = news("O", None, is_hint=True, if_silent=status)

    await payments.tell(psp, hint, trust=Trust.NONE)
    await payments.pass_time(GRACE_S - 1)
    await payments.gateway.status_checker.check_due()
    assert await payments.status("O") is PENDING
    await payments.pass_time(2)
    await payments.gateway.status_checker.check_due()

    assert await payments.status("O") is status


async def test_a_success_in_the_grace_time_ends_it(payments: PaymentHarness, psp: Source) -> None:
    await payments.create("O")
    await payments.tell(psp, news("O", None, is_hint=True, if_silent=CANCELLED), trust=Trust.NONE)

    await payments.tell(psp, news("O", APPROVED))
    await payments.pass_time(GRACE_S + 1)
    await payments.gateway.status_checker.check_due()

    assert await payments.status("O") is APPROVED
    assert await payments.conflicts() == []


async def test_a_second_thought_of_the_payer_ends_the_grace_time(
    payments: PaymentHarness, psp: Source
) -> None:
    await payments.create("O")
    await payments.tell(psp, news("O", None, is_hint=True, if_silent=CANCELLED), trust=Trust.NONE)

    await payments.tell(psp, news("O", None, is_hint=True), trust=Trust.NONE)
    await payments.pass_time(GRACE_S + 1)
    await payments.gateway.status_checker.check_due()

    assert await payments.status("O") is PENDING


async def test_a_provider_that_does_not_answer_does_not_shorten_the_grace_time(
    payments: PaymentHarness, asked: Source, provider: Provider
) -> None:
    await payments.create("O")
    provider.is_down = True

    await payments.tell(asked, news("O", None, is_hint=True, if_silent=CANCELLED), trust=Trust.NONE)
    await payments.gateway.status_checker.check_due()

    assert await payments.status("O") is PENDING


async def test_the_provider_is_asked_before_silence_counts(
    payments: PaymentHarness, asked: Source, provider: Provider
) -> None:
    await payments.create("O")
    provider.says = {"status": "captured", "amount": "100.00", "currency": "EUR"}

    await payments.tell(asked, news("O", None, is_hint=True, if_silent=CANCELLED), trust=Trust.NONE)
    await payments.pass_time(GRACE_S + 1)
    await payments.gateway.status_checker.check_due()

    assert await payments.status("O") is APPROVED


async def test_a_pay_out_never_fails_by_silence(payments: PaymentHarness, psp: Source) -> None:
    await payments.create("O", PAY_OUT)
    await payments.tell(psp, news("O", None, is_hint=True, if_silent=FAILED), trust=Trust.NONE)

    await payments.pass_time(GRACE_S + 1)
    await payments.gateway.status_checker.check_due()

    assert await payments.status("O") is PENDING


# ── stuck ────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("is_asked", [True, False])
async def test_what_is_open_for_days_is_asked_for_seven_times_and_then_shown_to_a_person(
    payments: PaymentHarness, asked: Source, provider: Provider, is_asked: bool
) -> None:
    source_id = asked.id if is_asked else (await payments.source()).id
    await payments.create("O", PAY_OUT, source_id=source_id)
    provider.says = {"status": "processing"}

    for pause in (5 * MINUTE, HOUR, *[DAY] * 5):
        assert await payments.conflicts() == []
        await payments.pass_time(pause / SECOND + 5)
        await payments.gateway.status_checker.check_due()

    assert [one.kind for one in await payments.conflicts()] == ["stuck"]
    assert len(provider.asked) == 7 * is_asked
    assert await payments.status("O") is (PROCESSING if is_asked else PENDING)

    await payments.tell(await payments.source(movesAnySource=True), news("O", APPROVED))
    assert await payments.conflicts() == []


# ── late success ─────────────────────────────────────────────────────────────────────────────────


@pytest.fixture
async def late(payments: PaymentHarness, provider: Provider) -> Source:
    """A source whose verified late success is accepted."""
    return await payments.source(lookupUrl=provider.url, lateSuccess="accept_verified")


async def test_late_success_is_accepted_when_signed_and_confirmed(
    payments: PaymentHarness, late: Source, provider: Provider
) -> None:
    await payments.create("O")
    await payments.tell(late, news("O", DECLINED))
    provider.says = {"status": "captured", "amount": "100.00", "currency": "EUR"}

    callback = await payments.tell(late, news("O", APPROVED, amount="100.00"))
    assert callback.outcome is Outcome.CONFLICT
    await payments.gateway.status_checker.check_due()

    assert await payments.moved("O") == [("credit", "100.00")]
    assert [one.supersedes for one in await payments.steps("O")] == [None, None, 2]
    assert await payments.conflicts() == []
    assert (await payments.told())["transaction.approved"] == 1


@pytest.mark.parametrize(
    "says",
    [
        {"status": "void"},
        {"status": "captured", "amount": "99.00", "currency": "EUR"},
        {"status": "pending"},
        {},
    ],
)
async def test_late_success_that_is_not_confirmed_waits_for_a_person(
    payments: PaymentHarness, late: Source, provider: Provider, says: dict[str, Any]
) -> None:
    await payments.create("O")
    await payments.tell(late, news("O", DECLINED))
    provider.says = says

    await payments.tell(late, news("O", APPROVED))
    await payments.gateway.status_checker.check_due()

    assert await payments.status("O") is DECLINED
    assert "contradiction" in [one.kind for one in await payments.conflicts()]


async def test_late_success_waits_for_a_person_by_default(
    payments: PaymentHarness, asked: Source, provider: Provider
) -> None:
    await payments.create("O")
    await payments.tell(asked, news("O", DECLINED))
    provider.says = {"status": "captured", "amount": "100.00", "currency": "EUR"}

    await payments.tell(asked, news("O", APPROVED))
    await payments.gateway.status_checker.check_due()

    assert await payments.status("O") is DECLINED
    assert len(await payments.conflicts()) == 1


async def test_late_success_of_a_pay_out_is_never_accepted(
    payments: PaymentHarness, late: Source, provider: Provider
) -> None:
    await payments.create("O", PAY_OUT, reserves=True)
    await payments.tell(late, news("O", DECLINED))
    provider.says = {"status": "captured", "amount": "100.00", "currency": "EUR"}

    await payments.tell(late, news("O", APPROVED))
    await payments.gateway.status_checker.check_due()

    assert await payments.status("O") is DECLINED
    assert [one.severity for one in await payments.conflicts()] == ["high"]


async def test_unsigned_late_success_that_is_confirmed_is_shown_to_a_person(
    payments: PaymentHarness, late: Source, provider: Provider
) -> None:
    await payments.create("O")
    await payments.tell(late, news("O", DECLINED))
    provider.says = {"status": "captured", "amount": "100.00", "currency": "EUR"}

    await payments.tell(late, news("O", APPROVED), trust=Trust.SECRET)
    await payments.gateway.status_checker.check_due()

    assert await payments.status("O") is DECLINED
    assert [one.status for one in await payments.conflicts()] == [APPROVED]


# ── what a look-up may not do ────────────────────────────────────────────────────────────────────


async def test_a_look_up_without_an_amount_approves_nothing_and_asks_a_person(
    payments: PaymentHarness, asked: Source, provider: Provider
) -> None:
    await payments.create("O")
    provider.says = {"status": "captured"}

    await payments.tell(asked, news("O", APPROVED), trust=Trust.SECRET)
    await payments.gateway.status_checker.check_due()
    await payments.gateway.status_checker.check_due()

    assert await payments.moved("O") == []
    (conflict,) = await payments.conflicts("O")
    assert conflict.kind == "unconfirmed"
    assert "amount" in conflict.why


async def test_a_look_up_that_says_refused_ends_only_the_attempt(
    payments: PaymentHarness, provider: Provider
) -> None:
    again = PSP._replace(payer_may_retry=True)
    source = await payments.source(adapter=again, lookupUrl=provider.url)
    await payments.create("O")
    provider.says = {"status": "void"}
    hint = news("O", None, psp_transaction_id="A", is_hint=True)

    await payments.tell(source, hint, trust=Trust.NONE)
    await payments.gateway.status_checker.check_due()
    assert await payments.status("O") is PENDING

    await payments.pass_time(25 * 3600)
    await payments.gateway.status_checker.check_due()
    assert await payments.status("O") is CANCELLED

    provider.says = {"status": "captured", "amount": "100.00", "currency": "EUR"}
    await payments.tell(source, hint, trust=Trust.NONE)
    await payments.gateway.status_checker.check_due()
    assert await payments.moved("O") == [("credit", "100.00")]


async def test_what_a_look_up_counts_as_gone_back_is_booked_once(
    payments: PaymentHarness, provider: Provider
) -> None:
    pointers = {"refunded": "/refunded", "chargedBack": "/lost"}
    source = await payments.source(lookupUrl=provider.url, lookup=pointers)
    await payments.create("O")
    hint = news("O", None, psp_transaction_id="A", is_hint=True)
    paid = {"status": "captured", "amount": "100.00", "currency": "EUR"}
    for refunded, lost in (("0.00", "0.00"), ("10.00", "0.00"), ("10.00", "40.00"), ("10.00", "0")):
        provider.says = paid | {"refunded": refunded, "lost": lost}
        for _ in range(2):
            await payments.tell(source, hint, trust=Trust.NONE)
            await payments.gateway.status_checker.check_due()

    assert await payments.moved("O") == [
        ("credit", "100.00"),
        ("debit", "10.00"),
        ("debit", "40.00"),
        ("credit", "40.00"),
    ]


async def test_refunds_that_a_look_up_counted_together_are_told_and_booked_once(
    payments: PaymentHarness, provider: Provider
) -> None:
    pointers = {"refunded": "/refunded"}
    source = await payments.source(lookupUrl=provider.url, lookup=pointers)
    await payments.create("O")
    paid = {"status": "captured", "amount": "100.00", "currency": "EUR"}
    provider.says = paid | {"refunded": "60.00"}
    hint = news("O", None, psp_transaction_id="A", is_hint=True)
    await payments.tell(source, hint, trust=Trust.NONE)
    await payments.gateway.status_checker.check_due()

    outcomes = []
    for own_id in ("R1", "R2", "R1", "R3"):
        refund = linked("O", TransactionKind.REFUND, own_id, amount="30.00")
        outcomes.append((await payments.tell(source, refund)).outcome)

    assert outcomes == [Outcome.DUPLICATE] * 3 + [Outcome.APPLIED]
    assert [amount for _, amount in await payments.moved("O")] == ["100.00", "60.00", "30.00"]
