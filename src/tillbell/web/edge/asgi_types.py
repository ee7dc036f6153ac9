"""Types of ASGI, reading of requests, and sending of answers."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable, Iterable, MutableMapping
from typing import Any, NamedTuple

from tillbell.errors import Malformed, TooLarge

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]


Headers = list[tuple[bytes, bytes]]


class HttpAnswer(NamedTuple):
    """A response. Header names are in lower case. `parts`: its body, made while it is sent."""

    status: int
    headers: Headers
    body: bytes
    parts: AsyncGenerator[bytes, None] | None = None

    def with_headers(self, more: Iterable[tuple[bytes, bytes]]) -> HttpAnswer:
        """Return the same response with more headers, after its own."""
        return HttpAnswer(self.status, [*self.headers, *more], self.body, self.parts)


Handler = Callable[[Scope, Receive], Awaitable[HttpAnswer]]  # a part that answers requests


def header(scope: Scope, name: bytes) -> bytes | None:
    """Return a request header's value, the first if there are several."""
    for key, value in scope["headers"]:  # a generator would take three times as long
        if key == name:
            return bytes(value)
    return None


async def send_answer(send: Send, answer: HttpAnswer, *, without_body: bool = False) -> None:
    """Send a whole response. Its length is worked out here, also if the body is left out (HEAD)."""
    headers = [h for h in answer.headers if h[0] != b"content-length"]
    if answer.status != 204:
        headers.append((b"content-length", b"%d" % len(answer.body)))
    await send({"type": "http.response.start", "status": answer.status, "headers": headers})
    await send({"type": "http.response.body", "body": b"" if without_body else answer.body})


async def stream_answer(
    send: Send, receive: Receive, answer: HttpAnswer, *, without_body: bool = False
) -> None:
    """Send a response in its parts. It ends when the client is gone, whatever follows."""
    parts = answer.parts
    assert parts is not None
    headers = [h for h in answer.headers if h[0] != b"content-length"]
    gone = asyncio.ensure_future(_disconnected(receive))
    try:
        await send({"type": "http.response.start", "status": answer.status, "headers": headers})
        while not without_body and (part := await _next_part(parts, gone)) is not None:
            await send({"type": "http.response.body", "body": part, "more_body": True})
        await send({"type": "http.response.body", "body": b""})
    finally:
        gone.cancel()
        await parts.aclose()


async def _next_part(
    parts: AsyncGenerator[bytes, None], gone: asyncio.Future[None]
) -> bytes | None:
    """Return the next part; None at the end, or when the client is gone."""
    part = asyncio.ensure_future(_part_of(parts))
    try:
        waiting: list[asyncio.Future[Any]] = [part, gone]
        await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
        return part.result() if part.done() else None
    finally:
        if not part.done():
            part.cancel()
            await asyncio.wait([part])


async def _part_of(parts: AsyncGenerator[bytes, None]) -> bytes | None:
    return await anext(parts, None)


async def _disconnected(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass


async def read_body(scope: Scope, receive: Receive, limit_bytes: int) -> bytes:
    """Read a request's body. `TooLarge` as soon as it is known to be too long.

    `Malformed` if the connection is closed before its end.
    """
    for name, value in scope["headers"]:
        if name == b"content-length" and value.isdigit() and int(value[:20]) > limit_bytes:
            raise TooLarge(f"The body may have at most {limit_bytes} bytes.")
    parts: list[bytes] = []
    length = 0
    has_more = True
    while has_more:
        event = await receive()
        if event["type"] == "http.disconnect":
            raise Malformed("The connection was closed before the whole body had arrived.")
        parts.append(event.get("body", b""))
        length += len(parts[-1])
        has_more = event.get("more_body", False)
        if length > limit_bytes:
            raise TooLarge(f"The body may have at most {limit_bytes} bytes.")
    return b"".join(parts)


def replay_body(body: bytes, receive: Receive) -> Receive:
    """Return a `receive` that gives a body already read, then whatever follows it."""
    is_replayed = False

    async def replay() -> MutableMapping[str, Any]:
        nonlocal is_replayed
        if is_replayed:
            return await receive()
        is_replayed = True
        return {"type": "http.request", "body": body, "more_body": False}

    return replay
