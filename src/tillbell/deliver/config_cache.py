"""The config cache: applications, endpoints, event types and keys in memory.

All changes of configuration go through it (record_changes.py), so that memory has what is stored,
and lanes use each change at once. Once an application has been used, reading needs no I/O: the hot
path asks here.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, NamedTuple

from tillbell.catalog import KNOWN
from tillbell.clock import Clock
from tillbell.deliver.application_views import ApplicationView, ApplicationViews
from tillbell.deliver.compiled_endpoint import Compile, CompiledEndpoint
from tillbell.deliver.record_changes import RecordChanges
from tillbell.ids import IdMaker
from tillbell.model.endpoints import Endpoint
from tillbell.model.records import ApiKey, Application, EventType, Record
from tillbell.rules.delivery.selectors import may_be_spelling, near_type
from tillbell.storage.ports.outbound import Registry

NEAR_TYPES_MAX = 1_000  # names that are remembered
OPERATIONAL = "operational"  # the scope of operational webhooks' endpoints


class Watcher(NamedTuple):
    """Another cache, of one kind of record: `cache` takes a record, `evict` the id of one."""

    cache: Callable[[Any], object]
    evict: Callable[[str], object]


class ConfigCache(RecordChanges):
    """Configuration in memory. Lives on one event loop.

    `on_endpoint_changed` is called with each endpoint that is stored, `on_endpoint_removed` with
    the ids of application and endpoint, `on_application_removed` with the application's id: of
    changes in this process and in others.
    """

    def __init__(
        self, registry: Registry, compile_: Compile, clock: Clock, ids: IdMaker | None = None
    ) -> None:
        super().__init__(registry, clock, ids or IdMaker())
        self._compile = compile_
        self._views = ApplicationViews()
        self._keys: dict[str, ApiKey] = {}  # by hash
        self._event_types: dict[str, EventType] = {}  # by name
        self._near_types: dict[str, str | None] = {}  # of names that are not registered
        self._watchers: dict[type[Record], Watcher] = {}
        self.on_endpoint_changed: Callable[[CompiledEndpoint], object] = lambda *_: None
        self.on_endpoint_removed: Callable[[str, str], object] = lambda *_: None
        self.on_application_removed: Callable[[str], object] = lambda *_: None

    def watch(self, kind: type[Record], watcher: Watcher) -> None:
        """Keep another cache of that kind of record up to date."""
        self._watchers[kind] = watcher

    async def load(self) -> None:
        """Read what every request may need: keys and event types."""
        for key in await self.read_all(ApiKey):
            self._keys[key.hash] = key
        for event_type in await self.read_all(EventType):
            self._event_types[event_type.uid or event_type.id] = event_type

    # ── reading ──────────────────────────────────────────────────────────────────────────────────

    def cached_view(self, id_or_uid: str) -> ApplicationView | None:
        """Return an application's view if it is in memory."""
        return self._views.get(id_or_uid)

    async def view(self, id_or_uid: str) -> ApplicationView | None:
        """Return an application's view; it is read from the store the first time."""
        view = self._views.get(id_or_uid)
        while view is None:
            before = self._changes
            application = await self._read_application(id_or_uid)
            if application is None:
                return None
            endpoints = await self.read_all(Endpoint, application.id)
            if before == self._changes:  # nothing has changed since it was read
                view = ApplicationView(application)
                for endpoint in endpoints:
                    view.put_endpoint(endpoint.id, self._compiled(endpoint))
                self._views.add(view)
        return view

    async def _read_application(self, id_or_uid: str) -> Application | None:
        if id_or_uid == OPERATIONAL:
            return Application(id=OPERATIONAL, name="operational webhooks")
        return await self._registry.get(Application, id_or_uid)

    async def application(self, id_or_uid: str) -> Application | None:
        """Return an application. The reserved one is none: it has routes of its own."""
        view = await self.view(id_or_uid) if id_or_uid != OPERATIONAL else None
        return view.application if view else None

    async def endpoint(self, app_id: str, id_or_uid: str) -> Endpoint | None:
        """Return an endpoint of an application, even if another process created it just now."""
        view = await self.view(app_id)
        if view is None:
            return None
        compiled = view.find_endpoint(id_or_uid)
        if compiled is None:
            scope = view.application.id
            stored = await self._registry.get(Endpoint, id_or_uid, scope)
            compiled = await self.reload_endpoint(scope, stored.id) if stored else None
        return compiled.endpoint if compiled else None

    async def endpoints(self, app_id: str) -> tuple[Endpoint, ...]:
        """Return all endpoints of an application."""
        view = await self.view(app_id)
        compiled_endpoints = view.compiled_endpoints.values() if view else ()
        return tuple(compiled.endpoint for compiled in compiled_endpoints)

    async def compiled_endpoint(self, app_id: str, endpoint_id: str) -> CompiledEndpoint | None:
        """Return an endpoint, compiled."""
        view = await self.view(app_id)
        return view.compiled_endpoints.get(endpoint_id) if view else None

    async def reload_endpoint(self, app_id: str, endpoint_id: str) -> CompiledEndpoint | None:
        """Return an endpoint as it is stored now, compiled; None if it was removed."""
        await self.refresh(Endpoint, app_id, endpoint_id)
        return await self.compiled_endpoint(app_id, endpoint_id)

    def known_event_types(self) -> frozenset[str]:
        """Return the names that selectors may use: registered ones and the catalogue's."""
        return KNOWN.union(self._event_types)

    def registered_event_types(self) -> Iterable[EventType]:
        """Return all registered event types."""
        return self._event_types.values()

    def near_type(self, name: str) -> str | None:
        """Return the type that an unregistered name is nearly, or None."""
        if name in KNOWN or name in self._event_types:
            return None
        if name not in self._near_types:
            if len(self._near_types) >= NEAR_TYPES_MAX:
                self._near_types.clear()
            self._near_types[name] = near_type(name, self.known_event_types())
        return self._near_types[name]

    def cached_event_type(self, name: str) -> EventType | None:
        """Return a registered event type."""
        return self._event_types.get(name)

    def cached_api_key(self, hash_hex: str) -> ApiKey | None:
        """Return a key by the hash of its text."""
        return self._keys.get(hash_hex)

    # ── what was stored or removed ───────────────────────────────────────────────────────────────

    async def remove(self, kind: type[Record], id_: str, scope: str = "") -> bool:
        """Delete a record; with an application all that is in it. False if it did not exist."""
        if kind is Application:
            await self.view(id_)  # so that each of its endpoints is reported as removed
        return await super().remove(kind, id_, scope)

    def _cache(self, record: Record) -> None:
        if isinstance(record, Endpoint):
            compiled = self._compiled(record)
            if view := self._views.by_id(record.scope):
                view.put_endpoint(record.id, compiled)
            self.on_endpoint_changed(compiled)
        elif isinstance(record, Application):
            self._views.replace_application(record)
        elif isinstance(record, ApiKey):
            self._forget_keys(lambda key: key.id == record.id)
            self._keys[record.hash] = record
        elif isinstance(record, EventType):
            name = record.uid or record.id
            is_new = name not in self._event_types
            self._event_types[name] = record
            if is_new:
                self._names_changed([name])
        elif watcher := self._watchers.get(type(record)):
            watcher.cache(record)

    def _evict(self, kind: type[Record], scope: str, id_: str) -> None:
        if kind is Endpoint:
            if view := self._views.by_id(scope):
                view.remove_endpoint(id_)
            self.on_endpoint_removed(scope, id_)
        elif kind is Application:
            self._evict_application(id_)
        elif kind is ApiKey:
            self._forget_keys(lambda key: key.id == id_)
        elif kind is EventType:
            names = [name for name, each in self._event_types.items() if each.id == id_]
            for name in names:
                del self._event_types[name]
            self._names_changed(names)
        elif watcher := self._watchers.get(kind):
            watcher.evict(id_)

    def _compiled(self, endpoint: Endpoint) -> CompiledEndpoint:
        return self._compile(endpoint, self.known_event_types())

    def _names_changed(self, names: list[str]) -> None:
        """Read selectors anew if a name that came or went may also be read as another type's."""
        self._near_types.clear()
        if not any(map(may_be_spelling, names)):
            return
        for view in self._views.all():
            for endpoint_id, compiled in list(view.compiled_endpoints.items()):
                if compiled.endpoint.selectors is not None:
                    view.put_endpoint(endpoint_id, self._compiled(compiled.endpoint))

    def _evict_application(self, app_id: str) -> None:
        view = self._views.by_id(app_id)
        self._views.remove(app_id)
        self._forget_keys(lambda key: key.app_id == app_id)
        for endpoint_id in view.compiled_endpoints if view else ():
            self.on_endpoint_removed(app_id, endpoint_id)
        self.on_application_removed(app_id)

    def _forget_keys(self, is_gone: Callable[[ApiKey], bool]) -> None:
        self._keys = {hash_: key for hash_, key in self._keys.items() if not is_gone(key)}
