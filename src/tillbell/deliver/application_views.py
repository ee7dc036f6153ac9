"""Applications in memory, with their endpoints compiled."""

from __future__ import annotations

from collections import OrderedDict

from tillbell.clock import Micros
from tillbell.deliver.compiled_endpoint import CompiledEndpoint
from tillbell.deliver.fanout import Route, routes_to
from tillbell.deliver.payload_routes import PayloadRouter, reads_payload
from tillbell.model.endpoints import ANY_PRODUCT
from tillbell.model.records import Application
from tillbell.rules.delivery.pace import interval_of, next_free

VIEWS_MAX = 10_000  # applications in memory
ROUTES_MAX = 1_000  # combinations of event type and channels cached per application


class ApplicationView:
    """One application with its endpoints compiled, and where its messages go."""

    __slots__ = (
        "_free_at",
        "_payload_router",
        "_routes",
        "application",
        "compiled_endpoints",
        "reads_payloads",
    )

    def __init__(self, application: Application) -> None:
        self.application = application
        self.compiled_endpoints: dict[str, CompiledEndpoint] = {}  # by id
        self.reads_payloads = False  # whether a payload may decide which endpoints get it
        self._payload_router: PayloadRouter | None = None
        self._free_at: Micros = 0  # the application's rate: the next attempt may start then
        self._routes: dict[tuple[str, tuple[str, ...]], tuple[Route, ...]] = {}

    def routes(self, event_type: str, channels: tuple[str, ...]) -> tuple[Route, ...]:
        """Return where a message goes, if its payload does not say otherwise.

        It is cached until an endpoint changes.
        """
        key = (event_type, channels)
        routes = self._routes.get(key)
        if routes is None:
            if len(self._routes) >= ROUTES_MAX:
                self._routes.clear()
            routes = routes_to(self.compiled_endpoints.values(), event_type, channels)
            self._routes[key] = routes
        return routes

    @property
    def payload_router(self) -> PayloadRouter:
        """What judges payloads for the endpoints of the application as they are now."""
        router = self._payload_router
        if router is None:
            products = (each.endpoint.product_id for each in self.compiled_endpoints.values())
            router = PayloadRouter(frozenset(p for p in products if p not in (None, ANY_PRODUCT)))
            self._payload_router = router
        return router

    def find_endpoint(self, id_or_uid: str) -> CompiledEndpoint | None:
        """Return an endpoint by its id, or else by its uid."""
        compiled = self.compiled_endpoints.get(id_or_uid)
        if compiled is not None:
            return compiled
        endpoints = self.compiled_endpoints.values()
        return next((each for each in endpoints if each.endpoint.uid == id_or_uid), None)

    def put_endpoint(self, endpoint_id: str, compiled: CompiledEndpoint) -> None:
        """Add an endpoint or replace it."""
        self.compiled_endpoints[endpoint_id] = compiled
        self._endpoints_changed()
        if reads_payload(compiled):
            self.reads_payloads = True

    def remove_endpoint(self, endpoint_id: str) -> None:
        """Remove an endpoint, if it is there."""
        self.compiled_endpoints.pop(endpoint_id, None)
        self._endpoints_changed()

    def _endpoints_changed(self) -> None:
        self._routes.clear()
        self._payload_router = None

    def try_pace(self, now: Micros) -> Micros:
        """Let one attempt of any endpoint pass if the application's rate allows it.

        Return 0 if it may start, else when to ask again.
        """
        rate = self.application.throttle_rate
        if not rate:
            return 0
        if self._free_at > now:
            return self._free_at
        self._free_at = next_free(self._free_at, now, interval_of(rate))
        return 0


class ApplicationViews:
    """The views of the applications used last, by id and uid."""

    def __init__(self) -> None:
        self._views: OrderedDict[str, ApplicationView] = OrderedDict()
        self._ids: dict[str, str] = {}  # by uid

    def get(self, id_or_uid: str) -> ApplicationView | None:
        """Return an application's view if it is in memory."""
        return self._views.get(self._ids.get(id_or_uid, id_or_uid))

    def by_id(self, app_id: str) -> ApplicationView | None:
        """Return an application's view by its id alone."""
        return self._views.get(app_id)

    def all(self) -> list[ApplicationView]:
        """Return all views that are in memory."""
        return list(self._views.values())

    def add(self, view: ApplicationView) -> None:
        """Add an application; the oldest one makes room for it."""
        application = view.application
        self._views[application.id] = view
        if application.uid is not None:
            self._ids[application.uid] = application.id
        if len(self._views) > VIEWS_MAX:
            self.remove(next(iter(self._views)))

    def replace_application(self, application: Application) -> None:
        """Use an application's new name, uid and limits, if it is in memory."""
        view = self._views.get(application.id)
        if view is not None:
            self._forget_uid(view.application)
            view.application = application
            if application.uid is not None:
                self._ids[application.uid] = application.id

    def remove(self, app_id: str) -> None:
        """Remove an application, if it is in memory."""
        view = self._views.pop(app_id, None)
        if view is not None:
            self._forget_uid(view.application)

    def _forget_uid(self, application: Application) -> None:
        if application.uid is not None:
            self._ids.pop(application.uid, None)
