"""Mozarto's cashier call: `POST /v1/api/mozarto/cashier`, for clients written for that platform.

The platform documents: the path, `data.status: "PENDING"` in every answer, and that
the outcome comes by webhook. Its public pages name the members of the request and of the answer
that are read and given here (`pspType`, `type`, `baseamount`, `currency`, `userId`,
`merchantReference`; `status`, `message`, `isSuccess`, `data.transactionId`). Assumed:

- The bearer is an API key of ours. It says the application, if bound to one; any other key names
  it in `X-Application` (id or uid). The user's own token (`x-user-token`) is not looked at.
- There is no page of ours to pay on, so `data` has no URL to redirect to.
- The source is the application's with the provider's name as its uid, else its only one of that
  provider. Without one, callbacks of any source find the transaction by its id or reference.
- Nothing is reserved at creation. A `merchantReference` may come again: each call is a transaction
  of its own, unless an `Idempotency-Key` says that it is the same.
- Refusals have our shape and status codes, as everywhere.
"""

from __future__ import annotations

import json
from decimal import Decimal
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Depends, Header, Request
from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    ValidationError,
    WithJsonSchema,
)
from pydantic_core import PydanticCustomError

from tillbell.app import Gateway
from tillbell.errors import Invalid, NotFound, Problem
from tillbell.model.records import Application
from tillbell.model.sources import Source
from tillbell.model.transactions import Direction, Transaction
from tillbell.money import format_amount
from tillbell.process.manual.actions import NewTransaction
from tillbell.web.api.routes import UID, GatewayOf, PrincipalOf, guard, operation_id
from tillbell.web.api.shapes import Out
from tillbell.web.api.transactions import CurrencyCode, Reference, checked_amount
from tillbell.web.edge.auth import Action, Tenant
from tillbell.web.edge.paths import CASHIER
from tillbell.web.edge.problems import invalid_from


def _amount(value: Any) -> Any:
    if isinstance(value, bool) or not isinstance(value, str | int | Decimal):
        raise PydanticCustomError("amount", "send a number, or the amount as text")
    return value


def _name(value: Any) -> Any:
    """Users may be numbered."""
    is_number = isinstance(value, int) and not isinstance(value, bool)
    return str(value) if is_number else value


BaseAmount = Annotated[
    Any,
    AfterValidator(_amount),
    WithJsonSchema({"anyOf": [{"type": "number"}, {"type": "string", "maxLength": 64}]}),
    Field(description="In whole units. Read digit by digit, never as a binary number."),
]
UserId = Annotated[
    Reference,
    BeforeValidator(_name),
    WithJsonSchema({"anyOf": [{"type": "string", "maxLength": 256}, {"type": "integer"}]}),
]


class CashierIn(BaseModel):
    """A pay-in or pay-out. What else a provider's page asks for is not kept: no card, no name."""

    model_config = ConfigDict(frozen=True)

    psp_type: Reference = Field(alias="pspType", description="The provider's code: FORUMPAY.")
    type: Literal["PAYIN", "PAYOUT"]
    baseamount: BaseAmount
    currency: CurrencyCode
    user_id: UserId = Field(alias="userId")
    merchant_reference: Reference | Literal[""] | None = Field(
        default=None, alias="merchantReference"
    )


class CashierDataOut(Out):
    """The transaction that was created. Its outcome comes by webhook."""

    status: Literal["PENDING"] = Field(description="Of the creation: always PENDING.")
    id: str = Field(alias="transactionId")
    webhook_id: str = Field(alias="transaction_id", description="The same, as webhooks call it.")
    type: Literal["PAYIN", "PAYOUT"]
    amount: str
    currency: str
    user_id: str
    merchant_reference: str = Field(description="Empty when not set.")


class CashierOut(Out):
    """What the cashier answers."""

    status: Literal["success"] = "success"
    message: str
    is_success: Literal[True] = True
    data: CashierDataOut


router = APIRouter(
    tags=["Cashier"],
    generate_unique_id_function=operation_id,
    strict_content_type=False,
)

WRITE = guard("transaction", Action.WRITE, Tenant.OWN)
_BODY: dict[str, Any] = {
    "required": True,
    "content": {"application/json": {"schema": CashierIn.model_json_schema()}},
}
_PROVIDERS = {"WORLDPAY_EU": "worldpay", "TRUST": "trustpayments"}  # the others are named alike


async def named_application(
    gateway: GatewayOf,
    who: PrincipalOf,
    x_application: Annotated[
        str | None,
        Header(pattern=UID, max_length=256, description="Id or uid; for keys bound to none."),
    ] = None,
) -> Application:
    """Give the application that the key or the header names."""
    name = x_application or who.key.app_id
    if name is None:
        message = "this key is bound to no application: name one"
        raise Invalid(Problem(("header", "X-Application"), message, "missing"))
    application = await gateway.config_cache.application(name)
    if application is None or not who.may_see(application.id):
        raise NotFound("There is no such application.")
    return application


async def read_body(request: Request) -> CashierIn:
    """Read the body with its numbers as they were written."""
    try:
        return CashierIn.model_validate(json.loads(await request.body(), parse_float=Decimal))
    except ValidationError as error:
        raise invalid_from(error, "body") from error
    except ValueError as error:
        raise Invalid(Problem(("body",), "a JSON object is needed", "missing")) from error


@router.post(CASHIER, dependencies=WRITE, openapi_extra={"requestBody": _BODY}, name="create")
async def create(
    app: Annotated[Application, Depends(named_application)],
    body: Annotated[CashierIn, Depends(read_body)],
    gateway: GatewayOf,
    who: PrincipalOf,
) -> CashierOut:
    """Create a transaction as a client of Mozarto's redirect flow does."""
    provider = _PROVIDERS.get(body.psp_type, body.psp_type.lower())
    source = await _source(gateway, app.id, provider)
    new = NewTransaction(
        direction=Direction.PAY_IN if body.type == "PAYIN" else Direction.PAY_OUT,
        amount=checked_amount(body.baseamount, body.currency, "baseamount"),
        currency=body.currency,
        source_id=source.id if source is not None else None,
        provider=source.provider if source is not None else provider,
        user_id=body.user_id,
        merchant_reference=body.merchant_reference or None,
        metadata={"pspType": body.psp_type},
    )
    made, _ = await gateway.manual_actions.create(app.id, new, who.key.id)
    return CashierOut(message="Successfully", data=_shown(made, body))


def _shown(made: Transaction, body: CashierIn) -> CashierDataOut:
    return CashierDataOut.model_validate(
        {
            "status": "PENDING",
            "transactionId": made.id,
            "transaction_id": made.id,
            "type": body.type,
            "amount": format_amount(made.amount, made.currency),
            "currency": made.currency,
            "userId": body.user_id,
            "merchantReference": made.merchant_reference or "",
        }
    )


async def _source(gateway: Gateway, app_id: str, provider: str) -> Source | None:
    named = gateway.source_cache.find(app_id, provider)
    if named is not None:
        return named.source
    known = await gateway.database.list(Source, app_id)
    found = [source for source in known if source.provider == provider]
    return found[0] if len(found) == 1 else None
