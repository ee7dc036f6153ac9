"""Order keys: of the deliveries with one order key to an endpoint, only one may go at a time."""

from __future__ import annotations

from collections.abc import Iterable

from tillbell.storage.session.transaction import DbTransaction


def release_next_in_order(db: DbTransaction, lines: Iterable[tuple[str, str, str]]) -> None:
    """Let the first delivery of each (application, endpoint, order key) go, unless one is sent."""
    lines = list(lines)
    db.ordered_lanes |= {(app_id, endpoint_id) for app_id, endpoint_id, _ in lines}
    db.lock(("order", *line) for line in lines)
    for line in lines:
        db.query("hold_back_order_key", line)
        db.query("release_next_of_order_key", line)


def release_next_after(db: DbTransaction, moved: Iterable[tuple[str, str]]) -> None:
    """Do the same for the order keys of deliveries that moved, as (application, delivery).

    It costs one query when nobody uses order keys.
    """
    if db.query("has_order_keys")[0][0]:
        release_next_in_order(db, {line for key in moved for line in db.query("order_key_of", key)})
