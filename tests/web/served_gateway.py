"""A whole gateway behind a real socket, on its own thread, for tests that are plain clients."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Coroutine
from pathlib import Path
from typing import Any, Self, TypeVar

import httpx
from svix.api import Svix, SvixOptions

from tests import stores
from tests.idle import callbacks_processed
from tests.patience import PATIENCE_S
from tillbell.app import Gateway
from tillbell.config import load
from tillbell.configure.passwords import HashCost, Passwords
from tillbell.configure.people import NewAccount, People, Visitor
from tillbell.deliver.attempt import JudgedAttempt
from tillbell.deliver.lane import Lane
from tillbell.model.messages import Attempt, Claim
from tillbell.model.records import ApiKey
from tillbell.runtime import Runtime
from tillbell.testing import Receiver
from tillbell.vault import hash_key, new_api_key
from tillbell.web.api.shapes import ProblemOut
from tillbell.web.edge.router import build
from tillbell.web.server.slow_clients import ClientTimeouts
from tillbell.web.server.uvicorn_server import HttpServer, bind

T = TypeVar("T")
OWNER = NewAccount("owner@shop.example", "Olga Owner", "correct horse battery")
NOWHERE = Visitor("203.0.113.99", "a test")


DOCUMENTED_CODES = frozenset(ProblemOut.model_json_schema()["properties"]["code"]["enum"])


def check_code(response: httpx.Response) -> None:
    """Fail if an error has a code that the API's document does not list."""
    is_problem = response.headers.get("content-type") == "application/problem+json"
    if is_problem and response.request.method != "HEAD":
        response.read()
        assert response.json()["code"] in DOCUMENTED_CODES, response.text


class ServedGateway:
    """A gateway that listens, a receiver, and an admin key. Use as a context manager."""

    def __init__(self, folder: Path, **settings: Any) -> None:
        self.folder = folder
        defaults = {"data_dir": folder, "dev": True, "disk_reserve_mb": 0}
        self._settings = {**defaults, **stores.settings_of(folder), **settings}
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever)
        self.receiver = Receiver()
        self.ended: list[Attempt] = []
        self._sdks: list[Svix] = []

    def __enter__(self) -> Self:
        self._thread.start()
        self.do(self._start())
        self.key = self.make_key("admin")
        self.http = self.client(self.key)
        self.svix = self.sdk(self.key)
        return self

    def __exit__(self, *_: object) -> None:
        self.http.close()
        for sdk in self._sdks:
            sdk._httpx_client.close()
        self.do(self._stop())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    def do(self, work: Coroutine[Any, Any, T]) -> T:
        """Run something on the gateway's loop and return what it returns."""
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(PATIENCE_S)

    async def _start(self) -> None:
        settings = load(self._settings, {}).settings
        self.gateway = Gateway.create(settings)
        gateway = self.gateway
        self.gateway.people = People(
            gateway.database, gateway.clock, gateway.ids, Passwords(HashCost(1, 8))
        )
        if not stores.IS_POSTGRES:
            stores.copy_tables(self.folder / stores.FILE)
        self._changed = asyncio.Condition()
        after = self.gateway.dispatcher.on_attempt_ended

        def ended(lane: Lane, claim: Claim, end: JudgedAttempt) -> None:
            after(lane, claim, end)
            self.ended.append(end.finished.attempt)
            self._notifying = asyncio.get_running_loop().create_task(self._notify())

        self.gateway.dispatcher.on_attempt_ended = ended
        await self.receiver.__aenter__()
        self.runtime = Runtime(self.gateway)
        await self.runtime.start()
        self.server = HttpServer(build(self.gateway), bind("127.0.0.1", 0), ClientTimeouts())
        await self.server.start()
        self.url = f"http://127.0.0.1:{self.server.port}"

    async def _notify(self) -> None:
        async with self._changed:
            self._changed.notify_all()

    async def _stop(self) -> None:
        await self.server.stop()
        await self.runtime.drain(0)
        await self.runtime.stop()
        await self.receiver.__aexit__(None, None, None)

    # ── asking ───────────────────────────────────────────────────────────────────────────────────

    def client(self, key: str | None, **more: Any) -> httpx.Client:
        """Return an HTTP client that sends this key."""
        headers = {"authorization": f"Bearer {key}"} if key is not None else {}
        return httpx.Client(
            base_url=f"{self.url}/api/v1",
            headers=headers,
            timeout=PATIENCE_S,
            verify=False,
            event_hooks={"response": [check_code]},
            **more,
        )

    def sdk(self, key: str) -> Svix:
        """Return the official SDK that sends this key. It has no way to be closed; we close it."""
        sdk = Svix(key, SvixOptions(server_url=self.url, retry_schedule=[]))
        self._sdks.append(sdk)
        return sdk

    def make_key(self, *scopes: str, app_id: str | None = None, **fields: Any) -> str:
        """Store an API key; return its text."""
        text = new_api_key()
        now = self.gateway.clock.now()
        key = ApiKey(
            id=self.gateway.ids.new("key", now),
            scope=app_id or "",
            name="test",
            hash=hash_key(text),
            last4=text[-4:],
            scopes=scopes,
            app_id=app_id,
            **fields,
        )
        self.do(self.gateway.config_cache.add(key))
        return text

    def session(self) -> str:
        """Return the token of a new session of the owner, who is created with the first."""
        people = self.gateway.people
        setup = self.do(people.new_setup_link())
        if setup is not None:
            return self.do(people.create_first(setup, OWNER, NOWHERE)).token
        return self.do(people.sign_in(OWNER.email, OWNER.password, NOWHERE)).token

    def wait_for_callbacks(self) -> None:
        """Wait until the callbacks that were answered are processed, and those that they wake."""
        self.do(callbacks_processed(self.gateway))

    def wait_for_attempts(self, message_id: str, count: int = 1) -> list[Attempt]:
        """Wait until so many attempts of a message have ended and are recorded."""

        async def wait() -> list[Attempt]:
            async with self._changed:
                await self._changed.wait_for(lambda: len(self._of(message_id)) >= count)
            await self.gateway.leases.flush()
            await self.gateway.health_monitor.wait_idle()
            return self._of(message_id)

        return self.do(wait())

    def _of(self, message_id: str) -> list[Attempt]:
        return [attempt for attempt in self.ended if attempt.message_id == message_id]

    def wait_for_task(self, task_id: str) -> dict[str, Any]:
        """Wait until a background task is over; the work has no event to wait for but its end."""

        async def wait() -> None:
            await self.gateway.tasks.wait_idle()

        self.do(wait())
        shown: dict[str, Any] = self.http.get(f"/background-task/{task_id}").json()
        return shown
