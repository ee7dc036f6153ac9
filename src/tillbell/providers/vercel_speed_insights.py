"""Vercel Speed Insights: how fast pages were. Proof and transport: vercel.py.

Times are ISO texts here, not numbers. A value is milliseconds; CLS has no unit.
Source: vercel.com/docs/drains/reference/speed-insights.
"""

from __future__ import annotations

from typing import Any

from tillbell.clock import iso
from tillbell.model.callbacks import AnalyticsNotice
from tillbell.providers.kit.reading import iso_time, plain_json, text
from tillbell.providers.vercel import Item, common, drain_provider, item_key, parser

# Kept beside the vital because they say where it was slow, and why.
_PROPERTIES = ("route", "connectionSpeed", "attribution", "vercelEnvironment", "deploymentId")


def _read(item: Item) -> AnalyticsNotice:
    at = iso_time(item.get("timestamp"))
    value = plain_json(item.get("value"))
    kept = {name: item[name] for name in _PROPERTIES if item.get(name) is not None}
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    data: dict[str, Any] = {
        "name": text(item, "metricType"),
        "value": value if is_number else None,
        **common(item),
        "properties": plain_json(kept),
        "occurredAt": None if at is None else iso(at),
    }
    return AnalyticsNotice("web_vital", data, item_key(item))


PROVIDER = drain_provider(
    "vercel-speed-insights",
    "Vercel Speed Insights",
    "How fast pages were for their visitors, in batches.",
    parser("vercel.speed_insights.", _read),
)
