"""A parcel never goes back and never leaves its end; who bounced or complained is left alone."""

from itertools import permutations

import pytest
from tests.cases import each

from tillbell.catalog.tables import FAMILIES
from tillbell.clock import HOUR, MINUTE, Micros
from tillbell.model.callbacks import EmailNotice, Outcome, ShipmentNotice
from tillbell.rules.payments.lifecycles import (
    CANCELLED,
    CREATED,
    DELIVERED,
    EMAIL_MOVES,
    EXCEPTION,
    FINAL,
    IN_TRANSIT,
    RETURNED,
    STATES,
    ParcelState,
    judge_email,
    judge_parcel,
    shipment_event,
    suppression_reason,
)

NOW: Micros = 1_772_359_200_000_000
APPLIED, STALE, DUPLICATE = Outcome.APPLIED, Outcome.STALE, Outcome.DUPLICATE


def news(
    status: str | None,
    at: Micros | None = None,
    sequence: int | None = None,
    *,
    substate: str | None = None,
    is_ambiguous: bool = False,
) -> ShipmentNotice:
    return ShipmentNotice(
        "TT1",
        raw_status="?",
        status=status,
        substate=substate,
        occurred_at=at,
        sequence=sequence,
        is_time_ambiguous=is_ambiguous,
    )


def outcome(current: ParcelState | None, told: ShipmentNotice) -> Outcome:
    return judge_parcel(current, told).outcome


# From each state, what becomes of news of each state that has no time and no count.
_PARCELS = {
    CREATED: (DUPLICATE, APPLIED, APPLIED, APPLIED, APPLIED, APPLIED),
    IN_TRANSIT: (STALE, DUPLICATE, APPLIED, APPLIED, APPLIED, APPLIED),
    EXCEPTION: (STALE, APPLIED, DUPLICATE, APPLIED, APPLIED, APPLIED),
    DELIVERED: (STALE, STALE, STALE, DUPLICATE, STALE, STALE),
    RETURNED: (STALE, STALE, STALE, STALE, DUPLICATE, STALE),
    CANCELLED: (STALE, STALE, STALE, STALE, STALE, DUPLICATE),
}
_ORDER = (CREATED, IN_TRANSIT, EXCEPTION, DELIVERED, RETURNED, CANCELLED)


@each("present", _ORDER)
def test_every_pair_of_parcel_states(present: str) -> None:
    found = tuple(outcome(ParcelState(present, None, None, None), news(one)) for one in _ORDER)

    assert found == _PARCELS[present]


def test_the_first_news_may_be_of_any_state() -> None:
    assert {outcome(None, news(one)) for one in STATES} == {APPLIED}


def test_an_unknown_word_moves_nothing() -> None:
    assert outcome(None, news(None)) is Outcome.UNMAPPED
    assert outcome(ParcelState(CREATED, None, NOW, 1), news(None, NOW + 1, 2)) is Outcome.UNMAPPED


def test_another_substate_of_the_same_state_is_news() -> None:
    picked_up = ParcelState(IN_TRANSIT, "picked_up", NOW, 1)

    assert outcome(picked_up, news(IN_TRANSIT, NOW + 1, substate="out_for_delivery")) is APPLIED
    assert outcome(picked_up, news(IN_TRANSIT, NOW + 1, substate="picked_up")) is DUPLICATE


@pytest.mark.parametrize("final", sorted(FINAL))
def test_nothing_leads_out_of_a_final_state_however_new_it_is(final: str) -> None:
    ended = ParcelState(final, None, NOW, 1)
    later = [news(one, NOW + HOUR, 99, substate="failed") for one in STATES]

    assert {outcome(ended, one) for one in later} == {STALE}


def test_time_decides_first_and_the_count_where_times_are_equal() -> None:
    current = ParcelState(IN_TRANSIT, None, NOW, 5)

    assert outcome(current, news(EXCEPTION, NOW - 1, 9)) is STALE
    assert outcome(current, news(EXCEPTION, NOW + 1, 2)) is APPLIED
    assert outcome(current, news(EXCEPTION, NOW, 4)) is STALE
    assert outcome(current, news(EXCEPTION, NOW, 6)) is APPLIED
    assert outcome(current, news(EXCEPTION, None, 4)) is STALE
    assert outcome(current, news(EXCEPTION)) is APPLIED


def test_in_the_hour_that_a_clock_change_repeats_the_count_decides() -> None:
    current = ParcelState(IN_TRANSIT, None, NOW, 5)
    second_pass = news(DELIVERED, NOW - 20 * MINUTE, 6, is_ambiguous=True)
    first_pass = news(EXCEPTION, NOW - 20 * MINUTE, 4, is_ambiguous=True)
    long_ago = news(EXCEPTION, NOW - HOUR - 1, 6, is_ambiguous=True)

    assert outcome(current, second_pass) is APPLIED
    assert outcome(current, first_pass) is STALE
    assert outcome(current, long_ago) is STALE


def test_in_whatever_order_news_comes_the_parcel_ends_the_same() -> None:
    journey = [
        news(CREATED, NOW, 1),
        news(IN_TRANSIT, NOW + 1, 2, substate="picked_up"),
        news(EXCEPTION, NOW + 2, 3, substate="delayed"),
        news(IN_TRANSIT, NOW + 3, 4, substate="out_for_delivery"),
        news(DELIVERED, NOW + 4, 5),
    ]

    assert {_end_of(told) for told in permutations(journey)} == {DELIVERED}


def _end_of(told: tuple[ShipmentNotice, ...]) -> str:
    current: ParcelState | None = None
    for one in told:
        if outcome(current, one) is APPLIED:
            current = ParcelState(one.status or "", one.substate, one.occurred_at, one.sequence)
    assert current is not None
    return current.status


def test_every_parcel_state_has_its_event_type_in_the_catalogue() -> None:
    known = {f"shipment.{row.name}" for row in FAMILIES["shipment"]}

    assert {shipment_event(one) for one in STATES} == known


# ── e-mails ──────────────────────────────────────────────────────────────────────────────────────

_EMAILS = {
    "sent": (DUPLICATE, APPLIED, APPLIED, APPLIED),
    "delivered": (STALE, DUPLICATE, STALE, APPLIED),
    "bounced": (STALE, STALE, DUPLICATE, STALE),
    "complained": (STALE, STALE, STALE, DUPLICATE),
}


@pytest.mark.parametrize("present", _EMAILS)
def test_every_pair_of_email_states(present: str) -> None:
    found = tuple(judge_email(present, event).outcome for event in _EMAILS)

    assert found == _EMAILS[present]


def test_an_email_may_be_first_heard_of_in_any_state() -> None:
    assert {judge_email(None, event).outcome for event in EMAIL_MOVES} == {APPLIED}


@pytest.mark.parametrize("event", ["opened", "clicked", "delayed", "failed"])
def test_other_events_of_an_email_are_only_noted(event: str) -> None:
    assert judge_email("delivered", event).outcome is Outcome.NOTED


@each(
    ("event", "bounce_type", "reason"),
    [
        ("bounced", "permanent", "bounced"),
        ("bounced", "temporary", None),
        ("bounced", None, None),
        ("complained", None, "complained"),
        ("delivered", None, None),
        ("delayed", "permanent", None),
    ],
)
def test_only_a_permanent_bounce_and_a_complaint_suppress_an_address(
    event: str, bounce_type: str | None, reason: str | None
) -> None:
    notice = EmailNotice("em_1", event, to=("a@b.example",), bounce_type=bounce_type)

    assert suppression_reason(notice) == reason
