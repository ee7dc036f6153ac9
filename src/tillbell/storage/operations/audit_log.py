"""The audit log: written with each act, cut from its old end, and read to be checked.

Its rows are added at the end of the commit (session/audit_chain.py).
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import takewhile

import msgspec

from tillbell.clock import Micros
from tillbell.model.audit import Actor, ActorKind, AuditedAct
from tillbell.rules.audit_chain import ChainBounds, ChainedRow, ChainLink
from tillbell.storage.engine.methods import read, write
from tillbell.storage.session.connection import DbReader, Row
from tillbell.storage.session.transaction import DbTransaction

# Columns of `audit_rows`; those before the last two are members.
_ID, _AT, _REDACTION, _HASH = 1, 3, -2, -1


def write_audit(db: DbTransaction, acts: Sequence[AuditedAct]) -> None:
    """Add acts to the log when this commit ends; if there are none, this changes nothing."""
    db.has_own_acts = True
    db.audited_acts.extend(acts)


def audited_act(row: Row) -> AuditedAct:
    """Read an act."""
    id_, app_id, at, actor_id, name, kind, role, action, target, reason, *rest = row
    request_id, address, agent, changes, more, redaction = rest
    return AuditedAct(
        id=id_,
        app_id=app_id,
        at=at,
        actor=Actor(actor_id, name, ActorKind(kind), role, request_id, address, agent),
        action=action,
        target=target,
        reason=reason,
        changes=msgspec.json.decode(changes),
        details=msgspec.json.decode(more),
        is_redacted=redaction is not None,
    )


@read
def audit_bounds(db: DbReader) -> ChainBounds:
    """Read where the chain begins and ends."""
    ((anchor, anchor_hash, head, head_hash),) = db.query("audit_chain")
    return ChainBounds(ChainLink(anchor, anchor_hash), ChainLink(head, head_hash))


@read
def audit_rows(db: DbReader, after: int, limit: int) -> list[ChainedRow]:
    """Read rows in the order of the chain, behind a number."""
    return [
        ChainedRow(ChainLink(row[0], row[_HASH]), row[_ID], row[:_REDACTION], row[_REDACTION])
        for row in db.query("audit_rows", (after, limit))
    ]


@write()
def purge_audit(db: DbTransaction, *, before: Micros, limit: int) -> int:
    """Cut old rows off the log, and keep the hash of the last one."""
    rows = db.query("audit_rows", (-1, limit))
    old = list(takewhile(lambda row: row[_AT] < before, rows))
    if old:
        last = old[-1]
        db.query("move_audit_anchor", (last[0], last[_HASH]))
        db.execute_each("cut_audit_log", [(last[0],)])
    return len(old)
