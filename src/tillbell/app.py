"""The composition: the one place that knows all parts and how they fit."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from functools import partial
from pathlib import Path

from tillbell.clock import SECOND, Clock, SteeredClock, SystemClock
from tillbell.cluster.membership import BEAT, Fleet
from tillbell.cluster.record_feed import EVERY as FEED_EVERY
from tillbell.cluster.record_feed import Feed
from tillbell.cluster.wakeups import EVERY as NUDGED_EVERY
from tillbell.cluster.wakeups import Company
from tillbell.config import Settings
from tillbell.configure.api_keys import ApiKeys
from tillbell.configure.applications import Applications
from tillbell.configure.endpoints import Endpoints
from tillbell.configure.event_types import EventTypes
from tillbell.configure.key_usage import KeyUsage
from tillbell.configure.parts import Parts
from tillbell.configure.sources import SourceSettings
from tillbell.counters import Meters
from tillbell.deliver.claimer import SWEEP, Claimer
from tillbell.deliver.compiled_endpoint import LiveMaker
from tillbell.deliver.config_cache import CACHED, OPERATIONAL, Directory
from tillbell.deliver.dispatcher import LEASE, Dispatcher
from tillbell.deliver.endpoint_health import Aftermath
from tillbell.deliver.expunge import Expunger
from tillbell.deliver.handshake import Handshake
from tillbell.deliver.leases import Ledger
from tillbell.deliver.publish import Draft, Publisher
from tillbell.deliver.resend import Resender
from tillbell.deliver.schemas import Schemas
from tillbell.deliver.tasks import TaskRunner
from tillbell.errors import Draining, StoreUnavailable, Unavailable
from tillbell.http.address_policy import AddressPolicy
from tillbell.http.client import Sender
from tillbell.http.resolver import Resolver
from tillbell.ids import IdMaker
from tillbell.logs import observe
from tillbell.model.endpoints import EndpointHealth
from tillbell.model.records import Application
from tillbell.process.decisions import Office
from tillbell.process.operator import Operator
from tillbell.process.process import Processor
from tillbell.process.provider_lookup import Confirmer
from tillbell.process.status_checks import Janitor
from tillbell.process.unmatched import Rematcher
from tillbell.providers import PROVIDERS
from tillbell.receive.receive import Receiver
from tillbell.receive.reprocess import PickUp, Rereader
from tillbell.receive.reprocess_many import Replayer
from tillbell.receive.source_cache import Sources
from tillbell.storage.opening import is_shared, store_at
from tillbell.storage.ports.database import Database
from tillbell.upkeep.chores import Chore, Discarder, DiskReserve, Maintainer, Purge, SnapshotWatch
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
        self.fleet = Fleet(database, clock, self.ids, settings.role)
        self.meters = Meters()
        self.policy = AddressPolicy(
            allow_cidrs=settings.allowed_cidrs, allow_http=settings.allows_http
        )
        self.directory = Directory(database, LiveMaker(settings, vault, self.policy).make, clock)
        self._build_sending()
        self._build_publishing()
        self._build_receiving()
        self._build_care()
        self._build_configuration()
        self._connect()

    def _build_sending(self) -> None:
        self.resolver = Resolver(servers=self.settings.dns_servers or None)
        self.sender = Sender(self.policy, self.resolver, self.clock)
        self.handshake = Handshake(
            self.sender,
            self.policy,
            self.settings.public_url or self.settings.local_url,
            self.settings.user_agent,
        )
        self.ledger = Ledger(self.database, self.clock, LEASE)
        self.dispatcher = Dispatcher(
            limits=self.settings,
            directory=self.directory,
            sender=self.sender,
            ledger=self.ledger,
            clock=self.clock,
        )
        self.claimer = Claimer(
            database=self.database,
            dispatcher=self.dispatcher,
            directory=self.directory,
            clock=self.clock,
            window=self.settings.lane_window,
        )
        self._claiming: asyncio.Task[None] | None = None

    def _build_publishing(self) -> None:
        self.publisher = Publisher(
            store=self.database,
            directory=self.directory,
            dispatcher=self.dispatcher,
            schemas=Schemas(self.directory),
            clock=self.clock,
            ids=self.ids,
            meters=self.meters,
        )
        self.tasks = TaskRunner(self.directory, self.clock, self.ids, self._leads)
        self.resender = Resender(
            database=self.database,
            directory=self.directory,
            dispatcher=self.dispatcher,
            tasks=self.tasks,
            clock=self.clock,
        )
        self.expunger = Expunger(self.database, self.tasks, self.clock)

    def _build_receiving(self) -> None:
        self.sources = Sources(self.directory, self.vault, PROVIDERS)
        self.office = Office(
            self.database,
            self.directory,
            self.sources,
            self.publisher,
            self.clock,
            self.ids,
            self.meters,
        )
        self.processor = Processor(self.office)
        self.confirmer = Confirmer(self.sender, self.policy, self.settings.user_agent)
        self.janitor = Janitor(self.office, self.confirmer)
        self.receiver = Receiver(self.database, self.vault, self.ids, self.meters)
        self.rereader = Rereader(self.database, self.sources, self.vault, self.receiver, self.clock)
        self.operator = Operator(self.office, self.rereader, four_eyes=self.settings.four_eyes)
        self.replayer = Replayer(self.database, self.rereader, self.tasks, self.clock)
        self.receiver.processor = self.processor
        self.rematcher = Rematcher(self.database, self.rereader, self.clock)
        self.office.on_filed = self.rematcher.filed
        self.picking_up = PickUp(self.rereader, self.clock)

    def _build_care(self) -> None:
        self.aftermath = Aftermath(
            directory=self.directory,
            clock=self.clock,
            meters=self.meters,
            pause_after_days=self.settings.pause_after_days,
        )
        self.maintainer = Maintainer(self.clock)
        self.disk = DiskReserve(Path(self.settings.data_dir), self.settings.disk_reserve_mb)
        self.snapshots = SnapshotWatch(self.database, self.meters)
        self.discarder = Discarder(self.database, self.clock)
        self.feed = Feed(
            self.database,
            self.clock,
            {kind.__name__: partial(self.directory.refresh, kind) for kind in CACHED},
        )
        self.company = Company(
            fleet=self.fleet,
            feed=self.feed,
            dispatcher=self.dispatcher,
            claimer=self.claimer,
            clock=self.clock,
        )

    def _build_configuration(self) -> None:
        overlap_hours = self.settings.secret_overlap_hours
        parts = Parts(self.directory, self.clock, self.ids, self.vault, overlap_hours)
        self.applications = Applications(parts)
        self.event_types = EventTypes(parts)
        self.endpoints = Endpoints(parts, self.policy, self.handshake)
        self.source_settings = SourceSettings(parts, self.sources)
        self.api_keys = ApiKeys(parts, self.database)
        self.key_usage = KeyUsage(self.database, self.directory, self.clock)

    def _leads(self) -> bool:
        return bool(self.fleet.term)

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
        self.directory.on_endpoint = self.dispatcher.refresh
        self.endpoints.on_new_health = self.dispatcher.remember_health
        self.directory.on_endpoint_removed = self._endpoint_removed
        self.dispatcher.on_ended = self.aftermath.ended
        self.database.on_wake = self.company.woken
        self.dispatcher.owns = self.fleet.owns
        self.fleet.on_owned = self.company.owned_changed
        self.aftermath.announce = self._announce

    async def start(self) -> None:
        """Open the store, take over what a former process left, begin to send."""
        await self.database.open()
        self.feed.begin((await self.fleet.join()).changes)
        await self.directory.load()
        await self.sources.load()
        for health in await self.directory.all(EndpointHealth):
            self.dispatcher.remember_health(health)
        self.meters.restore(await self.database.counts())
        if not self.fleet.is_shared:
            await self.database.orphan(self.clock.now())
        await self.disk.look()
        self._claiming = asyncio.get_running_loop().create_task(self.claimer.run())
        await self.claimer.sweep()
        await self.tasks.resume()
        if not self.fleet.is_shared:
            self.picking_up.start()
        self.maintainer.start(*self._chores())

    def _chores(self) -> Iterator[Chore]:
        """List what is done now and then; what only one process may do, by the leader."""
        purge = Purge(
            self.database,
            self.clock,
            bodies_days=self.settings.body_retention_days,
            history_days=self.settings.history_retention_days,
        )
        yield Chore("renew", HEARTBEAT, self.ledger.renew)
        yield Chore("sweep", SWEEP, self.claimer.sweep)
        yield Chore("disk", DISK_EVERY, self._look_at_disk)
        yield Chore("forgotten", HEARTBEAT, self._take_forgotten)
        for name, every, work in (
            ("purge", PURGE_EVERY, purge.run),
            ("check", CHECK_EVERY, self.janitor.look),
            ("rematch", REMATCH_EVERY, self.rematcher.retry),
        ):
            yield Chore(name, every, self.fleet.led(work))
        if self.fleet.is_shared:
            yield Chore("beat", BEAT, self.fleet.beat)
            yield Chore("snapshots", SNAPSHOTS_EVERY, self.snapshots.look)
            yield Chore("feed", FEED_EVERY, self.feed.look)
            yield Chore("tasks", TASKS_EVERY, self.tasks.resume)
            yield Chore("nudged", NUDGED_EVERY, self.company.sweep_if_nudged)
            yield Chore("abandoned", ABANDONED_EVERY, self.fleet.led(self._take_abandoned))

    async def _take_abandoned(self) -> None:
        """Process callbacks that another process stored and did not live to process."""
        await self.rereader.take_all(until=self.clock.now() - ABANDONED_AFTER)

    async def drain(self, timeout_s: float | None = None) -> None:
        """Accept nothing more; let attempts under way end, give everything else back."""
        self._refuse(Draining())
        if self._claiming is not None:
            self._claiming.cancel()  # before anything is given back, which it would claim again
        self.dispatcher.stop_starting()
        await self.picking_up.stop()
        await self.processor.stop()
        await self.maintainer.stop()
        await self.tasks.stop()
        if self._claiming is not None:
            await asyncio.gather(self._claiming, return_exceptions=True)
        wait_s = self.settings.drain_timeout_s if timeout_s is None else timeout_s
        await self.dispatcher.drain(wait_s)
        await self.aftermath.settle()

    async def stop(self) -> None:
        """Close everything."""
        await self.discarder.settle()
        await self._leave()
        await self.sender.close()
        await self.database.close()

    async def _leave(self) -> None:
        try:
            await self.fleet.leave()
        except StoreUnavailable as error:  # then it counts as dead a little later
            observe("chore.postponed", chore="leave", error=str(error))

    async def _look_at_disk(self) -> None:
        await self.disk.look()
        if not isinstance(self.publisher.refusal, Draining):
            short = StoreUnavailable(
                "The disk is nearly full; nothing is accepted until there is room."
            )
            self._refuse(short if self.disk.is_short else None)

    async def _take_forgotten(self) -> None:
        """Fetch from the store what there was no room for in memory."""
        if self.processor.has_forgotten:
            self.processor.has_forgotten = False
            await self.rereader.take_all()

    def _refuse(self, refusal: Unavailable | None) -> None:
        self.publisher.refusal = self.receiver.refusal = refusal

    def _endpoint_removed(self, app_id: str, endpoint_id: str) -> None:
        self.dispatcher.forget(endpoint_id)
        self.discarder.removed(app_id, endpoint_id)

    async def _announce(self, event_type: str, payload: bytes) -> None:
        operational = Application(id=OPERATIONAL, name=OPERATIONAL)
        await self.publisher.publish(operational, Draft(event_type, payload))
