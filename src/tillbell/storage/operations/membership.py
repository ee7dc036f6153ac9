"""Who is in the cluster. Only for stores that processes share."""

from __future__ import annotations

from tillbell.clock import HOUR, SECOND, Micros
from tillbell.storage.engine.methods import read_batched, write, write_by_housekeeper
from tillbell.storage.ports.cluster import (
    NOTIFY_ROUND,
    ClusterState,
    FeedReading,
    Member,
    RecordChange,
)
from tillbell.storage.session.connection import DbReader
from tillbell.storage.session.transaction import DbTransaction

LOST_CONNECTION_AFTER: Micros = 2 * SECOND  # after which one without a connection counts as dead
CHANGES_MAX = 10_000  # that are read at once
CHANGES_KEPT: Micros = HOUR  # longer than any live process goes without reading them


@write_by_housekeeper(no_timeout=True)
def heartbeat(db: DbTransaction, member: Member, life: Micros) -> ClusterState:
    """Note that a process is alive, remove those that are not, and read who is there."""
    ((now,),) = db.query("database_time")
    db.query("put_member", (*member, now))
    db.query("remove_dead_members", (now - life, now - LOST_CONNECTION_AFTER))
    leadership = db.query_one("take_leadership", (member.id, now, now + life))
    if leadership:
        db.query("delete_record_changes", (now - CHANGES_KEPT,))
    workers = tuple(id_ for (id_,) in db.query("live_workers"))
    ((latest_change,),) = db.query("latest_record_change")
    term = leadership[0] if leadership else 0
    return ClusterState(now=now, workers=workers, term=term, changes=latest_change)


@write_by_housekeeper()
def leave(db: DbTransaction, member_id: str) -> None:
    """Remove a process, and free its leadership."""
    db.query("delete_member", (member_id,))
    db.query("release_leadership", (member_id,))


@read_batched
def oldest_transaction_age(db: DbReader) -> Micros:
    """Read for how long the oldest transaction of the server has been open."""
    ((age,),) = db.query("oldest_transaction_age")
    return int(age)


@read_batched
def record_changes(db: DbReader, after: int) -> FeedReading:
    """Read the changes with a higher number, and before them the round."""
    ((round_,),) = db.query("latest_feed_round")
    changes = [RecordChange(*row) for row in db.query("record_changes", (after, CHANGES_MAX))]
    return FeedReading(changes, round_ if len(changes) < CHANGES_MAX else None)


@write_by_housekeeper()
def begin_feed_round(db: DbTransaction) -> int:
    """Take the number of a new round and notify all."""
    ((number, _),) = db.query("begin_feed_round")
    return int(number)


@write_by_housekeeper()
def end_feed_round(db: DbTransaction, member_id: str, number: int) -> None:
    """Store the round that a member has done, and notify those that wait for it."""
    db.query("end_feed_round", (member_id, number))
    db.query("notify", (NOTIFY_ROUND,))


@read_batched
def members_behind(db: DbReader, member_id: str, number: int) -> list[str]:
    """Read who has not done a round yet."""
    return [id_ for (id_,) in db.query("members_behind", (member_id, number))]


@write()
def use_fresh_totals(db: DbTransaction, *, is_on: bool) -> None:
    """Count in fresh rows every few seconds, or no longer."""
    db.query("use_fresh_totals", ("on" if is_on else "off",))
