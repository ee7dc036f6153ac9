"""Shop records: what the shop itself puts, changes and removes, by the API.

Each is one decision: record and messages are one commit, decided again if another write came first.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Mapping
from typing import Generic, NamedTuple, TypeVar

from tillbell.errors import NotFound
from tillbell.model.shop import ShopDocument
from tillbell.process.decision import DecidedBy, Decision
from tillbell.process.decisions import Decisions
from tillbell.process.order_payments import create_document, expect_payments_of_new
from tillbell.process.shop_documents import (
    PREFIXES,
    News,
    is_late,
    remove,
    rewrite,
    written,
)

D = TypeVar("D", bound=ShopDocument)

_TURN = 25  # records that are decided in one turn of the event loop: a few milliseconds


class PutRecord(NamedTuple, Generic[D]):
    """A record after it was put, and whether it is new."""

    record: D
    is_new: bool


class PutCounts(NamedTuple):
    """What was done with many records that were put."""

    created: int = 0
    changed: int = 0
    unchanged: int = 0


class ShopRecords:
    """Puts, changes and removes records."""

    def __init__(self, decisions: Decisions) -> None:
        self._decisions = decisions
        self._database = decisions.database

    async def put(
        self, app_id: str, kind: type[D], uid: str, news: News, actor: str
    ) -> PutRecord[D]:
        """Replace what the shop says of a record, or create it. Older news changes nothing."""

        async def decide(decision: Decision) -> PutRecord[D]:
            record = await written(self._database, decision, kind, uid)
            if record is None:
                self._decisions.check_accepting()
                created = await create_document(self._database, decision, kind, uid, news)
                return PutRecord(created, is_new=True)
            if is_late(record, news):
                return PutRecord(record, is_new=False)
            return PutRecord(rewrite(decision, record, news.data, news), is_new=False)

        return await self._decisions.commit(app_id, DecidedBy(actor=actor), decide)

    async def put_many(
        self, app_id: str, kind: type[D], news_of: Mapping[str, News], actor: str
    ) -> PutCounts:
        """Replace or create records in one commit, by their uids: all of them, or none."""

        async def decide(decision: Decision) -> PutCounts:
            await expect_payments_of_new(self._database, decision, kind, list(news_of))
            stored = {
                record.uid: record
                for record in await self._database.shop_records_with(kind, app_id, list(news_of))
            }
            counts = Counter[str]()
            for number, (uid, news) in enumerate(news_of.items(), 1):
                if number % _TURN == 0:
                    await asyncio.sleep(0)
                record = stored.get(uid)
                if record is None and uid.startswith(f"{PREFIXES[kind]}_"):
                    record = await written(self._database, decision, kind, uid)  # our own id
                if record is None:
                    self._decisions.check_accepting()
                    await create_document(self._database, decision, kind, uid, news)
                    counts["created"] += 1
                elif is_late(record, news) or rewrite(decision, record, news.data, news) is record:
                    counts["unchanged"] += 1
                else:
                    counts["changed"] += 1
            return PutCounts(**counts)

        return await self._decisions.commit(app_id, DecidedBy(actor=actor), decide)

    async def patch(self, app_id: str, kind: type[D], id_or_uid: str, news: News, actor: str) -> D:
        """Change the named members; None removes one. `NotFound` if there is no such record."""

        async def decide(decision: Decision) -> D:
            record = await self._present(decision, kind, id_or_uid)
            if is_late(record, news):
                return record
            return rewrite(decision, record, {**record.data, **news.data}, news)

        return await self._decisions.commit(app_id, DecidedBy(actor=actor), decide)

    async def remove(
        self, app_id: str, kind: type[ShopDocument], id_or_uid: str, actor: str
    ) -> None:
        """Remove a product or customer, and publish it. `NotFound` if there is none."""

        async def decide(decision: Decision) -> None:
            record = await self._present(decision, kind, id_or_uid)
            remove(decision, record)

        await self._decisions.commit(app_id, DecidedBy(actor=actor), decide)

    async def _present(self, decision: Decision, kind: type[D], id_or_uid: str) -> D:
        record = await written(self._database, decision, kind, id_or_uid)
        if record is None:
            raise NotFound(f"There is no such {kind.__name__.lower()}.")
        return record
