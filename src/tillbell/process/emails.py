"""E-mails: decides what a mail service's notice does. Notices come in any order, and repeated.

| a notice | does |
| --- | --- |
| sent, delivered, bounced, complained | moves the e-mail on, and is published |
| one of these that comes too late, or again | nothing |
| opened, clicked, delayed | is published |
| a permanent bounce, a complaint | suppresses the address, even if it comes late |
| an event of a batch that came before | nothing |

Where the mail service tells the recipients apart, each copy of an e-mail has a record of its own.
"""

from __future__ import annotations

from typing import Any

import msgspec

from tillbell.clock import Micros, iso
from tillbell.model.callbacks import EmailNotice, Outcome
from tillbell.model.emails import Email, Suppression
from tillbell.process.decision import Decision
from tillbell.receive.source_cache import CompiledSource
from tillbell.rules.payments.lifecycles import judge_email, suppression_reason
from tillbell.storage.ports.database import Database


class EmailDecider:
    """Decides about e-mails and suppressed addresses. It records on the decision alone."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def decide(
        self, decision: Decision, compiled: CompiledSource, notice: EmailNotice
    ) -> None:
        """Record what follows from a notice."""
        source = compiled.source
        if await self._is_repeat(decision, compiled, notice.event_key):
            decision.add_outcome(Outcome.DUPLICATE, "The event was sent before.")
            return
        uid = _uid(source.provider, notice)
        email = decision.written_record(Email, uid)
        if email is None:
            email = await self._database.get(Email, uid, source.scope)
        judged = judge_email(email.status if email is not None else None, notice.event)
        suppressed = await self._suppress_all(decision, compiled, notice)
        decision.add_outcome(judged.outcome, f"{judged.why}{suppressed}")
        if judged.outcome is Outcome.APPLIED:
            before = email or _new_email(decision, compiled, notice, uid)
            after = _moved_on(before, source.id, notice, decision.now)
            decision.write_record(after, before.version)
        if suppressed or judged.outcome in (Outcome.APPLIED, Outcome.NOTED):
            decision.publish_event(f"email.{notice.event}", _data(notice))

    async def _is_repeat(
        self, decision: Decision, compiled: CompiledSource, event_key: str | None
    ) -> bool:
        """Tell whether an event came before; remember it otherwise. None: it has no key."""
        if event_key is None:
            return False
        source = compiled.source
        if not await self._database.new_item_keys(source.scope, source.id, [event_key]):
            return True
        decision.write_item_keys(source.id, [event_key])
        return False

    # ── suppressed addresses ─────────────────────────────────────────────────────────────────────

    async def _suppress_all(
        self, decision: Decision, compiled: CompiledSource, notice: EmailNotice
    ) -> str:
        """Suppress the addresses where there is a reason; say how many are new, "" if none is."""
        reason = suppression_reason(notice)
        if reason is None:
            return ""
        count = 0
        for address in notice.to:
            count += await self._suppress(decision, compiled, notice, reason, address)
        return f" {count} of {len(notice.to)} addresses were suppressed." if count else ""

    async def _suppress(
        self,
        decision: Decision,
        compiled: CompiledSource,
        notice: EmailNotice,
        reason: str,
        address: str,
    ) -> bool:
        """Suppress an address; False if it is suppressed already."""
        uid, source = address.strip().lower(), compiled.source
        if decision.written_record(Suppression, uid) is not None:
            return False
        if await self._database.get(Suppression, uid, source.scope) is not None:
            return False
        suppression = Suppression(
            id=decision.new_id("sup"),
            scope=source.scope,
            uid=uid,
            created_at=decision.now,
            updated_at=decision.now,
            reason=reason,
            source_id=source.id,
            email_id=notice.email_id,
        )
        decision.write_record(suppression, 0)
        return True


def _uid(provider: str, notice: EmailNotice) -> str:
    uid = f"{provider}:{notice.email_id}"
    return uid if notice.recipient is None else f"{uid}:{notice.recipient.strip().lower()}"


def _new_email(
    decision: Decision, compiled: CompiledSource, notice: EmailNotice, uid: str
) -> Email:
    return Email(
        id=decision.new_id("eml"),
        scope=compiled.source.scope,
        uid=uid,
        created_at=decision.now,
        email_id=notice.email_id,
        status="",
        version=0,
    )


def _moved_on(before: Email, source_id: str, notice: EmailNotice, now: Micros) -> Email:
    return msgspec.structs.replace(
        before,
        status=notice.event,
        to=notice.to or before.to,
        order_id=_order_id(notice) or before.order_id,
        reason=notice.reason or before.reason,
        source_id=source_id,
        news_at=notice.occurred_at or before.news_at,
        updated_at=now,
        version=before.version + 1,
    )


def _order_id(notice: EmailNotice) -> str | None:
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
