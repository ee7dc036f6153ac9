"""`tillbell demo`: a gateway, a shop, its providers and subscribers, on a temporary database.

Everything goes over real HTTP: the shop uses the public API, the providers sign callbacks as
the real ones do. One subscriber refuses every third request to show retries, another one is down. A
link signs in to the pages. In the output `-->` is a request to the gateway, `===` a change in the
gateway, `<--` an attempt and its answer.
"""

from __future__ import annotations

import asyncio
import signal
import sys
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
    from tillbell.cli.demo_providers import DemoCallback
    from tillbell.cli.demo_subscribers import DemoJournal
    from tillbell.cli.running import RunningGateway
    from tillbell.deliver.attempt import JudgedAttempt
    from tillbell.deliver.lane import Lane
    from tillbell.model.messages import Claim
    from tillbell.process.decision import Decision
    from tillbell.testing import Receiver

_RETRIES_S = [1, 1, 2, 3]
_EVENTS = 22  # two rounds
_PAUSE_S = 0.4
_LATER_PAUSE_S = 3.0  # on a terminal, after the first rounds: the pages stay alive
_PATIENCE_S = 60.0  # on a busy machine the first call waits for the framework to load
_LAST_RETRIES_S = 20  # how long the last retries may take


def demo(
    *,
    messages: Count | None = None,
    forever: Annotated[bool, Parameter(negative="")] = False,
) -> int:
    """Watch it work; exit code 1 if a message was lost.

    On a terminal it goes on until Ctrl-C.

    Parameters
    ----------
    messages
        End after so many events; without a terminal after 22.
    forever
        Go on until Ctrl-C, also without a terminal.
    """
    from tillbell import logs
    from tillbell.cli.running import run_loop

    logs.configure("error", "auto")
    if messages is None and not forever and not sys.stdout.isatty():
        messages = _EVENTS
    with tempfile.TemporaryDirectory(prefix="tillbell-demo-") as folder:
        return run_loop(_run_demo(Path(folder), None if forever else messages))


async def _run_demo(folder: Path, messages: int | None) -> int:
    from tillbell.cli.client import ApiClient
    from tillbell.cli.demo_subscribers import DemoJournal
    from tillbell.cli.running import run_gateway
    from tillbell.config import load
    from tillbell.testing import Receiver
    from tillbell.vault import Secret

    settings = load({"data_dir": folder, "dev": True, "port": 0}, {}).settings
    async with run_gateway(settings) as up, Receiver() as receiver:
        api = ApiClient(up.url, Secret(up.new_key or ""), _PATIENCE_S)
        demo_run = _DemoRun(up, api, receiver, DemoJournal())
        try:
            await demo_run.set_up()
            await demo_run.publish(_EVENTS if messages is None else messages)
            if messages is None:
                await demo_run.go_on()
            await demo_run.wait_for_last_deliveries()
        finally:
            await up.server.stop()
            await up.runtime.drain(1)
            await up.runtime.stop()
        return demo_run.finish()


class _DemoRun:
    """One run of the demo."""

    def __init__(
        self, up: RunningGateway, api: ApiClient, receiver: Receiver, journal: DemoJournal
    ) -> None:
        from rich.console import Console

        self._up = up
        self._api = api
        self._receiver = receiver
        self._journal = journal
        self._console: Console = Console(highlight=False, soft_wrap=True)
        self._names: dict[str, str] = {}  # endpoint id → uid
        self._sources: dict[str, str] = {}  # provider → URL of its source
        self._number = 0  # of the next event
        self._retried = 0
        self._failed = 0
        self._stopped = asyncio.Event()
        self._changed = asyncio.Event()
        journal.on_received = self._changed.set

    async def set_up(self) -> None:
        """Create the application, and an endpoint for each subscriber, through the API."""
        from tillbell import __version__
        from tillbell.cli.demo_sign_in import FrontDoor
        from tillbell.cli.demo_subscribers import SUBSCRIBERS

        self._print(f"tillbell {__version__} · {self._up.url}/api/v1 · data in a temporary folder")
        self._print(f"admin key {self._up.new_key}", "dim")
        self._front_door = FrontDoor(self._up.gateway.people, self._up.url)
        self._receiver.on(self._front_door.path, self._front_door.open)
        self._print(f"Open {self._link} to see the pages; it signs you in\n", "bold")
        await self._call("POST", "/app", {"name": "Demo shop", "uid": "shop"})
        for subscriber in SUBSCRIBERS:
            new_endpoint = {
                "uid": subscriber.uid,
                "description": subscriber.description,
                "url": self._receiver.url(f"/{subscriber.uid}"),
                "profile": subscriber.profile,
                "filterTypes": list(subscriber.event_types),
                "retrySchedule": _RETRIES_S,
            }
            if subscriber.profile in ("zenofy", "mozarto"):
                new_endpoint["secret"] = f"{subscriber.uid}-shared-secret"
            endpoint = await self._call("POST", "/app/shop/endpoint", new_endpoint)
            self._names[endpoint["id"]] = subscriber.uid
            secret = await self._call("GET", f"/app/shop/endpoint/{subscriber.uid}/secret")
            behaviour = self._journal.behaviour_of(subscriber, secret["key"])
            self._receiver.on(f"/{subscriber.uid}", behaviour)
        await self._add_sources()
        self._watch()
        asyncio.get_running_loop().add_signal_handler(signal.SIGINT, self._stopped.set)

    async def _add_sources(self) -> None:
        """Create a source for each provider of the shop, through the API."""
        from tillbell.cli.demo_providers import PROVIDERS

        for provider in PROVIDERS:
            new_source = {
                "name": provider.name,
                "provider": provider.name,
                "secrets": [provider.secret],
            }
            source = await self._call("POST", "/app/shop/source", new_source)
            self._sources[provider.name] = source["url"]

    @property
    def _link(self) -> str:
        """The URL that signs in and leads to Home."""
        return self._receiver.url(self._front_door.path)

    async def publish(self, events: int) -> None:
        """Let events of the shop happen."""
        while self._number < events and not self._stopped.is_set():
            await self._next_event(_PAUSE_S)

    async def go_on(self) -> None:
        """Say what to try, and let events happen more slowly, until Ctrl-C."""
        if not self._stopped.is_set():
            self._print_what_to_try()
        while not self._stopped.is_set():
            await self._next_event(_LATER_PAUSE_S)

    def _print_what_to_try(self) -> None:
        url, key = self._up.url, self._up.new_key
        self._print(f"\nThe shop goes on until Ctrl-C. {self._link} signs you in. Try:", "bold")
        self._print(f"  1. {url}/ says that the old warehouse fails. Open it: what does it answer?")
        self._print(f"  2. {url}/review has a payment that was approved and then declined. Why?")
        self._print("  3. Publish a message, and watch it arrive:")
        self._print(
            f"     curl {url}/api/v1/app/shop/msg -H 'Authorization: Bearer {key}'"
            " -H 'Content-Type: application/json'"
            """ -d '{"eventType": "order.paid", "payload": {"data": {"id": "1"}}}'\n"""
        )

    async def _next_event(self, pause_s: float) -> None:
        """Perform the next event, the last of each round twice; then pause."""
        from tillbell.cli.demo_subscribers import EVENTS

        number = self._number
        await self._perform(EVENTS[number % len(EVENTS)], number)
        if number % len(EVENTS) == len(EVENTS) - 1:
            await self._publish_one(EVENTS[-1], number)
        self._number += 1
        await _first_of(self._stopped, pause_s)

    async def _perform(self, event: str, number: int) -> None:
        from tillbell.cli import demo_providers
        from tillbell.cli.demo_subscribers import MAIL, PAYMENT

        clock = self._up.gateway.clock
        if event == PAYMENT:
            await self._begin_payment(f"PAY-{number}")
            await self._send_callbacks(
                demo_providers.payment(number, self._sources["allsecure"], clock)
            )
        elif event == MAIL:
            await self._send_callbacks(demo_providers.mail(number, self._sources["resend"], clock))
        else:
            await self._publish_one(event, number)

    async def _begin_payment(self, uid: str) -> None:
        from tillbell.cli.demo_providers import PRICE

        new_transaction = {
            "uid": uid,
            "direction": "pay_in",
            "amount": PRICE,
            "currency": "EUR",
            "merchantReference": uid,
            "userId": "customer-1",
        }
        await self._call("POST", "/app/shop/transaction", new_transaction)
        self._journal.note_callback("transaction.pending", uid)

    async def _send_callbacks(self, callbacks: Iterable[DemoCallback]) -> None:
        """Send callbacks as their providers do."""
        for callback in callbacks:
            request = callback.request
            answer = await asyncio.to_thread(
                self._api.send, request.method, request.target, dict(request.headers), request.body
            )
            answered = answer.body.decode() or answer.status
            self._print(
                f"--> {callback.provider} {callback.summary} · answered {answered}", "magenta"
            )
            self._journal.callbacks += 1
            if callback.event_type is not None:
                self._journal.note_callback(callback.event_type, callback.summary.split()[0])

    async def _publish_one(self, event_type: str, number: int) -> None:
        from tillbell.cli.demo_subscribers import payload_of, summary_of

        payload = payload_of(event_type, number, self._up.gateway.clock)
        event_id = f"shop-{number}"
        body = {"eventType": event_type, "eventId": event_id, "payload": payload}
        self._print(f"--> {event_type} {event_id} {summary_of(payload)}", "cyan")
        try:
            message = await self._call("POST", "/app/shop/msg", body)
        except Refused:
            self._print(f"=== duplicate {event_id} refused: it exists once", "yellow")
            return
        self._journal.note_published(event_type, message["id"])

    async def wait_for_last_deliveries(self) -> None:
        """Wait until every subscriber has all its messages; a second Ctrl-C ends the wait."""
        self._stopped.clear()
        loop = asyncio.get_running_loop()
        until_s = loop.time() + _LAST_RETRIES_S
        while self._journal.lost and not self._stopped.is_set() and loop.time() < until_s:
            self._changed.clear()
            await _first_of(self._changed, min(1.0, until_s - loop.time()))

    def finish(self) -> int:
        """Print the totals; return 1 if an event is missing, came twice or was forged."""
        journal = self._journal
        lost = len(journal.lost)
        self._print(
            f"\npublished {journal.published} · callbacks {journal.callbacks}"
            f" · delivered {len(journal.delivered)} · retried {self._retried}"
            f" · failed {self._failed} · lost {lost}",
            "bold green" if not lost else "bold red",
        )
        for subscriber, message_id in sorted(journal.lost):
            self._print(f"lost: {message_id} for {subscriber}", "red")
        if journal.duplicates:
            self._print(f"{journal.duplicates} events were delivered in two messages", "red")
        if journal.forged:
            self._print(f"{journal.forged} requests had a wrong signature", "red")
        self._print("Keep your own: tillbell serve --dev --data-dir ./data", "dim")
        return 1 if lost or journal.forged or journal.duplicates else 0

    def _watch(self) -> None:
        """Print each attempt when it ends, and each step of a transaction when it is stored."""
        dispatcher = self._up.gateway.dispatcher
        previous_hook = dispatcher.on_attempt_ended

        def on_ended(lane: Lane, claim: Claim, ended: JudgedAttempt) -> None:
            previous_hook(lane, claim, ended)
            self._print_attempt(ended)

        dispatcher.on_attempt_ended = on_ended
        decisions = self._up.gateway.decisions
        on_committed = decisions.on_committed

        def show_steps(decision: Decision) -> None:
            on_committed(decision)
            for transaction in decision.advanced_transactions:
                statuses = (transaction.previous_status, transaction.status)
                steps = " → ".join(status.value for status in statuses if status)
                self._print(f"=== {transaction.uid} {steps}", "bold")

        decisions.on_committed = show_steps

    def _print_attempt(self, ended: JudgedAttempt) -> None:
        attempt = ended.finished.attempt
        name = self._names.get(attempt.endpoint_id, attempt.endpoint_id)
        took = f"{attempt.duration_us / 1000:.0f} ms"
        line = f"<-- [{attempt.status_code or attempt.error}] {name} {took}"
        if attempt.number > 1:
            line += f" (attempt {attempt.number})"
            self._retried += 1
        if attempt.result.value == "accepted":
            self._print(line, "green")
        elif ended.gave_up:
            self._failed += 1
            self._print(f"{line} · gave up", "red")
        else:
            wait_s = (ended.finished.due_at - attempt.started_at) / SECOND
            self._print(f"{line} · retry in {wait_s:.0f} s", "yellow")

    async def _call(self, method: str, path: str, body: object = None) -> Any:
        return await asyncio.to_thread(self._api.call, method, path, body)

    def _print(self, line: str, style: str | None = None) -> None:
        self._console.print(line, style=style, markup=False)


async def _first_of(event: asyncio.Event, timeout_s: float) -> None:
    """Wait for an event, at most for the time given."""
    try:
        await asyncio.wait_for(event.wait(), timeout_s)
    except TimeoutError:
        return
