"""Orders: how an order is paid, what follows for its status, and which event types a change has.

An order's payment status is computed from its transactions as soon as one of them has moved money:

| what was credited and given back | payment status |
| --- | --- |
| nothing | as the shop says, else as its status says |
| less than the amount | underpaid |
| the amount, more than it | paid, overpaid |
| something, all was given back | partially_refunded, refunded |
| a chargeback is open or lost | disputed |

The status follows: an order that becomes paid is `paid`, also one that was cancelled because nobody
had paid. One that is cancelled after that stays so.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from tillbell.clock import Micros, iso
from tillbell.model.shop import OrderPayment
from tillbell.model.transactions import Direction, Transaction, TransactionKind
from tillbell.money import format_amount, is_currency, parse_amount

PENDING, PAID, CANCELLED = "pending", "paid", "cancelled"
UNDERPAID, OVERPAID = "underpaid", "overpaid"
PARTIALLY_REFUNDED, REFUNDED, DISPUTED = "partially_refunded", "refunded", "disputed"
STATES = (PENDING, PAID, CANCELLED, PARTIALLY_REFUNDED, REFUNDED, DISPUTED)
PAYMENT_STATES = (
    PENDING, UNDERPAID, PAID, OVERPAID, CANCELLED, PARTIALLY_REFUNDED, REFUNDED, DISPUTED,
)  # fmt: skip
_WAS_PAID = frozenset({PAID, OVERPAID, PARTIALLY_REFUNDED, REFUNDED, DISPUTED})
_RANKS = {CANCELLED: 2, PAID: 1, DISPUTED: 2, PARTIALLY_REFUNDED: 2, REFUNDED: 3}
_BY_MERCHANT_REFERENCE, _BY_METADATA = "merchantReference", "metadata."
BY_ORDER_ID = "orderId"
_OF_PAYMENTS = ("paymentStatus", "paidAmount", "paidAt", "refundedAmount", "refundedAt")
_NAMED_BY_PAYMENT = ("gateway", "reference")

Data = Mapping[str, Any]


# ── which order a transaction pays ───────────────────────────────────────────────────────────────


def order_paid_by(transaction: Transaction, reference: str) -> str | None:
    """Return the uid of the order that a payment is for; None: it names none.

    `reference` is the application's setting: `orderId`, `merchantReference`, `metadata.<name>`.
    """
    if transaction.kind is not TransactionKind.PAYMENT:
        return None
    if transaction.direction is not Direction.PAY_IN:
        return None
    if reference == BY_ORDER_ID:
        return transaction.order_id
    if reference == _BY_MERCHANT_REFERENCE:
        return transaction.merchant_reference
    value = transaction.metadata.get(reference.removeprefix(_BY_METADATA))
    return value if isinstance(value, str) and value else None


def payment_of(transaction: Transaction | None) -> OrderPayment:
    """Return what a payment has moved. None: nothing yet."""
    if transaction is None:
        return OrderPayment()
    return OrderPayment(
        credited=transaction.credited,
        given_back=transaction.refunded + transaction.reversed_,
        disputed=transaction.charged_back - transaction.reinstated,
    )


# ── how an order is paid ─────────────────────────────────────────────────────────────────────────


def payment_status(amount: int | None, payments: Mapping[str, OrderPayment]) -> str | None:
    """Compute the payment status of an order; None: no money has moved.

    `amount` is in minor units; None: the order has none that can be read.

    >>> payment_status(100, {"trx_1": OrderPayment(60), "trx_2": OrderPayment(50, 10)})
    'paid'
    """
    credited = sum(payment.credited for payment in payments.values())
    given_back = sum(payment.given_back for payment in payments.values())
    if not credited:
        return None
    if sum(payment.disputed for payment in payments.values()) > 0:
        return DISPUTED
    if given_back >= credited:
        return REFUNDED
    rest = credited - given_back
    if amount is None or rest == amount:
        return PARTIALLY_REFUNDED if amount is None and given_back else PAID
    if rest > amount:
        return OVERPAID
    return PARTIALLY_REFUNDED if credited >= amount else UNDERPAID


def completed(
    before: Data | None, members: Data, payments: Mapping[str, OrderPayment], now: Micros
) -> dict[str, Any]:
    """Return an order with the members that are computed. `members` are what the shop says."""
    data = dict(members)
    earlier = before or {}
    data.setdefault("createdAt", earlier.get("createdAt") or iso(now))
    computed = payment_status(order_amount(data), payments)
    data["status"] = data.get("status") or PENDING
    if computed is None:
        data["paymentStatus"] = _told_payment_status(earlier, data)
    else:
        data |= {name: earlier[name] for name in _OF_PAYMENTS if name in earlier}
        for name in _NAMED_BY_PAYMENT:
            data.setdefault(name, earlier.get(name))
        data["paymentStatus"] = computed
        _add_sums(data, payments, now)
    data["status"] = _status(earlier, data, is_computed=computed is not None)
    for state, name in ((PAID, "paidAt"), (CANCELLED, "cancelledAt"), (REFUNDED, "refundedAt")):
        if is_in(data, state) and data.get(name) is None:
            data[name] = earlier.get(name) or iso(now)
    if is_in(data, REFUNDED) and data.get("refundedAmount") is None:
        data["refundedAmount"] = earlier.get("refundedAmount") or data.get("amount")
    return {name: value for name, value in data.items() if value is not None}


def _told_payment_status(earlier: Data, data: Data) -> str:
    """Return the payment status that the shop says, or that its new status says."""
    status, payment = str(data["status"]), data.get("paymentStatus")
    if payment is None:
        return status
    is_silent = payment == earlier.get("paymentStatus") and status != earlier.get("status")
    if is_silent and (status in _WAS_PAID or (status == CANCELLED and payment == PENDING)):
        return status
    return str(payment)


def order_amount(data: Data) -> int | None:
    """Return the amount of an order in minor units; None: it cannot be read."""
    amount, currency = data.get("amount"), data.get("currency")
    if not isinstance(amount, str) or not isinstance(currency, str):
        return None
    try:
        return parse_amount(amount, currency)
    except ValueError:
        return None


def _add_sums(data: dict[str, Any], payments: Mapping[str, OrderPayment], now: Micros) -> None:
    currency = data.get("currency")
    if not isinstance(currency, str) or not is_currency(currency):
        return
    credited = sum(payment.credited for payment in payments.values())
    given_back = format_amount(sum(p.given_back for p in payments.values()), currency)
    data["paidAmount"] = format_amount(credited, currency)
    if given_back != data.get("refundedAmount", format_amount(0, currency)):
        data |= {"refundedAmount": given_back, "refundedAt": iso(now)}


def _status(earlier: Data, data: Data, *, is_computed: bool) -> str:
    """Return the status that follows from the payment, or stays as the shop says."""
    status, payment = str(data["status"]), str(data["paymentStatus"])
    paid = PAID if payment == OVERPAID else payment
    if paid not in _WAS_PAID:
        return status
    if not is_computed:
        return paid if status == PENDING else status
    is_news = earlier.get("paymentStatus") != payment
    if status == CANCELLED:
        is_late = is_news and not was_paid(earlier) and earlier.get("status") == CANCELLED
        return PAID if is_late and paid == PAID else status
    return paid if is_news or _RANKS.get(status, 0) <= _RANKS[paid] else status


# ── what a change is called ──────────────────────────────────────────────────────────────────────


def is_in(data: Data | None, state: str) -> bool:
    """Tell whether an order or its payment has a state. Overpaid is paid too."""
    if data is None:
        return False
    states = data.get("status"), data.get("paymentStatus")
    return state in states or (state == PAID and OVERPAID in states)


def was_paid(data: Data | None) -> bool:
    """Tell whether an order is paid or was paid once."""
    return data is not None and not _WAS_PAID.isdisjoint(
        {data.get("status"), data.get("paymentStatus")}
    )


def order_events(before: Data | None, after: Data) -> list[str]:
    """Return the event types of a change of an order, in order. None: it is new.

    A step has its own type, and is published once; everything else is `order.updated`.
    """
    events = ["order.created"] if before is None else []
    events += _steps(before, after)
    return events or ["order.updated"]


def _steps(before: Data | None, after: Data) -> Iterator[str]:
    if is_in(after, PAID) and not was_paid(before):
        yield "order.paid"
    if is_in(after, PARTIALLY_REFUNDED) and not is_in(before, REFUNDED):
        sums = (before or {}).get("refundedAmount"), after.get("refundedAmount")
        if not is_in(before, PARTIALLY_REFUNDED) or sums[0] != sums[1]:
            yield "order.partially_refunded"
    for state in (REFUNDED, DISPUTED, CANCELLED):
        if is_in(after, state) and not is_in(before, state):
            yield f"order.{state}"


# ── late news ────────────────────────────────────────────────────────────────────────────────────


def moves_back(before: Data, members: Data) -> bool:
    """Tell whether news without a time of its own would move an order back.

    >>> moves_back({"status": "refunded"}, {"status": "paid"})
    True
    """
    earlier, later = before.get("status"), members.get("status", before.get("status"))
    return _RANKS.get(str(later), 0) < _RANKS.get(str(earlier), 0)
