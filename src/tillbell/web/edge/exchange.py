"""One request and its answer: what every answer has, whichever part gave it.

- `X-Request-Id`: that of the request if it is a sane one, else a new one. Errors have it in their
  body, the access log in its line, and a bug's log event beside its traceback.
- HEAD is GET without the body, on every path of the API.
- CORS, if a setting allows it (`cors.py`).
- A bug is answered 500, logged as `request.error` and counted.
"""

from __future__ import annotations

import re
from collections.abc import Callable

from tillbell.app import Gateway
from tillbell.errors import TillbellError
from tillbell.ids import new_request_id
from tillbell.logs import log_event
from tillbell.web.edge.access_log import AccessLog, route_of
from tillbell.web.edge.asgi_types import (
    Handler,
    HttpAnswer,
    Receive,
    Scope,
    Send,
    header,
    send_answer,
    stream_answer,
)
from tillbell.web.edge.cors import CorsRules
from tillbell.web.edge.paths import AS_CHOSEN, REQUEST_ID, is_api
from tillbell.web.edge.problems import INTERNAL, name_request, render_problem

_ERROR = 400
_METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})
_SANE = re.compile(rb"[A-Za-z0-9_.:+/=-]{1,128}")


class HttpExchange:
    """Serves the requests of a process. `find` returns the part that answers a path."""

    def __init__(self, gateway: Gateway, find: Callable[[str], Handler]) -> None:
        self._find = find
        self._meters = gateway.meters
        self._cors = CorsRules(gateway.settings.cors_origins)
        self._clock = gateway.clock
        self._log = AccessLog(gateway.settings.access_log)
        self.has_cors = self._cors.is_on

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        started = self._clock.monotonic()
        is_head = scope["method"] == "HEAD"
        path = scope["path"]
        if is_head and is_api(path):
            scope = {**scope, "method": "GET"}  # a copy: the server reads its own
        scope[REQUEST_ID] = request_id = request_id_of(header(scope, b"x-request-id"))
        more_headers = [(b"x-request-id", request_id.encode())]
        answer = None
        if self._cors.is_on and is_api(path):
            more_headers += self._cors.headers(scope)
            answer = self._cors.preflight(scope)
        if answer is None:
            answer = await self._answer(scope, receive)
        if answer.status >= _ERROR and AS_CHOSEN not in scope:
            answer = name_request(answer, request_id)
        named = answer.with_headers(more_headers)
        if named.parts is None:
            await send_answer(send, named, without_body=is_head)
        else:
            await self._stream(scope, receive, send, named, is_head=is_head)
        self.note(scope, answer, started, "HEAD" if is_head else scope["method"])

    async def _answer(self, scope: Scope, receive: Receive) -> HttpAnswer:
        """Return the answer of the part that serves the path, or an error as an answer."""
        try:
            return await self._find(scope["path"])(scope, receive)
        except TillbellError as error:
            return render_problem(error)
        except Exception as error:  # noqa: BLE001 - supervised: the caller must be answered
            return self.failed(scope, error)

    async def _stream(
        self, scope: Scope, receive: Receive, send: Send, answer: HttpAnswer, *, is_head: bool
    ) -> None:
        """Send an answer in parts. After a bug it ends where it is, and the client sees that."""
        try:
            await stream_answer(send, receive, answer, without_body=is_head)
        except Exception as error:  # noqa: BLE001 - supervised: the server closes the connection
            self.failed(scope, error)

    def failed(self, scope: Scope, error: Exception) -> HttpAnswer:
        """Return the answer to a request that met a bug, which is logged and counted."""
        log_event(
            "request.error",
            error,
            request_id=scope[REQUEST_ID],
            method=scope["method"],
            route=route_of(scope),
        )
        self._meters.request_failed()
        return INTERNAL

    def note(self, scope: Scope, answer: HttpAnswer, started: float, method: str) -> None:
        """Count a request that is answered, and write it to the access log."""
        took_s = self._clock.monotonic() - started
        self._meters.request(_known(method), route_of(scope) or "none", answer.status, took_s)
        self._log.write(scope, answer, took_s, method)


def _known(method: str) -> str:
    """Return a method of HTTP; callers may invent others, each of which would be a series."""
    return method if method in _METHODS else "other"


def request_id_of(own: bytes | None) -> str:
    """Return the request's own id if it is 1 to 128 harmless characters, else a new one."""
    if own is not None and _SANE.fullmatch(own):
        return own.decode()
    return new_request_id()
