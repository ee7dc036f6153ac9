"""Whether what happens fits a filter: messages, callbacks, attempts and deliveries in memory."""

from __future__ import annotations

import json
from collections.abc import Mapping

from tillbell.clock import Micros
from tillbell.model.callbacks import Callback
from tillbell.model.messages import Attempt, Delivery, Message
from tillbell.model.shipments import Shipment
from tillbell.model.shop import ShopDocument, ShopRecord
from tillbell.rules.filters.clauses import Clause, ListFilter, Match, OneOf, StartsWith, Within
from tillbell.rules.filters.payload import matches_payload

_EVERYTHING = ListFilter()
Texts = Mapping[str, tuple[str | None, ...]]


def message_fits(message: Message, filter_: ListFilter) -> bool:
    """Tell whether a message fits a filter that asks nothing of payloads."""
    texts: Texts = {
        "id": (message.id,),
        "app": (message.app_id,),
        "type": (message.event_type,),
        "channel": message.channels,
        "tag": message.tags,
        "order": (message.order_key,),
        "event": (message.event_id,),
    }
    return _fits(texts, message.created_at, filter_)


def callback_fits(callback: Callback, filter_: ListFilter) -> bool:
    """Tell whether a callback fits a filter."""
    trust = callback.trust
    texts: Texts = {
        "id": (callback.id,),
        "app": (callback.app_id,),
        "source": (callback.source_id,),
        "provider": (callback.provider,),
        "status": (callback.outcome or "pending",),
        "verdict": ("refused" if trust is None else "accepted",),
        "trust": (None if trust is None else str(trust.value),),
        "transaction": (callback.transaction_id,),
    }
    return _fits(texts, callback.received_at, filter_)


def attempt_fits(attempt: Attempt, filter_: ListFilter) -> bool:
    """Tell whether an attempt fits a filter that asks nothing of its message but its type."""
    texts: Texts = {
        "id": (attempt.id,),
        "app": (attempt.app_id,),
        "message": (attempt.message_id,),
        "delivery": (attempt.delivery_id,),
        "endpoint": (attempt.endpoint_id,),
        "type": (attempt.event_type,),
        "result": (attempt.result,),
        "code": (str(attempt.status_code),),
        "error": (attempt.error,),
        "number": (str(attempt.number),),
        "duration": (str(attempt.duration_us),),
        "trigger": (attempt.trigger,),
        "url": (attempt.url,),
    }
    return _fits(texts, attempt.started_at, filter_)


def delivery_fits(delivery: Delivery, attempt: Attempt, filter_: ListFilter) -> bool:
    """Tell whether a delivery fits, after this attempt, as `attempt_fits`."""
    texts: Texts = {
        "id": (delivery.id,),
        "app": (delivery.app_id,),
        "message": (delivery.message_id,),
        "endpoint": (delivery.endpoint_id,),
        "type": (attempt.event_type,),
        "status": (delivery.state,),
        "code": (str(attempt.status_code),),
        "attempts": (str(delivery.attempts),),
        "trigger": (delivery.trigger,),
    }
    return _fits(texts, delivery.created_at, filter_)


def shop_record_fits(record: ShopRecord, filter_: ListFilter) -> bool:
    """Tell whether a record of the shop fits a filter. Its time is that of its last change."""
    if filter_ == _EVERYTHING:
        return True
    asked = tuple(clause for clause in filter_.clauses if clause.field == "data")
    if asked:
        data = record.data if isinstance(record, ShopDocument) else {}
        if not matches_payload(json.dumps(data).encode(), asked):
            return False
        others = (clause for clause in filter_.clauses if clause.field != "data")
        filter_ = filter_._replace(clauses=tuple(others))
    return _fits(_texts_of(record), record.updated_at, filter_)


def _texts_of(record: ShopRecord) -> Texts:
    columns = record.columns
    texts: dict[str, tuple[str | None, ...]] = {
        "id": (record.id,),
        "uid": (record.uid,),
        "number": (columns.number,),
        "sku": (columns.number,),
        "status": (columns.status,),
        "payment": (columns.payment_status,),
        "customer": (columns.customer_id,),
        "email": (columns.email,),
        "order": (columns.order_id,),
    }
    if isinstance(record, Shipment):
        return texts | {"carrier": (record.carrier,), "source": (record.source_id,)}
    assert isinstance(record, ShopDocument), "there is no other kind"
    data = record.data
    consent = data.get("consent")
    is_given = isinstance(consent, dict) and consent.get("isGiven") is True
    tags = data.get("tags")
    stock = data.get("stock")
    names = ("name", "currency", "gateway", "plan")
    return texts | {
        **{name: (_text(data.get(name)),) for name in names},
        "source": (record.source_id,),
        "stock": (str(stock) if isinstance(stock, int) else None,),
        "tag": tuple(map(_text, tags)) if isinstance(tags, list) else (),
        "consent": ("given" if is_given else "none",),
    }


def _text(value: object) -> str | None:
    return value if isinstance(value, str) else None


def _fits(texts: Texts, at: Micros, filter_: ListFilter) -> bool:
    after, before = filter_.after, filter_.before
    is_in_time = (after is None or at >= after) and (before is None or at < before)
    return is_in_time and all(_holds(texts[clause.field], clause) for clause in filter_.clauses)


def _holds(texts: tuple[str | None, ...], clause: Clause) -> bool:
    has_match = any(
        text is not None and _matches(text, match) for text in texts for match in clause.matches
    )
    return has_match is not clause.is_negated


def _matches(text: str, match: Match) -> bool:
    if isinstance(match, OneOf):
        return text in match.values
    if isinstance(match, Within):
        return match.low <= int(text) <= match.high
    return isinstance(match, StartsWith) and text.startswith(match.prefix)
