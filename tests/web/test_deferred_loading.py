"""The REST API may be loaded after the start, and nobody who needs none of it waits."""

from __future__ import annotations

import asyncio
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from tillbell.app import Gateway
from tillbell.config import load
from tillbell.providers import PROVIDERS
from tillbell.web.api import applications
from tillbell.web.edge import router
from tillbell.web.edge.asgi_types import App, HttpAnswer, Receive, Scope, Send, send_answer
from tillbell.web.server.lazy_app import SWITCH_INTERVAL_S, DeferredApp

pytestmark = pytest.mark.sqlite_first

RARE = {"dns", "fastapi", "jinja2", "prometheus_client", "psycopg", "pydantic", "starlette", "yaml"}


async def _hello(scope: Scope, receive: Receive, send: Send) -> None:
    del scope, receive
    await send_answer(send, HttpAnswer(200, [], b"hello"))


async def _ask(app: App, path: str = "/") -> tuple[int, bytes]:
    sent: list[Any] = []

    async def send(event: Any) -> None:
        sent.append(event)

    async def receive() -> Any:
        return {"type": "http.request", "body": b""}

    scope = {"type": "http", "method": "GET", "path": path, "headers": [], "query_string": b""}
    await app(scope, receive, send)
    return sent[0]["status"], b"".join(event.get("body", b"") for event in sent[1:])


async def test_other_threads_run_often_while_it_is_made() -> None:
    """The writer's thread needs Python's lock many times in each commit."""
    intervals: list[float] = []

    def make() -> App:
        intervals.append(sys.getswitchinterval())
        raise ImportError

    before = sys.getswitchinterval()
    with pytest.raises(ImportError):
        await _ask(DeferredApp(make))
    assert intervals == [pytest.approx(SWITCH_INTERVAL_S)]
    assert sys.getswitchinterval() == before > 10 * SWITCH_INTERVAL_S


async def test_it_is_made_once_on_another_thread_and_all_wait_for_it() -> None:
    go, made = threading.Event(), list[threading.Thread]()

    def make() -> App:
        made.append(threading.current_thread())
        go.wait()
        return _hello

    deferred = DeferredApp(make)
    asked = [asyncio.create_task(_ask(deferred)) for _ in range(5)]
    asked[0].cancel()  # who goes away takes it from nobody
    assert not (await asyncio.wait(asked[1:], timeout=0.05))[0]
    go.set()
    assert await asyncio.gather(*asked[1:]) == [(200, b"hello")] * 4
    assert [thread is threading.main_thread() for thread in made] == [False]


async def test_everyone_is_told_that_it_cannot_be_made() -> None:
    def make() -> App:
        raise ImportError("no such framework")

    deferred = DeferredApp(make)
    for _ in range(2):
        with pytest.raises(ImportError, match="no such framework"):
            await _ask(deferred)


async def test_health_is_answered_while_the_rest_loads(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    go = threading.Event()

    def make(*_: object) -> App:
        go.wait()
        return _hello

    monkeypatch.setattr(router, "_load_rest", make)
    web = router.build(Gateway.create(load({"data_dir": tmp_path}, {}).settings))
    asked = asyncio.create_task(_ask(web, "/api/v1/health"))
    try:
        assert (await _ask(web, "/livez"))[0] == 200
        assert not asked.done()
    finally:
        go.set()
    assert await asked == (200, b"hello")


def test_a_start_loads_only_what_every_gateway_needs() -> None:
    code = "import sys, tillbell.cli.running; print(*sys.modules)"
    shown = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    modules = set(shown.stdout.split())
    assert not RARE & {name.partition(".")[0] for name in modules}
    adapters = {provider.verify.__module__ for provider in PROVIDERS.values()}
    assert len(adapters) > 20
    assert {name for name in adapters & modules if ".kit." not in name} == set()


def test_a_route_is_prepared_once_by_whoever_reads_it_first() -> None:
    route = next(iter(applications.router.routes))
    with ThreadPoolExecutor(8) as threads:
        handlers = set(threads.map(lambda _: route.app, range(32)))  # type: ignore[attr-defined]
    assert len(handlers) == 1
    with pytest.raises(AttributeError):
        route.nonsense  # type: ignore[attr-defined]  # noqa: B018
