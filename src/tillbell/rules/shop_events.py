"""Event types of products, customers and subscriptions: which ones a change has.

None is published when nothing has changed. `before` is None for what is new.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

Data = Mapping[str, Any]


class ShopEvent(NamedTuple):
    """An event type, and members of its `data` that are about this change."""

    type: str
    extra: Mapping[str, Any] = {}


def product_events(before: Data | None, after: Data) -> Iterator[ShopEvent]:
    """Return the event types of a change of a product. A change of its stock has its own."""
    if before is None:
        yield ShopEvent("product.created")
        return
    if _without(before, "stock") != _without(after, "stock"):
        yield ShopEvent("product.updated")
    if before.get("stock") != after.get("stock"):
        yield ShopEvent("product.stock", {"previousStock": before.get("stock")})


def customer_events(before: Data | None, after: Data) -> Iterator[ShopEvent]:
    """Return the event types of a change of a customer."""
    del after
    yield ShopEvent("customer.created" if before is None else "customer.updated")


_ENDED = ("suspended", "expired", "cancelled")


def subscription_events(before: Data | None, after: Data) -> Iterator[ShopEvent]:
    """Return the event types of a change of a subscription.

    It is renewed when it is active and its period ends later than before.
    """
    earlier, now = before or {}, after.get("status")
    events = ["subscription.created"] if before is None else []
    if now != earlier.get("status"):
        if now == "trialing":
            events.append("subscription.trial.started")
        if earlier.get("status") == "trialing":
            events.append("subscription.trial.ended")
        if now in _ENDED:
            events.append(f"subscription.{now}")
    ends = earlier.get("currentPeriodEnd"), after.get("currentPeriodEnd")
    if before is not None and now == "active" and ends[0] and ends[1] and ends[0] < ends[1]:
        events.append("subscription.renewed")
    reasons = earlier.get("reason"), after.get("reason")
    if reasons[1] == "payment_failed" and reasons[0] != reasons[1]:
        events.append("subscription.payment_failed")
    yield from map(ShopEvent, events or ["subscription.updated"])


def _without(data: Data, name: str) -> dict[str, Any]:
    return {member: value for member, value in data.items() if member != name}
