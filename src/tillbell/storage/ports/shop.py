"""The port to the shop's records: lists in the order in which they changed."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import NamedTuple, Protocol, TypeVar

from tillbell.clock import Micros
from tillbell.model.shop import Buyer, ShopRecord, SumOfOrders
from tillbell.storage.ports.outbound import Page

S = TypeVar("S", bound=ShopRecord)


class ShopFilter(NamedTuple):
    """Which records are listed. `text` is any id, number or e-mail address; it goes alone.

    At most one of `status`, `payment_status` and `order_id` is given.
    """

    text: str | None = None
    status: str | None = None
    payment_status: str | None = None
    order_id: str | None = None
    since: Micros | None = None  # changed at that time or later


class ShopLists(Protocol):
    """Lists of the shop's records."""

    async def shop_records(
        self, kind: type[S], app_id: str, filter_: ShopFilter, page: Page
    ) -> Sequence[S]:
        """List records by their last change, the latest first unless `ascending`.

        The page's iterator is the `record_cursor` of a record.
        """
        ...

    async def paid_orders(self, app_id: str, names: Collection[str]) -> frozenset[str]:
        """Return which of these names a transaction has as its order or merchant reference."""
        ...

    async def shop_records_with(
        self, kind: type[S], app_id: str, names: Collection[str], *, is_number: bool = False
    ) -> Sequence[S]:
        """Return the records with these uids; `is_number`: with these numbers, in any order."""
        ...

    async def order_sums(self, app_id: str, buyers: Sequence[Buyer]) -> Sequence[SumOfOrders]:
        """Return the sums of the orders of some customers; an order without an id has an address.

        A customer without orders has none. There may be two of a customer and currency.
        """
        ...
