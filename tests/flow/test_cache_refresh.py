"""What was read before our own change does not hide it."""

from __future__ import annotations

import asyncio
from typing import Any

import msgspec
import pytest

from tests.flow.gateway_harness import GatewayHarness
from tillbell.deliver.compiled_endpoint import Compile, EndpointCompiler
from tillbell.deliver.config_cache import ConfigCache
from tillbell.model.endpoints import Endpoint
from tillbell.model.sources import Source
from tillbell.receive.source_cache import SourceCache
from tillbell.storage.ports.database import Database
from tillbell.vault import hash_key

ENDPOINT = Endpoint(
    id="ep_1", scope="app_1", url="https://old.example/", secrets=(), created_at=1, updated_at=1
)


def moved(endpoint: Endpoint) -> Endpoint:
    return msgspec.structs.replace(endpoint, url="https://new.example/")


def compiler_of(harness: GatewayHarness) -> Compile:
    gateway = harness.gateway
    return EndpointCompiler(gateway.settings, gateway.vault, gateway.policy).compile


class SlowRegistry:
    """A registry whose first answers come after the test has gone on."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self.has_read = asyncio.Event()
        self.may_answer = asyncio.Event()

    async def get(self, *wanted: Any) -> Any:
        """Read at once; answer the first who asks when told to."""
        found = await self._database.get(*wanted)
        if not self.has_read.is_set():
            self.has_read.set()
            await self.may_answer.wait()
        return found

    def __getattr__(self, name: str) -> Any:
        return getattr(self._database, name)


async def test_an_endpoint_that_is_read_anew_while_we_change_it_stays_changed(
    harness: GatewayHarness,
) -> None:
    registry: Any = SlowRegistry(harness.gateway.database)
    config_cache = ConfigCache(registry, compiler_of(harness), harness.clock)
    registry.may_answer.set()
    await config_cache.add(ENDPOINT)
    await config_cache.view("app_1")
    registry.may_answer.clear()
    registry.has_read.clear()
    refreshing = asyncio.create_task(config_cache.refresh(Endpoint, "app_1", ENDPOINT.id))
    await registry.has_read.wait()
    changed = await config_cache.change(Endpoint, "app_1", ENDPOINT.id, moved)
    registry.may_answer.set()
    await refreshing

    compiled = await config_cache.compiled_endpoint("app_1", ENDPOINT.id)
    assert compiled is not None
    assert compiled.endpoint == changed.record
    assert changed.record.url == "https://new.example/"


@pytest.mark.parametrize("name", ["ep_1", "shop-1"])
async def test_an_endpoint_that_another_process_made_is_found_at_once(
    harness: GatewayHarness, name: str
) -> None:
    gateway = harness.gateway
    compiler = compiler_of(harness)
    ours, theirs = (ConfigCache(gateway.database, compiler, harness.clock) for _ in range(2))
    await ours.view("app_1")
    made = msgspec.structs.replace(ENDPOINT, uid="shop-1")
    await theirs.add(made)

    assert await ours.endpoint("app_1", name) == made
    assert await ours.endpoint("app_1", "ep_2") is None


async def test_a_source_that_is_read_anew_while_we_change_it_stays_changed(
    harness: GatewayHarness,
) -> None:
    gateway = harness.gateway
    registry: Any = SlowRegistry(gateway.database)
    config_cache = ConfigCache(registry, compiler_of(harness), harness.clock)
    sources = SourceCache(config_cache, gateway.vault, gateway.source_cache.providers)
    token = gateway.vault.seal("token", "src_1")
    source = Source(
        id="src_1",
        scope="app_1",
        name="old",
        provider="stripe",
        token=token,
        token_hash=hash_key("token"),
        created_at=1,
        updated_at=1,
    )
    await config_cache.add(source)
    refreshing = asyncio.create_task(config_cache.refresh(Source, "app_1", "src_1"))
    await registry.has_read.wait()
    await config_cache.change(
        Source, "app_1", "src_1", lambda present: msgspec.structs.replace(present, name="new")
    )
    registry.may_answer.set()
    await refreshing

    live = sources.compiled("src_1")
    assert live is not None
    assert live.source.name == "new"
