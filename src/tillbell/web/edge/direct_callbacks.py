"""Callbacks without ASGI: the usual POST to a source that is known.

Everything else, and every refusal of the request itself, is left to the ASGI application: it begins
anew, so no rule is written twice. From the receiver on there is no other way.
"""

from __future__ import annotations

import asyncio
from functools import partial

from tillbell.clock import Clock
from tillbell.errors import TillbellError
from tillbell.web.edge.asgi_types import HttpAnswer, Scope, header
from tillbell.web.edge.callback_route import CallbackRoutes
from tillbell.web.edge.direct_messages import DirectAnswer
from tillbell.web.edge.exchange import HttpExchange, request_id_of
from tillbell.web.edge.paths import REQUEST_ID
from tillbell.web.edge.problems import name_request, render_problem
from tillbell.web.server.strict_requests import TARGET
from tillbell.web.server.usual_requests import DirectCallback

_ERROR = 400


class DirectCallbacks:
    """Answers the callbacks that it takes. One instance serves all."""

    def __init__(self, routes: CallbackRoutes, exchange: HttpExchange, clock: Clock) -> None:
        self._routes = routes
        self._exchange = exchange
        self._clock = clock

    def begin(
        self, request: DirectCallback, answer: DirectAnswer
    ) -> asyncio.Future[HttpAnswer] | None:
        """Take a callback: `answer` is called once it is stored, or refused.

        None: it is not taken, and nothing has happened. The answer lacks the headers of its length
        and of the request id. If the task that is returned is cancelled, there is no answer.
        """
        started = self._clock.monotonic()
        scope: Scope = {
            "method": "POST",
            "raw_path": request.path,
            "query_string": request.query,
            "headers": request.headers,
            "client": request.client,
            TARGET: request.target,
        }
        received = self._routes.begin(scope, request.body)
        if received is None:
            return None
        scope[REQUEST_ID] = request_id_of(header(scope, b"x-request-id"))
        task = asyncio.get_running_loop().create_task(received)
        task.add_done_callback(partial(self._end, scope, started, answer))
        return task

    def _end(
        self, scope: Scope, started: float, answer: DirectAnswer, task: asyncio.Task[HttpAnswer]
    ) -> None:
        if task.cancelled():
            return
        request_id = scope[REQUEST_ID]
        try:
            whole = task.result()
        except TillbellError as error:
            whole = render_problem(error)
        except Exception as error:  # noqa: BLE001 - supervised: the sender must be answered
            whole = self._exchange.failed(scope, error)
        if whole.status >= _ERROR:
            whole = name_request(whole, request_id)
        answer(whole, request_id.encode())
        self._exchange.note(scope, whole, started, "POST")
