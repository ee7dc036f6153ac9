"""The router: which part serves which path."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from functools import partial
from typing import Any

from tillbell.app import Gateway
from tillbell.errors import NotFound
from tillbell.model.exports import ExportLink, ExportSchedule
from tillbell.rules.filters.clauses import FilterList
from tillbell.web.edge.api_middleware import ApiGate
from tillbell.web.edge.asgi_types import App, Handler, HttpAnswer, Receive, Scope, Send
from tillbell.web.edge.callback_route import CallbackRoutes, is_callback
from tillbell.web.edge.direct_callbacks import DirectCallbacks
from tillbell.web.edge.direct_messages import DirectAnswer, DirectMessages
from tillbell.web.edge.exchange import HttpExchange
from tillbell.web.edge.export_link_route import ExportLinkRoute
from tillbell.web.edge.health import PATHS, HealthApp
from tillbell.web.edge.inbox_route import InboxRoutes, is_inbox
from tillbell.web.edge.page_route import PageRoute
from tillbell.web.edge.paths import EXPORT_LINK, is_api, is_ingest
from tillbell.web.edge.static_files import is_static, show_static_file
from tillbell.web.pages.docs_page import is_docs, show_docs
from tillbell.web.server.lazy_app import DeferredApp
from tillbell.web.server.shared_metrics import MetricsBoard
from tillbell.web.server.usual_requests import DirectCallback, DirectRequest


class WebApp:
    """What a process serves that has the API."""

    def __init__(self, gateway: Gateway) -> None:
        self._rest = DeferredApp(lambda: _load_rest(gateway))
        self._gateway = gateway
        self._api = ApiGate(self._rest, gateway)
        self._deferred_pages = DeferredApp(lambda: _load_pages(gateway, self._api))
        self._pages = PageRoute(self._deferred_pages)
        self._callbacks = CallbackRoutes(gateway)
        self._inboxes = InboxRoutes(gateway)
        self._export_links = ExportLinkRoute(gateway)
        self._health = HealthApp(gateway)
        self._exchange = HttpExchange(gateway, self._find)
        self._direct_messages = DirectMessages(self._api, self._exchange, gateway.clock)
        self._direct_callbacks = DirectCallbacks(self._callbacks, self._exchange, gateway.clock)
        self.direct = None if self._exchange.has_cors else self._begin

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        if scope["type"] == "http":
            await self._exchange(scope, receive, send)
        else:
            await _other_protocol(scope, receive, send)

    def end_streams(self) -> None:
        """End what is answered only after a while: the process stops."""
        self._gateway.live.stop()
        self._gateway.inbox_news.stop()
        self._gateway.answer_delays.stop()

    def _begin(
        self, request: DirectRequest | DirectCallback, answer: DirectAnswer
    ) -> asyncio.Future[Any] | None:
        """Let the part that serves a request answer it without ASGI, if it takes it."""
        if isinstance(request, DirectCallback):
            return self._direct_callbacks.begin(request, answer)
        return self._direct_messages.begin(request, answer)

    def _find(self, path: str) -> Handler:
        """Return the part that answers requests to a path."""
        if is_api(path):
            return self._api
        if is_callback(path):
            return self._callbacks
        if is_inbox(path):
            return self._inboxes
        if path in PATHS:
            return self._health
        if path.startswith(EXPORT_LINK):
            return self._export_links
        if is_docs(path):
            return show_docs
        if is_ingest(path):
            return _no_ingest
        return show_static_file if is_static(path) else self._pages

    async def wait_loaded(self) -> None:
        """Wait until the REST framework was needed, and loaded."""
        await self._rest.wait_made()

    @property
    def board(self) -> MetricsBoard:
        """The counters that processes of one port share."""
        return self._health.board


class WorkerApp:
    """What a worker serves: its health and metrics only."""

    def __init__(self, gateway: Gateway) -> None:
        self._health = HealthApp(gateway)
        self._exchange = HttpExchange(gateway, self._find)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        if scope["type"] == "http":
            await self._exchange(scope, receive, send)
        else:
            await _other_protocol(scope, receive, send)

    def _find(self, path: str) -> Handler:
        return self._health if path in PATHS else _no_such_page

    async def wait_loaded(self) -> None:
        """Wait for ever: a worker has no REST framework."""
        await asyncio.Event().wait()

    @property
    def board(self) -> MetricsBoard:
        """The counters that processes of one port share."""
        return self._health.board


def build(gateway: Gateway) -> WebApp | WorkerApp:
    """Build the ASGI application of this process, by its role."""
    gateway.scheduled_exports.rows = partial(_scheduled_rows, gateway)
    gateway.scheduled_exports.url = partial(_link_url, gateway)
    return WorkerApp(gateway) if gateway.settings.role == "worker" else WebApp(gateway)


async def _scheduled_rows(
    gateway: Gateway, schedule: ExportSchedule
) -> AsyncGenerator[bytes, None]:
    """Return the rows of a scheduled export."""
    from tillbell.web.api.exported_rows import Export, ExportFormat, begin_export

    list_, format_ = FilterList(schedule.kind), ExportFormat(schedule.format)
    export = Export(list_, format_, schedule.filter or None, schedule.has_mark)
    return await begin_export(gateway, schedule.scope, export)


def _link_url(gateway: Gateway, link: ExportLink, token: str) -> str:
    from tillbell.web.api.export_links import link_url

    return link_url(gateway, link, token)


def _load_rest(gateway: Gateway) -> App:
    from tillbell.web.api.rest import make_rest

    return make_rest(gateway)


def _load_pages(gateway: Gateway, api: ApiGate) -> App:
    from tillbell.web.pages.site import make_pages

    return make_pages(gateway, api)


async def _no_ingest(_: Scope, __: Receive) -> HttpAnswer:
    raise NotFound(
        "Tillbell does not have the ingest API of Svix. Callbacks of providers come to sources:"
        " POST /api/v1/app/{app_id}/source makes one, and answers with the URL to enter at the"
        " provider. docs/svix.md compares the two."
    )


async def _no_such_page(_: Scope, __: Receive) -> HttpAnswer:
    raise NotFound("There is no such page.")


async def _other_protocol(scope: Scope, receive: Receive, send: Send) -> None:
    """Close WebSockets; confirm the server's start and end, which are not ours to act on."""
    if scope["type"] == "websocket":
        await send({"type": "websocket.close", "code": 1000})
    while scope["type"] == "lifespan":
        event = await receive()
        await send({"type": f"{event['type']}.complete"})
        if event["type"] == "lifespan.shutdown":
            return
