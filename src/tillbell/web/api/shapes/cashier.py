"""Shapes of Mozarto's cashier call, as far as the platform has published them."""

from __future__ import annotations

from decimal import Decimal
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, WithJsonSchema
from pydantic_core import PydanticCustomError

from tillbell.web.api.shapes.base import Out
from tillbell.web.api.shapes.transactions import CurrencyCode, Reference


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
