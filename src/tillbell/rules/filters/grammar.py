"""The text of a filter, and back.

    type:order.* status:failed code:5xx,none amount:>=100 data.customer.email:"a b@x.y" -tag:test

A filter is a list of **terms**, and all of them must hold. A term is a qualifier, a colon and one
value or several: with a comma between them, any of them is enough. `-` in front negates the term. A
value that holds a space, a comma or a quotation mark stands in quotation marks, with `\\"`, `\\\\`,
`\\n`, `\\t` and `\\u00e9` as escapes. A quoted `*` is a star, and no wildcard.

What a qualifier means is decided in `qualifiers.py`.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import NamedTuple

TEXT_MAX = 4_000  # characters
TERMS_MAX = 40
VALUES_MAX = 100  # of one term
PAYLOAD = "data."  # begins a qualifier that is a path into the payload

_NAME = re.compile(r"-?(?:data\.[^\s:,\"]+|[A-Za-z][A-Za-z_]*)(?=:)")
_COMPARISON = re.compile(r">=|<=|>|<")
_BARE = re.compile(r"[^\s,\"]+")
_QUOTED = re.compile(r'"(?:[^"\\]|\\.)*"', re.DOTALL)
_ESCAPE = re.compile(r"\\(u[0-9a-fA-F]{4}|.)", re.DOTALL)
_LETTERS = {"n": "\n", "t": "\t", '"': '"', "\\": "\\"}
_NEEDS_QUOTES = re.compile(r'^$|^[<>=]|[\s,"]')


class Span(NamedTuple):
    """A place in the text of a filter, in characters."""

    start: int
    length: int


NOWHERE = Span(0, 0)


class FilterProblem(NamedTuple):
    """What is wrong with a filter, where, and what to do about it."""

    place: Span
    text: str
    suggestion: str | None = None  # the words that were probably meant


class FilterError(ValueError):
    """A filter cannot be understood. `problems` says where."""

    def __init__(self, problems: list[FilterProblem]) -> None:
        super().__init__("; ".join(problem.text for problem in problems))
        self.problems = problems


@dataclass(frozen=True, slots=True)
class FilterValue:
    """One value of a term. `place` does not count when two are compared."""

    text: str
    comparison: str = ""  # ">=", ">", "<=", "<"
    is_literal: bool = False  # it was quoted, and its `*` is no wildcard
    place: Span = field(default=NOWHERE, compare=False)


@dataclass(frozen=True, slots=True)
class Term:
    """A qualifier with values, any of which is enough."""

    qualifier: str
    values: tuple[FilterValue, ...]
    is_negated: bool = False
    place: Span = field(default=NOWHERE, compare=False)


Terms = tuple[Term, ...]


def parse(text: str) -> Terms:
    """Read a filter. `FilterError` with every place at which it cannot be read."""
    if len(text) > TEXT_MAX:
        place = Span(TEXT_MAX, len(text) - TEXT_MAX)
        raise FilterError([FilterProblem(place, f"a filter has at most {TEXT_MAX} characters")])
    reader = _FilterReader(text)
    terms = tuple(reader.terms())
    if len(terms) > TERMS_MAX:
        extra = terms[TERMS_MAX].place
        reader.problems.append(FilterProblem(extra, f"a filter has at most {TERMS_MAX} terms"))
    if reader.problems:
        raise FilterError(reader.problems)
    return terms


def written(terms: Terms) -> str:
    """Write a filter in its one canonical form, which `parse` reads as the same terms.

    >>> written(parse('  type:order.*   -tag:"a b","c" '))
    'type:order.* -tag:"a b",c'
    """
    return " ".join(map(written_term, terms))


def written_term(term: Term) -> str:
    """Write one term."""
    values = ",".join(value.comparison + written_value(value) for value in term.values)
    return f"{'-' if term.is_negated else ''}{term.qualifier}:{values}"


def written_value(value: FilterValue) -> str:
    """Write the text of a value, in quotation marks if it needs them."""
    if value.is_literal or _NEEDS_QUOTES.search(value.text) or not value.text.isprintable():
        return '"' + "".join(map(_escaped, value.text)) + '"'
    return value.text


def _escaped(letter: str) -> str:
    if letter in '"\\':
        return "\\" + letter
    return letter if ord(letter) >= 32 and ord(letter) != 127 else f"\\u{ord(letter):04x}"


class _FilterReader:
    """Reads terms from left to right. After a problem it goes on behind the next space."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._at = 0
        self.problems: list[FilterProblem] = []

    def terms(self) -> Iterator[Term]:
        """Read all terms that can be read."""
        while self._skip_spaces():
            term = self._term()
            if term is not None:
                yield term

    def _skip_spaces(self) -> bool:
        while self._at < len(self._text) and self._text[self._at].isspace():
            self._at += 1
        return self._at < len(self._text)

    def _term(self) -> Term | None:
        start = self._at
        name = _NAME.match(self._text, start)
        if name is None:
            self._refuse_word(start)
            return None
        self._at = name.end() + 1
        values = self._values(name[0])
        if values is None:
            return None
        place = Span(start, self._at - start)
        return Term(name[0].lstrip("-"), values, name[0].startswith("-"), place)

    def _values(self, name: str) -> tuple[FilterValue, ...] | None:
        values = []
        while True:
            value = self._value()
            if value is None:
                text = f"`{name}:` needs a value; one with spaces or commas stands in quotes"
                self._refuse(self._at, text)
                return None
            values.append(value)
            if self._text[self._at : self._at + 1] != ",":
                break
            self._at += 1
        if self._at < len(self._text) and not self._text[self._at].isspace():
            self._refuse(self._at, "a space or a comma must follow a quoted value")
            return None
        if len(values) > VALUES_MAX:
            self._refuse(self._at, f"a term has at most {VALUES_MAX} values")
            return None
        return tuple(values)

    def _value(self) -> FilterValue | None:
        start = self._at
        comparison = _COMPARISON.match(self._text, start)
        text_at = comparison.end() if comparison else start
        sign = comparison[0] if comparison else ""
        if quoted := _QUOTED.match(self._text, text_at):
            text = self._unescaped(quoted)
            self._at = quoted.end()
            is_literal = "*" in text
            return FilterValue(text, sign, is_literal, Span(start, self._at - start))
        bare = _BARE.match(self._text, text_at)
        if bare is None:
            return None
        self._at = bare.end()
        return FilterValue(bare[0], sign, place=Span(start, self._at - start))

    def _unescaped(self, quoted: re.Match[str]) -> str:
        def letter(escape: re.Match[str]) -> str:
            name = escape[1]
            code = int(name[1:], 16) if len(name) == 5 else None
            if name in _LETTERS:
                return _LETTERS[name]
            if code is not None and not 0xD800 <= code < 0xE000:
                return chr(code)
            place = Span(quoted.start() + 1 + escape.start(), len(escape[0]))
            text = 'an escape is one of \\" \\\\ \\n \\t and \\u with four hex digits'
            self.problems.append(FilterProblem(place, text))
            return ""

        return _ESCAPE.sub(letter, quoted[0][1:-1])

    def _refuse_word(self, start: int) -> None:
        end = self._end_of_word(start)
        word = self._text[start:end]
        suggestion = _with_qualifier(word)
        text = f"{word[:60]!r} has no qualifier; write what it is, as in `{suggestion}`"
        self.problems.append(FilterProblem(Span(start, end - start), text, suggestion))
        self._at = end

    def _refuse(self, start: int, text: str) -> None:
        end = self._end_of_word(start)
        if self._text[start : start + 1] == '"':
            text = "the quotation mark is never closed"
            end = len(self._text)
        self.problems.append(FilterProblem(Span(start, max(1, end - start)), text))
        self._at = end

    def _end_of_word(self, start: int) -> int:
        end = start
        while end < len(self._text) and not self._text[end].isspace():
            end += 1
        return end


_ID_QUALIFIERS = {
    "msg": "message",
    "dlv": "delivery",
    "ep": "endpoint",
    "src": "source",
    "trx": "transaction",
    "cbk": "callback",
    "app": "app",
}


def _with_qualifier(word: str) -> str:
    """Guess what a word without a qualifier was meant as."""
    bare = word.lstrip("-").strip(':"') or "order.*"
    prefix = bare.partition("_")[0]
    if prefix in _ID_QUALIFIERS:
        return f"{_ID_QUALIFIERS[prefix]}:{bare[:60]}"
    if "@" in bare:
        return f"data.email:{bare[:60]}"
    if re.fullmatch(r"[1-5](xx|\d\d)", bare):
        return f"code:{bare}"
    return f"order:{bare}" if bare.isdigit() else f"type:{bare[:60]}"
