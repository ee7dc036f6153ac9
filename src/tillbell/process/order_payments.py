"""Order payments: the steps of a transaction change the order that it pays, in the same commit.

A transaction that names no order costs nothing. One that names an order which is not there yet is
found when the order comes; both rest on what they read, so neither misses the other.

Most applications keep no orders. Until a commit has met one of an application, its orders are
presumed absent and not read: the commit checks that, and it is decided again if there is one. The
commit looks for uids only, so what may be our own id of an order is read in any case.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import TypeVar

from tillbell.model.shop import Order, OrderPayment, ShopDocument
from tillbell.model.transactions import Transaction
from tillbell.process.decision import Decision
from tillbell.process.shop_documents import (
    PREFIXES,
    News,
    mark_of,
    new_document,
    rewrite,
)
from tillbell.rules.orders import order_paid_by, payment_of
from tillbell.storage.ports.database import Database
from tillbell.storage.ports.inbound import TransactionFilter
from tillbell.storage.ports.outbound import Page

D = TypeVar("D", bound=ShopDocument)

_OWN_ID = f"{PREFIXES[Order]}_"
_PAYMENTS = Page(limit=250)  # of one order, that are looked at when it comes


async def pay_orders(database: Database, decision: Decision, *, has_orders: bool) -> None:
    """Change the orders whose payments have moved money by this decision.

    `has_orders` is false if those of the application are presumed absent.
    """
    for before, after in decision.changed_transactions:
        payment = payment_of(after)
        if payment == payment_of(before):
            continue
        uid = order_paid_by(after, decision.order_reference)
        if uid is None:
            continue
        order = decision.written_record(Order, uid)
        if order is None and (has_orders or uid.startswith(_OWN_ID)):
            order = await database.get(Order, uid, decision.app_id)
        if order is None:
            decision.expect_no_order(uid)
        elif order.data.get("currency", after.currency) == after.currency:
            payments = order.payments | {after.id: payment}
            rewrite(decision, order, _named(order, after), payments=payments)


async def expect_payments_of_new(
    database: Database, decision: Decision, kind: type[ShopDocument], uids: Collection[str]
) -> None:
    """Find out for many records at once which of them no payment names, if they are new orders."""
    if kind is not Order:
        return
    paid = await database.paid_orders(decision.app_id, uids)
    decision.expect_unpaid(uid for uid in uids if uid not in paid)


async def create_document(
    database: Database,
    decision: Decision,
    kind: type[D],
    uid: str,
    news: News,
) -> D:
    """Write a record that is new; an order with the payments that came before it.

    One that was deleted is there again: its mark goes.
    """
    mark = await mark_of(database, decision, kind, uid)
    if mark is not None:
        decision.remove_record(mark)
    record = new_document(decision, kind, uid)
    payments = None
    if isinstance(record, Order):
        payments = await _earlier_payments(database, decision, uid, news.data.get("currency"))
    return rewrite(decision, record, news.data, news, payments)


async def _earlier_payments(
    database: Database, decision: Decision, uid: str, currency: object
) -> dict[str, OrderPayment]:
    """Return the payments of an order that came before it. The decision rests on them.

    Few orders have any, so at first none are presumed, and the commit checks that. Those that name
    it in their metadata are not found: only ids and references are looked up.
    """
    if decision.is_first_try or decision.is_unpaid(uid):
        decision.expect_payments(uid, ())
        return {}
    filter_ = TransactionFilter(reference=uid)
    transactions = await database.transactions(decision.app_id, filter_, _PAYMENTS)
    naming = [t for t in transactions if uid in (t.order_id, t.merchant_reference)]
    if len(transactions) < _PAYMENTS.limit:
        decision.expect_payments(uid, naming)
    return {
        transaction.id: payment_of(transaction)
        for transaction in naming
        if order_paid_by(transaction, decision.order_reference) == uid
        and transaction.currency == (currency or transaction.currency)
        and payment_of(transaction) != payment_of(None)
    }


def _named(order: Order, payment: Transaction) -> dict[str, object]:
    """Return the order's data, with gateway and reference of the payment where it has none."""
    names = {"gateway": payment.provider, "reference": payment.psp_transaction_id}
    known = {name: value for name, value in names.items() if value is not None}
    return known | order.data
