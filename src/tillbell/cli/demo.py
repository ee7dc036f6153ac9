"""`tillbell demo`: a gateway, a shop, its providers and subscribers, on a throw-away database.

Everything goes over real HTTP: the shop speaks the public API, the providers sign callbacks as
the real ones do. One subscriber refuses every third request, so that retries are seen. `-->`
came in, `===` is what became of it, `<--` went out and was answered.
"""

from __future__ import annotations

import asyncio
import signal
import tempfile
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from cyclopts import Parameter

from tillbell.cli.flags import Count
from tillbell.clock import SECOND
from tillbell.errors import Refused

if TYPE_CHECKING:
    from rich.console import Console

    from tillbell.cli.client import ApiClient
    from tillbell.cli.demo_cast import DemoJournal
    from tillbell.cli.demo_providers import DemoCallback
    from tillbell.cli.running import RunningGateway
    from tillbell.deliver.attempt import JudgedAttempt
    from tillbell.deliver.lane import Lane
    from tillbell.model.messages import Claim
    from tillbell.process.decision import Decision
    from tillbell.testing import Receiver

_RETRIES_S = [1, 1, 2, 3]
_PAUSE_S = 0.4
_SETTLE_S = 20  # how long the last retries may take


def demo(
    *,
    messages: Count = 22,
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
    from tillbell.cli.client import ApiClient
    from tillbell.cli.demo_cast import DemoJournal
    from tillbell.cli.running import run_gateway
    from tillbell.config import load
    from tillbell.testing import Receiver
    from tillbell.vault import Secret

    settings = load({"data_dir": folder, "dev": True, "port": 0}, {}).settings
    async with run_gateway(settings) as up, Receiver() as receiver:
        api = ApiClient(up.url, Secret(up.new_key or ""))
        stage = _DemoRun(up, api, receiver, DemoJournal())
        try:
            await stage.set_up()
            await stage.publish(messages)
            await stage.wait_until_settled()
        finally:
            await up.server.stop()
            await up.runtime.drain(1)
            await up.runtime.stop()
        return stage.finish()


class _DemoRun:
    """One performance."""

    def __init__(
        self, up: RunningGateway, api: ApiClient, receiver: Receiver, books: DemoJournal
    ) -> None:
        from rich.console import Console

        self._up = up
        self._api = api
        self._receiver = receiver
        self._books = books
        self._console: Console = Console(highlight=False, soft_wrap=True)
        self._names: dict[str, str] = {}  # endpoint id → uid
        self._sources: dict[str, str] = {}  # provider → URL of its source
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
        await self._add_sources()
        self._watch()
        asyncio.get_running_loop().add_signal_handler(signal.SIGINT, self._stopped.set)

    async def _add_sources(self) -> None:
        """Make a source for each provider of the shop, by the API."""
        from tillbell.cli.demo_providers import ROLES

        for role in ROLES:
            wanted = {"name": role.name, "provider": role.name, "secrets": [role.secret]}
            made = await self._call("POST", "/app/shop/source", wanted)
            self._sources[role.name] = made["url"]

    async def publish(self, messages: int | None) -> None:
        """Let the shop do business, and repeat itself now and then as shops do."""
        from tillbell.cli.demo_cast import STORY

        number = 0
        while number != messages and not self._stopped.is_set():
            await self._act(STORY[number % len(STORY)], number)
            if number % len(STORY) == len(STORY) - 1:
                await self._publish_one(STORY[-1], number)
            number += 1
            await _first_of(self._stopped, _PAUSE_S)

    async def _act(self, what: str, number: int) -> None:
        from tillbell.cli import demo_providers
        from tillbell.cli.demo_cast import MAIL, PAYMENT

        clock = self._up.gateway.clock
        if what == PAYMENT:
            await self._begin_payment(f"PAY-{number}")
            await self._on_request(
                demo_providers.payment(number, self._sources["allsecure"], clock)
            )
        elif what == MAIL:
            await self._on_request(demo_providers.mail(number, self._sources["resend"], clock))
        else:
            await self._publish_one(what, number)

    async def _begin_payment(self, uid: str) -> None:
        from tillbell.cli.demo_providers import PRICE

        wanted = {
            "uid": uid,
            "direction": "pay_in",
            "amount": PRICE,
            "currency": "EUR",
            "merchantReference": uid,
            "userId": "customer-1",
        }
        await self._call("POST", "/app/shop/transaction", wanted)
        self._books.note_received("transaction.pending", uid)

    async def _on_request(self, callbacks: Iterable[DemoCallback]) -> None:
        """Send callbacks as their providers do."""
        for said in callbacks:
            request = said.request
            sent = await asyncio.to_thread(
                self._api.send, request.method, request.target, dict(request.headers), request.body
            )
            answer = sent.body.decode() or sent.status
            self._say(f"--> {said.provider} {said.summary} · answered {answer}", "magenta")
            self._books.heard += 1
            if said.event_type is not None:
                self._books.note_received(said.event_type, said.summary.split()[0])

    async def _publish_one(self, event_type: str, number: int) -> None:
        from tillbell.cli.demo_cast import payload_of, summary_of

        payload = payload_of(event_type, number, self._up.gateway.clock)
        event_id = f"shop-{number}"
        body = {"eventType": event_type, "eventId": event_id, "payload": payload}
        self._say(f"--> {event_type} {event_id} {summary_of(payload)}", "cyan")
        try:
            made = await self._call("POST", "/app/shop/msg", body)
        except Refused:
            self._say(f"=== duplicate {event_id} refused: it exists once", "yellow")
            return
        self._books.note_published(event_type, made["id"])

    async def wait_until_settled(self) -> None:
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
            f"\npublished {books.published} · callbacks {books.heard}"
            f" · delivered {len(books.delivered)} · retried {self._retried}"
            f" · failed {self._failed} · lost {lost}",
            "bold green" if not lost else "bold red",
        )
        for subscriber, message_id in sorted(books.lost):
            self._say(f"lost: {message_id} for {subscriber}", "red")
        if books.twice:
            self._say(f"{books.twice} facts were told twice", "red")
        if books.forged:
            self._say(f"{books.forged} requests had a wrong signature", "red")
        self._say("Keep your own: tillbell serve --dev --data-dir ./data", "dim")
        return 1 if lost or books.forged or books.twice else 0

    def _watch(self) -> None:
        """Show each attempt as it ends, after the gateway has done what it does."""
        dispatcher = self._up.gateway.dispatcher
        usual = dispatcher.on_attempt_ended

        def ended(lane: Lane, claim: Claim, end: JudgedAttempt) -> None:
            usual(lane, claim, end)
            self._show(end)

        dispatcher.on_attempt_ended = ended
        decisions = self._up.gateway.decisions
        on_committed = decisions.on_committed

        def show_steps(decision: Decision) -> None:
            on_committed(decision)
            for transaction in decision.advanced_transactions:
                statuses = (transaction.previous_status, transaction.status)
                steps = " → ".join(status.value for status in statuses if status)
                self._say(f"=== {transaction.uid} {steps}", "bold")

        decisions.on_committed = show_steps

    def _show(self, end: JudgedAttempt) -> None:
        attempt = end.finished.attempt
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
            wait_s = (end.finished.due_at - attempt.started_at) / SECOND
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
