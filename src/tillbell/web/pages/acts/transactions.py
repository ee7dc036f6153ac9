"""Acts on transactions and their conflicts. Each asks for a reason, which the audit log keeps."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import NamedTuple

from tillbell.errors import NotFound
from tillbell.model.transactions import (
    Direction,
    MoneyConflict,
    Transaction,
    TransactionStatus,
)
from tillbell.money import format_amount
from tillbell.rules.payments.linked import amount_left
from tillbell.rules.payments.standing import taken_back
from tillbell.web.pages.act import (
    ActForm,
    ActPage,
    ActResult,
    ApiAnswer,
    ApiCall,
    FormChoice,
    FormField,
    SentFields,
    act_pages,
)
from tillbell.web.pages.page import Visit
from tillbell.web.pages.transactions import (
    STATUS_ACTS,
    TransactionAct,
    accept_consequences,
    name_of,
)

REASON = FormField(
    "reason", "Reason", "area", hint="It stands in the audit log.", is_required=True, rows=3
)


_CONSEQUENCES = {
    "hold": ("No money moves until somebody releases it.",),
    "release": ("It is Pending again, and goes on where it was.",),
    "approve": (
        "It is Processing until its provider reports the result.",
        "Its endpoints are told.",
    ),
    "reject": (
        "It ends as Rejected. A reserved amount is released.",
        "Its endpoints are told.",
    ),
    "cancel": (
        "It ends as Cancelled. A reserved amount is released.",
        "Its endpoints are told.",
    ),
}
_TWO_PEOPLE = ("approve", "reject")


class TransactionPlace(NamedTuple):
    """The transaction of the path."""

    transaction: Transaction
    link: str

    @property
    def path(self) -> str:
        """Return its path in the API."""
        return f"/app/{self.transaction.app_id}/transaction/{self.transaction.id}"


async def _place(visit: Visit) -> TransactionPlace:
    app = await visit.the_app()
    transaction = await visit.gateway.database.transaction(app.id, visit.path("trx"))
    if transaction is None:
        raise NotFound("There is no such transaction.")
    link = visit.link(f"/transactions/{transaction.id}", app=app.uid or app.id)
    return TransactionPlace(transaction, link)


def _title(verb: str, transaction: Transaction) -> str:
    amount = format_amount(transaction.amount, transaction.currency)
    return f"{verb}: {name_of(transaction)}, {amount} {transaction.currency}"


# ── its status ───────────────────────────────────────────────────────────────────────────────────


def _status_page(act: TransactionAct) -> ActPage:
    async def form(visit: Visit) -> ActForm:
        place = await _place(visit)
        consequences = list(_CONSEQUENCES[act.name])
        if visit.gateway.settings.four_eyes and act.name in _TWO_PEOPLE:
            consequences.append("It happens when a second person does the same.")
        return ActForm(
            title=_title(act.verb, place.transaction),
            verb=act.verb,
            consequences=consequences,
            back=place.link,
            back_word=name_of(place.transaction),
            fields=[REASON],
            is_danger=act.is_danger,
        )

    async def call(visit: Visit, sent: SentFields) -> ApiCall:
        place = await _place(visit)
        return ApiCall("POST", f"{place.path}/{act.name}", {"reason": sent.text("reason")})

    async def done(visit: Visit, _: ApiCall, answer: ApiAnswer) -> ActResult:
        place = await _place(visit)
        return ActResult(f"It is {answer.doc['status']} now.", place.link)

    path = f"/transactions/{{trx}}/{act.name}"
    return ActPage(path, "/transactions", f"transaction.{act.name}", form, call, done)


# ── reversal, and its message again ──────────────────────────────────────────────────────────────


async def _reverse_form(visit: Visit) -> ActForm:
    place = await _place(visit)
    transaction = place.transaction
    left = transaction.credited - taken_back(transaction)
    is_pay_in = transaction.direction is Direction.PAY_IN
    booked = "taken from" if is_pay_in else "given back to"
    return ActForm(
        title=_title("Record a reversal", transaction),
        verb="Record a reversal",
        consequences=[
            f"The amount is {booked} the account once, by a linked transaction.",
            "Nothing is sent to the provider: you record what has happened there.",
            "Its endpoints are told. When the provider reports the same, it is not booked again.",
        ],
        back=place.link,
        back_word=name_of(transaction),
        fields=[
            FormField(
                "amount",
                f"Amount in {transaction.currency}",
                value=format_amount(left, transaction.currency),
                hint="So much is left of it.",
                is_required=True,
                is_code=True,
            ),
            REASON,
        ],
        is_danger=True,
    )


async def _reverse_call(visit: Visit, sent: SentFields) -> ApiCall:
    place = await _place(visit)
    body = {"reason": sent.text("reason"), "amount": sent.text("amount") or None}
    return ApiCall("POST", f"{place.path}/reverse", body)


async def _reversed(visit: Visit, _: ApiCall, answer: ApiAnswer) -> ActResult:
    place = await _place(visit)
    doc = answer.doc
    return ActResult(f"{doc['amount']} {doc['currency']} are reversed.", place.link)


async def _expect_form(visit: Visit) -> ActForm:
    place = await _place(visit)
    transaction = place.transaction
    linked = await visit.gateway.database.linked_transactions(transaction.app_id, transaction.id)
    left = amount_left(transaction, linked)
    return ActForm(
        title=_title("Expect a refund", transaction),
        verb="Expect the refund",
        consequences=[
            "No money moves, and nothing is sent to the provider: start the refund there.",
            "When the provider reports a refund of this amount, it is this one, booked once.",
            "If none has come in time, a question waits in the review queue.",
            "Its endpoints are told that a refund is Pending.",
        ]
        if left
        else ["Nothing is left of it to go back: all is paid back, or expected already."],
        is_possible=left > 0,
        back=place.link,
        back_word=name_of(transaction),
        fields=[
            FormField(
                "amount",
                f"Amount in {transaction.currency}",
                value=format_amount(left, transaction.currency),
                hint="So much has not gone back.",
                is_required=True,
                is_code=True,
            ),
            FormField("withinDays", "Within days", "number", "14", is_required=True),
            REASON,
        ],
    )


async def _expect_call(visit: Visit, sent: SentFields) -> ApiCall:
    place = await _place(visit)
    body = {
        "reason": sent.text("reason"),
        "amount": sent.text("amount") or None,
        "withinDays": sent.number("withinDays"),
    }
    return ApiCall("POST", f"{place.path}/expect-refund", body)


async def _expecting(visit: Visit, _: ApiCall, answer: ApiAnswer) -> ActResult:
    place = await _place(visit)
    doc = answer.doc
    return ActResult(f"A refund of {doc['amount']} {doc['currency']} is expected.", place.link)


async def _resend_form(visit: Visit) -> ActForm:
    place = await _place(visit)
    return ActForm(
        title=_title("Resend webhook", place.transaction),
        verb="Resend webhook",
        consequences=[
            "The message of its latest step goes out again at once, with the same id and bytes.",
            "It goes to every endpoint that had it or wants it now.",
        ],
        back=place.link,
        back_word=name_of(place.transaction),
        fields=[REASON],
    )


async def _resend_call(visit: Visit, sent: SentFields) -> ApiCall:
    place = await _place(visit)
    return ApiCall("POST", f"{place.path}/resend", {"reason": sent.text("reason")})


async def _resent(visit: Visit, _: ApiCall, answer: ApiAnswer) -> ActResult:
    place = await _place(visit)
    count = len(answer.doc["endpointIds"])
    text = f"{answer.doc['eventType']} is sent again to {_counted(count)}."
    if answer.doc["skipped"]:
        text += f" Not to {_counted(len(answer.doc['skipped']))}, which take nothing now."
    return ActResult(text, place.link)


def _counted(endpoints: int) -> str:
    return "1 endpoint" if endpoints == 1 else f"{endpoints} endpoints"


# ── conflicts ────────────────────────────────────────────────────────────────────────────────────


class ConflictPlace(NamedTuple):
    """The conflict of the path, and the transaction that it is about."""

    conflict: MoneyConflict
    transaction: Transaction
    link: str

    @property
    def path(self) -> str:
        """Return its path in the API."""
        return f"/app/{self.conflict.app_id}/conflict/{self.conflict.id}"


async def _conflict_place(visit: Visit) -> ConflictPlace:
    app = await visit.the_app()
    conflict = await visit.gateway.database.conflict(app.id, visit.path("conflict"))
    transaction = None
    if conflict is not None:
        transaction = await visit.gateway.database.transaction(app.id, conflict.transaction_id)
    if conflict is None or transaction is None:
        raise NotFound("There is no such conflict.")
    link = visit.link(f"/transactions/{transaction.id}", app=app.uid or app.id)
    return ConflictPlace(conflict, transaction, link)


async def _keep_form(visit: Visit) -> ActForm:
    place = await _conflict_place(visit)
    return ActForm(
        title=_title("Keep", place.transaction),
        verb="Keep it as it is",
        consequences=[
            f"{place.conflict.why}",
            f"It stays {place.transaction.status}. The news is filed as answered; no money moves.",
        ],
        back=place.link,
        back_word=name_of(place.transaction),
        fields=[REASON],
    )


async def _accept_form(visit: Visit) -> ActForm:
    place = await _conflict_place(visit)
    conflict, transaction = place.conflict, place.transaction
    consequences = [conflict.why, *accept_consequences(conflict, transaction)]
    if visit.gateway.settings.four_eyes:
        consequences.append("It happens when a second person accepts it too.")
    return ActForm(
        title=_title("Accept the news", transaction),
        verb="Accept the news",
        consequences=consequences,
        back=place.link,
        back_word=name_of(transaction),
        fields=[*await _answers(visit, conflict, transaction), REASON],
    )


async def _answers(
    visit: Visit, conflict: MoneyConflict, transaction: Transaction
) -> list[FormField]:
    """Return what only a person can say about a conflict."""
    if conflict.candidates:
        choices = []
        for id_ in conflict.candidates:
            candidate = await visit.gateway.database.transaction(conflict.app_id, id_)
            if candidate is not None:
                amount = format_amount(candidate.amount, candidate.currency)
                hint = f"{amount} {candidate.currency}, {candidate.status}"
                choices.append(FormChoice(id_, name_of(candidate), hint))
        return [
            FormField(
                "transactionId",
                "Which one is it about?",
                "choice",
                options=choices,
                is_required=True,
            )
        ]
    needs_amount = conflict.amount is None or conflict.currency != transaction.currency
    if conflict.status is TransactionStatus.APPROVED and needs_amount:
        return [
            FormField(
                "amount",
                f"Amount in {transaction.currency}",
                hint="So much is booked: look at the provider's own page.",
                is_required=True,
                is_code=True,
            )
        ]
    return []


def _conflict_call(verb: str) -> Callable[[Visit, SentFields], Awaitable[ApiCall]]:
    async def call(visit: Visit, sent: SentFields) -> ApiCall:
        place = await _conflict_place(visit)
        body = {"reason": sent.text("reason")}
        for name in ("amount", "transactionId"):
            if sent.text(name):
                body[name] = sent.text(name)
        return ApiCall("POST", f"{place.path}/{verb}", body)

    return call


async def _kept(visit: Visit, _: ApiCall, __: ApiAnswer) -> ActResult:
    place = await _conflict_place(visit)
    return ActResult("It stays as it is, and the question is closed.", place.link)


async def _accepted(visit: Visit, _: ApiCall, __: ApiAnswer) -> ActResult:
    place = await _conflict_place(visit)
    return ActResult("The news is accepted and booked.", place.link)


PAGES = act_pages(
    (
        *(_status_page(act) for act in STATUS_ACTS),
        ActPage(
            "/transactions/{trx}/expect-refund",
            "/transactions",
            "transaction.expect-refund",
            _expect_form,
            _expect_call,
            _expecting,
        ),
        ActPage(
            "/transactions/{trx}/reverse",
            "/transactions",
            "transaction.reverse",
            _reverse_form,
            _reverse_call,
            _reversed,
        ),
        ActPage(
            "/transactions/{trx}/resend",
            "/transactions",
            "transaction.resend",
            _resend_form,
            _resend_call,
            _resent,
        ),
        ActPage(
            "/conflicts/{conflict}/keep",
            "/review",
            "conflict.keep",
            _keep_form,
            _conflict_call("keep"),
            _kept,
        ),
        ActPage(
            "/conflicts/{conflict}/accept",
            "/review",
            "conflict.accept",
            _accept_form,
            _conflict_call("accept"),
            _accepted,
        ),
    )
)
