"""The works of a fleet: signing in and out. Only for stores that processes share."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from tillbell.clock import HOUR, SECOND, Micros
from tillbell.storage.ports.cluster import Member, Roll
from tillbell.storage.session.transaction import Transaction

SILENCE: Micros = 2 * SECOND  # after which one without a connection counts as dead
CHANGES_KEPT: Micros = HOUR  # longer than any process that lives does not look


class SignIn(NamedTuple):
    """A process, and for how long it counts as alive."""

    member: Member
    life: Micros


def sign_in(transaction: Transaction, requests: Sequence[SignIn]) -> list[Roll]:
    """Enter processes and see who is there."""
    return [_sign_in(transaction, *request) for request in requests]


def _sign_in(transaction: Transaction, member: Member, life: Micros) -> Roll:
    ((now,),) = transaction.rows("database_time")
    transaction.rows("sign_in", (*member, now))
    transaction.rows("strike_off", (now - life, now - SILENCE))
    led = transaction.row("lead", (member.id, now, now + life))
    if led:
        transaction.rows("forget_record_changes", (now - CHANGES_KEPT,))
    senders = tuple(id_ for (id_,) in transaction.rows("senders"))
    ((latest,),) = transaction.rows("latest_record_change")
    return Roll(now, senders, led[0] if led else 0, latest)


def sign_out(transaction: Transaction, requests: Sequence[str]) -> list[None]:
    """Strike processes off, and free what they led."""
    for member_id in requests:
        transaction.rows("sign_out", (member_id,))
        transaction.rows("step_down", (member_id,))
    return [None] * len(requests)
