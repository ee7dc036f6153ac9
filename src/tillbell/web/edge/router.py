"""The whole of HTTP in: which part serves which path."""

from __future__ import annotations

from tillbell.app import Gateway
from tillbell.configure.key_usage import KeyUsage
from tillbell.errors import NotFound, TillbellError
from tillbell.web.edge import callback_route, health, publish_route
from tillbell.web.edge.api_middleware import ApiGate
from tillbell.web.edge.asgi_types import App, HttpAnswer, Receive, Scope, Send, header, send_answer
from tillbell.web.edge.auth import PRINCIPAL, authenticate_now
from tillbell.web.edge.limits import RateLimit
from tillbell.web.edge.paths import is_rest
from tillbell.web.edge.problems import render_problem
from tillbell.web.server.lazy_app import DeferredApp
from tillbell.web.server.shared_metrics import MetricsBoard


class WebApp:
    """Everything that is served. `pages` serves what is neither API nor callbacks nor health."""

    def __init__(self, gateway: Gateway, pages: App | None = None) -> None:
        usage = gateway.key_usage
        limit = RateLimit(gateway.settings.api_rate_limit, gateway.clock)
        self._rest = DeferredApp(lambda: _load_rest(gateway, usage))
        self._gate = ApiGate(self._rest, gateway, limit, usage)
        self._create = HotRouteGate(publish_route.MessageCreate(gateway), gateway, limit, usage)
        self._callbacks = callback_route.CallbackRoutes(gateway)
        self._health = health.HealthApp(gateway)
        self._pages = pages or _no_such_page

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        if scope["type"] != "http":
            await _other_protocol(scope, receive, send)
        elif publish_route.matches(scope):
            await self._create(scope, receive, send)
        elif callback_route.matches(scope):
            await self._callbacks(scope, receive, send)
        elif is_rest(scope["path"]):
            await self._gate(scope, receive, send)
        elif scope["path"] in health.PATHS:
            await self._health(scope, receive, send)
        else:
            await self._pages(scope, receive, send)

    async def load(self) -> None:
        """Load what was left for after the start."""
        await self._rest.load()

    @property
    def board(self) -> MetricsBoard:
        """Where processes of one port show their counters to each other."""
        return self._health.board


class WorkerApp:
    """What a process serves that makes deliveries: how it is, and nothing else."""

    def __init__(self, gateway: Gateway) -> None:
        self._health = health.HealthApp(gateway)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        if scope["type"] != "http":
            await _other_protocol(scope, receive, send)
        elif scope["path"] in health.PATHS:
            await self._health(scope, receive, send)
        else:
            await _no_such_page(scope, receive, send)

    async def load(self) -> None:
        """Load nothing: all is there."""

    @property
    def board(self) -> MetricsBoard:
        """See `WebApp.board`."""
        return self._health.board


def build(gateway: Gateway) -> WebApp | WorkerApp:
    """Build what this process serves, by its role."""
    return WorkerApp(gateway) if gateway.settings.role == "worker" else WebApp(gateway)


def _load_rest(gateway: Gateway, usage: KeyUsage) -> App:
    from tillbell.web.api.rest import make_rest

    return make_rest(gateway, usage)


class HotRouteGate:
    """Counts the requests of a route that has no gate, and notes the use of keys."""

    def __init__(self, app: App, gateway: Gateway, limit: RateLimit, usage: KeyUsage) -> None:
        self._app = app
        self._gateway = gateway
        self._limit = limit
        self._usage = usage

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        try:
            principal = authenticate_now(self._gateway, header(scope, b"authorization"))
            told = self._limit.take(principal.key.id) if self._limit.is_on else None
        except TillbellError as error:
            await _refuse(send, error)
            return
        scope[PRINCIPAL] = principal
        if self._usage.is_due(principal.key):
            await self._usage.note(principal.key)
        if not told:
            await self._app(scope, receive, send)
            return

        async def tell(event: Scope) -> None:
            if event["type"] == "http.response.start":
                event = {**event, "headers": [*event.get("headers", ()), *told]}
            await send(event)

        await self._app(scope, receive, tell)


async def _refuse(send: Send, error: TillbellError) -> None:
    status, body, headers = render_problem(error)
    await send_answer(send, HttpAnswer(status, headers, body))


async def _no_such_page(scope: Scope, receive: Receive, send: Send) -> None:
    del scope, receive
    await _refuse(send, NotFound("There is no such page."))


async def _other_protocol(scope: Scope, receive: Receive, send: Send) -> None:
    """Close WebSockets; let the server begin and end (the gateway is started by its owner)."""
    if scope["type"] == "websocket":
        await send({"type": "websocket.close", "code": 1000})
    while scope["type"] == "lifespan":
        event = await receive()
        await send({"type": f"{event['type']}.complete"})
        if event["type"] == "lifespan.shutdown":
            return
