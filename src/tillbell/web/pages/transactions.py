"""Transactions, and one transaction with its story: who told us what, and what it moved."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from starlette.responses import Response

from tillbell.clock import iso
from tillbell.errors import NotFound
from tillbell.model.records import Application
from tillbell.model.transactions import (
    Direction,
    MoneyConflict,
    PaymentAttempt,
    Transaction,
    TransactionKind,
    TransactionStatus,
)
from tillbell.money import format_amount
from tillbell.process.transaction_story import TransactionStory, transaction_story
from tillbell.rules.filters.clauses import FilterList
from tillbell.rules.filters.grammar import FilterValue, written_value
from tillbell.rules.payments.attempts import attempts_of
from tillbell.rules.payments.standing import StandingCode, taken_back
from tillbell.rules.payments.story import StepKind
from tillbell.rules.payments.transitions import status_after_action
from tillbell.storage.ports.outbound import Page
from tillbell.web.api.paging import ListPage
from tillbell.web.api.transactions import transaction_page
from tillbell.web.pages import curl
from tillbell.web.pages.filter_line import filter_line
from tillbell.web.pages.lists import export, listing_of, nothing, page_by_time
from tillbell.web.pages.page import SitePage, Visit

_COLUMNS = (
    "created",
    "updated",
    "application",
    "id",
    "uid",
    "type",
    "direction",
    "status",
    "amount",
    "currency",
    "credited",
    "taken_back",
    "provider",
    "provider_id",
    "order_id",
    "merchant_reference",
    "user_id",
)
STEP_ICONS = {
    StepKind.CREATED: "coin",
    StepKind.CALLBACK: "callback",
    StepKind.ACTION: "customer",
    StepKind.EFFECT: "coin",
    StepKind.MESSAGE: "message",
    StepKind.CONFLICT: "review",
    StepKind.DECISION: "customer",
    StepKind.LINKED: "transaction",
}
# How the first sentence of the page looks: tone and icon.
VERDICTS = {
    StandingCode.NEEDS_DECISION: ("hold", "review"),
    StandingCode.ON_HOLD: ("hold", "pause"),
    StandingCode.NOT_REPORTED: ("warn", "question"),
    StandingCode.UNDER_WAY: ("warn", "clock"),
    StandingCode.SETTLED: ("ok", "ok"),
    StandingCode.PARTLY_SETTLED: ("warn", "notequal"),
    StandingCode.PARTLY_TAKEN_BACK: ("ok", "ok"),
    StandingCode.TAKEN_BACK: ("warn", "left"),
    StandingCode.ENDED: ("bad", "bad"),
}


class TransactionAct(NamedTuple):
    """What a person can do to a transaction. `name` is that of the API's operation."""

    name: str
    verb: str
    is_danger: bool = False


STATUS_ACTS = (
    TransactionAct("hold", "Put on hold"),
    TransactionAct("release", "Release"),
    TransactionAct("approve", "Approve"),
    TransactionAct("reject", "Reject", is_danger=True),
    TransactionAct("cancel", "Cancel", is_danger=True),
)
EXPECT_REFUND = TransactionAct("expect-refund", "Expect a refund")
REVERSE = TransactionAct("reverse", "Record a reversal", is_danger=True)


class TransactionRow(NamedTuple):
    """One row of the list."""

    transaction: Transaction
    app_name: str  # as links name it
    app_title: str
    name: str  # by which people know it


class Sum(NamedTuple):
    """An amount of a transaction that is not zero, or that people look for."""

    word: str
    amount: str
    note: str = ""


class Reference(NamedTuple):
    """A name by which the transaction is found."""

    word: str
    value: str


class ShownTransaction(NamedTuple):
    """A transaction with all that its page says."""

    transaction: Transaction
    app: Application
    app_name: str
    name: str
    amount: str
    source_name: str  # "" if no source is known
    order_filter: str | None  # of all transactions of its order
    story: TransactionStory
    sums: list[Sum]
    references: list[Reference]
    attempts: list[PaymentAttempt]
    parent: Transaction | None


async def list_(visit: Visit) -> Response:
    """Show transactions, newest first."""
    line = await filter_line(visit, FilterList.TRANSACTION)
    if isinstance(line, Response):
        return line
    wanted = line.wanted

    async def fetch_rows(page: Page) -> ListPage[TransactionRow]:
        if wanted is None:
            return nothing()
        listed = await transaction_page(visit.gateway, visit.app_id, wanted, page)
        return listed.with_rows([transaction_row(visit, row) for row in listed.rows])

    exported = await export(visit, "transaction", fetch_rows, _COLUMNS, _cells)
    if exported is not None:
        return exported
    page = page_by_time(visit)
    rows = await fetch_rows(page)
    return visit.show(
        "transactions.html",
        rows=rows.rows,
        listing=listing_of(visit, rows, page, line),
        amount_of=format_amount,
        example=curl.create_transaction(
            curl.api_url(visit.gateway.settings), visit.app_name or "shop"
        ),
    )


async def show(visit: Visit) -> Response:
    """Show a transaction by its id or uid."""
    gateway = visit.gateway
    app = await visit.the_app()
    transaction = await gateway.database.transaction(app.id, visit.path("trx"))
    if transaction is None:
        raise NotFound("There is no such transaction.")
    story = await transaction_story(gateway.database, gateway.source_cache.name, transaction)
    parent = None
    if transaction.parent_id is not None:
        parent = await gateway.database.transaction(app.id, transaction.parent_id)
    source_id = transaction.source_id
    shown = ShownTransaction(
        transaction=transaction,
        app=app,
        app_name=app.uid or app.id,
        name=name_of(transaction),
        amount=format_amount(transaction.amount, transaction.currency),
        source_name=gateway.source_cache.name(source_id) if source_id else "",
        order_filter=_order_filter(transaction),
        story=story,
        sums=list(_sums(transaction)),
        references=list(_references(transaction)),
        attempts=list(attempts_of(transaction)),
        parent=parent,
    )
    return visit.show(
        "transaction.html",
        t=shown,
        verdict=VERDICTS[story.standing.code],
        icons=STEP_ICONS,
        hides_quiet=visit.query("quiet") == "no",
        four_eyes=gateway.settings.four_eyes,
        amount_of=format_amount,
        name_of=name_of,
        acts=acts_on(transaction),
        consequences=[accept_consequences(c, transaction) for c in story.open_conflicts],
    )


PAGES = (
    SitePage("/transactions", list_, "/transactions"),
    SitePage("/transactions/{trx}", show, "/transactions"),
)


def acts_on(transaction: Transaction) -> list[TransactionAct]:
    """Return what can be done to a transaction as it stands."""
    acts = [
        act
        for act in STATUS_ACTS
        if isinstance(status_after_action(act.name, transaction), TransactionStatus)
    ]
    is_payment = transaction.kind is TransactionKind.PAYMENT
    is_approved = transaction.status is TransactionStatus.APPROVED
    if is_payment and is_approved and transaction.credited > taken_back(transaction):
        if transaction.direction is Direction.PAY_IN:
            acts.append(EXPECT_REFUND)
        acts.append(REVERSE)
    return acts


def name_of(transaction: Transaction) -> str:
    """Return the name by which people know a transaction, its id at last."""
    return (
        transaction.uid
        or transaction.merchant_reference
        or transaction.order_id
        or transaction.psp_transaction_id
        or transaction.id
    )


def accept_consequences(conflict: MoneyConflict, transaction: Transaction) -> list[str]:
    """Say what accepting the news of a conflict does."""
    amount = None
    if conflict.amount is not None and conflict.currency is not None:
        amount = f"{format_amount(conflict.amount, conflict.currency)} {conflict.currency}"
    if conflict.candidates:
        lines = ["It is decided as news about the transaction that you name."]
    elif conflict.kind == "unconfirmed_linked":
        lines = ["What the callback says is booked as if it were proven."]
    elif (
        transaction.status is TransactionStatus.APPROVED
        and conflict.status is not TransactionStatus.APPROVED
    ):
        lines = ["What was credited is taken back once, by a linked reversal."]
    elif conflict.status is TransactionStatus.APPROVED:
        lines = [f"{amount} is booked, once." if amount else "The amount that you state is booked."]
    else:
        lines = [f"It becomes {conflict.status}."]
    return [*lines, "Its endpoints are told."]


def transaction_row(visit: Visit, transaction: Transaction) -> TransactionRow:
    """Return a transaction as a row of a list."""
    return TransactionRow(transaction, *visit.names_of(transaction.app_id), name_of(transaction))


def _sums(transaction: Transaction) -> Iterator[Sum]:
    """Yield what is booked and said, in the currency of the transaction."""
    is_payment = transaction.kind is TransactionKind.PAYMENT
    booked = "credited" if transaction.direction is Direction.PAY_IN else "debited"
    rows = [
        ("asked for", transaction.amount, True, ""),
        ("authorized", transaction.authorized, False, "as the provider says"),
        ("captured", transaction.captured, False, "as the provider says"),
        (booked, transaction.credited, is_payment, ""),
        ("refunded", transaction.refunded, is_payment, ""),
        ("charged back", transaction.charged_back, False, ""),
        ("reinstated", transaction.reinstated, False, ""),
        ("reversed", transaction.reversed_, False, ""),
        ("left of it", transaction.credited - taken_back(transaction), is_payment, ""),
    ]
    for word, minor, is_always, note in rows:
        if minor or is_always:
            yield Sum(word, format_amount(minor, transaction.currency), note)


def _order_filter(transaction: Transaction) -> str | None:
    if transaction.order_id is None:
        return None
    return f"order:{written_value(FilterValue(transaction.order_id))}"


def _references(transaction: Transaction) -> Iterator[Reference]:
    provider = transaction.provider or "the provider"
    for word, value in (
        ("Transaction", transaction.id),
        ("Your uid", transaction.uid),
        ("Order", transaction.order_id),
        ("Merchant reference", transaction.merchant_reference),
        ("User", transaction.user_id),
        (f"Id at {provider}", transaction.psp_transaction_id),
        (f"Reference of {provider}", transaction.psp_reference),
    ):
        if value:
            yield Reference(word, value)


def _cells(row: TransactionRow) -> list[object]:
    transaction, currency = row.transaction, row.transaction.currency
    return [
        iso(transaction.created_at),
        iso(transaction.updated_at),
        row.app_name,
        transaction.id,
        transaction.uid,
        transaction.kind,
        transaction.direction,
        transaction.status,
        format_amount(transaction.amount, currency),
        currency,
        format_amount(transaction.credited, currency),
        format_amount(taken_back(transaction), currency),
        transaction.provider,
        transaction.psp_transaction_id,
        transaction.order_id,
        transaction.merchant_reference,
        transaction.user_id,
    ]
