"""Message creation without ASGI, for requests that only have to wait for the commit.

Such a request has a valid key without a rate limit, a valid body, and an application that is in
memory. Nearly all are like that, and half of what they cost was the way through the server's and
our own layers. Everything else, and every refusal, is left to the ASGI application: it begins anew,
so no rule is written twice. From the hand-over to the store on there is no other way.

Callbacks take the place of a task: the store's future calls `_end`.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from functools import partial
from typing import Any

from tillbell.clock import Clock
from tillbell.errors import TillbellError
from tillbell.web.edge.api_middleware import SECURITY_HEADERS, ApiGate
from tillbell.web.edge.asgi_types import HttpAnswer, Scope
from tillbell.web.edge.auth import PRINCIPAL
from tillbell.web.edge.exchange import HttpExchange, request_id_of
from tillbell.web.edge.paths import APPLICATION, REQUEST_ID, ROUTE
from tillbell.web.edge.problems import name_request, render_problem
from tillbell.web.edge.publish_route import PATTERN, MessageRequest, PendingMessage
from tillbell.web.server.usual_requests import DirectRequest

_ERROR = 400


DirectAnswer = Callable[[HttpAnswer, bytes], object]  # takes an answer and the id of its request


class DirectMessages:
    """Answers the requests that it takes. One instance serves all."""

    def __init__(self, gate: ApiGate, exchange: HttpExchange, clock: Clock) -> None:
        self._gate = gate
        self._create = gate.create_message
        self._exchange = exchange
        self._clock = clock

    def begin(self, request: DirectRequest, answer: DirectAnswer) -> asyncio.Future[Any] | None:
        """Take a request: `answer` is called once the write that is returned has ended.

        None: it is not taken, and nothing has happened. The answer lacks the headers of its length
        and of the request id.
        If the write is cancelled, there is no answer.
        """
        started = self._clock.monotonic()
        fields = request.fields
        asked = MessageRequest(
            request.application, request.query, fields.get(b"idempotency-key"), request.body
        )
        try:
            principal = self._gate.admit(fields.get(b"authorization"), request.body)
            pending = self._create.begin(asked, principal) if principal is not None else None
        except Exception:  # noqa: BLE001 - the ASGI application meets it again, and says it
            return None
        if pending is None:
            return None
        scope = {
            "method": "POST",
            ROUTE: PATTERN,
            REQUEST_ID: request_id_of(fields.get(b"x-request-id")),
            PRINCIPAL: principal,
            APPLICATION: pending.app_id,
        }
        write = pending.submission.write
        write.add_done_callback(partial(self._end, pending, scope, started, answer))
        return write

    def _end(
        self,
        pending: PendingMessage,
        scope: Scope,
        started: float,
        answer: DirectAnswer,
        write: asyncio.Future[Any],
    ) -> None:
        if write.cancelled():
            pending.submission.abandon()
            return
        request_id = scope[REQUEST_ID]
        try:
            whole = self._create.conclude(pending).with_headers(SECURITY_HEADERS)
        except TillbellError as error:
            whole = render_problem(error).with_headers(SECURITY_HEADERS)
        except Exception as error:  # noqa: BLE001 - supervised: the caller must be answered
            whole = self._exchange.failed(scope, error)
        if whole.status >= _ERROR:
            whole = name_request(whole, request_id)
        answer(whole, request_id.encode())
        self._exchange.note(scope, whole, started, "POST")
