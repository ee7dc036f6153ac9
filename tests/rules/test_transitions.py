"""Every pair of statuses, for both directions, as a table; and what follows from a step."""

import itertools
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.cases import each

from tillbell.model.callbacks import Outcome
from tillbell.model.transactions import (
    TERMINAL,
    Direction,
    EffectKind,
    Transaction,
    TransactionKind,
    TransactionStatus,
)
from tillbell.rules.payments.transitions import (
    ALLOWED,
    OPERATOR_ACTIONS,
    ReportedStatus,
    direction_of_linked,
    effect_of,
    judge_status,
    severity,
    status_after_action,
    status_of,
)

PENDING, ON_HOLD, PROCESSING, APPROVED, DECLINED, FAILED, CANCELLED, REJECTED = TransactionStatus
PAY_IN, PAY_OUT = Direction

MARKS = {
    "+": Outcome.APPLIED,
    "=": Outcome.DUPLICATE,
    "<": Outcome.STALE,
    "!": Outcome.CONFLICT,
    "x": Outcome.ILLEGAL,
}

# A row is what it is, a column what the news says: Pending, On Hold, Processing, Approved,
# Declined, Failed, Cancelled, Rejected.
TABLES = {
    PAY_IN: """
        Pending     = + x + + + + x
        On Hold     < = x + + + + x
        Approved    < < x = ! ! ! x
        Declined    < < x ! = < < x
        Failed      < < x ! < = < x
        Cancelled   < < x ! < < = x
    """,
    PAY_OUT: """
        Pending     = + + + + + + +
        On Hold     < = + + + + + +
        Processing  < < = + + + + +
        Approved    < < < = ! ! ! !
        Declined    < < < ! = < < <
        Failed      < < < ! < = < <
        Cancelled   < < < ! < < = <
        Rejected    < < < ! < < < =
    """,
}


def transaction(
    direction: Direction = PAY_IN, status: TransactionStatus = PENDING, **fields: Any
) -> Transaction:
    base = Transaction(
        "trx_1", "app_1", direction, TransactionKind.PAYMENT, status, 10_000, "EUR", 0, 0
    )
    return base._replace(**fields)


def cells() -> list[tuple[Direction, TransactionStatus, TransactionStatus, Outcome]]:
    found = []
    for direction, table in TABLES.items():
        for line in table.strip().splitlines():
            *words, marks = line.strip().rsplit("  ", 1)
            present = TransactionStatus(" ".join(words).strip())
            for news, mark in zip(TransactionStatus, marks.split(), strict=True):
                found.append((direction, present, news, MARKS[mark]))
    return found


@each(("direction", "present", "news", "outcome"), cells())
def test_the_whole_table(
    direction: Direction, present: TransactionStatus, news: TransactionStatus, outcome: Outcome
) -> None:
    judged = judge_status(ReportedStatus(news), transaction(direction, present))

    assert judged.outcome is outcome
    assert judged.why.endswith(".") or "→" in judged.why


def test_the_table_is_whole() -> None:
    for direction, allowed in ALLOWED.items():
        asked = {(p, n) for d, p, n, _ in cells() if d is direction}
        assert asked == set(itertools.product(allowed, TransactionStatus))


@pytest.mark.parametrize(
    ("direction", "present", "news"),
    [
        (PAY_IN, ON_HOLD, PENDING),
        (PAY_OUT, ON_HOLD, PENDING),
        (PAY_OUT, PROCESSING, PENDING),
        (PAY_OUT, PROCESSING, ON_HOLD),
    ],
)
def test_a_step_back_is_taken_only_on_news_that_is_strictly_newer(
    direction: Direction, present: TransactionStatus, news: TransactionStatus
) -> None:
    by_time = transaction(direction, present, news_at=100)
    by_count = transaction(direction, present, news_sequence=7)

    assert judge_status(ReportedStatus(news, occurred_at=101), by_time).outcome is Outcome.APPLIED
    assert judge_status(ReportedStatus(news, occurred_at=100), by_time).outcome is Outcome.STALE
    assert judge_status(ReportedStatus(news, sequence=8), by_count).outcome is Outcome.APPLIED
    assert judge_status(ReportedStatus(news, sequence=7), by_count).outcome is Outcome.STALE
    assert judge_status(ReportedStatus(news, occurred_at=101), by_count).outcome is Outcome.STALE


def test_the_providers_count_wins_over_its_time() -> None:
    held = transaction(PAY_IN, ON_HOLD, news_at=100, news_sequence=7)

    assert judge_status(ReportedStatus(PENDING, 200, 6), held).outcome is Outcome.STALE
    assert judge_status(ReportedStatus(PENDING, 50, 8), held).outcome is Outcome.APPLIED


news_of = st.builds(
    ReportedStatus,
    st.sampled_from(TransactionStatus),
    st.none() | st.integers(0, 9),
    st.none() | st.integers(0, 9),
)


@given(news_of, st.sampled_from(cells()), st.none() | st.integers(0, 9))
def test_nothing_leaves_a_terminal_status_however_new(
    news: ReportedStatus,
    cell: tuple[Direction, TransactionStatus, TransactionStatus, Outcome],
    known_at: int | None,
) -> None:
    direction, present, _, _ = cell
    current = transaction(direction, present, news_at=known_at, news_sequence=known_at)

    judged = judge_status(news, current)

    assert judged.outcome is not Outcome.APPLIED or present not in TERMINAL
    assert judged.outcome is not Outcome.CONFLICT or {present, news.status} <= TERMINAL
    assert judged.outcome is not Outcome.CONFLICT or APPROVED in (present, news.status)


@each("word", ["On Hold", "on_hold", "ON-HOLD", "onhold", "on hold", " ON\tHOLD "])
def test_a_status_is_read_in_any_spelling(word: str) -> None:
    assert status_of(word) is ON_HOLD


@each("word", ["", "success", "Confirmed", "Approve", "ＡPPROVED", "on.hold"])
def test_a_word_that_is_not_ours_is_not_guessed(word: str) -> None:
    assert status_of(word) is None


# ── effects ──────────────────────────────────────────────────────────────────────────────────────


# What entering each status does to the account, in the columns of TABLES: "in" credits, "out"
# debits, "back" releases the reserve, "-" does nothing.
EFFECTS = {
    (PAY_IN, False): "- - - in - - - -",
    (PAY_IN, True): "- - - in back back back back",
    (PAY_OUT, False): "- - - out - - - -",
    (PAY_OUT, True): "- - - out back back back back",
}
MOVES = {
    "-": None,
    "in": EffectKind.CREDIT,
    "out": EffectKind.DEBIT,
    "back": EffectKind.RELEASE,
}


@each(("case", "row"), EFFECTS.items())
def test_only_approval_moves_money_and_only_a_reserve_is_released(
    case: tuple[Direction, bool], row: str
) -> None:
    direction, reserves = case
    current = transaction(direction, reserves=reserves)

    assert [effect_of(current, status) for status in TransactionStatus] == [
        MOVES[w] for w in row.split()
    ]


@pytest.mark.parametrize(
    ("kind", "parent", "effect"),
    [
        (TransactionKind.REFUND, PAY_IN, EffectKind.DEBIT),
        (TransactionKind.CHARGEBACK, PAY_IN, EffectKind.DEBIT),
        (TransactionKind.REVERSAL, PAY_IN, EffectKind.DEBIT),
        (TransactionKind.CHARGEBACK_REVERSAL, PAY_IN, EffectKind.CREDIT),
        (TransactionKind.RETURN, PAY_OUT, EffectKind.CREDIT),
    ],
)
def test_what_is_linked_moves_money_its_own_way(
    kind: TransactionKind, parent: Direction, effect: EffectKind
) -> None:
    linked = transaction(direction_of_linked(kind, parent), kind=kind)

    assert effect_of(linked, APPROVED) is effect


def test_money_that_left_after_a_person_said_no_is_the_worst() -> None:
    assert severity(transaction(PAY_OUT, REJECTED), APPROVED) == "critical"
    assert severity(transaction(PAY_OUT, DECLINED), APPROVED) == "high"
    assert severity(transaction(PAY_OUT, APPROVED), REJECTED) == "high"
    assert severity(transaction(PAY_IN, DECLINED), APPROVED) == "normal"


# ── operators ────────────────────────────────────────────────────────────────────────────────────


# Where each action leads from the statuses it may be used in; from all others it is refused.
OPERATED = {
    ("hold", PAY_IN): {PENDING: ON_HOLD},
    ("hold", PAY_OUT): {PENDING: ON_HOLD},
    ("release", PAY_IN): {ON_HOLD: PENDING},
    ("release", PAY_OUT): {ON_HOLD: PENDING},
    ("approve", PAY_IN): {},  # only a provider says that a customer has paid
    ("approve", PAY_OUT): {PENDING: PROCESSING, ON_HOLD: PROCESSING},
    ("reject", PAY_IN): {},
    ("reject", PAY_OUT): {PENDING: REJECTED, ON_HOLD: REJECTED, PROCESSING: REJECTED},
    ("cancel", PAY_IN): {PENDING: CANCELLED, ON_HOLD: CANCELLED},
    ("cancel", PAY_OUT): {PENDING: CANCELLED, ON_HOLD: CANCELLED},
}


def test_the_table_has_every_action() -> None:
    assert {*OPERATED} == {*itertools.product(OPERATOR_ACTIONS, Direction)}


@each("status", list(TransactionStatus))
@each(("act", "targets"), OPERATED.items())
def test_an_operators_action_leads_where_the_table_says_or_is_refused(
    act: tuple[str, Direction],
    targets: dict[TransactionStatus, TransactionStatus],
    status: TransactionStatus,
) -> None:
    action, direction = act
    if status not in ALLOWED[direction]:
        return
    target = status_after_action(action, transaction(direction, status))
    if status in targets:
        assert target is targets[status]
    else:
        assert not isinstance(target, TransactionStatus)
        assert target.endswith(".")


def test_no_operators_action_ends_in_approved_or_leaves_a_terminal_status() -> None:
    for action, direction, status in itertools.product(
        OPERATOR_ACTIONS, Direction, TransactionStatus
    ):
        if status not in ALLOWED[direction]:
            continue
        target = status_after_action(action, transaction(direction, status))
        if isinstance(target, TransactionStatus):
            assert status not in TERMINAL
            assert target is not APPROVED
            assert target in ALLOWED[direction]
        else:
            assert target.endswith(".")
