"""The callback log: what came in, what became of it, and once more from the start."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from datetime import datetime
from typing import Annotated, Any, Literal, NamedTuple

from fastapi import Depends, Path, Query, Response
from pydantic import Field

from tillbell.app import Gateway
from tillbell.clock import Micros, to_datetime
from tillbell.errors import NotFound
from tillbell.model.callbacks import Callback, Outcome
from tillbell.receive.reprocess import ReparsedCallback, UnreadableRequest
from tillbell.receive.verify_and_parse import CallbackReading
from tillbell.storage.ports.inbound import CallbackFilter
from tillbell.storage.ports.outbound import Page
from tillbell.web.api.filters import TimeQuery, instant
from tillbell.web.api.masked_callback import (
    ReadingOut,
    RequestOut,
    reading_out,
    request_out,
    verdict_word,
)
from tillbell.web.api.paging import OrderedPageOf, listed
from tillbell.web.api.routes import (
    UID,
    ApplicationOf,
    GatewayOf,
    also_answers,
    app_read,
    app_write,
    resource,
)
from tillbell.web.api.shapes import Flag, In, Listed, Name, Out


class CallbackOut(Out):
    """One request from a provider, and what became of it."""

    id: str
    source_id: str
    provider: str
    received_at: datetime
    method: str
    size: int = Field(description="Bytes of its body.")
    verdict: str = Field(description="accepted or refused.")
    verdict_why: str
    trust: str | None
    outcome: Outcome | None = Field(description="null: it is not processed yet.")
    why: str = Field(description="Of the outcome.")
    duplicate_of: str | None
    transaction_id: str | None
    message_ids: list[str]
    processed_at: datetime | None
    retry_at: datetime | None = Field(description="When it is looked at again.")
    dedupe_key: str | None
    hops: int = Field(description="Gateways like this one that it has come through.")

    @classmethod
    def of(cls, callback: Callback) -> CallbackOut:
        """Show a callback."""
        return cls(**_members(callback))


class LinkedDeliveryOut(Out):
    """A delivery that a callback led to."""

    id: str
    message_id: str
    endpoint_id: str
    state: str


class CallbackDetailOut(CallbackOut):
    """A callback with its request and what it led to."""

    request: RequestOut | None
    request_note: str | None = Field(description="Why there is no request any more.")
    deliveries: list[LinkedDeliveryOut]


class ReplayIn(In):
    """How one callback is replayed."""

    dry_run: Flag = False


class ReplayManyIn(ReplayIn):
    """Which callbacks are replayed. What is left out does not restrict."""

    source_id: Name | None = None
    provider: Name | None = None
    outcomes: list[Outcome] | None = None
    verdict: str | None = Field(default=None, pattern="^(accepted|refused)$")
    transaction_id: Name | None = None
    since: datetime | None = None
    until: datetime | None = None


class DifferenceOut(Out):
    """What would be otherwise."""

    name: str
    before: Any
    after: Any


class PreviewOut(Out):
    """A callback, and how it reads now."""

    callback_id: str
    possible: bool = Field(description="Whether a replay would process it.")
    why: str = Field(description="Why not.")
    reading: ReadingOut | None
    differences: list[DifferenceOut]


class ReplayOut(Out):
    """What a replay of one callback did, or would do."""

    dry_run: bool
    callback: CallbackOut | None = Field(description="The one that is processed now.")
    preview: PreviewOut | None = Field(description="Of a dry run.")
    why: str = Field(description="Why nothing is processed.")


class ReplayManyOut(Out):
    """A task that replays, or the first of what it would do."""

    dry_run: bool
    task_id: str | None
    previews: list[PreviewOut]
    done: bool = Field(description="Whether the previews are all there are.")


router = resource("/app/{app_id}/callback", "Callback")

READ = app_read("callback", None)
WRITE = app_write("callback")
PREVIEWS_MAX = 50  # callbacks that a dry run over many looks at


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
VerdictQuery = Literal["accepted", "refused"]


class _OutcomeFilter(NamedTuple):
    outcomes: tuple[Outcome, ...] | None
    is_refused: bool | None


class _TimeFilter(NamedTuple):
    before: Micros | None
    after: Micros | None


async def _ended(
    outcomes: Annotated[list[Outcome] | None, Query(alias="outcome", max_length=12)] = None,
    verdict: Annotated[VerdictQuery | None, Query()] = None,
) -> _OutcomeFilter:
    return _OutcomeFilter(tuple(outcomes) if outcomes else None, _is_refused(verdict))


async def _span(before: TimeQuery = None, after: TimeQuery = None) -> _TimeFilter:
    return _TimeFilter(instant(before), instant(after))


async def _about(
    app: ApplicationOf,
    gateway: GatewayOf,
    source_id: Annotated[str | None, Query(max_length=256, description="Id or uid.")] = None,
    provider: NameQuery = None,
    transaction_id: NameQuery = None,
) -> CallbackFilter:
    named = _source_id(gateway, app.id, source_id)
    return CallbackFilter(source_id=named, provider=provider, transaction_id=transaction_id)


async def _callback_filter(
    about: Annotated[CallbackFilter, Depends(_about)],
    ended: Annotated[_OutcomeFilter, Depends(_ended)],
    span: Annotated[_TimeFilter, Depends(_span)],
) -> CallbackFilter:
    return about._replace(**ended._asdict(), **span._asdict())


FilterOf = Annotated[CallbackFilter, Depends(_callback_filter)]


def filter_of(gateway: Gateway, app_id: str, body: ReplayManyIn) -> CallbackFilter:
    """Read the filter of a replay."""
    return CallbackFilter(
        source_id=_source_id(gateway, app_id, body.source_id),
        provider=body.provider,
        outcomes=tuple(body.outcomes) if body.outcomes else None,
        is_refused=_is_refused(body.verdict),
        transaction_id=body.transaction_id,
        before=instant(body.until),
        after=instant(body.since),
    )


def _is_refused(verdict: str | None) -> bool | None:
    return None if verdict is None else verdict == "refused"


def _source_id(gateway: Gateway, app_id: str, id_or_uid: str | None) -> str | None:
    live = gateway.source_cache.find(app_id, id_or_uid) if id_or_uid is not None else None
    return live.source.id if live is not None else id_or_uid


@router.get("", dependencies=READ)
async def list_(
    app: ApplicationOf, page: OrderedPageOf, filter_: FilterOf, gateway: GatewayOf
) -> Listed[CallbackOut]:
    """List callbacks, newest first."""
    return await listed(
        lambda page: gateway.database.history.callbacks(app.id, filter_, page),
        page,
        CallbackOut.of,
    )


@router.get("/{callback_id}", dependencies=READ)
async def get(callback: CallbackOf, gateway: GatewayOf) -> CallbackDetailOut:
    """Show a callback with its request, without what is secret in it, and what it led to."""
    found = await gateway.reprocessor.request(callback)
    why = found.why if isinstance(found, UnreadableRequest) else None
    request = None
    if not isinstance(
        found, UnreadableRequest
    ):  # on another thread: masking a hostile body takes its time
        live = gateway.source_cache.compiled(callback.source_id)
        request = await asyncio.to_thread(request_out, found, live)
    deliveries = [
        LinkedDeliveryOut(
            id=one.id, message_id=one.message_id, endpoint_id=one.endpoint_id, state=one.state
        )
        for message_id in callback.message_ids
        for one in await gateway.database.deliveries_of_message(callback.app_id, message_id)
    ]
    return CallbackDetailOut(
        **_members(callback), request=request, request_note=why, deliveries=deliveries
    )


@router.post(
    "/replay",
    status_code=202,
    dependencies=WRITE,
    responses=also_answers(200, ReplayManyOut, "What a replay would do."),
)
async def replay_many(
    app: ApplicationOf, body: ReplayManyIn, gateway: GatewayOf, response: Response
) -> ReplayManyOut:
    """Replay what a filter selects, in the background; of a dry run, show the first."""
    filter_ = filter_of(gateway, app.id, body)
    if not body.dry_run:
        task = await gateway.bulk_reprocessor.begin(app.id, filter_)
        return ReplayManyOut(dry_run=False, task_id=task.id, previews=[], done=True)
    response.status_code = 200
    page = Page(limit=PREVIEWS_MAX + 1)
    found = await gateway.bulk_reprocessor.selected(
        app.id, gateway.bulk_reprocessor.until_now(filter_), page
    )
    again = [await gateway.reprocessor.reparse_with_advice(one) for one in found[:PREVIEWS_MAX]]
    previews = [preview_out(one) for one in again]
    done = len(found) <= PREVIEWS_MAX
    return ReplayManyOut(dry_run=True, task_id=None, previews=previews, done=done)


@router.post("/{callback_id}/replay", dependencies=WRITE)
async def replay(
    callback: CallbackOf, gateway: GatewayOf, body: ReplayIn | None = None
) -> ReplayOut:
    """Verify, read and process a callback again; a dry run shows what would differ."""
    if body is not None and body.dry_run:
        preview = preview_out(await gateway.reprocessor.reparse_with_advice(callback))
        return ReplayOut(dry_run=True, callback=None, preview=preview, why=preview.why)
    done = await gateway.reprocessor.reprocess(callback)
    shown = CallbackOut.of(done.callback) if done.callback is not None else None
    return ReplayOut(dry_run=False, callback=shown, preview=None, why=done.why)


def _members(callback: Callback) -> dict[str, Any]:
    """Return a callback by the names of its shape."""
    shown = callback._asdict()
    del shown["app_id"]
    times = {name: _time(shown[name]) for name in ("received_at", "processed_at", "retry_at")}
    trust = callback.trust.word if callback.trust is not None else None
    verdict = verdict_word(is_refused=callback.trust is None)
    return shown | times | {"trust": trust, "verdict": verdict}


def _time(at: Micros | None) -> datetime | None:
    return to_datetime(at) if at is not None else None


_DECIDED_ON_RECEIPT = (Outcome.UNAUTHENTICATED, Outcome.MALFORMED, Outcome.IGNORED)


def preview_out(again: ReparsedCallback | UnreadableRequest) -> PreviewOut:
    """Show how a stored callback reads now."""
    callback = again.callback
    if isinstance(again, UnreadableRequest):
        return PreviewOut(
            callback_id=callback.id, possible=False, why=again.why, reading=None, differences=[]
        )
    reading = again.reading
    return PreviewOut(
        callback_id=callback.id,
        possible=reading.outcome is None,
        why=reading.why,
        reading=reading_out(reading),
        differences=list(_differences(callback, reading)),
    )


def _differences(callback: Callback, reading: CallbackReading) -> Iterator[DifferenceOut]:
    """Compare what was found when it came with what is found now.

    What processing will make of it is decided on the state of that moment, so of outcomes only
    those are compared that are known before.
    """
    at_the_door = callback.outcome if callback.outcome in _DECIDED_ON_RECEIPT else None
    is_ours = at_the_door is not Outcome.IGNORED or callback.dedupe_key is None
    pairs = (
        ("verdict", _verdict(callback), _verdict(reading)),
        ("trust", _word(callback), _word(reading)),
        ("outcome", at_the_door if is_ours else None, reading.outcome),
        ("dedupeKey", callback.dedupe_key, reading.dedupe_key),
    )
    for name, before, after in pairs:
        if before != after:
            yield DifferenceOut(name=name, before=before, after=after)


def _verdict(found: Callback | CallbackReading) -> str:
    return verdict_word(is_refused=found.trust is None)


def _word(found: Callback | CallbackReading) -> str | None:
    return found.trust.word if found.trust is not None else None
