"""Transactions of an application: created here, changed by callbacks and by manual actions."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any

from fastapi import Depends, Path, Query, Response
from pydantic import Field

from tillbell.app import Gateway
from tillbell.clock import DAY, to_datetime
from tillbell.configure.names import checked_uid
from tillbell.errors import Invalid, NotFound, Problem
from tillbell.model.records import Application
from tillbell.model.sources import Source
from tillbell.model.transactions import (
    Direction,
    Effect,
    EffectKind,
    PaymentAttempt,
    Transaction,
    TransactionKind,
    TransactionStatus,
    Transition,
)
from tillbell.money import format_amount
from tillbell.process.manual.actions import ExpectedRefund, NewTransaction
from tillbell.process.manual.audited import ActionReason, AwaitingSecondKey
from tillbell.rules.filters.clauses import FilterList, ListFilter
from tillbell.rules.payments.attempts import attempts_of
from tillbell.rules.payments.booking import transaction_data
from tillbell.storage.ports.as_clauses import with_transaction
from tillbell.storage.ports.database import Database
from tillbell.storage.ports.inbound import TransactionFilter
from tillbell.storage.ports.outbound import Page
from tillbell.web.api.amounts import AmountText, checked_amount
from tillbell.web.api.conflicts import ConflictOut
from tillbell.web.api.filtered import FilterText, read_filter, search_page
from tillbell.web.api.filters import TimeQuery, instant
from tillbell.web.api.manual_actions import SECOND_KEY, ActIn, proposed
from tillbell.web.api.paging import ListPage, OrderedPageOf, row_id
from tillbell.web.api.routes import (
    ApplicationOf,
    GatewayOf,
    PrincipalOf,
    also_answers,
    resource,
)
from tillbell.web.api.shapes import Flag, In, Listed, Metadata, Out, TrustText, Uid
from tillbell.web.edge.patterns import UID

CONFLICTS_MAX = 250  # conflicts that are shown with a transaction, newest first
CurrencyCode = Annotated[
    str,
    Field(
        min_length=3,
        max_length=5,
        description="Code of a currency (ISO 4217) or coin: `EUR`, `USDT`.",
    ),
]
Reference = Annotated[str, Field(min_length=1, max_length=256)]


class TransactionIn(In):
    """A pay-in or pay-out to create. With a `uid`, the request can be repeated safely."""

    uid: Uid | None = None
    direction: Direction = Field(description="Whether money comes in or goes out.")
    amount: AmountText
    currency: CurrencyCode
    merchant_reference: Reference | None = Field(
        default=None, description="Your reference, as the provider reports it."
    )
    user_id: Reference | None = Field(
        default=None, description="Your user whose account it changes."
    )
    source_id: Reference | None = Field(
        default=None, description="Id or uid of the source whose callbacks will be about it."
    )
    psp_transaction_id: Reference | None = Field(
        default=None, description="The provider's id of it, if it is known already."
    )
    order_id: Reference | None = Field(default=None, description="Your order that it pays for.")
    metadata: Metadata | None = None
    reserve: Flag = Field(default=False, description="For a pay-out: reserve the amount at once.")


class ReverseIn(ActIn):
    """Why a transaction is reversed, and which amount."""

    amount: AmountText | None = Field(
        default=None, description="null: all that is not reversed yet."
    )


class ExpectRefundIn(ActIn):
    """Which refund is expected, and why."""

    amount: AmountText | None = Field(
        default=None, description="null: all that has not gone back yet."
    )
    within_days: Annotated[int, Field(strict=True, ge=1, le=90)] = Field(
        default=14, description="After so many days without it, a conflict asks a person."
    )


class TransactionOut(Out):
    """A transaction, as in `data` of `transaction.*` messages."""

    id: str
    uid: str | None
    type: TransactionKind = Field(description="Whether it is a payment, or what of one.")
    direction: Direction = Field(description="Whether money comes in or goes out.")
    status: TransactionStatus = Field(description="How it stands; the last five are final.")
    previous_status: TransactionStatus | None = Field(
        description="Status before the latest transition; null: it has only been created."
    )
    sequence: int = Field(description="Number of its latest transition, without gaps.")
    substate: str | None = Field(
        description="More exactly than `status`; null: nothing more is known."
    )
    reason: str | None = Field(description="Why it has this status, as a code; null: not known.")
    raw_status: str | None = Field(
        description="Status in the provider's word; null: no provider has reported."
    )
    message: str | None = Field(
        description="What the provider says about it, for people; null: nothing."
    )
    amount: str = Field(
        description="What moves: of an Approved payment what was credited, else what was asked for."
    )
    currency: str = Field(description="Code of its currency or coin.")
    requested_amount: str = Field(description="What was asked for.")
    authorized_amount: str = Field(description="What the provider has authorized, of all attempts.")
    captured_amount: str = Field(description="By all attempts, as the provider says.")
    credited_amount: str = Field(description="By its approval and its captures.")
    refunded_amount: str = Field(description="What its refunds have paid back.")
    charged_back_amount: str = Field(description="What chargebacks have taken.")
    reinstated_amount: str = Field(description="Chargebacks that came back.")
    reversed_amount: str = Field(description="What its reversals have taken back.")
    settlement_amount: str | None = Field(
        description="What the provider pays out to the shop for it; null: not reported."
    )
    settlement_currency: str | None = Field(
        description="Code of the currency of `settlementAmount`; null: not reported."
    )
    psp_transaction_id: str | None = Field(
        description="The provider's id of it; null: not known yet."
    )
    psp_reference: str | None = Field(
        description="The provider's second name for it; null: it has none."
    )
    provider: str | None = Field(
        description="Name of the provider that it is paid through; null: not known."
    )
    source_id: str | None
    user_id: str | None = Field(description="Your user whose account it changes; null: not set.")
    merchant_reference: str | None = Field(description="Your reference; null: not set.")
    order_id: str | None = Field(description="Your order that it pays for; null: not set.")
    parent_id: str | None = Field(
        description="The transaction that it refunds, reverses or charges back."
    )
    metadata: dict[str, Any]
    created_at: datetime
    updated_at: datetime


class TransitionOut(Out):
    """One change of the status of a transaction."""

    sequence: int = Field(description="Counts the transitions of the transaction from 1.")
    previous_status: TransactionStatus | None = Field(
        description="Status before it; null: the transaction was created."
    )
    status: TransactionStatus = Field(description="Status after it.")
    at: datetime = Field(description="When it was stored (UTC).")
    callback_id: str | None = Field(description="The callback that caused it.")
    actor: str | None = Field(description="Id of the API key that caused it.")
    substate: str | None = Field(
        description="More exactly than `status`; null: nothing more is known."
    )
    reason: str | None = Field(description="Why, as a code or in words; null: not known.")
    raw_status: str | None = Field(
        description="Status in the provider's word; null: no provider caused it."
    )
    message: str | None = Field(description="What the provider said, for people; null: nothing.")
    trust: TrustText | None = Field(
        description="How well the callback proved its sender; null: no callback caused it."
    )
    supersedes: int | None = Field(description="Number of the transition that it corrects.")
    message_id: str | None = Field(description="The message that was published about it.")
    details: dict[str, Any] = Field(description="More about the transition, by its cause.")


class EffectOut(Out):
    """What a transition does to an account. A transaction has at most one of each kind."""

    kind: EffectKind = Field(description="What it does to the account.")
    sequence: int = Field(description="Number of the transition that caused it.")
    amount: str = Field(description="In whole units, as text.")
    currency: str = Field(description="Code of the currency of `amount`.")
    at: datetime = Field(description="When it was stored (UTC).")
    callback_id: str | None


class PaymentAttemptOut(Out):
    """One attempt to pay, under its own id at the provider."""

    psp_transaction_id: str | None = Field(
        description="The provider's id of the attempt; null: it has none."
    )
    status: TransactionStatus = Field(description="How the attempt stands.")
    at: datetime = Field(description="Of the last callback that changed it.")
    source_id: str | None
    authorized_amount: str = Field(description="What the provider has authorized.")
    captured_amount: str = Field(description="What the provider has captured.")
    reason: str | None = Field(description="Why it ended so, as a code; null: not known.")


class TransactionDetailOut(TransactionOut):
    """A transaction with its attempts, transitions, effects, conflicts and linked transactions."""

    attempts: list[PaymentAttemptOut] = Field(
        description="Attempts to pay it, in the order they became known."
    )
    transitions: list[TransitionOut] = Field(
        description="Every change of its status, oldest first."
    )
    effects: list[EffectOut] = Field(description="What it did to the account.")
    conflicts: list[ConflictOut] = Field(
        description="News that contradict it, newest first, at most 250."
    )
    children: list[TransactionOut] = Field(
        description="Its refunds, chargebacks, captures and reversals."
    )


class ResentOut(Out):
    """A message that was sent again, and its endpoints."""

    message_id: str = Field(description="The message that was sent again.")
    event_type: str
    endpoint_ids: list[str] = Field(description="The endpoints that it was sent to.")
    skipped: dict[str, str] = Field(description="Endpoints it was not sent to, and why.")


router = resource("/app/{app_id}/transaction", "Transaction")

# Not for portal tokens: receivers of messages do not keep the accounts.

NameQuery = Annotated[str | None, Query(max_length=256)]
TransactionId = Annotated[
    str, Path(description="The transaction: its id or uid.", pattern=UID, max_length=256)
]


async def the_transaction(
    transaction_id: TransactionId, app: ApplicationOf, gateway: GatewayOf
) -> Transaction:
    """Give the transaction of the path."""
    transaction = await gateway.database.transaction(app.id, transaction_id)
    if transaction is None:
        raise NotFound("There is no such transaction.")
    return transaction


TransactionOf = Annotated[Transaction, Depends(the_transaction)]


class TransactionAction:
    """A manual action on the transaction of the path, by the key of the request."""

    def __init__(
        self, transaction: TransactionOf, body: ActIn, gateway: GatewayOf, principal: PrincipalOf
    ) -> None:
        self._transaction = transaction
        self._manual_actions = gateway.manual_actions
        self._reason = ActionReason(principal.key.id, body.reason)

    async def run(self, action: str) -> TransactionOut | Response:
        """Do the action. The answer is 202 if a second key must do it too."""
        result = await self._manual_actions.change_status(
            self._transaction.app_id, self._transaction.id, action, self._reason
        )
        if isinstance(result, AwaitingSecondKey):
            return proposed(result, f"transaction.{action}")
        return transaction_out(result)


ActionOf = Annotated[TransactionAction, Depends()]


# ── filters ──────────────────────────────────────────────────────────────────────────────────────


async def id_filter(
    user_id: NameQuery = None,
    parent_id: NameQuery = None,
    reference: Annotated[
        str | None,
        Query(
            max_length=256,
            description="Its uid, order id, merchant reference or the provider's id.",
        ),
    ] = None,
    camel_user_id: Annotated[str | None, Query(alias="userId", include_in_schema=False)] = None,
    camel_parent_id: Annotated[str | None, Query(alias="parentId", include_in_schema=False)] = None,
) -> TransactionFilter:
    """Read the ids that transactions are filtered by. `userId` and `parentId` work too."""
    return TransactionFilter(
        user_id=user_id or camel_user_id,
        parent_id=parent_id or camel_parent_id,
        reference=reference,
    )


async def time_filter(before: TimeQuery = None, after: TimeQuery = None) -> TransactionFilter:
    """Read the time range in which transactions were created."""
    return TransactionFilter(before=instant(before), after=instant(after))


async def transaction_filter(
    ids: Annotated[TransactionFilter, Depends(id_filter)],
    times: Annotated[TransactionFilter, Depends(time_filter)],
    status: Annotated[TransactionStatus | None, Query()] = None,
    direction: Annotated[Direction | None, Query()] = None,
    kind: Annotated[TransactionKind | None, Query(alias="type")] = None,
) -> TransactionFilter:
    """Read a filter over transactions from the query."""
    return ids._replace(
        status=status, direction=direction, kind=kind, before=times.before, after=times.after
    )


FilterOf = Annotated[TransactionFilter, Depends(transaction_filter)]


# ── routes ───────────────────────────────────────────────────────────────────────────────────────


@router.get("")
async def list_(
    app: ApplicationOf,
    page: OrderedPageOf,
    members: FilterOf,
    gateway: GatewayOf,
    text: FilterText = None,
) -> Listed[TransactionOut]:
    """List transactions, newest first."""
    filter_ = await read_filter(gateway, app.id, FilterList.TRANSACTION, text)
    rows = await transaction_page(gateway, app.id, with_transaction(filter_, members), page)
    return rows.showing([transaction_out(transaction) for transaction in rows.rows])


async def transaction_page(
    gateway: Gateway, scope: str | None, filter_: ListFilter, page: Page
) -> ListPage[Transaction]:
    """Return a page of the transactions of an application; None: of all."""
    history = gateway.database.history
    return await search_page(
        lambda page, size: history.filtered_transactions(scope, filter_, page, size), page, row_id
    )


@router.post(
    "",
    status_code=201,
    responses=also_answers(200, TransactionOut, "It exists already, with this uid."),
)
async def create(
    app: ApplicationOf,
    body: TransactionIn,
    gateway: GatewayOf,
    principal: PrincipalOf,
    response: Response,
) -> TransactionOut:
    """Create a pay-in or pay-out with status Pending. No account changes, unless it is reserved."""
    transaction, is_new = await gateway.manual_actions.create(
        app.id, _new_transaction(gateway, app, body), principal.key.id
    )
    response.status_code = 201 if is_new else 200
    return transaction_out(transaction)


@router.get("/{transaction_id}")
async def get(transaction: TransactionOf, gateway: GatewayOf) -> TransactionDetailOut:
    """Show a transaction with its transitions, effects, conflicts and linked transactions."""
    return await _detail_out(gateway.database, transaction)


@router.post("/{transaction_id}/hold", response_model=TransactionOut)
async def hold(action: ActionOf) -> TransactionOut | Response:
    """Hold a pending transaction until a person has checked it."""
    return await action.run("hold")


@router.post("/{transaction_id}/release", response_model=TransactionOut)
async def release(action: ActionOf) -> TransactionOut | Response:
    """Release a held transaction: it is Pending again."""
    return await action.run("release")


@router.post(
    "/{transaction_id}/approve",
    response_model=TransactionOut,
    responses=SECOND_KEY,
)
async def approve(action: ActionOf) -> TransactionOut | Response:
    """Approve a pay-out: it is Processing until its provider reports the result."""
    return await action.run("approve")


@router.post(
    "/{transaction_id}/reject",
    response_model=TransactionOut,
    responses=SECOND_KEY,
)
async def reject(action: ActionOf) -> TransactionOut | Response:
    """Reject a pay-out. A reserved amount is released."""
    return await action.run("reject")


@router.post("/{transaction_id}/cancel", response_model=TransactionOut)
async def cancel(action: ActionOf) -> TransactionOut | Response:
    """Cancel a transaction that is not being processed yet."""
    return await action.run("cancel")


@router.post("/{transaction_id}/reverse")
async def reverse(
    transaction: TransactionOf, body: ReverseIn, gateway: GatewayOf, principal: PrincipalOf
) -> TransactionOut:
    """Record that an approved transaction was reversed. Returns the linked reversal."""
    amount = None
    if body.amount is not None:
        amount = checked_amount(body.amount, transaction.currency)
    reason = ActionReason(principal.key.id, body.reason)
    reversal = await gateway.manual_actions.reverse(
        transaction.app_id, transaction.id, amount, reason
    )
    return transaction_out(reversal)


@router.post("/{transaction_id}/expect-refund")
async def expect_refund(
    transaction: TransactionOf, body: ExpectRefundIn, gateway: GatewayOf, principal: PrincipalOf
) -> TransactionOut:
    """Note that a refund will come; no money moves. Returns the linked refund, Pending.

    The provider's refund of that amount is this one, and is not booked beside it.
    """
    amount = None
    if body.amount is not None:
        amount = checked_amount(body.amount, transaction.currency)
    refund = await gateway.manual_actions.expect_refund(
        transaction.app_id,
        transaction.id,
        ExpectedRefund(amount, body.within_days * DAY),
        ActionReason(principal.key.id, body.reason),
    )
    return transaction_out(refund)


@router.post("/{transaction_id}/resend")
async def resend(
    transaction: TransactionOf,
    body: ActIn,
    gateway: GatewayOf,
    principal: PrincipalOf,
) -> ResentOut:
    """Send the message of the latest transition again to all its endpoints, with the same id."""
    reason = ActionReason(principal.key.id, body.reason)
    resent = await gateway.message_resender.resend(transaction, reason)
    return ResentOut(
        message_id=resent.message.id,
        event_type=resent.message.event_type,
        endpoint_ids=list(resent.endpoint_ids),
        skipped=dict(resent.skipped),
    )


def _new_transaction(gateway: Gateway, app: Application, body: TransactionIn) -> NewTransaction:
    amount = checked_amount(body.amount, body.currency)
    if body.reserve and body.direction is not Direction.PAY_OUT:
        raise Invalid(Problem(("body", "reserve"), "is for pay-outs only", "direction"))
    source = _source(gateway, app, body.source_id) if body.source_id is not None else None
    return NewTransaction(
        direction=body.direction,
        amount=amount,
        currency=body.currency,
        uid=checked_uid(body.uid),
        source_id=source.id if source is not None else None,
        provider=source.provider if source is not None else None,
        psp_transaction_id=body.psp_transaction_id,
        user_id=body.user_id,
        merchant_reference=body.merchant_reference,
        order_id=body.order_id,
        metadata=body.metadata or {},
        reserves=body.reserve,
    )


def _source(gateway: Gateway, app: Application, id_or_uid: str) -> Source:
    compiled = gateway.source_cache.find(app.id, id_or_uid)
    if compiled is None:
        raise Invalid(Problem(("body", "sourceId"), "there is no such source", "not_found"))
    return compiled.source


def transaction_out(transaction: Transaction) -> TransactionOut:
    """Return a transaction in the shape that callers see, the same as in its messages."""
    return TransactionOut.model_validate(transaction_data(transaction))


async def _detail_out(database: Database, transaction: Transaction) -> TransactionDetailOut:
    app_id, id_ = transaction.app_id, transaction.id
    page = Page(limit=CONFLICTS_MAX)
    transitions = await database.transitions(app_id, id_)
    effects = await database.effects(app_id, id_)
    conflicts = await database.conflicts(app_id, page, id_)
    children = await database.linked_transactions(app_id, id_)
    return TransactionDetailOut.model_validate(
        transaction_data(transaction)
        | {
            "attempts": [_attempt_out(a, transaction.currency) for a in attempts_of(transaction)],
            "transitions": [_transition_out(transition) for transition in transitions],
            "effects": [_effect_out(effect) for effect in effects],
            "conflicts": [ConflictOut.of(conflict) for conflict in conflicts],
            "children": [transaction_out(child) for child in children],
        }
    )


def _attempt_out(attempt: PaymentAttempt, currency: str) -> PaymentAttemptOut:
    return PaymentAttemptOut(
        psp_transaction_id=attempt.psp_transaction_id or None,
        status=attempt.status,
        at=to_datetime(attempt.at),
        source_id=attempt.source_id,
        authorized_amount=format_amount(attempt.authorized, currency),
        captured_amount=format_amount(attempt.captured, currency),
        reason=attempt.reason,
    )


def _transition_out(transition: Transition) -> TransitionOut:
    fields = transition._asdict()
    del fields["transaction_id"]
    details = dict(transition.details)
    fields["message_id"] = details.pop("messageId", None)
    return TransitionOut(**fields | {"at": to_datetime(transition.at), "details": details})


def _effect_out(effect: Effect) -> EffectOut:
    fields = effect._asdict()
    del fields["transaction_id"]
    amount = format_amount(effect.amount, effect.currency)
    return EffectOut(**fields | {"at": to_datetime(effect.at), "amount": amount})
