"""`tillbell listen`: a receiver on this machine that shows each message and checks its signature.

It makes an endpoint of the application for as long as it runs. The gateway must be allowed to send
to this machine, as `serve --dev` is.
"""

from __future__ import annotations

import asyncio
import contextlib
import urllib.parse
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any

from cyclopts import Parameter

from tillbell.cli.flags import RemoteFlags
from tillbell.cli.remote import api_of

if TYPE_CHECKING:
    from tillbell.cli.client import ApiClient
    from tillbell.testing.exchange import ReceiverExchange

BODY_SHOWN = 2_000  # characters


@Parameter(name="*")
@dataclass(frozen=True, kw_only=True)
class ListenOptions:
    """What to receive, and how to answer."""

    event_types: Annotated[tuple[str, ...], Parameter(negative="")] = ()
    """Only these, e.g. order.paid or order.*; default: all."""
    status: int = 200
    """The status that each message is answered with."""
    times: int = 0
    """End after so many messages; 0: when it is told to."""


def listen(
    app: str, *, options: ListenOptions | None = None, flags: RemoteFlags | None = None
) -> int:
    """Receive the messages of an application, and show each one, until Ctrl-C.

    Parameters
    ----------
    app
        Id or uid of the application.
    """
    options = options or ListenOptions()
    with contextlib.suppress(KeyboardInterrupt):
        return asyncio.run(_listen(api_of(flags), urllib.parse.quote(app, safe=""), options))
    return 0


async def _listen(api: ApiClient, app: str, options: ListenOptions) -> int:
    from tillbell.testing import Receiver

    shown = asyncio.Semaphore(0)
    secret = ""

    async def behave(exchange: ReceiverExchange) -> None:
        print(_shown(exchange, secret, options.status), flush=True)
        receiver.requests.clear()  # else they would be kept for as long as it runs
        await exchange.answer(options.status)
        shown.release()

    async with Receiver(behave) as receiver:
        body: dict[str, Any] = {"url": receiver.url("/"), "description": "tillbell listen"}
        if options.event_types:
            body["filterTypes"] = list(options.event_types)
        endpoint = await _call(lambda: api.call("POST", f"/app/{app}/endpoint", body))
        path = f"/app/{app}/endpoint/{endpoint['id']}"
        try:
            secret = (await _call(lambda: api.call("GET", f"{path}/secret")))["key"]
            print(f"{endpoint['id']} listens at {receiver.url('/')}; Ctrl-C ends it", flush=True)
            count = 0
            while not options.times or count < options.times:
                await shown.acquire()
                count += 1
        finally:
            api.call("DELETE", path)
    return 0


async def _call(call: Callable[[], Any]) -> Any:
    """Call the gateway on another thread, while the receiver answers."""
    return await asyncio.to_thread(call)


def _shown(exchange: ReceiverExchange, secret: str, status: int) -> str:
    from tillbell.verify import VerificationError, verify

    request = exchange.request
    headers = dict(request.headers)
    try:
        verify(request.body, headers, secret)
        proof = "signature verified"
    except VerificationError as error:
        proof = f"SIGNATURE WRONG: {error}"
    id_ = next((v for n, v in request.headers if n.lower() == "webhook-id"), "")
    text = request.body.decode("utf-8", "replace")
    return f"{id_}  {proof}  answered {status}\n  {text[:BODY_SHOWN]}"
