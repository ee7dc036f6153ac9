"""Lists over all applications, or over the only one that a key may see."""

from __future__ import annotations

from typing import Annotated

from fastapi import Depends, Query, Response

from tillbell.app import Gateway
from tillbell.clock import Micros
from tillbell.deliver.config_cache import OPERATIONAL
from tillbell.errors import NotFound
from tillbell.model.callbacks import Callback
from tillbell.model.endpoints import Endpoint, EndpointHealth
from tillbell.model.messages import Attempt, DeliveryState, Message, Result
from tillbell.model.transactions import MoneyConflict, Transaction
from tillbell.rules.payments.booking import transaction_data
from tillbell.storage.ports.inbound import CallbackFilter, TransactionFilter
from tillbell.storage.ports.outbound import DeliveryRow, MessageFilter, Page
from tillbell.web.api.attempts import AttemptOut, AttemptQueryOf, attempt_doc
from tillbell.web.api.audit import AuditOut, TargetQuery
from tillbell.web.api.callbacks import CallbackOut, OverviewFilterOf, callback_members
from tillbell.web.api.conflicts import ConflictOut, conflict_members
from tillbell.web.api.deliveries import DeliveryOut, StatesQuery, delivery_doc
from tillbell.web.api.endpoint_health import HealthStatus
from tillbell.web.api.endpoints import EndpointOut, endpoint_list
from tillbell.web.api.filters import MessageFilterOf, WithContent, codes_of
from tillbell.web.api.paging import OrderedPageOf, filtered_page, list_page, listed, row_id
from tillbell.web.api.rendering import answer
from tillbell.web.api.routes import GatewayOf, PrincipalOf, resource
from tillbell.web.api.shapes import Listed, Status
from tillbell.web.api.transactions import FilterOf as TransactionFilterOf
from tillbell.web.api.transactions import TransactionOut


class OverviewCallbackOut(CallbackOut):
    """A callback of one of the applications."""

    app_id: str

    @classmethod
    def of(cls, callback: Callback) -> OverviewCallbackOut:
        """Return a callback in the shape that callers see."""
        return cls(**callback_members(callback), app_id=callback.app_id)


class OverviewTransactionOut(TransactionOut):
    """A transaction of one of the applications."""

    app_id: str

    @classmethod
    def of(cls, transaction: Transaction) -> OverviewTransactionOut:
        """Return a transaction in the shape that callers see."""
        return cls.model_validate(transaction_data(transaction) | {"appId": transaction.app_id})


class OverviewConflictOut(ConflictOut):
    """A conflict of one of the applications."""

    app_id: str

    @classmethod
    def of(cls, conflict: MoneyConflict) -> OverviewConflictOut:
        """Return a conflict in the shape that callers see."""
        return cls(**conflict_members(conflict), app_id=conflict.app_id)


router = resource("", "Overview")


async def the_scope(
    gateway: GatewayOf,
    principal: PrincipalOf,
    app: Annotated[
        str | None,
        Query(max_length=256, description="Id or uid of an application; default: every one."),
    ] = None,
) -> str | None:
    """Return the id of the only application to list; None: all. The key may see it."""
    if app is None:
        return principal.key.app_id
    application = await gateway.config_cache.application(app)
    if application is None or not principal.may_see(application.id):
        raise NotFound("There is no such application.")
    return application.id


ScopeOf = Annotated[str | None, Depends(the_scope)]


@router.get("/endpoint")
async def endpoints(
    scope: ScopeOf,
    page: OrderedPageOf,
    gateway: GatewayOf,
    health: Annotated[HealthStatus | None, Query()] = None,
) -> Listed[EndpointOut]:
    """List the endpoints of all applications; `health=failing`: those that fail now."""
    if health is HealthStatus.FAILING:
        return await _failing(gateway, scope, page)

    async def keep(endpoint: Endpoint) -> bool:
        return endpoint.scope != OPERATIONAL

    listed = await endpoint_list(gateway, scope, page, keep)
    if health is None:
        return listed
    data = [endpoint for endpoint in listed.data if endpoint.health is health]
    return listed.model_copy(update={"data": data})


NO_FILTER = MessageFilter()


@router.get(
    "/delivery",
    response_model=Listed[DeliveryOut],
)
async def deliveries(
    scope: ScopeOf,
    page: OrderedPageOf,
    gateway: GatewayOf,
    filter_: MessageFilterOf,
    states: StatesQuery = None,
) -> Response:
    """List the deliveries of all applications, those of the newest message first.

    `state=failed`: those that need help.
    """

    async def keep(row: DeliveryRow) -> bool:
        return (not states or row.delivery.state in states) and _wants(filter_, row.message)

    rows = await filtered_page(
        lambda page: gateway.database.history.deliveries(
            scope, page, failed_only=states == [DeliveryState.FAILED]
        ),
        page,
        lambda row: row.delivery.id,
        keep,
    )
    return answer(rows.document([await delivery_doc(gateway, row) for row in rows.rows]))


@router.get(
    "/attempt",
    response_model=Listed[AttemptOut],
)
async def attempts(
    scope: ScopeOf,
    page: OrderedPageOf,
    gateway: GatewayOf,
    query: AttemptQueryOf,
    with_content: WithContent = True,
) -> Response:
    """List the attempts of all applications, those of the newest message first."""
    codes = codes_of(query.status_code_class)

    async def keep(attempt: Attempt) -> bool:
        if codes is not None and not codes[0] <= attempt.status_code <= codes[1]:
            return False
        is_accepted = attempt.result is Result.ACCEPTED
        return query.status is None or (query.status is Status.SUCCESS) == is_accepted

    rows = await filtered_page(
        lambda page: gateway.database.history.attempts_by_message(scope, page), page, row_id, keep
    )
    return answer(
        rows.document([attempt_doc(attempt, with_content=with_content) for attempt in rows.rows])
    )


@router.get("/callback")
async def callbacks(
    scope: ScopeOf, page: OrderedPageOf, gateway: GatewayOf, filter_: OverviewFilterOf
) -> Listed[OverviewCallbackOut]:
    """List the callbacks of all applications, newest first."""
    history = gateway.database.history
    if scope is not None:
        rows = await list_page(lambda page: history.callbacks(scope, filter_, page), page, row_id)
    else:

        async def keep(callback: Callback) -> bool:
            return _matches(filter_, callback)

        rows = await filtered_page(history.all_callbacks, page, row_id, keep)
    return rows.showing([OverviewCallbackOut.of(callback) for callback in rows.rows])


@router.get("/transaction")
async def transactions(
    scope: ScopeOf, page: OrderedPageOf, gateway: GatewayOf, filter_: TransactionFilterOf
) -> Listed[OverviewTransactionOut]:
    """List the transactions of all applications, newest first.

    `reference` and `user_id` find them in any application.
    """
    history = gateway.database.history
    if scope is not None:
        rows = await list_page(
            lambda page: history.transactions(scope, filter_, page), page, row_id
        )
    elif filter_.reference is not None or filter_.user_id is not None:
        rows = await list_page(lambda page: history.find_transactions(filter_, page), page, row_id)
    else:

        async def keep(transaction: Transaction) -> bool:
            return _is_wanted(filter_, transaction)

        rows = await filtered_page(history.all_transactions, page, row_id, keep)
    return rows.showing([OverviewTransactionOut.of(transaction) for transaction in rows.rows])


@router.get("/conflict")
async def conflicts(
    scope: ScopeOf,
    page: OrderedPageOf,
    gateway: GatewayOf,
    is_open: Annotated[
        bool, Query(alias="open", description="Only those that are not resolved.")
    ] = False,
) -> Listed[OverviewConflictOut]:
    """List the conflicts of all applications, newest first."""
    history = gateway.database.history
    if scope is not None:
        rows = await list_page(
            lambda page: history.conflicts(scope, page, open_only=is_open), page, row_id
        )
    else:

        async def keep(conflict: MoneyConflict) -> bool:
            return not is_open or conflict.resolved_at is None

        rows = await filtered_page(history.all_conflicts, page, row_id, keep)
    return rows.showing([OverviewConflictOut.of(conflict) for conflict in rows.rows])


@router.get("/audit")
async def audit(
    scope: ScopeOf, page: OrderedPageOf, gateway: GatewayOf, target: TargetQuery = None
) -> Listed[AuditOut]:
    """List who did what in all applications, newest first: by hand, or to the configuration."""
    return await listed(
        lambda page: gateway.database.history.audit_log(scope, page, target), page, AuditOut.of
    )


def _wants(filter_: MessageFilter, message: Message) -> bool:
    if filter_ == NO_FILTER:
        return True
    types, channel, tag = filter_.event_types, filter_.channel, filter_.tag
    return (
        (types is None or message.event_type in types)
        and (channel is None or channel in message.channels)
        and (tag is None or tag in message.tags)
        and _is_within(message.created_at, filter_.after, filter_.before)
    )


def _matches(filter_: CallbackFilter, callback: Callback) -> bool:
    return (
        filter_.source_id in (None, callback.source_id)
        and filter_.provider in (None, callback.provider)
        and (filter_.outcomes is None or callback.outcome in filter_.outcomes)
        and filter_.is_refused in (None, callback.trust is None)
        and filter_.transaction_id in (None, callback.transaction_id)
        and _is_within(callback.received_at, filter_.after, filter_.before)
    )


def _is_wanted(filter_: TransactionFilter, transaction: Transaction) -> bool:
    return (
        filter_.status in (None, transaction.status)
        and filter_.direction in (None, transaction.direction)
        and filter_.kind in (None, transaction.kind)
        and filter_.parent_id in (None, transaction.parent_id)
        and _is_within(transaction.created_at, filter_.after, filter_.before)
    )


def _is_within(at: Micros, after: Micros | None, before: Micros | None) -> bool:
    return (after is None or at >= after) and (before is None or at < before)


async def _failing(gateway: Gateway, scope: str | None, page: Page) -> Listed[EndpointOut]:
    async def fetch(page: Page) -> list[EndpointHealth]:
        return list(await gateway.database.failing_endpoints(scope, page))

    failing = await list_page(fetch, page, row_id)
    data = []
    for stored in failing.rows:
        endpoint = await gateway.database.get(Endpoint, stored.id, stored.scope)
        if endpoint is not None and endpoint.scope != OPERATIONAL:
            health = gateway.lanes.health(endpoint.id, stored)
            data.append(EndpointOut.of(endpoint, health, gateway.clock.now()))
    return failing.showing(data)
