"""Numbers beyond every limit, in callbacks and in the settings of sources."""

from __future__ import annotations

from decimal import Decimal

import pytest

from tests.cases import each
from tillbell.configure.source_checks import check_config
from tillbell.providers import PROVIDERS
from tillbell.providers.kit.base import Provider, ProviderSetting, Unreadable
from tillbell.providers.kit.order_fields import count
from tillbell.providers.kit.reading import json_value

INTEGERS = {
    f"{provider.name}.{setting.name}": (provider, setting)
    for provider in PROVIDERS.values()
    for setting in provider.settings
    if setting.type == "integer"
}


@pytest.mark.parametrize("digits", ["1e99999999999999999999", "-1e99999999999999999999", "9" * 65])
def test_a_number_that_cannot_be_held_is_unreadable(digits: str) -> None:
    with pytest.raises(Unreadable):
        json_value(b'{"n":%s}' % digits.encode())


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (2, 2),
        (Decimal("2.0"), 2),
        (10**9 - 1, 10**9 - 1),
        (Decimal("2.5"), None),
        (10**9, None),
        (-(10**30), None),
        (Decimal("-1e60"), None),
        (Decimal("1e999999"), None),
        (True, None),
        ("2", None),
    ],
)
def test_a_count_is_whole_and_small(value: object, expected: int | None) -> None:
    assert count({"n": value}, "n") == expected


@each("case", INTEGERS.values(), INTEGERS)
def test_a_setting_that_is_a_number_has_bounds(case: tuple[Provider, ProviderSetting]) -> None:
    provider, setting = case
    assert setting.minimum is not None
    assert setting.maximum is not None
    for value, is_right in (
        (setting.minimum, True),
        (setting.maximum, True),
        (setting.minimum - 1, False),
        (10**30, False),
    ):
        problems = check_config(provider, {setting.name: value})
        about_it = [problem for problem in problems if problem.loc[-1] == setting.name]
        assert (not about_it) is is_right, value
