"""PayPal: the books agree with its balance, in whatever order its events come."""

from __future__ import annotations

from typing import Any

import pytest

from tests.money.payment_harness import PAY_OUT, PaymentHarness
from tests.money.provider_lives import Event, ProviderAccount, account_at, assert_books_agree
from tests.providers.pinned import pinned
from tests.scale import soak
from tillbell.model.transactions import TransactionKind, TransactionStatus

pytestmark = pytest.mark.sqlite_first


def amount(value: str) -> dict[str, str]:
    return {"currency_code": "EUR", "value": value}


def event(moves: int, name: str, event_id: str, **resource: Any) -> Event:
    """Return an event. `event_id` is unique for each event."""
    fields = {"id": f"WH-{event_id}-{name}", "event_type": name, "resource": resource}
    return Event({**fields, "create_time": "2026-03-01T10:00:00Z"}, moves)


def capture(moves: int, status: str, uid: str, id_: str, value: str, **related: str) -> Event:
    ids = {"order_id": f"{uid}ORDER", **related}
    return event(
        moves,
        f"PAYMENT.CAPTURE.{status}",
        f"{uid}{id_}",
        id=f"{uid}{id_}",
        custom_id=uid,
        amount=amount(value),
        supplementary_data={"related_ids": ids},
    )


def gone_back(status: str, uid: str, id_: str, cents: int, of: str) -> Event:
    """Return the event of a refund or reversal, which names its capture alone."""
    up = f"https://api.paypal.com/v2/payments/captures/{uid}{of}"
    return event(
        -cents,
        f"PAYMENT.CAPTURE.{status}",
        f"{uid}{id_}",
        id=f"{uid}{id_}",
        amount=amount(f"{cents // 100}.{cents % 100:02}"),
        links=[{"rel": "up", "href": up}],
    )


def dispute(moves: int, uid: str, of: str, code: str | None, back: str | None = None) -> Event:
    outcome: dict[str, Any] = {} if code is None else {"outcome_code": code}
    if back is not None:
        outcome["amount_refunded"] = amount(back)
    return event(
        moves,
        f"CUSTOMER.DISPUTE.{'CREATED' if code is None else 'RESOLVED'}",
        f"{uid}PP-D",
        dispute_id=f"{uid}PP-D",
        dispute_amount=amount("100.00"),
        disputed_transactions=[{"seller_transaction_id": f"{uid}{of}"}],
        **({"dispute_outcome": outcome} if outcome else {}),
    )


async def account(payments: PaymentHarness) -> ProviderAccount:
    return await account_at(payments, "paypal", "1JE4291016473214C", **pinned())


@soak
async def test_captured_and_refunded_in_parts(payments: PaymentHarness) -> None:
    def life(uid: str) -> list[Event]:
        authorization = f"{uid}AUTH"
        return [
            event(
                0,
                "PAYMENT.AUTHORIZATION.CREATED",
                authorization,
                id=authorization,
                custom_id=uid,
                amount=amount("100.00"),
            ),
            capture(4_000, "COMPLETED", uid, "CAP1", "40.00", authorization_id=authorization),
            capture(6_000, "COMPLETED", uid, "CAP2", "60.00", authorization_id=authorization),
            gone_back("REFUNDED", uid, "REF1", 1_000, "CAP1"),
            gone_back("REFUNDED", uid, "REF2", 2_000, "CAP2"),
            gone_back("REVERSED", uid, "REV1", 500, "CAP2"),
        ]

    await assert_books_agree(await account(payments), life)


@soak
async def test_a_declined_capture_before_a_good_one(payments: PaymentHarness) -> None:
    def life(uid: str) -> list[Event]:
        return [
            event(
                0,
                "CHECKOUT.ORDER.APPROVED",
                f"{uid}ORDER",
                id=f"{uid}ORDER",
                purchase_units=[{"custom_id": uid}],
            ),
            capture(0, "DECLINED", uid, "CAP1", "100.00"),
            event(
                0,
                "CHECKOUT.PAYMENT-APPROVAL.REVERSED",
                f"{uid}OTHER",
                order_id=f"{uid}OTHER",
                purchase_units=[{"custom_id": uid}],
            ),
            capture(0, "PENDING", uid, "CAP2", "100.00"),
            capture(10_000, "COMPLETED", uid, "CAP2", "100.00"),
        ]

    await assert_books_agree(await account(payments), life)
    assert await payments.status("life-0") is TransactionStatus.APPROVED
    assert await payments.conflicts() == []


@soak
async def test_a_lost_dispute_and_its_reversal_are_one_debit(payments: PaymentHarness) -> None:
    def life(uid: str) -> list[Event]:
        return [
            capture(10_000, "COMPLETED", uid, "CAP", "100.00"),
            dispute(0, uid, "CAP", None),
            gone_back("REVERSED", uid, "REV", 3_000, "CAP"),
            dispute(0, uid, "CAP", "RESOLVED_BUYER_FAVOUR", "30.00"),
        ]

    await assert_books_agree(await account(payments), life)
    assert await payments.conflicts() == []


@soak
async def test_a_dispute_alone_takes_what_was_refunded(payments: PaymentHarness) -> None:
    def life(uid: str) -> list[Event]:
        return [
            capture(10_000, "COMPLETED", uid, "CAP", "100.00"),
            dispute(0, uid, "CAP", None),
            dispute(-1_000, uid, "CAP", "ACCEPTED", "10.00"),
        ]

    await assert_books_agree(await account(payments), life)
    children = await payments.children("life-0")
    taken = [c.amount for c in children if c.status is TransactionStatus.APPROVED]
    assert taken == [1_000]
    assert {child.kind for child in children} == {TransactionKind.CHARGEBACK}


@soak
async def test_a_dispute_that_ends_without_money(payments: PaymentHarness) -> None:
    at_paypal = await account(payments)
    codes = ("RESOLVED_SELLER_FAVOUR", "RESOLVED_WITH_PAYOUT", "CANCELED_BY_BUYER", "NONE")
    for code in codes:

        def life(uid: str, code: str = code) -> list[Event]:
            return [
                capture(10_000, "COMPLETED", uid, "CAP", "100.00"),
                dispute(0, uid, "CAP", None),
                dispute(0, uid, "CAP", code),
            ]

        await assert_books_agree(at_paypal, life, prefix=f"{code}-")


@soak
async def test_a_refund_has_the_status_that_it_says(payments: PaymentHarness) -> None:
    def refund(uid: str, id_: str, status: str | None, name: str = "CAPTURE.REFUNDED") -> Event:
        done = gone_back("REFUNDED", uid, id_, 1_000, "CAP")
        resource = {**done.fields["resource"], **({"status": status} if status else {})}
        fields = {**done.fields, "id": f"{done.fields['id']}-{status}", "resource": resource}
        moves = done.moves if status in (None, "COMPLETED") else 0
        return Event({**fields, "event_type": f"PAYMENT.{name}"}, moves)

    def life(uid: str) -> list[Event]:
        return [
            capture(10_000, "COMPLETED", uid, "CAP", "100.00"),
            refund(uid, "R1", "PENDING"),  # an eCheck
            refund(uid, "R1", "COMPLETED"),
            refund(uid, "R2", "FAILED"),
            refund(uid, "R3", "CANCELLED"),
            refund(uid, "R4", None),
        ]

    await assert_books_agree(await account(payments), life)
    statuses = sorted(child.status.value for child in await payments.children("life-0"))
    assert statuses == ["Approved", "Approved", "Cancelled", "Failed"]
    assert await payments.conflicts() == []


@soak
async def test_a_reversal_of_one_dispute_leaves_the_other(payments: PaymentHarness) -> None:
    def named(told: Event, key: str, value: str, moves: int = 0) -> Event:
        resource = {
            **told.fields["resource"],
            "dispute_id": f"{value}-{key}",
            "dispute_amount": amount("40.00"),
        }
        return Event(
            {**told.fields, "id": f"{told.fields['id']}{key}", "resource": resource}, moves
        )

    def life(uid: str) -> list[Event]:
        lost = dispute(0, uid, "CAP", "RESOLVED_BUYER_FAVOUR", "30.00")
        opened = dispute(0, uid, "CAP", None)
        return [
            capture(10_000, "COMPLETED", uid, "CAP", "100.00"),
            named(opened, "one", uid),
            gone_back("REVERSED", uid, "REV", 3_000, "CAP"),
            named(lost, "two", uid),  # the debit of the reversal; its opening comes late
            named(opened, "two", uid),
            named(dispute(0, uid, "CAP", "CANCELED_BY_BUYER"), "one", uid),
        ]

    await assert_books_agree(await account(payments), life)
    assert await payments.conflicts() == []


@soak
async def test_a_pay_out_that_comes_back(payments: PaymentHarness) -> None:
    def item(moves: int, status: str, uid: str) -> Event:
        return event(
            moves,
            f"PAYMENT.PAYOUTS-ITEM.{status}",
            uid,
            payout_item_id=f"{uid}ITEM",
            payout_item={
                "sender_item_id": uid,
                "amount": {"currency": "EUR", "value": "100.00"},
            },
        )

    def life(uid: str) -> list[Event]:
        return [
            item(0, "UNCLAIMED", uid),
            item(-10_000, "SUCCEEDED", uid),
            item(10_000, "REFUNDED", uid),
        ]

    await assert_books_agree(await account(payments), life, PAY_OUT)


async def test_the_sandbox_moves_nothing_in_a_live_source(payments: PaymentHarness) -> None:
    at_paypal = await account(payments)
    await payments.create("p")
    sandbox = [{"rel": "self", "href": "https://api.sandbox.paypal.com/v2/payments/captures/C"}]
    done = capture(0, "COMPLETED", "p", "CAP", "100.00")
    await at_paypal.send(Event({**done.fields, "links": sandbox}))
    await payments.idle()

    assert await at_paypal.payments.balance("p") == 0


async def test_an_event_of_another_transmission_is_passed_on_once(
    payments: PaymentHarness,
) -> None:
    at_paypal = await account(payments)
    for _ in range(2):  # each is a transmission of its own
        await at_paypal.send(event(0, "BILLING.SUBSCRIPTION.ACTIVATED", "e", id="I-1"))
        await payments.idle()

    assert (await payments.told())["paypal.billing.subscription.activated"] == 1
    assert [callback.outcome for callback in await payments.callbacks()] == ["noted", "duplicate"]
