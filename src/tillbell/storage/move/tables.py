"""The tables of a move: how each is read in the order of its key, and written to the target.

The databases may order keys differently. The next page always begins after the key of the last row.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from tillbell.storage.session.connection import DbConnection, Row

Key = tuple[str | int, ...]


class Table(NamedTuple):
    """How one table is read. `page` limits the memory: in some tables a row holds a whole body."""

    name: str
    read: str  # a statement, bound to a key and a number of rows
    key: tuple[int, ...]  # the columns of the key
    start: Key  # sorts before every key
    page: int = 1_000
    form: tuple[str, ...] = ()  # of the statement

    def key_of(self, row: Row) -> Key:
        """Return a row's key."""
        return tuple(row[column] for column in self.key)

    def pages(self, connection: DbConnection, after: Key | None = None) -> Iterator[list[Row]]:
        """Read all rows after a key, page by page."""
        after = self.start if after is None else after
        while rows := connection.query(self.read, (*after, self.page), *self.form):
            yield rows
            after = self.key_of(rows[-1])


WIDE = 64  # rows of a page, in tables that hold bodies

TRANSACTIONS = Table("transactions", "move_read_transactions", (1, 0), ("", ""), form=("all",))
PAYMENTS = TRANSACTIONS._replace(form=("payments",))
LINKED = TRANSACTIONS._replace(form=("linked",))  # refunds, chargebacks: they name a payment

# Tables whose rows are copied as they are, and the statement that writes them.
PLAIN = {
    Table("records", "move_read_records", (0, 1, 2), ("", "", "")): "move_put_records",
    Table(
        "shop_records", "move_read_shop_records", (0, 1, 2), ("", "", "")
    ): "move_put_shop_records",
    Table("messages", "move_read_messages", (1, 0), ("", "")): "insert_message",
    Table("bodies", "move_read_bodies", (0, 1, 2), ("", "", ""), WIDE): "insert_body",
    Table("deliveries", "move_read_deliveries", (0,), ("",)): "move_put_deliveries",
    Table("attempts", "move_read_attempts", (0,), ("",)): "insert_attempt",
    Table("totals", "move_read_totals", (0, 1, 2), ("", "", -1)): "add_totals",
    Table("idempotency", "move_read_idempotency", (0,), ("",)): "move_put_idempotency",
    Table("callbacks", "move_read_callbacks", (0,), ("",)): "insert_callback",
    Table("callback_requests", "move_read_requests", (1,), ("",), WIDE): "insert_request",
    Table("callback_keys", "move_read_keys", (3, 0, 1), ("", "", "")): "move_put_keys",
    Table("callback_waits", "move_read_waits", (0, 1, 2), ("", "", "")): "move_put_waits",
    Table("seen_items", "move_read_seen_items", (2, 0, 1), ("", "", "")): "insert_item_key",
    Table(
        "payment_attempts", "move_read_payment_attempts", (0, 1, 2, 3), ("", "", "", "")
    ): "insert_payment_attempt",
    Table("conflicts", "move_read_conflicts", (1, 0), ("", "")): "insert_conflict",
    Table("audit", "move_read_audit", (1, 0), ("", "")): "insert_audit",
    Table("audit_log", "audit_rows", (0,), (-1,)): "insert_audited_act",
    Table("audit_chain", "move_read_audit_chain", (0,), (0,)): "move_put_audit_chain",
    Table("people", "move_read_people", (0,), ("",)): "move_put_people",
    Table("sessions", "move_read_sessions", (0,), ("",)): "move_put_sessions",
    Table("one_time_links", "move_read_one_time_links", (0,), ("",)): "move_put_one_time_links",
    Table(
        "rollup_minutes", "move_read_rollup_minutes", (0, 1, 2, 3, 4), (-1, "", "", "", 0)
    ): "move_put_rollup_minutes",
    Table(
        "rollup_hours", "move_read_rollup_hours", (0, 1, 2, 3), ("", "", "", -1)
    ): "put_rollup_hours",
    Table("rollup_progress", "move_read_rollup_progress", (0,), (0,)): "move_put_rollup_progress",
    Table("markers", "move_read_markers", (0,), ("",)): "move_put_markers",
    Table(
        "inbox_requests", "move_read_inbox_requests", (0,), ("",), WIDE
    ): "move_put_inbox_requests",
    Table("inbox_totals", "move_read_inbox_totals", (0,), ("",)): "move_put_inbox_totals",
}

ALL = (
    *PLAIN,
    TRANSACTIONS,
    Table("transitions", "move_read_transitions", (0, 1, 2), ("", "", 0)),
    Table("effects", "move_read_effects", (0, 1, 2), ("", "", "")),
)
