"""Customers of an application, with what they consented to."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any

from fastapi import Path
from pydantic import Field

from tillbell.model.shop import Customer
from tillbell.web.api.routes import ApplicationOf, GatewayOf, PrincipalOf
from tillbell.web.api.shapes import Decides, Flag, In, Listed, Out, Time
from tillbell.web.api.shop_records import (
    AddressIn,
    Members,
    PlatformTime,
    ShortText,
    StrictTexts,
    TimelineEntry,
    timeline_of,
)
from tillbell.web.api.shop_routes import Shapes, Words, add_removal, document_resource, shop_router
from tillbell.web.api.tasks import TaskOut


class ConsentIn(In):
    """Whether a customer has agreed to be written to."""

    is_given: Annotated[Flag, Decides()] = Field(description="Whether they have agreed.")
    source: ShortText | None = Field(default=None, description="Where they said so: `checkout`.")
    at: Time | None = Field(default=None, description="When they said so.")


class CustomerMembers(In):
    """What the shop says of a customer."""

    name: ShortText | None = Field(default=None, description="Given and family name.")
    email: ShortText | None = Field(default=None, description="E-mail address.")
    phone_number: ShortText | None = Field(default=None, description="In international form.")
    address: AddressIn | None = Field(default=None, description="Where they live.")
    tags: StrictTexts | None = Field(default=None, description="The shop's labels.")
    consent: ConsentIn | None = Field(default=None, description="Whether they may be written to.")
    created_at: Time | None = Field(default=None, description="When they first came.")
    metadata: Members | None = None
    updated_at: PlatformTime | None = None


class CustomerIn(CustomerMembers):
    """A customer to create or replace."""


class CustomerPatch(CustomerMembers):
    """Changes to a customer. Members left out stay as they are; null removes."""


class CustomerOut(Out):
    """A customer."""

    id: str
    uid: str | None
    name: str | None = Field(default=None, description="Given and family name.")
    email: str | None = Field(default=None, description="E-mail address.")
    phone_number: str | None = Field(default=None, description="In international form.")
    address: dict[str, Any] | None = Field(default=None, description="Where they live.")
    tags: list[str] | None = Field(default=None, description="The shop's labels.")
    consent: dict[str, Any] | None = Field(
        default=None, description="Whether they have agreed to be written to, where and when."
    )
    metadata: dict[str, Any] | None = Field(
        default=None, description="What the shop keeps with them."
    )
    version: int
    source_id: str | None
    created_at: datetime
    updated_at: datetime


class CustomerDetailOut(CustomerOut):
    """A customer with what happened to it."""

    timeline: list[TimelineEntry] = Field(description="What happened, the oldest first.")


def _checked(data: dict[str, Any]) -> dict[str, Any]:
    """Return a customer as it is: it has no amounts."""
    return data


RESOURCE = document_resource(
    Customer,
    Words("customer", "a customer", "customers"),
    Shapes(CustomerIn, CustomerPatch, CustomerOut, Listed[CustomerOut], CustomerDetailOut),
    _checked,
    timeline_of,
)
router = shop_router(RESOURCE)
add_removal(router, Customer, RESOURCE.words)


class EraseIn(In):
    """What more is known of a customer who is to be erased."""

    also: Annotated[list[str], Field(max_length=20)] = Field(
        default=[],
        description="Further e-mail addresses, telephone numbers, full names or streets of the"
        " person, which are not in the customer or its orders.",
    )


@router.post("/{customer_id}/erase", status_code=202)
async def erase(
    app: ApplicationOf,
    customer_id: Annotated[str, Path(description="Its id or uid.", max_length=256)],
    gateway: GatewayOf,
    principal: PrincipalOf,
    body: EraseIn | None = None,
) -> TaskOut:
    """Erase a customer everywhere, in the background.

    Its record, and what it is named by in orders, subscriptions, transactions, e-mails, the audit
    log; payloads, answers to attempts and requests of providers that name it or its orders. Amounts
    and statuses stay. `customer.deleted` tells its id alone. A customer without a record is erased
    by the id that orders or transactions have, or by what `also` names.
    """
    also = body.also if body is not None else []
    sees_all = principal.key.app_id is None
    task = await gateway.customer_eraser.begin(app.id, customer_id, also, sees_all=sees_all)
    return TaskOut.of(task)
