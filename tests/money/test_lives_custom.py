"""Whole lives of payments at a sender that its owner declared: attempts, captures, disputes."""

from __future__ import annotations

from typing import Any

import pytest

from tests.money.lives import Event, Life, account, play
from tests.money.payment_harness import APPROVED, DECLINED, PENDING, PaymentHarness
from tests.money.test_lives_gateways import LookUps
from tests.scale import soak

pytestmark = pytest.mark.sqlite_first

DONE = "Approved"
FEW = 4  # orders of a life in `make test`
# A sender with attempts, captures and disputes; one place for the type of every event.
EVENT: dict[str, Any] = {
    "id": "/eventId",
    "ours": ["/order"],
    "psp": ["/payment"],
    "attempt": "/attempt",
    "status": "/type",
    "kind": {
        "at": "/type",
        "words": {
            **dict.fromkeys(("reserved", "taken", "denied", "void", "takeFailed"), "payment"),
            **dict.fromkeys(("refunded", "refundFailed", "refundAsked"), "refund"),
            **dict.fromkeys(("opened", "lost", "over"), "chargeback"),
            "won": "chargeback_reversal",
        },
    },
    "captureId": "/take/id",
    "captureAmount": "/take/amount",
    "linkedId": "/about/id",
    "movementId": "/about/movement",
    "linkedAmount": "/about/amount",
    "amount": "/amount",
    "minorUnits": True,
    "currency": "/currency",
    "testMode": {"at": "/live", "live": ["true"]},
    "authorized": ["reserved"],
    "undoesCapture": ["takeFailed"],
    "closes": ["over"],
}
STATUSES = {
    **dict.fromkeys(("reserved", "opened", "refundAsked"), "Pending"),
    **dict.fromkeys(("taken", "refunded", "lost", "won"), DONE),
    **dict.fromkeys(("takeFailed", "refundFailed"), "Failed"),
    **dict.fromkeys(("over", "void"), "Cancelled"),
    "denied": "Declined",
}
CONFIG: dict[str, Any] = {
    "checks": [{"check": "hmac", "at": "header:X-Signature"}],
    "event": EVENT,
    "statuses": STATUSES,
    "partialCapture": "credit",
}


def sent(n: int, type_: str, attempt: str | None = "a", amount: int = 10_000, **more: Any) -> Event:
    """Return an event. `amount` is that of the payment as a whole, in every event of it."""
    fields = {
        "eventId": f"e-{type_}-{attempt}-{n}-{'-'.join(map(str, more.values()))}",
        "type": type_,
        "order": f"{n}",
        "payment": f"pay{n}",
        "amount": amount,
        "currency": "EUR",
        "live": True,
    }
    if attempt is not None:
        fields["attempt"] = f"try-{attempt}{n}"
    return Event({**fields, **more})


def taken(n: int, own_id: str, cents: int, type_: str = "taken", attempt: str = "a") -> Event:
    """Return the event of one capture."""
    return sent(n, type_, attempt, take={"id": f"{own_id}{n}", "amount": cents})


def about(n: int, type_: str, own_id: str, cents: int, movement: str | None = None) -> Event:
    """Return the event of a refund or dispute."""
    member = {"id": f"{own_id}{n}", "amount": cents}
    return sent(n, type_, about=member if movement is None else {**member, "movement": movement})


LIVES = (
    Life(
        "denied twice, the third attempt is taken",
        lambda n: [
            sent(n, "denied", "x"),
            sent(n, "denied", "y"),
            sent(n, "reserved"),
            taken(n, "c", 10_000),
        ],
        10_000,
    ),
    Life(
        "taken in equal parts of two attempts, the rest is void",
        lambda n: [
            sent(n, "reserved"),
            taken(n, "c", 3_000),
            taken(n, "d", 3_000),
            taken(n, "e", 2_000, attempt="b"),
            sent(n, "void"),
        ],
        8_000,
        children=(DONE, DONE),
    ),
    Life(
        "a part is taken, which fails later, and is taken anew",
        lambda n: [
            taken(n, "c", 6_000),
            taken(n, "d", 4_000),
            taken(n, "d", 4_000, "takeFailed"),
            taken(n, "e", 4_000),
        ],
        10_000,
        children=(DONE, DONE, DONE),
        first=3,
    ),
    Life(
        "refunded in equal parts, one fails",
        lambda n: [
            taken(n, "c", 10_000),
            about(n, "refundAsked", "r", 1_000),
            about(n, "refunded", "r", 1_000),
            about(n, "refunded", "s", 1_000),
            about(n, "refundAsked", "t", 500),
            about(n, "refundFailed", "t", 500),
        ],
        8_000,
        children=(DONE, DONE, "Failed"),
    ),
    Life(
        "lost in part, won, and lost again under the same id",
        lambda n: [
            taken(n, "c", 10_000),
            about(n, "opened", "q", 7_000),
            about(n, "lost", "q", 7_000, "m1"),
            about(n, "won", "q", 7_000, "m2"),
            about(n, "lost", "q", 7_000, "m3"),
            about(n, "over", "q", 7_000),
        ],
        3_000,
        children=(DONE, DONE, DONE),
        first=3,
    ),
    Life(
        "a dispute that is over without money",
        lambda n: [
            taken(n, "c", 10_000),
            about(n, "opened", "q", 7_000),
            about(n, "over", "q", 7_000),
        ],
        10_000,
        children=("Cancelled",),
    ),
)


@soak
@pytest.mark.parametrize("life", LIVES, ids=lambda life: life.name)
async def test_a_life_ends_as_the_senders_balance_does(
    payments: PaymentHarness, life: Life
) -> None:
    await play(payments, "custom", life._replace(config=CONFIG), FEW)


async def test_what_names_no_attempt_is_about_the_payment(payments: PaymentHarness) -> None:
    shop = await account(payments, "custom", **CONFIG)
    for n, event in ((1, sent(1, "denied", "x")), (2, sent(2, "denied", None))):
        await payments.create(f"{n}")
        await shop.send(event)
    for uid, n in (("3", 3), ("4", 4)):
        await payments.create(uid)
        await shop.send(taken(n, "c", 10_000))
    await shop.send(sent(3, "taken", None))  # the payment as a whole
    await shop.send(sent(4, "denied", "x"))  # another attempt, late

    seen = [await payments.status(uid) for uid in ("1", "2", "3", "4")]
    assert seen == [PENDING, DECLINED, APPROVED, APPROVED]
    assert [await payments.balance(uid) for uid in ("3", "4")] == [10_000, 10_000]
    assert await payments.conflicts() == []


async def test_only_the_listed_words_end_an_attempt_alone(payments: PaymentHarness) -> None:
    event = {**EVENT, "endsAttempt": ["denied"]}
    shop = await account(payments, "custom", **{**CONFIG, "event": event})
    for n, word in ((1, "denied"), (2, "void")):
        await payments.create(f"{n}")
        await shop.send(sent(n, word))

    assert [str(await payments.status(uid)) for uid in ("1", "2")] == ["Pending", "Cancelled"]


async def test_marked_money_and_what_is_reserved(payments: PaymentHarness) -> None:
    shop = await account(payments, "custom", **CONFIG)
    payment = await payments.create("7")
    for live in (False, "yes", None):
        await shop.send(Event({**taken(7, "c", 10_000).fields, "live": live, "eventId": str(live)}))
    assert {callback.outcome for callback in await payments.callbacks()} == {"noted"}
    await shop.send(sent(7, "reserved"))

    seen = await payments.read(payment.id)
    assert (seen.status, seen.authorized, seen.captured) == (PENDING, 10_000, 0)
    assert (await payments.told())["transaction.authorized"] == 1


async def test_the_senders_decimals_count_in_look_ups_too(payments: PaymentHarness) -> None:
    lookups = LookUps(payments, "/state")
    config = {**CONFIG, "exponents": {"ISK": 2, "*": 3}}
    told = await account(payments, "custom", **config)
    paths = {"lookupUrl": lookups.url, "confirm": "pull", "lookup": {"minorUnits": True}}
    checks = {"checks": [{"check": "url_token"}, {"check": "pull"}]}
    asking = await account(payments, "custom", **{**config, **paths, **checks})
    for n, (currency, written, minor) in enumerate(
        (("ISK", 500_000, 5_000), ("JPY", 5_000_000, 5_000), ("EUR", 100_000, 10_000)), start=1
    ):
        for shop, number in ((told, n), (asking, n + 10)):
            await payments.create(f"{number}", amount=minor, currency=currency)
            event = taken(number, "c", written)
            lookups.answer = {"status": "taken", "amount": written, "currency": currency}
            await shop.send(Event({**event.fields, "currency": currency}))
            await payments.gateway.status_checker.check_due()
            assert await payments.balance(f"{number}") == minor, (currency, number)
    assert await payments.conflicts() == []
