"""The callback log: what came in and what became of it; and replaying callbacks."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from datetime import datetime
from typing import Annotated, Any, NamedTuple

from fastapi import Depends, Path, Query, Response
from pydantic import Field

from tillbell.app import Gateway
from tillbell.clock import Micros
from tillbell.errors import Invalid, NotFound, Problem
from tillbell.model.callbacks import Callback, Outcome
from tillbell.model.messages import DeliveryState
from tillbell.receive.reprocess import ReparsedCallback, UnreadableRequest
from tillbell.receive.verify_and_parse import CallbackReading
from tillbell.rules.filters.clauses import FilterList, ListFilter
from tillbell.rules.nearest import hint, nearest
from tillbell.storage.ports.as_clauses import with_callback
from tillbell.storage.ports.inbound import CallbackFilter
from tillbell.storage.ports.outbound import Page
from tillbell.web.api.filtered import FilterIn, FilterText, read_filter, search_page
from tillbell.web.api.filters import TimeQuery, instant
from tillbell.web.api.masked_callback import (
    ReadingOut,
    RequestOut,
    reading_out,
    request_out,
    verdict_word,
)
from tillbell.web.api.paging import ListPage, OrderedPageOf, row_id
from tillbell.web.api.routes import (
    ApplicationOf,
    GatewayOf,
    also_answers,
    resource,
)
from tillbell.web.api.shapes import (
    Decides,
    Flag,
    In,
    Listed,
    Name,
    Out,
    Time,
    TrustText,
    Verdict,
    optional_time,
)
from tillbell.web.edge.patterns import UID


class CallbackOut(Out):
    """One request from a provider, and what became of it."""

    id: str
    source_id: str
    provider: str
    received_at: datetime = Field(description="When the request had arrived (UTC).")
    method: str = Field(description="HTTP method of the request.")
    size: int = Field(description="Bytes of its body.")
    verdict: Verdict = Field(description="Whether it was processed, or refused as not proven.")
    verdict_why: str = Field(description="Reason for the verdict.")
    trust: TrustText | None
    outcome: Outcome | None = Field(description="null: it is not processed yet.")
    why: str = Field(description="Reason for the outcome.")
    duplicate_of: str | None = Field(
        description="Id of the callback that this one repeats; null: it repeats none."
    )
    transaction_id: str | None = Field(
        description="The transaction that it is about; null: none, or not known."
    )
    message_ids: list[str] = Field(
        description="Ids of the messages that were published because of it."
    )
    processed_at: datetime | None = Field(
        description="When its outcome was decided (UTC); null: not yet."
    )
    retry_at: datetime | None = Field(description="When it is processed again.")
    dedupe_key: str | None = Field(
        description="What makes it unique in its source; null: it could not be read."
    )
    hops: int = Field(description="Number of Tillbell gateways that forwarded it.")

    @classmethod
    def of(cls, callback: Callback) -> CallbackOut:
        """Return a callback in the shape that callers see."""
        return cls(**callback_members(callback))


class LinkedDeliveryOut(Out):
    """A delivery that a callback led to."""

    id: str
    message_id: str = Field(description="The message that is delivered.")
    endpoint_id: str
    state: DeliveryState = Field(description="How it stands.")


class CallbackDetailOut(CallbackOut):
    """A callback with its request and what it led to."""

    request: RequestOut | None = Field(
        description="The request as it came, with secrets masked; null: see `requestNote`."
    )
    request_note: str | None = Field(description="Why the request is not shown; null: it is.")
    deliveries: list[LinkedDeliveryOut] = Field(
        description="The deliveries of the messages that were published because of it."
    )


class ReplayIn(In):
    """How one callback is replayed."""

    dry_run: Flag = Field(
        default=False, description="Show what a replay would do, and change nothing."
    )


class ReplayManyIn(ReplayIn):
    """Which callbacks are replayed. A member that is left out does not restrict them."""

    source_id: Annotated[Name, Decides()] | None = Field(
        default=None, description="Only callbacks of this source: its id or uid."
    )
    provider: Name | None = Field(
        default=None, description="Only callbacks of this provider: its name."
    )
    outcomes: list[Outcome] | None = Field(
        default=None, description="Only callbacks that ended in one of these ways."
    )
    verdict: Verdict | None = Field(
        default=None,
        description="Only callbacks that were accepted, or only those that were refused.",
    )
    transaction_id: Name | None = Field(
        default=None, description="Only callbacks about this transaction."
    )
    since: Time | None = None
    until: Time | None = None
    filter_: FilterIn = Field(default=None, alias="filter")


class DifferenceOut(Out):
    """A value that would change."""

    name: str = Field(description="What differs: `verdict`, `trust`, `outcome` or `dedupeKey`.")
    before: Any = Field(description="Value as it was read when the callback came.")
    after: Any = Field(description="Value as it is read now.")


class PreviewOut(Out):
    """A callback, and how it reads now."""

    callback_id: str
    possible: bool = Field(description="Whether a replay would process it.")
    why: str = Field(description="Why it would not.")
    reading: ReadingOut | None = Field(
        description="What the callback says now; null: the request cannot be read any more."
    )
    differences: list[DifferenceOut] = Field(
        description="What is read otherwise than when it came."
    )


class ReplayOut(Out):
    """What a replay of one callback did, or would do."""

    dry_run: bool = Field(description="Whether nothing was changed.")
    callback: CallbackOut | None = Field(description="The callback that is processed now.")
    preview: PreviewOut | None = Field(description="Only in a dry run.")
    why: str = Field(description="Why nothing is processed.")


class ReplayManyOut(Out):
    """The task that replays, or previews of the first callbacks."""

    dry_run: bool = Field(description="Whether nothing was changed.")
    task_id: str | None = Field(
        description="The background task that replays; null after a dry run."
    )
    previews: list[PreviewOut] = Field(
        description="What each of the first callbacks would become. Empty unless it is a dry run."
    )
    done: bool = Field(description="Whether there are previews of all callbacks.")


router = resource("/app/{app_id}/callback", "Callback")

PREVIEWS_MAX = 50  # callbacks of which a dry run shows a preview


async def the_callback(
    callback_id: Annotated[str, Path(pattern=UID, max_length=256)],
    app: ApplicationOf,
    gateway: GatewayOf,
) -> Callback:
    """Give the callback of the path."""
    callback = await gateway.database.callback(app.id, callback_id)
    if callback is None:
        raise NotFound("There is no such callback.")
    return callback


CallbackOf = Annotated[Callback, Depends(the_callback)]
NameQuery = Annotated[str | None, Query(max_length=256)]


class _OutcomeFilter(NamedTuple):
    """How callbacks ended, as a part of `CallbackFilter`."""

    outcomes: tuple[Outcome, ...] | None
    is_refused: bool | None


class _TimeFilter(NamedTuple):
    """When callbacks came, as a part of `CallbackFilter`."""

    before: Micros | None
    after: Micros | None


async def _ended(
    outcomes: Annotated[list[Outcome] | None, Query(alias="outcome", max_length=12)] = None,
    verdict: Annotated[Verdict | None, Query()] = None,
) -> _OutcomeFilter:
    return _OutcomeFilter(tuple(outcomes) if outcomes else None, _is_refused(verdict))


async def _span(before: TimeQuery = None, after: TimeQuery = None) -> _TimeFilter:
    return _TimeFilter(instant(before), instant(after))


async def _about(
    app: ApplicationOf,
    gateway: GatewayOf,
    source_id: Annotated[
        str | None, Query(max_length=256, description="Only callbacks of this source.")
    ] = None,
    provider: NameQuery = None,
    transaction_id: NameQuery = None,
) -> CallbackFilter:
    return CallbackFilter(
        source_id=_source_id(gateway, app.id, source_id, ("query", "source_id")),
        provider=_provider(gateway, provider, ("query", "provider")),
        transaction_id=transaction_id,
    )


async def _about_any(
    gateway: GatewayOf,
    provider: NameQuery = None,
    transaction_id: NameQuery = None,
    source_id: Annotated[
        str | None, Query(max_length=256, description="Only those of this source: its id.")
    ] = None,
) -> CallbackFilter:
    return CallbackFilter(
        source_id=source_id,
        provider=_provider(gateway, provider, ("query", "provider")),
        transaction_id=transaction_id,
    )


async def _overview_filter(
    about: Annotated[CallbackFilter, Depends(_about_any)],
    ended: Annotated[_OutcomeFilter, Depends(_ended)],
    span: Annotated[_TimeFilter, Depends(_span)],
) -> CallbackFilter:
    return about._replace(**ended._asdict(), **span._asdict())


OverviewFilterOf = Annotated[CallbackFilter, Depends(_overview_filter)]


async def _callback_filter(
    about: Annotated[CallbackFilter, Depends(_about)],
    ended: Annotated[_OutcomeFilter, Depends(_ended)],
    span: Annotated[_TimeFilter, Depends(_span)],
) -> CallbackFilter:
    return about._replace(**ended._asdict(), **span._asdict())


FilterOf = Annotated[CallbackFilter, Depends(_callback_filter)]


async def _replay_filter(gateway: Gateway, app_id: str, body: ReplayManyIn) -> CallbackFilter:
    about = None
    if body.transaction_id is not None:
        about = await gateway.database.transaction(app_id, body.transaction_id)
        if about is None:
            text = f"there is no transaction {body.transaction_id[:60]!r}; write its id"
            raise Invalid(Problem(("body", "transactionId"), text, "unknown_transaction"))
    return CallbackFilter(
        source_id=_source_id(gateway, app_id, body.source_id, ("body", "sourceId")),
        provider=_provider(gateway, body.provider, ("body", "provider")),
        outcomes=tuple(body.outcomes) if body.outcomes else None,
        is_refused=_is_refused(body.verdict),
        transaction_id=about.id if about is not None else None,
        before=instant(body.until),
        after=instant(body.since),
    )


def _is_refused(verdict: Verdict | None) -> bool | None:
    return None if verdict is None else verdict == "refused"


def _source_id(
    gateway: Gateway, app_id: str, id_or_uid: str | None, loc: tuple[str, str]
) -> str | None:
    """Return the id of a source. The id of a deleted source is returned unchanged.

    `Invalid` if it is no id and no source has it as its uid.
    """
    if id_or_uid is None:
        return None
    compiled = gateway.source_cache.find(app_id, id_or_uid)
    if compiled is not None or id_or_uid.startswith("src_"):
        return compiled.source.id if compiled is not None else id_or_uid
    uids = [each.source.uid for each in gateway.source_cache.of_scope(app_id) if each.source.uid]
    text = f"there is no source {id_or_uid[:60]!r}{hint(nearest(id_or_uid, uids))}"
    raise Invalid(Problem(loc, text, "unknown_source"))


def _provider(gateway: Gateway, name: str | None, loc: tuple[str, str]) -> str | None:
    """Return the name of a provider. `Invalid` if there is none of this name."""
    known = gateway.source_cache.providers
    if name is not None and name not in known:
        text = f"unknown provider{hint(nearest(name, known))}; GET /api/v1/provider lists all"
        raise Invalid(Problem(loc, text, "unknown_provider"))
    return name


@router.get("")
async def list_(
    app: ApplicationOf,
    page: OrderedPageOf,
    members: FilterOf,
    gateway: GatewayOf,
    text: FilterText = None,
) -> Listed[CallbackOut]:
    """List callbacks, newest first."""
    filter_ = with_callback(await read_filter(gateway, app.id, FilterList.CALLBACK, text), members)
    rows = await callback_page(gateway, app.id, filter_, page)
    return rows.showing([CallbackOut.of(callback) for callback in rows.rows])


async def callback_page(
    gateway: Gateway, scope: str | None, filter_: ListFilter, page: Page
) -> ListPage[Callback]:
    """Return a page of the callbacks of an application; None: of all."""
    history = gateway.database.history
    return await search_page(
        lambda page, size: history.filtered_callbacks(scope, filter_, page, size), page, row_id
    )


@router.get("/{callback_id}")
async def get(callback: CallbackOf, gateway: GatewayOf) -> CallbackDetailOut:
    """Show a callback, its request with secrets masked, and the deliveries it led to."""
    incoming = await gateway.reprocessor.request(callback)
    request = note = None
    if isinstance(incoming, UnreadableRequest):
        note = incoming.why
    else:
        compiled = gateway.source_cache.compiled(callback.source_id)
        # On another thread: masking a hostile body takes long.
        request = await asyncio.to_thread(request_out, incoming, compiled)
    return CallbackDetailOut(
        **callback_members(callback),
        request=request,
        request_note=note,
        deliveries=await linked_deliveries(gateway, callback),
    )


async def linked_deliveries(gateway: Gateway, callback: Callback) -> list[LinkedDeliveryOut]:
    """Return the deliveries of the messages that were published because of a callback."""
    return [
        LinkedDeliveryOut(
            id=delivery.id,
            message_id=delivery.message_id,
            endpoint_id=delivery.endpoint_id,
            state=delivery.state,
        )
        for message_id in callback.message_ids
        for delivery in await gateway.database.deliveries_of_message(callback.app_id, message_id)
    ]


@router.post(
    "/replay",
    status_code=202,
    responses=also_answers(200, ReplayManyOut, "What a replay would do."),
)
async def replay_many(
    app: ApplicationOf, body: ReplayManyIn, gateway: GatewayOf, response: Response
) -> ReplayManyOut:
    """Replay the callbacks that match a filter, in the background. A dry run shows previews."""
    loc = ("body", "filter")
    filter_ = await read_filter(gateway, app.id, FilterList.CALLBACK, body.filter_, loc)
    filter_ = with_callback(filter_, await _replay_filter(gateway, app.id, body))
    if not body.dry_run:
        task = await gateway.bulk_reprocessor.begin(app.id, filter_)
        return ReplayManyOut(dry_run=False, task_id=task.id, previews=[], done=True)
    response.status_code = 200
    filter_ = gateway.bulk_reprocessor.until_now(filter_)
    oldest = Page(limit=PREVIEWS_MAX, ascending=True)
    callbacks = await callback_page(gateway, app.id, filter_, oldest)
    previews = [
        preview_out(await gateway.reprocessor.reparse_with_advice(callback))
        for callback in callbacks.rows
    ]
    return ReplayManyOut(dry_run=True, task_id=None, previews=previews, done=callbacks.done)


@router.post("/{callback_id}/replay")
async def replay(
    callback: CallbackOf, gateway: GatewayOf, body: ReplayIn | None = None
) -> ReplayOut:
    """Verify, read and process a callback again. A dry run shows what would differ."""
    if body is not None and body.dry_run:
        preview = preview_out(await gateway.reprocessor.reparse_with_advice(callback))
        return ReplayOut(dry_run=True, callback=None, preview=preview, why=preview.why)
    result = await gateway.reprocessor.reprocess(callback)
    processed = CallbackOut.of(result.callback) if result.callback is not None else None
    return ReplayOut(dry_run=False, callback=processed, preview=None, why=result.why)


def callback_members(callback: Callback) -> dict[str, Any]:
    """Return a callback by the names of `CallbackOut`."""
    fields = callback._asdict()
    del fields["app_id"]
    times = {
        name: optional_time(fields[name]) for name in ("received_at", "processed_at", "retry_at")
    }
    trust, verdict = _trust_word(callback), _verdict(callback)
    return fields | times | {"trust": trust, "verdict": verdict}


_DECIDED_ON_RECEIPT = (Outcome.UNAUTHENTICATED, Outcome.MALFORMED, Outcome.IGNORED)


def preview_out(reparsed: ReparsedCallback | UnreadableRequest) -> PreviewOut:
    """Return what a stored callback says when it is read now."""
    callback = reparsed.callback
    if isinstance(reparsed, UnreadableRequest):
        return PreviewOut(
            callback_id=callback.id, possible=False, why=reparsed.why, reading=None, differences=[]
        )
    reading = reparsed.reading
    return PreviewOut(
        callback_id=callback.id,
        possible=reading.outcome is None,
        why=reading.why,
        reading=reading_out(reading),
        differences=list(_differences(callback, reading)),
    )


def _differences(callback: Callback, reading: CallbackReading) -> Iterator[DifferenceOut]:
    """Compare how a callback was read when it came with how it is read now.

    Processing decides by the state at that time. So only outcomes that are decided before
    processing are compared.
    """
    outcome = callback.outcome if callback.outcome in _DECIDED_ON_RECEIPT else None
    if outcome is Outcome.IGNORED and callback.dedupe_key is not None:
        outcome = None  # processing ignored it
    pairs = (
        ("verdict", _verdict(callback), _verdict(reading)),
        ("trust", _trust_word(callback), _trust_word(reading)),
        ("outcome", outcome, reading.outcome),
        ("dedupeKey", callback.dedupe_key, reading.dedupe_key),
    )
    for name, before, after in pairs:
        if before != after:
            yield DifferenceOut(name=name, before=before, after=after)


def _verdict(verified: Callback | CallbackReading) -> Verdict:
    return verdict_word(is_refused=verified.trust is None)


def _trust_word(verified: Callback | CallbackReading) -> str | None:
    return verified.trust.word if verified.trust is not None else None
