"""`tillbell demo`: a gateway, a shop and its subscribers, on a database that is thrown away.

Everything goes over real HTTP through the public API. One subscriber refuses every third
request, so that retries are seen. Two arrows: `-->` came in, `<--` was answered.
"""

from __future__ import annotations

import asyncio
import signal
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from cyclopts import Parameter

from tillbell.clock import SECOND
from tillbell.errors import Refused

if TYPE_CHECKING:
    from rich.console import Console

    from tillbell.cli.client import Api
    from tillbell.cli.demo_cast import Books
    from tillbell.cli.running import Running
    from tillbell.flow.attempt import Ended
    from tillbell.flow.lane import Lane
    from tillbell.models import Claim
    from tillbell.testing import Receiver

_RETRIES_S = [1, 1, 2, 3]
_PAUSE_S = 0.4
_SETTLE_S = 20  # how long the last retries may take


def demo(
    *,
    messages: Annotated[int, Parameter(validator=lambda _, n: _require_positive(n))] = 22,
    forever: Annotated[bool, Parameter(negative="")] = False,
) -> int:
    """Watch it work; exit code 1 if a message was lost.

    Parameters
    ----------
    messages
        How many to publish.
    forever
        Go on until Ctrl-C.
    """
    from tillbell import logs
    from tillbell.cli.running import run_loop

    logs.configure("error", "auto")
    with tempfile.TemporaryDirectory(prefix="tillbell-demo-") as folder:
        return run_loop(_play(Path(folder), None if forever else messages))


async def _play(folder: Path, messages: int | None) -> int:
    from tillbell.cli.client import Api
    from tillbell.cli.demo_cast import Books
    from tillbell.cli.running import running
    from tillbell.config import load
    from tillbell.testing import Receiver
    from tillbell.vault import Secret

    settings = load({"data_dir": folder, "dev": True, "port": 0}, {}).settings
    async with running(settings) as up, Receiver() as receiver:
        api = Api(up.url, Secret(up.new_key or ""))
        stage = _Stage(up, api, receiver, Books())
        try:
            await stage.set_up()
            await stage.publish(messages)
            await stage.settle()
        finally:
            await up.server.stop()
            await up.gateway.drain(1)
            await up.gateway.stop()
        return stage.finish()


class _Stage:
    """One performance."""

    def __init__(self, up: Running, api: Api, receiver: Receiver, books: Books) -> None:
        from rich.console import Console

        self._up = up
        self._api = api
        self._receiver = receiver
        self._books = books
        self._console: Console = Console(highlight=False, soft_wrap=True)
        self._names: dict[str, str] = {}  # endpoint id → uid
        self._retried = 0
        self._failed = 0
        self._stopped = asyncio.Event()
        self._changed = asyncio.Event()
        books.on_received = self._changed.set

    async def set_up(self) -> None:
        """Make the application and an endpoint for each subscriber, by the API."""
        from tillbell import __version__
        from tillbell.cli.demo_cast import SUBSCRIBERS

        self._say(f"tillbell {__version__} · {self._up.url}/api/v1 · data in a temporary folder")
        self._say(f"admin key {self._up.new_key}\n", "dim")
        await self._call("POST", "/app", {"name": "Demo shop", "uid": "shop"})
        for subscriber in SUBSCRIBERS:
            wanted = {
                "uid": subscriber.uid,
                "url": self._receiver.url(f"/{subscriber.uid}"),
                "profile": subscriber.profile,
                "filterTypes": list(subscriber.event_types),
                "retrySchedule": _RETRIES_S,
            }
            if subscriber.profile in ("zenofy", "mozarto"):
                wanted["secret"] = f"{subscriber.uid}-shared-secret"
            made = await self._call("POST", "/app/shop/endpoint", wanted)
            self._names[made["id"]] = subscriber.uid
            secret = await self._call("GET", f"/app/shop/endpoint/{subscriber.uid}/secret")
            behaviour = self._books.behaviour_of(subscriber, secret["key"])
            self._receiver.on(f"/{subscriber.uid}", behaviour)
        self._watch()
        asyncio.get_running_loop().add_signal_handler(signal.SIGINT, self._stopped.set)

    async def publish(self, messages: int | None) -> None:
        """Let the shop do business, and repeat itself now and then as shops do."""
        from tillbell.cli.demo_cast import STORY

        number = 0
        while number != messages and not self._stopped.is_set():
            event_type = STORY[number % len(STORY)]
            await self._publish_one(event_type, number)
            if number % len(STORY) == len(STORY) - 1:
                await self._publish_one(event_type, number)
            number += 1
            await _first_of(self._stopped, _PAUSE_S)

    async def _publish_one(self, event_type: str, number: int) -> None:
        from tillbell.cli.demo_cast import gist_of, payload_of

        payload = payload_of(event_type, number, self._up.gateway.clock)
        event_id = f"shop-{number}"
        body = {"eventType": event_type, "eventId": event_id, "payload": payload}
        self._say(f"--> {event_type} {event_id} {gist_of(payload)}", "cyan")
        try:
            made = await self._call("POST", "/app/shop/msg", body)
        except Refused:
            self._say(f"=== duplicate {event_id} refused: it exists once", "yellow")
            return
        self._books.note_published(event_type, made["id"])

    async def settle(self) -> None:
        """Wait until every subscriber has what it is owed; a second Ctrl-C ends that."""
        self._stopped.clear()
        loop = asyncio.get_running_loop()
        until_s = loop.time() + _SETTLE_S
        while self._books.lost and not self._stopped.is_set() and loop.time() < until_s:
            self._changed.clear()
            await _first_of(self._changed, min(1.0, until_s - loop.time()))

    def finish(self) -> int:
        """Close the books; 1 if something is missing or was forged."""
        books = self._books
        lost = len(books.lost)
        self._say(
            f"\npublished {books.published} · delivered {len(books.received)}"
            f" · retried {self._retried} · failed {self._failed} · lost {lost}",
            "bold green" if not lost else "bold red",
        )
        for subscriber, message_id in sorted(books.lost):
            self._say(f"lost: {message_id} for {subscriber}", "red")
        if books.forged:
            self._say(f"{books.forged} requests had a wrong signature", "red")
        self._say("Keep your own: tillbell serve --dev --data-dir ./data", "dim")
        return 1 if lost or books.forged else 0

    def _watch(self) -> None:
        """Show each attempt as it ends, after the gateway has done what it does."""
        dispatcher = self._up.gateway.dispatcher
        usual = dispatcher.on_ended

        def ended(lane: Lane, claim: Claim, end: Ended) -> None:
            usual(lane, claim, end)
            self._show(end)

        dispatcher.on_ended = ended

    def _show(self, end: Ended) -> None:
        attempt = end.settlement.attempt
        name = self._names.get(attempt.endpoint_id, attempt.endpoint_id)
        took = f"{attempt.duration_us / 1000:.0f} ms"
        line = f"<-- [{attempt.status_code or attempt.error}] {name} {took}"
        if attempt.number > 1:
            line += f" (attempt {attempt.number})"
            self._retried += 1
        if attempt.result.value == "accepted":
            self._say(line, "green")
        elif end.gave_up:
            self._failed += 1
            self._say(f"{line} · gave up", "red")
        else:
            wait_s = (end.settlement.due_at - attempt.started_at) / SECOND
            self._say(f"{line} · retry in {wait_s:.0f} s", "yellow")

    async def _call(self, method: str, path: str, body: object = None) -> Any:
        return await asyncio.to_thread(self._api.call, method, path, body)

    def _say(self, line: str, style: str | None = None) -> None:
        self._console.print(line, style=style, markup=False)


async def _first_of(event: asyncio.Event, timeout_s: float) -> None:
    """Wait for an event, but not longer than that."""
    try:
        await asyncio.wait_for(event.wait(), timeout_s)
    except TimeoutError:
        return


def _require_positive(number: int) -> None:
    if number < 1:
        raise ValueError("must be 1 or more")
