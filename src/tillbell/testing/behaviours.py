"""Behaviours of a `Receiver`: correct, slow and hostile.

By default the path decides:

| path | behaviour |
| --- | --- |
| `/status/<n>` | that status; `/retry-after/<n>/<value>` adds the header |
| `/hang` | reads the request, never answers |
| `/drip-head`, `/drip-body` | one byte at a time, without end |
| `/endless` | a 200 whose body never ends, at full speed |
| `/reset`, `/reset-mid` | connection reset before any answer; after the head of a 200 |
| `/close` | answers, then closes; `/close-silently` closes without an answer |
| `/poison` | a second, unrequested answer |
| `/early…` | answers before it reads the body, then closes |
| `/redirect?<location>` | 302 |
| anything else | 200 |
"""

from __future__ import annotations

import asyncio

from tillbell.testing.exchange import Behaviour, ReceiverExchange

_OK_HEAD = b"HTTP/1.1 200 OK\r\n"


async def by_path(exchange: ReceiverExchange) -> None:
    """Behave as the path says (table of the module)."""
    path = exchange.request.path
    name = path.lstrip("/").split("/")[0].split("?")[0]
    if name == "status":
        await exchange.answer(int(path.split("/")[2]))
    elif name == "retry-after":
        _, _, status, value = path.split("/", 3)
        await exchange.answer(int(status), b"", f"Retry-After: {value}")
    elif name == "redirect":
        await exchange.answer(302, b"", f"Location: {path.partition('?')[2]}")
    elif name.startswith("early"):
        await early(exchange)
    else:
        await _NAMED.get(name, ok)(exchange)


async def ok(exchange: ReceiverExchange) -> None:
    """Answer 200."""
    await exchange.answer(200)


async def hang(_: ReceiverExchange) -> None:
    """Never answer."""
    await asyncio.Event().wait()


async def drip_head(exchange: ReceiverExchange) -> None:
    """Send the head of an answer byte by byte, without end."""
    await exchange.write(_OK_HEAD + b"X-Drip: ")
    await _drip(exchange)


async def drip_body(exchange: ReceiverExchange) -> None:
    """Send a body byte by byte, without end."""
    await exchange.write(_OK_HEAD + b"Content-Length: 1000000\r\n\r\n")
    await _drip(exchange)


async def _drip(exchange: ReceiverExchange) -> None:
    while exchange.is_open:
        await exchange.write(b"a")
        await asyncio.sleep(0.02)


async def endless(exchange: ReceiverExchange) -> None:
    """Send a body at full speed, without end."""
    await exchange.write(_OK_HEAD + b"Connection: close\r\n\r\n")
    while exchange.is_open:
        await exchange.write(b"x" * 65536)


async def reset(exchange: ReceiverExchange) -> None:
    """Reset the connection after the request was read."""
    exchange.reset()


async def reset_mid(exchange: ReceiverExchange) -> None:
    """Send the head and part of the body of a 200, then reset."""
    await exchange.write(_OK_HEAD + b"Content-Length: 100\r\n\r\npart")
    await asyncio.sleep(0.05)  # a reset would overtake bytes that are still on their way
    exchange.reset()


async def close(exchange: ReceiverExchange) -> None:
    """Answer 200 and close."""
    await exchange.answer(200, b"ok", "Connection: close")
    exchange.close()


async def close_silently(exchange: ReceiverExchange) -> None:
    """Close without an answer."""
    exchange.close()


async def poison(exchange: ReceiverExchange) -> None:
    """Answer 200 and send a second, unrequested answer."""
    second = b"HTTP/1.1 418 Poison\r\nContent-Length: 6\r\n\r\npoison"
    await exchange.write(_OK_HEAD + b"Content-Length: 2\r\n\r\nok" + second)


async def early(exchange: ReceiverExchange) -> None:
    """Answer 200 before the body is read, and close."""
    await exchange.answer(200, b"early", "Connection: close")
    exchange.close()


def raw(data: bytes, *, closes: bool = True) -> Behaviour:
    """Send exactly these bytes."""

    async def behave(exchange: ReceiverExchange) -> None:
        await exchange.write(data)
        if closes:
            exchange.close()

    return behave


def flaky(*statuses: int) -> Behaviour:
    """Answer with one status after the other; the last one repeats."""

    async def behave(exchange: ReceiverExchange) -> None:
        await exchange.answer(statuses[min(exchange.nth, len(statuses)) - 1])

    return behave


_NAMED: dict[str, Behaviour] = {
    "hang": hang,
    "drip-head": drip_head,
    "drip-body": drip_body,
    "endless": endless,
    "reset": reset,
    "reset-mid": reset_mid,
    "close": close,
    "close-silently": close_silently,
    "poison": poison,
}
