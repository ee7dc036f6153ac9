"""Other notices: decides what a notice does that is not about a transaction.

| a notice of | does |
| --- | --- |
| a parcel, e-mail, order, product, customer | changes its record and is published with it |
| another gateway's event, analytics | is published |
"""

from __future__ import annotations

from typing import Any

import msgspec

from tillbell.clock import Micros, iso
from tillbell.model.callbacks import (
    AnalyticsNotice,
    EmailNotice,
    ForwardNotice,
    NoteNotice,
    Notice,
    OrderNotice,
    Outcome,
    RecordNotice,
    ShipmentNotice,
)
from tillbell.model.shipments import Shipment
from tillbell.model.sources import Trust
from tillbell.process.decision import Decision
from tillbell.process.emails import EmailDecider
from tillbell.process.shop_notices import decide_order, decide_record
from tillbell.receive.source_cache import CompiledSource
from tillbell.rules.payments.lifecycles import DELIVERED, ParcelState, judge_parcel, shipment_event
from tillbell.storage.ports.database import Database


class OtherNoticeDecider:
    """Decides about everything but transactions. It records on the decision alone."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._emails = EmailDecider(database)

    async def decide(
        self, decision: Decision, compiled: CompiledSource, trust: Trust, notice: Notice
    ) -> None:
        """Record what follows from a notice."""
        if isinstance(notice, ShipmentNotice):
            await self._decide_parcel(decision, compiled, notice)
        elif isinstance(notice, EmailNotice):
            await self._emails.decide(decision, compiled, notice)
        elif isinstance(notice, OrderNotice):
            await decide_order(self._database, decision, compiled, trust, notice)
        elif isinstance(notice, RecordNotice):
            await decide_record(self._database, decision, compiled, notice)
        elif isinstance(notice, ForwardNotice):
            await self._pass_on(decision, compiled, notice)
        elif isinstance(notice, NoteNotice):
            decision.add_outcome(Outcome.NOTED, notice.text)

    async def decide_analytics(
        self, decision: Decision, compiled: CompiledSource, items: list[AnalyticsNotice]
    ) -> None:
        """Publish a batch of analytics, without the items that came before."""
        source = compiled.source
        item_keys = list(dict.fromkeys(item.item_key for item in items))
        new_keys = await self._database.new_item_keys(source.scope, source.id, item_keys)
        new_items = {item.item_key: item for item in items if item.item_key in new_keys}
        for item in new_items.values():
            decision.publish_event(f"analytics.{item.event}", item.data)
        decision.write_item_keys(source.id, new_items)
        if new_items:
            decision.add_outcome(Outcome.NOTED, f"{len(new_items)} of {len(items)} items are new.")
        else:
            decision.add_outcome(Outcome.DUPLICATE, "Every item was sent before.")

    async def _pass_on(
        self, decision: Decision, compiled: CompiledSource, notice: ForwardNotice
    ) -> None:
        source, key = compiled.source, notice.event_key
        if key is not None:
            if not await self._database.new_item_keys(source.scope, source.id, [key]):
                decision.add_outcome(Outcome.DUPLICATE, f"Event {key[:100]} was passed on before.")
                return
            decision.write_item_keys(source.id, [key])
        decision.publish_payload(notice.event_type, notice.payload)
        decision.add_outcome(Outcome.NOTED, f"Passed on as {notice.event_type}.")

    async def _decide_parcel(
        self, decision: Decision, compiled: CompiledSource, notice: ShipmentNotice
    ) -> None:
        source = compiled.source
        uid = f"{source.provider}:{notice.tracking_number}"
        shipment = decision.written_record(Shipment, uid)
        if shipment is None:
            shipment = await self._database.get(Shipment, uid, source.scope)
        judged = judge_parcel(_parcel_state(shipment), notice)
        decision.add_outcome(judged.outcome, judged.why)
        if judged.outcome is not Outcome.APPLIED:
            return
        before = shipment or _new_shipment(decision, compiled, notice, uid)
        after = _moved_on(before, source.id, notice, decision.now)
        decision.write_record(after, before.version)
        extra = {"previousStatus": before.status or None, "message": notice.message}
        decision.publish_event(shipment_event(after.status), shipment_data(after) | extra)


def _new_shipment(
    decision: Decision, compiled: CompiledSource, notice: ShipmentNotice, uid: str
) -> Shipment:
    return Shipment(
        id=decision.new_id("shp"),
        scope=compiled.source.scope,
        uid=uid,
        created_at=decision.now,
        carrier=notice.carrier or compiled.source.provider,
        tracking_number=notice.tracking_number,
        status="",
        version=0,
    )


def _moved_on(before: Shipment, source_id: str, notice: ShipmentNotice, now: Micros) -> Shipment:
    assert notice.status is not None, "only a status that a table knows is applied"
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


def _parcel_state(shipment: Shipment | None) -> ParcelState | None:
    if shipment is None:
        return None
    return ParcelState(
        status=shipment.status,
        substate=shipment.substate,
        at=shipment.news_at,
        sequence=shipment.news_sequence,
    )


def shipment_data(shipment: Shipment) -> dict[str, Any]:
    """Return `data` of `shipment.*` messages. The API shows the same."""
    delivered_at, news_at = shipment.delivered_at, shipment.news_at
    estimated = shipment.estimated_delivery_at
    return {
        "id": shipment.id,
        "status": shipment.status,
        "previousStatus": None,
        "substate": shipment.substate,
        "orderId": shipment.reference,
        "carrier": shipment.carrier,
        "trackingNumber": shipment.tracking_number,
        "trackingUrl": shipment.tracking_url,
        "rawStatus": shipment.raw_status,
        "message": None,
        "estimatedDeliveryAt": iso(estimated) if estimated is not None else None,
        "deliveredAt": iso(delivered_at) if delivered_at is not None else None,
        "metadata": shipment.metadata,
        "occurredAt": iso(news_at) if news_at is not None else None,
    }
