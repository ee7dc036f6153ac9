"""Customers, and one customer with their orders, subscriptions and consent."""

from __future__ import annotations

from starlette.responses import Response

from tillbell.clock import iso
from tillbell.model.shop import Customer, Order, Subscription
from tillbell.rules.filters.clauses import FilterList
from tillbell.storage.ports.outbound import Page
from tillbell.storage.ports.shop import ShopFilter
from tillbell.web.api.shop_records import timeline_of
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
    time_of,
)

_PLACE = "/customers"
_SHOWN_MAX = 20  # orders and subscriptions of a customer on their page
_EXAMPLE = (
    '{"name": "Ada Lovelace", "email": "ada@example.com",\n'
    '       "consent": {"isGiven": true, "source": "checkout"}}'
)
_FACTS = {"email": "E-mail", "phoneNumber": "Phone", "createdAt": "First came"}
_COLUMNS = ("time", "id", "uid", "name", "email", "phoneNumber", "consent", "consentSource")


async def show(visit: Visit) -> Response:
    """Show a customer."""
    customer = await record_of(visit, Customer, "customer")
    data, consent = customer.data, part_of(customer.data, "consent")
    database, app_id = visit.gateway.database, customer.scope
    mine = ShopFilter(text=customer.uid or customer.id)
    tags = data.get("tags")
    entries = await timeline_of(visit.gateway, customer)
    return visit.show(
        "customer.html",
        customer=customer,
        app_name=visit.names_of(app_id)[0],
        name=name_of(customer),
        consent=consent_of(customer),
        consent_source=text_of(consent, "source"),
        consent_at=time_of(consent, "at"),
        orders=await database.shop_records(Order, app_id, mine, Page(_SHOWN_MAX)),
        subscriptions=await database.shop_records(Subscription, app_id, mine, Page(_SHOWN_MAX)),
        address=address_of(part_of(data, "address")),
        tags=[tag for tag in tags if isinstance(tag, str)] if isinstance(tags, list) else [],
        facts=facts_of(data, _FACTS),
        metadata=metadata_of(data),
        steps=await steps_of(visit, app_id, entries),
        text_of=text_of,
    )


def consent_of(customer: Customer) -> str:
    """Return whether a customer may be written to, as a state of pages/states.py."""
    is_given = part_of(customer.data, "consent").get("isGiven") is True
    return "consented" if is_given else "not_consented"


def name_of(customer: Customer) -> str:
    """Return the name by which people know a customer."""
    names = (text_of(customer.data, name) for name in ("name", "email"))
    return next(filter(None, names), customer.uid or customer.id)


def _cells(customer: Customer) -> list[object]:
    data, consent = customer.data, part_of(customer.data, "consent")
    return [
        iso(customer.updated_at),
        customer.id,
        customer.uid,
        *(data.get(name) for name in ("name", "email", "phoneNumber")),
        consent.get("isGiven"),
        consent.get("source"),
    ]


CUSTOMERS = ShopList(FilterList.CUSTOMER, Customer, "customers.html", _COLUMNS, _cells, _EXAMPLE)
PAGES = (
    SitePage(_PLACE, list_handler(CUSTOMERS), _PLACE),
    SitePage("/customers/{customer}", show, _PLACE),
)
