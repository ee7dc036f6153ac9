"""A person is erased from rows that otherwise never change, and nothing else of them changes."""

from __future__ import annotations

from typing import Any

import pytest

from tests.store.inbound_harness import InboundHarness
from tests.store.outbound_harness import OutboundHarness
from tillbell.model.callbacks import Callback
from tillbell.model.transactions import TransactionStatus
from tillbell.storage.ports.database import Database
from tillbell.storage.ports.outbound import Page
from tillbell.storage.session.transaction import DbTransaction, Operation
from tillbell.testing import ManualClock

ADA = "Ada Lovelace ada@example.com"
ANY = Page(limit=9)


async def run_beside(store: Any, *statements: str) -> None:
    """Run SQL beside everything that the program does, in one commit."""

    def run(db: DbTransaction, _: Any) -> list[None]:
        for statement in statements:
            db._connection.execute_script(statement)
        return [None]

    await store.writer.submit(Operation("beside", run), None)


async def test_erase_money_texts(store: Database) -> None:
    inbound = InboundHarness(OutboundHarness(store, ManualClock()))
    paid = await inbound.create(uid="one")
    step = inbound.step(paid, TransactionStatus.APPROVED)
    (told,) = step.transitions
    told = told._replace(message=ADA, reason="code_7", details={"payer": ADA})
    await inbound.do(transaction_writes=(step._replace(transitions=(told,)),))
    entry = inbound.audit_entry(paid.id, reason=ADA, details={"note": ADA})
    conflict = inbound.conflict(paid, why=ADA, reference="ref-1")
    await inbound.do(audit=(entry,), conflicts=(conflict,))
    before = await store.transitions(paid.app_id, paid.id)

    erased = before[-1]._replace(message=None, details={})
    await store.erase_money_texts(
        paid.app_id,
        [erased._replace(actor="somebody else")],  # what is no text is not taken over
        [entry._replace(reason="(erased)", details={})],
        [conflict._replace(why="(erased)")],
    )
    assert await store.transitions(paid.app_id, paid.id) == [*before[:-1], erased]
    (audited,) = await store.audit(paid.app_id, ANY, paid.id)
    assert audited == entry._replace(reason="(erased)", details={})
    (after,) = await store.conflicts(paid.app_id, ANY, paid.id)
    assert after == conflict._replace(why="(erased)")
    await store.erase_money_texts("app_other", [erased._replace(reason=None)], [], [])
    assert await store.transitions(paid.app_id, paid.id) == [*before[:-1], erased]

    await _check_refusals(store, paid.app_id)
    assert await store.transitions(paid.app_id, paid.id) == [*before[:-1], erased]


async def _check_refusals(store: Database, app_id: str) -> None:
    """Nothing but these texts changes, and they only where an erasure is under way."""
    begun = f"INSERT INTO erasures VALUES ('{app_id}')"
    ended = "DELETE FROM erasures"
    for statements in (
        ("UPDATE transitions SET reason = NULL",),
        ("UPDATE audit SET reason = '(erased)', details = NULL",),
        (begun, "UPDATE transitions SET message = 'another'", ended),
        (begun, "UPDATE transitions SET status = 'Declined', message = NULL", ended),
        (begun, "UPDATE transitions SET at = 0", ended),
        (begun, "UPDATE audit SET reason = 'another'", ended),
        (begun, "UPDATE audit SET actor = 'another'", ended),
        (begun, "DELETE FROM transitions", ended),
    ):
        with pytest.raises(Exception, match=r"never change|stay"):
            await run_beside(store, *statements)


async def test_erase_callback_texts(store: Database) -> None:
    inbound = InboundHarness(OutboundHarness(store, ManualClock()))
    first = await inbound.receive("key-of-ada", verdict_why=ADA)
    other = await inbound.receive("another", verdict_why=ADA)
    erased = first._replace(verdict_why="(erased)", why="(erased)", dedupe_key=None)
    await store.erase_callback_texts(erased, "key-of-ada")
    assert await store.callback(first.app_id, first.id) == erased
    assert await store.callback(other.app_id, other.id) == other
    again: Callback = await inbound.receive("key-of-ada")
    assert again.outcome is None, "the key is free"


async def test_erase_message_labels(store: Database) -> None:
    outbound = OutboundHarness(store, ManualClock())
    labels = {"event_id": "ada", "channels": ("ada",), "tags": ("ada", "new"), "order_key": "ada"}
    message = await outbound.publish("ep_1", **labels)
    other = await outbound.publish("ep_1", event_id="bob", order_key="ada")
    erased = message._replace(
        event_id=None, channels=(), tags=("(erased)", "new"), order_key="erased"
    )
    await store.erase_message_labels(erased)
    assert await store.message(message.app_id, message.id) == erased
    assert await store.message(message.app_id, "ada") is None
    (delivery,) = await store.deliveries_of_message(message.app_id, message.id)
    assert delivery.order_key == "erased"
    (untouched,) = await store.deliveries_of_message(other.app_id, other.id)
    assert untouched.order_key == "ada"
    assert (await outbound.publish(event_id="ada")).event_id == "ada", "it is free"
