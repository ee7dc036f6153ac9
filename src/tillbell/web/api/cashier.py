"""Mozarto's cashier call: `POST /v1/api/mozarto/cashier`, for clients written for that platform.

The platform documents the path, `data.status: "PENDING"` in every answer, and that the outcome
comes by webhook. Its public pages name the members that we read (`pspType`, `type`, `baseamount`,
`currency`, `userId`, `merchantReference`) and answer (`status`, `message`, `isSuccess`,
`data.transactionId`). We assume the rest:

- The bearer is an API key. A key that is bound to an application stands for it. Other keys name
  the application in `X-Application` (id or uid). The user's token (`x-user-token`) is ignored.
- We have no payment page, so `data` has no URL for a redirect.
- The source is the one whose uid is the provider's name, or the application's only source of that
  provider. Without a source, callbacks of any source find the transaction by id or reference.
- Nothing is reserved. A `merchantReference` can be used again: each call creates a transaction,
  unless it repeats an `Idempotency-Key`.
- Errors have the shape and status codes of this API.
"""

from __future__ import annotations

import json
from decimal import Decimal, InvalidOperation
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
from tillbell.web.api.amounts import checked_amount
from tillbell.web.api.routes import GatewayOf, PrincipalOf, guard, operation_id
from tillbell.web.api.shapes import Out
from tillbell.web.api.transactions import CurrencyCode, Reference
from tillbell.web.edge.paths import CASHIER
from tillbell.web.edge.patterns import UID
from tillbell.web.edge.problems import invalid_from

USER_NUMBER_MAX = 2**63 - 1


def _amount(value: Any) -> Any:
    if isinstance(value, bool) or not isinstance(value, str | int | Decimal):
        raise PydanticCustomError("amount", "send a number, or the amount as text")
    return value


def _name(value: Any) -> Any:
    """Accept a number of at most 64 bits as the id of a user."""
    is_number = isinstance(value, int) and not isinstance(value, bool)
    return str(value) if is_number and abs(value) <= USER_NUMBER_MAX else value


BaseAmount = Annotated[
    Any,
    AfterValidator(_amount),
    WithJsonSchema({"anyOf": [{"type": "number"}, {"type": "string", "maxLength": 64}]}),
    Field(description="In whole units. Read as a decimal, never as a binary number."),
]
UserId = Annotated[
    Reference,
    BeforeValidator(_name),
    WithJsonSchema(
        {
            "anyOf": [
                {"type": "string", "maxLength": 256},
                {"type": "integer", "minimum": -USER_NUMBER_MAX, "maximum": USER_NUMBER_MAX},
            ]
        }
    ),
]


class CashierIn(BaseModel):
    """A pay-in or pay-out. Other members, such as a card or a name, are not stored."""

    model_config = ConfigDict(frozen=True)

    psp_type: Reference = Field(
        alias="pspType", description="Code of the provider, e.g. `FORUMPAY`."
    )
    type: Literal["PAYIN", "PAYOUT"] = Field(description="Whether money comes in or goes out.")
    baseamount: BaseAmount
    currency: CurrencyCode
    user_id: UserId = Field(alias="userId", description="Your user whose account it changes.")
    merchant_reference: Reference | Literal[""] | None = Field(
        default=None, alias="merchantReference", description="Your own reference; may repeat."
    )


class CashierDataOut(Out):
    """The transaction that was created. Its outcome comes by webhook."""

    status: Literal["PENDING"] = Field(description="Always `PENDING`.")
    id: str = Field(alias="transactionId")
    webhook_id: str = Field(
        alias="transaction_id", description="The same id, under the name that webhooks use."
    )
    type: Literal["PAYIN", "PAYOUT"] = Field(description="As it was sent.")
    amount: str = Field(description="In whole units, as text.")
    currency: str
    user_id: str = Field(description="As it was sent.")
    merchant_reference: str = Field(description="Empty if not set.")


class CashierOut(Out):
    """The answer to a cashier call."""

    status: Literal["success"] = Field(default="success", description="Always `success`.")
    message: str = Field(description="Always `Successfully`, as the platform answers.")
    is_success: Literal[True] = Field(
        default=True, description="Always true; a failure is an error answer."
    )
    data: CashierDataOut = Field(description="The transaction that was created.")


router = APIRouter(
    tags=["Cashier"],
    dependencies=[Depends(guard)],
    generate_unique_id_function=operation_id,
    strict_content_type=False,
)

_BODY: dict[str, Any] = {
    "required": True,
    "content": {"application/json": {"schema": {"$ref": "#/components/schemas/CashierIn"}}},
}
_PROVIDERS = {
    "WORLDPAY_EU": "worldpay",
    "TRUST": "trustpayments",
}  # other codes are the provider's name


async def named_application(
    gateway: GatewayOf,
    principal: PrincipalOf,
    x_application: Annotated[
        str | None,
        Header(
            pattern=UID,
            max_length=256,
            description="Id or uid, for keys that are not bound to an application.",
        ),
    ] = None,
) -> Application:
    """Give the application that the header names or the key is bound to."""
    name = x_application or principal.key.app_id
    if name is None:
        message = "this key is not bound to an application; name one in this header"
        raise Invalid(Problem(("header", "X-Application"), message, "missing"))
    application = await gateway.config_cache.application(name)
    if application is None or not principal.may_see(application.id):
        raise NotFound("There is no such application.")
    return application


async def read_body(request: Request) -> CashierIn:
    """Read the body. Amounts stay exact: fractions become `Decimal`."""
    try:
        return CashierIn.model_validate(json.loads(await request.body(), parse_float=Decimal))
    except ValidationError as error:
        raise invalid_from(error, "body") from error
    except (ValueError, InvalidOperation) as error:
        raise Invalid(Problem(("body",), "must be a JSON object", "missing")) from error


@router.post(CASHIER, openapi_extra={"requestBody": _BODY}, name="create")
async def create(
    app: Annotated[Application, Depends(named_application)],
    body: Annotated[CashierIn, Depends(read_body)],
    gateway: GatewayOf,
    principal: PrincipalOf,
) -> CashierOut:
    """Create a transaction for a client of Mozarto's redirect flow."""
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
    transaction, _ = await gateway.manual_actions.create(app.id, new, principal.key.id)
    return CashierOut(message="Successfully", data=_data_out(transaction, body))


def _data_out(transaction: Transaction, body: CashierIn) -> CashierDataOut:
    return CashierDataOut.model_validate(
        {
            "status": "PENDING",
            "transactionId": transaction.id,
            "transaction_id": transaction.id,
            "type": body.type,
            "amount": format_amount(transaction.amount, transaction.currency),
            "currency": transaction.currency,
            "userId": body.user_id,
            "merchantReference": transaction.merchant_reference or "",
        }
    )


async def _source(gateway: Gateway, app_id: str, provider: str) -> Source | None:
    compiled = gateway.source_cache.find(app_id, provider)
    if compiled is not None:
        return compiled.source
    sources = await gateway.database.list(Source, app_id)
    of_provider = [source for source in sources if source.provider == provider]
    return of_provider[0] if len(of_provider) == 1 else None
