"""The audit log of configuration: written with each change, read together with that of money."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from tillbell.clock import Micros
from tillbell.ids import first_of
from tillbell.model.configuration_changes import ConfigurationChange
from tillbell.model.transactions import AuditEntry
from tillbell.storage.engine.methods import read, write
from tillbell.storage.operations import callback_rows
from tillbell.storage.operations.pages import page_bounds
from tillbell.storage.ports.outbound import Page
from tillbell.storage.session.connection import DbReader, Row
from tillbell.storage.session.transaction import DbTransaction

_CHANGES = ConfigurationChange._fields.index("changes")


def write_audit(db: DbTransaction, entries: Sequence[ConfigurationChange]) -> None:
    """Write entries."""
    rows = [(*e[:_CHANGES], msgspec.json.encode(e.changes).decode()) for e in entries]
    if rows:
        db.execute_bulk("insert_configuration_change", rows)


@read
def audit_log(
    db: DbReader, app_id: str | None, page: Page, target: str | None = None
) -> list[AuditEntry | ConfigurationChange]:
    """Read a page of what was done by hand and what was configured, merged."""
    bounds = page_bounds(page)
    bindings = bounds.bindings | {"app_id": app_id, "target": target}
    by = "everywhere" if app_id is None else "by_app"
    by = by if target is None else "by_target"
    entries: list[AuditEntry | ConfigurationChange] = [
        *map(callback_rows.audit_entry, db.query("audit_log", bindings, bounds.order, by)),
        *map(_change, db.query("configuration_changes", bindings, bounds.order, by)),
    ]
    entries.sort(key=lambda entry: entry.id, reverse=bounds.order == "descending")
    return bounds.in_list_order(entries[: bounds.limit])


def _change(row: Row) -> ConfigurationChange:
    return ConfigurationChange._make((*row[:_CHANGES], msgspec.json.decode(row[_CHANGES])))


@write()
def purge_audit(db: DbTransaction, *, before: Micros, limit: int) -> int:
    """Delete old entries of configuration."""
    bindings = (first_of("aud", before), limit)
    return db.execute_each("delete_configuration_changes", [bindings]).rowcount
