"""The route of inboxes, as bare ASGI: `/inbox/<token>` and everything below it, with any method.

A request is stored before it is answered. The answer is what the owner of the inbox chose, and
nothing else follows. It comes from the address of our pages, so browsers are told to run nothing
of it.
"""

from __future__ import annotations

import re

from tillbell.app import Gateway
from tillbell.configure.inbox_checks import NO_BODY
from tillbell.errors import NotFound, TooMany
from tillbell.model.inboxes import Inbox
from tillbell.receive.inbox_cache import INBOX_PATH
from tillbell.receive.inbox_requests import InboxHead
from tillbell.rules.proxies import client_address, is_in, networks
from tillbell.web.edge.asgi_types import Headers, HttpAnswer, Receive, Scope, read_body
from tillbell.web.edge.limits import RateLimit
from tillbell.web.edge.paths import APPLICATION, AS_CHOSEN, ROUTE
from tillbell.web.server.strict_requests import LINES, TARGET

REQUESTS_A_SECOND = 50  # of one inbox, in each process
_URL = re.compile(rb"/inbox/([A-Za-z0-9_-]{32})(?:/.*)?", re.DOTALL)
_ROUTE = f"{INBOX_PATH}{{token}}"
_HEADERS: Headers = [
    (b"cache-control", b"no-store"),
    (b"content-security-policy", b"default-src 'none'; sandbox"),
    (b"x-content-type-options", b"nosniff"),
]


def is_inbox(path: str) -> bool:
    """Tell whether a path is that of an inbox."""
    return path.startswith(INBOX_PATH)


class InboxRoutes:
    """The route. One instance serves all requests."""

    def __init__(self, gateway: Gateway) -> None:
        self._gateway = gateway
        self._body_max = gateway.settings.max_body_bytes
        self._trusted = networks(gateway.settings.trusted_proxies)
        self._limit = RateLimit(REQUESTS_A_SECOND, gateway.clock)

    async def __call__(self, scope: Scope, receive: Receive) -> HttpAnswer:
        """Store one request; return the answer that the owner of the inbox chose."""
        scope[ROUTE] = _ROUTE
        gateway = self._gateway
        inbox = self._find(scope)
        if inbox is None:
            raise NotFound("There is no such inbox.")
        scope[APPLICATION] = inbox.scope or None
        if gateway.receiver.refusal is not None:
            raise gateway.receiver.refusal
        self._count(inbox)
        body = await read_body(scope, receive, self._body_max)
        now = gateway.clock.now()
        stored = await gateway.inbox_intake.store(
            inbox, scope["method"], self._head(scope), body, now
        )
        if stored is None:
            raise NotFound("There is no such inbox.")
        del body  # it may be long, and the answer may wait
        is_delayed = await gateway.answer_delays.wait(inbox)
        scope[AS_CHOSEN] = True
        return _answer(inbox, is_delayed=is_delayed)

    def _find(self, scope: Scope) -> Inbox | None:
        match = _URL.fullmatch(scope["raw_path"])
        if match is None:
            return None
        return self._gateway.inbox_cache.by_token(match[1].decode(), self._gateway.clock.now())

    def _count(self, inbox: Inbox) -> None:
        try:
            self._limit.take(inbox.id)
        except TooMany as error:
            raise TooMany(
                f"This inbox takes {REQUESTS_A_SECOND} requests a second; nothing was stored."
            ) from error

    def _head(self, scope: Scope) -> InboxHead:
        lines = scope.get(LINES) or scope["headers"]
        client = scope.get("client")
        forwarded = [
            value.decode("latin-1")
            for name, value in scope["headers"]
            if name == b"x-forwarded-for"
        ]
        return InboxHead(
            target=_target(scope),
            headers=tuple((bytes(name), bytes(value)) for name, value in lines),
            address=client_address(client[0], forwarded, self._trusted) if client else "",
            is_proxied=is_in(client[0], self._trusted) if client else False,
        )


def _target(scope: Scope) -> bytes:
    """Return the target as it was sent, without the origin that some clients write before it."""
    target: bytes = scope.get(TARGET, b"")
    if target.startswith(b"/"):
        return target
    query: bytes = scope["query_string"]
    path: bytes = scope["raw_path"]
    return path + (b"?" + query if query else b"")


def _answer(inbox: Inbox, *, is_delayed: bool) -> HttpAnswer:
    headers = list(_HEADERS)
    if not is_delayed:  # too many answers of inboxes wait
        headers.append((b"x-inbox-delay", b"skipped"))
    if inbox.answer_status not in NO_BODY:
        headers.append((b"content-type", inbox.answer_content_type.encode("latin-1")))
    headers += [
        (name.lower().encode("latin-1"), value.encode("latin-1"))
        for name, value in inbox.answer_headers
    ]
    return HttpAnswer(inbox.answer_status, headers, inbox.answer_body.encode("utf-8"))
