"""Parcels, e-mails, orders, other gateways' events and analytics: told once, with what is kept."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import pytest

from tests.money.payment_harness import APPROVED, PaymentHarness, news
from tillbell.model.callbacks import (
    AnalyticsNotice,
    EmailNotice,
    ForwardNotice,
    NoteNotice,
    OrderNotice,
    Outcome,
    ShipmentNotice,
)
from tillbell.model.emails import Email, Suppression
from tillbell.model.shipments import Shipment
from tillbell.model.sources import Source, Trust


def parcel(status: str | None, **fields: object) -> ShipmentNotice:
    notice = ShipmentNotice("TT1", status or "?", status, reference="order 1")
    return notice._replace(**fields)  # type: ignore[arg-type]


def item(key: str) -> AnalyticsNotice:
    return AnalyticsNotice("pageview", {"path": "/"}, key)


# ── parcels ──────────────────────────────────────────────────────────────────────────────────────


async def test_a_parcel_is_told_at_each_state_with_the_one_before(
    payments: PaymentHarness, psp: Source
) -> None:
    for status in ("created", "in_transit", "delivered"):
        await payments.tell(psp, parcel(status))

    messages = await payments.messages()
    assert [one.event_type for one in messages] == [
        "shipment.created",
        "shipment.in_transit",
        "shipment.delivered",
    ]
    data = [await payments.data(one) for one in messages]
    assert [one["previousStatus"] for one in data] == [None, "created", "in_transit"]
    assert {(one["trackingNumber"], one["orderId"]) for one in data} == {("TT1", "order 1")}


async def test_old_news_of_a_parcel_is_not_told(payments: PaymentHarness, psp: Source) -> None:
    await payments.tell(psp, parcel("delivered"))

    late = await payments.tell(psp, parcel("in_transit"))
    again = await payments.tell(psp, parcel("delivered"))
    strange = await payments.tell(psp, parcel(None))

    outcomes = (late.outcome, again.outcome, strange.outcome)
    assert outcomes == (Outcome.STALE, Outcome.DUPLICATE, Outcome.UNMAPPED)
    assert (await payments.told()).total() == 1


async def test_news_of_a_parcel_that_comes_together_makes_one_parcel(
    payments: PaymentHarness, psp: Source
) -> None:
    for number in range(20):
        await payments.send(psp, parcel(("created", "in_transit")[number % 2]))
    await payments.idle()

    found = await payments.books.get(Shipment, "psp:TT1", payments.app_id)
    assert found is not None
    assert found.status == "in_transit"
    assert (await payments.told())["shipment.in_transit"] == 1


async def test_two_states_in_one_callback_are_both_told(
    payments: PaymentHarness, psp: Source
) -> None:
    await payments.tell(psp, parcel("created"), parcel("in_transit"))

    found = await payments.books.get(Shipment, "psp:TT1", payments.app_id)
    assert found is not None
    assert found.status == "in_transit"
    assert (await payments.told()).total() == 2


async def test_a_parcel_names_the_carrier_that_brings_it(
    payments: PaymentHarness, psp: Source
) -> None:
    await payments.tell(psp, ShipmentNotice("TT1", "InTransit", "in_transit", carrier="usps"))

    shipment = await payments.books.get(Shipment, "psp:TT1", payments.app_id)
    assert shipment is not None
    assert shipment.carrier == "usps"


async def test_a_parcel_needs_no_signature(payments: PaymentHarness, psp: Source) -> None:
    callback = await payments.tell(psp, parcel("delivered"), trust=Trust.SECRET)

    assert callback.outcome is Outcome.APPLIED


# ── e-mails ──────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("event", "bounce_type", "reason"),
    [
        ("delivered", None, None),
        ("bounced", "temporary", None),
        ("bounced", "permanent", "bounced"),
        ("complained", None, "complained"),
    ],
)
async def test_an_address_that_does_not_want_mail_is_kept(
    payments: PaymentHarness, psp: Source, event: str, bounce_type: str | None, reason: str | None
) -> None:
    notice = EmailNotice("em_1", event, ("Ann@Shop.Example", "ann@shop.example"))

    callback = await payments.tell(psp, notice._replace(bounce_type=bounce_type))

    kept = await payments.books.get(Suppression, "ann@shop.example", payments.app_id)
    assert (kept.reason if kept else None) == reason
    assert callback.outcome is Outcome.APPLIED
    assert await payments.told() == {f"email.{event}": 1}
    mail = await payments.books.get(Email, "psp:em_1", payments.app_id)
    assert mail is not None
    assert mail.status == event


async def test_an_email_moves_on_and_never_back(payments: PaymentHarness, psp: Source) -> None:
    events = ("sent", "delivered", "delivered", "sent", "complained", "delivered", "opened")
    told = [await payments.tell(psp, EmailNotice("em_1", event)) for event in events]

    kept = [Outcome.APPLIED, Outcome.APPLIED, Outcome.DUPLICATE, Outcome.STALE]
    assert [one.outcome for one in told] == [*kept, Outcome.APPLIED, Outcome.STALE, Outcome.NOTED]
    mail = await payments.books.get(Email, "psp:em_1", payments.app_id)
    assert mail is not None
    assert (mail.status, mail.version) == ("complained", 3)
    names = ("sent", "delivered", "complained", "opened")
    assert await payments.told() == {f"email.{name}": 1 for name in names}


async def test_a_bounce_that_comes_late_still_keeps_the_address(
    payments: PaymentHarness, psp: Source
) -> None:
    bounced = EmailNotice("em_1", "bounced", ("ann@shop.example",), bounce_type="permanent")
    await payments.tell(psp, EmailNotice("em_1", "delivered"))

    callback = await payments.tell(psp, bounced)

    assert callback.outcome is Outcome.STALE
    assert await payments.books.get(Suppression, "ann@shop.example", payments.app_id) is not None
    assert (await payments.told())["email.bounced"] == 1


async def test_each_copy_of_an_email_has_a_state_of_its_own(
    payments: PaymentHarness, psp: Source
) -> None:
    told = [
        await payments.tell(psp, EmailNotice("em_1", event, (address,), recipient=address))
        for event, address in (
            ("delivered", "Ann@shop.example"),
            ("bounced", "bob@shop.example"),
            ("delivered", "ann@shop.example"),
        )
    ]

    assert [one.outcome for one in told] == [Outcome.APPLIED, Outcome.APPLIED, Outcome.DUPLICATE]
    for address, status in (("ann", "delivered"), ("bob", "bounced")):
        uid = f"psp:em_1:{address}@shop.example"
        mail = await payments.books.get(Email, uid, payments.app_id)
        assert mail is not None
        assert mail.status == status


async def test_an_event_of_a_batch_counts_once(payments: PaymentHarness, psp: Source) -> None:
    opened = EmailNotice("em_1", "opened", event_key="e1")

    first = await payments.tell(psp, opened)
    repeat = await payments.tell(psp, opened)
    other = await payments.tell(psp, opened._replace(event_key="e2"))

    outcomes = [one.outcome for one in (first, repeat, other)]
    assert outcomes == [Outcome.NOTED, Outcome.DUPLICATE, Outcome.NOTED]
    assert await payments.told() == {"email.opened": 2}


# ── orders and events of others ──────────────────────────────────────────────────────────────────


async def test_an_order_that_says_it_is_paid_is_told_when_that_is_proven(
    payments: PaymentHarness, psp: Source
) -> None:
    paid = OrderNotice("order.paid", {"id": "o1"})

    unproven = await payments.tell(psp, paid, trust=Trust.SECRET)
    assert (unproven.outcome, (await payments.told()).total()) == (Outcome.NOTED, 0)
    await payments.tell(psp, paid)

    assert await payments.told() == {"order.paid": 1}


async def test_an_order_that_moves_no_money_needs_no_proof(
    payments: PaymentHarness, psp: Source
) -> None:
    created = OrderNotice("order.created", {"id": "o1"}, moves_money=False)

    await payments.tell(psp, created, trust=Trust.NONE)

    assert await payments.told() == {"order.created": 1}


async def test_what_another_gateway_sends_is_passed_on_byte_for_byte(
    payments: PaymentHarness, psp: Source
) -> None:
    payload = b'{"amount": 149.990 , "x":1e2}'

    await payments.tell(psp, ForwardNotice("order.paid", payload))

    (message,) = await payments.messages()
    assert await payments.books.body(message.app_id, message.id) == payload


async def test_a_note_is_only_kept(payments: PaymentHarness, psp: Source) -> None:
    callback = await payments.tell(psp, NoteNotice("A ping."))

    assert (callback.outcome, callback.why) == (Outcome.NOTED, "A ping.")
    assert await payments.messages() == []


# ── analytics ────────────────────────────────────────────────────────────────────────────────────


async def test_each_item_is_told_once_in_whatever_batch_it_comes(
    payments: PaymentHarness, psp: Source
) -> None:
    first = await payments.tell(psp, item("a"), item("b"), item("a"))
    second = await payments.tell(psp, item("b"), item("c"))
    third = await payments.tell(psp, item("a"), item("c"))

    assert [one.outcome for one in (first, second, third)] == [
        Outcome.NOTED,
        Outcome.NOTED,
        Outcome.DUPLICATE,
    ]
    assert await payments.told() == {"analytics.pageview": 3}


async def test_batches_that_come_together_tell_each_item_once(
    payments: PaymentHarness, psp: Source
) -> None:
    for number in range(10):
        await payments.send(psp, *(item(str(key)) for key in range(number, number + 5)))
    await payments.idle()

    assert await payments.told() == {"analytics.pageview": 14}


async def test_money_does_not_wait_behind_analytics(
    payments: PaymentHarness, psp: Source, monkeypatch: pytest.MonkeyPatch
) -> None:
    await payments.create("O")
    unseen, is_free = payments.books.new_item_keys, asyncio.Event()

    async def slow(app_id: str, source_id: str, keys: Sequence[str]) -> set[str]:
        await is_free.wait()
        return await unseen(app_id, source_id, keys)

    monkeypatch.setattr(payments.books, "new_item_keys", slow)
    for number in range(200):
        await payments.send(psp, item(str(number)))
    await payments.send(psp, news("O", APPROVED))
    while await payments.status("O") is not APPROVED:
        pass

    assert len([one for one in await payments.callbacks() if one.outcome is None]) == 200
    is_free.set()
    await payments.idle()
    assert (await payments.told())["analytics.pageview"] == 200
