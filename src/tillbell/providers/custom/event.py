"""Where everything stands that an event says, and what its words do; and what may be wrong."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from zoneinfo import ZoneInfo

from tillbell.model.transactions import NEGATIVE, TransactionKind, TransactionStatus
from tillbell.providers.custom.check import DeclarationPart
from tillbell.providers.custom.locations import place_problem
from tillbell.providers.kit.base import ConfigProblem
from tillbell.providers.kit.reading import fold

ANY = "*"  # as a place of references: any field; in lists: every word, every currency
NOTE = "note"  # as a kind: nothing about money
PLACES_MAX = 10


class KindMapping(DeclarationPart, frozen=True, kw_only=True):
    """Which word says what kind a transaction is; a word not listed means nothing."""

    at: str
    words: dict[str, str]


class TimeMapping(DeclarationPart, frozen=True, kw_only=True):
    """Where the time of the event stands, and how it is written."""

    at: str
    format: str = "iso"  # iso, s, ms, or as strptime has it: %d.%m.%Y %H:%M:%S
    zone: str = "UTC"  # of a time without offset


class ModeMapping(DeclarationPart, frozen=True, kw_only=True):
    """Where the mark of test money stands, and the values of one side; all else is the other."""

    at: str
    test: tuple[str, ...] = ()
    live: tuple[str, ...] = ()

    def is_test(self, value: str) -> bool:
        """Tell whether a value, "" if there is none, marks test money."""
        return value in self.test if self.test else value not in self.live


class EventMapping(DeclarationPart, frozen=True, kw_only=True):
    """Where in the request everything stands that an event says.

    `authorized`, `ends_attempt`, `undoes_capture` and `closes` are words of `status`.
    """

    id: str | None = None
    ours: tuple[str, ...] = ()
    psp: tuple[str, ...] = ()
    attempt: str | None = None  # the id of one attempt to pay
    status: str | None = None
    kind: KindMapping | None = None
    linked_id: str | None = None  # of the refund or chargeback itself
    movement_id: str | None = None  # of one debit or credit of a refund or chargeback
    capture_id: str | None = None  # of one of several captures
    amount: str | None = None
    capture_amount: str | None = None  # of one capture; else `amount`
    linked_amount: str | None = None  # of a refund or the like; else `amount`
    minor_units: bool = False
    currency: str | None = None
    currency_is: str | None = None  # for senders that do not name it
    reason: str | None = None
    message: str | None = None
    user: str | None = None
    occurred_at: TimeMapping | None = None
    test_mode: ModeMapping | None = None
    authorized: tuple[str, ...] = ()  # the money is reserved and not taken
    ends_attempt: tuple[str, ...] | None = None  # None: every refusal that names an attempt
    undoes_capture: tuple[str, ...] = ()  # a capture failed after it was reported
    closes: tuple[str, ...] = ()  # a dispute or refund is over, and money that moved stays moved

    @property
    def named_places(self) -> tuple[tuple[str, str], ...]:
        """Every declared place with the member that names it."""
        single = {
            "id": self.id,
            "attempt": self.attempt,
            "status": self.status,
            "kind.at": self.kind.at if self.kind else None,
            "linkedId": self.linked_id,
            "movementId": self.movement_id,
            "captureId": self.capture_id,
            "amount": self.amount,
            "captureAmount": self.capture_amount,
            "linkedAmount": self.linked_amount,
            "currency": self.currency,
            "reason": self.reason,
            "message": self.message,
            "user": self.user,
            "occurredAt.at": self.occurred_at.at if self.occurred_at else None,
            "testMode.at": self.test_mode.at if self.test_mode else None,
        }
        lists = {"ours": self.ours, "psp": self.psp}
        listed = [(f"{name}[{i}]", at) for name, ats in lists.items() for i, at in enumerate(ats)]
        return (*((name, at) for name, at in single.items() if at is not None), *listed)

    @property
    def word_lists(self) -> Mapping[str, tuple[str, ...]]:
        """The lists of words of `status`, by the member that holds each."""
        return {
            "authorized": self.authorized,
            "endsAttempt": self.ends_attempt or (),
            "undoesCapture": self.undoes_capture,
            "closes": self.closes,
        }


def is_listed(word: str, words: tuple[str, ...]) -> bool:
    """Tell whether a list holds a word, however it is spelt, or every word."""
    return ANY in words or fold(word) in map(fold, words)


# ── what may be wrong ────────────────────────────────────────────────────────────────────────────


def event_problems(event: EventMapping) -> Iterator[ConfigProblem]:
    """List what is wrong with where things stand."""
    yield from _place_problems(event)
    if event.status is not None and not (event.ours or event.psp or event.attempt):
        yield _problem("ours", "or psp is needed: where the payment's reference stands")
    yield from _amount_problems(event)
    if event.occurred_at is not None and not _is_zone(event.occurred_at.zone):
        yield _problem("occurredAt.zone", "is no time zone, like Europe/Belgrade")
    if event.kind is not None:
        yield from _kind_problems(event.kind, event.linked_id)
    if event.movement_id is not None and event.linked_id is None:
        yield _problem("linkedId", "is needed beside movementId")
    mark = event.test_mode
    if mark is not None and bool(mark.test) == bool(mark.live):
        text = 'needs one of test and live: {"at": "/livemode", "live": ["true"]}'
        yield _problem("testMode", text)


def word_problems(
    event: EventMapping, statuses: Mapping[str, TransactionStatus]
) -> Iterator[ConfigProblem]:
    """List the words that `statuses` lacks, or that do not say there what their list does."""
    for name, words in event.word_lists.items():
        for word in words:
            if word == ANY and name == "endsAttempt":
                continue
            status = statuses.get(fold(word))
            if name == "authorized" and status is not TransactionStatus.PENDING:
                yield _problem(name, f"holds {word!r}, which statuses must call Pending")
            elif name != "authorized" and status not in NEGATIVE:
                text = f"holds {word!r}, which statuses must call Declined, Failed or Cancelled"
                yield _problem(name, text)
    if event.undoes_capture and event.capture_id is None:
        yield _problem("captureId", "is needed beside undoesCapture")
    if event.closes and event.linked_id is None:
        yield _problem("linkedId", "is needed beside closes")


def _problem(member: str, text: str) -> ConfigProblem:
    return ConfigProblem(f"event.{member}", text)


def _place_problems(event: EventMapping) -> Iterator[ConfigProblem]:
    if max(len(event.ours), len(event.psp)) > PLACES_MAX:
        yield _problem("ours", f"and psp name at most {PLACES_MAX} places each")
    for name, at in event.named_places:
        if wrong := place_problem(at):
            yield _problem(name, wrong)
        elif at == ANY and not name.startswith("ours"):
            yield _problem(name, "must be one place; * is for ours only")


def _amount_problems(event: EventMapping) -> Iterator[ConfigProblem]:
    amounts = (event.amount, event.capture_amount, event.linked_amount)
    if any(amounts) and not (event.currency or event.currency_is):
        text = 'or currencyIs is needed beside amount: "/currency", "currencyIs": "EUR"'
        yield _problem("currency", text)
    if event.currency_is is not None and not re.fullmatch(r"[A-Z]{3,8}", event.currency_is):
        yield _problem("currencyIs", "must be a currency's code, like EUR")
    if event.capture_amount is not None and event.capture_id is None:
        yield _problem("captureId", "is needed beside captureAmount")
    if event.linked_amount is not None and event.linked_id is None:
        yield _problem("linkedId", "is needed beside linkedAmount")


def _kind_problems(mapping: KindMapping, linked_id: str | None) -> Iterator[ConfigProblem]:
    known = [*(kind.value for kind in TransactionKind), NOTE]
    for word, kind in mapping.words.items():
        if kind not in known:
            yield _problem(f"kind.words.{word}", f"must be one of {', '.join(known)}")
    linked_kinds = set(mapping.words.values()) - {TransactionKind.PAYMENT.value, NOTE}
    if linked_id is None and linked_kinds:
        yield _problem(
            "linkedId", "is needed: where the id of a refund or chargeback itself stands"
        )


def _is_zone(name: str) -> bool:
    try:
        ZoneInfo(name)
    except (KeyError, ValueError, OSError):
        return False
    return True
