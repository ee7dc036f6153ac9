"""Only what is signed moves money by itself; the rest is confirmed as its source says."""

from typing import Any

import pytest
from tests.cases import each

from tillbell.model.sources import ConfirmationPolicy, Trust
from tillbell.rules.payments.trust import confirmation_policy, reason_unproven

UNSIGNED = [trust for trust in Trust if trust is not Trust.SIGNED]


@pytest.mark.parametrize("confirm", ConfirmationPolicy)
def test_signed_news_is_believed(confirm: ConfirmationPolicy) -> None:
    assert reason_unproven(Trust.SIGNED, confirm, is_hint=False) is None


@each("trust", UNSIGNED)
@each("confirm", [ConfirmationPolicy.PULL, ConfirmationPolicy.REVIEW])
def test_anything_less_is_not(trust: Trust, confirm: ConfirmationPolicy) -> None:
    why = reason_unproven(trust, confirm, is_hint=False)

    assert why is not None
    assert trust.word in why


@pytest.mark.parametrize("trust", UNSIGNED)
def test_unless_its_owner_chose_to_believe_it(trust: Trust) -> None:
    assert reason_unproven(trust, ConfirmationPolicy.TRUST, is_hint=False) is None


@each("trust", Trust)
@each("confirm", ConfirmationPolicy)
def test_a_hint_proves_nothing_whoever_sent_it(trust: Trust, confirm: ConfirmationPolicy) -> None:
    assert reason_unproven(trust, confirm, is_hint=True) is not None


@pytest.mark.parametrize(
    ("config", "confirm"),
    [
        ({}, ConfirmationPolicy.REVIEW),
        ({"lookupUrl": "https://psp.example/{id}"}, ConfirmationPolicy.PULL),
        ({"lookupUrl": "https://psp.example/{id}", "confirm": "review"}, ConfirmationPolicy.REVIEW),
        ({"confirm": "trust"}, ConfirmationPolicy.TRUST),
        ({"confirm": "pull"}, ConfirmationPolicy.PULL),
    ],
)
def test_it_is_asked_where_it_can_be_else_a_person_looks(
    config: dict[str, Any], confirm: ConfirmationPolicy
) -> None:
    assert confirmation_policy(config) is confirm
