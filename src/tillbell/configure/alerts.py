"""Changes of who is told by e-mail."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any
from zoneinfo import ZoneInfo

import msgspec

from tillbell.config import EMAIL
from tillbell.configure.parts import Parts
from tillbell.errors import ConflictError, Invalid, Misconfigured, NotFound, Problem
from tillbell.model.alerts import AlertQueue, AlertSubscription
from tillbell.rules.alerts import TIME_OF_DAY
from tillbell.rules.delivery.selectors import check_event_type

SUBSCRIPTIONS_MAX = 200
EMAIL_MAX = 254
_LINK_GONE = "This alert is deleted or goes to another address, or the link is incomplete."


class AlertSubscriptions:
    """Creates, changes and removes them."""

    def __init__(self, parts: Parts) -> None:
        self._records, self._clock, self._ids, self._vault, _ = parts

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
            if not subscription.paused:
                subscription = msgspec.structs.replace(subscription, unsubscribed_at=None)
            _check(subscription)
            return stored if subscription == stored else subscription

        return (await self._records.change(AlertSubscription, "", id_, changed)).record

    async def remove(self, id_: str) -> None:
        """Remove one, with what waits. `NotFound` if it is gone."""
        if not await self._records.remove(AlertSubscription, id_):
            raise NotFound("There is no such alert.")
        await self._records.remove(AlertQueue, id_)

    # ── the link in a mail ───────────────────────────────────────────────────────────────────────

    def unsubscribe_token(self, subscription: AlertSubscription) -> str:
        """Return what proves that somebody has a mail of this subscription to this address."""
        return self._vault.seal(subscription.email, _sealed_for(subscription.id))

    async def of_link(self, id_: str, token: str) -> AlertSubscription:
        """Return the subscription of the link in a mail. `NotFound` if it is gone or wrong.

        A link ends with the address that it was sent to.
        """
        try:
            email = self._vault.open(token, _sealed_for(id_))
        except Misconfigured:  # not ours, or of a key that we no longer have
            raise NotFound(_LINK_GONE) from None
        subscription = await self.get(id_)
        if subscription.email != email:
            raise NotFound(_LINK_GONE)
        return subscription

    async def unsubscribe(self, subscription: AlertSubscription) -> None:
        """Send no more mails, until somebody with an account lets them be sent again."""
        now = self._clock.now()

        def paused(stored: AlertSubscription) -> AlertSubscription:
            if stored.unsubscribed_at is not None:
                return stored
            return msgspec.structs.replace(stored, paused=True, unsubscribed_at=now)

        await self._records.change(AlertSubscription, "", subscription.id, paused)


def _sealed_for(id_: str) -> str:
    return f"{id_} unsubscribe"


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
