"""Orders, and one order with its payment, parcels and webhooks on one line of time."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from starlette.responses import Response

from tillbell.clock import iso
from tillbell.model.shop import Order
from tillbell.money import format_amount
from tillbell.rules.filters.clauses import FilterList
from tillbell.rules.orders import (
    CANCELLED,
    DISPUTED,
    OVERPAID,
    PAID,
    PARTIALLY_REFUNDED,
    PENDING,
    REFUNDED,
    UNDERPAID,
    order_amount,
)
from tillbell.web.api.shop_records import timeline_of_order
from tillbell.web.pages.page import SitePage, Visit
from tillbell.web.pages.shop_lists import (
    ShopList,
    address_of,
    facts_of,
    list_handler,
    metadata_of,
    part_of,
    record_of,
    steps_of,
    text_of,
)
from tillbell.web.pages.verdicts import PageVerdict

_PLACE = "/orders"
_EXAMPLE = (
    '{"number": "1001", "amount": "149.90", "currency": "EUR",\n'
    '       "customer": {"id": "cus-1", "name": "Ada Lovelace", "email": "ada@example.com"},\n'
    '       "items": [{"productId": "course", "quantity": 1, "totalPrice": "149.90"}]}'
)


class OrderLine(NamedTuple):
    """One line of an order. Amounts are decimal text, "" if there is none."""

    product_id: str
    name: str
    quantity: str
    unit_price: str
    total_price: str
    currency: str
    is_bump: bool


class OrderSum(NamedTuple):
    """An amount of an order, with its word."""

    word: str
    amount: str


def lines_of(order: Order) -> list[OrderLine]:
    """Return the lines of an order."""
    items = order.data.get("items")
    if not isinstance(items, list):
        return []
    currency = text_of(order.data, "currency")
    return [
        OrderLine(
            product_id=text_of(item, "productId"),
            name=text_of(item, "productName") or text_of(item, "productId") or "(no name)",
            quantity=text_of(item, "quantity") or "1",
            unit_price=text_of(item, "unitPrice"),
            total_price=text_of(item, "totalPrice"),
            currency=text_of(item, "currency") or currency,
            is_bump=item.get("isBumpProduct") is True,
        )
        for item in items
        if isinstance(item, dict)
    ]


def sums_of(order: Order) -> list[OrderSum]:
    """Return the sums of an order: what it costs, what was paid, given back, and what is missing.

    >>> order = Order(id="ord_1", scope="app_1", data={"amount": "10.00", "currency": "EUR",
    ...     "paidAmount": "6.00", "paymentStatus": "underpaid"})
    >>> [tuple(each) for each in sums_of(order)]
    [('total', '10.00'), ('paid', '6.00'), ('missing', '4.00')]
    """
    return list(_sums(order))


def _sums(order: Order) -> Iterator[OrderSum]:
    for word, name in (
        ("total", "amount"),
        ("paid", "paidAmount"),
        ("given back", "refundedAmount"),
    ):
        if text := text_of(order.data, name):
            yield OrderSum(word, text)
    difference, currency = _difference(order), text_of(order.data, "currency")
    if difference:
        word = "too much" if difference > 0 else "missing"
        yield OrderSum(word, format_amount(abs(difference), currency))


def _difference(order: Order) -> int:
    """Return by how much an order is paid too much (above 0) or too little, in minor units."""
    if order.data.get("paymentStatus") not in (UNDERPAID, OVERPAID):
        return 0
    amount = order_amount(order.data)
    paid = order_amount({**order.data, "amount": order.data.get("paidAmount")})
    back = order_amount({**order.data, "amount": order.data.get("refundedAmount", "0")})
    return paid - (back or 0) - amount if amount is not None and paid is not None else 0


def verdict_of(order: Order) -> PageVerdict:
    """Say how an order is paid, and what to do."""
    data = order.data
    payment, currency = text_of(data, "paymentStatus") or PENDING, text_of(data, "currency")
    difference = format_amount(abs(_difference(order)), currency) if _difference(order) else ""
    paid = f"{text_of(data, 'paidAmount') or text_of(data, 'amount')} {currency}".strip()
    back = f"{text_of(data, 'refundedAmount')} {currency}".strip()
    verdicts = {
        PENDING: ("idle", "clock", "It is not paid yet", "An approved transaction makes it paid."),
        PAID: ("ok", "ok", "It is paid", f"{paid} came in."),
        UNDERPAID: (
            "warn",
            "notequal",
            f"{difference} {currency} is missing",
            f"Only {paid} came in. It stays unpaid until the rest is there.",
        ),
        OVERPAID: (
            "warn",
            "notequal",
            f"{difference} {currency} too much was paid",
            f"{paid} came in. It counts as paid; give back what is too much.",
        ),
        PARTIALLY_REFUNDED: ("warn", "left", "A part was given back", f"{back} went back."),
        REFUNDED: ("idle", "left", "All of it was given back", f"{back} went back."),
        DISPUTED: (
            "hold",
            "review",
            "The customer's bank took the money back",
            "A chargeback is open or lost. Its transaction says until when to answer.",
        ),
        CANCELLED: (
            "idle",
            "ban",
            "It was cancelled",
            text_of(data, "cancelReason") or "No reason was told.",
        ),
    }
    return PageVerdict(*verdicts.get(payment, ("idle", "info", payment, "As the shop says.")))


async def show(visit: Visit) -> Response:
    """Show an order with all that happened to it."""
    order = await record_of(visit, Order, "order")
    customer = part_of(order.data, "customer")
    entries = await timeline_of_order(visit.gateway, order)
    return visit.show(
        "order.html",
        order=order,
        app_name=visit.names_of(order.scope)[0],
        name=name_of(order),
        amount=text_of(order.data, "amount"),
        currency=text_of(order.data, "currency"),
        payment=text_of(order.data, "paymentStatus") or PENDING,
        status=text_of(order.data, "status") or PENDING,
        verdict=verdict_of(order),
        sums=sums_of(order),
        lines=lines_of(order),
        customer={name: text_of(customer, name) for name in ("id", "name", "email", "phoneNumber")},
        address=address_of(part_of(order.data, "shippingAddress")),
        facts=facts_of(order.data, _FACTS),
        metadata=metadata_of(order.data),
        steps=await steps_of(visit, order.scope, entries),
    )


_FACTS = {
    "number": "Number",
    "createdAt": "Placed",
    "paidAt": "Paid",
    "cancelledAt": "Cancelled",
    "refundedAt": "Given back",
    "gateway": "Gateway",
    "reference": "Its reference",
    "affiliateId": "Affiliate",
}


def name_of(order: Order) -> str:
    """Return the name by which people know an order."""
    return text_of(order.data, "number") or order.uid or order.id


_COLUMNS = (
    "time",
    "id",
    "uid",
    "number",
    "status",
    "paymentStatus",
    "amount",
    "currency",
    "customer",
    "email",
)


def _cells(order: Order) -> list[object]:
    data, customer = order.data, part_of(order.data, "customer")
    return [
        iso(order.updated_at),
        order.id,
        order.uid,
        *(data.get(name) for name in ("number", "status", "paymentStatus", "amount", "currency")),
        customer.get("name"),
        customer.get("email"),
    ]


ORDERS = ShopList(FilterList.ORDER, Order, "orders.html", _COLUMNS, _cells, _EXAMPLE)
PAGES = (
    SitePage(_PLACE, list_handler(ORDERS), _PLACE),
    SitePage("/orders/{order}", show, _PLACE),
)
