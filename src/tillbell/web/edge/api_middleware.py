"""The gate of the API: what happens to every request, whatever its route. Bare ASGI.

In this order: API key, rate limit, use of the key, body, handler, headers of the answer. A request
without a valid key learns nothing, not even which paths exist.

There are two handlers: message creation (`publish_route.py`) and everything else
(`rest_route.py`). Each treats `Idempotency-Key` in its own way: the first stores the key in the
commit of the message, the other stores the answer.
"""

from __future__ import annotations

from tillbell.app import Gateway
from tillbell.errors import KeyExpired, TillbellError, Unauthenticated, UnsupportedEncoding
from tillbell.rules.proxies import networks
from tillbell.web.edge.asgi_types import (
    App,
    Headers,
    HttpAnswer,
    Receive,
    Scope,
    header,
    read_body,
)
from tillbell.web.edge.auth import PRINCIPAL, ApiRequest, Principal, authenticate
from tillbell.web.edge.limits import GuessLimit, RateLimit, address_of
from tillbell.web.edge.paths import is_upload, without_slash
from tillbell.web.edge.problems import render_problem
from tillbell.web.edge.publish_route import MessageCreate, is_message_create
from tillbell.web.edge.rest_route import RestApi

PUBLIC = frozenset({"/api/v1/health", "/api/v1/health/ping", "/api/v1/openapi.json"})
SECURITY_HEADERS = (
    (b"cache-control", b"no-store"),
    (b"x-content-type-options", b"nosniff"),
)


class ApiGate:
    """Serves the API. `rest` is the framework's application."""

    def __init__(self, rest: App, gateway: Gateway) -> None:
        settings = gateway.settings
        self._gateway = gateway
        self._body_bytes_max = settings.max_body_bytes
        self._limit = RateLimit(settings.api_rate_limit, gateway.clock)
        self._guesses = GuessLimit(gateway.clock)
        self._trusted = networks(settings.trusted_proxies)
        self._usage = gateway.key_usage
        self.create_message = MessageCreate(gateway)
        self._rest = RestApi(rest, gateway)

    async def __call__(self, scope: Scope, receive: Receive) -> HttpAnswer:
        """Return the answer to one request."""
        scope["path"] = without_slash(scope["path"])
        headers = list(SECURITY_HEADERS)
        try:
            answer = await self._answer(scope, receive, headers)
        except TillbellError as error:
            answer = render_problem(error)
        return answer.with_headers(headers)

    async def _answer(self, scope: Scope, receive: Receive, headers: Headers) -> HttpAnswer:
        """Return the answer; add to `headers` what the rate limit has to say."""
        if scope["path"] in PUBLIC:
            return await self._rest.answer_public(scope, receive)
        principal = self._authenticated(scope)
        scope[PRINCIPAL] = principal
        self._limit.take(principal.key.id, principal.key.rate_limit, headers)
        if self._usage.is_due(principal.key):
            await self._usage.record_use(principal.key)
        if header(scope, b"content-encoding") not in (None, b"", b"identity"):
            raise UnsupportedEncoding("The body is compressed: send it as it is.")
        is_stream = is_upload(scope["method"], scope["path"])
        body = b"" if is_stream else await read_body(scope, receive, self._body_bytes_max)
        return await self._handle(ApiRequest(scope, receive, principal, body))

    async def answer_for(self, request: ApiRequest) -> HttpAnswer:
        """Return the answer to a request of somebody who is known by other means than a key.

        A person who is signed in: what a page does is a call of the API, with all its checks.
        """
        request.scope[PRINCIPAL] = request.principal
        try:
            return await self._handle(request)
        except TillbellError as error:
            return render_problem(error)

    async def _handle(self, request: ApiRequest) -> HttpAnswer:
        handler = self.create_message if is_message_create(request.scope) else self._rest
        return await handler(request)

    def admit(self, authorization: bytes | None, body: bytes) -> Principal | None:
        """Return who asks; None if the request has to go through `__call__` to be let in."""
        if len(body) > self._body_bytes_max:
            return None
        principal = authenticate(self._gateway, authorization)
        key = principal.key
        is_limited = self._limit.applies(key.rate_limit)
        return None if is_limited or self._usage.is_due(key) else principal

    def _authenticated(self, scope: Scope) -> Principal:
        """Return who asks. `Unauthenticated`, and `TooMany` after many wrong keys."""
        authorization = header(scope, b"authorization")
        try:
            return authenticate(self._gateway, authorization)
        except KeyExpired:
            raise
        except Unauthenticated:
            if authorization is not None:
                self._guesses.count(address_of(scope, self._trusted))
            raise
