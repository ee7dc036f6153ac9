"""Adyen: the books agree with its balance, in whatever order its notifications come."""

from __future__ import annotations

from itertools import permutations, product
from typing import Any

import pytest

from tests.money.payment_harness import PAY_OUT, PaymentHarness
from tests.money.provider_lives import Event, ProviderAccount, account_at, assert_books_agree
from tests.scale import soak
from tillbell.model.transactions import TransactionStatus

pytestmark = pytest.mark.sqlite_first

KEY = "44782DEF547AAA06C910C43932B1EB0C71FC68D9D0C057550C48EC2ACF6BA056"
WHOLE = 10_000
CANCELLATION = ("CANCELLATION", "CNL", WHOLE, "PAY")


def item(
    uid: str,
    code: str,
    reference: str,
    value: int = WHOLE,
    original: str | None = None,
    **members: Any,
) -> dict[str, Any]:
    """Return a notification of one item. References are unique for each payment."""
    written = {
        "pspReference": f"{uid}{reference}",
        "merchantAccountCode": "TeaShopECOM",
        "merchantReference": uid,
        "amount": {"value": value, "currency": "EUR"},
        "eventCode": code,
        "eventDate": "2026-03-01T10:00:00+01:00",
        "success": "true",
        **({} if original is None else {"originalReference": f"{uid}{original}"}),
        **members,
    }
    return {"live": "true", "notificationItems": [{"NotificationRequestItem": written}]}


def event(moves: int, *args: Any, **members: Any) -> Event:
    return Event(item(*args, **members), moves)


async def account(payments: PaymentHarness, **config: Any) -> ProviderAccount:
    return await account_at(payments, "adyen", KEY, **config)


@soak
async def test_captured_and_refunded_in_parts_then_charged_back_twice(
    payments: PaymentHarness,
) -> None:
    def life(uid: str) -> list[Event]:
        return [
            event(0, uid, "AUTHORISATION", "PAY"),
            event(4_000, uid, "CAPTURE", "CAP1", 4_000, "PAY"),
            event(6_000, uid, "CAPTURE", "CAP2", 6_000, "PAY"),
            event(-1_000, uid, "REFUND", "REF1", 1_000, "PAY"),
            event(-2_000, uid, "REFUND", "REF2", 2_000, "PAY"),
            event(0, uid, "NOTIFICATION_OF_CHARGEBACK", "DSP", 7_000, "PAY"),
            event(-7_000, uid, "CHARGEBACK", "DSP", 7_000, "PAY"),
            event(7_000, uid, "CHARGEBACK_REVERSED", "DSP", 7_000, "PAY"),
            event(0, uid, "PREARBITRATION_LOST", "DSP", 7_000, "PAY"),
            event(-7_000, uid, "SECOND_CHARGEBACK", "DSP", 7_000, "PAY"),
        ]

    await assert_books_agree(await account(payments), life)


@soak
async def test_a_dispute_that_ends_without_money(payments: PaymentHarness) -> None:
    def life(uid: str) -> list[Event]:
        return [
            event(0, uid, "REQUEST_FOR_INFORMATION", "DSP", WHOLE, "PAY"),
            event(0, uid, "NOTIFICATION_OF_CHARGEBACK", "DSP", WHOLE, "PAY"),
            event(0, uid, "ISSUER_RESPONSE_TIMEFRAME_EXPIRED", "DSP", WHOLE, "PAY"),
            event(WHOLE, uid, "CAPTURE", "CAP", WHOLE, "PAY"),
        ]

    await assert_books_agree(await account(payments), life)


@soak
async def test_a_refused_and_an_expired_attempt_before_a_good_one(
    payments: PaymentHarness,
) -> None:
    def life(uid: str) -> list[Event]:
        return [
            event(0, uid, "AUTHORISATION", "TRY1", success="false"),
            event(0, uid, "OFFER_CLOSED", "TRY2"),
            event(0, uid, "AUTHORISATION", "TRY3"),
            event(WHOLE, uid, "CAPTURE", "CAP3", WHOLE, "TRY3"),
        ]

    at_adyen = await account(payments)
    await assert_books_agree(at_adyen, life)
    assert await payments.status("life-0") is TransactionStatus.APPROVED
    assert await payments.conflicts() == []


@soak
async def test_a_gift_card_and_a_card_for_one_order(payments: PaymentHarness) -> None:
    def life(uid: str) -> list[Event]:
        return [
            event(0, uid, "ORDER_OPENED", "ORDER"),
            event(3_000, uid, "AUTHORISATION", "GIFT", 3_000),
            event(0, uid, "AUTHORISATION", "CARD1", 7_000, success="false"),
            event(7_000, uid, "AUTHORISATION", "CARD2", 7_000),
            event(0, uid, "ORDER_CLOSED", "ORDER"),
            event(-7_000, uid, "REFUND", "REF", 7_000, "CARD2"),
        ]

    await assert_books_agree(await account(payments, authorizationIsFinal=True), life)
    assert await payments.conflicts() == []


@soak
async def test_a_capture_that_failed_is_taken_back(payments: PaymentHarness) -> None:
    def life(uid: str) -> list[Event]:
        return [
            event(0, uid, "AUTHORISATION", "PAY"),
            event(WHOLE, uid, "CAPTURE", "CAP1", WHOLE, "PAY"),
            event(-WHOLE, uid, "CAPTURE_FAILED", "CAP1", WHOLE, "PAY"),
        ]

    await assert_books_agree(await account(payments), life)


@soak
async def test_a_capture_after_one_that_failed(payments: PaymentHarness) -> None:
    def life(uid: str) -> list[Event]:
        return [
            event(0, uid, "AUTHORISATION", "PAY"),
            event(4_000, uid, "CAPTURE", "CAP1", 4_000, "PAY"),
            event(-4_000, uid, "CAPTURE_FAILED", "CAP1", 4_000, "PAY"),
            event(4_000, uid, "CAPTURE", "CAP2", 4_000, "PAY"),
            event(6_000, uid, "CAPTURE", "CAP3", 6_000, "PAY"),
        ]

    await assert_books_agree(await account(payments), life)
    assert await payments.conflicts() == []


async def test_what_was_captured_automatically_fails(payments: PaymentHarness) -> None:
    def life(uid: str) -> list[Event]:
        return [
            event(WHOLE, uid, "AUTHORISATION", "PAY"),
            event(-WHOLE, uid, "CAPTURE_FAILED", "CAP", WHOLE, "PAY"),
        ]

    await assert_books_agree(await account(payments, authorizationIsFinal=True), life)


async def test_a_capture_that_is_made_again_asks_a_person(payments: PaymentHarness) -> None:
    at_adyen = await account(payments)
    await payments.create("p")
    again = item("p", "CAPTURE", "CAP", WHOLE, "PAY", reason="Transaction Recaptured")
    for fields in (
        item("p", "CAPTURE", "CAP", WHOLE, "PAY"),
        item("p", "CAPTURE_FAILED", "CAP", WHOLE, "PAY"),
        again,
    ):
        await at_adyen.send(Event(fields))
        await payments.idle()
    assert await at_adyen.payments.balance("p") == 0

    (conflict,) = await payments.conflicts()
    assert (conflict.kind, conflict.amount) == ("mismatch", WHOLE)


async def test_what_was_captured_stays_when_the_rest_expires_or_is_cancelled(
    payments: PaymentHarness,
) -> None:
    def life(uid: str) -> list[Event]:
        is_expired = uid.startswith("EXPIRE")
        return [
            event(0, uid, "AUTHORISATION", "PAY"),
            event(0, uid, "CAPTURE", "CAP1", 4_000, "PAY"),
            event(0, uid, "CAPTURE", "CAP2", 2_000, "PAY"),
            event(0, uid, "EXPIRE", "PAY") if is_expired else event(0, uid, *CANCELLATION),
        ]

    crediting, asking = await account(payments, partialCapture="credit"), await account(payments)
    orders_told = {
        f"{end} {rule} {order}": (order, crediting if rule == "credit" else asking)
        for end, rule in product(("EXPIRE", "CANCELLATION"), ("credit", "ask"))
        for order in list(permutations(range(4)))[::2]
    }
    for uid in orders_told:
        await payments.create(uid)
    for place in range(4):
        for uid, (order, at_adyen) in orders_told.items():
            await at_adyen.send(life(uid)[order[place]])
        await payments.idle()

    for uid, (_, at_adyen) in orders_told.items():
        questions = [(c.kind, c.amount) for c in await payments.conflicts(uid)]
        assert questions == ([] if at_adyen is crediting else [("mismatch", 6_000)]), uid
        for conflict in await payments.conflicts(uid):
            await payments.accept(conflict.id)
        assert await payments.balance(uid) == 6_000, uid
        assert await payments.status(uid) is TransactionStatus.APPROVED, uid


async def test_a_cancellation_and_a_capture_of_all_ask_one_question(
    payments: PaymentHarness,
) -> None:
    at_adyen = await account(payments, partialCapture="credit")
    for uid, is_late in (("before", False), ("after", True)):
        payment = await payments.create(uid)
        told = [
            item(uid, "CAPTURE", "CAP", WHOLE, "PAY"),
            item(uid, "CANCELLATION", "CNL", WHOLE, "PAY"),
        ]
        for fields in reversed(told) if is_late else told:
            await at_adyen.send(Event(fields))
            await payments.idle()
        (conflict,) = await payments.conflicts(payment.id)
        assert conflict.kind == "contradiction"


@soak
async def test_a_pay_out_that_comes_back(payments: PaymentHarness) -> None:
    def life(uid: str) -> list[Event]:
        return [
            event(-WHOLE, uid, "PAYOUT_THIRDPARTY", "OUT"),
            event(WHOLE, uid, "PAIDOUT_REVERSED", "BACK", WHOLE, "OUT"),
        ]

    await assert_books_agree(await account(payments), life, PAY_OUT)


async def test_test_money_moves_nothing_in_a_live_source(payments: PaymentHarness) -> None:
    at_adyen = await account(payments)
    await payments.create("p")
    await at_adyen.send(Event({**item("p", "CAPTURE", "CAP", WHOLE, "PAY"), "live": "false"}))
    await payments.idle()

    assert await at_adyen.payments.balance("p") == 0
    assert [callback.outcome for callback in await payments.callbacks()] == ["noted"]
