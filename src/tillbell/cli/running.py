"""Start a gateway and its HTTP server, for `serve` and `demo`."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import resource
import sys
from collections.abc import AsyncIterator, Coroutine
from pathlib import Path
from tempfile import TemporaryFile
from typing import TYPE_CHECKING, NamedTuple, TypeVar

from tillbell.app import Gateway
from tillbell.cli import COLLECT_AFTER
from tillbell.cli.people import link_of
from tillbell.config import Settings
from tillbell.errors import Misconfigured, Unavailable
from tillbell.logs import log_event
from tillbell.model.endpoints import Endpoint
from tillbell.runtime import Runtime
from tillbell.storage.ports.outbound import Page
from tillbell.web.edge.router import WebApp, WorkerApp, build
from tillbell.web.server.slow_clients import ClientTimeouts
from tillbell.web.server.uvicorn_server import HttpServer, adopt, bind, notify_ready

if TYPE_CHECKING:
    import socket

T = TypeVar("T")
# How long one thread may keep the others from running: a callback that is parsed the event loop.
SWITCH_INTERVAL_S = 0.0005


class RunningGateway(NamedTuple):
    """A gateway that listens."""

    gateway: Gateway
    runtime: Runtime
    server: HttpServer
    new_key: str | None  # the admin key, if this start created it
    setup_token: str | None  # of a link to make the owner account, while nobody has one

    @property
    def url(self) -> str:
        """Its address: `public_url`, else host and port."""
        settings = self.gateway.settings
        host = f"[{settings.host}]" if ":" in settings.host else settings.host
        return settings.public_url or f"http://{host}:{self.server.port}"

    @property
    def setup_line(self) -> str | None:
        """Says how to make the owner account, while nobody has one."""
        if self.setup_token is None:
            return None
        return f"Open {link_of(self.url, self.setup_token)} to make the owner account"


@contextlib.asynccontextmanager
async def run_gateway(settings: Settings) -> AsyncIterator[RunningGateway]:
    """Start gateway and server. The caller must stop both.

    `Misconfigured` if the folder, the port, the store or the master key cannot be used.
    """
    prepare_folder(settings.data_dir)
    raise_descriptor_limit()
    sys.setswitchinterval(SWITCH_INTERVAL_S)
    with contextlib.closing(_listening(settings)) as listening:
        gateway = Gateway.create(settings)
        runtime = Runtime(gateway)
        await runtime.start()
        try:
            await check_master_key(gateway)
            await check_way_in(gateway)
            new_key = setup_token = None
            if settings.role != "worker":
                new_key = await first_key(gateway)
                setup_token = await new_setup_token(gateway)
        except BaseException:
            await runtime.drain(0)
            await runtime.stop()
            raise
        limits = ClientTimeouts(settings.header_timeout_s, settings.body_timeout_s)
        web = build(gateway)
        server = HttpServer(web, listening, limits, settings.http_processes)
        await server.start()
        tune_gc()
        if settings.notify_socket:
            notify_ready(settings.notify_socket)
        tuning = asyncio.create_task(_tune_gc_again(web))
        writing_metrics = asyncio.create_task(web.board.keep_written())
        yield RunningGateway(gateway, runtime, server, new_key, setup_token)
        writing_metrics.cancel()
        tuning.cancel()


async def _tune_gc_again(web: WebApp | WorkerApp) -> None:
    await web.wait_loaded()
    tune_gc()


def _listening(settings: Settings) -> socket.socket:
    if settings.listen_fd >= 0:
        return adopt(settings.listen_fd)
    return bind(settings.host, settings.port)


def prepare_folder(folder: Path) -> None:
    """Create the data folder, readable by its owner only; `Misconfigured` if it is not writable."""
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        with TemporaryFile(dir=folder):
            pass
    except OSError as error:
        raise Misconfigured(f"data_dir: cannot write to {folder}: {error.strerror}") from error


def raise_descriptor_limit() -> None:
    """Raise the soft limit of open files, usually 1,024, to the hard limit."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


def tune_gc() -> None:
    """Exclude what was loaded so far from garbage collection, and collect less often.

    Requests create few cycles. With the default thresholds each collection would visit all
    schemas of the web framework for nothing.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(*COLLECT_AFTER)


async def check_master_key(gateway: Gateway) -> None:
    """Open one stored secret, so that a wrong master key fails now and not at a delivery."""
    for endpoint in await gateway.database.list(Endpoint, None, Page(limit=100)):
        for secret in endpoint.secrets[:1]:
            gateway.vault.open(secret.sealed, endpoint.id)
            return


async def check_way_in(gateway: Gateway) -> None:
    """Refuse to start without passwords if then no owner could sign in."""
    if gateway.people.allows_passwords or gateway.sign_ons is None:
        return
    people = await gateway.people.everybody()
    if people and not gateway.sign_ons.lets_owner_in(people, gateway.settings.oidc_issuer):
        raise Misconfigured(
            "password_sign_in: is false, but no owner could sign in by the identity provider: each"
            " is linked to another issuer, or has an address that oidc_domains does not allow."
            " Nothing was changed; let an owner sign in by the provider first"
        )


async def first_key(gateway: Gateway) -> str | None:
    """Ensure that an admin key exists. Returns it if it was created now; only its hash is stored.

    The key in the setting `admin_key` works until the first start without that setting. Workers do
    not need the setting.
    """
    configured = gateway.settings.admin_key
    return await gateway.api_keys.ensure_admin(configured.reveal() if configured else None)


async def new_setup_token(gateway: Gateway) -> str | None:
    """Return the token of a new link to make the owner account; None: somebody has one.

    Without room to store it the gateway starts all the same.
    """
    try:
        return await gateway.people.new_setup_link()
    except Unavailable as error:
        log_event("chore.postponed", chore="setup_link", error=str(error))
        return None


def run_loop(work: Coroutine[object, object, T]) -> T:
    """Run a coroutine to its end on uvloop."""
    import uvloop

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        return runner.run(work)
