"""The postman: what news of e-mails does. Mail services send it in any order, and more than once.

| news | does |
| --- | --- |
| sent, delivered, bounced, complained | moves the e-mail on, and is told |
| that comes too late, or again | nothing |
| opened, clicked, delayed | is told |
| a permanent bounce, a complaint | the address is not to be written to again, however late |
"""

from __future__ import annotations

from typing import Any

import msgspec

from tillbell.clock import iso
from tillbell.ids import IdMaker
from tillbell.model.callbacks import EmailNotice, Outcome
from tillbell.model.emails import Email, Suppression
from tillbell.process.decision import Decision
from tillbell.receive.source_cache import CompiledSource
from tillbell.rules.payments.lifecycles import judge_email, suppression_reason
from tillbell.storage.ports.database import Database


class EmailDecider:
    """Puts on a desk what follows from news of e-mails."""

    def __init__(self, database: Database, ids: IdMaker) -> None:
        self._database = database
        self._ids = ids

    async def decide(self, desk: Decision, live: CompiledSource, notice: EmailNotice) -> None:
        """Take one notice."""
        uid = f"{live.source.provider}:{notice.email_id}"
        present = desk.written_record(Email, uid)
        if present is None:
            present = await self._database.get(Email, uid, live.source.scope)
        moved = judge_email(present.status if present is not None else None, notice.event)
        added = await self._suppress_all(desk, live, notice)
        desk.add_outcome(moved.outcome, f"{moved.why}{added}")
        if moved.outcome is Outcome.APPLIED:
            before = present or self._new(desk, live, notice, uid)
            desk.write_record(
                _news_applies(before, live.source.id, notice, desk.now), before.version
            )
        if added or moved.outcome in (Outcome.APPLIED, Outcome.NOTED):
            desk.publish_event(f"email.{notice.event}", _data(notice))

    def _new(self, desk: Decision, live: CompiledSource, notice: EmailNotice, uid: str) -> Email:
        return Email(
            id=self._ids.new("eml", desk.now),
            scope=live.source.scope,
            uid=uid,
            created_at=desk.now,
            email_id=notice.email_id,
            status="",
            version=0,
        )

    # ── addresses that do not want mail ──────────────────────────────────────────────────────────

    async def _suppress_all(self, desk: Decision, live: CompiledSource, notice: EmailNotice) -> str:
        """Keep the addresses; say how many are new, "" if none is."""
        reason = suppression_reason(notice)
        if reason is None:
            return ""
        added = [a for a in notice.to if await self._suppress(desk, live, notice, a)]
        count = f"{len(added)} of {len(notice.to)}"
        return f" Not to be written to again: {count}." if added else ""

    async def _suppress(
        self, desk: Decision, live: CompiledSource, notice: EmailNotice, address: str
    ) -> bool:
        uid = address.strip().lower()
        if desk.written_record(Suppression, uid) is not None:
            return False
        if await self._database.get(Suppression, uid, live.source.scope) is not None:
            return False
        record = Suppression(
            id=self._ids.new("sup", desk.now),
            scope=live.source.scope,
            uid=uid,
            created_at=desk.now,
            updated_at=desk.now,
            reason=suppression_reason(notice) or "",
            source_id=live.source.id,
            email_id=notice.email_id,
        )
        desk.write_record(record, 0)
        return True


def _news_applies(before: Email, source_id: str, notice: EmailNotice, now: int) -> Email:
    return msgspec.structs.replace(
        before,
        status=notice.event,
        to=notice.to or before.to,
        order_id=_order_of(notice) or before.order_id,
        reason=notice.reason or before.reason,
        source_id=source_id,
        news_at=notice.occurred_at or before.news_at,
        updated_at=now,
        version=before.version + 1,
    )


def _order_of(notice: EmailNotice) -> str | None:
    order = notice.metadata.get("order")
    return str(order) if order is not None else None


def _data(notice: EmailNotice) -> dict[str, Any]:
    return {
        "id": notice.email_id,
        "from": notice.sender,
        "to": list(notice.to),
        "subject": notice.subject,
        "reason": notice.reason,
        "bounceType": notice.bounce_type,
        "url": notice.url,
        "orderId": notice.metadata.get("order"),
        "metadata": notice.metadata,
        "occurredAt": iso(notice.occurred_at) if notice.occurred_at is not None else None,
    }
