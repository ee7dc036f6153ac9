"""Dramatiq with Redis and requests."""

from __future__ import annotations

import dramatiq
from dramatiq.brokers.redis import RedisBroker

from bench.peers import delivery

dramatiq.set_broker(RedisBroker(url=delivery.REDIS))


@dramatiq.actor
def deliver(text: str) -> None:
    """Deliver one message."""
    delivery.post(text)


def enqueue(texts: list[str]) -> None:
    """Hand messages to the workers."""
    for text in texts:
        deliver.send(text)
