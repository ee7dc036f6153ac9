"""The directory: applications, endpoints, event types and keys, in memory.

A write-through view of the Registry. All changes of configuration go through it, so that what is
in memory is what is stored, and the lanes hear of each change. Reading is free of I/O once an
application has been used: the hot path asks here.

A change is a plain function of the record as it is stored, not of what is in memory, which
another process may have changed a moment ago. It is stored only over the version that it was made
from; if that has changed meanwhile the function is called again with what is there now. So of
two changes at the same time neither is lost, and what was removed does not come back.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from typing import Any, Generic, NamedTuple, TypeVar

import msgspec

from tillbell.catalog import KNOWN
from tillbell.clock import Clock, Micros
from tillbell.deliver.compiled_endpoint import Compile, CompiledEndpoint
from tillbell.deliver.fanout import Route, routes_to
from tillbell.errors import ConflictError, NotFound, VersionConflict
from tillbell.model.endpoints import Endpoint
from tillbell.model.records import ApiKey, Application, EventType, Record
from tillbell.model.sources import Source
from tillbell.rules.delivery.pace import next_free
from tillbell.storage.ports.outbound import Page, Registry

R = TypeVar("R", bound=Record)

OPERATIONAL = "operational"  # the scope of our own messages' endpoints
CACHED: tuple[type[Record], ...] = (Application, Endpoint, EventType, ApiKey, Source)
VIEWS_MAX = 10_000  # applications kept in memory
ROUTES_MAX = 1_000  # combinations of event type and channels kept per application
PAGE = 500
TRIES = 20  # of one change against others of the same record


class ChangedRecord(NamedTuple, Generic[R]):
    """A record as a change left it, and as it was before; None: the change made it."""

    record: R
    before: R | None


class Watcher(NamedTuple):
    """Who keeps records of one kind in memory: `show` a stored one, `hide` the one of that id."""

    show: Callable[[Any], object]
    hide: Callable[[str], object]


class ApplicationView:
    """One application with its endpoints compiled, and where its messages go."""

    __slots__ = ("_plans", "application", "compiled_endpoints", "free_at")

    def __init__(self, application: Application, lives: dict[str, CompiledEndpoint]) -> None:
        self.application = application
        self.compiled_endpoints = lives
        self.free_at: Micros = 0  # pace of all its endpoints together: the next may go then
        self._plans: dict[tuple[str, tuple[str, ...]], tuple[Route, ...]] = {}

    def routes(self, event_type: str, channels: tuple[str, ...]) -> tuple[Route, ...]:
        """Say where a message goes; remembered until an endpoint changes."""
        key = (event_type, channels)
        found = self._plans.get(key)
        if found is None:
            if len(self._plans) >= ROUTES_MAX:
                self._plans.clear()
            found = self._plans[key] = routes_to(
                self.compiled_endpoints.values(), event_type, channels
            )
        return found

    def try_pace(self, now: Micros) -> Micros:
        """Let one attempt of any endpoint pass if the application's rate allows it.

        Return 0 if it may start, else when to ask again.
        """
        rate = self.application.throttle_rate
        if not rate:
            return 0
        if self.free_at > now:
            return self.free_at
        self.free_at = next_free(self.free_at, now, rate)
        return 0

    def clear_routes(self) -> None:
        """Forget the plans."""
        self._plans.clear()


class ConfigCache:
    """See the module. Not for use from other threads than the event loop's."""

    def __init__(self, registry: Registry, compile_: Compile, clock: Clock) -> None:
        self._registry = registry
        self._compile = compile_
        self._clock = clock
        self._views: OrderedDict[str, ApplicationView] = OrderedDict()
        self._uids: dict[str, str] = {}
        self._keys: dict[str, ApiKey] = {}
        self._event_types: dict[str, EventType] = {}
        self._changes = 0
        self._refreshes = 0
        self._watchers: dict[type[Record], Watcher] = {}
        self.on_endpoint_changed: Callable[[CompiledEndpoint], object] = lambda *_: None
        self.on_endpoint_removed: Callable[[str, str], object] = lambda *_: None
        self.on_application_removed: Callable[[str], object] = lambda *_: None

    def watch(self, kind: type[Record], watcher: Watcher) -> None:
        """Show another kind's records to who keeps them in memory."""
        self._watchers[kind] = watcher

    async def load(self) -> None:
        """Read what every request may need: keys and event types."""
        for key in await self.read_all(ApiKey):
            self._keys[key.hash] = key
        for kind in await self.read_all(EventType):
            self._event_types[kind.uid or kind.id] = kind

    async def read_all(self, kind: type[R], scope: str | None = None) -> list[R]:
        """Read every record of a kind, page by page."""
        found: list[R] = []
        while True:
            after = found[-1].id if found else None
            page = Page(limit=PAGE, iterator=after, ascending=True)
            batch = await self._registry.list(kind, scope, page)
            found += batch
            if len(batch) < PAGE:
                return found

    # ── reading ──────────────────────────────────────────────────────────────────────────────────

    def cached_view(self, id_or_uid: str) -> ApplicationView | None:
        """Return an application's view if it is in memory."""
        return self._views.get(self._uids.get(id_or_uid, id_or_uid))

    async def view(self, id_or_uid: str) -> ApplicationView | None:
        """Return an application's view, read from the store the first time."""
        found = self.cached_view(id_or_uid)
        while found is None:
            before = self._changes
            application = await self._read_application(id_or_uid)
            if application is None:
                return None
            endpoints = await self.read_all(Endpoint, application.id)
            if before == self._changes:  # nothing changed while we read
                found = self._cache_view(application, endpoints)
        return found

    async def application(self, id_or_uid: str) -> Application | None:
        """Return an application."""
        view = await self.view(id_or_uid)
        return view.application if view else None

    async def endpoint(self, app_id: str, id_or_uid: str) -> Endpoint | None:
        """Return an endpoint of an application, even if another process made it just now."""
        view = await self.view(app_id)
        if view is None:
            return None
        live = _find_endpoint(view, id_or_uid)
        if live is None:
            scope = view.application.id
            stored = await self._registry.get(Endpoint, id_or_uid, scope)
            live = await self.reload_endpoint(scope, stored.id) if stored else None
        return live.endpoint if live else None

    async def endpoints(self, app_id: str) -> tuple[Endpoint, ...]:
        """Return all endpoints of an application."""
        view = await self.view(app_id)
        return tuple(live.endpoint for live in view.compiled_endpoints.values()) if view else ()

    async def compiled_endpoint(self, app_id: str, endpoint_id: str) -> CompiledEndpoint | None:
        """Return an endpoint, compiled."""
        view = await self.view(app_id)
        return view.compiled_endpoints.get(endpoint_id) if view else None

    async def known_event_types(self) -> frozenset[str]:
        """Return the names that selectors may use: registered ones and the catalogue's."""
        return KNOWN.union(self._event_types)

    async def event_type(self, name: str) -> EventType | None:
        """Return a registered event type."""
        return self._event_types.get(name)

    def cached_event_type(self, name: str) -> EventType | None:
        """Return a registered event type."""
        return self._event_types.get(name)

    def cached_api_key(self, hash_hex: str) -> ApiKey | None:
        """Return a key by the hash of its text."""
        return self._keys.get(hash_hex)

    # ── writing ──────────────────────────────────────────────────────────────────────────────────

    async def add(self, *records: Record) -> None:
        """Store new records, then show them.

        `Conflict` if a uid is taken, or one is there already; then nothing is stored.
        """
        await self._store(records, 0)

    async def change(
        self, kind: type[R], scope: str, id_or_uid: str, apply: Callable[[R], R]
    ) -> ChangedRecord[R]:
        """Change a record as it is stored, then show it. `NotFound` if it is not there.

        `apply` gets the stored record and returns it as it is to be: the same object if nothing
        is to change, and it may raise. It is called again when somebody else was faster.
        `Conflict` if the record's new uid is taken, or if it changes all the time.
        """

        def apply_to_present(present: R | None) -> R:
            if present is None:
                raise NotFound
            return apply(present)

        return await self.change_or_add(kind, scope, id_or_uid, apply_to_present)

    async def change_or_add(
        self, kind: type[R], scope: str, id_or_uid: str, apply: Callable[[R | None], R]
    ) -> ChangedRecord[R]:
        """Do the same with what may not be there yet: `apply` gets None and makes it."""
        for _ in range(TRIES):
            before = await self._registry.get(kind, id_or_uid, scope)
            after = apply(before)
            if after is before:
                return ChangedRecord(after, before)
            expected = 0
            if before is not None:
                expected, now = before.version, self._clock.now()
                after = msgspec.structs.replace(after, version=expected + 1, updated_at=now)
            try:
                await self._store((after,), expected)
            except VersionConflict:
                continue
            except ConflictError:
                if before is None and await self._registry.get(kind, id_or_uid, scope) is not None:
                    continue  # somebody else has just made it
                raise
            return ChangedRecord(after, before)
        raise ConflictError("It is changing all the time; try again.")

    async def _store(self, records: tuple[Record, ...], expected_version: int) -> None:
        before = self._refreshes
        await self._registry.put(*records, expected_version=expected_version)
        self._changes += 1
        for record in records:
            self._cache_endpoint(record)
        if before != self._refreshes:  # what was read anew meanwhile may have been newer
            for record in records:
                await self.refresh(type(record), record.scope, record.id)

    async def remove(self, kind: type[Record], id_: str, scope: str = "") -> bool:
        """Delete a record, then forget it; an application with all that is in it.

        False if it was not there.
        """
        gone = [e.id for e in await self.endpoints(id_)] if kind is Application else []
        removed = await self._registry.remove(kind, id_, scope)
        self._changes += 1
        self._evict_endpoint(kind, id_, scope)
        if kind is Endpoint:
            gone = [id_]
        for endpoint_id in gone:
            self.on_endpoint_removed(id_ if kind is Application else scope, endpoint_id)
        if kind is Application:
            self.on_application_removed(id_)
        return removed

    # ── what other processes wrote ───────────────────────────────────────────────────────────────

    async def refresh(self, kind: type[Record], scope: str, id_: str) -> None:
        """Show a record as it is stored now, or forget it."""
        record = await self._reread(kind, scope, id_)
        self._changes += 1
        self._refreshes += 1
        if record is not None:
            self._cache_endpoint(record)
            return
        gone = [id_] if kind is Endpoint else []
        if kind is Application and (view := self._views.get(id_)):
            gone = list(view.compiled_endpoints)
        self._evict_endpoint(kind, id_, scope)
        for endpoint_id in gone:
            self.on_endpoint_removed(id_ if kind is Application else scope, endpoint_id)
        if kind is Application:
            self.on_application_removed(id_)

    async def _reread(self, kind: type[R], scope: str, id_: str) -> R | None:
        """Read a record; once more if we changed something meanwhile, perhaps this very one."""
        while True:
            before = self._changes
            record = await self._registry.get(kind, id_, scope)
            if before == self._changes:
                return record

    async def reload_endpoint(self, app_id: str, endpoint_id: str) -> CompiledEndpoint | None:
        """Return an endpoint as it is stored now; one that is gone is forgotten everywhere."""
        await self.refresh(Endpoint, app_id, endpoint_id)
        return await self.compiled_endpoint(app_id, endpoint_id)

    def _cache_endpoint(self, record: Record) -> None:
        if isinstance(record, Endpoint):
            live = self._compile(record)
            view = self._views.get(record.scope)
            if view is not None:
                view.compiled_endpoints[record.id] = live
                view.clear_routes()
            self.on_endpoint_changed(live)
        elif isinstance(record, Application):
            view = self._views.get(record.id)
            if view is not None:
                self._forget_uid(view.application)
                view.application = record
                self._remember_uid(record)
        elif isinstance(record, ApiKey):
            self._keys = {h: k for h, k in self._keys.items() if k.id != record.id}
            self._keys[record.hash] = record
        elif isinstance(record, EventType):
            self._event_types[record.uid or record.id] = record
        elif (watcher := self._watchers.get(type(record))) is not None:
            watcher.show(record)

    def _evict_endpoint(self, kind: type[Record], id_: str, scope: str) -> None:
        if kind is Endpoint and (view := self._views.get(scope)):
            view.compiled_endpoints.pop(id_, None)
            view.clear_routes()
        elif kind is Application and (view := self._views.pop(id_, None)):
            self._forget_uid(view.application)
            self._keys = {h: k for h, k in self._keys.items() if k.app_id != id_}
        elif kind is ApiKey:
            self._keys = {h: k for h, k in self._keys.items() if k.id != id_}
        elif kind is EventType:
            self._event_types = {n: e for n, e in self._event_types.items() if e.id != id_}
        elif (watcher := self._watchers.get(kind)) is not None:
            watcher.hide(id_)

    async def _read_application(self, id_or_uid: str) -> Application | None:
        if id_or_uid == OPERATIONAL:
            return Application(id=OPERATIONAL, name="operational webhooks")
        return await self._registry.get(Application, id_or_uid)

    def _cache_view(self, application: Application, endpoints: list[Endpoint]) -> ApplicationView:
        view = ApplicationView(application, {e.id: self._compile(e) for e in endpoints})
        self._views[application.id] = view
        self._remember_uid(application)
        if len(self._views) > VIEWS_MAX:
            _, oldest = self._views.popitem(last=False)
            self._forget_uid(oldest.application)
        return view

    def _remember_uid(self, application: Application) -> None:
        if application.uid is not None:
            self._uids[application.uid] = application.id

    def _forget_uid(self, application: Application) -> None:
        if application.uid is not None:
            self._uids.pop(application.uid, None)


def _find_endpoint(view: ApplicationView, id_or_uid: str) -> CompiledEndpoint | None:
    found = view.compiled_endpoints.get(id_or_uid)
    if found is None:
        found = next(
            (v for v in view.compiled_endpoints.values() if v.endpoint.uid == id_or_uid), None
        )
    return found
