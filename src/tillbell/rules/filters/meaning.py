"""What a filter means for a list: its terms as clauses, or problems with their places."""

from __future__ import annotations

import re
from collections.abc import Iterable
from datetime import UTC, datetime
from typing import NamedTuple

from tillbell.clock import DAY, HOUR, MINUTE, SECOND, Micros, from_datetime
from tillbell.model.transactions import AMOUNT_MAX
from tillbell.money import CURRENCIES, exponent
from tillbell.rules.filters.clauses import (
    AmountWithin,
    AtPath,
    Clause,
    FilterList,
    ListFilter,
    Match,
    OneOf,
    StartsWith,
    Within,
)
from tillbell.rules.filters.grammar import (
    PAYLOAD,
    FilterError,
    FilterProblem,
    FilterValue,
    Span,
    Term,
    Terms,
)
from tillbell.rules.filters.qualifiers import (
    QUALIFIERS,
    NameOf,
    Qualifier,
    ValueKind,
    folded_word,
    qualifier_of,
)
from tillbell.rules.nearest import nearest

_NUMBER_MAX = 2**62
_CODE_MAX = 999
_PATH_MAX = 16
_AGES = {"s": SECOND, "m": MINUTE, "h": HOUR, "d": DAY, "w": 7 * DAY}
_AGE = re.compile(r"(\d{1,6})([smhdw])")
_DURATION = re.compile(r"(\d{1,9})(ms|s|m)")
_DURATIONS = {"ms": SECOND // 1000, "s": SECOND, "m": MINUTE}
_DECIMAL = re.compile(r"(\d{1,18})(?:\.(\d{1,30}))?")
_CODE_CLASS = re.compile(r"([1-5])xx", re.IGNORECASE)
_ELSEWHERE = {"state": "status", "outcome": "status", "result": "status", "msg": "message"}


class NamedThings(NamedTuple):
    """Names in a filter that the configuration has to turn into ids."""

    kind: NameOf
    values: tuple[FilterValue, ...]


class _Mistake(Exception):
    """A value cannot be read."""

    def __init__(self, place: Span, text: str, suggestion: str | None = None) -> None:
        super().__init__(text)
        self.problem = FilterProblem(place, text, suggestion)


def meaning(terms: Terms, list_: FilterList, now: Micros) -> ListFilter:
    """Return what a filter asks of a list. `FilterError` with the place of each mistake.

    Values that name configured things are as they were written: see `names_in`.
    """
    problems: list[FilterProblem] = []
    filter_ = ListFilter()
    currencies = _currencies_of(terms)
    for term in terms:
        try:
            qualifier = _known_qualifier(term, list_)
            if qualifier.kind is ValueKind.TIME:
                filter_ = _with_time(filter_, term, list_, now)
            else:
                matches = _matches(term, qualifier, currencies)
                filter_ = filter_.and_(Clause(qualifier.field, matches, term.is_negated))
        except _Mistake as error:
            problems.append(error.problem)
    if problems:
        raise FilterError(problems)
    return filter_


def names_in(terms: Terms, list_: FilterList) -> list[NamedThings]:
    """Return the names of configured things in a filter that has a meaning for the list."""
    qualifiers = [(qualifier_of(list_, term.qualifier), term) for term in terms]
    return [
        NamedThings(qualifier.names, term.values)
        for qualifier, term in qualifiers
        if qualifier is not None and qualifier.names is not None
    ]


def _known_qualifier(term: Term, list_: FilterList) -> Qualifier:
    qualifier = qualifier_of(list_, term.qualifier)
    if qualifier is not None:
        return qualifier
    known = [name for name in QUALIFIERS[list_] if name != PAYLOAD]
    alias = _ELSEWHERE.get(term.qualifier.lower())
    near = alias if alias in known else nearest(term.qualifier, known)
    lists = [other for other, its in QUALIFIERS.items() if term.qualifier in its]
    if lists:
        text = f"`{term.qualifier}:` is for {' and '.join(map(plural, lists))}"
    else:
        text = f"there is no `{term.qualifier[:40]}:`"
    text += f"; {plural(list_)} take {_listed(known)}"
    start = term.place.start + term.is_negated
    raise _Mistake(Span(start, len(term.qualifier)), text, near)


def plural(list_: FilterList) -> str:
    """Name the items of a list.

    >>> plural(FilterList.DELIVERY)
    'deliveries'
    """
    return f"{list_[:-1]}ies" if list_.endswith("y") else f"{list_}s"


def _listed(words: Iterable[str]) -> str:
    return ", ".join(words)


def _matches(term: Term, qualifier: Qualifier, currencies: tuple[str, ...]) -> tuple[Match, ...]:
    matches: list[Match] = []
    words: list[str] = []
    for value in term.values:
        if qualifier.kind in (ValueKind.TEXT, ValueKind.WORD, ValueKind.CURRENCY):
            words += _texts(value, qualifier)
        elif qualifier.kind is ValueKind.PATTERN and not has_wildcard(value):
            words += _plain(value)
        else:
            matches += _ranges(term, value, qualifier, currencies)
    exact: list[Match] = [OneOf(tuple(dict.fromkeys(words)))] if words else []
    return (*exact, *matches)


def _texts(value: FilterValue, qualifier: Qualifier) -> tuple[str, ...]:
    (text,) = _plain(value)
    if qualifier.kind is ValueKind.CURRENCY:
        if text.upper() not in CURRENCIES:
            near = nearest(text.upper(), CURRENCIES)
            raise _Mistake(value.place, f"{text[:12]!r} is no currency; write a code, EUR", near)
        return (text.upper(),)
    if qualifier.kind is ValueKind.TEXT:
        if has_wildcard(value):
            problem = "`*` is no wildcard here; for a star write the value in quotes"
            raise _Mistake(value.place, problem)
        return (text,)
    word = folded_word(qualifier, text)
    if word is None:
        near = nearest(text, qualifier.words)
        problem = f"{text[:40]!r} is none of {_listed(qualifier.words)}"
        raise _Mistake(value.place, problem, near)
    return qualifier.words[word]


def _plain(value: FilterValue) -> tuple[str]:
    if value.comparison:
        problem = f"`{value.comparison}` compares numbers; write the value without it"
        raise _Mistake(value.place, problem, value.text)
    return (value.text,)


def _is_prefix(value: FilterValue) -> bool:
    return value.text.endswith("*") and not value.is_literal


def has_wildcard(value: FilterValue) -> bool:
    """Tell whether a `*` of a value stands for anything."""
    return "*" in value.text and not value.is_literal


def _prefix(value: FilterValue) -> str:
    (text,) = _plain(value)
    if text.find("*") != len(text) - 1:
        problem = "a `*` stands only at the end, as in `order.*`; for a star write quotes"
        raise _Mistake(value.place, problem)
    return text[:-1]


def _ranges(
    term: Term, value: FilterValue, qualifier: Qualifier, currencies: tuple[str, ...]
) -> list[Match]:
    if qualifier.kind is ValueKind.PATTERN:
        return [StartsWith(_prefix(value))]
    if qualifier.kind is ValueKind.AMOUNT:
        return _amounts(value, currencies)
    if qualifier.kind is ValueKind.PAYLOAD:
        return [_at_path(term, value)]
    if qualifier.kind is ValueKind.CODE:
        return [_codes(value)]
    if qualifier.kind is ValueKind.DURATION:
        return [_duration(value)]
    return [_compared(value, _number(value))]


# ── numbers ──────────────────────────────────────────────────────────────────────────────────────


def _number(value: FilterValue) -> int:
    if not re.fullmatch(r"[0-9]{1,18}", value.text):
        raise _Mistake(value.place, f"{value.text[:40]!r} is no whole number, as in `>=3`")
    return int(value.text)


def _compared(value: FilterValue, low: int, high: int | None = None) -> Within:
    """Return the range of numbers that compare so to a number, or to all from `low` to `high`."""
    high = low if high is None else high
    return {
        "": Within(low, high),
        ">=": Within(low, _NUMBER_MAX),
        ">": Within(high + 1, _NUMBER_MAX),
        "<=": Within(0, high),
        "<": Within(0, low - 1),
    }[value.comparison]


def _codes(value: FilterValue) -> Within:
    if value.text.lower() == "none" and not value.comparison:
        return Within(0, 0)
    if class_ := _CODE_CLASS.fullmatch(value.text):
        first = int(class_[1]) * 100
        codes = _compared(value, first, first + 99)
    elif re.fullmatch(r"[1-9]\d\d", value.text):
        codes = _compared(value, int(value.text))
    else:
        problem = f"{value.text[:40]!r} is no status code; write 503, 5xx, none or >=500"
        raise _Mistake(value.place, problem)
    return Within(max(codes.low, 1), min(codes.high, _CODE_MAX))  # 0 is no answer


def _duration(value: FilterValue) -> Within:
    match = _DURATION.fullmatch(value.text)
    if match is None:
        problem = f"{value.text[:40]!r} is no duration; write >=500ms, <2s or >1m"
        raise _Mistake(value.place, problem)
    return _compared(value, int(match[1]) * _DURATIONS[match[2]])


def _currencies_of(terms: Terms) -> tuple[str, ...]:
    """Return the currencies that a filter is limited to; all if it is not."""
    named: set[str] = set(CURRENCIES)
    for term in terms:
        if term.qualifier == "currency" and not term.is_negated:
            named &= {value.text.upper() for value in term.values}
    return tuple(sorted(named))


def _amounts(value: FilterValue, currencies: tuple[str, ...]) -> list[Match]:
    """Return the amounts in minor units that compare so, apart for each number of digits."""
    match = _DECIMAL.fullmatch(value.text)
    if match is None:
        problem = f"{value.text[:40]!r} is no amount; write 149.99, >=100 or <5"
        raise _Mistake(value.place, problem)
    fraction = match[2] or ""
    units, scale = int(match[1] + fraction), len(fraction)
    by_digits: dict[int, list[str]] = {}
    for currency in currencies:
        by_digits.setdefault(exponent(currency), []).append(currency)
    return [
        AmountWithin(tuple(codes), *_minor_range(value.comparison, units * 10**digits, 10**scale))
        for digits, codes in sorted(by_digits.items())
    ] or [AmountWithin((), 1, 0)]


def _minor_range(comparison: str, units: int, scale: int) -> tuple[int, int]:
    """Return the whole numbers that compare so to `units / scale`, which may lie between two."""
    below, above = units // scale, -(-units // scale)
    low, high = {
        "": (above, below),
        ">=": (above, AMOUNT_MAX),
        ">": (below + 1, AMOUNT_MAX),
        "<=": (0, below),
        "<": (0, above - 1),
    }[comparison]
    return (low, min(high, AMOUNT_MAX)) if low <= min(high, AMOUNT_MAX) else (1, 0)


# ── payloads ─────────────────────────────────────────────────────────────────────────────────────


def _at_path(term: Term, value: FilterValue) -> AtPath:
    path = tuple(term.qualifier.removeprefix(PAYLOAD).split("."))
    if len(path) > _PATH_MAX or not all(path):
        start = term.place.start + term.is_negated
        problem = f"a path has 1 to {_PATH_MAX} names with points between them"
        raise _Mistake(Span(start, len(term.qualifier)), problem)
    if value.comparison and not re.fullmatch(r"-?\d{1,18}(\.\d{1,30})?", value.text):
        raise _Mistake(value.place, f"`{value.comparison}` needs a number, as in `>=100.50`")
    if _is_prefix(value):
        return AtPath(path, "", _prefix(value), is_prefix=True)
    return AtPath(path, value.comparison, value.text)


# ── times ────────────────────────────────────────────────────────────────────────────────────────


def _with_time(filter_: ListFilter, term: Term, list_: FilterList, now: Micros) -> ListFilter:
    """Return the filter within a time as well. Of an attempt it is that of its start."""
    if len(term.values) > 1:
        raise _Mistake(term.values[1].place, f"`{term.qualifier}:` takes one time")
    at = instant(term.values[0], now)
    is_since = (term.qualifier == "since") is not term.is_negated
    if list_ is FilterList.ATTEMPT:
        window = Within(at, _NUMBER_MAX) if is_since else Within(0, at - 1)
        filter_ = filter_.and_(Clause("started", (window,)))
        # An attempt is never older than its message.
        return filter_ if is_since else _before(filter_, at)
    return _after(filter_, at) if is_since else _before(filter_, at)


def _after(filter_: ListFilter, at: Micros) -> ListFilter:
    return filter_._replace(after=at if filter_.after is None else max(filter_.after, at))


def _before(filter_: ListFilter, at: Micros) -> ListFilter:
    return filter_._replace(before=at if filter_.before is None else min(filter_.before, at))


def instant(value: FilterValue, now: Micros) -> Micros:
    """Return the instant that a value names: so long ago, or a date with or without a time."""
    (text,) = _plain(value)
    if age := _AGE.fullmatch(text):
        return max(0, now - int(age[1]) * _AGES[age[2]])
    try:
        at = datetime.fromisoformat(text)
        instant_ = from_datetime(at if at.tzinfo else at.replace(tzinfo=UTC))
    except (ValueError, OverflowError):
        instant_ = -1
    if not 0 <= instant_ < _NUMBER_MAX:
        problem = f"{text[:40]!r} is no time; write 30m, 24h, 7d, 2026-11-30 or 2026-11-30T12:00Z"
        raise _Mistake(value.place, problem)
    return instant_
