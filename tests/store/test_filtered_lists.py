"""Lists with a filter, on every database, against what plain Python makes of the same rows."""

from __future__ import annotations

import random
from collections.abc import Awaitable, Callable, Sequence
from decimal import Decimal
from typing import Any, NamedTuple

from tests.store.inbound_harness import InboundHarness
from tests.store.outbound_harness import FAILED, SUCCEEDED, WAITING, OutboundHarness
from tillbell.clock import HOUR, iso
from tillbell.ids import attempt_cursor
from tillbell.model.callbacks import Callback, Outcome
from tillbell.model.messages import Attempt, Message, Result
from tillbell.model.records import Application
from tillbell.model.sources import Trust
from tillbell.model.transactions import MoneyConflict, Transaction, TransactionStatus
from tillbell.money import format_amount
from tillbell.rules.filters.clauses import FilterList, ListFilter
from tillbell.rules.filters.grammar import parse
from tillbell.rules.filters.meaning import meaning
from tillbell.storage.ports.database import Database
from tillbell.storage.ports.filtered import Slice
from tillbell.storage.ports.outbound import DeliveryRow, Page, Publication

TYPES = ("order.paid", "order.refunded", "orderly", "stock.low")
PAYLOADS = (
    b'{"amount": 149.990, "customer": {"email": "a b@x.y"}}',
    b'{"amount": 1.5e2, "data": {"customer": {"email": "caf\\u00e9@x.y"}}}',
    b'{"amount": 90071992547409930001, "items": [{"sku": "A"}, {"sku": "B*"}], "paid": true}',
    b'{"amount": "7", "customer": null}',
    b"no JSON",
)

Fetch = Callable[[str | None, ListFilter, Page, int], Awaitable[Slice[Any]]]
Case = tuple[str, Callable[[Any], bool]]


class Rows(NamedTuple):
    """All rows of a store."""

    messages: list[tuple[Message, bytes]]
    deliveries: list[DeliveryRow]
    attempts: list[Attempt]
    callbacks: list[Callback]
    transactions: list[Transaction]
    conflicts: list[MoneyConflict]

    def message(self, id_: str) -> tuple[Message, bytes]:
        return next(pair for pair in self.messages if pair[0].id == id_)


async def fill(inbound: InboundHarness) -> Rows:
    """Store some hundred rows of two applications that differ in everything a filter asks for."""
    outbound, dice = inbound.outbound, random.Random(7)
    for app in (outbound.app, outbound.other_app):
        now = outbound.now
        await outbound.store.put(Application(id=app, name="x", created_at=now, updated_at=now))
    rows = Rows([], [], [], [], [], [])
    for number in range(60):
        outbound.clock.advance(60)
        app = dice.choice([outbound.app, outbound.app, outbound.other_app])
        rows.messages.append(await _published(outbound, dice, number, app))
    for _ in range(3):
        await _attempted(outbound, dice, rows)
    for message, _ in rows.messages:
        for delivery in await outbound.deliveries(message):
            rows.deliveries.append(DeliveryRow(delivery, message))
    for number in range(40):
        outbound.clock.advance(60)
        app = dice.choice([outbound.app, outbound.app, outbound.other_app])
        rows.transactions.append(await _paid(inbound, dice, number, app))
        rows.callbacks.append(await _called_back(inbound, dice, rows.transactions[-1]))
        if number % 2:
            rows.conflicts.append(await _contradicted(inbound, dice, rows))
    return rows


async def _published(
    outbound: OutboundHarness, dice: random.Random, number: int, app: str
) -> tuple[Message, bytes]:
    message = outbound.message(
        app,
        event_type=dice.choice(TYPES),
        event_id=f"event-{number}" if number % 3 else None,
        channels=dice.choice([(), ("web",), ("web", "a,b")]),
        tags=dice.choice([(), ("test",), ("x y", "test")]),
        order_key=dice.choice([None, None, f"order {number % 4}"]),
    )
    wanted = dice.choice([[], [outbound.endpoint], [outbound.endpoint, outbound.second]])
    if app == outbound.other_app:
        wanted = [f"ep_{'0' * 16}other00000"] if wanted else []
    payload = dice.choice(PAYLOADS)
    deliveries = [outbound.waiting(message, endpoint) for endpoint in wanted]
    await outbound.store.publish(Publication(message, {"": payload}, deliveries))
    return message, payload


async def _attempted(outbound: OutboundHarness, dice: random.Random, rows: Rows) -> None:
    outbound.clock.advance(3600)
    lanes = {(outbound.app, outbound.endpoint): 15, (outbound.app, outbound.second): 9}
    now = outbound.now
    for claim in await outbound.store.claim(lanes, now, now + HOUR):
        state = dice.choice([WAITING, SUCCEEDED, FAILED])
        is_accepted = state is SUCCEEDED
        finished = outbound.result(
            claim.delivery,
            state,
            due_at=outbound.now,
            event_type=claim.message.event_type,
            result=Result.ACCEPTED if is_accepted else dice.choice([*Result][1:]),
            status_code=200 if is_accepted else dice.choice([0, 404, 500, 503]),
            error="" if is_accepted else dice.choice(["", "timeout", "tls_error"]),
            duration_us=dice.choice([1_000, 500_000, 2_000_000]),
            url=dice.choice(["https://a.example/x", "https://b.example/y"]),
        )
        started_at = finished.attempt.started_at + dice.randrange(HOUR)
        attempt = finished.attempt._replace(started_at=started_at)
        finished = finished._replace(attempt=attempt)
        assert await outbound.store.finish_attempt(finished)
        rows.attempts.append(finished.attempt)


async def _paid(inbound: InboundHarness, dice: random.Random, number: int, app: str) -> Transaction:
    later: list[tuple[TransactionStatus, ...]] = [
        (),
        (TransactionStatus.ON_HOLD,),
        (TransactionStatus.APPROVED,),
        (TransactionStatus.DECLINED,),
    ]
    return await inbound.create(
        *dice.choice(later),
        app_id=app,
        amount=dice.choice([0, 100, 9_999, 10_000, 10_001, 123_456_789_012_345_678]),
        currency=dice.choice(["EUR", "JPY", "KWD", "USD"]),
        uid=f"uid-{number}",
        order_id=dice.choice([None, "1001", "10 01"]),
        merchant_reference=dice.choice([None, "1001", "m"]),
        user_id=dice.choice([None, "u1", "u2"]),
        provider=dice.choice(["stripe", "adyen"]),
        source_id=dice.choice([inbound.source, inbound.second]),
    )


async def _called_back(inbound: InboundHarness, dice: random.Random, of: Transaction) -> Callback:
    trust = dice.choice([None, Trust.NETWORK, Trust.SIGNED])
    callback = await inbound.receive(
        app_id=of.app_id,
        source_id=of.source_id,
        provider=of.provider,
        trust=trust,
        outcome=Outcome.UNAUTHENTICATED if trust is None else None,
    )
    if trust is not None and dice.random() < 0.7:
        outcome = dice.choice([Outcome.APPLIED, Outcome.STALE, Outcome.NOTED])
        return await inbound.conclude(callback, outcome, transaction_id=of.id)
    return callback


async def _contradicted(inbound: InboundHarness, dice: random.Random, rows: Rows) -> MoneyConflict:
    conflict = inbound.conflict(
        dice.choice(rows.transactions),
        kind=dice.choice(["mismatch", "stuck"]),
        amount=dice.choice([None, 100, 10_000]),
        currency="EUR",
        callback_id=dice.choice([None, rows.callbacks[-1].id]),
    )._replace(severity=dice.choice(["normal", "critical"]))
    await inbound.do(conflicts=(conflict,))
    if dice.random() < 0.5:
        return conflict
    decided = conflict._replace(
        resolved_at=inbound.outbound.now,
        resolution=dice.choice(["keep", "accept"]),
        resolved_by="key_1",
        resolution_reason="why",
    )
    await inbound.do(resolved=(decided,))
    return decided


# ── what each filter should find, said without the program ───────────────────────────────────────


def message_cases(rows: Rows) -> list[Case]:
    named = rows.messages[7][0]
    keyed = next(m for m, _ in rows.messages if m.event_id)
    middle = rows.messages[30][0].created_at
    return [
        ("", lambda p: True),
        (f"id:{named.id}", lambda p: p[0].id == named.id),
        (f"-id:{named.id}", lambda p: p[0].id != named.id),
        ("type:order.*", lambda p: p[0].event_type.startswith("order.")),
        ("type:order.paid,stock.*", lambda p: p[0].event_type in ("order.paid", "stock.low")),
        ("-type:order*", lambda p: p[0].event_type == "stock.low"),
        ('type:"order.*"', lambda p: False),
        ('channel:"a,b"', lambda p: "a,b" in p[0].channels),
        ("-channel:web", lambda p: "web" not in p[0].channels),
        ('tag:test tag:"x y"', lambda p: {"test", "x y"} <= set(p[0].tags)),
        ('order:"order 1","order 3"', lambda p: p[0].order_key in ("order 1", "order 3")),
        ('-order:"order 1"', lambda p: p[0].order_key != "order 1"),
        (f"event:{keyed.event_id}", lambda p: p[0].event_id == keyed.event_id),
        ("event:nothing", lambda p: False),
        (f"since:{iso(middle)}", lambda p: p[0].created_at >= middle),
        (f"until:{iso(middle)} tag:test", lambda p: p[0].created_at < middle and p[0].tags),
        (f"-since:{iso(middle)}", lambda p: p[0].created_at < middle),
        ('data.customer.email:"a b@x.y"', lambda p: p[1] == PAYLOADS[0]),
        ("data.customer.email:café*", lambda p: p[1] == PAYLOADS[1]),
        ("data.amount:149.99", lambda p: p[1] == PAYLOADS[0]),
        ("data.amount:>=150", lambda p: p[1] in PAYLOADS[1:3]),
        ("data.amount:90071992547409930002", lambda p: False),
        ("data.amount:7,150", lambda p: p[1] in (PAYLOADS[1], PAYLOADS[3])),
        ('data.items.sku:A data.items.1.sku:"B*"', lambda p: p[1] == PAYLOADS[2]),
        ("data.paid:true", lambda p: p[1] == PAYLOADS[2]),
        ("data.customer:null", lambda p: p[1] == PAYLOADS[3]),
        ("-data.amount:>0 type:order.paid", _no_amount_of_paid),
    ]


def _no_amount_of_paid(pair: tuple[Message, bytes]) -> bool:
    return pair[1] == PAYLOADS[4] and pair[0].event_type == "order.paid"


def delivery_cases(rows: Rows) -> list[Case]:
    row = rows.deliveries[5]
    endpoint = row.delivery.endpoint_id
    codes = {attempt.delivery_id: attempt.status_code for attempt in rows.attempts}
    keyed = next(r for r in rows.deliveries if r.message.event_id)
    middle = rows.messages[30][0].created_at

    def code(row: DeliveryRow) -> int | None:
        return codes.get(row.delivery.id)

    return [
        ("", lambda r: True),
        (f"id:{row.delivery.id}", lambda r: r == row),
        (f"message:{row.message.id}", lambda r: r.message == row.message),
        (f"-message:{row.message.id}", lambda r: r.message != row.message),
        (f"event:{keyed.message.event_id}", lambda r: r.message == keyed.message),
        (f"endpoint:{endpoint}", lambda r: r.delivery.endpoint_id == endpoint),
        (f"endpoint:{endpoint},ep_none", lambda r: r.delivery.endpoint_id == endpoint),
        (f"-endpoint:{endpoint}", lambda r: r.delivery.endpoint_id != endpoint),
        ("status:failed,waiting", lambda r: r.delivery.state in ("failed", "waiting")),
        ("-status:failed", lambda r: r.delivery.state != "failed"),
        (
            f"status:failed endpoint:{endpoint}",
            lambda r: r.delivery.state == "failed" and r.delivery.endpoint_id == endpoint,
        ),
        ("code:5xx", lambda r: (code(r) or 0) >= 500),
        ("code:none,404", lambda r: code(r) in (0, 404)),
        ("-code:200", lambda r: code(r) != 200),
        ("attempts:>=2", lambda r: r.delivery.attempts >= 2),
        ("attempts:0 trigger:scheduled", lambda r: r.delivery.attempts == 0),
        ("trigger:manual", lambda r: False),
        (
            "type:order.* -tag:test",
            lambda r: r.message.event_type[:6] == "order." and not r.message.tags,
        ),
        ("channel:web,b", lambda r: "web" in r.message.channels),
        ('order:"order 2"', lambda r: r.message.order_key == "order 2"),
        (f"since:{iso(middle)}", lambda r: r.message.created_at >= middle),
        ("data.amount:<100", lambda r: rows.message(r.message.id)[1] == PAYLOADS[3]),
    ]


def attempt_cases(rows: Rows) -> list[Case]:
    attempt = rows.attempts[3]
    by_id = {message.id: message for message, _ in rows.messages}
    late = sorted(a.started_at for a in rows.attempts)[-9]
    endpoint = attempt.endpoint_id
    return [
        ("", lambda a: True),
        (f"id:{attempt.id}", lambda a: a == attempt),
        (f"delivery:{attempt.delivery_id}", lambda a: a.delivery_id == attempt.delivery_id),
        (f"-delivery:{attempt.delivery_id}", lambda a: a.delivery_id != attempt.delivery_id),
        (f"message:{attempt.message_id}", lambda a: a.message_id == attempt.message_id),
        (f"endpoint:{endpoint}", lambda a: a.endpoint_id == endpoint),
        (f"endpoint:{endpoint} since:{iso(late)}", lambda a: _is_late(a, endpoint, late)),
        (
            f"endpoint:{endpoint} code:5xx",
            lambda a: a.endpoint_id == endpoint and a.status_code >= 500,
        ),
        ("status:succeeded", lambda a: a.result == "accepted"),
        ("-status:succeeded", lambda a: a.result != "accepted"),
        ("status:failed code:<500", lambda a: a.result != "accepted" and 0 < a.status_code < 500),
        ("result:timed_out,gone", lambda a: a.result in ("timed_out", "gone")),
        ("error:timeout", lambda a: a.error == "timeout"),
        ("number:>1", lambda a: a.number > 1),
        ("duration:>=500ms", lambda a: a.duration_us >= 500_000),
        ("duration:<2s -duration:1ms", lambda a: a.duration_us == 500_000),
        ("url:https://a.example/*", lambda a: "a.example" in a.url),
        ("trigger:scheduled", lambda a: True),
        ("type:stock.low", lambda a: a.event_type == "stock.low"),
        ("tag:test", lambda a: "test" in by_id[a.message_id].tags),
        (f"since:{iso(late)}", lambda a: a.started_at >= late),
        (f"until:{iso(late)}", lambda a: a.started_at < late),
        ("data.paid:true", lambda a: rows.message(a.message_id)[1] == PAYLOADS[2]),
    ]


def _is_late(attempt: Attempt, endpoint: str, at: int) -> bool:
    return attempt.endpoint_id == endpoint and attempt.started_at >= at


def callback_cases(rows: Rows) -> list[Case]:
    source = rows.callbacks[0].source_id
    callback = next(c for c in rows.callbacks if c.transaction_id)
    middle = rows.callbacks[20].received_at
    return [
        ("", lambda c: True),
        (f"id:{callback.id}", lambda c: c.id == callback.id),
        (f"source:{source}", lambda c: c.source_id == source),
        (f"-source:{source}", lambda c: c.source_id != source),
        ("provider:stripe", lambda c: c.provider == "stripe"),
        ("status:applied,stale", lambda c: c.outcome in ("applied", "stale")),
        ("status:pending", lambda c: c.outcome is None),
        ("-status:pending,applied", lambda c: c.outcome not in (None, "applied")),
        ("verdict:refused", lambda c: c.trust is None),
        ("verdict:accepted", lambda c: c.trust is not None),
        ("trust:signed", lambda c: c.trust is Trust.SIGNED),
        ("-trust:signed", lambda c: c.trust is not Trust.SIGNED),
        (f"transaction:{callback.transaction_id}", lambda c: c.id == callback.id),
        (f"since:{iso(middle)}", lambda c: c.received_at >= middle),
    ]


def transaction_cases(rows: Rows) -> list[Case]:
    transaction = rows.transactions[11]
    source = transaction.source_id
    middle = rows.transactions[20].created_at

    def amount(of: Transaction) -> Decimal:
        return Decimal(format_amount(of.amount, of.currency))

    return [
        ("", lambda t: True),
        (f"id:{transaction.id}", lambda t: t.id == transaction.id),
        (f"uid:{transaction.uid}", lambda t: t.uid == transaction.uid),
        ("order:1001", lambda t: t.order_id == "1001"),
        ("-order:1001", lambda t: t.order_id != "1001"),
        ("reference:1001", lambda t: "1001" in (t.order_id, t.merchant_reference)),
        ("-reference:1001", lambda t: "1001" not in (t.order_id, t.merchant_reference)),
        ("reference:1001,m user:u1", _is_referred_by_first_user),
        ("user:u1,u2", lambda t: t.user_id is not None),
        ("status:approved", lambda t: t.status == "Approved"),
        ('status:on_hold,"On Hold",pending', lambda t: t.status in ("On Hold", "Pending")),
        ("-status:approved", lambda t: t.status != "Approved"),
        ("direction:pay_out", lambda t: False),
        ("kind:payment", lambda t: True),
        (f"source:{source}", lambda t: t.source_id == source),
        ("provider:adyen", lambda t: t.provider == "adyen"),
        ("parent:trx_none", lambda t: False),
        ("currency:EUR,jpy", lambda t: t.currency in ("EUR", "JPY")),
        ("amount:100", lambda t: amount(t) == 100),
        ("amount:>=100", lambda t: amount(t) >= 100),
        ("amount:>100 currency:EUR", lambda t: t.currency == "EUR" and t.amount > 10_000),
        ("amount:<=100.005", lambda t: amount(t) <= Decimal("100.005")),
        ("amount:<0.1005", lambda t: amount(t) < Decimal("0.1005")),
        ("-amount:>=100", lambda t: amount(t) < 100),
        ("amount:1234567890123456.78", lambda t: amount(t) == Decimal("1234567890123456.78")),
        (f"since:{iso(middle)} provider:adyen", lambda t: _is_late_adyen(t, middle)),
    ]


def _is_referred_by_first_user(transaction: Transaction) -> bool:
    references = (transaction.order_id, transaction.merchant_reference)
    return not {"1001", "m"}.isdisjoint(references) and transaction.user_id == "u1"


def _is_late_adyen(transaction: Transaction, at: int) -> bool:
    return transaction.created_at >= at and transaction.provider == "adyen"


def conflict_cases(rows: Rows) -> list[Case]:
    conflict = rows.conflicts[2]
    brought = next(c for c in rows.conflicts if c.callback_id)
    return [
        ("", lambda c: True),
        (f"id:{conflict.id}", lambda c: c.id == conflict.id),
        ("status:open", lambda c: c.resolved_at is None),
        ("status:resolved", lambda c: c.resolved_at is not None),
        ("decision:keep", lambda c: c.resolution == "keep"),
        ("-decision:keep", lambda c: c.resolution != "keep"),
        ("kind:stuck", lambda c: c.kind == "stuck"),
        ("severity:critical,high", lambda c: c.severity == "critical"),
        ("claims:declined", lambda c: True),
        (
            f"transaction:{conflict.transaction_id}",
            lambda c: c.transaction_id == conflict.transaction_id,
        ),
        (f"callback:{brought.callback_id}", lambda c: c.callback_id == brought.callback_id),
        ("amount:<=1", lambda c: c.amount == 100),
        ("-amount:<=1", lambda c: c.amount != 100),
        ("currency:EUR status:open", lambda c: c.resolved_at is None),
    ]


# ── the comparison ───────────────────────────────────────────────────────────────────────────────


async def paged(fetch: Fetch, scope: str | None, filter_: ListFilter, page: Page) -> list[str]:
    """Return the ids of all pages, read in slices that are smaller than the list."""
    ids: list[str] = []
    while True:
        slice_ = await fetch(scope, filter_, page, 30)
        new = [id_of(row) for row in slice_.rows]
        ids += new
        if len(new) == page.limit:
            page = page._replace(iterator=new[-1])
        elif slice_.end is None:
            return ids
        else:
            page = page._replace(iterator=slice_.end)


def id_of(row: Any) -> str:
    if isinstance(row, Attempt):
        return attempt_cursor(row.id, row.started_at)
    return str(row.delivery.id if isinstance(row, DeliveryRow) else row.id)


class Checked(NamedTuple):
    """A list with its rows, and what its filters should find."""

    list_: FilterList
    fetch: Fetch
    rows: Sequence[Any]
    cases: list[Case]
    app_of: Callable[[Any], str]


def checked_lists(rows: Rows, store: Database) -> list[Checked]:
    plain = (
        (FilterList.ATTEMPT, store.filtered_attempts, rows.attempts, attempt_cases(rows)),
        (FilterList.CALLBACK, store.filtered_callbacks, rows.callbacks, callback_cases(rows)),
        (
            FilterList.TRANSACTION,
            store.filtered_transactions,
            rows.transactions,
            transaction_cases(rows),
        ),
        (FilterList.CONFLICT, store.filtered_conflicts, rows.conflicts, conflict_cases(rows)),
    )
    return [
        Checked(
            FilterList.MESSAGE,
            store.filtered_messages,
            rows.messages,
            message_cases(rows),
            lambda pair: str(pair[0].app_id),
        ),
        Checked(
            FilterList.DELIVERY,
            store.filtered_deliveries,
            rows.deliveries,
            delivery_cases(rows),
            lambda row: str(row.message.app_id),
        ),
        *(
            Checked(list_, fetch, its_rows, cases, lambda row: str(row.app_id))
            for list_, fetch, its_rows, cases in plain
        ),
    ]


async def test_each_qualifier_finds_what_plain_python_finds(inbound: InboundHarness) -> None:
    rows, outbound = await fill(inbound), inbound.outbound
    for checked in checked_lists(rows, inbound.store):
        assert len(checked.rows) >= 20
        for text, is_wanted in checked.cases:
            await _compare(checked, text, is_wanted, (outbound.app, None), outbound.now)
            in_app = f"app:{outbound.app} {text}".strip()
            wanted = _within(checked, outbound.app, is_wanted)
            await _compare(checked, in_app, wanted, (None,), outbound.now)


def _within(checked: Checked, app: str, is_wanted: Callable[[Any], bool]) -> Callable[[Any], bool]:
    return lambda row: checked.app_of(row) == app and is_wanted(row)


async def _compare(
    checked: Checked,
    text: str,
    is_wanted: Callable[[Any], bool],
    scopes: Sequence[str | None],
    now: int,
) -> None:
    filter_ = meaning(parse(text), checked.list_, now)
    for scope in scopes:
        fitting = [
            row for row in checked.rows if is_wanted(row) and scope in (None, checked.app_of(row))
        ]
        expected = sorted(id_of(row[0] if type(row) is tuple else row) for row in fitting)
        place = f"{checked.list_} {text!r} in {scope}"
        newest = await paged(checked.fetch, scope, filter_, Page(limit=11))
        assert newest == expected[::-1], place
        if scope is None:
            oldest = await paged(checked.fetch, scope, filter_, Page(limit=17, ascending=True))
            assert oldest == expected, place
