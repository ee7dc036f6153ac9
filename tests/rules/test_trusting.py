"""Only what is signed moves money by itself; the rest is confirmed as its source says."""

from typing import Any

import pytest
from tests.cases import each

from tillbell.model.sources import Confirm, Trust
from tillbell.rules.payments.trust import confirm_of, doubt

UNSIGNED = [trust for trust in Trust if trust is not Trust.SIGNED]


@pytest.mark.parametrize("confirm", Confirm)
def test_signed_news_is_believed(confirm: Confirm) -> None:
    assert doubt(Trust.SIGNED, confirm, is_hint=False) is None


@each("trust", UNSIGNED)
@each("confirm", [Confirm.PULL, Confirm.REVIEW])
def test_anything_less_is_not(trust: Trust, confirm: Confirm) -> None:
    why = doubt(trust, confirm, is_hint=False)

    assert why is not None
    assert trust.word in why


@pytest.mark.parametrize("trust", UNSIGNED)
def test_unless_its_owner_chose_to_believe_it(trust: Trust) -> None:
    assert doubt(trust, Confirm.TRUST, is_hint=False) is None


@each("trust", Trust)
@each("confirm", Confirm)
def test_a_hint_proves_nothing_whoever_sent_it(trust: Trust, confirm: Confirm) -> None:
    assert doubt(trust, confirm, is_hint=True) is not None


@pytest.mark.parametrize(
    ("config", "confirm"),
    [
        ({}, Confirm.REVIEW),
        ({"lookupUrl": "https://psp.example/{id}"}, Confirm.PULL),
        ({"lookupUrl": "https://psp.example/{id}", "confirm": "review"}, Confirm.REVIEW),
        ({"confirm": "trust"}, Confirm.TRUST),
        ({"confirm": "pull"}, Confirm.PULL),
    ],
)
def test_it_is_asked_where_it_can_be_else_a_person_looks(
    config: dict[str, Any], confirm: Confirm
) -> None:
    assert confirm_of(config) is confirm
