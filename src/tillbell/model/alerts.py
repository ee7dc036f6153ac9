"""Alerts: which people are told of what by e-mail, and what waits to be sent to them."""

from __future__ import annotations

from enum import StrEnum

import msgspec

from tillbell.clock import Micros
from tillbell.model.records import Record


class AlertKind(StrEnum):
    """What people can be told of."""

    ENDPOINT = "endpoint"  # failing, paused, disabled, answers again
    DELIVERY = "delivery"  # every attempt was used up
    CONFLICT = "conflict"  # news that contradicts what is settled
    PAYOUT = "payout"  # a pay-out that is on hold, declined, failed or in conflict
    DISK = "disk"  # nearly full: nothing is accepted
    DATABASE = "database"  # it cannot be reached


class AlertSubscription(Record, frozen=True, kw_only=True):
    """Somebody who is told by e-mail. Times of day are texts as `22:00`."""

    email: str
    name: str = ""
    kinds: tuple[AlertKind, ...] = ()
    event_types: tuple[str, ...] = ()  # and messages of these types
    app_id: str | None = None  # of this application alone; None: of all
    digest_minutes: int = 0  # how long alerts are collected for one mail; 0: none waits
    quiet_from: str | None = None
    quiet_until: str | None = None
    time_zone: str = "UTC"  # of the quiet hours
    hourly_max: int = 12  # mails in an hour; further alerts wait and come together
    paused: bool = False
    unsubscribed_at: Micros | None = None  # paused by the link in a mail


class AlertLine(msgspec.Struct, frozen=True, kw_only=True):
    """One alert that waits."""

    at: Micros
    title: str
    text: str


class AlertQueue(Record, frozen=True, kw_only=True):
    """What waits for a subscription, and how its mails went. `id` is the subscription's.

    `number` counts mails: a mail that is sent again after a crash has the same Message-ID.
    """

    read_until: Micros  # messages before are in it or were sent
    lines: tuple[AlertLine, ...] = ()
    dropped: int = 0  # lines beyond what a queue holds
    states: tuple[AlertKind, ...] = ()  # what was told to be wrong and is not well again
    number: int = 0
    claimed_until: Micros = 0  # a process sends it until then
    sent_at: tuple[Micros, ...] = ()  # the last mails
    retry_at: Micros = 0
    failures: int = 0  # since the last mail that was taken
    last_error: str = ""
