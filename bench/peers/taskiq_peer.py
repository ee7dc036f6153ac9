"""Taskiq with Redis and aiohttp."""

from __future__ import annotations

import asyncio

import aiohttp
from taskiq import TaskiqEvents, TaskiqState
from taskiq_redis import ListQueueBroker

from bench.peers import delivery

broker = ListQueueBroker(url=delivery.REDIS)
_loop = asyncio.new_event_loop()  # of the publisher; a worker has its own


@broker.on_event(TaskiqEvents.WORKER_STARTUP)
async def _open_session(state: TaskiqState) -> None:
    state.session = aiohttp.ClientSession()


@broker.on_event(TaskiqEvents.WORKER_SHUTDOWN)
async def _close_session(state: TaskiqState) -> None:
    await state.session.close()


@broker.task
async def deliver(text: str) -> None:
    """Deliver one message."""
    body = text.encode()
    headers = delivery.signed_headers(body)
    async with broker.state.session.post(delivery.URL, data=body, headers=headers) as answer:
        answer.raise_for_status()
        await answer.read()


def enqueue(texts: list[str]) -> None:
    """Hand messages to the workers, many at once as an asynchronous publisher would."""
    _loop.run_until_complete(_enqueue(texts))


async def _enqueue(texts: list[str]) -> None:
    await asyncio.gather(*(deliver.kiq(text) for text in texts))
