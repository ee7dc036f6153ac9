"""Upcoming renewals: tells once, some days before, that a subscription will renew."""

from __future__ import annotations

from datetime import datetime

import msgspec

from tillbell.clock import DAY, Clock, Micros, from_datetime
from tillbell.deliver.config_cache import ConfigCache
from tillbell.ids import record_cursor
from tillbell.model.records import Application
from tillbell.model.shop import Subscription
from tillbell.process.decision import DecidedBy, Decision
from tillbell.process.decisions import Decisions
from tillbell.process.shop_documents import document_data
from tillbell.storage.ports.outbound import Page
from tillbell.storage.ports.shop import ShopFilter

UPCOMING = "subscription.upcoming"
_RENEWING = ("active", "trialing")
_BATCH_SIZE = 250


class UpcomingRenewals:
    """Publishes `subscription.upcoming` when the paid or free time of a subscription ends soon."""

    def __init__(
        self, decisions: Decisions, config_cache: ConfigCache, clock: Clock, days: int
    ) -> None:
        self._decisions = decisions
        self._database = decisions.database
        self._config_cache = config_cache
        self._clock = clock
        self._ahead = days * DAY

    async def run(self) -> None:
        """Look at all subscriptions that renew; nothing if no days are set."""
        if not self._ahead:
            return
        for application in await self._config_cache.read_all(Application):
            for status in _RENEWING:
                await self._look_at(application.id, ShopFilter(status=status))

    async def _look_at(self, app_id: str, filter_: ShopFilter) -> None:
        page = Page(_BATCH_SIZE, ascending=True)
        while rows := await self._database.shop_records(Subscription, app_id, filter_, page):
            for row in rows:
                if self._is_upcoming(row):
                    await self._tell(row)
            cursor = record_cursor(rows[-1].id, rows[-1].updated_at)
            page = Page(_BATCH_SIZE, cursor, ascending=True)

    def _is_upcoming(self, subscription: Subscription) -> bool:
        end = ends_at(subscription)
        if end is None or subscription.upcoming_told == end:
            return False
        now = self._clock.now()
        return now < end <= now + self._ahead and subscription.data.get("status") in _RENEWING

    async def _tell(self, row: Subscription) -> None:
        async def decide(decision: Decision) -> None:
            stored = await self._database.get(Subscription, row.id, row.scope)
            if stored is None or not self._is_upcoming(stored):
                return
            decision.publish_about(stored, UPCOMING, document_data(stored))
            announced = msgspec.structs.replace(
                stored, upcoming_told=ends_at(stored), version=stored.version + 1
            )
            decision.write_record(announced, stored.version)

        await self._decisions.commit(row.scope, DecidedBy(actor="renewals"), decide)


def ends_at(subscription: Subscription) -> Micros | None:
    """Return when the paid time of a subscription ends, or its free time; None: nobody said."""
    data = subscription.data
    text = data.get("currentPeriodEnd") or data.get("trialEnd")
    try:
        at = datetime.fromisoformat(text) if isinstance(text, str) else None
    except ValueError:
        return None
    return from_datetime(at) if at is not None and at.tzinfo is not None else None
