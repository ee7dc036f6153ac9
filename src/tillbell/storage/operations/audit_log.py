"""The audit log of configuration: written with each change, read together with that of money."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from tillbell.clock import Micros
from tillbell.ids import first_of
from tillbell.model.audit import Actor, AuditedAct
from tillbell.model.transactions import AuditEntry
from tillbell.storage.engine.methods import read, write
from tillbell.storage.operations import callback_rows
from tillbell.storage.operations.pages import page_bounds
from tillbell.storage.ports.outbound import Page
from tillbell.storage.session.connection import DbReader, Row
from tillbell.storage.session.transaction import DbTransaction


def write_audit(db: DbTransaction, entries: Sequence[AuditedAct]) -> None:
    """Write entries."""
    rows = [_row(entry) for entry in entries]
    if rows:
        db.execute_bulk("insert_configuration_change", rows)


@read
def audit_log(
    db: DbReader, app_id: str | None, page: Page, target: str | None = None
) -> list[AuditEntry | AuditedAct]:
    """Read a page of what was done by hand and what was configured, merged."""
    bounds = page_bounds(page)
    bindings = bounds.bindings | {"app_id": app_id, "target": target}
    by = "everywhere" if app_id is None else "by_app"
    by = by if target is None else "by_target"
    entries: list[AuditEntry | AuditedAct] = [
        *map(callback_rows.audit_entry, db.query("audit_log", bindings, bounds.order, by)),
        *map(_change, db.query("configuration_changes", bindings, bounds.order, by)),
    ]
    entries.sort(key=lambda entry: entry.id, reverse=bounds.order == "descending")
    return bounds.in_list_order(entries[: bounds.limit])


def _change(row: Row) -> AuditedAct:
    id_, app_id, at, actor_id, name, action, target, request_id, address, changes = row
    actor = Actor(actor_id, name, request_id=request_id, address=address)
    return AuditedAct(id_, app_id, at, actor, action, target, msgspec.json.decode(changes))


def _row(act: AuditedAct) -> Row:
    actor, changes = act.actor, msgspec.json.encode(act.changes).decode()
    who = actor.id, actor.name
    where = actor.request_id, actor.address
    return (act.id, act.app_id, act.at, *who, act.action, act.target, *where, changes)


@write()
def purge_audit(db: DbTransaction, *, before: Micros, limit: int) -> int:
    """Delete old entries of configuration."""
    bindings = (first_of("aud", before), limit)
    return db.execute_each("delete_configuration_changes", [bindings]).rowcount
