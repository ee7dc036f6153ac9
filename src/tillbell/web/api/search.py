"""Search: finds things by any id or name that people have in hand. Every look-up uses an index."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from functools import partial
from typing import Annotated, Any, NamedTuple
from urllib.parse import quote

from fastapi import Query
from pydantic import Field

from tillbell.app import Gateway
from tillbell.model.emails import Email, Suppression
from tillbell.model.endpoints import Endpoint
from tillbell.model.records import Application, Record
from tillbell.model.shipments import Shipment
from tillbell.model.shop import Customer, Order, Product, ShopDocument, Subscription
from tillbell.rules.filters.clauses import Clause, ListFilter, OneOf
from tillbell.storage.ports.outbound import Page
from tillbell.storage.ports.shop import ShopFilter
from tillbell.web.api.overviews import ScopeOf
from tillbell.web.api.routes import GatewayOf, PrincipalOf, may, resource
from tillbell.web.api.shapes import Out, words
from tillbell.web.edge.auth import Principal
from tillbell.web.edge.paths import BASE

HITS_MAX = 20  # of one kind
APPLICATIONS_MAX = 200  # the newest, whose numbers and addresses are searched at once
_TYPES = (
    *("application", "message", "delivery", "attempt", "endpoint", "event-type", "source"),
    *("callback", "transaction", "conflict", "order", "customer", "product", "subscription"),
    *("shipment", "email", "suppression"),
)


class SearchHitOut(Out):
    """Something that was found."""

    type: Annotated[str, words(*_TYPES)] = Field(description="What it is.")
    id: str
    app_id: str | None = Field(description="Id of its application; null: it belongs to none.")
    title: str = Field(description="Its name, for a person.")
    detail: str = Field(description="How it stands, or what it is about; may be empty.")
    href: str = Field(description="Path of the API at which it is shown.")


class SearchOut(Out):
    """What a search found."""

    data: list[SearchHitOut] = Field(description="The hits: the surest kinds first.")


class _Search(NamedTuple):
    """One search: the text, the application (None: all), and who asks."""

    gateway: Gateway
    scope: str | None
    principal: Principal
    text: str


class _Hit(NamedTuple):
    id: str
    app_id: str | None
    title: str
    detail: str
    path: str  # below the application; absolute if there is none


router = resource("/search", "Search")


@router.get("")
async def find(
    scope: ScopeOf,
    gateway: GatewayOf,
    principal: PrincipalOf,
    q: Annotated[
        str,
        Query(
            min_length=1,
            max_length=256,
            description="An id, event id, uid, order number, reference, e-mail or name.",
        ),
    ],
) -> SearchOut:
    """Find things by an id or name, exactly as it is, as far as the key may see them."""
    return await search_for(q, gateway, scope, principal)


async def search_for(
    text: str, gateway: Gateway, scope: str | None, principal: Principal
) -> SearchOut:
    """Find things by an id or name, as far as who asks may see them."""
    search = _Search(gateway, scope, principal, text.strip())
    data = []
    for type_, operation, look_up in _LOOK_UPS:
        if search.text and may(principal, operation):
            data += [_out(type_, hit) for hit in (await look_up(search))[:HITS_MAX]]
    return SearchOut(data=data)


def _out(type_: str, hit: _Hit) -> SearchHitOut:
    base = BASE if hit.app_id is None else f"{BASE}/app/{quote(hit.app_id, safe='')}"
    return SearchHitOut(
        type=type_,
        id=hit.id,
        app_id=hit.app_id,
        title=hit.title,
        detail=hit.detail,
        href=f"{base}{hit.path}",
    )


# ── what is configured ───────────────────────────────────────────────────────────────────────────


async def _applications(search: _Search) -> list[_Hit]:
    app = await search.gateway.config_cache.application(search.text)
    if app is None or not search.principal.may_see(app.id) or search.scope not in (None, app.id):
        return []
    return [_Hit(app.id, app.id, app.uid or app.name, app.name, "")]


async def _endpoints(search: _Search) -> list[_Hit]:
    records = await _records(search, Endpoint)
    return [
        _Hit(e.id, e.scope, e.uid or e.url, f"{e.status.value} {e.url}", f"/endpoint/{e.id}")
        for e in records
    ]


async def _sources(search: _Search) -> list[_Hit]:
    sources = [compiled.source for compiled in search.gateway.source_cache.of_scope(search.scope)]
    return [
        _Hit(source.id, source.scope, source.name, source.provider, f"/source/{source.id}")
        for source in sources
        if search.text in (source.id, source.uid, source.name)
    ]


async def _event_types(search: _Search) -> list[_Hit]:
    cache, name = search.gateway.config_cache, search.text
    is_seen = search.principal.may_see_type(cache.cached_event_type(name))
    if name not in cache.known_event_types() or not is_seen:
        return []
    is_registered = cache.cached_event_type(name) is not None
    path = f"/event-type/{quote(name, safe='')}" if is_registered else "/event-type/catalog"
    return [_Hit(name, None, name, "", path)]


async def _records(search: _Search, kind: type[Any]) -> list[Any]:
    """Return the records of a kind with that id or uid, in what the key may see."""
    database = search.gateway.database
    if search.scope is not None:
        record = await database.get(kind, search.text, search.scope)
        return [record] if record is not None else []
    ids = (await database.ids_named(kind, search.text))[:HITS_MAX]
    records: list[Record | None] = [await database.get(kind, id_, None) for id_ in ids]
    return [r for r in records if r is not None and search.principal.may_see(r.scope)]


async def _shipments(search: _Search) -> list[_Hit]:
    records = await _records(search, Shipment)
    return [
        _Hit(s.id, s.scope, s.tracking_number, f"{s.carrier} {s.status}", f"/shipment/{s.id}")
        for s in records
    ]


async def _documents(search: _Search, *, kind: type[ShopDocument]) -> list[_Hit]:
    """Find a shop's records by id or uid, or else by number and e-mail address."""
    records: list[ShopDocument] = await _records(search, kind)
    for app_id in () if records else await _applications_of(search):
        page, filter_ = Page(limit=HITS_MAX), ShopFilter(text=search.text)
        records += await search.gateway.database.shop_records(kind, app_id, filter_, page)
        if len(records) >= HITS_MAX:
            break
    return [_document_hit(record) for record in records]


async def _applications_of(search: _Search) -> list[str]:
    """Return the applications that are searched one by one."""
    if search.scope is not None:
        return [search.scope]
    page = Page(APPLICATIONS_MAX)
    applications = await search.gateway.database.list(Application, page=page)
    return [each.id for each in applications if search.principal.may_see(each.id)]


def _document_hit(record: ShopDocument) -> _Hit:
    columns, uid = record.columns, record.uid or record.id
    title = str(record.data.get("name") or columns.number or uid)
    states = f"{columns.status or ''} {columns.payment_status or ''}".strip()
    detail = states or (uid if title != uid else "")
    path = f"/{type(record).__name__.lower()}/{record.id}"
    return _Hit(record.id, record.scope, title, detail, path)


async def _emails(search: _Search) -> list[_Hit]:
    records = await _records(search, Email)
    return [_Hit(e.id, e.scope, ", ".join(e.to), e.status, f"/email/{e.id}") for e in records]


async def _suppressions(search: _Search) -> list[_Hit]:
    records = await _records(search._replace(text=search.text.lower()), Suppression)
    return [
        _Hit(s.id, s.scope, s.uid or s.id, s.reason, f"/suppression/{quote(s.uid or s.id)}")
        for s in records
    ]


# ── what happened ────────────────────────────────────────────────────────────────────────────────

_PAGE = Page(limit=HITS_MAX)


async def _messages(search: _Search) -> list[_Hit]:
    field = "id" if search.text.startswith("msg_") else "event"
    slice_ = await search.gateway.database.filtered_messages(
        search.scope, _of(field, search), _PAGE, HITS_MAX
    )
    return [
        _Hit(m.id, m.app_id, m.event_id or m.id, m.event_type, f"/msg/{m.id}") for m in slice_.rows
    ]


async def _deliveries(search: _Search) -> list[_Hit]:
    if not search.text.startswith("dlv_"):
        return []
    slice_ = await search.gateway.database.filtered_deliveries(
        search.scope, _of("id", search), _PAGE, HITS_MAX
    )
    return [
        _Hit(d.id, d.app_id, d.id, f"{d.state.value} {m.event_type}", f"/delivery/{d.id}")
        for d, m in slice_.rows
    ]


async def _attempts(search: _Search) -> list[_Hit]:
    if not search.text.startswith("atmpt_"):
        return []
    slice_ = await search.gateway.database.filtered_attempts(
        search.scope, _of("id", search), _PAGE, HITS_MAX
    )
    return [
        _Hit(a.id, a.app_id, a.id, a.result.value, f"/msg/{a.message_id}/attempt/{a.id}")
        for a in slice_.rows
    ]


async def _callbacks(search: _Search) -> list[_Hit]:
    if not search.text.startswith("cbk_"):
        return []
    slice_ = await search.gateway.database.filtered_callbacks(
        search.scope, _of("id", search), _PAGE, HITS_MAX
    )
    return [
        _Hit(c.id, c.app_id, c.provider, c.outcome or "pending", f"/callback/{c.id}")
        for c in slice_.rows
    ]


async def _transactions(search: _Search) -> list[_Hit]:
    fields = ("id",) if search.text.startswith("trx_") else ("reference", "user")
    hits: dict[str, _Hit] = {}
    for field in fields:
        slice_ = await search.gateway.database.filtered_transactions(
            search.scope, _of(field, search), _PAGE, HITS_MAX
        )
        hits |= {
            t.id: _Hit(
                t.id, t.app_id, t.uid or t.order_id or t.id, t.status, f"/transaction/{t.id}"
            )
            for t in slice_.rows
        }
    return list(hits.values())


async def _conflicts(search: _Search) -> list[_Hit]:
    if not search.text.startswith("cfl_"):
        return []
    slice_ = await search.gateway.database.filtered_conflicts(
        search.scope, _of("id", search), _PAGE, HITS_MAX
    )
    return [_Hit(c.id, c.app_id, c.kind, c.why, f"/conflict/{c.id}") for c in slice_.rows]


def _of(field: str, search: _Search) -> ListFilter:
    return ListFilter((Clause(field, (OneOf((search.text,)),)),))


LookUp = Callable[[_Search], Awaitable[list[_Hit]]]
_LOOK_UPS: tuple[tuple[str, str, LookUp], ...] = (
    ("application", "application.get", _applications),
    ("message", "message.list", _messages),
    ("delivery", "delivery.list", _deliveries),
    ("attempt", "message-attempt.get", _attempts),
    ("transaction", "transaction.list", _transactions),
    ("callback", "callback.list", _callbacks),
    ("conflict", "conflict.list", _conflicts),
    ("endpoint", "endpoint.list", _endpoints),
    ("source", "source.list", _sources),
    ("event-type", "event-type.list", _event_types),
    ("order", "order.list", partial(_documents, kind=Order)),
    ("customer", "customer.list", partial(_documents, kind=Customer)),
    ("product", "product.list", partial(_documents, kind=Product)),
    ("subscription", "subscription.list", partial(_documents, kind=Subscription)),
    ("shipment", "shipment.list", _shipments),
    ("email", "email.list", _emails),
    ("suppression", "suppression.list", _suppressions),
)
