"""Changes of who is told by e-mail."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any
from zoneinfo import ZoneInfo

import msgspec

from tillbell.config import EMAIL
from tillbell.configure.parts import Parts
from tillbell.errors import ConflictError, Invalid, NotFound, Problem
from tillbell.model.alerts import AlertQueue, AlertSubscription
from tillbell.rules.alerts import TIME_OF_DAY
from tillbell.rules.delivery.selectors import check_event_type

SUBSCRIPTIONS_MAX = 200
EMAIL_MAX = 254


class AlertSubscriptions:
    """Creates, changes and removes them."""

    def __init__(self, parts: Parts) -> None:
        self._records, self._clock, self._ids, _, _ = parts

    async def all(self) -> list[AlertSubscription]:
        """Return all, oldest first."""
        return await self._records.read_all(AlertSubscription)

    async def get(self, id_: str) -> AlertSubscription:
        """Return one. `NotFound` if there is none."""
        for subscription in await self.all():
            if subscription.id == id_:
                return subscription
        raise NotFound("There is no such alert.")

    async def queues(self) -> dict[str, AlertQueue]:
        """Return what waits, by the subscription's id."""
        return {queue.id: queue for queue in await self._records.read_all(AlertQueue)}

    async def create(self, fields: Mapping[str, Any]) -> AlertSubscription:
        """Add one. `fields` are those of the record."""
        if len(await self.all()) >= SUBSCRIPTIONS_MAX:
            raise ConflictError(f"There are {SUBSCRIPTIONS_MAX} alerts already; delete one.")
        now = self._clock.now()
        id_ = self._ids.new("alt", now)
        subscription = AlertSubscription(id=id_, created_at=now, updated_at=now, **fields)
        _check(subscription)
        await self._records.add(subscription)
        return subscription

    async def patch(self, id_: str, fields: Mapping[str, Any]) -> AlertSubscription:
        """Change the named fields. `NotFound` if it is gone."""

        def changed(stored: AlertSubscription) -> AlertSubscription:
            subscription = msgspec.structs.replace(stored, **fields)
            _check(subscription)
            return stored if subscription == stored else subscription

        return (await self._records.change(AlertSubscription, "", id_, changed)).record

    async def remove(self, id_: str) -> None:
        """Remove one, with what waits. `NotFound` if it is gone."""
        if not await self._records.remove(AlertSubscription, id_):
            raise NotFound("There is no such alert.")
        await self._records.remove(AlertQueue, id_)


def _check(subscription: AlertSubscription) -> None:
    if problems := list(_problems(subscription)):
        raise Invalid(*problems)


def _problems(subscription: AlertSubscription) -> Iterator[Problem]:
    email = subscription.email
    if len(email) > EMAIL_MAX or not EMAIL.fullmatch(email):
        yield Problem(("body", "email"), "must be an e-mail address: ada@shop.example", "email")
    for event_type in subscription.event_types:
        if (reason := check_event_type(event_type)) is not None:
            yield Problem(("body", "eventTypes"), reason, "event_type")
    if not subscription.kinds and not subscription.event_types:
        yield Problem(("body", "kinds"), "choose a kind or an event type", "missing")
    quiet = {"quietFrom": subscription.quiet_from, "quietUntil": subscription.quiet_until}
    for name, time in quiet.items():
        if time is not None and not TIME_OF_DAY.fullmatch(time):
            yield Problem(("body", name), "must be a time of day: 22:00", "time")
    if (subscription.quiet_from is None) is not (subscription.quiet_until is None):
        text = "quiet hours need a beginning and an end"
        yield Problem(("body", "quietUntil"), text, "missing")
    try:
        ZoneInfo(subscription.time_zone)
    except (ValueError, KeyError, OSError):  # not a name of a zone
        text = "must be the name of a time zone: Europe/Belgrade"
        yield Problem(("body", "timeZone"), text, "time_zone")
