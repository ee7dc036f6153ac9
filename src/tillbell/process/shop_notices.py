"""Shop notices: what a shop's callback about an order, product or customer does to its record.

The members that the callback names replace those of the record, the others stay. A notice that says
money moved needs the same proof as a notice about a transaction. One that is older than the last
one, or that would move the order back and has no time, changes nothing.
"""

from __future__ import annotations

from collections.abc import Mapping

from tillbell.model.callbacks import OrderNotice, Outcome, RecordNotice
from tillbell.model.shop import Customer, Order, Product, ShopDocument
from tillbell.model.sources import Trust
from tillbell.process.decision import Decision
from tillbell.process.order_payments import create_document
from tillbell.process.shop_documents import (
    News,
    is_late,
    mark_of,
    mark_removed,
    remove,
    rewrite,
    written,
)
from tillbell.receive.source_cache import CompiledSource
from tillbell.rules.orders import moves_back
from tillbell.rules.payments.trust import confirmation_policy, reason_unproven
from tillbell.storage.ports.database import Database


async def decide_order(
    database: Database,
    decision: Decision,
    compiled: CompiledSource,
    trust: Trust,
    notice: OrderNotice,
) -> None:
    """Change the order that a notice is about, and publish what has changed."""
    policy = confirmation_policy(compiled.config)
    unproven = reason_unproven(trust, policy, is_hint=False) if notice.moves_money else None
    uid = notice.data.get("id")
    if unproven is not None:
        decision.add_outcome(Outcome.NOTED, unproven)
        return
    if not isinstance(uid, str) or not uid:
        decision.publish_event(notice.event_type, notice.data)
        decision.add_outcome(Outcome.NOTED, f"It names no order. Passed on as {notice.event_type}.")
        return
    members = {name: value for name, value in notice.data.items() if name != "id"}
    news = News(members, notice.occurred_at, compiled.source.id, notice.event_type)
    order = await written(database, decision, Order, uid)
    if order is None:
        await create_document(database, decision, Order, uid, news)
        decision.add_outcome(Outcome.NOTED, f"New order {uid}: {notice.event_type}.")
    elif is_late(order, news) or (_is_undated(order, news) and moves_back(order.data, members)):
        decision.add_outcome(Outcome.STALE, f"It is older than what is known of order {uid}.")
    elif rewrite(decision, order, {**order.data, **members}, news).updated_at == order.updated_at:
        decision.add_outcome(Outcome.DUPLICATE, f"Order {uid} is so already.")
    else:
        decision.add_outcome(Outcome.NOTED, f"Order {uid} changed: {notice.event_type}.")


_KINDS: Mapping[str, type[ShopDocument]] = {"product": Product, "customer": Customer}


async def decide_record(
    database: Database, decision: Decision, compiled: CompiledSource, notice: RecordNotice
) -> None:
    """Change the product or customer that a notice is about, and publish what has changed."""
    kind, uid = _KINDS[notice.kind], str(notice.data["id"])
    members = {name: value for name, value in notice.data.items() if name != "id"}
    news = News(members, notice.occurred_at, compiled.source.id)
    record = await written(database, decision, kind, uid)
    name = f"{notice.kind} {uid}"
    if record is None:
        whole = news._replace(data=notice.data)
        await _decide_absent(database, decision, kind, whole, is_removed=notice.is_removed)
    elif is_late(record, news):
        decision.add_outcome(Outcome.STALE, f"It is older than what is known of {name}.")
    elif notice.is_removed:
        remove(decision, record, notice.occurred_at)
        decision.add_outcome(Outcome.NOTED, f"Removed {name}.")
    elif rewrite(decision, record, {**record.data, **members}, news).data == record.data:
        decision.add_outcome(Outcome.DUPLICATE, f"The {name} is so already.")
    else:
        decision.add_outcome(Outcome.NOTED, f"The {name} changed.")


async def _decide_absent(
    database: Database,
    decision: Decision,
    kind: type[ShopDocument],
    news: News,
    *,
    is_removed: bool,
) -> None:
    """Make a record that there is not, unless the news is older than its deletion."""
    uid = str(news.data["id"])
    name = f"{kind.__name__.lower()} {uid}"
    mark = await mark_of(database, decision, kind, uid)
    if is_removed:
        if mark is None and news.platform_at is not None:
            mark_removed(decision, kind, uid, news.platform_at)
        decision.add_outcome(Outcome.NOTED, f"There is no {name}.")
    elif mark is not None and (news.platform_at or 0) <= mark.removed_at:
        decision.add_outcome(Outcome.STALE, f"It is older than the deletion of {name}.")
    else:
        members = {member: value for member, value in news.data.items() if member != "id"}
        await create_document(database, decision, kind, uid, news._replace(data=members))
        decision.add_outcome(Outcome.NOTED, f"New {name}.")


def _is_undated(order: Order, news: News) -> bool:
    """Tell whether time does not say which news came first."""
    return news.platform_at is None or news.platform_at == order.platform_at
