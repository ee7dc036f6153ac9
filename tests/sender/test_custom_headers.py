"""Headers that owners add to their endpoints."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from tests.cases import each
from tests.sender.hostile_corpus import HostileCase, cases
from tillbell.rules.delivery.headers import HEADERS_MAX, check_custom_headers, is_secret_header

_HEADERS = cases("header")


def _with(expect: str) -> list[HostileCase]:
    return [case for case in _HEADERS if case.expect == expect]


def _id(case: HostileCase) -> str:
    return case.id


@each("case", _with("refused"), ids=_id)
def test_a_header_that_could_change_the_request_is_refused(case: HostileCase) -> None:
    (problem,) = check_custom_headers({case.input["name"]: case.input["value"]})
    assert problem.loc[:2] == ("body", "headers")
    assert problem.type.startswith("header_")


@each("case", _with("secret"), ids=_id)
def test_a_header_that_carries_a_credential_is_accepted_as_secret(case: HostileCase) -> None:
    assert check_custom_headers({case.input["name"]: case.input["value"]}) == []
    assert is_secret_header(case.input["name"])


@each("case", _with("open"), ids=_id)
def test_any_other_header_is_accepted_and_shown(case: HostileCase) -> None:
    assert check_custom_headers({case.input["name"]: case.input["value"]}) == []
    assert not is_secret_header(case.input["name"])


def test_so_many_headers_and_no_more() -> None:
    headers = {f"X-{number}": "a" for number in range(HEADERS_MAX)}
    assert check_custom_headers(headers) == []
    (problem,) = check_custom_headers({**headers, "X-More": "a"})
    assert problem.type == "header_count"


def test_a_name_given_twice_in_another_case_is_refused() -> None:
    (problem,) = check_custom_headers({"X-Shop": "a", "x-shop": "b"})
    assert problem.type == "header_twice"


@given(st.text(max_size=20), st.text(max_size=20))
def test_what_is_accepted_is_one_line_of_ascii(name: str, value: str) -> None:
    if check_custom_headers({name: value}) == []:
        line = f"{name}: {value}"
        assert line.isascii()
        assert line.replace("\t", " ").isprintable()
        assert name.strip() == name != ""
        assert ":" not in name
