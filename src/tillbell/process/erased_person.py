"""Who is erased: what names them, looked for in what the shop and its payments say of them."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, NamedTuple, TypeVar

import msgspec

from tillbell.ids import record_cursor
from tillbell.model.shop import Customer, Order, ShopDocument, Subscription
from tillbell.model.transactions import Transaction
from tillbell.rules.traces import Traces
from tillbell.storage.ports.database import Database
from tillbell.storage.ports.inbound import TransactionFilter
from tillbell.storage.ports.outbound import Page
from tillbell.storage.ports.shop import ShopFilter

D = TypeVar("D", bound=ShopDocument)

BATCH_SIZE = 100  # rows of one read
_SHORTEST = 5  # characters of an address that is looked for everywhere
_SHORTEST_NAME = 8
_SHORTEST_NUMBER = 8  # digits of a telephone number that may be written without its other signs
_WORD = re.compile(r"\w{2,}")
# A "name" with one of these is what a shop writes where it knows none.
_NO_NAMES = {
    *("guest", "customer", "client", "user", "buyer", "test", "unknown", "anonymous", "none"),
    *("name", "shop", "store", "checkout"),
}


class ErasedPerson(NamedTuple):
    """Who is looked for: the customer as others name it, and where its traces are.

    `own` has the ids of the customer alone; `traces` also those of its orders and payments.
    """

    customer: str
    emails: frozenset[str]
    own: Traces
    traces: Traces

    def as_text(self) -> str:
        """Write it as JSON."""
        own, all_ = sorted(self.own.ids), sorted(self.traces.ids)
        texts, names = sorted(self.own.texts), sorted(self.own.names)
        parts = [self.customer, sorted(self.emails), own, all_, texts, names]
        return msgspec.json.encode(parts).decode()

    @classmethod
    def from_text(cls, text: str) -> ErasedPerson:
        """Read what `as_text` has written."""
        customer, emails, *parts = msgspec.json.decode(text)
        own, ids, texts, names = map(frozenset, parts)
        return cls(
            customer, frozenset(emails), Traces(own, texts, names), Traces(ids, texts, names)
        )


class _Known:
    """What is known of a person, while more is looked for."""

    def __init__(self, also: Iterable[str]) -> None:
        self.emails: set[str] = set()
        self.texts: set[str] = set()
        self.names: set[str] = set()
        for text in also:
            self._add_text(text)

    def _add_text(self, text: str) -> None:
        lower = text.strip().lower()
        if "@" in lower:
            self.emails.add(lower)
        elif any(each.isalpha() for each in lower):
            self.names |= {lower} if _is_full_name(lower) or _is_street(lower) else set()
        else:
            digits = "".join(filter(str.isdigit, lower))
            self.texts |= {lower, digits} if len(digits) >= _SHORTEST_NUMBER else {lower}

    def add(self, data: Mapping[str, Any]) -> None:
        """Add what a customer, or a record about one, says of them."""
        for part in (data, *_parts(data)):
            for name in ("email", "customerEmail", "phoneNumber", "phone"):
                if isinstance(part.get(name), str):
                    self._add_text(part[name])
            for name in ("name", "line1"):
                if isinstance(part.get(name), str):
                    self._add_text(part[name])

    def traces(self, ids: Iterable[str]) -> Traces:
        """Return the traces of the person, with these ids."""
        texts = (text for text in self.texts | self.emails if len(text) >= _SHORTEST)
        return Traces(frozenset(ids), frozenset(texts), frozenset(self.names))


def _parts(data: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    """Return the members of a record that are about its customer."""
    for name in ("customer", "address", "shippingAddress", "billingAddress"):
        part = data.get(name)
        if isinstance(part, dict):
            yield part


def _is_full_name(lower: str) -> bool:
    words = _WORD.findall(lower)
    is_full = len(words) > 1 and len(lower) >= _SHORTEST_NAME
    return is_full and _NO_NAMES.isdisjoint(words)


def _is_street(lower: str) -> bool:
    return len(lower) >= _SHORTEST_NAME and any(each.isdigit() for each in lower)


async def find_person(
    database: Database, app_id: str, uid: str, customer: Customer | None, also: Iterable[str]
) -> ErasedPerson:
    """Look for all that names a customer. `also`: addresses and names that the caller knows."""
    known, own = _Known(also), {uid, *(() if customer is None else (customer.id,))}
    if customer is not None:
        known.add(customer.data)
    ids = set(own)
    for kind in (Order, Subscription):
        for record in await documents_of(database, kind, app_id, uid, known.emails):
            ids |= {record.id, record.uid or record.id}
            known.add({name: v for name, v in record.data.items() if name not in ("name", "line1")})
    for each in await _transactions(database, app_id, uid, ids):
        ids |= {each.id, each.uid or each.id, each.psp_transaction_id or each.id}
        ids |= {id_ for attempt in each.attempts for id_ in attempt.ids}
    return ErasedPerson(uid, frozenset(known.emails), known.traces(own), known.traces(ids))


async def documents_of(
    database: Database, kind: type[D], app_id: str, uid: str, emails: Iterable[str]
) -> list[D]:
    """Return the records of a kind that are of a customer."""
    records: dict[str, D] = {}
    wanted = frozenset(emails)
    for text in (uid, *wanted):
        page, is_last = Page(BATCH_SIZE), False
        while not is_last:
            rows = await database.shop_records(kind, app_id, ShopFilter(text=text), page)
            records |= {row.id: row for row in rows if _is_of(row, uid, wanted)}
            is_last = len(rows) < BATCH_SIZE
            if rows:
                page = Page(BATCH_SIZE, record_cursor(rows[-1].id, rows[-1].updated_at))
    return list(records.values())


def _is_of(record: ShopDocument, uid: str, emails: frozenset[str]) -> bool:
    columns = record.columns
    return columns.customer_id == uid or (columns.email is not None and columns.email in emails)


async def _transactions(
    database: Database, app_id: str, uid: str, ids: set[str]
) -> list[Transaction]:
    """Return the transactions of the customer, and those that pay its orders."""
    filters = [TransactionFilter(user_id=uid)]
    filters += [TransactionFilter(reference=id_) for id_ in sorted(ids - {uid})]
    payments: dict[str, Transaction] = {}
    for filter_ in filters:
        page = Page(BATCH_SIZE)
        while rows := await database.transactions(app_id, filter_, page):
            payments |= {row.id: row for row in rows}
            page = Page(BATCH_SIZE, rows[-1].id)
    linked = [each for id_ in payments for each in await database.linked_transactions(app_id, id_)]
    return [*payments.values(), *linked]
