"""Pages that stay open, as browsers keep them: `python -m bench.dashboard.watch '<WatchPlan>'`.

Each opens Home, listens to its stream, and asks for the newest rows when something happens, at most
once in five seconds, as the page's script does. It says `{"open": N}` when all listen, and what was
heard when its input is closed.
"""

from __future__ import annotations

import asyncio
import html
import json
import re
import sys
import time
from dataclasses import asdict, dataclass

import uvloop

TAIL_EVERY_S = 5.0  # `throttle` in home.html
_STREAM = re.compile(r'data-live="([^"]+)"')


@dataclass(frozen=True)
class WatchPlan:
    """How many pages are kept open, of which gateway, by whom."""

    port: int
    session: str
    pages: int = 10

    def dumped(self) -> str:
        """Write the plan as the program's argument."""
        return json.dumps(asdict(self))


class _OpenPage:
    """One page in a browser of its own."""

    def __init__(self, plan: WatchPlan) -> None:
        self._plan = plan
        self._tail_at = 0.0
        self.bytes_heard = 0
        self.tails = 0
        self.tail_s: list[float] = []

    async def keep_open(self, opened: asyncio.Barrier) -> None:
        """Open Home and listen."""
        home = await self._fetch("/")
        match = _STREAM.search(home.decode())
        assert match is not None, home[:500]
        path = html.unescape(match[1])
        reader, writer = await self._request(path, "text/event-stream")
        await reader.readuntil(b"retry: ")
        await opened.wait()
        try:
            while part := await reader.read(1 << 16):
                self.bytes_heard += len(part)
                if b"event: " in part and time.monotonic() >= self._tail_at + TAIL_EVERY_S:
                    await self._show_newest()
        finally:
            writer.close()

    async def _show_newest(self) -> None:
        self._tail_at = time.monotonic()
        assert b"</" in await self._fetch("/?view=tail")
        self.tail_s.append(time.monotonic() - self._tail_at)

    async def _fetch(self, path: str) -> bytes:
        reader, writer = await self._request(path, "text/html", close=True)
        answer = await reader.read()
        writer.close()
        head, _, body = answer.partition(b"\r\n\r\n")
        assert head.startswith(b"HTTP/1.1 200"), answer[:500]
        return body

    async def _request(
        self, path: str, accept: str, *, close: bool = False
    ) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        reader, writer = await asyncio.open_connection("127.0.0.1", self._plan.port)
        head = f"GET {path} HTTP/1.1\r\nHost: 127.0.0.1:{self._plan.port}\r\nAccept: {accept}\r\n"
        head += f"Cookie: tillbell={self._plan.session}\r\n"
        writer.write(f"{head}{'Connection: close' * close}\r\n{chr(13) + chr(10)}".encode())
        return reader, writer


async def _watch(plan: WatchPlan) -> None:
    opened = asyncio.Barrier(plan.pages + 1)
    pages = [_OpenPage(plan) for _ in range(plan.pages)]
    tasks = [asyncio.create_task(page.keep_open(opened)) for page in pages]
    waiting = asyncio.create_task(opened.wait())
    await asyncio.wait([waiting, *tasks], return_when=asyncio.FIRST_COMPLETED)
    _say(open=plan.pages)
    await asyncio.to_thread(sys.stdin.read)
    lost = sum(task.done() for task in tasks)
    for task in tasks:
        task.cancel()
    tails = [seconds for page in pages for seconds in page.tail_s]
    _say(
        lost=lost,
        bytes=sum(page.bytes_heard for page in pages),
        tails=len(tails),
        tail_ms=1e3 * max(tails, default=0.0),
    )


def _say(**said: float) -> None:
    print(json.dumps(said), flush=True)


if __name__ == "__main__":
    uvloop.run(_watch(WatchPlan(**json.loads(sys.argv[1]))))
