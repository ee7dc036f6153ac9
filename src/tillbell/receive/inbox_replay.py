"""Replay: what came to an inbox is received by a source, in its order, as if it had come there."""

from __future__ import annotations

import asyncio
from typing import NamedTuple

from tillbell.model.inboxes import Inbox
from tillbell.receive.inbox_requests import BYTES_MAX, InboxIntake
from tillbell.receive.receive import CallbackReceiver
from tillbell.receive.source_cache import CompiledSource
from tillbell.receive.verify_and_parse import verify_and_parse
from tillbell.storage.ports.database import Database
from tillbell.storage.ports.inboxes import InboxFilter
from tillbell.storage.ports.outbound import Page

_BATCH = 20  # requests with their bodies


class InboxReplayReport(NamedTuple):
    """What became of the requests of an inbox."""

    callbacks: int = 0  # stored, the refused ones too
    refused: int = 0  # not proven
    skipped: int = 0  # of a method that the provider does not use
    why: str = ""  # of the last that was refused


class InboxReplay:
    """Receives stored requests again."""

    def __init__(self, database: Database, intake: InboxIntake, receiver: CallbackReceiver) -> None:
        self._database = database
        self._intake = intake
        self._receiver = receiver

    async def replay(
        self, inbox: Inbox, compiled: CompiledSource, origin: str
    ) -> InboxReplayReport:
        """Receive all requests of an inbox for a source, the oldest first.

        Each is verified as of the time at which it came, and keeps that time.
        """
        report, page = InboxReplayReport(), Page(_BATCH, ascending=True)
        while True:
            rows = await self._database.inbox_requests(
                inbox.id, InboxFilter(body_max=BYTES_MAX), page
            )
            for row in rows:
                if row.method not in compiled.provider.methods:
                    report = report._replace(skipped=report.skipped + 1)
                    continue
                if self._receiver.refusal is not None:
                    raise self._receiver.refusal
                incoming = self._intake.opened(row).incoming(origin)
                reading = await asyncio.to_thread(verify_and_parse, compiled, incoming)
                await self._receiver.store_reading(compiled, incoming, reading)
                report = report._replace(callbacks=report.callbacks + 1)
                if reading.trust is None:
                    report = report._replace(refused=report.refused + 1, why=reading.verdict_why)
            if len(rows) < _BATCH:
                return report
            page = page._replace(iterator=rows[-1].id)
