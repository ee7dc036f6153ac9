"""The tables from end to end: how each is read in the order of its key, and written elsewhere.

The order may be another one in each database; its end is always named by the last row's key.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from tillbell.storage.session.connection import DbConnection, Row

Key = tuple[str | int, ...]


class Table(NamedTuple):
    """How one table is read.

    `page` bounds what is in memory: rows of some tables are as long as a body may be.
    """

    name: str
    read: str  # a statement: bound to a key and a number of rows
    key: tuple[int, ...]  # where in a row its key is
    start: Key  # sorts before every key
    page: int = 1_000
    form: tuple[str, ...] = ()  # of the statement

    def key_of(self, row: Row) -> Key:
        """Return a row's key."""
        return tuple(row[place] for place in self.key)

    def pages(self, link: DbConnection, after: Key | None = None) -> Iterator[list[Row]]:
        """Read all rows after a key, page by page."""
        after = self.start if after is None else after
        while found := link.query(self.read, (*after, self.page), *self.form):
            yield found
            after = self.key_of(found[-1])


WIDE = 64  # rows a page, of tables that hold bodies

TRANSACTIONS = Table("transactions", "move_read_transactions", (1, 0), ("", ""), form=("all",))
PAYMENTS = TRANSACTIONS._replace(form=("payments",))
LINKED = TRANSACTIONS._replace(form=("linked",))  # refunds, chargebacks: they name a payment

# Who is copied with its rows as they are, and by which statement.
PLAIN = {
    Table("records", "move_read_records", (0, 1, 2), ("", "", "")): "move_put_records",
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
    Table("conflicts", "move_read_conflicts", (1, 0), ("", "")): "insert_conflict",
    Table("audit", "move_read_audit", (1, 0), ("", "")): "insert_audit",
}

ALL = (
    *PLAIN,
    TRANSACTIONS,
    Table("transitions", "move_read_transitions", (0, 1, 2), ("", "", 0)),
    Table("effects", "move_read_effects", (0, 1, 2), ("", "", "")),
)
