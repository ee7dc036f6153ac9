"""The whole of HTTP in: which part serves which path."""

from __future__ import annotations

from tillbell.app import Gateway
from tillbell.errors import NotFound, TillbellError
from tillbell.web import health, hot, inbound
from tillbell.web.api.cashier import PATH as CASHIER
from tillbell.web.auth import PRINCIPAL, authenticate_now
from tillbell.web.gate import Gate
from tillbell.web.limits import RateLimit
from tillbell.web.problems import render_problem
from tillbell.web.rest import make_rest
from tillbell.web.routes import BASE
from tillbell.web.usage import KeyUsage
from tillbell.web.wire import Answer, App, Receive, Scope, Send, header, send_answer


def build(gateway: Gateway, pages: App | None = None) -> App:
    """Build the application. `pages` serves everything that is neither API nor health."""
    if gateway.settings.role == "worker":
        return _only(health.Health(gateway))
    usage = KeyUsage(gateway.database, gateway.clock)
    limit = RateLimit(gateway.settings.api_rate_limit, gateway.clock)
    rest = Gate(make_rest(gateway, usage), gateway, limit, usage)
    create = Counted(hot.MessageCreate(gateway), gateway, limit, usage)
    callbacks = inbound.Inbound(gateway)
    state = health.Health(gateway)
    other = pages or _nothing

    async def serve(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await _other_protocol(scope, receive, send)
        elif hot.matches(scope):
            await create(scope, receive, send)
        elif inbound.matches(scope):
            await callbacks(scope, receive, send)
        elif scope["path"].startswith(f"{BASE}/") or scope["path"] == CASHIER:
            await rest(scope, receive, send)
        elif scope["path"] in health.PATHS:
            await state(scope, receive, send)
        else:
            await other(scope, receive, send)

    return serve


def _only(state: health.Health) -> App:
    """Serve a process that makes deliveries: how it is, and nothing else."""

    async def serve(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await _other_protocol(scope, receive, send)
        elif scope["path"] in health.PATHS:
            await state(scope, receive, send)
        else:
            await _nothing(scope, receive, send)

    return serve


class Counted:
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
    await send_answer(send, Answer(status, headers, body))


async def _nothing(scope: Scope, receive: Receive, send: Send) -> None:
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
