"""Celery with Redis and requests, acknowledging late as a careful user would have it."""

from __future__ import annotations

from celery import Celery

from bench.peers import delivery

app = Celery("peer", broker=delivery.REDIS)
app.conf.update(
    task_acks_late=True,
    task_ignore_result=True,
    worker_prefetch_multiplier=16,
    broker_connection_retry_on_startup=True,
)


@app.task
def deliver(text: str) -> None:
    """Deliver one message."""
    delivery.post(text)


def enqueue(texts: list[str]) -> None:
    """Hand messages to the workers."""
    for text in texts:
        deliver.delay(text)
