"""Whole lives of payments at acquirers: the books end as the acquirer's own balance does."""

from __future__ import annotations

from typing import Any

import pytest

from tests.money.lives import Event, Life, account, play
from tests.money.payment_harness import PaymentHarness
from tests.scale import soak

pytestmark = pytest.mark.sqlite_first

DONE = "Approved"
FEW = 4  # orders of a life in `make test`
BELIEVED = {"confirm": "trust"}  # what is not signed as a whole waits for nobody
CREDITED = {**BELIEVED, "partialCapture": "credit"}


# ── Worldpay WPG: journals in XML ────────────────────────────────────────────────────────────────

# Accounts of a journal. Fees stand before what is settled.
RESERVED, TAKEN = "IN_PROCESS_AUTHORISED", "IN_PROCESS_CAPTURED"
FEE, NET = "SETTLED_BIBIT_COMMISSION", "SETTLED_BIBIT_NET"


def journal(
    n: int,
    word: str,
    *bookings: tuple[str, int],
    references: tuple[tuple[str, str], ...] = (),
    day: int = 1,
    batch: int = 8,
) -> Event:
    """Return an order notification. A reference has a type: capture, refund_authorisation."""
    booked = "".join(
        f'<accountTx accountType="{account}" batchId="{batch}"><amount value="{value}" '
        'currencyCode="EUR" exponent="2" debitCreditIndicator="credit"/></accountTx>'
        for account, value in bookings
    )
    named = "".join(f'<journalReference type="{t}" reference="{r}"/>' for t, r in references)
    body = (
        '<?xml version="1.0" encoding="UTF-8"?><paymentService version="1.4" merchantCode="TEA">'
        f'<notify><orderStatusEvent orderCode="{n}"><payment><paymentMethod>VISA-SSL'
        '</paymentMethod><amount value="10000" currencyCode="EUR" exponent="2" '
        f'debitCreditIndicator="credit"/><lastEvent>{word}</lastEvent></payment>'
        f'<journal journalType="{word}"><bookingDate><date dayOfMonth="{day:02}" month="03" '
        f'year="2026"/></bookingDate>{booked}{named}</journal></orderStatusEvent></notify>'
        "</paymentService>"
    )
    return Event({"orderCode": n, "lastEvent": word}, body=body.encode())


def wpg_paid(n: int) -> list[Event]:
    return [
        journal(n, "AUTHORISED", (RESERVED, 10_000)),
        journal(n, "CAPTURED", (RESERVED, 10_000), (TAKEN, 10_000)),
        journal(n, "SETTLED", (FEE, 193), (NET, 9_807), (TAKEN, 10_000), day=3),
    ]


WPG = (
    Life("paid and settled", wpg_paid, 10_000, config=BELIEVED),
    Life(
        "refused, then paid",
        lambda n: [journal(n, "REFUSED"), journal(n, "ERROR"), *wpg_paid(n)],
        10_000,
        config=BELIEVED,
    ),
    Life(
        "captured in two equal parts on one day, which the shop has named",
        lambda n: [
            journal(n, "AUTHORISED", (RESERVED, 10_000)),
            journal(n, "CAPTURED", (TAKEN, 5_000), references=(("capture", "parcel-1"),)),
            journal(n, "CAPTURED", (TAKEN, 5_000), references=(("capture", "parcel-2"),)),
        ],
        10_000,
        config=BELIEVED,
    ),
    Life(
        "two refunds of one amount on one day, which the shop has named",
        lambda n: [
            *wpg_paid(n),
            *(
                journal(n, word, *booked, references=(("capture", name), *others))
                for name in ("r1", "r2")
                for word, booked, others in (
                    ("SENT_FOR_REFUND", ((TAKEN, 1_500),), (("refund_authorisation", f"9{name}"),)),
                    ("REFUNDED", ((FEE, 7), (NET, 1_493), (TAKEN, 1_500)), ()),
                )
            ),
        ],
        7_000,
        children=(DONE, DONE),
        config=BELIEVED,
    ),
    Life(
        "a refund without a name, and one that failed",
        lambda n: [
            *wpg_paid(n),
            journal(
                n, "SENT_FOR_REFUND", (TAKEN, 1_500), references=(("refund_authorisation", "77"),)
            ),
            journal(n, "REFUNDED", (NET, 1_500), (TAKEN, 1_500), day=2),
            journal(n, "SENT_FOR_REFUND", (TAKEN, 300)),
            journal(n, "REFUND_FAILED", (TAKEN, 300), references=(("refund_response", "05"),)),
        ],
        8_500,
        children=(DONE, "Failed"),
        config=BELIEVED,
    ),
    Life(
        "charged back, and won",
        lambda n: [
            *wpg_paid(n),
            journal(n, "INFORMATION_REQUESTED"),
            journal(n, "CHARGED_BACK", (FEE, 1_500), (NET, 10_000), day=9),
            journal(n, "CHARGEBACK_REVERSED", (NET, 10_000), day=20),
        ],
        10_000,
        children=(DONE, DONE),
        config=BELIEVED,
        first=4,
    ),
)


# ── emerchantpay: the state of a transaction ─────────────────────────────────────────────────────


def genesis(
    n: int, status: str, kind: str = "sale3d", own_id: str = "t", amount: int = 10_000, **more: Any
) -> Event:
    fields = {
        "unique_id": f"{own_id}{n}",
        "transaction_id": f"{n}",
        "transaction_type": kind,
        "status": status,
        "amount": f"{amount}",
        "currency": "EUR",
    }
    return Event({**fields, **more})


def genesis_chargeback(n: int, own_id: str = "cb") -> Event:
    """Return the notification of a chargeback, which is a transaction of its own."""
    original: dict[str, Any] = {"original_transaction_unique_id": f"t{n}", "reason_code": "4837"}
    return genesis(n, "approved", "chargeback", own_id, transaction_id="", **original)


def page(n: int, status: str, **more: str) -> Event:
    fields = {
        "wpf_unique_id": f"w{n}",
        "wpf_transaction_id": f"{n}",
        "wpf_status": status,
        "notification_type": "wpf",
    }
    return Event({**fields, **more})


GENESIS = (
    Life(
        "paid after 3-D Secure",
        lambda n: [genesis(n, "pending_async"), genesis(n, "approved")],
        10_000,
        config=BELIEVED,
    ),
    Life(
        "a payment page",
        lambda n: [
            page(n, "new"),
            page(n, "in_progress"),
            page(
                n,
                "approved",
                payment_transaction_unique_id=f"t{n}",
                payment_transaction_transaction_type="sale",
                payment_transaction_amount="10000",
                currency="EUR",
            ),
        ],
        10_000,
        config=BELIEVED,
    ),
    Life(
        "reserved, and captured in parts",
        lambda n: [
            genesis(n, "approved", "authorize3d"),
            genesis(n, "approved", "capture", "c1", 5_000),
            genesis(n, "approved", "capture", "c2", 5_000),
        ],
        10_000,
        config=BELIEVED,
    ),
    Life(
        "refunded", lambda n: [genesis(n, "approved"), genesis(n, "refunded")], 0, config=BELIEVED
    )._replace(children=(DONE,)),
    Life(
        "charged back, represented, charged back again",
        lambda n: [
            genesis(n, "approved"),
            genesis(n, "chargebacked"),
            genesis(n, "represented"),
            genesis(n, "second_chargebacked"),
        ],
        0,
        children=(DONE, DONE, DONE),
        config=BELIEVED,
    ),
    Life(
        "charged back, represented, and the representment is reversed",
        lambda n: [
            genesis(n, "approved"),
            genesis(n, "chargebacked"),
            genesis(n, "represented"),
            genesis(n, "representment_reversed"),
        ],
        0,
        children=(DONE, DONE, DONE),
        config=BELIEVED,
    ),
    Life(
        "a chargeback that is told as a transaction too, and is reversed",
        lambda n: [
            genesis(n, "approved"),
            genesis_chargeback(n),
            genesis(n, "chargebacked"),
            genesis(n, "chargeback_reversed"),
        ],
        10_000,
        children=(DONE, DONE),
        config=BELIEVED,
    ),
)

# ── AllSecure: transactions of a purchase ────────────────────────────────────────────────────────


def ixopay(
    n: int, kind: str, own_id: str, amount: str = "100.00", result: str = "OK", **more: Any
) -> Event:
    """Return a callback. The purchase is named after its first transaction, `a`."""
    is_first = kind in ("DEBIT", "PREAUTHORIZE")
    fields = {
        "result": result,
        "uuid": f"{own_id}{n}",
        "merchantTransactionId": f"{n}" if is_first else f"m-{own_id}{n}",
        "purchaseId": f"20260301-{own_id if is_first else 'a'}{n}",
        "transactionType": kind,
        "amount": amount,
        "currency": "EUR",
    }
    return Event({**fields, **more})


ALLSECURE = (
    Life(
        "charged at once",
        lambda n: [ixopay(n, "DEBIT", "a", result="PENDING"), ixopay(n, "DEBIT", "a")],
        10_000,
    ),
    Life(
        "a capture that failed, then two equal parts, and two equal refunds",
        lambda n: [
            ixopay(n, "PREAUTHORIZE", "a"),
            ixopay(n, "CAPTURE", "x", "50.00", "ERROR", code="2003"),
            ixopay(n, "CAPTURE", "b", "50.00"),
            ixopay(n, "CAPTURE", "c", "50.00"),
            ixopay(n, "REFUND", "d", "10.00"),
            ixopay(n, "REFUND", "e", "10.00"),
            ixopay(n, "REFUND", "f", "10.00", "ERROR", code="2003"),
        ],
        8_000,
        children=(DONE, DONE, "Declined"),
        first=1,
    ),
    Life(
        "charged back, and won",
        lambda n: [
            ixopay(n, "DEBIT", "a"),
            ixopay(n, "CHARGEBACK", "b", "70.00"),
            ixopay(n, "CHARGEBACK-REVERSAL", "c", "70.00"),
        ],
        10_000,
        children=(DONE, DONE),
    ),
)

# ── Nuvei: DMNs ──────────────────────────────────────────────────────────────────────────────────


def dmn(n: int, word: str, own_id: str, amount: str = "100.00", of: str | None = None) -> Event:
    """Return a DMN of a kind of transaction and its status: `Sale APPROVED`."""
    kind, _, status = word.partition(" ")
    fields = {
        "totalAmount": amount,
        "currency": "EUR",
        "responseTimeStamp": "2026-03-01.18:10:00",
        "PPP_TransactionID": f"9{own_id}{n}",
        "Status": status,
        "productId": "tea",
        "transactionType": kind,
        "TransactionID": f"{own_id}{n}",
        "clientUniqueId": f"{n}",
    }
    return Event(fields if of is None else {**fields, "relatedTransactionId": f"{of}{n}"})


NUVEI = (
    Life(
        "declined, an error, then paid",
        lambda n: [
            dmn(n, "Sale DECLINED", "x"),
            dmn(n, "Sale ERROR", "y"),
            dmn(n, "Sale PENDING", "a"),
            dmn(n, "Sale APPROVED", "a"),
        ],
        10_000,
        config=BELIEVED,
    ),
    Life(
        "settled in two equal parts, and two equal refunds",
        lambda n: [
            dmn(n, "Auth APPROVED", "a"),
            dmn(n, "Settle ERROR", "x", "50.00", "a"),
            dmn(n, "Settle APPROVED", "b", "50.00", "a"),
            dmn(n, "Settle APPROVED", "c", "50.00", "a"),
            dmn(n, "Credit APPROVED", "d", "10.00", "a"),
            dmn(n, "Credit APPROVED", "e", "10.00", "a"),
            dmn(n, "Credit DECLINED", "f", "10.00", "a"),
        ],
        8_000,
        children=(DONE, DONE, "Failed"),
        config=BELIEVED,
    ),
    Life(
        "reserved, then voided",
        lambda n: [
            dmn(n, "Auth APPROVED", "a"),
            dmn(n, "Void APPROVED", "v", of="a"),
        ],
        0,
        status="Cancelled",
        config=BELIEVED,
    ),
)

# ── Worldline ────────────────────────────────────────────────────────────────────────────────────


def direct(n: int, what: str, operation: int = 0, amount: int = 10_000, **more: int) -> Event:
    """Return an event of Direct: a payment, and the number of an operation on it."""
    own_id = f"{more.get('payment', 3)}{n}_{operation}"
    return worldline(n, f"payment.{what}", own_id, amount, more.get("code", 9))


def worldline(
    n: int, type_: str, own_id: str, amount: int = 10_000, code: int = 9, **sums: int
) -> Event:
    name = type_.partition(".")[0]
    output = {
        "amountOfMoney": {"amount": amount, "currencyCode": "EUR"},
        "references": {"merchantReference": f"{n}"},
        **sums,
    }
    fields = {
        "apiVersion": "v1",
        "id": f"{type_}-{own_id}-{sums}",
        "created": "2026-03-01T11:24:14.040+0100",
        "merchantId": "20000",
        "type": type_,
        name: {"id": own_id, f"{name}Output": output, "statusOutput": {"statusCode": code}},
    }
    return Event(fields)


def connect(
    n: int, type_: str, amount: int = 10_000, own_id: str = "", changed: str = "", **sums: int
) -> Event:
    """Return an event of Connect; `changed` is the time of the status, if it is told."""
    event = worldline(n, type_, own_id or f"0000002000{n}", amount, 800, **sums)
    if not changed:
        return event
    name = type_.partition(".")[0]
    status = {"statusCode": 800, "statusCodeChangeDateTime": changed}
    resource = {**event.fields[name], "statusOutput": status}
    return Event({**event.fields, "id": f"{event.fields['id']}{changed}", name: resource})


WORLDLINE = (
    Life(
        "Direct: rejected, given up, then paid at once",
        lambda n: [
            direct(n, "rejected", payment=1, code=2),
            direct(n, "cancelled", payment=2, code=1),
            direct(n, "created"),
            direct(n, "captured"),
        ],
        10_000,
    ),
    Life(
        "Direct: captured in two equal parts, and two equal refunds",
        lambda n: [
            direct(n, "pending_capture", code=5),
            direct(n, "capture_requested", 1, 5_000, code=91),
            direct(n, "captured", 1, 5_000),
            direct(n, "captured", 2, 5_000),
            direct(n, "refunded", 3, 1_000, code=8),
            direct(n, "refunded", 4, 1_000, code=8),
            direct(n, "rejected", 5, 1_000, code=83),
        ],
        8_000,
        children=(DONE, DONE, "Failed"),
    ),
    Life(
        "Direct: the rest is cancelled before or after a part is captured",
        lambda n: [
            direct(n, "pending_capture", code=5),
            direct(n, "cancelled", 1, 4_000, code=6),
            direct(n, "captured", 2, 6_000),
        ],
        6_000,
        config={"partialCapture": "credit"},
    ),
    Life(
        "Direct: cancelled in two parts",
        lambda n: [
            direct(n, "pending_capture", code=5),
            direct(n, "cancelled", 1, 4_000, code=6),
            direct(n, "cancelled", 2, 6_000, code=6),
        ],
        0,
        status="Cancelled",
    ),
    Life(
        "Connect: captured in two parts, and two equal refunds",
        lambda n: [
            connect(n, "payment.pending_approval"),
            connect(n, "payment.captured", amountCaptured=4_000),
            connect(n, "payment.captured", amountCaptured=10_000),
            connect(n, "refund.refund_requested", 1_000, f"1{n}"),
            connect(n, "refund.refunded", 1_000, f"1{n}"),
            connect(n, "refund.refunded", 1_000, f"2{n}"),
        ],
        8_000,
        children=(DONE, DONE),
    ),
    Life(
        "charged back twice, a part each",
        lambda n: [
            connect(n, "payment.paid", amountPaid=10_000),
            connect(n, "payment.chargebacked", 4_000, changed="20260301100000"),
            connect(n, "payment.chargebacked", 4_000, changed="20260401100000"),
        ],
        2_000,
        children=(DONE, DONE),
    ),
    Life(
        "Direct: charged back twice, a part each",
        lambda n: [
            direct(n, "captured"),
            direct(n, "chargebacked", 1, 4_000),
            direct(n, "chargebacked", 2, 4_000),
        ],
        2_000,
        children=(DONE, DONE),
    ),
    Life(
        "Connect: charged back",
        lambda n: [
            connect(n, "payment.paid", amountPaid=10_000),
            connect(n, "payment.chargeback_notification"),
            connect(n, "payment.chargebacked"),
        ],
        0,
        children=(DONE,),
    ),
)

LIVES = [
    (provider, life)
    for provider, lives in (
        ("worldpay", WPG),
        ("emerchantpay", GENESIS),
        ("allsecure", ALLSECURE),
        ("nuvei", NUVEI),
        ("worldline", WORLDLINE),
    )
    for life in lives
]


@soak
@pytest.mark.parametrize(("provider", "life"), LIVES, ids=lambda row: getattr(row, "name", row))
async def test_a_life_ends_as_the_acquirers_balance_does(
    payments: PaymentHarness, provider: str, life: Life
) -> None:
    await play(payments, provider, life, FEW)


async def test_two_refunds_that_worldpay_does_not_name_ask_a_person(
    payments: PaymentHarness,
) -> None:
    wpg = await account(payments, "worldpay", **BELIEVED)
    await payments.create("77")
    first, second = (
        journal(77, "REFUNDED", (NET, 1_500), (TAKEN, 1_500), batch=batch) for batch in (1, 2)
    )
    for event in (*wpg_paid(77), first, first, second, second):
        await wpg.send(event)

    (conflict,) = await payments.conflicts()
    assert (await payments.balance("77"), conflict.kind) == (8_500, "mismatch")

    await payments.accept(conflict.id)
    await wpg.send(first)
    await wpg.send(second)
    assert await payments.balance("77") == 7_000
    assert await payments.conflicts() == []


async def test_two_equal_captures_that_worldpay_does_not_name_ask_a_person(
    payments: PaymentHarness,
) -> None:
    wpg = await account(payments, "worldpay", **BELIEVED)
    by_rule = await account(payments, "worldpay", partialCapture="credit", **BELIEVED)
    for n, at, before, after, rest in (
        (77, wpg, 0, 0, 10_000),
        (78, by_rule, 5_000, 10_000, 10_000),
        (79, by_rule, 5_000, 5_000, 5_000),
    ):
        await payments.create(f"{n}")
        first, second = (journal(n, "CAPTURED", (TAKEN, 5_000), batch=batch) for batch in (1, 2))
        for event in (first, first, second, second):
            await at.send(event)
        assert await payments.balance(f"{n}") == before
        (conflict,) = [c for c in await payments.conflicts(f"{n}") if "again" in c.why]
        if rest == after == 5_000:
            await payments.keep(conflict.id)
        else:
            await payments.accept(conflict.id)
        for event in (first, second):
            await at.send(event)

        assert await payments.conflicts(f"{n}") == []
        assert await payments.balance(f"{n}") == rest


async def test_a_chargeback_of_worldline_without_time_is_told_by_the_events_time(
    payments: PaymentHarness,
) -> None:
    shop = await account(payments, "worldline")
    await payments.create("77")
    event = connect(77, "payment.chargebacked", 4_000)
    later = {"id": "later", "created": "2026-04-01T11:24:14.040+0100"}
    for sent in (connect(77, "payment.captured"), event, Event({**event.fields, "id": "another"})):
        await shop.send(sent)
    assert await payments.balance("77") == 6_000

    await shop.send(Event({**event.fields, **later}))
    assert (await payments.balance("77"), await payments.conflicts()) == (2_000, [])
