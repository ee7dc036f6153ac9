"""Hearing: what notices do that are not about a transaction.

Parcels and e-mails are records that change with the message that tells of it, in one commit.
Orders, events of other gateways and analytics are passed on as messages. An order that says money
moved is held to the same proof as a transaction.
"""

from __future__ import annotations

from typing import Any

import msgspec

from tillbell.clock import Micros, iso
from tillbell.ids import IdMaker
from tillbell.model.callbacks import (
    AnalyticsNotice,
    EmailNotice,
    ForwardNotice,
    NoteNotice,
    Notice,
    OrderNotice,
    Outcome,
    ShipmentNotice,
)
from tillbell.model.shipments import Shipment
from tillbell.model.sources import Trust
from tillbell.process.decision import Decision
from tillbell.process.emails import EmailDecider
from tillbell.receive.source_cache import CompiledSource
from tillbell.rules.payments.lifecycles import DELIVERED, ParcelState, judge_parcel, shipment_event
from tillbell.rules.payments.trust import confirmation_policy, reason_unproven
from tillbell.storage.ports.database import Database


class OtherNoticeDecider:
    """Puts on a desk what follows from notices that are not about a transaction."""

    def __init__(self, database: Database, ids: IdMaker) -> None:
        self._database = database
        self._ids = ids
        self._emails = EmailDecider(database, ids)

    async def decide(
        self, desk: Decision, live: CompiledSource, trust: Trust, notice: Notice
    ) -> None:
        """Take one notice."""
        if isinstance(notice, ShipmentNotice):
            await self._parcel(desk, live, notice)
        elif isinstance(notice, EmailNotice):
            await self._emails.decide(desk, live, notice)
        elif isinstance(notice, OrderNotice):
            _order(desk, live, trust, notice)
        elif isinstance(notice, ForwardNotice):
            desk.publish_payload(notice.event_type, notice.payload)
            desk.add_outcome(Outcome.NOTED, f"Passed on as {notice.event_type}.")
        elif isinstance(notice, NoteNotice):
            desk.add_outcome(Outcome.NOTED, notice.text)

    async def decide_analytics(
        self, desk: Decision, live: CompiledSource, items: list[AnalyticsNotice]
    ) -> None:
        """Take a batch of analytics; items that came before are left out."""
        source_id = live.source.id
        keys = list(dict.fromkeys(item.item_key for item in items))
        unseen = await self._database.new_item_keys(live.source.scope, source_id, keys)
        new = {item.item_key: item for item in items if item.item_key in unseen}
        for item in new.values():
            desk.publish_event(f"analytics.{item.event}", item.data)
        desk.new_item_keys = tuple((source_id, key) for key in new)
        if desk.new_item_keys:
            desk.add_outcome(
                Outcome.NOTED, f"{len(desk.new_item_keys)} of {len(items)} items are new."
            )
        else:
            desk.add_outcome(Outcome.DUPLICATE, "Every item was sent before.")

    # ── parcels ──────────────────────────────────────────────────────────────────────────────────

    async def _parcel(self, desk: Decision, live: CompiledSource, notice: ShipmentNotice) -> None:
        uid = f"{live.source.provider}:{notice.tracking_number}"
        present = desk.written_record(Shipment, uid)
        if present is None:
            present = await self._database.get(Shipment, uid, live.source.scope)
        moved = judge_parcel(_parcel_of(present), notice)
        desk.add_outcome(moved.outcome, moved.why)
        if moved.outcome is not Outcome.APPLIED:
            return
        before = present or self._new_parcel(desk, live, notice)
        after = _news_applies(before, live.source.id, notice, desk.now)
        desk.write_record(after, before.version)
        told = {"previousStatus": before.status or None, "message": notice.message}
        desk.publish_event(shipment_event(after.status), shipment_data(after) | told)

    def _new_parcel(self, desk: Decision, live: CompiledSource, notice: ShipmentNotice) -> Shipment:
        carrier = live.source.provider
        return Shipment(
            id=self._ids.new("shp", desk.now),
            scope=live.source.scope,
            uid=f"{carrier}:{notice.tracking_number}",
            created_at=desk.now,
            carrier=carrier,
            tracking_number=notice.tracking_number,
            status="",
            version=0,
        )


def _order(desk: Decision, live: CompiledSource, trust: Trust, notice: OrderNotice) -> None:
    why = (
        reason_unproven(trust, confirmation_policy(live.config), is_hint=False)
        if notice.moves_money
        else None
    )
    if why is not None:
        desk.add_outcome(Outcome.NOTED, why)
        return
    desk.publish_event(notice.event_type, notice.data)
    desk.add_outcome(Outcome.NOTED, f"Passed on as {notice.event_type}.")


def _news_applies(
    before: Shipment, source_id: str, notice: ShipmentNotice, now: Micros
) -> Shipment:
    assert notice.status is not None, "only what a table knows is applied"
    sequence = notice.sequence if notice.sequence is not None else before.news_sequence
    is_delivered = notice.status == DELIVERED
    return msgspec.structs.replace(
        before,
        status=notice.status,
        substate=notice.substate,
        raw_status=notice.raw_status,
        reference=notice.reference or before.reference,
        source_id=source_id,
        news_at=notice.occurred_at or before.news_at,
        news_sequence=sequence,
        delivered_at=(notice.occurred_at or now) if is_delivered else before.delivered_at,
        updated_at=now,
        version=before.version + 1,
    )


def _parcel_of(record: Shipment | None) -> ParcelState | None:
    if record is None:
        return None
    return ParcelState(record.status, record.substate, record.news_at, record.news_sequence)


def shipment_data(found: Shipment) -> dict[str, Any]:
    """Return `data` of `shipment.*` messages; the API shows the same."""
    return {
        "id": found.id,
        "status": found.status,
        "previousStatus": None,
        "substate": found.substate,
        "orderId": found.reference,
        "carrier": found.carrier,
        "trackingNumber": found.tracking_number,
        "trackingUrl": None,
        "rawStatus": found.raw_status,
        "message": None,
        "estimatedDeliveryAt": None,
        "deliveredAt": iso(found.delivered_at) if found.delivered_at is not None else None,
        "metadata": {},
        "occurredAt": iso(found.news_at) if found.news_at is not None else None,
    }
