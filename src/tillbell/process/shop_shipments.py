"""Shop shipments: what the shop itself says of a parcel, beside its carrier.

Both write the same record by the same rules: a parcel that has arrived does not move again.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

import msgspec

from tillbell.errors import ConflictError, NotFound
from tillbell.model.shipments import Shipment
from tillbell.process.decision import DecidedBy, Decision
from tillbell.process.decisions import Decisions
from tillbell.process.other_notices import shipment_data
from tillbell.rules.payments.lifecycles import CREATED, DELIVERED, MOVES, shipment_event

# What replacing a parcel resets unless it is named.
_UNSET: Mapping[str, Any] = {
    "substate": None,
    "reference": None,
    "tracking_url": None,
    "estimated_delivery_at": None,
    "metadata": {},
}


class PutShipment(NamedTuple):
    """A parcel after it was put, and whether it is new."""

    shipment: Shipment
    is_new: bool


class ShopShipments:
    """Puts and changes parcels. `fields` are fields of the record by name."""

    def __init__(self, decisions: Decisions) -> None:
        self._decisions = decisions
        self._database = decisions.database

    async def put(
        self, app_id: str, uid: str, fields: Mapping[str, Any], actor: str
    ) -> PutShipment:
        """Replace a parcel, or create it. `ConflictError` if its status cannot follow."""

        async def decide(decision: Decision) -> PutShipment:
            before = await self._database.get(Shipment, uid, app_id)
            if before is not None:
                return PutShipment(_changed(decision, before, {**_UNSET, **fields}), is_new=False)
            self._decisions.check_accepting()
            new = Shipment(
                id=decision.new_id("shp"),
                scope=app_id,
                uid=uid,
                created_at=decision.now,
                version=0,
                carrier="",
                tracking_number="",
                status="",
            )
            named = {**fields, "status": fields.get("status") or CREATED}
            return PutShipment(_changed(decision, new, named), is_new=True)

        return await self._decisions.commit(app_id, DecidedBy(actor=actor), decide)

    async def patch(
        self, app_id: str, id_or_uid: str, fields: Mapping[str, Any], actor: str
    ) -> Shipment:
        """Change the named fields. `NotFound` if there is no such parcel."""

        async def decide(decision: Decision) -> Shipment:
            before = await self._database.get(Shipment, id_or_uid, app_id)
            if before is None:
                raise NotFound("There is no such shipment.")
            return _changed(decision, before, fields)

        return await self._decisions.commit(app_id, DecidedBy(actor=actor), decide)


def _changed(decision: Decision, before: Shipment, fields: Mapping[str, Any]) -> Shipment:
    news_at = fields.get("news_at")
    if news_at is not None and before.news_at is not None and news_at < before.news_at:
        return before
    named = {**fields, "status": fields.get("status") or before.status}
    after = msgspec.structs.replace(before, **named)
    if after == before:
        return before
    if before.status and after.status not in (before.status, *MOVES[before.status]):
        raise ConflictError(
            f"It is {before.status}; {after.status} cannot follow.", code="illegal_transition"
        )
    if after.status == DELIVERED and after.delivered_at is None:
        after = msgspec.structs.replace(after, delivered_at=news_at or decision.now)
    after = msgspec.structs.replace(
        after, version=before.version + 1, updated_at=max(decision.now, before.updated_at + 1)
    )
    decision.write_record(after, before.version)
    if (after.status, after.substate) != (before.status, before.substate):
        extra = {"previousStatus": before.status or None}
        decision.publish_event(shipment_event(after.status), shipment_data(after) | extra)
    return after
