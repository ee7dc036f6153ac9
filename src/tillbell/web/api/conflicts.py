"""Conflicts of an application: news that contradicts a settled transaction, or is doubtful.

Money does not move because of a conflict. A person keeps what is stored or accepts the news.
"""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any

from fastapi import Path, Query, Response
from pydantic import Field

from tillbell.app import Gateway
from tillbell.clock import to_datetime
from tillbell.errors import NotFound
from tillbell.model.records import Application
from tillbell.model.transactions import MoneyConflict, TransactionStatus
from tillbell.money import format_amount
from tillbell.process.manual.actions import read_transaction
from tillbell.process.manual.audited import ActionReason, AwaitingSecondKey
from tillbell.process.manual.conflicts import ConflictAnswer
from tillbell.rules.filters.clauses import FilterList, ListFilter, one_of
from tillbell.storage.ports.outbound import Page
from tillbell.web.api.amounts import AmountText, checked_amount
from tillbell.web.api.filtered import FilterText, read_filter, search_page
from tillbell.web.api.manual_actions import SECOND_KEY, ActIn, proposed
from tillbell.web.api.paging import ListPage, OrderedPageOf, row_id
from tillbell.web.api.routes import (
    ApplicationOf,
    GatewayOf,
    PrincipalOf,
    resource,
)
from tillbell.web.api.shapes import Listed, Out, optional_time, words
from tillbell.web.edge.patterns import UID


class ConflictOut(Out):
    """News that contradicts a settled transaction, or is doubtful. No money has moved by it."""

    id: str
    transaction_id: str = Field(
        description="The transaction that the news contradicts; of `ambiguous` the first candidate."
    )
    kind: Annotated[
        str,
        words(
            "contradiction", "mismatch", "unconfirmed", "unconfirmed_linked", "ambiguous", "stuck"
        ),
    ] = Field(
        description="What is wrong: with the status, the amount, the proof, which transaction is "
        "meant, or the silence."
    )
    severity: Annotated[str, words("normal", "high", "critical")] = Field(
        description="How soon a person should decide."
    )
    status: TransactionStatus = Field(description="Status that the news claims.")
    current: TransactionStatus = Field(description="Status of the transaction when it came.")
    amount: str | None = Field(
        description="Amount that `accept` books; null: the news names none, or asks for none."
    )
    currency: str | None = Field(description="Code of the currency of `amount`.")
    why: str = Field(description="What contradicts what, in words.")
    reference: str | None = Field(
        description="The provider's id of what the news is about; of `ambiguous` that of the "
        "payment, else our name of it. null: it names none."
    )
    candidates: list[str] = Field(
        description="Of `ambiguous`: ids of transactions that it may be about."
    )
    callback_id: str | None = Field(
        description=(
            "The callback that brought the news; null: it came from a look-up or nothing was heard."
        ),
    )
    at: datetime = Field(description="When the news came (UTC).")
    resolution: Annotated[str, words("keep", "accept")] | None = Field(
        description="What was decided; null: nothing yet."
    )
    resolved_at: datetime | None = Field(description="When it was decided (UTC); null: not yet.")
    resolved_by: str | None = Field(
        description='Id of the API key that decided, or "janitor": later news did; null: not yet.'
    )
    resolution_reason: str | None = Field(description="Why it was decided so; null: not yet.")

    @classmethod
    def of(cls, conflict: MoneyConflict) -> ConflictOut:
        """Return a conflict in the shape that callers see."""
        return cls(**conflict_members(conflict))


def conflict_members(conflict: MoneyConflict) -> dict[str, Any]:
    """Return a conflict by the names of `ConflictOut`."""
    fields = conflict._asdict()
    del fields["app_id"]
    fields["candidates"] = list(conflict.candidates)
    fields["amount"] = _claimed_amount(conflict)
    fields["at"] = to_datetime(conflict.at)
    fields["resolved_at"] = optional_time(conflict.resolved_at)
    return fields


class AcceptIn(ActIn):
    """Why the news of a conflict is accepted, and what only a person can say about it."""

    amount: AmountText | None = Field(
        default=None,
        description="What is booked, in the transaction's currency; null: the amount of the "
        "conflict. Needed if that has none, or another currency.",
    )
    transaction_id: Annotated[str, Field(min_length=1, max_length=256)] | None = Field(
        default=None,
        description="Id or uid of the transaction that an `ambiguous` conflict is about.",
    )


def _claimed_amount(conflict: MoneyConflict) -> str | None:
    if conflict.amount is None or conflict.currency is None:
        return None
    return format_amount(conflict.amount, conflict.currency)


router = resource("/app/{app_id}/conflict", "Conflict")


ConflictId = Annotated[str, Path(pattern=UID, max_length=256)]


@router.get("")
async def list_(
    app: ApplicationOf,
    page: OrderedPageOf,
    gateway: GatewayOf,
    transaction: Annotated[
        str | None, Query(max_length=256, description="Only those of this transaction.")
    ] = None,
    is_open: Annotated[
        bool, Query(alias="open", description="Only those that are not resolved.")
    ] = False,
    text: FilterText = None,
) -> Listed[ConflictOut]:
    """List conflicts, newest first."""
    filter_ = await read_filter(gateway, app.id, FilterList.CONFLICT, text)
    transaction_id = await _transaction_id(gateway, app, transaction)
    if transaction_id is not None:
        filter_ = filter_.and_(one_of("transaction", transaction_id))
    if is_open:
        filter_ = filter_.and_(one_of("status", "open"))
    rows = await conflict_page(gateway, app.id, filter_, page)
    return rows.showing([ConflictOut.of(conflict) for conflict in rows.rows])


async def open_conflict_page(
    gateway: Gateway, scope: str | None, page: Page
) -> ListPage[MoneyConflict]:
    """Return a page of the conflicts that wait for a person."""
    return await conflict_page(gateway, scope, ListFilter((one_of("status", "open"),)), page)


async def conflict_page(
    gateway: Gateway, scope: str | None, filter_: ListFilter, page: Page
) -> ListPage[MoneyConflict]:
    """Return a page of the conflicts of an application; None: of all."""
    history = gateway.database.history
    return await search_page(
        lambda page, size: history.filtered_conflicts(scope, filter_, page, size), page, row_id
    )


@router.get("/{conflict_id}")
async def get(app: ApplicationOf, conflict_id: ConflictId, gateway: GatewayOf) -> ConflictOut:
    """Show a conflict, resolved or not."""
    conflict = await gateway.database.conflict(app.id, conflict_id)
    if conflict is None:
        raise NotFound("There is no such conflict.")
    return ConflictOut.of(conflict)


@router.post("/{conflict_id}/keep")
async def keep(
    app: ApplicationOf,
    conflict_id: ConflictId,
    body: ActIn,
    gateway: GatewayOf,
    principal: PrincipalOf,
) -> ConflictOut:
    """Resolve a conflict: the transaction stays as it is."""
    reason = ActionReason(principal.key.id, body.reason)
    conflict = await gateway.conflict_resolver.resolve(app.id, conflict_id, "keep", reason)
    assert isinstance(conflict, MoneyConflict), "`keep` does not need a second API key"
    return ConflictOut.of(conflict)


@router.post("/{conflict_id}/accept", response_model=ConflictOut, responses=SECOND_KEY)
async def accept(
    app: ApplicationOf,
    conflict_id: ConflictId,
    body: AcceptIn,
    gateway: GatewayOf,
    principal: PrincipalOf,
) -> ConflictOut | Response:
    """Resolve a conflict: the news is applied, as a transition or as a reversal."""
    reason = ActionReason(principal.key.id, body.reason)
    amount = await _stated_amount(gateway, app, conflict_id, body.amount)
    answer = ConflictAnswer(amount, body.transaction_id)
    result = await gateway.conflict_resolver.resolve(app.id, conflict_id, "accept", reason, answer)
    if isinstance(result, AwaitingSecondKey):
        return proposed(result, "conflict.accept")
    return ConflictOut.of(result)


async def _stated_amount(
    gateway: Gateway, app: Application, conflict_id: str, text: str | None
) -> int | None:
    """Read an amount in the currency of the conflict's transaction, in minor units."""
    if text is None:
        return None
    conflict = await gateway.database.conflict(app.id, conflict_id)
    if conflict is None:
        raise NotFound("There is no such conflict.")
    transaction = await read_transaction(gateway.database, app.id, conflict.transaction_id)
    return checked_amount(text, transaction.currency)


async def _transaction_id(gateway: Gateway, app: Application, id_or_uid: str | None) -> str | None:
    transaction = await gateway.database.transaction(app.id, id_or_uid) if id_or_uid else None
    return transaction.id if transaction is not None else id_or_uid
