"""Lists over all applications, or over the only one that a key may see."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated

from fastapi import Depends, Query, Response
from pydantic import Field

from tillbell.app import Gateway
from tillbell.clock import to_datetime
from tillbell.deliver.config_cache import OPERATIONAL
from tillbell.errors import NotFound
from tillbell.model.callbacks import Callback
from tillbell.model.endpoints import Endpoint, EndpointHealth
from tillbell.model.transactions import MoneyConflict, Transaction
from tillbell.rules.filters.clauses import FilterList, one_of
from tillbell.rules.payments.booking import transaction_data
from tillbell.storage.ports.as_clauses import (
    with_callback,
    with_message,
    with_result,
    with_transaction,
)
from tillbell.storage.ports.outbound import Page
from tillbell.web.api.attempts import AttemptOut, AttemptQueryOf, attempt_doc, attempt_page
from tillbell.web.api.audit import AuditOut, TargetQuery, audit_page, read_audit_filter
from tillbell.web.api.callbacks import (
    CallbackOut,
    OverviewFilterOf,
    callback_members,
    callback_page,
)
from tillbell.web.api.conflicts import ConflictOut, conflict_members, conflict_page
from tillbell.web.api.deliveries import DeliveryOut, StatesQuery, delivery_docs, delivery_page
from tillbell.web.api.endpoint_health import HealthStatus
from tillbell.web.api.endpoints import EndpointOut, filtered_endpoints
from tillbell.web.api.filtered import FilterText, read_filter
from tillbell.web.api.filters import MessageFilterOf, WithContent, codes_of
from tillbell.web.api.messages import message_page
from tillbell.web.api.paging import OrderedPageOf, list_page, row_id
from tillbell.web.api.rendering import MessageOut, answer, message_doc
from tillbell.web.api.routes import GatewayOf, PrincipalOf, resource
from tillbell.web.api.shapes import Listed, Out, Status
from tillbell.web.api.transactions import FilterOf as TransactionFilterOf
from tillbell.web.api.transactions import TransactionOut, transaction_page


class OverviewMessageOut(MessageOut):
    """A message of one of the applications."""

    app_id: str


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


@router.get("/message", response_model=Listed[OverviewMessageOut])
async def messages(
    scope: ScopeOf,
    page: OrderedPageOf,
    gateway: GatewayOf,
    members: MessageFilterOf,
    text: FilterText = None,
    with_content: WithContent = True,
) -> Response:
    """List the messages of all applications, newest first."""
    filter_ = with_message(await read_filter(gateway, scope, FilterList.MESSAGE, text), members)
    rows = await message_page(gateway, scope, filter_, page)
    docs = [
        await message_doc(gateway, row, with_content=with_content) | {"appId": row.app_id}
        for row in rows.rows
    ]
    return answer(rows.document(docs))


@router.get("/endpoint")
async def endpoints(
    scope: ScopeOf,
    page: OrderedPageOf,
    gateway: GatewayOf,
    text: FilterText = None,
    health: Annotated[HealthStatus | None, Query()] = None,
) -> Listed[EndpointOut]:
    """List the endpoints of all applications; `health=failing`: those that fail now."""
    if health is HealthStatus.FAILING and not text:
        return await _failing(gateway, scope, page)
    filter_ = await read_filter(gateway, scope, FilterList.ENDPOINT, text)
    if health is not None:
        filter_ = filter_.and_(one_of("health", health))
    return await filtered_endpoints(gateway, scope, filter_, page)


@router.get(
    "/delivery",
    response_model=Listed[DeliveryOut],
)
async def deliveries(
    scope: ScopeOf,
    page: OrderedPageOf,
    gateway: GatewayOf,
    members: MessageFilterOf,
    text: FilterText = None,
    states: StatesQuery = None,
) -> Response:
    """List the deliveries of all applications, those of the newest message first.

    `state=failed`: those that need help.
    """
    filter_ = with_message(await read_filter(gateway, scope, FilterList.DELIVERY, text), members)
    if states:
        filter_ = filter_.and_(one_of("status", *states))
    rows = await delivery_page(gateway, scope, filter_, page)
    return answer(rows.document(await delivery_docs(gateway, rows.rows)))


@router.get(
    "/attempt",
    response_model=Listed[AttemptOut],
)
async def attempts(
    scope: ScopeOf,
    page: OrderedPageOf,
    gateway: GatewayOf,
    query: AttemptQueryOf,
    text: FilterText = None,
    with_content: WithContent = True,
) -> Response:
    """List the attempts of all applications by their start: the latest attempt is first."""
    filter_ = with_result(
        await read_filter(gateway, scope, FilterList.ATTEMPT, text),
        is_accepted=None if query.status is None else query.status is Status.SUCCESS,
        codes=codes_of(query.status_code_class),
    )
    rows = await attempt_page(gateway, scope, filter_, page)
    return answer(
        rows.document([attempt_doc(attempt, with_content=with_content) for attempt in rows.rows])
    )


class DeliveryProblemOut(Out):
    """Deliveries that have not arrived for one cause."""

    app_id: str
    endpoint_id: str
    status: int = Field(description="The status code of the last answer; 0: there was none.")
    error: str = Field(description='Class of failure, e.g. `connect_refused`; "": it answered.')
    text: str = Field(description="What happened and what to do, for a person.")
    failed: int = Field(description="Deliveries without attempts left, of those looked at.")
    waiting: int = Field(description="Deliveries of the endpoint that wait, of a day or longer.")
    since: datetime = Field(description="When the first of these attempts ended (UTC).")
    last_at: datetime = Field(description="When the last of them ended.")
    filter_: str = Field(serialization_alias="filter", description="The filter of its deliveries.")


class DeliveryProblemsOut(Out):
    """What needs doing so that deliveries arrive."""

    data: list[DeliveryProblemOut] = Field(description="The causes, the greatest first.")
    searched: int = Field(description="Failed deliveries of a week that were looked at.")
    done: bool = Field(description="Whether those were all of them.")


@router.get("/problem")
async def problems(scope: ScopeOf, gateway: GatewayOf) -> DeliveryProblemsOut:
    """List why deliveries have not arrived, by endpoint and answer.

    Endpoints that fail now, and the newest deliveries of a week that failed for good.
    """
    listed = await gateway.delivery_problems.all(scope)
    return DeliveryProblemsOut(
        data=[
            DeliveryProblemOut(
                app_id=problem.endpoint.scope,
                endpoint_id=problem.endpoint.id,
                status=problem.cause.status,
                error=problem.cause.error,
                text=problem.text,
                failed=problem.failed,
                waiting=problem.waiting,
                since=to_datetime(problem.since),
                last_at=to_datetime(problem.last_at),
                filter_=problem.filter,
            )
            for problem in listed.problems
        ],
        searched=listed.searched,
        done=listed.is_whole,
    )


@router.get("/callback")
async def callbacks(
    scope: ScopeOf,
    page: OrderedPageOf,
    gateway: GatewayOf,
    members: OverviewFilterOf,
    text: FilterText = None,
) -> Listed[OverviewCallbackOut]:
    """List the callbacks of all applications, newest first."""
    filter_ = with_callback(await read_filter(gateway, scope, FilterList.CALLBACK, text), members)
    rows = await callback_page(gateway, scope, filter_, page)
    return rows.showing([OverviewCallbackOut.of(callback) for callback in rows.rows])


@router.get("/transaction")
async def transactions(
    scope: ScopeOf,
    page: OrderedPageOf,
    gateway: GatewayOf,
    members: TransactionFilterOf,
    text: FilterText = None,
) -> Listed[OverviewTransactionOut]:
    """List the transactions of all applications, newest first.

    `reference` and `user_id` find them in any application.
    """
    filter_ = with_transaction(
        await read_filter(gateway, scope, FilterList.TRANSACTION, text), members
    )
    rows = await transaction_page(gateway, scope, filter_, page)
    return rows.showing([OverviewTransactionOut.of(transaction) for transaction in rows.rows])


@router.get("/conflict")
async def conflicts(
    scope: ScopeOf,
    page: OrderedPageOf,
    gateway: GatewayOf,
    text: FilterText = None,
    is_open: Annotated[
        bool, Query(alias="open", description="Only those that are not resolved.")
    ] = False,
) -> Listed[OverviewConflictOut]:
    """List the conflicts of all applications, newest first."""
    filter_ = await read_filter(gateway, scope, FilterList.CONFLICT, text)
    if is_open:
        filter_ = filter_.and_(one_of("status", "open"))
    rows = await conflict_page(gateway, scope, filter_, page)
    return rows.showing([OverviewConflictOut.of(conflict) for conflict in rows.rows])


@router.get("/audit")
async def audit(
    scope: ScopeOf,
    page: OrderedPageOf,
    gateway: GatewayOf,
    target: TargetQuery = None,
    text: FilterText = None,
) -> Listed[AuditOut]:
    """List who did what in all applications, newest first."""
    filter_ = await read_audit_filter(gateway, scope, text, target)
    rows = await audit_page(gateway, scope, filter_, page)
    return rows.showing([AuditOut.of(act) for act in rows.rows])


async def _failing(gateway: Gateway, scope: str | None, page: Page) -> Listed[EndpointOut]:
    async def fetch(page: Page) -> list[EndpointHealth]:
        return list(await gateway.database.failing_endpoints(scope, page))

    failing = await list_page(fetch, page, row_id)
    rows = []
    for stored in failing.rows:
        endpoint = await gateway.database.get(Endpoint, stored.id, stored.scope)
        if endpoint is not None and endpoint.scope != OPERATIONAL:
            rows.append((endpoint, gateway.lanes.health(endpoint.id, stored)))
    figures = await gateway.plots.of_endpoints([endpoint for endpoint, _ in rows])
    now = gateway.clock.now()
    return failing.showing(
        [EndpointOut.of(each, health, figures[each.id], now) for each, health in rows]
    )
