"""A real HTTP server on loopback that behaves well or badly, for tests of senders.

It records every request as it was received. The path decides how it answers
(`testing/behaviours.py` lists the paths), unless a behaviour was set for the path:

```python
async with Receiver() as receiver:
    receiver.on("/orders", flaky(503, 200))
    ...  # let something send to receiver.url("/orders")
    first = await receiver.request(0)
```
"""

from __future__ import annotations

import asyncio
import ssl
from typing import Self

from tillbell.clock import Clock, SystemClock
from tillbell.testing.behaviours import by_path
from tillbell.testing.exchange import Behaviour, ReceivedRequest, ReceiverExchange

_MAX_HEAD_BYTES = 256 * 1024


class Receiver:
    """The server, an async context manager. `port` is known after entering.

    `behave` answers paths without a behaviour of their own.
    """

    def __init__(
        self,
        behave: Behaviour | None = None,
        *,
        host: str = "127.0.0.1",
        port: int = 0,
        ssl_context: ssl.SSLContext | None = None,
        clock: Clock | None = None,
    ) -> None:
        self.requests: list[ReceivedRequest] = []
        self.connections = 0
        self.host, self.port = host, port
        self._behave: Behaviour = behave or by_path
        self._by_path: dict[str, Behaviour] = {}
        self._ssl = ssl_context
        self._clock = clock or SystemClock()
        self._counts: dict[str, int] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._arrived = asyncio.Condition()

    def url(self, path: str = "/ok") -> str:
        """Return the URL of a path."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{'https' if self._ssl else 'http'}://{host}:{self.port}{path}"

    def on(self, path: str, behaviour: Behaviour) -> None:
        """Set the behaviour of a path."""
        self._by_path[path] = behaviour

    def to(self, path: str) -> list[ReceivedRequest]:
        """Return the requests to a path, oldest first."""
        return [request for request in self.requests if request.path == path]

    async def wait_for(self, count: int) -> list[ReceivedRequest]:
        """Wait until this number of requests has come, and return them."""
        async with self._arrived:
            await self._arrived.wait_for(lambda: len(self.requests) >= count)
        return self.requests[:count]

    async def request(self, index: int) -> ReceivedRequest:
        """Wait for a request by index, from 0."""
        return (await self.wait_for(index + 1))[index]

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(
            self._connected, self.host, self.port, ssl=self._ssl, limit=_MAX_HEAD_BYTES, backlog=512
        )
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(self, *_: object) -> None:
        self._server.close()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self._server.wait_closed()

    def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        work = self._serve(reader, writer, self.connections)
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _serve(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, number: int
    ) -> None:
        try:
            while await self._serve_one(reader, writer, number):
                pass
        except (asyncio.IncompleteReadError, ConnectionError, ssl.SSLError, TimeoutError):
            pass  # the sender may close at any time
        finally:
            writer.transport.abort()

    async def _serve_one(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, number: int
    ) -> bool:
        head = await reader.readuntil(b"\r\n\r\n")
        method, path, headers = _parse(head)
        behaviour = self._by_path.get(path, self._behave)
        is_early = path.startswith("/early")  # answers before it reads the body
        length = int({k.lower(): v for k, v in headers}.get("content-length", "0"))
        body = b"" if is_early else await reader.readexactly(length)
        request = ReceivedRequest(self._clock.now(), method, path, headers, body, number, head)
        exchange = ReceiverExchange(request, self._counts.get(path, 0) + 1, writer)
        await self._record(request)
        await behaviour(exchange)
        return exchange.is_open

    async def _record(self, request: ReceivedRequest) -> None:
        self._counts[request.path] = self._counts.get(request.path, 0) + 1
        self.requests.append(request)
        async with self._arrived:
            self._arrived.notify_all()


def _parse(head: bytes) -> tuple[str, str, tuple[tuple[str, str], ...]]:
    first, *lines = head.decode("latin-1").split("\r\n")[:-2]
    method, path, _ = first.split(" ")
    pairs = (line.partition(":") for line in lines)
    return method, path, tuple((name, value.strip()) for name, _, value in pairs)
