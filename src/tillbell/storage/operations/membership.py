"""The works of a fleet: signing in and out. Only for stores that processes share."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from tillbell.clock import HOUR, SECOND, Micros
from tillbell.storage.ports.cluster import ClusterState, Member
from tillbell.storage.session.transaction import DbTransaction

LOST_CONNECTION_AFTER: Micros = 2 * SECOND  # after which one without a connection counts as dead
CHANGES_KEPT: Micros = HOUR  # longer than any process that lives does not look


class HeartbeatRequest(NamedTuple):
    """A process, and for how long it counts as alive."""

    member: Member
    timeout: Micros


def heartbeat(
    transaction: DbTransaction, requests: Sequence[HeartbeatRequest]
) -> list[ClusterState]:
    """Enter processes and see who is there."""
    return [_heartbeat(transaction, *request) for request in requests]


def _heartbeat(transaction: DbTransaction, member: Member, life: Micros) -> ClusterState:
    ((now,),) = transaction.query("database_time")
    transaction.query("put_member", (*member, now))
    transaction.query("remove_dead_members", (now - life, now - LOST_CONNECTION_AFTER))
    led = transaction.query_one("take_leadership", (member.id, now, now + life))
    if led:
        transaction.query("delete_record_changes", (now - CHANGES_KEPT,))
    senders = tuple(id_ for (id_,) in transaction.query("live_workers"))
    ((latest,),) = transaction.query("latest_record_change")
    return ClusterState(now, senders, led[0] if led else 0, latest)


def leave(transaction: DbTransaction, requests: Sequence[str]) -> list[None]:
    """Strike processes off, and free what they led."""
    for member_id in requests:
        transaction.query("delete_member", (member_id,))
        transaction.query("release_leadership", (member_id,))
    return [None] * len(requests)
