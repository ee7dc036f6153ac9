"""The composition: the one place that knows all parts and how they fit."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from functools import partial
from pathlib import Path

from tillbell.clock import SECOND, Clock, SteeredClock, SystemClock
from tillbell.cluster.membership import HEARTBEAT_EVERY, Cluster
from tillbell.cluster.record_feed import POLL_EVERY as FEED_EVERY
from tillbell.cluster.record_feed import RecordFeed
from tillbell.cluster.wakeups import POLL_EVERY as NUDGED_EVERY
from tillbell.cluster.wakeups import ClusterWakeups
from tillbell.config import Settings
from tillbell.configure.api_keys import ApiKeys
from tillbell.configure.applications import Applications
from tillbell.configure.endpoints import Endpoints
from tillbell.configure.event_types import EventTypes
from tillbell.configure.key_usage import KeyUsage
from tillbell.configure.parts import Parts
from tillbell.configure.sources import SourceSettings
from tillbell.counters import Meters
from tillbell.deliver.claimer import SWEEP_EVERY, Claimer
from tillbell.deliver.compiled_endpoint import EndpointCompiler
from tillbell.deliver.config_cache import CACHED, OPERATIONAL, ConfigCache
from tillbell.deliver.dispatcher import LEASE, Dispatcher
from tillbell.deliver.endpoint_health import EndpointHealthMonitor
from tillbell.deliver.expunge import Expunger
from tillbell.deliver.handshake import Handshake
from tillbell.deliver.leases import HeldLeases
from tillbell.deliver.publish import MessageDraft, Publisher
from tillbell.deliver.resend import DeliveryResender
from tillbell.deliver.schemas import Schemas
from tillbell.deliver.tasks import TaskRunner
from tillbell.errors import Draining, StoreUnavailable, Unavailable
from tillbell.http.address_policy import AddressPolicy
from tillbell.http.client import HttpClient
from tillbell.http.resolver import Resolver
from tillbell.ids import IdMaker
from tillbell.logs import log_event
from tillbell.model.endpoints import EndpointHealth
from tillbell.model.records import Application
from tillbell.process.decisions import Decisions
from tillbell.process.operator import ManualActions
from tillbell.process.process import CallbackProcessor
from tillbell.process.provider_lookup import ProviderLookup
from tillbell.process.status_checks import StatusChecker
from tillbell.process.unmatched import UnmatchedCallbacks
from tillbell.providers import PROVIDERS
from tillbell.receive.receive import CallbackReceiver
from tillbell.receive.reprocess import Reprocessor, StartupRecovery
from tillbell.receive.reprocess_many import BulkReprocessor
from tillbell.receive.source_cache import SourceCache
from tillbell.storage.opening import is_shared, store_at
from tillbell.storage.ports.database import Database
from tillbell.upkeep.chores import (
    Chore,
    ChoreRunner,
    DiskSpaceMonitor,
    LongTransactionMonitor,
    RemovedEndpointDiscarder,
    RetentionPurge,
)
from tillbell.vault import Vault

HEARTBEAT = 2 * SECOND
TASKS_EVERY = 2 * SECOND
PURGE_EVERY = 60 * SECOND
SNAPSHOTS_EVERY = 15 * SECOND
DISK_EVERY = 2 * SECOND
CHECK_EVERY = 5 * SECOND
REMATCH_EVERY = 30 * SECOND
ABANDONED_EVERY = 10 * SECOND
ABANDONED_AFTER = 30 * SECOND


class Gateway:
    """Everything, wired. Create, `start`, then `drain` and `stop`."""

    def __init__(self, settings: Settings, clock: Clock, database: Database, vault: Vault) -> None:
        self.settings = settings
        self.clock = clock
        self.database = database
        self.vault = vault
        self.ids = IdMaker()
        self.cluster = Cluster(database, clock, self.ids, settings.role)
        self.meters = Meters()
        self.policy = AddressPolicy(
            allow_cidrs=settings.allowed_cidrs, allow_http=settings.allows_http
        )
        self.config_cache = ConfigCache(
            database, EndpointCompiler(settings, vault, self.policy).compile, clock
        )
        self._build_sending()
        self._build_publishing()
        self._build_receiving()
        self._build_upkeep()
        self._build_configuration()
        self._connect()

    def _build_sending(self) -> None:
        self.resolver = Resolver(servers=self.settings.dns_servers or None)
        self.http_client = HttpClient(self.policy, self.resolver, self.clock)
        self.handshake = Handshake(
            self.http_client,
            self.policy,
            self.settings.public_url or self.settings.local_url,
            self.settings.user_agent,
        )
        self.leases = HeldLeases(self.database, self.clock, LEASE)
        self.dispatcher = Dispatcher(
            limits=self.settings,
            directory=self.config_cache,
            sender=self.http_client,
            ledger=self.leases,
            clock=self.clock,
        )
        self.claimer = Claimer(
            database=self.database,
            dispatcher=self.dispatcher,
            directory=self.config_cache,
            clock=self.clock,
            window=self.settings.lane_window,
        )
        self._claiming: asyncio.Task[None] | None = None

    def _build_publishing(self) -> None:
        self.publisher = Publisher(
            store=self.database,
            directory=self.config_cache,
            dispatcher=self.dispatcher,
            schemas=Schemas(self.config_cache),
            clock=self.clock,
            ids=self.ids,
            meters=self.meters,
        )
        self.tasks = TaskRunner(self.config_cache, self.clock, self.ids, self._leads)
        self.delivery_resender = DeliveryResender(
            database=self.database,
            directory=self.config_cache,
            dispatcher=self.dispatcher,
            tasks=self.tasks,
            clock=self.clock,
        )
        self.expunger = Expunger(self.database, self.tasks, self.clock)

    def _build_receiving(self) -> None:
        self.source_cache = SourceCache(self.config_cache, self.vault, PROVIDERS)
        self.decisions = Decisions(
            self.database,
            self.config_cache,
            self.source_cache,
            self.publisher,
            self.clock,
            self.ids,
            self.meters,
        )
        self.processor = CallbackProcessor(self.decisions)
        self.provider_lookup = ProviderLookup(
            self.http_client, self.policy, self.settings.user_agent
        )
        self.status_checker = StatusChecker(self.decisions, self.provider_lookup)
        self.receiver = CallbackReceiver(self.database, self.vault, self.ids, self.meters)
        self.reprocessor = Reprocessor(
            self.database, self.source_cache, self.vault, self.receiver, self.clock
        )
        self.manual_actions = ManualActions(
            self.decisions, self.reprocessor, four_eyes=self.settings.four_eyes
        )
        self.bulk_reprocessor = BulkReprocessor(
            self.database, self.reprocessor, self.tasks, self.clock
        )
        self.receiver.processor = self.processor
        self.unmatched_callbacks = UnmatchedCallbacks(self.database, self.reprocessor, self.clock)
        self.decisions.on_committed = self.unmatched_callbacks.decision_committed
        self.startup_recovery = StartupRecovery(self.reprocessor, self.clock)

    def _build_upkeep(self) -> None:
        self.health_monitor = EndpointHealthMonitor(
            directory=self.config_cache,
            clock=self.clock,
            meters=self.meters,
            pause_after_days=self.settings.pause_after_days,
        )
        self.chore_runner = ChoreRunner(self.clock)
        self.disk_space = DiskSpaceMonitor(
            Path(self.settings.data_dir), self.settings.disk_reserve_mb
        )
        self.long_transactions = LongTransactionMonitor(self.database, self.meters)
        self.endpoint_discarder = RemovedEndpointDiscarder(self.database, self.clock)
        self.record_feed = RecordFeed(
            self.database,
            self.clock,
            {kind.__name__: partial(self.config_cache.refresh, kind) for kind in CACHED},
        )
        self.wakeups = ClusterWakeups(
            fleet=self.cluster,
            feed=self.record_feed,
            dispatcher=self.dispatcher,
            claimer=self.claimer,
            clock=self.clock,
        )

    def _build_configuration(self) -> None:
        overlap_hours = self.settings.secret_overlap_hours
        parts = Parts(self.config_cache, self.clock, self.ids, self.vault, overlap_hours)
        self.applications = Applications(parts)
        self.event_types = EventTypes(parts)
        self.endpoints = Endpoints(parts, self.policy, self.handshake)
        self.source_settings = SourceSettings(parts, self.source_cache)
        self.api_keys = ApiKeys(parts, self.database)
        self.key_usage = KeyUsage(self.database, self.config_cache, self.clock)

    def _leads(self) -> bool:
        return bool(self.cluster.term)

    @classmethod
    def create(cls, settings: Settings, clock: Clock | None = None) -> Gateway:
        """Build a gateway on the store and keys that the settings name."""
        if clock is None:
            is_alone = not is_shared(settings.database_url)
            clock = SystemClock() if is_alone else SteeredClock(SystemClock())
        database = store_at(
            settings.database_url,
            clock,
            has_pooler=settings.database_pooler,
            partition_days=settings.partition_days,
            replica_url=settings.database_replica_url,
        )
        gateway = cls(settings, clock, database, Vault.from_settings(settings))
        database.on_commit = gateway.meters.batch
        return gateway

    def _connect(self) -> None:
        self.config_cache.on_endpoint_changed = self.dispatcher.refresh
        self.endpoints.on_new_health = self.dispatcher.restore_health
        self.config_cache.on_endpoint_removed = self._endpoint_removed
        self.dispatcher.on_attempt_ended = self.health_monitor.attempt_ended
        self.database.on_notification = self.wakeups.notified
        self.dispatcher.owns = self.cluster.owns
        self.cluster.on_ownership_changed = self.wakeups.ownership_changed
        self.health_monitor.announce = self._announce

    async def start(self) -> None:
        """Open the store, take over what a former process left, begin to send."""
        await self.database.open()
        self.record_feed.start((await self.cluster.join()).changes)
        await self.config_cache.load()
        await self.source_cache.load()
        for health in await self.config_cache.read_all(EndpointHealth):
            self.dispatcher.restore_health(health)
        self.meters.restore(await self.database.counts())
        if not self.cluster.is_shared:
            await self.database.release_all_leases(self.clock.now())
        await self.disk_space.check()
        self._claiming = asyncio.get_running_loop().create_task(self.claimer.run())
        await self.claimer.sweep()
        await self.tasks.resume()
        if not self.cluster.is_shared:
            self.startup_recovery.start()
        self.chore_runner.start(*self._chores())

    def _chores(self) -> Iterator[Chore]:
        """List what is done now and then; what only one process may do, by the leader."""
        purge = RetentionPurge(
            self.database,
            self.clock,
            bodies_days=self.settings.body_retention_days,
            history_days=self.settings.history_retention_days,
        )
        yield Chore("lease_renewal", HEARTBEAT, self.leases.renew)
        yield Chore("sweep", SWEEP_EVERY, self.claimer.sweep)
        yield Chore("disk_space", DISK_EVERY, self._check_disk)
        yield Chore("callback_overflow", HEARTBEAT, self._recover_overflowed)
        for name, every, work in (
            ("purge", PURGE_EVERY, purge.run),
            ("check", CHECK_EVERY, self.status_checker.check_due),
            ("rematch", REMATCH_EVERY, self.unmatched_callbacks.retry_due),
        ):
            yield Chore(name, every, self.cluster.only_as_leader(work))
        if self.cluster.is_shared:
            yield Chore("heartbeat", HEARTBEAT_EVERY, self.cluster.heartbeat)
            yield Chore("long_transactions", SNAPSHOTS_EVERY, self.long_transactions.check)
            yield Chore("record_feed", FEED_EVERY, self.record_feed.poll)
            yield Chore("tasks", TASKS_EVERY, self.tasks.resume)
            yield Chore("requested_sweep", NUDGED_EVERY, self.wakeups.sweep_if_requested)
            yield Chore(
                "abandoned_callbacks",
                ABANDONED_EVERY,
                self.cluster.only_as_leader(self._recover_abandoned),
            )

    async def _recover_abandoned(self) -> None:
        """Process callbacks that another process stored and did not live to process."""
        await self.reprocessor.recover_all(until=self.clock.now() - ABANDONED_AFTER)

    async def drain(self, timeout_s: float | None = None) -> None:
        """Accept nothing more; let attempts under way end, give everything else back."""
        self._refuse(Draining())
        if self._claiming is not None:
            self._claiming.cancel()  # before anything is given back, which it would claim again
        self.dispatcher.stop_attempts()
        await self.startup_recovery.stop()
        await self.processor.stop()
        await self.chore_runner.stop()
        await self.tasks.stop()
        if self._claiming is not None:
            await asyncio.gather(self._claiming, return_exceptions=True)
        wait_s = self.settings.drain_timeout_s if timeout_s is None else timeout_s
        await self.dispatcher.drain(wait_s)
        await self.health_monitor.wait_idle()

    async def stop(self) -> None:
        """Close everything."""
        await self.endpoint_discarder.wait_idle()
        await self._leave()
        await self.http_client.close()
        await self.database.close()

    async def _leave(self) -> None:
        try:
            await self.cluster.leave()
        except StoreUnavailable as error:  # then it counts as dead a little later
            log_event("chore.postponed", chore="cluster_leave", error=str(error))

    async def _check_disk(self) -> None:
        await self.disk_space.check()
        if not isinstance(self.publisher.refusal, Draining):
            short = StoreUnavailable(
                "The disk is nearly full; nothing is accepted until there is room."
            )
            self._refuse(short if self.disk_space.is_short else None)

    async def _recover_overflowed(self) -> None:
        """Fetch from the store what there was no room for in memory."""
        if self.processor.has_overflowed:
            self.processor.has_overflowed = False
            await self.reprocessor.recover_all()

    def _refuse(self, refusal: Unavailable | None) -> None:
        self.publisher.refusal = self.receiver.refusal = refusal

    def _endpoint_removed(self, app_id: str, endpoint_id: str) -> None:
        self.dispatcher.close_lane(endpoint_id)
        self.endpoint_discarder.endpoint_removed(app_id, endpoint_id)

    async def _announce(self, event_type: str, payload: bytes) -> None:
        operational = Application(id=OPERATIONAL, name=OPERATIONAL)
        await self.publisher.publish(operational, MessageDraft(event_type, payload))
