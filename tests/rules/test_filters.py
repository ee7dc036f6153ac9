"""The filter grammar: its text, its mistakes with their places, and its exact meaning."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.cases import each

from tillbell.clock import HOUR
from tillbell.rules.filters.clauses import (
    AmountWithin,
    Clause,
    FilterList,
    OneOf,
    StartsWith,
    Within,
)
from tillbell.rules.filters.grammar import (
    FilterError,
    FilterProblem,
    FilterValue,
    Term,
    parse,
    written,
)
from tillbell.rules.filters.meaning import meaning
from tillbell.rules.filters.qualifiers import QUALIFIERS

NOW = 1_796_000_000_000_000
LISTS_OF_ONE_APPLICATION = {
    FilterList.ORDER,
    FilterList.PRODUCT,
    FilterList.CUSTOMER,
    FilterList.SUBSCRIPTION,
    FilterList.SHIPMENT,
}
names = st.from_regex(r"[a-z][a-z_]{0,10}|data\.[a-zA-Z0-9_.é-]{1,20}", fullmatch=True)
texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=12)


@st.composite
def values(draw: st.DrawFn) -> FilterValue:
    text = draw(texts)
    comparison = draw(st.sampled_from(["", "", ">=", ">", "<=", "<"]))
    needs_quotes = not text.isprintable() or any(c.isspace() or c in ',"' for c in text)
    is_literal = "*" in text and (needs_quotes or text[:1] in "<>=" or draw(st.booleans()))
    return FilterValue(text, comparison, is_literal)


terms = st.builds(Term, names, st.lists(values(), min_size=1, max_size=4).map(tuple), st.booleans())


@given(st.lists(terms, max_size=6).map(tuple))
def test_what_is_written_is_read_as_the_same(filter_: tuple[Term, ...]) -> None:
    text = written(filter_)

    assert parse(text) == filter_
    assert written(parse(text)) == text


@given(st.text(max_size=60))
def test_any_text_is_read_or_refused_within_itself(text: str) -> None:
    read, problems = read_or_refused(text)

    assert parse(written(read)) == read
    for term in read:
        start, length = term.place
        assert text[start : start + length].lstrip("-").startswith(term.qualifier)
    for problem in problems:
        start, length = problem.place
        assert 0 <= start <= len(text)
        assert length >= 1


def read_or_refused(text: str) -> tuple[tuple[Term, ...], list[FilterProblem]]:
    try:
        return parse(text), []
    except FilterError as error:
        return (), error.problems


def test_the_places_of_terms_and_values() -> None:
    (first, second) = parse('  -tag:"a b",c   amount:>=100')

    assert first == Term("tag", (FilterValue("a b"), FilterValue("c")), is_negated=True)
    assert (first.place, first.values[1].place) == ((2, 12), (13, 1))
    assert second.values == (FilterValue("100", ">="),)
    assert second.values[0].place == (24, 5)


WRONG = [
    ("paid", 0, 4, "has no qualifier", "type:paid"),
    ("status:failed msg_1", 14, 5, "has no qualifier", "message:msg_1"),
    ("5xx", 0, 3, "has no qualifier", "code:5xx"),
    ("type:", 5, 1, "needs a value", None),
    ("type:a,", 7, 1, "needs a value", None),
    ('type:"a', 5, 2, "never closed", None),
    ('type:"a"b', 8, 1, "must follow", None),
    ('tag:"\\q"', 5, 2, "an escape is", None),
    ("  -stat:failed", 3, 4, "there is no `stat:`", "status"),
    ("state:failed", 0, 5, "there is no `state:`", "status"),
    ("amount:5", 0, 6, "is for conflicts and transactions", None),
    ("status:waiting,faild", 15, 5, "is none of waiting", "failed"),
    ("code:1x", 5, 2, "no status code", None),
    ("code:>=none", 5, 6, "no status code", None),
    ("attempts:many", 9, 4, "no whole number", None),
    ("since:yesterday", 6, 9, "no time", None),
    ("since:1h,2h", 9, 2, "takes one time", None),
    ("type:*.paid", 5, 6, "only at the end", None),
    ("tag:a*", 4, 2, "no wildcard here", None),
    ("tag:>5", 4, 2, "compares numbers", "5"),
    ("data.a..b:1", 0, 9, "a path has", None),
    ("data.a:>x", 7, 2, "needs a number", None),
]


@each("case", WRONG)
def test_a_mistake_is_marked_where_it_is(case: tuple[str, int, int, str, str | None]) -> None:
    text, position, length, words, suggestion = case
    with pytest.raises(FilterError) as caught:
        meaning(parse(text), FilterList.DELIVERY, NOW)

    (problem,) = caught.value.problems
    assert problem.place == (position, length)
    assert words in problem.text
    if suggestion is not None:
        assert problem.suggestion == suggestion


def test_all_mistakes_are_named_at_once() -> None:
    with pytest.raises(FilterError) as caught:
        meaning(parse("stat:x code:9 since:x"), FilterList.DELIVERY, NOW)

    assert [problem.place.start for problem in caught.value.problems] == [0, 12, 20]


def test_what_is_too_long_is_refused() -> None:
    for text in ("x" * 4_001, "tag:a " * 41, "tag:" + ",".join("abcd" * 26)):
        with pytest.raises(FilterError):
            parse(text)


def clauses(text: str, list_: FilterList) -> tuple[Clause, ...]:
    return meaning(parse(text), list_, NOW).clauses


def test_values_are_exact() -> None:
    delivery, money = FilterList.DELIVERY, FilterList.TRANSACTION
    assert clauses("-type:order.paid,stock.*", delivery) == (
        Clause("type", (OneOf(("order.paid",)), StartsWith("stock.")), is_negated=True),
    )
    assert clauses("code:5xx,none,>=400,<300", delivery)[0].matches == (
        Within(500, 599),
        Within(0, 0),
        Within(400, 999),
        Within(1, 299),
    )
    of = "currency:KWD"
    for text, low, high in [
        ("1.5", 1500, 1500),
        (">=1.0001", 1001, 2**63 - 1),
        (">1", 1001, 2**63 - 1),
        ("<=1.0009", 0, 1000),
        ("<1", 0, 999),
        ("<1.0001", 0, 1000),
        ("1.0001", 1, 0),
        (">999999999999999999", 1, 0),
    ]:
        amount = clauses(f"amount:{text} {of}", money)[0]
        assert amount.matches == (AmountWithin(("KWD",), low, high),), text
    assert clauses('status:"On Hold",on_hold', money)[0].matches == (OneOf(("On Hold",)),)


def test_times_narrow_the_list() -> None:
    filter_ = meaning(parse("since:24h -since:1h until:2026-11-30"), FilterList.MESSAGE, NOW)

    assert filter_.after == NOW - 24 * HOUR
    assert filter_.before == min(NOW - HOUR, 1_795_996_800_000_000)
    assert filter_.clauses == ()


def test_every_list_has_times_and_says_what_each_qualifier_is() -> None:
    for list_ in FilterList:
        assert {"since", "until", "id"} <= set(QUALIFIERS[list_])
        assert ("app" in QUALIFIERS[list_]) is (list_ not in LISTS_OF_ONE_APPLICATION)
        assert all(qualifier.text for qualifier in QUALIFIERS[list_].values())
