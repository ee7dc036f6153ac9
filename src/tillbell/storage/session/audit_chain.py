"""The audit log's rows, which each commit adds behind the newest one, as the last it does.

The row of the chain's head is locked from there to the end of the commit. So processes that share a
database add their rows one after another, and none waits for a lock while it holds this one.
"""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from tillbell.model.audit import AuditedAct
from tillbell.rules.audit_chain import row_hash
from tillbell.storage.session.connection import DbConnection, without_nul

Members = tuple[str | int | None, ...]


def append_acts(connection: DbConnection, acts: Sequence[AuditedAct]) -> None:
    """Add acts to the log, in their order."""
    ((sequence, head),) = connection.query("lock_audit_chain")
    rows = []
    for act in acts:
        sequence += 1
        members = (sequence, *act_members(act))
        head = row_hash(head, members)
        rows.append((*members, None, head))
    connection.execute_bulk("insert_audited_act", rows)
    connection.query("advance_audit_chain", (sequence, head))


def act_members(act: AuditedAct) -> Members:
    """Return an act as it is stored, without its number and hash."""
    actor = act.actor
    members = (
        act.id,
        act.app_id,
        act.at,
        actor.id,
        actor.name,
        actor.kind.value,
        actor.role,
        act.action,
        act.target,
        act.reason,
        actor.request_id,
        actor.address,
        actor.user_agent,
        msgspec.json.encode(act.changes).decode(),
        msgspec.json.encode(act.details).decode(),
    )
    return tuple(without_nul(m) if isinstance(m, str) else m for m in members)
