"""Transactions of an application: begun here, moved by callbacks and by people."""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal
from typing import Annotated, Any

from fastapi import Depends, Path, Query, Response
from pydantic import BeforeValidator, Field
from pydantic_core import PydanticCustomError

from tillbell.app import Gateway
from tillbell.clock import to_datetime
from tillbell.configure.names import checked_uid
from tillbell.errors import Invalid, NotFound, Problem
from tillbell.model.records import Application
from tillbell.model.transactions import (
    AMOUNT_MAX,
    Direction,
    Effect,
    EffectKind,
    Transaction,
    TransactionKind,
    TransactionStatus,
    Transition,
)
from tillbell.money import format_amount, is_currency, parse_amount
from tillbell.process.manual.actions import NewTransaction
from tillbell.process.manual.audited import ActionReason, AwaitingSecondKey
from tillbell.rules.payments.booking import transaction_data
from tillbell.storage.ports.database import Database
from tillbell.storage.ports.inbound import TransactionFilter
from tillbell.storage.ports.outbound import Page
from tillbell.web.api.conflicts import ConflictOut
from tillbell.web.api.filters import TimeQuery, instant
from tillbell.web.api.manual_actions import SECOND_KEY, ActIn, proposed
from tillbell.web.api.paging import OrderedPageOf, listed
from tillbell.web.api.routes import (
    UID,
    ApplicationOf,
    GatewayOf,
    PrincipalOf,
    also_answers,
    app_read,
    app_write,
    resource,
)
from tillbell.web.api.shapes import Flag, In, Listed, Metadata, Out, Uid

AMOUNT = r"^(0|[1-9][0-9]{0,17})(\.[0-9]{1,30})?$"


def _no_number(value: Any) -> Any:
    """A JSON number has lost its digits in many a reader before it comes here."""
    if isinstance(value, int | float):
        raise PydanticCustomError("amount", 'send the amount as text, like "100.00"')
    return value


AmountText = Annotated[
    str,
    BeforeValidator(_no_number),
    Field(max_length=64, pattern=AMOUNT, description='In whole units, as text: `"100.00"`.'),
]
CurrencyCode = Annotated[
    str, Field(min_length=3, max_length=5, description="ISO 4217, or a coin's: `EUR`, `USDT`.")
]
Reference = Annotated[str, Field(min_length=1, max_length=256)]


class TransactionIn(In):
    """A pay-in or pay-out that begins now. With a `uid` it can be sent again safely."""

    uid: Uid | None = None
    direction: Direction
    amount: AmountText
    currency: CurrencyCode
    merchant_reference: Reference | None = None
    user_id: Reference | None = Field(default=None, description="Whose account it is about.")
    source_id: Reference | None = Field(
        default=None, description="Id or uid of the source that will tell of it."
    )
    psp_transaction_id: Reference | None = None
    order_id: Reference | None = None
    metadata: Metadata | None = None
    reserve: Flag = Field(default=False, description="Of a pay-out: reserve the amount at once.")


class ReverseIn(ActIn):
    """Why a transaction is reversed, and how much of it."""

    amount: AmountText | None = Field(default=None, description="null: all that is left.")


class TransactionOut(Out):
    """A transaction: what `data` of `transaction.*` messages is."""

    id: str
    uid: str | None
    type: TransactionKind
    direction: Direction
    status: TransactionStatus
    previous_status: TransactionStatus | None
    sequence: int = Field(description="Counts its steps, without gaps.")
    substate: str | None
    reason: str | None
    raw_status: str | None
    message: str | None
    amount: str
    currency: str
    settlement_amount: str | None
    settlement_currency: str | None
    psp_transaction_id: str | None
    psp_reference: str | None
    provider: str | None
    source_id: str | None
    user_id: str | None
    merchant_reference: str | None
    order_id: str | None
    parent_id: str | None = Field(description="What it was linked to, e.g. refunds.")
    metadata: dict[str, Any]
    created_at: datetime
    updated_at: datetime


class TransitionOut(Out):
    """One step of a transaction."""

    sequence: int
    previous_status: TransactionStatus | None
    status: TransactionStatus
    at: datetime
    callback_id: str | None = Field(description="What told us.")
    actor: str | None = Field(description="The API key that did it.")
    substate: str | None
    reason: str | None
    raw_status: str | None
    message: str | None
    trust: str | None
    supersedes: int | None = Field(description="The step that it overrules.")
    message_id: str | None = Field(description="The message that told of it.")
    details: dict[str, Any]


class EffectOut(Out):
    """What a step did to an account. There is at most one of each kind."""

    kind: EffectKind
    sequence: int = Field(description="Of the step that caused it.")
    amount: str
    currency: str
    at: datetime
    callback_id: str | None


class TransactionDetailOut(TransactionOut):
    """A transaction with its steps, effects, conflicts and what is linked to it."""

    transitions: list[TransitionOut]
    effects: list[EffectOut]
    conflicts: list[ConflictOut]
    children: list[TransactionOut]


class ResentOut(Out):
    """A message that was sent again, and to whom."""

    message_id: str
    event_type: str
    endpoint_ids: list[str]


router = resource("/app/{app_id}/transaction", "Transaction")

# Not for portal tokens: those who receive messages are not those who keep the accounts.
READ = app_read("transaction", None)
WRITE = app_write("transaction")

NameQuery = Annotated[str | None, Query(max_length=256)]
TransactionId = Annotated[str, Path(description="Id or uid.", pattern=UID, max_length=256)]


async def the_transaction(
    transaction_id: TransactionId, app: ApplicationOf, gateway: GatewayOf
) -> Transaction:
    """Give the transaction of the path."""
    found = await gateway.database.transaction(app.id, transaction_id)
    if found is None:
        raise NotFound("There is no such transaction.")
    return found


TransactionOf = Annotated[Transaction, Depends(the_transaction)]


# ── filters ──────────────────────────────────────────────────────────────────────────────────────


async def named(
    user_id: NameQuery = None,
    parent_id: NameQuery = None,
    reference: Annotated[
        str | None,
        Query(max_length=256, description="Equals uid, order id, merchant or provider's id."),
    ] = None,
    user_id_too: Annotated[str | None, Query(alias="userId", include_in_schema=False)] = None,
    parent_id_too: Annotated[str | None, Query(alias="parentId", include_in_schema=False)] = None,
) -> TransactionFilter:
    """Read by which names transactions are looked for, also as bodies spell them."""
    return TransactionFilter(
        user_id=user_id or user_id_too, parent_id=parent_id or parent_id_too, reference=reference
    )


async def timed(before: TimeQuery = None, after: TimeQuery = None) -> TransactionFilter:
    """Read when transactions were created."""
    return TransactionFilter(before=instant(before), after=instant(after))


async def transaction_filter(
    names: Annotated[TransactionFilter, Depends(named)],
    times: Annotated[TransactionFilter, Depends(timed)],
    status: Annotated[TransactionStatus | None, Query()] = None,
    direction: Annotated[Direction | None, Query()] = None,
    kind: Annotated[TransactionKind | None, Query(alias="type")] = None,
) -> TransactionFilter:
    """Read a filter over transactions."""
    return names._replace(
        status=status, direction=direction, kind=kind, before=times.before, after=times.after
    )


FilterOf = Annotated[TransactionFilter, Depends(transaction_filter)]


# ── routes ───────────────────────────────────────────────────────────────────────────────────────


@router.get("", dependencies=READ)
async def list_(
    app: ApplicationOf, page: OrderedPageOf, filter_: FilterOf, gateway: GatewayOf
) -> Listed[TransactionOut]:
    """List transactions, newest first."""
    return await listed(
        lambda page: gateway.database.history.transactions(app.id, filter_, page),
        page,
        transaction_out,
    )


@router.post(
    "",
    status_code=201,
    dependencies=WRITE,
    responses=also_answers(200, TransactionOut, "It was created before, with this uid."),
)
async def create(
    app: ApplicationOf,
    body: TransactionIn,
    gateway: GatewayOf,
    who: PrincipalOf,
    response: Response,
) -> TransactionOut:
    """Begin a pay-in or pay-out: Pending. No account is touched, unless it is reserved."""
    made, is_new = await gateway.manual_actions.create(
        app.id, _read(gateway, app, body), who.key.id
    )
    response.status_code = 201 if is_new else 200
    return transaction_out(made)


@router.get("/{transaction_id}", dependencies=READ)
async def get(transaction: TransactionOf, gateway: GatewayOf) -> TransactionDetailOut:
    """Show a transaction with its steps, effects, conflicts and what is linked to it."""
    return await detail_out(gateway.database, transaction)


def _read(gateway: Gateway, app: Application, body: TransactionIn) -> NewTransaction:
    amount = checked_amount(body.amount, body.currency)
    if body.reserve and body.direction is not Direction.PAY_OUT:
        raise Invalid(Problem(("body", "reserve"), "is for pay-outs only", "direction"))
    live = gateway.source_cache.find(app.id, body.source_id) if body.source_id is not None else None
    if body.source_id is not None and live is None:
        raise Invalid(Problem(("body", "sourceId"), "there is no such source", "not_found"))
    return NewTransaction(
        direction=body.direction,
        amount=amount,
        currency=body.currency,
        uid=checked_uid(body.uid),
        source_id=live.source.id if live is not None else None,
        provider=live.source.provider if live is not None else None,
        psp_transaction_id=body.psp_transaction_id,
        user_id=body.user_id,
        merchant_reference=body.merchant_reference,
        order_id=body.order_id,
        metadata=body.metadata or {},
        reserves=body.reserve,
    )


class TransactionAction:
    """Does one action on the transaction of the path, for the key that asks."""

    def __init__(
        self, transaction: TransactionOf, body: ActIn, gateway: GatewayOf, who: PrincipalOf
    ) -> None:
        self._transaction = transaction
        self._manual_actions = gateway.manual_actions
        self._act = ActionReason(who.key.id, body.reason)

    async def do(self, action: str) -> TransactionOut | Response:
        """Do it; 202 if it waits for a second key."""
        found = self._transaction
        done = await self._manual_actions.change_status(found.app_id, found.id, action, self._act)
        if isinstance(done, AwaitingSecondKey):
            return proposed(done, f"transaction.{action}")
        return transaction_out(done)


ActorOf = Annotated[TransactionAction, Depends()]


@router.post("/{transaction_id}/hold", dependencies=WRITE, response_model=TransactionOut)
async def hold(actor: ActorOf) -> TransactionOut | Response:
    """Hold a pending transaction until a person has looked at it."""
    return await actor.do("hold")


@router.post("/{transaction_id}/release", dependencies=WRITE, response_model=TransactionOut)
async def release(actor: ActorOf) -> TransactionOut | Response:
    """Let a held transaction go on: Pending again."""
    return await actor.do("release")


@router.post(
    "/{transaction_id}/approve",
    dependencies=WRITE,
    response_model=TransactionOut,
    responses=SECOND_KEY,
)
async def approve(actor: ActorOf) -> TransactionOut | Response:
    """Let a pay-out proceed: Processing. Its provider says how it ends."""
    return await actor.do("approve")


@router.post(
    "/{transaction_id}/reject",
    dependencies=WRITE,
    response_model=TransactionOut,
    responses=SECOND_KEY,
)
async def reject(actor: ActorOf) -> TransactionOut | Response:
    """Refuse a pay-out: Rejected. What was reserved is released."""
    return await actor.do("reject")


@router.post("/{transaction_id}/cancel", dependencies=WRITE, response_model=TransactionOut)
async def cancel(actor: ActorOf) -> TransactionOut | Response:
    """Cancel a transaction that has not begun to be processed."""
    return await actor.do("cancel")


@router.post("/{transaction_id}/reverse", dependencies=WRITE)
async def reverse(
    transaction: TransactionOf, body: ReverseIn, gateway: GatewayOf, who: PrincipalOf
) -> TransactionOut:
    """Record that an approved transaction was undone. Answers with the linked reversal."""
    amount = None
    if body.amount is not None:
        amount = checked_amount(body.amount, transaction.currency)
    act = ActionReason(who.key.id, body.reason)
    made = await gateway.manual_actions.reverse(transaction.app_id, transaction.id, amount, act)
    return transaction_out(made)


@router.post("/{transaction_id}/resend", dependencies=WRITE)
async def resend(
    transaction: TransactionOf,
    body: ActIn,
    gateway: GatewayOf,
    who: PrincipalOf,
) -> ResentOut:
    """Send the message of the latest step again, to all who want it; its id stays the same."""
    act = ActionReason(who.key.id, body.reason)
    resent = await gateway.message_resender.resend(transaction, act)
    return ResentOut(
        message_id=resent.message.id,
        event_type=resent.message.event_type,
        endpoint_ids=list(resent.endpoint_ids),
    )


CONFLICTS_MAX = 250  # shown with a transaction, newest first; the rest are listed apart


def transaction_out(found: Transaction) -> TransactionOut:
    """Show a transaction as its messages do."""
    return TransactionOut.model_validate(transaction_data(found))


async def detail_out(database: Database, found: Transaction) -> TransactionDetailOut:
    """Show a transaction with all that belongs to it."""
    page = Page(limit=CONFLICTS_MAX)
    transitions = await database.transitions(found.app_id, found.id)
    effects = await database.effects(found.app_id, found.id)
    conflicts = await database.conflicts(found.app_id, page, found.id)
    children = await database.linked_transactions(found.app_id, found.id)
    return TransactionDetailOut.model_validate(
        transaction_data(found)
        | {
            "transitions": [_transition_out(one) for one in transitions],
            "effects": [_effect_out(one) for one in effects],
            "conflicts": [ConflictOut.of(one) for one in conflicts],
            "children": [transaction_out(one) for one in children],
        }
    )


def _transition_out(step: Transition) -> TransitionOut:
    shown = step._asdict()
    del shown["transaction_id"]
    details = dict(step.details)
    shown["message_id"] = details.pop("messageId", None)
    return TransitionOut(**shown | {"at": to_datetime(step.at), "details": details})


def _effect_out(effect: Effect) -> EffectOut:
    shown = effect._asdict()
    del shown["transaction_id"]
    amount = format_amount(effect.amount, effect.currency)
    return EffectOut(**shown | {"at": to_datetime(effect.at), "amount": amount})


def checked_amount(text: str | Decimal | int, currency: str, member: str = "amount") -> int:
    """Return an amount in minor units. `Invalid` unless it is more than zero and exact."""
    if not is_currency(currency):
        raise Invalid(Problem(("body", "currency"), "is no currency we know", "currency"))
    try:
        minor = parse_amount(text, currency)
    except ValueError as error:
        raise Invalid(Problem(("body", member), str(error), "amount")) from error
    if minor == 0:
        raise Invalid(Problem(("body", member), "must be more than zero", "amount"))
    if minor > AMOUNT_MAX:
        most = format_amount(AMOUNT_MAX, currency)
        raise Invalid(Problem(("body", member), f"may be {most} {currency} at most", "amount"))
    return minor
