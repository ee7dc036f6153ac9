"""Runtime: starts, drains and stops a gateway, and lists its chores."""

from __future__ import annotations

from collections.abc import Iterator

from tillbell.app import Gateway
from tillbell.clock import DAY, HOUR, MINUTE, SECOND
from tillbell.cluster import membership, record_feed, wakeups
from tillbell.deliver.claimer import SWEEP_EVERY
from tillbell.errors import Draining, StoreUnavailable, Unavailable
from tillbell.logs import log_event
from tillbell.model.endpoints import EndpointHealth
from tillbell.upkeep import alerts
from tillbell.upkeep.chores import (
    Chore,
    ChoreRunner,
    DiskSpaceMonitor,
    LoopLagMonitor,
    RetentionPurge,
)
from tillbell.upkeep.statistics import PendingSampler, RollupUpkeep

LEASE_RENEWAL_EVERY = 2 * SECOND
DISK_EVERY = 2 * SECOND
HOLD_EVERY = SECOND
OVERFLOW_EVERY = 2 * SECOND
TASKS_EVERY = 2 * SECOND
STATUS_CHECKS_EVERY = 5 * SECOND
ABANDONED_EVERY = 10 * SECOND
ABANDONED_AFTER = 30 * SECOND
LONG_TRANSACTIONS_EVERY = 15 * SECOND
UNMATCHED_RETRY_EVERY = 30 * SECOND
EXPORTS_EVERY = 30 * SECOND
PURGE_EVERY = 60 * SECOND
STATISTICS_EVERY = MINUTE
RENEWALS_EVERY = 15 * MINUTE


class Runtime:
    """Runs a gateway: `start`, then `drain` and `stop`."""

    def __init__(self, gateway: Gateway) -> None:
        self._gateway = gateway
        settings = gateway.settings
        self._disk_space = DiskSpaceMonitor(settings.data_dir, settings.disk_reserve_mb)
        self._chores = ChoreRunner(gateway.clock)
        self._lag: LoopLagMonitor | None = None  # while it runs

    async def start(self) -> None:
        """Open the store, take over what an earlier process left, and begin to send."""
        gateway = self._gateway
        await gateway.database.open()
        gateway.record_feed.start((await gateway.cluster.heartbeat()).changes)
        await gateway.config_cache.load()
        await gateway.source_cache.load()
        await gateway.inbox_cache.load()
        for health in await gateway.config_cache.read_all(EndpointHealth):
            gateway.lanes.restore_health(health)
        gateway.meters.restore(await gateway.database.counts())
        if not gateway.cluster.is_shared:
            await gateway.database.release_all_leases(gateway.clock.now())
        await self._disk_space.check()
        gateway.alert_sender.is_disk_low = lambda: self._disk_space.is_low
        if gateway.settings.hold:
            await gateway.hold.begin()
        else:
            gateway.claimer.start()
            await gateway.claimer.sweep()
        await gateway.tasks.resume()
        if not gateway.cluster.is_shared:
            gateway.startup_recovery.start()
        await gateway.markers.started()
        self._chores.start(*self._list_chores())
        self._lag = LoopLagMonitor(gateway.meters)

    async def drain(self, timeout_s: float | None = None) -> None:
        """Accept nothing more, let attempts under way end, and give up all other claims.

        `timeout_s` replaces the setting `drain_timeout_s`.
        """
        gateway = self._gateway
        self._refuse(Draining())
        gateway.dispatcher.stop_attempts()
        await gateway.claimer.stop()  # at once, or it would claim again what was given up
        await gateway.startup_recovery.stop()
        await gateway.processor.stop()
        await self._chores.stop()
        await gateway.alert_sender.wait_idle()
        if self._lag is not None:
            self._lag.stop()
        await gateway.tasks.stop()
        wait_s = gateway.settings.drain_timeout_s if timeout_s is None else timeout_s
        await gateway.dispatcher.drain(wait_s)
        await gateway.health_monitor.wait_idle()
        await gateway.people.wait_idle()

    async def stop(self) -> None:
        """Leave the cluster and close everything."""
        gateway = self._gateway
        await gateway.endpoint_discarder.wait_idle()
        try:
            await gateway.cluster.leave()
        except StoreUnavailable as error:  # it is removed when it misses its heartbeat
            log_event("chore.postponed", chore="cluster_leave", error=str(error))
        await gateway.http_client.close()
        if gateway.sign_ons is not None:
            await gateway.sign_ons.close()
        await gateway.database.close()

    # ── chores ───────────────────────────────────────────────────────────────────────────────────

    def _list_chores(self) -> Iterator[Chore]:
        gateway, cluster = self._gateway, self._gateway.cluster
        yield Chore("lease_renewal", LEASE_RENEWAL_EVERY, gateway.leases.renew)
        yield Chore("sweep", SWEEP_EVERY, gateway.claimer.sweep)
        yield Chore("disk_space", DISK_EVERY, self._check_disk)
        yield Chore("callback_overflow", OVERFLOW_EVERY, self._recover_overflowed)
        yield Chore("unstored_callbacks", STATISTICS_EVERY, gateway.unstored_callbacks.store)
        if gateway.settings.hold:
            yield Chore("hold", HOLD_EVERY, gateway.hold.check)
        sampler = PendingSampler(gateway.database, gateway.clock)
        for name, every, work in (
            ("purge", PURGE_EVERY, self._purge().run),
            ("expired_inboxes", PURGE_EVERY, gateway.inbox_settings.remove_expired),
            ("alerts", alerts.EVERY, gateway.alert_sender.run),
            ("status_checks", STATUS_CHECKS_EVERY, self._check_statuses),
            ("statistics", STATISTICS_EVERY, self._statistics().run),
            ("pending_sample", STATISTICS_EVERY, sampler.sample),
            ("unmatched_retry", UNMATCHED_RETRY_EVERY, gateway.unmatched_callbacks.retry_due),
            ("ended_imports", PURGE_EVERY, gateway.importer.remove_ended),
            ("scheduled_exports", EXPORTS_EVERY, gateway.scheduled_exports.run),
            ("upcoming_renewals", RENEWALS_EVERY, gateway.upcoming_renewals.run),
        ):
            yield Chore(name, every, cluster.only_as_leader(work))
        if cluster.is_shared:
            yield from self._list_cluster_chores()

    def _list_cluster_chores(self) -> Iterator[Chore]:
        """List what a process does only if it shares its store."""
        gateway, cluster = self._gateway, self._gateway.cluster
        yield Chore("heartbeat", membership.HEARTBEAT_EVERY, cluster.heartbeat)
        yield Chore("long_transactions", LONG_TRANSACTIONS_EVERY, gateway.long_transactions.check)
        yield Chore("record_feed", record_feed.POLL_EVERY, gateway.record_feed.poll)
        yield Chore("tasks", TASKS_EVERY, gateway.tasks.resume)
        yield Chore("requested_sweep", wakeups.POLL_EVERY, gateway.wakeups.sweep_if_requested)
        recover = cluster.only_as_leader(self._recover_abandoned)
        yield Chore("abandoned_callbacks", ABANDONED_EVERY, recover)

    def _purge(self) -> RetentionPurge:
        gateway = self._gateway
        return RetentionPurge(gateway.database, gateway.clock, gateway.retention)

    def _statistics(self) -> RollupUpkeep:
        settings = self._gateway.settings
        return RollupUpkeep(
            self._gateway.database,
            self._gateway.clock,
            minutes_kept=settings.minute_statistics_hours * HOUR,
            hours_kept=settings.statistics_retention_days * DAY,
        )

    async def _check_statuses(self) -> None:
        """Ask providers about transactions, unless nothing may be sent."""
        if not self._gateway.hold.is_on:
            await self._gateway.status_checker.check_due()

    async def _check_disk(self) -> None:
        await self._disk_space.check()
        if not isinstance(self._gateway.publisher.refusal, Draining):
            low = StoreUnavailable(
                "The disk is nearly full; nothing is accepted until there is room."
            )
            self._refuse(low if self._disk_space.is_low else None)

    async def _recover_overflowed(self) -> None:
        """Process the callbacks for which the queue had no room."""
        gateway = self._gateway
        if gateway.processor.has_overflowed:
            gateway.processor.has_overflowed = False
            await gateway.reprocessor.recover_all()

    async def _recover_abandoned(self) -> None:
        """Process the callbacks of processes that ended before they processed them."""
        gateway = self._gateway
        await gateway.reprocessor.recover_all(until=gateway.clock.now() - ABANDONED_AFTER)

    def _refuse(self, refusal: Unavailable | None) -> None:
        """Refuse messages and callbacks with that error; None accepts them again."""
        self._gateway.publisher.refusal = self._gateway.receiver.refusal = refusal
