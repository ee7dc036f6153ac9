"""The filters of parameters as clauses, beside those of a filter in the grammar."""

from __future__ import annotations

from collections.abc import Mapping

from tillbell.clock import Micros
from tillbell.model.messages import Result
from tillbell.rules.filters.clauses import Clause, ListFilter, OneOf, Within, one_of
from tillbell.storage.ports.inbound import CallbackFilter, TransactionFilter
from tillbell.storage.ports.outbound import MessageFilter

_FOREVER: Micros = 2**62


def with_times(filter_: ListFilter, after: Micros | None, before: Micros | None) -> ListFilter:
    """Return a filter within a time range as well."""
    afters = [at for at in (filter_.after, after) if at is not None]
    befores = [at for at in (filter_.before, before) if at is not None]
    return filter_._replace(
        after=max(afters, default=None),
        before=min(befores, default=None),
    )


def with_message(filter_: ListFilter, members: MessageFilter) -> ListFilter:
    """Return a filter with what the parameters of messages say as well."""
    clauses = [
        one_of(field, *values)
        for field, values in (
            ("type", members.event_types or ()),
            ("channel", (members.channel,) if members.channel is not None else ()),
            ("tag", (members.tag,) if members.tag is not None else ()),
        )
        if values
    ]
    return with_times(filter_.and_(*clauses), members.after, members.before)


def with_started(filter_: ListFilter, members: MessageFilter) -> ListFilter:
    """Do the same for attempts, whose time is that of their start."""
    low, high = members.after or 0, _FOREVER if members.before is None else members.before - 1
    is_bounded = members.after is not None or members.before is not None
    times = (Clause("started", (Within(low, high),)),) if is_bounded else ()
    return with_message(filter_, members._replace(after=None, before=None)).and_(*times)


def with_result(
    filter_: ListFilter, *, is_accepted: bool | None, codes: tuple[int, int] | None
) -> ListFilter:
    """Return a filter of attempts with what the parameters say of their result."""
    if is_accepted is not None:
        filter_ = filter_.and_(Clause("result", (OneOf((Result.ACCEPTED,)),), not is_accepted))
    return filter_ if codes is None else filter_.and_(Clause("code", (Within(*codes),)))


def with_callback(filter_: ListFilter, members: CallbackFilter) -> ListFilter:
    """Return a filter with what the parameters of callbacks say as well."""
    is_refused = members.is_refused
    verdict = None if is_refused is None else "refused" if is_refused else "accepted"
    named = {
        "source": members.source_id,
        "provider": members.provider,
        "verdict": verdict,
        "transaction": members.transaction_id,
    }
    filter_ = filter_.and_(*_clauses(named))
    if members.outcomes is not None:
        filter_ = filter_.and_(one_of("status", *members.outcomes))
    return with_times(filter_, members.after, members.before)


def with_transaction(filter_: ListFilter, members: TransactionFilter) -> ListFilter:
    """Return a filter with what the parameters of transactions say as well."""
    named = {
        "reference": members.reference,
        "status": members.status,
        "direction": members.direction,
        "kind": members.kind,
        "user": members.user_id,
        "parent": members.parent_id,
    }
    return with_times(filter_.and_(*_clauses(named)), members.after, members.before)


def _clauses(named: Mapping[str, str | None]) -> list[Clause]:
    return [one_of(field, value) for field, value in named.items() if value is not None]
