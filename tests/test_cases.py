"""The loop over cases: it tries all of them and names what fails."""

from __future__ import annotations

import pytest

from tests.cases import each


def test_every_case_is_tried_and_every_failure_is_named() -> None:
    tried = []

    @each("number", range(5), ids=lambda number: f"case-{number}")
    def check(number: int) -> None:
        tried.append(number)
        assert number % 2 == 0

    with pytest.raises(AssertionError) as failed:
        check()
    assert tried == [0, 1, 2, 3, 4]
    lines = str(failed.value).splitlines()
    assert lines[0] == "2 of 5 cases failed:"
    assert [line for line in lines if "case-" in line] == ["  2. case-1", "  4. case-3"]
    assert isinstance(failed.value.__cause__, AssertionError)


def test_two_lists_give_every_pair() -> None:
    pairs = set()

    @each("first", "ab", ids=["A", "B"])
    @each(("second", "third"), [(1, 2), (3, 4)])
    def check(first: str, second: int, third: int) -> None:
        pairs.add((first, second, third))
        assert (first, second) != ("b", 3)

    with pytest.raises(AssertionError, match=r"1 of 4 cases failed:\n  4\. 3, 4 / B\n"):
        check()
    assert pairs == {("a", 1, 2), ("a", 3, 4), ("b", 1, 2), ("b", 3, 4)}


def test_no_case_is_a_failure() -> None:
    with pytest.raises(ValueError, match="no cases of first, second"):
        each("first, second", [])


def test_a_name_for_each_case_or_for_none() -> None:
    with pytest.raises(ValueError, match="1 names for 2 cases of first"):
        each("first", [1, 2], ids=["only"])


@pytest.mark.parametrize("end", [pytest.fail, pytest.skip])
def test_whatever_ends_a_case_early_is_its_failure(end: object) -> None:
    @each("number", [1, 2])
    def check(number: int) -> None:
        end("early")  # type: ignore[operator]

    with pytest.raises(AssertionError, match="2 of 2 cases failed"):
        check()


def test_an_asynchronous_test_is_not_looped_over() -> None:
    async def check(number: int) -> None: ...

    with pytest.raises(TypeError):
        each("number", [1])(check)  # type: ignore[arg-type]


@each("number", [1, 2])
def test_fixtures_stay_those_of_the_test(clock: object, number: int) -> None:
    assert clock is not None
    assert number in (1, 2)
