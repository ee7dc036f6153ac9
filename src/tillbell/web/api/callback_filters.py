"""Query parameters of the callback log."""

from __future__ import annotations

from typing import Annotated, Literal, NamedTuple

from fastapi import Depends, Query

from tillbell.app import Gateway
from tillbell.clock import Micros
from tillbell.model.callbacks import Outcome
from tillbell.storage.ports.inbound import CallbackFilter
from tillbell.web.api.filters import TimeQuery, instant
from tillbell.web.api.routes import ApplicationOf, GatewayOf
from tillbell.web.api.shapes.callbacks import ReplayManyIn

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
