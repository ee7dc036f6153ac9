"""Transactions of an application: begun here, moved by callbacks and by people."""

from __future__ import annotations

from typing import Annotated

from fastapi import Depends, Path, Query, Response

from tillbell.app import Gateway
from tillbell.configure.names import checked_uid
from tillbell.errors import Invalid, NotFound, Problem
from tillbell.model.records import Application
from tillbell.model.transactions import Direction, Transaction, TransactionKind, TransactionStatus
from tillbell.process.operator import NewTransaction
from tillbell.storage.ports.inbound import TransactionFilter
from tillbell.storage.ports.outbound import Page
from tillbell.web.api.filters import TimeQuery, instant
from tillbell.web.api.money_in import checked_amount
from tillbell.web.api.paging import OrderedPageOf, list_page
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
from tillbell.web.api.shapes.base import Listed
from tillbell.web.api.shapes.transactions import (
    TransactionDetailOut,
    TransactionIn,
    TransactionOut,
)
from tillbell.web.api.transaction_view import detail_out, transaction_out

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

    async def fetch(page: Page) -> list[Transaction]:
        return await gateway.database.history.transactions(app.id, filter_, page)

    found = await list_page(fetch, page, lambda transaction: transaction.id)
    return Listed(**found.shown([transaction_out(one) for one in found.rows]))


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
