"""A sender and a receiver on loopback. Everything here is real but the names."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping

import pytest
import uvloop

from tests.sender.post import Post
from tillbell.clock import SystemClock
from tillbell.http.address_policy import AddressPolicy
from tillbell.http.client import HttpClient
from tillbell.http.resolver import Resolver
from tillbell.testing.dns import StubDns
from tillbell.testing.receiver import Receiver


def pytest_asyncio_loop_factories(
    config: pytest.Config, item: pytest.Item
) -> Mapping[str, Callable[[], asyncio.AbstractEventLoop]]:
    """Run every asynchronous test on the loop we ship and on the one we fall back to."""
    return {"uvloop": uvloop.new_event_loop, "asyncio": asyncio.new_event_loop}


@pytest.fixture
async def receiver() -> AsyncIterator[Receiver]:
    async with Receiver() as running:
        yield running


@pytest.fixture
async def names() -> AsyncIterator[StubDns]:
    async with StubDns() as running:
        yield running


@pytest.fixture
async def sender(names: StubDns) -> AsyncIterator[HttpClient]:
    policy = AddressPolicy(("127.0.0.0/8",), allow_http=True)
    made = HttpClient(policy, Resolver([names.server], timeout_s=2), SystemClock())
    yield made
    await made.close()


@pytest.fixture
def post(sender: HttpClient) -> Post:
    return Post(sender)
