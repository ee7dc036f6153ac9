"""The shop's records: orders, products, customers and subscriptions, as the shop tells them.

`data` has the members that the catalogue names (catalog/money_shapes.py), without `id`, which is
`uid`. Amounts are decimal text, times ISO 8601 text. `Shipment` (shipments.py) is one too.
"""

from __future__ import annotations

import hashlib
from typing import Any, NamedTuple

import msgspec

from tillbell.clock import Micros
from tillbell.model.records import Record

HISTORY_MAX = 100  # messages and callbacks that a record names, the newest


class SearchColumns(NamedTuple):
    """What of a record the store lists and searches by. None: it has none."""

    number: str | None = None
    status: str | None = None
    payment_status: str | None = None
    customer_id: str | None = None
    email: str | None = None  # in small letters
    order_id: str | None = None


class ShopRecord(Record, frozen=True, kw_only=True):
    """A record that is kept in a table of its own, with columns for lists and searches."""

    @property
    def columns(self) -> SearchColumns:
        """What it is listed and searched by."""
        return SearchColumns()


class PublishedAbout(msgspec.Struct, frozen=True):
    """A message that was published about a record."""

    message_id: str
    event_type: str
    at: Micros


class ShopDocument(ShopRecord, frozen=True, kw_only=True):
    """A record whose members are the shop's.

    `platform_at` is the platform's own time of its last change: what is older changes nothing.
    `erased_at`: its customer was erased then, and no callback writes one to it again.
    """

    data: dict[str, Any] = {}
    platform_at: Micros | None = None
    source_id: str = ""
    callback_ids: tuple[str, ...] = ()  # that changed it, the oldest first
    messages: tuple[PublishedAbout, ...] = ()  # that were published about it, the oldest first
    erased_at: Micros | None = None

    @property
    def columns(self) -> SearchColumns:
        """What it is listed and searched by."""
        customer = self.data.get("customer")
        buyer = customer if isinstance(customer, dict) else {}
        return SearchColumns(
            number=_text(self.data.get("number")),
            status=_text(self.data.get("status")),
            payment_status=_text(self.data.get("paymentStatus")),
            customer_id=_text(buyer.get("id")),
            email=_small(buyer.get("email")),
            order_id=_text(self.data.get("orderId")),
        )


class OrderPayment(msgspec.Struct, frozen=True):
    """What one transaction has moved for an order, in minor units of the order's currency."""

    credited: int = 0
    given_back: int = 0  # refunded and reversed
    disputed: int = 0  # charged back, without what came back


class Order(ShopDocument, frozen=True, kw_only=True):
    """An order. `payments` are those of its transactions, by id."""

    payments: dict[str, OrderPayment] = {}


class Product(ShopDocument, frozen=True, kw_only=True):
    """A product, with its stock."""

    @property
    def columns(self) -> SearchColumns:
        """Its stock keeping unit is its number."""
        return SearchColumns(number=_text(self.data.get("sku")))


class Customer(ShopDocument, frozen=True, kw_only=True):
    """A customer, with what they consented to."""

    @property
    def columns(self) -> SearchColumns:
        """What it is searched by is in the customer itself."""
        return SearchColumns(
            number=_text(self.data.get("phoneNumber")), email=_small(self.data.get("email"))
        )


class Tombstone(Record, frozen=True, kw_only=True):
    """The mark of a product or customer that was deleted, so that late news makes it not again.

    Its uid is a digest of what was deleted, and says nothing of it. `removed_at` is the platform's
    own time of the deletion, or ours if nobody has said one.
    """

    removed_at: Micros


def tombstone_uid(kind: type[ShopDocument], uid: str) -> str:
    """Return the uid of the mark of a record."""
    return hashlib.blake2b(f"{kind.__name__}:{uid}".encode(), digest_size=18).hexdigest()


class Buyer(NamedTuple):
    """A customer, as orders name it: by its id, or else by its e-mail address in small letters."""

    uid: str
    email: str | None = None


class SumOfOrders(NamedTuple):
    """The orders of a customer in one currency. Times are the orders' own texts.

    `paid` is decimal text: what transactions have paid, or else the amounts of paid orders. It may
    have more digits than the currency.
    """

    uid: str
    currency: str | None
    orders: int
    first_at: str | None
    last_at: str | None
    paid: str


class Subscription(ShopDocument, frozen=True, kw_only=True):
    """A subscription."""

    upcoming_told: Micros | None = None  # the end of the period whose renewal was announced


def _text(value: object) -> str | None:
    return value if isinstance(value, str) and value else None


def _small(value: object) -> str | None:
    text = _text(value)
    return text.lower() if text is not None else None
