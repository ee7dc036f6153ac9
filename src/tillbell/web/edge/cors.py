"""CORS: which pages of other origins may call the API from a browser. Off unless a setting is set.

An API key is sent by the page itself, never by the browser alone, so no answer allows credentials
and `*` is safe. Every answer of the API has the headers, errors too: else a page cannot read why.
"""

from __future__ import annotations

import re

from tillbell.web.edge.asgi_types import Headers, HttpAnswer, Scope, header

EXPOSED = (
    b"x-request-id, retry-after, ratelimit, ratelimit-policy, idempotent-replayed, allow, location"
)
_METHODS = b"GET, HEAD, POST, PUT, PATCH, DELETE"
_NAMES = re.compile(rb"[A-Za-z0-9_-]{1,64}(?: ?, ?[A-Za-z0-9_-]{1,64}){0,63}")
_DAY_S = b"86400"


class CorsRules:
    """The origins that may call the API: exact ones, or `*` for all. None: CORS is off."""

    def __init__(self, origins: tuple[str, ...]) -> None:
        self._origins = frozenset(origin.encode() for origin in origins)
        self._is_open = b"*" in self._origins
        self.is_on = bool(origins)

    def preflight(self, scope: Scope) -> HttpAnswer | None:
        """Return the answer to a browser's question before its request; None for anything else."""
        if scope["method"] != "OPTIONS" or header(scope, b"access-control-request-method") is None:
            return None
        headers: Headers = [
            (b"access-control-allow-methods", _METHODS),
            (b"access-control-max-age", _DAY_S),
        ]
        names = header(scope, b"access-control-request-headers")
        if names is not None and _NAMES.fullmatch(names):
            headers.append((b"access-control-allow-headers", names))
        return HttpAnswer(204, headers, b"")

    def headers(self, scope: Scope) -> Headers:
        """Return the headers of every answer of the API."""
        if self._is_open:
            allowed = b"*"
        else:
            allowed = header(scope, b"origin") or b""
            if allowed not in self._origins:
                return [(b"vary", b"origin")]
        headers = [
            (b"access-control-allow-origin", allowed),
            (b"access-control-expose-headers", EXPOSED),
        ]
        return headers if self._is_open else [*headers, (b"vary", b"origin")]
