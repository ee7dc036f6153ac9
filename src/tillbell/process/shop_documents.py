"""Shop documents: writes an order, product, customer or subscription with what it publishes.

The record, its version and the messages about the change are one commit. What changes nothing
writes and publishes nothing. News that is older than what is stored, by the platform's own time,
moves nothing back.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple, TypeVar

import msgspec

from tillbell.clock import Micros
from tillbell.model.shop import (
    HISTORY_MAX,
    Customer,
    Order,
    OrderPayment,
    Product,
    ShopDocument,
    Subscription,
    Tombstone,
    tombstone_uid,
)
from tillbell.process.decision import Decision
from tillbell.rules.orders import completed, order_events
from tillbell.rules.shop_events import (
    ShopEvent,
    customer_events,
    product_events,
    subscription_events,
)
from tillbell.storage.ports.database import Database

D = TypeVar("D", bound=ShopDocument)

PREFIXES: Mapping[type[ShopDocument], str] = {
    Order: "ord",
    Product: "prd",
    Customer: "cus",
    Subscription: "sub",
}
TOMBSTONE = "tmb"  # prefix of the ids of marks
# Members of orders and subscriptions that are about a person.
PERSON_MEMBERS = ("customer", "customerEmail", "shippingAddress", "billingAddress", "metadata")
_REMOVED: Mapping[type[ShopDocument], str] = {
    Product: "product.deleted",
    Customer: "customer.deleted",
}


class News(NamedTuple):
    """What is said about a record: its members, and by whom."""

    data: Mapping[str, Any]
    platform_at: Micros | None = None
    source_id: str = ""
    event_type: str | None = None  # as which a source told us of a record that we do not know


async def written(database: Database, decision: Decision, kind: type[D], uid: str) -> D | None:
    """Return a record as the decision leaves it; None if there is none."""
    record = decision.written_record(kind, uid)
    return record if record is not None else await database.get(kind, uid, decision.app_id)


def new_document(decision: Decision, kind: type[D], uid: str) -> D:
    """Return a record that is not stored yet: version 0, without data."""
    return kind(
        id=decision.new_id(PREFIXES[kind]),
        scope=decision.app_id,
        uid=uid,
        created_at=decision.now,
        version=0,
    )


def rewrite(
    decision: Decision,
    record: D,
    data: Mapping[str, Any],
    news: News | None = None,
    payments: Mapping[str, OrderPayment] | None = None,
) -> D:
    """Give a record this data, publish what has changed, and return it as it is then.

    `record` is as it is stored, or new with version 0. `payments` are those of an order, if they
    have changed. A later time of the platform alone is kept, and is no change for anybody.
    """
    before = record.data if record.version else None
    stored = record
    if record.erased_at is not None and decision.callback is not None:
        data = {name: value for name, value in data.items() if name not in PERSON_MEMBERS}
    if payments is not None:
        record = msgspec.structs.replace(record, payments=payments)
    after_data = _completed(record, before, data, decision.now)
    is_changed = before is None or after_data != before
    if not is_changed and record == stored and not _is_later(record, news):
        return record
    after = msgspec.structs.replace(
        record,
        data=after_data,
        updated_at=max(decision.now, record.updated_at + 1) if is_changed else record.updated_at,
        version=record.version + 1,
        **_origin(decision, record, news),
    )
    decision.write_record(after, record.version)
    if is_changed:
        for event in _events(decision, after, before, news):
            decision.publish_about(after, event.type, document_data(after) | dict(event.extra))
    return after


def remove(decision: Decision, record: ShopDocument, removed_at: Micros | None = None) -> None:
    """Remove a product or customer, and publish it with what was known of it.

    `removed_at` is the platform's own time of that; None: it is now.
    """
    decision.remove_record(record)
    mark_removed(decision, type(record), record.uid or record.id, removed_at)
    decision.publish_about(record, _REMOVED[type(record)], document_data(record))


def mark_removed(
    decision: Decision, kind: type[ShopDocument], uid: str, removed_at: Micros | None
) -> None:
    """Leave a mark that a record was deleted. There must be none."""
    mark = Tombstone(
        id=decision.new_id(TOMBSTONE),
        scope=decision.app_id,
        uid=tombstone_uid(kind, uid),
        created_at=decision.now,
        updated_at=decision.now,
        removed_at=decision.now if removed_at is None else removed_at,
    )
    decision.write_record(mark, 0)


async def mark_of(
    database: Database, decision: Decision, kind: type[ShopDocument], uid: str
) -> Tombstone | None:
    """Return the mark of a record that was deleted; None: it was not, or such ones never are."""
    if kind not in _REMOVED:
        return None
    return await database.get(Tombstone, tombstone_uid(kind, uid), decision.app_id)


def document_data(record: ShopDocument) -> dict[str, Any]:
    """Return `data` of messages about a record."""
    return {"id": record.uid or record.id, **record.data}


def is_late(record: ShopDocument, news: News) -> bool:
    """Tell whether news is older than what is stored, by the platform's own time."""
    known = record.platform_at
    return known is not None and news.platform_at is not None and news.platform_at < known


def _completed(
    record: ShopDocument, before: Mapping[str, Any] | None, data: Mapping[str, Any], now: Micros
) -> dict[str, Any]:
    if isinstance(record, Order):
        return completed(before, data, record.payments, now)
    return {name: value for name, value in data.items() if value is not None}


def _is_later(record: ShopDocument, news: News | None) -> bool:
    if news is None or news.platform_at is None:
        return False
    return record.platform_at is None or news.platform_at > record.platform_at


def _origin(decision: Decision, record: ShopDocument, news: News | None) -> dict[str, Any]:
    changes: dict[str, Any] = {}
    if news is not None and news.platform_at is not None:
        changes["platform_at"] = max(news.platform_at, record.platform_at or 0)
    if news is not None and news.source_id:
        changes["source_id"] = news.source_id
    callback = decision.callback
    if callback is not None and callback.id not in record.callback_ids:
        changes["callback_ids"] = (*record.callback_ids, callback.id)[-HISTORY_MAX:]
    return changes


def _events(
    decision: Decision,
    record: ShopDocument,
    before: Mapping[str, Any] | None,
    news: News | None,
) -> Iterable[ShopEvent]:
    if isinstance(record, Order):
        events = _order_events(before, record.data, news)
        # What a callback says of an order and of its payment is one change.
        is_said = news is None and decision.has_published_about(record)
        return map(ShopEvent, [e for e in events if not (is_said and e == "order.updated")])
    if isinstance(record, Product):
        return product_events(before, record.data)
    if isinstance(record, Customer):
        return customer_events(before, record.data)
    return subscription_events(before, record.data)


def _order_events(
    before: Mapping[str, Any] | None, after: Mapping[str, Any], news: News | None
) -> list[str]:
    """Return the event types; a source's own word for an order that we hear of in the middle."""
    events = order_events(before, after)
    if before is not None or news is None or news.event_type is None:
        return events
    steps = [event for event in events if event != "order.created"]
    first = [] if steps and news.event_type == "order.updated" else [news.event_type]
    return list(dict.fromkeys(first + steps))
