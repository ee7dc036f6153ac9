"""Who must have a second factor."""

from __future__ import annotations

import pytest

from tillbell.model.people import Person, Role
from tillbell.rules.accounts import owes_second_factor

WITHOUT = Person("per_1", "ana@shop.example", "Ana", "hash", Role.VIEWER, 0)


@pytest.mark.parametrize(
    ("person", "owes_to"),
    [
        (WITHOUT, {"all"}),
        (WITHOUT._replace(role=Role.OWNER), {"admins", "all"}),
        (WITHOUT._replace(role=None, app_roles={"app_1": Role.ADMIN}), {"admins", "all"}),
        (WITHOUT._replace(role=None, app_roles={"app_1": Role.OPERATOR}), {"all"}),
        (WITHOUT._replace(role=Role.OWNER, totp_secret="sealed"), set()),
        (WITHOUT._replace(role=Role.OWNER, password_hash="", oidc_id="issuer ana"), set()),
    ],
)
def test_who_owes_a_second_factor(person: Person, owes_to: set[str]) -> None:
    rules = ("optional", "admins", "all")
    assert {rule for rule in rules if owes_second_factor(person, rule)} == owes_to
