"""The composition: builds all parts of a gateway and connects them. `runtime.py` runs it."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial

from tillbell.clock import Clock, SteeredClock, SystemClock
from tillbell.cluster.membership import Cluster
from tillbell.cluster.record_feed import ReadByAll, RecordFeed
from tillbell.cluster.wakeups import ClusterWakeups
from tillbell.config import Settings
from tillbell.configure.alerts import AlertSubscriptions
from tillbell.configure.api_keys import ApiKeys
from tillbell.configure.applications import Applications
from tillbell.configure.endpoints import EndpointDefaults, Endpoints
from tillbell.configure.event_types import EventTypes
from tillbell.configure.export_links import ExportLinks
from tillbell.configure.identity_provider import IdentityProvider
from tillbell.configure.inboxes import InboxSettings
from tillbell.configure.key_usage import KeyUsage
from tillbell.configure.parts import Parts
from tillbell.configure.passwords import Passwords
from tillbell.configure.people import People
from tillbell.configure.people_admin import PeopleAdmin
from tillbell.configure.reseal import Resealer
from tillbell.configure.retention import RetentionPeriods
from tillbell.configure.second_factor import SecondFactors
from tillbell.configure.sign_on import SignOns
from tillbell.configure.sources import SourceSettings
from tillbell.configure.webhooks import Webhooks
from tillbell.counters import Meters
from tillbell.deliver.audit import AuditWriter
from tillbell.deliver.claimer import Claimer
from tillbell.deliver.compiled_endpoint import EndpointCompiler
from tillbell.deliver.config_cache import OPERATIONAL, ConfigCache
from tillbell.deliver.dispatcher import Dispatcher, SendingLimits
from tillbell.deliver.endpoint_health import EndpointHealthMonitor
from tillbell.deliver.expunge import Expunger
from tillbell.deliver.fates import Fates
from tillbell.deliver.handshake import Handshake
from tillbell.deliver.hold import Hold
from tillbell.deliver.lanes import Lanes
from tillbell.deliver.leases import HeldLeases
from tillbell.deliver.problems import DeliveryProblems
from tillbell.deliver.publish import MessageDraft, Publisher
from tillbell.deliver.record_changes import CACHED
from tillbell.deliver.replay_plan import ReplayPlanner
from tillbell.deliver.resend import DeliveryResender
from tillbell.deliver.tasks import TaskRunner
from tillbell.http.address_policy import AddressPolicy
from tillbell.http.client import HttpClient
from tillbell.http.resolver import Resolver
from tillbell.ids import IdMaker
from tillbell.model.records import Application
from tillbell.process.decisions import Decisions
from tillbell.process.erased_copies import CopyPlaces
from tillbell.process.erasure import CustomerEraser
from tillbell.process.imports import Importer
from tillbell.process.manual.actions import ManualActions
from tillbell.process.manual.audited import AuditedDecisions
from tillbell.process.manual.conflicts import ConflictResolver
from tillbell.process.manual.resend import MessageResender
from tillbell.process.process import CallbackProcessor
from tillbell.process.provider_lookup import ProviderLookup
from tillbell.process.shop_records import ShopRecords
from tillbell.process.shop_shipments import ShopShipments
from tillbell.process.status_checks import StatusChecker
from tillbell.process.unmatched import UnmatchedCallbacks
from tillbell.providers import PROVIDERS
from tillbell.receive.inbox_cache import InboxCache
from tillbell.receive.inbox_news import InboxNews
from tillbell.receive.inbox_replay import InboxReplay
from tillbell.receive.inbox_requests import AnswerDelays, InboxIntake
from tillbell.receive.receive import CallbackReceiver
from tillbell.receive.reprocess import Reprocessor, StartupRecovery
from tillbell.receive.reprocess_many import BulkReprocessor
from tillbell.receive.source_cache import SourceCache
from tillbell.statistics.plots import Plots
from tillbell.storage.opening import is_shared, store_at
from tillbell.storage.ports.database import Database
from tillbell.upkeep.alerts import READ_TYPES, AlertSender
from tillbell.upkeep.chores import LongTransactionMonitor, RemovedEndpointDiscarder
from tillbell.upkeep.live import LiveHub
from tillbell.upkeep.renewals import UpcomingRenewals
from tillbell.upkeep.scheduled_exports import FOLDER as EXPORTS
from tillbell.upkeep.scheduled_exports import ScheduledExports
from tillbell.upkeep.statistics import Markers, UnstoredCallbacks
from tillbell.vault import Vault


class Gateway:
    """Everything, wired, and not running yet."""

    def __init__(self, settings: Settings, clock: Clock, database: Database, vault: Vault) -> None:
        self.settings = settings
        self.setting_origins: Mapping[str, str] = {}  # where each comes from, if that is known
        self.clock = clock
        self.database = database
        self.vault = vault
        self.ids = IdMaker()
        self.audit = AuditWriter(clock, self.ids)
        self.meters = Meters()
        self.cluster = Cluster(database, clock, self.ids, settings.role)
        self.policy = AddressPolicy(
            allow_cidrs=settings.allowed_cidrs, allow_http=settings.allows_http
        )
        self.config_cache = ConfigCache(
            database, EndpointCompiler(settings, vault, self.policy).compile, clock, self.ids
        )
        self._build_sending()
        self._build_publishing()
        self._build_receiving()
        self._build_inboxes()
        self._build_cluster()
        self._build_configuration()
        self._connect()

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
        return cls(settings, clock, database, Vault.from_settings(settings))

    def _build_sending(self) -> None:
        self.resolver = Resolver(servers=self.settings.dns_servers or None)
        self.http_client = HttpClient(self.policy, self.resolver, self.clock)
        self.handshake = Handshake(
            self.http_client,
            self.policy,
            self.settings.origin,
            self.settings.user_agent,
        )
        self.leases = HeldLeases(self.database, self.clock)
        self.lanes = Lanes(
            self.config_cache, self.clock, self.cluster.owns, self.settings.lane_window
        )
        self.dispatcher = Dispatcher(
            lanes=self.lanes,
            http_client=self.http_client,
            leases=self.leases,
            clock=self.clock,
            limits=SendingLimits(
                max_in_flight=self.settings.max_in_flight,
                body_memory=self.settings.body_memory_mb * 1024 * 1024,
                body_max=self.settings.max_body_bytes,
            ),
        )
        self.claimer = Claimer(
            database=self.database,
            lanes=self.lanes,
            dispatcher=self.dispatcher,
            leases=self.leases,
            clock=self.clock,
        )
        self.health_monitor = EndpointHealthMonitor(
            config_cache=self.config_cache,
            clock=self.clock,
            meters=self.meters,
            pause_after_days=self.settings.pause_after_days,
        )
        self.endpoint_discarder = RemovedEndpointDiscarder(self.database, self.clock)
        self.markers = Markers(self.database, self.clock, self.ids)
        self.plots = Plots(self.database, self.clock)

    def _build_publishing(self) -> None:
        self.delivery_problems = DeliveryProblems(
            self.database, self.config_cache, self.lanes, self.clock
        )
        self.publisher = Publisher(
            store=self.database,
            config_cache=self.config_cache,
            lanes=self.lanes,
            dispatcher=self.dispatcher,
            clock=self.clock,
            ids=self.ids,
            meters=self.meters,
        )
        self.tasks = TaskRunner(
            self.config_cache, self.clock, self.ids, lambda: self.cluster.is_leader
        )
        self.delivery_resender = DeliveryResender(
            database=self.database,
            config_cache=self.config_cache,
            lanes=self.lanes,
            tasks=self.tasks,
            clock=self.clock,
        )
        self.hold = Hold(
            config_cache=self.config_cache,
            dispatcher=self.dispatcher,
            claimer=self.claimer,
            http_client=self.http_client,
            clock=self.clock,
        )
        self.fates = Fates(
            database=self.database,
            config_cache=self.config_cache,
            lanes=self.lanes,
            hold=self.hold,
            clock=self.clock,
        )
        self.replay_planner = ReplayPlanner(self.database)
        self.expunger = Expunger(self.database, self.tasks, self.clock)

    def _build_receiving(self) -> None:
        self.source_cache = SourceCache(self.config_cache, self.vault, PROVIDERS)
        self.decisions = Decisions(
            database=self.database,
            config_cache=self.config_cache,
            publisher=self.publisher,
            clock=self.clock,
            ids=self.ids,
            meters=self.meters,
        )
        self.processor = CallbackProcessor(self.decisions, self.source_cache)
        self.provider_lookup = ProviderLookup(
            self.http_client, self.policy, self.settings.user_agent
        )
        self.status_checker = StatusChecker(self.decisions, self.source_cache, self.provider_lookup)
        self.unstored_callbacks = UnstoredCallbacks(self.database)
        self.receiver = CallbackReceiver(self.database, self.vault, self.ids, self.meters)
        self.reprocessor = Reprocessor(
            self.database, self.source_cache, self.vault, self.receiver, self.clock
        )
        self._build_shop()
        self.audited_decisions = AuditedDecisions(self.decisions, four_eyes=self.settings.four_eyes)
        self.manual_actions = ManualActions(self.decisions, self.audited_decisions)
        self.conflict_resolver = ConflictResolver(
            self.database, self.audited_decisions, self.reprocessor
        )
        self.message_resender = MessageResender(
            self.database, self.audited_decisions, self.config_cache, self.delivery_resender
        )
        self.bulk_reprocessor = BulkReprocessor(
            self.database, self.reprocessor, self.tasks, self.clock
        )
        self.unmatched_callbacks = UnmatchedCallbacks(self.database, self.reprocessor, self.clock)
        self.startup_recovery = StartupRecovery(self.reprocessor, self.clock)

    def _build_shop(self) -> None:
        self.shop_records = ShopRecords(self.decisions)
        self.shop_shipments = ShopShipments(self.decisions)
        self.importer = Importer(self.decisions, self.tasks, self.ids)
        self.upcoming_renewals = UpcomingRenewals(
            self.decisions, self.config_cache, self.clock, self.settings.upcoming_days
        )

    def _build_inboxes(self) -> None:
        self.inbox_cache = InboxCache(self.config_cache, self.vault)
        self.inbox_news = InboxNews(is_shared=self.cluster.is_shared)
        self.inbox_intake = InboxIntake(self.database, self.vault, self.inbox_news)
        self.answer_delays = AnswerDelays(self.clock)
        self.inbox_replay = InboxReplay(self.database, self.inbox_intake, self.receiver)

    def _build_cluster(self) -> None:
        self.read_by_all = ReadByAll(self.database, self.cluster.id)
        self.record_feed = RecordFeed(
            self.database,
            self.cluster.id,
            self.clock,
            {kind.__name__: partial(self.config_cache.refresh, kind) for kind in CACHED},
        )
        self.live = LiveHub(self.database, self.cluster, self.clock)
        self.wakeups = ClusterWakeups(
            record_feed=self.record_feed,
            lanes=self.lanes,
            dispatcher=self.dispatcher,
            claimer=self.claimer,
            clock=self.clock,
        )

        self.long_transactions = LongTransactionMonitor(self.database, self.meters)

    def _build_configuration(self) -> None:
        overlap_hours = self.settings.secret_overlap_hours
        parts = Parts(self.config_cache, self.clock, self.ids, self.vault, overlap_hours)
        self.applications = Applications(parts)
        self.event_types = EventTypes(parts)
        defaults = EndpointDefaults(self.settings.default_profile, self.settings.default_signature)
        self.endpoints = Endpoints(parts, self.policy, self.handshake, defaults)
        self.webhooks = Webhooks(self.endpoints, self.config_cache)
        self.source_settings = SourceSettings(parts, self.source_cache)
        self.inbox_settings = InboxSettings(parts, self.inbox_cache)
        self.api_keys = ApiKeys(parts, self.database)
        self.resealer = Resealer(self.database, self.config_cache, self.tasks, self.vault)
        self._build_people()
        self.retention = RetentionPeriods(self.config_cache, self.settings)
        self.export_links = ExportLinks(parts, self.database)
        self.scheduled_exports = ScheduledExports(
            self.database, self.config_cache, self.publisher, self.export_links, self.clock
        )
        self.scheduled_exports.folder = self.settings.data_dir / EXPORTS
        self.customer_eraser = CustomerEraser(
            self.decisions,
            self.tasks,
            self.vault,
            self.audit,
            CopyPlaces(self.inbox_intake, self.scheduled_exports.folder),
        )
        self.alerts = AlertSubscriptions(parts)
        self.alert_sender = AlertSender(
            database=self.database,
            config_cache=self.config_cache,
            clock=self.clock,
            settings=self.settings,
            meters=self.meters,
        )
        self.alert_sender.unsubscribe_token = self.alerts.unsubscribe_token
        # What people may be told of is published, if there is a mail server.
        self.health_monitor.read_types = READ_TYPES if self.alert_sender.is_set else frozenset()
        self.key_usage = KeyUsage(self.database, self.config_cache, self.clock)

    def _build_people(self) -> None:
        store, clock, ids = self.database, self.clock, self.ids
        has_passwords = self.settings.password_sign_in
        self.people = People(store, clock, ids, Passwords(), allows_passwords=has_passwords)
        self.second_factors = SecondFactors(store, clock, ids, self.vault)
        self.people_admin = PeopleAdmin(store, clock, ids, allows_passwords=has_passwords)
        self.sign_ons = self._sign_ons()

    def _sign_ons(self) -> SignOns | None:
        """Return the sign-in by an identity provider; None if the settings name none."""
        settings = self.settings
        if not settings.oidc_issuer:
            return None
        provider = IdentityProvider(settings, self.clock)
        return SignOns(provider, self.database, self.clock, self.ids, self.vault)

    # ── hooks ────────────────────────────────────────────────────────────────────────────────────

    def _connect(self) -> None:
        """Set every hook: who is called when something happens. No other place sets one."""
        # A delivery that waits in the store: of a new message, of another process, or to retry.
        self.lanes.on_due = self.claimer.consider
        # The body of a claim that was too long to wait in memory.
        self.dispatcher.read_body = self.database.body
        # A lane that may have room for more claims.
        self.dispatcher.on_claimable = self.claimer.consider
        # The result of an attempt, stored, whose delivery is to be tried again.
        self.leases.on_retry_stored = self.lanes.note_retry
        # The end of an attempt: judges the endpoint's health.
        self.dispatcher.on_attempt_ended = self.health_monitor.attempt_ended
        # A warning about an endpoint, for those who subscribed to operational webhooks.
        self.health_monitor.announce = self._publish_operational
        # A circuit breaker that opened or closed.
        self.health_monitor.on_circuit_moved = self.markers.circuit_moved

        # Configuration that this process stored: others are to have it before it is answered.
        self.config_cache.on_stored = self.read_by_all.wait
        # Configuration that changed, in this process or another.
        self.config_cache.on_endpoint_changed = self.dispatcher.endpoint_changed
        self.config_cache.on_endpoint_removed = self._endpoint_removed
        self.config_cache.on_application_removed = self._application_removed
        # An endpoint's health that begins anew.
        self.endpoints.on_new_health = self.lanes.restore_health
        # An endpoint that its owner changed, for those who subscribed to operational webhooks.
        self.endpoints.on_changed = self.health_monitor.endpoint_changed

        # A callback that was stored.
        self.receiver.processor = self.processor
        # A callback that is not stored, because there are too many.
        self.receiver.on_not_stored = self.unstored_callbacks.add
        # A decision that was committed: its transactions may be what callbacks wait for.
        self.decisions.on_committed = self.unmatched_callbacks.decision_committed

        # Other processes: they stored something; they came or went.
        self.database.on_notification = self.wakeups.notified
        self.wakeups.on_round = self.read_by_all.notified
        self.cluster.on_ownership_changed = self.wakeups.ownership_changed
        # A group commit, with its number of writes.
        self.database.on_commit = self._committed

    def _committed(self, writes: int) -> None:
        self.meters.batch(writes)
        self.live.committed(writes)

    def _endpoint_removed(self, app_id: str, endpoint_id: str) -> None:
        self.dispatcher.endpoint_removed(endpoint_id)
        self.endpoint_discarder.endpoint_removed(app_id, endpoint_id)

    def _application_removed(self, app_id: str) -> None:
        self.source_cache.application_removed(app_id)
        self.inbox_cache.application_removed(app_id)

    async def _publish_operational(self, event_type: str, payload: bytes) -> None:
        operational = Application(id=OPERATIONAL, name=OPERATIONAL)
        await self.publisher.publish(operational, MessageDraft(event_type, payload))
