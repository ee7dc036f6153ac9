"""Waits until a gateway in this process has nothing left to process."""

from __future__ import annotations

from tillbell.app import Gateway

WAKINGS = 4  # a callback may wake one that waits, which may wake another


async def callbacks_processed(gateway: Gateway) -> None:
    """Wait until no callback is being processed, and none that waited has been woken."""
    for _ in range(WAKINGS):
        await gateway.processor.wait_idle()
        await gateway.unmatched_callbacks.wait_idle()
