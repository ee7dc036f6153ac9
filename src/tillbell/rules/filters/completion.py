"""What may stand at a place of a filter that is being written."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import NamedTuple

from tillbell.money import CURRENCIES
from tillbell.rules.filters.clauses import FilterList
from tillbell.rules.filters.grammar import FilterValue, Span, written_value
from tillbell.rules.filters.qualifiers import QUALIFIERS, Qualifier, ValueKind, qualifier_of

ITEMS_MAX = 20
_WORD = re.compile(r'(?:[^\s"]|"(?:[^"\\]|\\.)*(?:"|$))*', re.DOTALL)
_TERM = re.compile(r"(-?)(data\.[^\s:,\"]*|[A-Za-z_]*)(:?)")
_EXAMPLES = {
    ValueKind.TIME: ("15m", "1h", "24h", "7d", "30d"),
    ValueKind.CODE: ("2xx", "4xx", "5xx", "none", ">=400"),
    ValueKind.DURATION: (">=500ms", ">=5s"),
    ValueKind.NUMBER: ("1", ">=2"),
    ValueKind.AMOUNT: (">=100",),
}


class Typed(NamedTuple):
    """What stands at the place: a part of a qualifier, or of one of its values."""

    name: str
    value: str | None  # None: still in the name
    place: Span  # of the name or value, up to the cursor


class CompletionItem(NamedTuple):
    """A text that may stand there."""

    text: str
    detail: str


def typed_at(text: str, at: int) -> Typed:
    """Return what stands before a place of a filter."""
    start = 0
    for word in _WORD.finditer(text[:at]):
        if word.end() == len(text[:at]):
            start = word.start()
            break
    part = text[start:at]
    term = _TERM.match(part)
    assert term is not None, "the pattern matches every text"
    if not term[3]:
        begin = start + len(term[1])
        return Typed(term[2], None, Span(begin, at - begin))
    begin = term.end() + _last_comma(part[term.end() :])
    return Typed(term[2], part[begin:], Span(start + begin, at - start - begin))


def _last_comma(values: str) -> int:
    """Return where the last value begins; a comma within quotes does not count."""
    is_quoted, begin = False, 0
    for number, letter in enumerate(values):
        if letter == '"':
            is_quoted = not is_quoted
        elif letter == "," and not is_quoted:
            begin = number + 1
    return begin


def qualifier_items(list_: FilterList, typed: str) -> list[CompletionItem]:
    """Return the qualifiers of a list that begin with what is typed."""
    return [
        CompletionItem(name if name.endswith(".") else f"{name}:", qualifier.text)
        for name, qualifier in QUALIFIERS[list_].items()
        if name.startswith(typed.lower())
    ][:ITEMS_MAX]


def value_items(qualifier: Qualifier, typed: str, known: Iterable[str]) -> list[CompletionItem]:
    """Return values that begin with what is typed: of `known`, and those of a closed list."""
    values = dict.fromkeys([*qualifier.words, *_EXAMPLES.get(qualifier.kind, ()), *known])
    if qualifier.kind is ValueKind.CURRENCY:
        values = dict.fromkeys(sorted(CURRENCIES))
    prefix = typed.lstrip('"').lower()
    fitting = [value for value in values if value.lower().startswith(prefix)]
    is_operator = qualifier.kind in _EXAMPLES
    return [
        CompletionItem(value if is_operator else written_value(FilterValue(value)), "")
        for value in fitting[:ITEMS_MAX]
    ]


def qualifier_typed(list_: FilterList, typed: Typed) -> Qualifier | None:
    """Return the qualifier whose value is being typed; None for one that the list lacks."""
    return qualifier_of(list_, typed.name)
