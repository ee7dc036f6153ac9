"""Vercel Web Analytics: pages seen, and what they report. Proof and transport: vercel.py.

Times are numbers of milliseconds. Ids have 64 bits, more than a JavaScript number holds, so they
go on as text. Source: vercel.com/docs/drains/reference/analytics.
"""

from __future__ import annotations

from tillbell.clock import iso
from tillbell.model.callbacks import AnalyticsNotice
from tillbell.providers.kit.reading import text, unix_millis
from tillbell.providers.vercel import Item, common, drain_provider, item_key, parser, properties

EVENTS = {"pageview": "pageview", "event": "custom_event"}


def _read(item: Item) -> AnalyticsNotice:
    at = unix_millis(item.get("timestamp"))
    name = text(item, "eventName")
    # A type that is not known is an event of the page's own, under the type's name.
    type_ = text(item, "eventType")
    event = EVENTS.get(type_ or "", "custom_event")
    sent = item.get("eventData", item.get("data"))
    data = {
        "name": name or (None if type_ in EVENTS else type_),
        "value": None,
        **common(item),
        "properties": properties(sent),
        "occurredAt": None if at is None else iso(at),
    }
    return AnalyticsNotice(event, data, item_key(item))


PROVIDER = drain_provider(
    "vercel-analytics",
    "Vercel Web Analytics",
    "Pages that were seen and events that they reported, in batches.",
    parser("vercel.analytics.", _read),
)
