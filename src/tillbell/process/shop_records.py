"""Shop records: what the shop itself puts, changes and removes, by the API.

Each is one decision: record and messages are one commit, decided again if another write came first.
"""

from __future__ import annotations

from typing import Generic, NamedTuple, TypeVar

from tillbell.errors import NotFound
from tillbell.model.shop import ShopDocument
from tillbell.process.decision import DecidedBy, Decision
from tillbell.process.decisions import Decisions
from tillbell.process.order_payments import create_document
from tillbell.process.shop_documents import (
    News,
    is_late,
    remove,
    rewrite,
    written,
)

D = TypeVar("D", bound=ShopDocument)


class PutRecord(NamedTuple, Generic[D]):
    """A record after it was put, and whether it is new."""

    record: D
    is_new: bool


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
