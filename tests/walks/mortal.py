"""`tillbell serve` that falls silent at a point of a callback's life, to be killed there.

Run as `python -m tests.walks.mortal`, set up by variables. It prints its address, and `here`
when a callback has reached its point. The point is the name of the order that it tells of:

| order | what is stored |
| --- | --- |
| received | the callback; it was answered, and nobody has looked at it |
| decided | the same; what follows from it is known, and not stored |
| committed | the step, its effect and its message; no delivery has begun |
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import fields

from tillbell.app import Gateway
from tillbell.cli.flags import load_settings
from tillbell.cli.running import run_gateway, run_loop
from tillbell.model.callbacks import Callback, Notice, TransactionNotice
from tillbell.process.decision import Decision
from tillbell.process.decisions import Decisions
from tillbell.process.process import CallbackProcessor
from tillbell.receive.receive import NoCallbackHandler
from tillbell.storage.ports.inbound import PreconditionFailed

POINTS = ("received", "decided", "committed")


async def _fall_silent() -> None:
    print("here", flush=True)
    await asyncio.Event().wait()


class Undecided(Decisions):
    """Files nothing."""

    async def commit(self, desk: Decision) -> PreconditionFailed | None:
        """Fall silent with a decision at hand."""
        del desk
        await _fall_silent()
        return None


class Forgetful(Decisions):
    """Files a decision, and forgets what it was to do then."""

    async def commit(self, desk: Decision) -> PreconditionFailed | None:
        """Store it and fall silent."""
        outcome = await self.database.commit_changes(desk.change_set())
        assert not isinstance(outcome, PreconditionFailed)
        await _fall_silent()
        return None


class Mortal(NoCallbackHandler):
    """Goes as far with a callback as its order says."""

    def __init__(self, gateway: Gateway) -> None:
        office = {field.name: getattr(gateway.decisions, field.name) for field in fields(Decisions)}
        self._processors = {
            "decided": CallbackProcessor(Undecided(**office)),
            "committed": CallbackProcessor(Forgetful(**office)),
        }

    def hand_over(self, callback: Callback, notices: Sequence[Notice]) -> None:
        """Begin, or leave it where it is."""
        (notice,) = notices
        assert isinstance(notice, TransactionNotice)
        point = notice.references.ours[0]
        if point == "received":
            print("here", flush=True)
        else:
            self._processors[point].hand_over(callback, notices)


async def _serve() -> None:
    async with run_gateway(load_settings(None).settings) as up:
        up.gateway.receiver.processor = Mortal(up.gateway)
        print(up.url, flush=True)
        await asyncio.Event().wait()


if __name__ == "__main__":
    run_loop(_serve())
