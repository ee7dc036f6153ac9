"""Lists and look-ups of callbacks, transactions, conflicts and audit."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from typing import Any

import pytest

from tests.store.inbound_harness import (
    APPLIED,
    APPROVED,
    CREDIT,
    DECLINED,
    DUPLICATE,
    ON_HOLD,
    PENDING,
    UNMATCHED,
    InboundHarness,
)
from tillbell.clock import SECOND
from tillbell.model.callbacks import Outcome, References
from tillbell.model.endpoints import EndpointHealth
from tillbell.model.records import Application
from tillbell.model.transactions import Direction, TransactionKind
from tillbell.storage.ports.inbound import CallbackFilter, TransactionFilter
from tillbell.storage.ports.outbound import ALL, Page

Listing = Callable[[Page], Awaitable[Sequence[Any]]]
NEWEST = Page(limit=100)


async def assert_pages(listing: Listing, expected: list[Any]) -> None:
    """Walk a list both ways in both orders; `expected` is newest first."""
    assert len(expected) > 3
    assert await listing(NEWEST) == expected
    assert await listing(ALL) == expected[::-1]
    newest_first = await listing(Page(limit=2))
    following = await listing(Page(limit=2, iterator=newest_first[-1].id))
    assert [*newest_first, *following] == expected[:4]
    assert await listing(Page(2, expected[3].id, backwards=True)) == expected[1:3]
    upwards = expected[::-1]
    assert await listing(Page(2, upwards[0].id, ascending=True)) == upwards[1:3]
    assert await listing(Page(2, upwards[3].id, backwards=True, ascending=True)) == upwards[1:3]
    assert await listing(Page(2, expected[-1].id)) == []


# ── callbacks ────────────────────────────────────────────────────────────────────────────────────


@pytest.fixture
async def log(inbound: InboundHarness) -> list[Any]:
    """Fill the log of callbacks; return it newest first."""
    found = []
    for n in range(4):
        first = await inbound.receive(f"k{n}")
        second = await inbound.receive(f"k{n}", source_id=inbound.source)
        third = await inbound.receive(None, source_id=inbound.second, provider="kopa")
        refused = await inbound.receive(None, trust=None, outcome=Outcome.UNAUTHENTICATED)
        await inbound.receive(None, app_id=inbound.outbound.other_app)
        first = await inbound.conclude(first, APPLIED, transaction_id="trx_1")
        third = await inbound.conclude(third, UNMATCHED)
        found += [first, second, third, refused]
    return sorted(found, reverse=True)


@pytest.mark.parametrize(
    "wanted",
    [
        {},
        {"source_id": "first"},
        {"source_id": "second"},
        {"provider": "kopa"},
        {"outcomes": (UNMATCHED,)},
        {"outcomes": (APPLIED, DUPLICATE, Outcome.STALE)},
        {"outcomes": (APPLIED, UNMATCHED), "source_id": "second"},
        {"is_refused": True},
        {"is_refused": False},
        {"is_refused": True, "outcomes": (Outcome.UNAUTHENTICATED, APPLIED)},
        {"transaction_id": "trx_1"},
        {"transaction_id": "trx_1", "outcomes": (APPLIED, UNMATCHED), "provider": "chipcard"},
    ],
    ids=lambda wanted: "-".join(wanted) or "all",
)
async def test_callbacks_are_listed_by_what_is_asked_for(
    inbound: InboundHarness, log: list[Any], wanted: dict[str, Any]
) -> None:
    sources = {"first": inbound.source, "second": inbound.second}
    if "source_id" in wanted:
        wanted = {**wanted, "source_id": sources[wanted["source_id"]]}
    filter_ = CallbackFilter(**wanted)
    expected = [
        c
        for c in log
        if filter_.source_id in (None, c.source_id)
        and filter_.provider in (None, c.provider)
        and (filter_.outcomes is None or c.outcome in filter_.outcomes)
        and filter_.is_refused in (None, c.trust is None)
        and filter_.transaction_id in (None, c.transaction_id)
    ]

    await assert_pages(
        lambda page: inbound.store.callbacks(inbound.outbound.app, filter_, page), list(expected)
    )


async def test_callbacks_of_no_outcome_are_none(inbound: InboundHarness, log: list[Any]) -> None:
    assert log
    assert (
        await inbound.store.callbacks(inbound.outbound.app, CallbackFilter(outcomes=()), NEWEST)
        == []
    )


async def test_callbacks_are_listed_of_a_time(inbound: InboundHarness) -> None:
    found = []
    for _ in range(4):
        found.append(await inbound.receive(None))
        inbound.outbound.clock.advance(1)
    start = found[0].received_at
    wanted = CallbackFilter(after=start + SECOND, before=start + 3 * SECOND)

    assert await inbound.store.callbacks(inbound.outbound.app, wanted, ALL) == found[1:3]


async def test_what_is_not_yet_processed_is_found_in_every_application(
    inbound: InboundHarness,
) -> None:
    apps = [inbound.outbound.app, inbound.outbound.other_app, inbound.outbound.app]
    found = [await inbound.receive(None, app_id=app) for app in apps]
    await inbound.conclude(found[0])

    assert await inbound.store.unprocessed_callbacks("", 10) == found[1:]
    assert await inbound.store.unprocessed_callbacks("", 1) == found[1:2]
    assert await inbound.store.unprocessed_callbacks(found[1].id, 10) == found[2:]


async def test_what_is_to_be_retried_comes_in_the_order_of_its_time(
    inbound: InboundHarness,
) -> None:
    now = inbound.outbound.now
    found = [
        await inbound.conclude(await inbound.receive(None), UNMATCHED, retry_at=now + wait)
        for wait in (3, 1, 2)
    ]

    assert await inbound.store.callbacks_to_retry(now + 2, 10) == [found[1], found[2]]
    assert await inbound.store.callbacks_to_retry(now + 3, 1) == [found[1]]


# ── transactions ─────────────────────────────────────────────────────────────────────────────────


async def test_a_transaction_is_found_by_id_or_uid_an_id_first(inbound: InboundHarness) -> None:
    first = await inbound.create(uid="order-1")
    second = await inbound.create(uid=first.id)
    store, app = inbound.store, inbound.outbound.app

    assert await store.transaction(app, first.id) == first
    assert await store.transaction(app, "order-1") == first
    assert await store.transaction(app, second.id) == second
    assert await store.transaction(inbound.outbound.other_app, first.id) is None
    assert await store.transaction(app, "unknown") is None


async def test_candidates_are_what_a_reference_may_mean(inbound: InboundHarness) -> None:
    by_id = await inbound.create()
    by_uid = await inbound.create(uid="a")
    by_order = await inbound.create(order_id="a")
    by_merchant = await inbound.create(merchant_reference="a")
    await inbound.create(psp_transaction_id="a", psp_reference="a", user_id="a")
    await inbound.create(
        uid="a", order_id="a", merchant_reference="a", app_id=inbound.outbound.other_app
    )
    find = inbound.store.candidate_transactions
    ours = References(("a", by_id.id, "unknown"))

    assert await find(inbound.outbound.app, inbound.source, ours) == [
        by_merchant,
        by_order,
        by_uid,
        by_id,
    ]
    assert await find(inbound.outbound.app, inbound.source, References(("unknown",))) == []
    assert await find(inbound.outbound.app, inbound.source, References()) == []


async def test_candidates_by_the_psp_belong_to_the_source_or_to_none_yet(
    inbound: InboundHarness,
) -> None:
    mine = await inbound.create(psp_transaction_id="p")
    nobodys = await inbound.create(psp_transaction_id="p", source_id=None)
    await inbound.create(psp_transaction_id="p", source_id=inbound.second)
    await inbound.create(psp_transaction_id="p", app_id=inbound.outbound.other_app)
    await inbound.create(uid="p", order_id="p")
    find, references = inbound.store.candidate_transactions, References((), ("q", "p"))

    assert await find(inbound.outbound.app, inbound.source, references) == [nobodys, mine]
    assert await find(inbound.outbound.app, None, references) == [nobodys]


async def test_candidates_are_found_once_and_at_most_fifty(inbound: InboundHarness) -> None:
    many = [await inbound.create(order_id="o", merchant_reference="o") for _ in range(60)]
    found = await inbound.store.candidate_transactions(
        inbound.outbound.app, inbound.source, References(("o", "o"))
    )

    assert found == many[:9:-1]


async def test_children_are_those_linked_to_a_transaction(inbound: InboundHarness) -> None:
    payment, other = await inbound.captured(), await inbound.captured()
    steps = [inbound.refunding(payment, 100) for _ in range(3)]
    await inbound.do(transaction_writes=tuple(steps))

    assert await inbound.store.linked_transactions(payment.app_id, payment.id) == [
        step.transaction for step in steps
    ]
    assert await inbound.store.linked_transactions(other.app_id, other.id) == []


@pytest.fixture
async def ledger(inbound: InboundHarness) -> list[Any]:
    """Fill the list of transactions; return it newest first."""
    found = []
    payment = await inbound.captured(user_id="ann", order_id="ref")
    for n in range(4):
        found += [
            await inbound.create(user_id="ann", merchant_reference="ref"),
            await inbound.create(ON_HOLD, direction=Direction.PAY_OUT, user_id="bob"),
            await inbound.create(DECLINED, psp_transaction_id="ref", source_id=f"src_{n}"),
        ]
        refund = inbound.refunding(payment, 10, user_id="bob", order_id="ref")
        await inbound.do(transaction_writes=(refund,))
        found.append(refund.transaction)
        await inbound.create(app_id=inbound.outbound.other_app, order_id="ref", user_id="ann")
    return sorted([payment, *found], reverse=True)


@pytest.mark.parametrize(
    "wanted",
    [
        {},
        {"status": PENDING},
        {"status": ON_HOLD},
        {"status": APPROVED, "user_id": "bob"},
        {"direction": Direction.PAY_OUT},
        {"kind": TransactionKind.REFUND},
        {"user_id": "ann"},
        {"reference": "ref"},
        {"reference": "ref", "status": APPROVED},
        {"reference": "ref", "kind": TransactionKind.PAYMENT, "direction": Direction.PAY_IN},
        {"parent_id": "the payment"},
        {"parent_id": "the payment", "status": APPROVED},
    ],
    ids=lambda wanted: "-".join(wanted) or "all",
)
async def test_transactions_are_listed_by_what_is_asked_for(
    inbound: InboundHarness, ledger: list[Any], wanted: dict[str, Any]
) -> None:
    if "parent_id" in wanted:
        wanted = {**wanted, "parent_id": ledger[-1].id}
    filter_ = TransactionFilter(**wanted)
    expected = [
        t
        for t in ledger
        if filter_.status in (None, t.status)
        and filter_.direction in (None, t.direction)
        and filter_.kind in (None, t.kind)
        and filter_.user_id in (None, t.user_id)
        and filter_.parent_id in (None, t.parent_id)
        and filter_.reference
        in (None, t.order_id, t.merchant_reference, t.psp_transaction_id, t.uid)
    ]

    await assert_pages(
        lambda page: inbound.store.transactions(inbound.outbound.app, filter_, page), expected
    )


async def test_transactions_are_listed_by_their_uid_and_of_a_time(inbound: InboundHarness) -> None:
    found = []
    for n in range(4):
        found.append(await inbound.create(uid=f"u{n}"))
        inbound.outbound.clock.advance(1)
    start, app = found[0].created_at, inbound.outbound.app
    of_a_time = TransactionFilter(after=start + SECOND, before=start + 3 * SECOND)

    assert await inbound.store.transactions(app, TransactionFilter(reference="u2"), ALL) == [
        found[2]
    ]
    assert await inbound.store.transactions(app, of_a_time, ALL) == found[1:3]


async def test_checks_are_due_earliest_first(inbound: InboundHarness) -> None:
    now = inbound.outbound.now
    found = [await inbound.create(check_at=now + wait) for wait in (3, 1, 2)]
    await inbound.create()

    assert await inbound.store.transactions_to_check(now, 10) == []
    assert await inbound.store.transactions_to_check(now + 2, 10) == [found[1], found[2]]
    assert await inbound.store.transactions_to_check(now + 9, 1) == [found[1]]
    await inbound.move(found[1], check_at=None)
    assert await inbound.store.transactions_to_check(now + 2, 10) == [found[2]]


async def test_steps_and_effects_are_those_of_one_transaction(inbound: InboundHarness) -> None:
    one = await inbound.create(ON_HOLD, APPROVED, effects=(CREDIT,))
    await inbound.captured()

    assert [t.sequence for t in await inbound.store.transitions(one.app_id, one.id)] == [1, 2, 3]
    assert [(e.kind, e.sequence) for e in await inbound.store.effects(one.app_id, one.id)] == [
        (CREDIT, 3)
    ]
    assert await inbound.store.transitions(inbound.outbound.app, "trx_unknown") == []
    assert await inbound.store.effects(inbound.outbound.app, "trx_unknown") == []


# ── conflicts and audit ──────────────────────────────────────────────────────────────────────────


async def test_conflicts_are_listed_all_or_open_or_of_one_transaction(
    inbound: InboundHarness,
) -> None:
    one, other = await inbound.create(), await inbound.create()
    found = [inbound.conflict(of) for _ in range(4) for of in (one, other)]
    await inbound.do(conflicts=tuple(found))
    resolved = [c._replace(resolved_at=1, resolution="keep") for c in found[:1]]
    await inbound.do(resolved=tuple(resolved))
    listed = [*found[:0:-1], *resolved]
    app, conflicts = inbound.outbound.app, inbound.store.conflicts

    await assert_pages(lambda page: conflicts(app, page), listed)
    await assert_pages(lambda page: conflicts(app, page, open_only=True), listed[:-1])
    of_one = [c for c in listed if c.transaction_id == one.id]
    await assert_pages(lambda page: conflicts(app, page, one.id), of_one)
    assert await conflicts(app, NEWEST, one.id, open_only=True) == of_one[:-1]
    assert await conflicts(inbound.outbound.other_app, NEWEST) == []
    assert await inbound.store.conflict(app, one.id.replace("trx", "x")) is None
    for each in listed:
        assert await inbound.store.conflict(app, each.id) == each
        assert await inbound.store.conflict(inbound.outbound.other_app, each.id) is None


async def test_audit_is_listed_all_or_of_one_target(inbound: InboundHarness) -> None:
    found = [inbound.audit_entry(target, details={"n": 1}) for _ in range(4) for target in "ab"]
    await inbound.do(audit=tuple(found))
    listed, app, audit = found[::-1], inbound.outbound.app, inbound.store.audit

    await assert_pages(lambda page: audit(app, page), listed)
    await assert_pages(lambda page: audit(app, page, "a"), listed[1::2])
    assert await audit(inbound.outbound.other_app, NEWEST) == []


async def test_what_needs_somebody_is_counted_up_to_a_limit(inbound: InboundHarness) -> None:
    app, other, store = inbound.outbound.app, inbound.outbound.other_app, inbound.store
    await store.put(Application(id=app, name="Shop"), Application(id=other, name="Other"))
    failing = [
        EndpointHealth(id=inbound.outbound.new("ep"), scope=scope, failing_since=since)
        for scope, since in ((app, 5), (app, 6), (app, None), (other, 7))
    ]
    await store.put(*failing)
    of = await inbound.create()
    foreign = await inbound.create(app_id=other)
    conflicts = [inbound.conflict(each) for each in (of, of, foreign)]
    settled = inbound.conflict(of)
    await inbound.do(conflicts=(*conflicts, settled))
    await inbound.do(resolved=(settled._replace(resolved_at=1, resolution="keep"),))

    assert await store.attention(app, 9) == (2, 2)
    assert await store.attention(other, 9) == (1, 1)
    assert await store.attention(None, 9) == (3, 3)
    assert await store.attention(None, 1) == (1, 1)


async def test_refused_callbacks_are_counted_by_source(inbound: InboundHarness) -> None:
    app, other, store = inbound.outbound.app, inbound.outbound.other_app, inbound.store
    refused = {"trust": None, "outcome": Outcome.UNAUTHENTICATED}
    await inbound.receive(**refused)
    inbound.outbound.clock.advance(10)
    since = inbound.outbound.now
    for fields in ({}, refused, refused, refused | {"app_id": other, "source_id": "src_other"}):
        await inbound.receive(**fields)
    await inbound.receive()

    mine, foreign = {(app, inbound.source): 2}, {(other, "src_other"): 1}
    assert await store.refused_by_source(app, since, 9) == mine
    assert await store.refused_by_source(None, since, 9) == mine | foreign
    assert await store.refused_by_source(None, since, 2) == foreign  # of the newest two callbacks
    assert await store.refused_by_source(app, 0, 1) == {(app, inbound.source): 1}
