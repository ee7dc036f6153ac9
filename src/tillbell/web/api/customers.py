"""Customers of an application, with what they consented to."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any

from fastapi import Response
from pydantic import Field

from tillbell.model.shop import Customer
from tillbell.web.api.routes import (
    ApplicationOf,
    GatewayOf,
    PrincipalOf,
    also_answers,
    resource,
)
from tillbell.web.api.shapes import Decides, Flag, In, Listed, Out, Time
from tillbell.web.api.shop_records import (
    AddressIn,
    ListedRecordsOf,
    Members,
    PlatformTime,
    RecordId,
    RecordUid,
    ShortText,
    StrictTexts,
    TimelineEntry,
    answer_list,
    news_of,
    present,
    shown,
    timeline_of,
)


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

    @classmethod
    def of(cls, customer: Customer) -> CustomerOut:
        """Return a customer in the shape that callers see."""
        return CustomerOut.model_validate(shown(customer))


class CustomerDetailOut(CustomerOut):
    """A customer with what happened to it."""

    timeline: list[TimelineEntry] = Field(description="What happened, the oldest first.")


router = resource("/app/{app_id}/customer", "Customer")


@router.get("")
async def list_(
    app: ApplicationOf, wanted: ListedRecordsOf, gateway: GatewayOf
) -> Listed[CustomerOut]:
    """List customers by their last change, the latest first."""
    return await answer_list(gateway, Customer, app.id, wanted, CustomerOut.of)


@router.get("/{customer_id}")
async def get(app: ApplicationOf, customer_id: RecordId, gateway: GatewayOf) -> CustomerDetailOut:
    """Show a customer with what happened to it."""
    record = await present(gateway, Customer, app.id, customer_id)
    members = CustomerOut.of(record).model_dump()
    return CustomerDetailOut(**members, timeline=await timeline_of(gateway, record))


@router.put("/{customer_uid}", responses=also_answers(201, CustomerOut, "Created."))
async def upsert(
    app: ApplicationOf,
    customer_uid: RecordUid,
    body: CustomerIn,
    gateway: GatewayOf,
    principal: PrincipalOf,
    response: Response,
) -> CustomerOut:
    """Replace a customer, or create it (201). What changes nothing publishes nothing."""
    news = news_of(body)
    news = news._replace(data=_checked(dict(news.data)))
    put = await gateway.shop_records.put(app.id, Customer, customer_uid, news, principal.key.id)
    response.status_code = 201 if put.is_new else 200
    return CustomerOut.of(put.record)


@router.patch("/{customer_id}")
async def patch(
    app: ApplicationOf,
    customer_id: RecordId,
    body: CustomerPatch,
    gateway: GatewayOf,
    principal: PrincipalOf,
) -> CustomerOut:
    """Change the named members of a customer; null removes one."""
    news = news_of(body)
    record = await present(gateway, Customer, app.id, customer_id)
    checked = _checked({**record.data, **news.data})
    news = news._replace(data={name: checked[name] for name in news.data})
    patched = await gateway.shop_records.patch(
        app.id, Customer, record.uid or record.id, news, principal.key.id
    )
    return CustomerOut.of(patched)


@router.delete("/{customer_id}", status_code=204, response_model=None)
async def delete(
    app: ApplicationOf, customer_id: RecordId, gateway: GatewayOf, principal: PrincipalOf
) -> Response:
    """Delete a customer, and publish `customer.deleted`."""
    record = await present(gateway, Customer, app.id, customer_id)
    await gateway.shop_records.remove(app.id, Customer, record.uid or record.id, principal.key.id)
    return Response(status_code=204)


def _checked(data: dict[str, Any]) -> dict[str, Any]:
    """Return a customer as it is: it has no amounts."""
    return data
