"""Idempotency keys with their answers. Their use is stored by `session/idempotency.py`."""

from __future__ import annotations

from tillbell.clock import Micros
from tillbell.storage.engine.methods import read, write
from tillbell.storage.ports.outbound import IdempotencyUse
from tillbell.storage.session.connection import DbReader
from tillbell.storage.session.transaction import DbTransaction


@read
def idempotent_answer(db: DbReader, key: str) -> IdempotencyUse | None:
    """Read the use of a key."""
    return next((IdempotencyUse(key, *row) for row in db.query("find_idempotency", (key,))), None)


@write()
def store_idempotent_answer(
    db: DbTransaction, use: IdempotencyUse, now: Micros
) -> IdempotencyUse | None:
    """Store the answer to a use, unless the key was answered before: return that use."""
    row = db.query_one("find_idempotency", (use.key,))
    if row is None:
        db.execute_bulk("insert_idempotency", [(*use, now)])
        return None
    earlier = IdempotencyUse(use.key, *row)
    if earlier.answer:
        return earlier
    db.query("answer_idempotency", (use.key, use.answer))
    return None
