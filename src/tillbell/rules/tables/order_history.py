"""The orders of customers, as members that an export adds to each of them."""

from __future__ import annotations

from collections.abc import Iterable
from decimal import Decimal
from typing import Any

from tillbell.model.shop import SumOfOrders
from tillbell.money import exponent


def order_histories(sums: Iterable[SumOfOrders]) -> dict[str, dict[str, Any]]:
    """Return the members by the customer's uid; of one without orders there are none."""
    by_uid: dict[str, list[SumOfOrders]] = {}
    for each in sums:
        by_uid.setdefault(each.uid, []).append(each)
    return {uid: _history(of_uid) for uid, of_uid in by_uid.items()}


def _history(sums: list[SumOfOrders]) -> dict[str, Any]:
    paid: dict[str, Decimal] = {}
    for each in sums:
        if each.currency is not None:
            paid[each.currency] = paid.get(each.currency, Decimal(0)) + Decimal(each.paid)
    amounts = [
        f"{amount:.{exponent(currency)}f} {currency}"
        for currency, amount in sorted(paid.items())
        if amount
    ]
    return {
        "orderCount": sum(each.orders for each in sums),
        "firstOrderAt": min((each.first_at for each in sums if each.first_at), default=None),
        "lastOrderAt": max((each.last_at for each in sums if each.last_at), default=None),
        "paidAmounts": amounts or None,
    }


NO_ORDERS = _history([])
