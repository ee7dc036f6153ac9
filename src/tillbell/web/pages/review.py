"""The review queue: what waits for a person, and moves no money until somebody decides."""

from __future__ import annotations

import asyncio
from typing import NamedTuple

from starlette.responses import Response

from tillbell.model.callbacks import Callback, Outcome
from tillbell.model.transactions import MoneyConflict, TransactionStatus
from tillbell.money import format_amount
from tillbell.rules.filters.clauses import ListFilter, one_of
from tillbell.storage.ports.outbound import Page
from tillbell.web.api.callbacks import callback_page
from tillbell.web.api.conflicts import open_conflict_page
from tillbell.web.api.transactions import transaction_page
from tillbell.web.pages.formats import number
from tillbell.web.pages.page import SitePage, Visit
from tillbell.web.pages.transactions import transaction_row

PER_PART = 50  # rows of each part of the page
_FIT_NOTHING = (Outcome.UNMATCHED, Outcome.UNMAPPED, Outcome.MISMATCH, Outcome.ILLEGAL)
_WHAT_TO_DO = {
    Outcome.UNMATCHED: "create the transaction that it names, or correct its reference",
    Outcome.UNMAPPED: "the word is new, and nothing is guessed: look at what it says",
    Outcome.MISMATCH: "compare the amount with the provider's own page",
    Outcome.ILLEGAL: "this cannot follow the present status: look at its story",
}
_SEVERITIES = ("critical", "high", "normal")


class ConflictRow(NamedTuple):
    """A conflict that waits."""

    conflict: MoneyConflict
    app_name: str  # as links name it
    app_title: str
    amount: str  # "" if the news names none


class CallbackRow(NamedTuple):
    """A callback that fits nothing."""

    callback: Callback
    app_name: str
    app_title: str
    source_name: str


async def show(visit: Visit) -> Response:
    """Show all that waits for a person, the most pressing first."""
    gateway, scope, page = visit.gateway, visit.app_id, Page(PER_PART)
    conflicts, held, callbacks = await asyncio.gather(
        open_conflict_page(gateway, scope, page),
        transaction_page(
            gateway, scope, ListFilter((one_of("status", TransactionStatus.ON_HOLD),)), page
        ),
        callback_page(gateway, scope, ListFilter((one_of("status", *_FIT_NOTHING),)), page),
    )
    counts = (len(conflicts.rows), len(held.rows), len(callbacks.rows))
    return visit.show(
        "review.html",
        sentence=_sentence(*counts),
        conflicts=sorted(
            (_conflict_row(visit, conflict) for conflict in conflicts.rows),
            key=lambda row: _SEVERITIES.index(row.conflict.severity),
        ),
        has_more_conflicts=not conflicts.done,
        held=[transaction_row(visit, transaction) for transaction in held.rows],
        callbacks=[_callback_row(visit, callback) for callback in callbacks.rows],
        what_to_do=_WHAT_TO_DO,
        amount_of=format_amount,
        outcomes=",".join(_FIT_NOTHING),
    )


PAGES = (SitePage("/review", show, "/review"),)


def _sentence(conflicts: int, held: int, callbacks: int) -> str:
    """Say what waits.

    >>> _sentence(1, 0, 2), _sentence(0, 0, 0)
    ('1 decision waits for a person; 2 callbacks fit nothing.', 'Nothing needs doing.')
    """
    parts = []
    if conflicts:
        parts.append(_counted(conflicts, "decision waits", "decisions wait") + " for a person")
    if held:
        parts.append(_counted(held, "transaction is", "transactions are") + " on hold")
    if callbacks:
        parts.append(_counted(callbacks, "callback fits", "callbacks fit") + " nothing")
    return f"{'; '.join(parts)}." if parts else "Nothing needs doing."


def _counted(count: int, singular: str, plural: str) -> str:
    more = " or more" if count >= PER_PART else ""
    return f"{number(count)}{more} {singular if count == 1 else plural}"


def _conflict_row(visit: Visit, conflict: MoneyConflict) -> ConflictRow:
    amount = ""
    if conflict.amount is not None and conflict.currency is not None:
        amount = format_amount(conflict.amount, conflict.currency)
    return ConflictRow(conflict, *visit.names_of(conflict.app_id), amount)


def _callback_row(visit: Visit, callback: Callback) -> CallbackRow:
    name = visit.gateway.source_cache.name(callback.source_id)
    return CallbackRow(callback, *visit.names_of(callback.app_id), name)
