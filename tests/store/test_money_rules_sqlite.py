"""Who breaks into the books by SQL is refused; a commit that fails leaves no halves."""

from __future__ import annotations

import asyncio
import contextlib
import re
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import apsw
import pytest

from tests.store.inbound_harness import APPROVED, CREDIT, DECLINED, RESERVE, InboundHarness
from tests.store.outbound_harness import OutboundHarness
from tests.store.test_failed_commits import ERRORS, Faults
from tests.store.test_statements import _Nothing
from tillbell.errors import StoreUnavailable
from tillbell.model.callbacks import Callback
from tillbell.model.records import Application
from tillbell.model.transactions import Direction, TransactionKind
from tillbell.storage.ports.inbound import (
    ChangesCommitted,
    ChangeSet,
    PreconditionFailed,
    ReceivedCallback,
)
from tillbell.storage.ports.outbound import ALL, MessageFilter
from tillbell.storage.session.statements import load
from tillbell.storage.sqlite.database import SqliteDatabase
from tillbell.testing import ManualClock

sql = load("sqlite")


@pytest.fixture
def faults() -> Faults:
    return Faults()


@pytest.fixture
async def inbound(
    tmp_path: Path, clock: ManualClock, faults: Faults
) -> AsyncIterator[InboundHarness]:
    database = SqliteDatabase(tmp_path / "x.db", clock, fault=faults)
    await database.open()
    yield InboundHarness(OutboundHarness(database, clock))
    await database.close()


@pytest.fixture
def thief(inbound: InboundHarness, tmp_path: Path) -> Iterator[apsw.Connection]:
    """Connect to the same file, past the program."""
    assert inbound
    with contextlib.closing(apsw.Connection(str(tmp_path / "x.db"))) as connection:
        yield connection


# ── by SQL ───────────────────────────────────────────────────────────────────────────────────────

STEP = "INSERT INTO transitions (transaction_id, sequence, previous_status, status, at, supersedes)"
CAUSE = "INSERT INTO effects (transaction_id, kind, sequence, amount, currency, at)"
CREATE = (  # values: what is told, then parent, sequence and status
    "INSERT INTO transactions (id, app_id, direction, kind, amount, currency, created_at,"
    " updated_at, version, reserves, checks, parent_id, sequence, status)"
)
REPLACE = CREATE.replace("INSERT", "REPLACE")
ONE_MORE = (
    f"{REPLACE.replace(', status)', ', status, uid)')} VALUES ('x', :app, 'pay_in', 'payment', 1"
)
TAKE = "INSERT INTO callback_keys (source_id, dedupe_key, callback_id, app_id, taken_at)"

# `paid` was approved and credited (100.00 EUR), `declined` was declined, `open` waits; `refund`
# is an approved refund of 60.00, already debited, and `second` another of 50.00, not yet debited.
ATTACKS = {
    "a second credit": (f"{CAUSE} VALUES (:paid, 'credit', 2, 1, 'EUR', 0)", "counts once"),
    "a credit in place of another": (
        f"{CAUSE.replace('INSERT', 'REPLACE')} VALUES (:paid, 'credit', 2, 1, 'EUR', 0)",
        "counts once",
    ),
    "a credit of what waits": (f"{CAUSE} VALUES (:open, 'credit', 1, 1, 'EUR', 0)", "Approved"),
    "a debit of what waits": (f"{CAUSE} VALUES (:open, 'debit', 1, 1, 'EUR', 0)", "Approved"),
    "a credit of what failed": (f"{CAUSE} VALUES (:declined, 'credit', 2, 1, 'EUR', 0)", "Approv"),
    "a release of what was paid": (f"{CAUSE} VALUES (:paid, 'release', 2, 1, 'EUR', 0)", "negat"),
    "a release of what waits": (f"{CAUSE} VALUES (:open, 'release', 1, 1, 'EUR', 0)", "negative"),
    "an effect of an earlier step": (
        f"{CAUSE} VALUES (:paid, 'debit', 1, 1, 'EUR', 0)",
        "not of the last step",
    ),
    "an effect of a later step": (
        f"{CAUSE} VALUES (:paid, 'debit', 3, 1, 'EUR', 0)",
        "not of the last step",
    ),
    "a late reserve": (f"{CAUSE} VALUES (:paid, 'reserve', 2, 1, 'EUR', 0)", "with creation"),
    "an effect of nothing": (f"{CAUSE} VALUES ('x', 'credit', 1, 1, 'EUR', 0)", "no transaction"),
    "an effect of a new kind": (f"{CAUSE} VALUES (:paid, 'gift', 2, 1, 'EUR', 0)", "CHECK"),
    "an amount with digits": (f"{CAUSE} VALUES (:second, 'debit', 2, 1.5, 'EUR', 0)", "CHECK"),
    "a negative amount": (f"{CAUSE} VALUES (:second, 'debit', 2, -1, 'EUR', 0)", "CHECK"),
    "refunds above the capture": (
        f"{CAUSE} VALUES (:second, 'debit', 2, 4001, 'EUR', 0)",
        "above what was captured",
    ),
    "a refund in another currency": (
        f"{CAUSE} VALUES (:second, 'debit', 2, 1, 'USD', 0)",
        "above what was captured|another currency",
    ),
    "a gap": (f"{STEP} VALUES (:open, 3, 'Pending', 'Approved', 0, NULL)", "gap"),
    "a repeat": (f"{STEP} VALUES (:open, 1, 'Pending', 'Approved', 0, NULL)", "gap"),
    "a step in place of another": (
        f"{STEP.replace('INSERT', 'REPLACE')} VALUES (:paid, 2, 'Pending', 'Declined', 0, NULL)",
        "gap",
    ),
    "a step from elsewhere": (f"{STEP} VALUES (:open, 2, 'On Hold', 'Approved', 0, NULL)", "begin"),
    "a step of nothing": (f"{STEP} VALUES ('x', 1, NULL, 'Pending', 0, NULL)", "no transaction"),
    "a step out of an end": (
        f"{STEP} VALUES (:declined, 3, 'Declined', 'Approved', 0, NULL)",
        "superseding",
    ),
    "a step that overrules an earlier one": (
        f"{STEP} VALUES (:declined, 3, 'Declined', 'Approved', 0, 1)",
        "superseding",
    ),
    "an overruling without an end": (
        f"{STEP} VALUES (:open, 2, 'Pending', 'Approved', 0, 1)",
        "superseding",
    ),
    "an unknown status": (f"{STEP} VALUES (:open, 2, 'Pending', 'Paid', 0, NULL)", "CHECK"),
    "a status without a step": (
        "UPDATE transactions SET status = 'Approved' WHERE id = :open",
        "last step",
    ),
    "a sequence without a step": (
        "UPDATE transactions SET sequence = 2 WHERE id = :open",
        "last step",
    ),
    "a step forgotten": (
        "UPDATE transactions SET sequence = 1, status = 'Pending' WHERE id = :paid",
        "last step",
    ),
    "no status at all": ("UPDATE transactions SET status = NULL WHERE id = :open", "last step"),
    "another amount": ("UPDATE transactions SET amount = 1 WHERE id = :paid", "never change"),
    "another currency": ("UPDATE transactions SET currency = 'X' WHERE id = :paid", "never change"),
    "another direction": (
        "UPDATE transactions SET direction = 'pay_out' WHERE id = :paid",
        "never change",
    ),
    "another kind": ("UPDATE transactions SET kind = 'return' WHERE id = :refund", "never change"),
    "another parent": ("UPDATE transactions SET parent_id = :open WHERE id = :refund", "never cha"),
    "a born sequence": (
        f"{CREATE} VALUES ('x', :app, 'pay_in', 'payment', 1, 'E', 0, 0, 1, 0, 0, NULL, 1, 'x')",
        "without steps",
    ),
    "a transaction in place of another": (
        f"{REPLACE} VALUES (:paid, :app, 'pay_in', 'payment', 1, '', 0, 0, 1, 0, 0, NULL, 0, NULL)",
        "exists",
    ),
    "a refund of nothing": (
        f"{CREATE} VALUES ('x', :app, 'pay_out', 'refund', 1, 'EUR', 0, 0, 1, 0, 0, 'y', 0, NULL)",
        "parent",
    ),
    "a refund of somebody else's": (
        f"{CREATE} VALUES ('x', 'a', 'pay_out', 'refund', 1, 'EUR', 0, 0, 1, 0, 0, :paid, 0, NULL)",
        "parent",
    ),
    "an orphan refund": (
        f"{CREATE} VALUES ('x', :app, 'pay_out', 'refund', 1, 'EUR', 0, 0, 1, 0, 0, NULL, 0, NULL)",
        "CHECK",
    ),
    "a uid twice": ("UPDATE transactions SET uid = 'one' WHERE id = :open", "UNIQUE"),
    "a refund's id twice": (
        "UPDATE transactions SET psp_transaction_id = 're_1' WHERE id = :second",
        "UNIQUE",
    ),
    "a step changed": ("UPDATE transitions SET reason = 'x' WHERE transaction_id = :paid", "never"),
    "a step deleted": ("DELETE FROM transitions WHERE transaction_id = :paid", "steps stay"),
    "an effect changed": ("UPDATE effects SET amount = 1 WHERE transaction_id = :paid", "never"),
    "an effect deleted": ("DELETE FROM effects WHERE transaction_id = :paid", "effects stay"),
    "a transaction deleted": ("DELETE FROM transactions WHERE id = :open", "transactions stay"),
    "a larger credit": (f"{CAUSE} VALUES (:uncredited, 'credit', 2, 10001, 'EUR', 0)", "larger"),
    "a credit of a million": (
        f"{CAUSE} VALUES (:uncredited, 'credit', 2, 99999999, 'USD', 0)",
        "another currency",
    ),
    "a larger debit": (f"{CAUSE} VALUES (:undebited, 'debit', 2, 10001, 'EUR', 0)", "larger"),
    "a larger chargeback": (f"{CAUSE} VALUES (:chargeback, 'debit', 2, 5000, 'EUR', 0)", "larger"),
    "a debit beside a credit": (f"{CAUSE} VALUES (:paid, 'debit', 2, 1, 'EUR', 0)", "direction"),
    "a reserve beside a credit": (
        f"{CAUSE} VALUES (:paid, 'reserve', 1, 10000, 'EUR', 0)",
        "reserves nothing",
    ),
    "a credit of a pay-out": (
        f"{CAUSE} VALUES (:undebited, 'credit', 2, 1, 'EUR', 0)",
        "direction",
    ),
    "a reserve of another amount": (
        f"{CAUSE} VALUES (:reserving, 'reserve', 1, 1, 'EUR', 0)",
        "amount of its transaction",
    ),
    "a release of another amount": (
        f"{CAUSE} VALUES (:released, 'release', 2, 1, 'EUR', 0)",
        "amount that was reserved",
    ),
    "a release of what was not reserved": (
        f"{CAUSE} VALUES (:declined, 'release', 2, 1, 'EUR', 0)",
        "reserves nothing",
    ),
    "a reservation made up": ("UPDATE transactions SET reserves = 1 WHERE id = :paid", "never"),
    "a transaction put away by a uid": (
        f"{ONE_MORE}, '', 0, 0, 1, 0, 0, NULL, 0, '', 'one')",
        "UNIQUE",
    ),
    "a transaction put away by a change": (
        "UPDATE OR REPLACE transactions SET uid = 'one' WHERE id = :open",
        "UNIQUE",
    ),
    "a refund put away by a change": (
        "UPDATE OR REPLACE transactions SET psp_transaction_id = 're_1' WHERE id = :second",
        "UNIQUE",
    ),
    "the audit replaced": (
        "REPLACE INTO audit SELECT id, app_id, at, 'x', action, target, reason, details FROM audit",
        "never changes",
    ),
    "an application's books given up": ("INSERT INTO removals VALUES (:app)", "still there"),
    "the audit changed": ("UPDATE audit SET actor = 'somebody else'", "never changes"),
    "the audit deleted": ("DELETE FROM audit", "audit stays"),
    "an outcome of one's own": ("UPDATE callbacks SET outcome = 'fine'", "CHECK"),
    "a key held twice": (
        f"{TAKE} SELECT source_id, dedupe_key, 'cbk_2', app_id, 0 FROM callback_keys",
        "UNIQUE",
    ),
}
TABLES = ("transactions", "transitions", "effects", "audit", "callbacks", "callback_keys")


def everything(connection: apsw.Connection) -> list[list[tuple[object, ...]]]:
    return [list(connection.execute(f"SELECT * FROM {table}")) for table in TABLES]


async def prey(inbound: InboundHarness) -> dict[str, str]:
    """Make what is attacked; return the ids by the names that the statements use."""
    paid = await inbound.captured(uid="one")
    refund = inbound.refunding(paid, 6_000, psp_transaction_id="re_1")
    second = inbound.opening(inbound.refund(paid, 5_000, psp_transaction_id="re_2"), APPROVED)
    callback = await inbound.receive("k")
    entry = inbound.audit_entry(paid.id)
    await inbound.do(
        transaction_writes=(refund, second), conclusion=inbound.conclusion(callback), audit=(entry,)
    )
    undisputed = inbound.refund(paid, 1_000, kind=TransactionKind.CHARGEBACK)
    chargeback = inbound.opening(undisputed, APPROVED)
    await inbound.do(transaction_writes=(chargeback,))
    await inbound.store.put(Application(id=paid.app_id, name="shop"))
    pay_out = {"direction": Direction.PAY_OUT}
    reserving = {**pay_out, "reserves": True}
    return {
        "chargeback": chargeback.transaction.id,
        "uncredited": (await inbound.create(APPROVED)).id,
        "undebited": (await inbound.create(APPROVED, **pay_out)).id,
        "reserving": (await inbound.create(**reserving)).id,
        "released": (await inbound.create(DECLINED, effects=(RESERVE,), **reserving)).id,
        "app": paid.app_id,
        "paid": paid.id,
        "open": (await inbound.create()).id,
        "declined": (await inbound.create(DECLINED)).id,
        "refund": refund.transaction.id,
        "second": second.transaction.id,
    }


@pytest.mark.parametrize("attack", ATTACKS)
async def test_the_database_itself_refuses(
    inbound: InboundHarness, thief: apsw.Connection, attack: str
) -> None:
    names = await prey(inbound)
    before = everything(thief)
    statement, why = ATTACKS[attack]

    with pytest.raises(apsw.ConstraintError, match=why):
        thief.execute(statement, names)
    assert everything(thief) == before


LAWFUL = {
    "a debit within the capture": f"{CAUSE} VALUES (:second, 'debit', 2, 4000, 'EUR', 0)",
    "a step": f"{STEP} VALUES (:open, 2, 'Pending', 'Approved', 0, NULL)",
    "an overruling": f"{STEP} VALUES (:declined, 3, 'Declined', 'Approved', 0, 2)",
    "a release": f"{CAUSE} VALUES (:released, 'release', 2, 10000, 'EUR', 0)",
    "a reserve": f"{CAUSE} VALUES (:reserving, 'reserve', 1, 10000, 'EUR', 0)",
    "a credit": f"{CAUSE} VALUES (:uncredited, 'credit', 2, 10000, 'EUR', 0)",
    "a debit": f"{CAUSE} VALUES (:undebited, 'debit', 2, 10000, 'EUR', 0)",
    "a debit of a chargeback": f"{CAUSE} VALUES (:chargeback, 'debit', 2, 1000, 'EUR', 0)",
    "a note": "UPDATE transactions SET message = 'x', uid = 'two' WHERE id = :open",
}


@pytest.mark.parametrize("act", LAWFUL)
async def test_what_is_lawful_is_not_refused(
    inbound: InboundHarness, thief: apsw.Connection, act: str
) -> None:
    """The attacks differ from these by one thing each: the rule refuses them, no accident."""
    names = await prey(inbound)
    before = thief.total_changes()
    thief.execute(LAWFUL[act], names)

    assert thief.total_changes() > before


async def test_a_step_moves_its_transaction(
    inbound: InboundHarness, thief: apsw.Connection
) -> None:
    waits = await inbound.create()
    thief.execute(f"{STEP} VALUES (?, 2, 'Pending', 'Approved', 0, NULL)", (waits.id,))

    found = await inbound.store.transaction(waits.app_id, waits.id)
    assert found is not None
    assert (found.sequence, found.status) == (2, APPROVED)


async def test_history_goes_only_while_its_application_is_removed(
    inbound: InboundHarness, thief: apsw.Connection
) -> None:
    paid = await inbound.captured()
    await inbound.store.put(Application(id=paid.app_id, name="shop"))
    await inbound.store.remove(Application, paid.app_id)

    assert everything(thief)[:3] == [[], [], []]
    assert list(thief.execute("SELECT * FROM removals")) == []


async def test_a_removal_leaves_nothing(inbound: InboundHarness, thief: apsw.Connection) -> None:
    paid = await inbound.captured()
    thief.execute("INSERT INTO removals VALUES (?)", (paid.app_id,))
    thief.execute("DELETE FROM effects")
    with pytest.raises(apsw.ConstraintError, match="leaves nothing"):
        thief.execute("DELETE FROM removals")
    with pytest.raises(apsw.ConstraintError, match="never changes"):
        thief.execute("UPDATE removals SET app_id = 'another'")


# ── faults ───────────────────────────────────────────────────────────────────────────────────────


async def decision(inbound: InboundHarness) -> tuple[ChangeSet, Callback]:
    """Make a change with an effect, a step, a conclusion and a message."""
    before = await inbound.create(direction=Direction.PAY_IN)
    callback = await inbound.receive("k")
    step = inbound.step(before, APPROVED, effects=(CREDIT,))
    news = inbound.publication(event_id="news")
    told = inbound.conclusion(callback, transaction_id=before.id, message_ids=(news.message.id,))
    return ChangeSet(transaction_writes=(step,), conclusion=told, publications=(news,)), callback


async def facts(inbound: InboundHarness, change: ChangeSet, callback: Callback) -> set[bool]:
    """Say of each part of a decision whether it is true; more than one answer is a half state."""
    step = change.transaction_writes[0]
    id_, app = step.transaction.id, inbound.outbound.app
    messages = await inbound.store.messages(app, MessageFilter(), ALL)
    return {
        await inbound.store.transaction(app, id_) == step.transaction,
        len(await inbound.store.transitions(inbound.outbound.app, id_)) == 2,
        await inbound.store.effects(inbound.outbound.app, id_) == list(step.effects),
        (await inbound.reread(callback)).outcome is not None,
        len(messages) == 1,
        (await inbound.store.counts()).waiting == 1,
        bool(messages) and await inbound.store.body(messages[0].app_id, messages[0].id) is not None,
    }


@pytest.mark.parametrize("error", ERRORS, ids=lambda e: type(e).__name__)
@pytest.mark.parametrize("point", ["begin", "before commit", "after commit"])
async def test_a_change_whose_commit_fails_leaves_no_half_state_and_is_safe_to_repeat(
    inbound: InboundHarness, faults: Faults, point: str, error: Exception
) -> None:
    change, callback = await decision(inbound)
    faults.planned[point] = error
    with pytest.raises(StoreUnavailable):
        await inbound.store.commit_changes(change)
    assert await facts(inbound, change, callback) == {point == "after commit"}

    again = await inbound.store.commit_changes(change)
    assert again == (
        PreconditionFailed("concluded") if point == "after commit" else ChangesCommitted()
    )
    assert await facts(inbound, change, callback) == {True}


@pytest.mark.parametrize("point", ["begin", "before commit", "after commit"])
async def test_a_callback_whose_commit_fails_is_safe_to_repeat(
    inbound: InboundHarness, faults: Faults, point: str
) -> None:
    arrivals = [ReceivedCallback(inbound.callback(f"k{n}"), b"x") for n in range(20)]
    faults.planned[point] = apsw.IOError("disk I/O error")
    found = await asyncio.gather(*map(inbound.store.receive, arrivals), return_exceptions=True)
    assert {type(one) for one in found} == {StoreUnavailable}

    copies = [ReceivedCallback(inbound.callback(f"k{n}"), b"x") for n in range(20)]
    again = await asyncio.gather(*map(inbound.store.receive, copies))
    firsts = arrivals if point == "after commit" else copies
    assert [c.id for c in await inbound.store.unprocessed_callbacks("", 99)] == [
        a.callback.id for a in firsts
    ]
    assert {c.callback.outcome is None for c in again} == {point != "after commit"}


async def test_a_wrong_change_fails_alone_in_its_commit(
    inbound: InboundHarness, faults: Faults
) -> None:
    good = [
        ChangeSet(transaction_writes=(inbound.opening(inbound.transaction()),)) for _ in range(3)
    ]
    opened = inbound.opening(inbound.transaction())
    reserve = inbound.effect(opened.transaction, RESERVE, sequence=2)
    wrong = ChangeSet(transaction_writes=(opened._replace(effects=(reserve,)),))
    found = await asyncio.gather(
        *map(inbound.store.commit_changes, [*good[:2], wrong, good[2]]), return_exceptions=True
    )

    assert [found[0], found[1], found[3]] == [ChangesCommitted()] * 3
    assert isinstance(found[2], apsw.ConstraintError)
    assert faults.passed.count("before commit") == 1


async def test_receive_and_change_share_commits(inbound: InboundHarness, faults: Faults) -> None:
    received = [
        inbound.store.receive(ReceivedCallback(inbound.callback(f"k{n}"), b"x")) for n in range(50)
    ]
    opened = [inbound.opening(inbound.transaction()) for _ in range(50)]
    changed = [
        inbound.store.commit_changes(ChangeSet(transaction_writes=(step,))) for step in opened
    ]
    await asyncio.gather(*received, *changed)

    assert faults.passed == ["begin", "receive", "commit_changes", "before commit", "after commit"]


# ── plans ────────────────────────────────────────────────────────────────────────────────────────

LISTS = {
    ("callbacks", "by_app"): "callbacks_app",
    ("callbacks", "by_outcome"): "callbacks_outcome",
    ("callbacks", "by_refusal"): "callbacks_refused",
    ("callbacks", "by_source"): "callbacks_source",
    ("callbacks", "by_transaction"): "callbacks_transaction",
    ("transactions", "by_app"): "transactions_app",
    ("transactions", "by_status"): "transactions_status",
    ("transactions", "by_user"): "transactions_user",
    ("transactions", "by_parent"): "transactions_parent",
    ("conflicts", "by_app"): "conflicts_app",
    ("conflicts", "by_being_open"): "conflicts_open",
    ("conflicts", "by_transaction"): "conflicts_transaction",
    ("audit", "by_app"): "PRIMARY KEY",
    ("audit", "by_target"): "audit_target",
}


@pytest.mark.parametrize(("form", "index"), LISTS.items())
@pytest.mark.parametrize("order", ["ascending", "descending"])
async def test_each_form_of_a_list_walks_along_its_index(
    thief: apsw.Connection, form: tuple[str, str], index: str, order: str
) -> None:
    name, by = form
    plan = thief.execute("EXPLAIN QUERY PLAN " + sql(name, order, by), _Nothing()).fetchall()

    assert [re.findall(r"INDEX (\w+)|(PRIMARY KEY)", str(row[3])) for row in plan] == [
        [("", index) if index == "PRIMARY KEY" else (index, "")]
    ]


@pytest.mark.parametrize(
    ("name", "index"),
    [
        ("unprocessed_callbacks", "callbacks_unprocessed"),
        ("callbacks_to_retry", "callbacks_retry"),
        ("transactions_to_check", "transactions_check"),
        ("linked_transactions", "transactions_parent"),
        ("transaction_id_of_uid", "transactions_uid"),
        ("same_linked_transaction", "transactions_linked"),
        ("delete_keys", "callback_keys_age"),
        ("delete_items", "seen_items_age"),
        ("expired_requests", "callback_requests_bulk"),
        *(
            (name, f"transactions_{by}")
            for name in ("candidate_transactions", "find_candidates")
            for by in ("uid", "order", "merchant", "psp")
        ),
        *(
            ("transactions_of_reference:descending", f"transactions_{by}")
            for by in ("uid", "order", "merchant", "psp")
        ),
    ],
)
async def test_each_look_up_uses_its_index(thief: apsw.Connection, name: str, index: str) -> None:
    plan = thief.execute("EXPLAIN QUERY PLAN " + sql.all()[name], _Nothing()).fetchall()

    assert any(re.search(rf"INDEX {index}\b", str(row[3])) for row in plan), plan
