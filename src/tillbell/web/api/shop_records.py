"""What the routes of orders, products, customers, subscriptions and shipments share.

Bodies are strict: a member that is not known is refused. Amounts are text, exact in their currency.
Times keep their offset as they were written.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Mapping
from datetime import UTC, datetime
from typing import Annotated, Any, NamedTuple, TypeVar

from fastapi import Depends, Query
from pydantic import Field

from tillbell.app import Gateway
from tillbell.clock import Micros, from_datetime, to_datetime
from tillbell.errors import Invalid, NotFound, Problem
from tillbell.ids import record_cursor
from tillbell.model.shipments import Shipment
from tillbell.model.shop import Order, ShopDocument, ShopRecord
from tillbell.model.transactions import Transaction
from tillbell.money import format_amount, is_currency, parse_amount
from tillbell.process.shop_documents import News
from tillbell.storage.ports.inbound import TransactionFilter
from tillbell.storage.ports.outbound import Page
from tillbell.storage.ports.shop import ShopFilter
from tillbell.web.api.amounts import AmountText
from tillbell.web.api.paging import Iterator as IteratorText
from tillbell.web.api.paging import Limit, list_page
from tillbell.web.api.shapes import Decides, In, Listed, Ordering, Out, Time

S = TypeVar("S", bound=ShopRecord)
D = TypeVar("D", bound=ShopDocument)
Shape = TypeVar("Shape")

TIMELINE_MAX = 50  # transactions and shipments of an order that its timeline shows

ShortText = Annotated[str, Field(min_length=1, max_length=256)]
LongText = Annotated[str, Field(max_length=4096)]
Currency = Annotated[
    str, Field(max_length=12, description="Code of a currency (ISO 4217) or coin: `EUR`.")
]
StrictTexts = Annotated[list[ShortText], Field(max_length=100)]
Members = Annotated[dict[str, Any], Field(description="What the shop keeps with it.")]
# A body with this member is strict: whatever it does not know is refused.
PlatformTime = Annotated[
    Time,
    Decides(),
    Field(description="The platform's time of its last change: older news changes nothing."),
]


class BuyerIn(In):
    """Who bought."""

    id: Annotated[ShortText, Decides()] | None = None
    name: ShortText | None = Field(default=None, description="Given and family name.")
    email: ShortText | None = Field(default=None, description="E-mail address.")
    phone_number: ShortText | None = Field(default=None, description="In international form.")


class AddressIn(In):
    """Where something goes, or somebody lives."""

    line1: Annotated[ShortText, Decides()] | None = Field(
        default=None, description="Street and number."
    )
    line2: ShortText | None = Field(default=None, description="Anything more.")
    city: ShortText | None = Field(default=None, description="City or village.")
    postal_code: ShortText | None = Field(
        default=None, description="Postal code, as the post of the country writes it."
    )
    region: ShortText | None = Field(default=None, description="State or province.")
    country: Annotated[str, Field(min_length=2, max_length=2)] | None = Field(
        default=None, description="ISO 3166 code of two letters."
    )


class PricedIn(In):
    """A body with an amount and its currency."""

    amount: AmountText
    currency: Currency


class TimelineEntry(Out):
    """Something that happened to a record."""

    at: datetime = Field(description="When it happened (UTC).")
    kind: str = Field(description="`message`, `callback`, `transaction` or `shipment`.")
    id: str = Field(description="The id of that message, callback, transaction or shipment.")
    type: str = Field(description="Event type, provider, or status.")
    status: str | None = Field(description="How it ended or stands; null: nothing to say.")
    amount: str | None = Field(description="Of a transaction, in whole units; null: no money.")
    currency: str | None = Field(description="Code of the currency of `amount`.")


class ListedRecords(NamedTuple):
    """Which records are listed, as the query says."""

    page: Page
    filter: ShopFilter


async def changes_page(
    limit: Limit = 50,
    iterator: IteratorText = None,
    order: Annotated[
        Ordering | None,
        Query(description="By the last change: the latest first; with `updatedSince` the oldest."),
    ] = None,
    updated_since: Annotated[
        Time | None,
        Query(alias="updatedSince", description="Only what has changed at this time or later."),
    ] = None,
) -> ListedRecords:
    """Read the page and the time of change from the query."""
    is_ascending = updated_since is not None if order is None else order is Ordering.ASCENDING
    is_backwards = iterator is not None and iterator.startswith("-")
    page = Page(limit, iterator.lstrip("-") if iterator else None, is_backwards, is_ascending)
    since = from_datetime(updated_since) if updated_since is not None else None
    return ListedRecords(page, ShopFilter(since=since))


async def listed_records(
    changes: Annotated[ListedRecords, Depends(changes_page)],
    q: Annotated[
        str | None,
        Query(max_length=256, description="Only those with this id, number or e-mail address."),
    ] = None,
    status: Annotated[str | None, Query(max_length=64)] = None,
) -> ListedRecords:
    """Read which records are wanted from the query."""
    if q is not None and status is not None:
        raise Invalid(Problem(("query", "status"), "goes not with q: leave one out", "conflict"))
    return changes._replace(filter=changes.filter._replace(text=q or None, status=status))


ListedRecordsOf = Annotated[ListedRecords, Depends(listed_records)]


async def answer_list(
    gateway: Gateway,
    kind: type[S],
    app_id: str,
    wanted: ListedRecords,
    shape: Callable[[S], Shape],
) -> Listed[Shape]:
    """Answer with one page of records, each in the shape that callers see."""

    async def fetch(page: Page) -> list[S]:
        return list(await gateway.database.shop_records(kind, app_id, wanted.filter, page))

    cut = await list_page(fetch, wanted.page, lambda r: record_cursor(r.id, r.updated_at))
    return cut.showing([shape(record) for record in cut.rows])


async def present(gateway: Gateway, kind: type[S], app_id: str, id_or_uid: str) -> S:
    """Return a record; `NotFound` if there is none."""
    record = await gateway.database.get(kind, id_or_uid, app_id)
    if record is None:
        raise NotFound(f"There is no such {kind.__name__.lower()}.")
    return record


# ── bodies ───────────────────────────────────────────────────────────────────────────────────────


def news_of(body: In) -> News:
    """Return the members that a body names as the record keeps them; null stays None."""
    members = _plain(body.model_dump(by_alias=True, exclude_unset=True))
    members.pop("updatedAt", None)
    members.pop("uid", None)
    at: datetime | None = getattr(body, "updated_at", None)
    return News(members, from_datetime(at) if at is not None else None)


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _plain(member) for name, member in value.items()}
    if isinstance(value, list):
        return [_plain(member) for member in value]
    if isinstance(value, datetime):
        aware = value if value.tzinfo is not None else value.replace(tzinfo=UTC)
        return aware.isoformat().replace("+00:00", "Z")
    return value


def with_exact_amounts(data: dict[str, Any], names: tuple[str, ...]) -> dict[str, Any]:
    """Return members whose amounts have the digits of the currency; `Invalid` if one has not."""
    currency = data.get("currency")
    if not isinstance(currency, str) or not is_currency(currency):
        raise Invalid(Problem(("body", "currency"), "is not a known currency code", "currency"))
    return data | _exact(data, names, currency, ("body",))


def with_exact_lines(data: dict[str, Any]) -> dict[str, Any]:
    """Return an order whose lines have exact amounts, each in its currency or the order's."""
    items = data.get("items")
    if not isinstance(items, list):
        return data
    lines = []
    for number, item in enumerate(items):
        currency, loc = item.get("currency") or data["currency"], ("body", "items", number)
        if not is_currency(currency):
            raise Invalid(Problem((*loc, "currency"), "is not a known currency code", "currency"))
        exact = _exact(item, ("unitPrice", "totalPrice"), currency, loc)
        lines.append({**item, "currency": currency, **exact})
    return data | {"items": lines}


def _exact(
    data: Mapping[str, Any], names: tuple[str, ...], currency: str, loc: tuple[str | int, ...]
) -> dict[str, str]:
    exact: dict[str, str] = {}
    for name in names:
        text = data.get(name)
        if text is None:
            continue
        try:
            exact[name] = format_amount(parse_amount(text, currency), currency)
        except ValueError as error:
            raise Invalid(Problem((*loc, name), str(error), "amount")) from error
    return exact


# ── what happened ────────────────────────────────────────────────────────────────────────────────


async def timeline_of(gateway: Gateway, record: ShopDocument) -> list[TimelineEntry]:
    """Return what happened to a record, the oldest first."""
    entries = [
        _entry(message.at, "message", message.message_id, message.event_type)
        for message in record.messages
    ]
    for callback_id in record.callback_ids:
        callback = await gateway.database.callback(record.scope, callback_id)
        if callback is not None:
            outcome = callback.outcome.value if callback.outcome is not None else None
            provider = callback.provider
            entry = _entry(callback.received_at, "callback", callback.id, provider, outcome)
            entries.append(entry)
    return sorted(entries, key=lambda entry: entry.at)


async def timeline_of_order(gateway: Gateway, order: ShopDocument) -> list[TimelineEntry]:
    """Return what happened to an order, with its transactions and shipments."""
    uid = order.uid or order.id
    entries = await timeline_of(gateway, order)
    entries += [entry async for entry in _transactions(gateway, order)]
    filter_ = ShopFilter(order_id=uid)
    page = Page(limit=TIMELINE_MAX)
    for shipment in await gateway.database.shop_records(Shipment, order.scope, filter_, page):
        at = shipment.news_at or shipment.updated_at
        entries.append(_entry(at, "shipment", shipment.id, shipment.carrier, shipment.status))
    return sorted(entries, key=lambda entry: entry.at)


async def payments_of_order(gateway: Gateway, order: ShopDocument) -> list[Transaction]:
    """Return the payments that name an order, or that count as paying it."""
    database, uid = gateway.database, order.uid or order.id
    page = Page(limit=TIMELINE_MAX)
    payments = list(
        await database.transactions(order.scope, TransactionFilter(reference=uid), page)
    )
    counted = order.payments if isinstance(order, Order) else {}
    for id_ in list(counted)[:TIMELINE_MAX]:  # some name the order in their metadata
        if id_ not in {payment.id for payment in payments}:
            payment = await database.transaction(order.scope, id_)
            payments += [payment] if payment is not None else []
    return payments


async def _transactions(gateway: Gateway, order: ShopDocument) -> AsyncIterator[TimelineEntry]:
    for payment in await payments_of_order(gateway, order):
        linked = await gateway.database.linked_transactions(order.scope, payment.id)
        for transaction in (payment, *linked):
            async for entry in _steps(gateway, transaction):
                yield entry


async def _steps(gateway: Gateway, of: Transaction) -> AsyncIterator[TimelineEntry]:
    """Yield the steps of a transaction, each with the message about it that is still kept."""
    database, amount = gateway.database, format_amount(of.amount, of.currency)
    for step in await database.transitions(of.app_id, of.id):
        entry = _entry(step.at, "transaction", of.id, of.kind.value, step.status.value)
        yield entry.model_copy(update={"amount": amount, "currency": of.currency})
        message_id = str(step.details.get("messageId") or "")
        message = await database.message(of.app_id, message_id) if message_id else None
        if message is not None:
            yield _entry(message.created_at, "message", message.id, message.event_type)


def _entry(at: Micros, kind: str, id_: str, type_: str, status: str | None = None) -> TimelineEntry:
    return TimelineEntry(
        at=to_datetime(at), kind=kind, id=id_, type=type_, status=status, amount=None, currency=None
    )


def shown(record: ShopDocument) -> dict[str, Any]:
    """Return the members of a record for its shape: what it has, and what all records have."""
    data = {"createdAt": to_datetime(record.created_at), **record.data}
    own = {
        "id": record.id,
        "uid": record.uid,
        "version": record.version,
        "sourceId": record.source_id or None,
        "updatedAt": to_datetime(record.updated_at),
    }
    return data | own
