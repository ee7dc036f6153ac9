"""Parcels, e-mails, orders, other gateways' events and analytics: told once, with what is kept."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import pytest

from tests.money.teller import APPROVED, Teller, news
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
    till: Teller, psp: Source
) -> None:
    for status in ("created", "in_transit", "delivered"):
        await till.tell(psp, parcel(status))

    messages = await till.messages()
    assert [one.event_type for one in messages] == [
        "shipment.created",
        "shipment.in_transit",
        "shipment.delivered",
    ]
    data = [await till.data(one) for one in messages]
    assert [one["previousStatus"] for one in data] == [None, "created", "in_transit"]
    assert {(one["trackingNumber"], one["orderId"]) for one in data} == {("TT1", "order 1")}


async def test_old_news_of_a_parcel_is_not_told(till: Teller, psp: Source) -> None:
    await till.tell(psp, parcel("delivered"))

    late = await till.tell(psp, parcel("in_transit"))
    again = await till.tell(psp, parcel("delivered"))
    strange = await till.tell(psp, parcel(None))

    outcomes = (late.outcome, again.outcome, strange.outcome)
    assert outcomes == (Outcome.STALE, Outcome.DUPLICATE, Outcome.UNMAPPED)
    assert (await till.told()).total() == 1


async def test_news_of_a_parcel_that_comes_together_makes_one_parcel(
    till: Teller, psp: Source
) -> None:
    for number in range(20):
        await till.send(psp, parcel(("created", "in_transit")[number % 2]))
    await till.idle()

    found = await till.books.get(Shipment, "psp:TT1", till.app_id)
    assert found is not None
    assert found.status == "in_transit"
    assert (await till.told())["shipment.in_transit"] == 1


async def test_two_states_in_one_callback_are_both_told(till: Teller, psp: Source) -> None:
    await till.tell(psp, parcel("created"), parcel("in_transit"))

    found = await till.books.get(Shipment, "psp:TT1", till.app_id)
    assert found is not None
    assert found.status == "in_transit"
    assert (await till.told()).total() == 2


async def test_a_parcel_needs_no_signature(till: Teller, psp: Source) -> None:
    callback = await till.tell(psp, parcel("delivered"), trust=Trust.SECRET)

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
    till: Teller, psp: Source, event: str, bounce_type: str | None, reason: str | None
) -> None:
    notice = EmailNotice("em_1", event, ("Ann@Shop.Example", "ann@shop.example"))

    callback = await till.tell(psp, notice._replace(bounce_type=bounce_type))

    kept = await till.books.get(Suppression, "ann@shop.example", till.app_id)
    assert (kept.reason if kept else None) == reason
    assert callback.outcome is Outcome.APPLIED
    assert await till.told() == {f"email.{event}": 1}
    mail = await till.books.get(Email, "psp:em_1", till.app_id)
    assert mail is not None
    assert mail.status == event


async def test_an_email_moves_on_and_never_back(till: Teller, psp: Source) -> None:
    events = ("sent", "delivered", "delivered", "sent", "complained", "delivered", "opened")
    told = [await till.tell(psp, EmailNotice("em_1", event)) for event in events]

    kept = [Outcome.APPLIED, Outcome.APPLIED, Outcome.DUPLICATE, Outcome.STALE]
    assert [one.outcome for one in told] == [*kept, Outcome.APPLIED, Outcome.STALE, Outcome.NOTED]
    mail = await till.books.get(Email, "psp:em_1", till.app_id)
    assert mail is not None
    assert (mail.status, mail.version) == ("complained", 3)
    names = ("sent", "delivered", "complained", "opened")
    assert await till.told() == {f"email.{name}": 1 for name in names}


async def test_a_bounce_that_comes_late_still_keeps_the_address(till: Teller, psp: Source) -> None:
    bounced = EmailNotice("em_1", "bounced", ("ann@shop.example",), bounce_type="permanent")
    await till.tell(psp, EmailNotice("em_1", "delivered"))

    callback = await till.tell(psp, bounced)

    assert callback.outcome is Outcome.STALE
    assert await till.books.get(Suppression, "ann@shop.example", till.app_id) is not None
    assert (await till.told())["email.bounced"] == 1


# ── orders and events of others ──────────────────────────────────────────────────────────────────


async def test_an_order_that_says_it_is_paid_is_told_when_that_is_proven(
    till: Teller, psp: Source
) -> None:
    paid = OrderNotice("order.paid", {"id": "o1"})

    unproven = await till.tell(psp, paid, trust=Trust.SECRET)
    assert (unproven.outcome, (await till.told()).total()) == (Outcome.NOTED, 0)
    await till.tell(psp, paid)

    assert await till.told() == {"order.paid": 1}


async def test_an_order_that_moves_no_money_needs_no_proof(till: Teller, psp: Source) -> None:
    created = OrderNotice("order.created", {"id": "o1"}, moves_money=False)

    await till.tell(psp, created, trust=Trust.NONE)

    assert await till.told() == {"order.created": 1}


async def test_what_another_gateway_sends_is_passed_on_byte_for_byte(
    till: Teller, psp: Source
) -> None:
    payload = b'{"amount": 149.990 , "x":1e2}'

    await till.tell(psp, ForwardNotice("order.paid", payload))

    (message,) = await till.messages()
    assert await till.books.body(message.app_id, message.id) == payload


async def test_a_note_is_only_kept(till: Teller, psp: Source) -> None:
    callback = await till.tell(psp, NoteNotice("A ping."))

    assert (callback.outcome, callback.why) == (Outcome.NOTED, "A ping.")
    assert await till.messages() == []


# ── analytics ────────────────────────────────────────────────────────────────────────────────────


async def test_each_item_is_told_once_in_whatever_batch_it_comes(till: Teller, psp: Source) -> None:
    first = await till.tell(psp, item("a"), item("b"), item("a"))
    second = await till.tell(psp, item("b"), item("c"))
    third = await till.tell(psp, item("a"), item("c"))

    assert [one.outcome for one in (first, second, third)] == [
        Outcome.NOTED,
        Outcome.NOTED,
        Outcome.DUPLICATE,
    ]
    assert await till.told() == {"analytics.pageview": 3}


async def test_batches_that_come_together_tell_each_item_once(till: Teller, psp: Source) -> None:
    for number in range(10):
        await till.send(psp, *(item(str(key)) for key in range(number, number + 5)))
    await till.idle()

    assert await till.told() == {"analytics.pageview": 14}


async def test_money_does_not_wait_behind_analytics(
    till: Teller, psp: Source, monkeypatch: pytest.MonkeyPatch
) -> None:
    await till.create("O")
    unseen, is_free = till.books.new_item_keys, asyncio.Event()

    async def slow(app_id: str, source_id: str, keys: Sequence[str]) -> set[str]:
        await is_free.wait()
        return await unseen(app_id, source_id, keys)

    monkeypatch.setattr(till.books, "new_item_keys", slow)
    for number in range(200):
        await till.send(psp, item(str(number)))
    await till.send(psp, news("O", APPROVED))
    while await till.status("O") is not APPROVED:
        pass

    assert len([one for one in await till.callbacks() if one.outcome is None]) == 200
    is_free.set()
    await till.idle()
    assert (await till.told())["analytics.pageview"] == 200
