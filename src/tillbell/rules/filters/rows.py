"""Whether what happens fits a filter: messages, callbacks, attempts and deliveries in memory."""

from __future__ import annotations

from collections.abc import Mapping

from tillbell.clock import Micros
from tillbell.model.callbacks import Callback
from tillbell.model.messages import Attempt, Delivery, Message
from tillbell.rules.filters.clauses import Clause, ListFilter, Match, OneOf, StartsWith, Within

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
