"""`tillbell serve` that falls silent at a point of a callback's life, to be killed there.

Run as `python -m tests.walks.killable_gateway`, set up by variables. It prints its address, and
`here` when a callback has reached its point. The point is the name of the order in the callback:

| order | what is stored |
| --- | --- |
| received | the callback; it was answered, and nobody has looked at it |
| decided | the same; what follows from it is known, and not stored |
| committed | the step, its effect and its message; no delivery has begun |
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import replace
from typing import Any, cast

from tillbell.app import Gateway
from tillbell.cli.flags import load_settings
from tillbell.cli.running import run_gateway, run_loop
from tillbell.model.callbacks import Callback, Notice, TransactionNotice
from tillbell.model.transactions import Transaction
from tillbell.process.process import CallbackProcessor
from tillbell.receive.receive import NoCallbackHandler
from tillbell.storage.ports.database import Database
from tillbell.storage.ports.inbound import ChangesCommitted, ChangeSet, PreconditionFailed

POINTS = ("received", "decided", "committed")


async def _fall_silent() -> None:
    print("here", flush=True)
    await asyncio.Event().wait()


class SilentDatabase:
    """A database that falls silent before or after a decision is stored."""

    def __init__(self, database: Database, *, is_stored: bool) -> None:
        self._database = database
        self._is_stored = is_stored

    def __getattr__(self, name: str) -> Any:
        return getattr(self._database, name)

    async def commit_changes(self, change_set: ChangeSet) -> ChangesCommitted | PreconditionFailed:
        if self._is_stored:
            assert await self._database.commit_changes(change_set) == ChangesCommitted()
        await _fall_silent()
        raise AssertionError("killed before")


def _processor(gateway: Gateway, *, is_stored: bool) -> CallbackProcessor:
    database = cast("Database", SilentDatabase(gateway.database, is_stored=is_stored))
    decisions = replace(gateway.decisions, database=database)
    return CallbackProcessor(decisions, gateway.source_cache)


class FallSilent(NoCallbackHandler):
    """Goes as far with a callback as its order says."""

    def __init__(self, gateway: Gateway) -> None:
        self._processors = {
            "decided": _processor(gateway, is_stored=False),
            "committed": _processor(gateway, is_stored=True),
        }

    def hand_over(
        self,
        callback: Callback,
        notices: Sequence[Notice],
        *,
        is_again: bool = False,
        candidates: Sequence[Transaction] | None = None,
    ) -> None:
        """Begin, or leave it where it is."""
        (notice,) = notices
        assert isinstance(notice, TransactionNotice)
        point = notice.references.ours[0]
        if point == "received":
            print("here", flush=True)
        else:
            self._processors[point].hand_over(
                callback, notices, is_again=is_again, candidates=candidates
            )


async def _serve() -> None:
    async with run_gateway(load_settings(None).settings) as up:
        up.gateway.receiver.processor = FallSilent(up.gateway)
        print(up.url, flush=True)
        await asyncio.Event().wait()


if __name__ == "__main__":
    run_loop(_serve())
