"""Names of things that are known by their ids: of acts in the audit log, and of plots' markers."""

from __future__ import annotations

import re
from collections.abc import Sequence

from tillbell.model.alerts import AlertSubscription
from tillbell.model.inboxes import Inbox
from tillbell.model.records import ApiKey
from tillbell.model.statistics import Marker, MarkerKind
from tillbell.web.pages.endpoint_views import name_of
from tillbell.web.pages.page import Visit
from tillbell.web.pages.transactions import name_of as transaction_name

_IDS = re.compile(r"\b(?:app|ep|src)_\w+")
_CIRCUITS = (MarkerKind.CIRCUIT_OPENED, MarkerKind.CIRCUIT_CLOSED)


async def target_name(visit: Visit, app_id: str, id_: str) -> str:
    """Return the name of a thing for people; its id if it has none, or is deleted."""
    gateway = visit.gateway
    prefix = id_.partition("_")[0]
    name: str | None = None
    if prefix == "app":
        app = await gateway.config_cache.application(id_)
        name = app.name if app is not None else None
    elif prefix == "ep":
        endpoint = await gateway.config_cache.endpoint(app_id, id_)
        name = name_of(endpoint) if endpoint is not None else None
    elif prefix == "src":
        name = gateway.source_cache.name(id_)
    elif prefix == "key":
        key = await gateway.database.get(ApiKey, id_, None)
        name = key.name if key is not None else None
    elif prefix == "inb":
        inbox = await gateway.database.get(Inbox, id_, None)
        name = inbox.name if inbox is not None else None
    elif prefix == "alt":
        alert = await gateway.database.get(AlertSubscription, id_, None)
        name = alert.name if alert is not None else None
    elif prefix == "trx":
        transaction = await gateway.database.transaction(app_id, id_)
        name = transaction_name(transaction) if transaction is not None else None
    elif prefix == "per":
        person = await gateway.database.person(id_)
        name = person.email if person is not None else None
    return name or id_


async def named_markers(visit: Visit, markers: Sequence[Marker]) -> list[Marker]:
    """Return markers whose texts name what they are about instead of showing its id."""
    return [marker._replace(text=await _named_text(visit, marker)) for marker in markers]


async def _named_text(visit: Visit, marker: Marker) -> str:
    text = marker.text
    if marker.kind in _CIRCUITS and marker.endpoint_id:
        text = f"{marker.endpoint_id}: {text}"
    names = {id_: await target_name(visit, marker.app_id, id_) for id_ in _IDS.findall(text)}
    return _IDS.sub(lambda match: names[match.group()], text)
