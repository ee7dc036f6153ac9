"""Payload filters: conditions on the payload, by which an endpoint says which messages it wants.

A filter is a JSON object in the shape of the payload, as Outpost and Hookdeck have it:
`{"currency": "EUR", "amount": {"$gte": 100}, "items": {"productId": {"$in": ["a", "b"]}}}`.

- All members of an object have to be met. A plain value stands for `$eq`; a list stands for all of
  its values. `$and`, `$or` and `$not` stand wherever a condition may stand.
- A list in the payload meets a condition if one of its items does. `$neq`, `$nin` and `$not` are
  met if `$eq`, `$in` and the condition are not, so also where there is nothing.
- Numbers are compared exactly. A text that holds a number, as amounts are written, is compared
  with a number as one; two texts with date, time and offset are compared as instants.

There are no regular expressions, and a filter looks at a limited number of values, so that no
filter and no payload keeps the publisher waiting.
"""

from __future__ import annotations

import json
import operator
from collections.abc import Callable, Iterator, Mapping
from datetime import datetime
from decimal import Decimal
from typing import Any, Final, NamedTuple

from tillbell.errors import Problem
from tillbell.rules.exact_json import NOT_JSON, decoded_exactly, instant_of, number_of
from tillbell.rules.nearest import hint, nearest

CONDITIONS_MAX = 100  # values and operators of a filter
DEPTH_MAX = 12
CHOICES_MAX = 500  # values of one `$in`
TEXT_MAX = 1_024  # characters of a name or text
LOOKS_MAX = 50_000  # values of one payload that are looked at
_WHOLE_DIGITS_MAX = 18
_EXACT_DIGITS = 15  # of a fraction; readers of JSON keep no more for sure
_SHOWN_MAX = 80  # characters of a value in a sentence
_PROBLEMS_MAX = 20
_NEAR = 0.7  # how similar a wrong operator is to the one that was meant

_MISSING: Final = object()
_Place = tuple[str | int, ...]

_ORDERS: Mapping[str, tuple[Callable[[Any, Any], bool], str]] = {
    "$gt": (operator.gt, "is more than"),
    "$gte": (operator.ge, "is at least"),
    "$lt": (operator.lt, "is less than"),
    "$lte": (operator.le, "is at most"),
}
_EDGES: Mapping[str, tuple[Callable[[str, str], bool], str]] = {
    "$startsWith": (str.startswith, "begins with"),
    "$endsWith": (str.endswith, "ends with"),
}
_PLAIN = {
    "$eq": ("is", "is not"),
    "$in": ("is one of", "is none of"),
    "$contains": ("contains", "does not contain"),
}
_LISTS = ("$and", "$or")
OPERATORS = (
    *("$eq", "$neq", "$in", "$nin", *_ORDERS, "$exists", *_EDGES, "$contains"),
    *(*_LISTS, "$not"),
)
_ALIASES = {"$exist": "$exists", "$ne": "$neq"}  # as Hookdeck and MongoDB write them


class _ValueTest(NamedTuple):
    """One operator with its operand, for a value or for one item of a list."""

    name: str
    operand: Any

    def words(self) -> str:
        """Return what it asks, to stand behind the name of a member."""
        if self.name in _ORDERS:
            return f"{_ORDERS[self.name][1]} {_shown(self.operand)}"
        if self.name in _EDGES:
            return f"{_EDGES[self.name][1]} {_shown(self.operand)}"
        if self.name == "$in":
            return f"{_PLAIN['$in'][0]} " + ", ".join(_shown(each) for each in self.operand)
        return f"{_PLAIN[self.name][0]} {_shown(self.operand)}"

    def negated(self) -> str | None:
        """Return the words for a test that is not met; None: there are none of its own."""
        if self.name not in _PLAIN:
            return None
        usual, negated = _PLAIN[self.name]
        return self.words().replace(usual, negated, 1)

    def holds(self, value: Any) -> bool:
        """Tell whether a value meets it; of a list, the list as a whole."""
        operand = self.operand
        if self.name in _ORDERS:
            return _in_order(value, operand, _ORDERS[self.name][0])
        if self.name in _EDGES:
            return isinstance(value, str) and _EDGES[self.name][0](value, operand)
        if self.name == "$contains":
            if isinstance(value, str):
                return isinstance(operand, str) and operand in value
            return isinstance(value, list) and any(_equal(item, operand) for item in value)
        if self.name == "$in":
            return any(_equal(value, each) for each in operand)
        return _equal(value, operand)


class _AtValue(NamedTuple):
    """Tests that a value, or one and the same item of a list, meets all."""

    tests: tuple[_ValueTest, ...]


class _Exists(NamedTuple):
    """Whether there is a value; null is one."""

    is_there: bool


class _AtMember(NamedTuple):
    """A condition on a member of an object, or of an object in a list."""

    name: str
    condition: _Condition


class _AllMet(NamedTuple):
    """Conditions that are all met."""

    conditions: tuple[_Condition, ...]


class _OneMet(NamedTuple):
    """Conditions of which one is met."""

    conditions: tuple[_Condition, ...]


class _NotMet(NamedTuple):
    """A condition that is not met."""

    condition: _Condition


_Condition = _AtValue | _Exists | _AtMember | _AllMet | _OneMet | _NotMet


class PayloadFilter(NamedTuple):
    """A compiled filter."""

    condition: _AllMet

    def passes(self, document: Any) -> bool:
        """Tell whether a payload meets the filter; `document` is decoded by `decoded_exactly`."""
        if document is NOT_JSON:
            return False
        try:
            return _FilterLooks().meets(document, self.condition)
        except _TooManyLooksError:
            return False

    def mismatch(self, payload: bytes) -> str | None:
        """Return in words the first condition that a payload does not meet; None: it meets all."""
        document = decoded_exactly(payload)
        if document is NOT_JSON:
            return "The endpoint's filter asks for members, and the payload is no JSON."
        try:
            return _explained(document, self.condition)
        except _TooManyLooksError:
            return (
                f"The endpoint's filter looks at {LOOKS_MAX:,} values at most, and this payload"
                " has more: its lists are too long."
            )


# ── how a payload meets it ───────────────────────────────────────────────────────────────────────


class _TooManyLooksError(Exception):
    """The payload has more values than a filter looks at."""


class _FilterLooks:
    """Compares a payload with conditions, and counts the values that it looks at."""

    def __init__(self) -> None:
        self._count = 0

    def meets(self, value: Any, condition: _Condition) -> bool:
        """Tell whether a value, or `_MISSING`, meets a condition."""
        self._count += 1
        if self._count > LOOKS_MAX:
            raise _TooManyLooksError
        match condition:
            case _AtMember(name, inner):
                return self._member_meets(value, name, inner)
            case _AtValue(tests):
                return value is not _MISSING and self._value_meets(value, tests)
            case _AllMet(conditions):
                return all(self.meets(value, each) for each in conditions)
            case _OneMet(conditions):
                return any(self.meets(value, each) for each in conditions)
            case _NotMet(inner):
                return not self.meets(value, inner)
            case _Exists(is_there):
                return (value is not _MISSING) is is_there

    def _member_meets(self, value: Any, name: str, condition: _Condition) -> bool:
        if isinstance(value, list) and value:
            return any(self.meets(item, _AtMember(name, condition)) for item in value)
        member = value.get(name, _MISSING) if isinstance(value, dict) else _MISSING
        return self.meets(member, condition)

    def _value_meets(self, value: Any, tests: tuple[_ValueTest, ...]) -> bool:
        candidates = [value, *value] if isinstance(value, list) else [value]
        self._count += len(candidates)
        if self._count > LOOKS_MAX:
            raise _TooManyLooksError
        return any(all(test.holds(each) for test in tests) for each in candidates)


def _equal(value: Any, operand: Any) -> bool:
    if isinstance(value, list):
        has_length = isinstance(operand, list) and len(value) == len(operand)
        return has_length and all(map(_equal, value, operand))
    if isinstance(value, dict):
        has_names = isinstance(operand, dict) and value.keys() == operand.keys()
        return has_names and all(_equal(value[name], operand[name]) for name in value)
    if isinstance(value, str) and isinstance(operand, str):
        return value == operand
    if value is None or operand is None or isinstance(value, bool) or isinstance(operand, bool):
        return value is operand
    number = number_of(value)
    return number is not None and number == number_of(operand)


def _in_order(value: Any, operand: Any, compares: Callable[[Any, Any], bool]) -> bool:
    number, other = number_of(value), number_of(operand)
    if number is not None and other is not None:
        return compares(number, other)
    if not isinstance(value, str) or not isinstance(operand, str):
        return False
    at, other_at = instant_of(value), instant_of(operand)
    if isinstance(at, datetime) and isinstance(other_at, datetime):
        return compares(at, other_at)
    return compares(value, operand)


# ── what is not met, in words ────────────────────────────────────────────────────────────────────


def _explained(document: Any, condition: _AllMet) -> str | None:
    if _FilterLooks().meets(document, condition):
        return None
    path, value, failed = _first_failed(document, condition, ())
    asked = f"The endpoint's filter asks that {_words(failed, path)}"
    if isinstance(failed, _OneMet):
        return f"{asked}; none of that is so."
    if isinstance(failed, _Exists):
        return f"{asked}, and there is {'none' if failed.is_there else 'one'}."
    if value is _MISSING:
        return f"{asked}, and there is no such member."
    if isinstance(failed, _AtMember):
        return f"{asked}, and no item of the list is so."
    return f"{asked}, and it is {_shown(value)}."


def _first_failed(
    value: Any, condition: _Condition, path: tuple[str, ...]
) -> tuple[tuple[str, ...], Any, _Condition]:
    """Return where a payload does not meet a condition that it fails: path, value, condition."""
    if isinstance(condition, _AllMet):
        failed = next(
            each for each in condition.conditions if not _FilterLooks().meets(value, each)
        )
        return _first_failed(value, failed, path)
    if isinstance(condition, _AtMember) and not (isinstance(value, list) and value):
        member = value.get(condition.name, _MISSING) if isinstance(value, dict) else _MISSING
        return _first_failed(member, condition.condition, (*path, condition.name))
    return path, value, condition


def _words(condition: _Condition, path: tuple[str, ...]) -> str:
    match condition:
        case _AtMember(name, inner):
            return _words(inner, (*path, name))
        case _AtValue(tests):
            return f"{_named(path)} " + " and ".join(test.words() for test in tests)
        case _Exists(is_there):
            return f"there is {'a' if is_there else 'no'} {_named(path)}"
        case _AllMet(conditions):
            return " and ".join(_words(each, path) for each in conditions)
        case _OneMet(conditions):
            return ", or ".join(_words(each, path) for each in conditions)
        case _NotMet(_AtValue((test,))) if (text := test.negated()) is not None:
            return f"{_named(path)} {text}"
        case _NotMet(inner):
            return f"it is not so that {_words(inner, path)}"


def _named(path: tuple[str, ...]) -> str:
    return f"`{'.'.join(path)}`" if path else "the payload"


def _shown(value: Any) -> str:
    text = _written(value)
    return text if len(text) <= _SHOWN_MAX else text[:_SHOWN_MAX] + "…"


def _written(value: Any) -> str:
    """Return JSON with the digits of its numbers as they were."""
    if isinstance(value, dict):
        return "{" + ",".join(f"{_written(k)}:{_written(v)}" for k, v in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ",".join(map(_written, value)) + "]"
    return str(value) if isinstance(value, Decimal) else json.dumps(value, ensure_ascii=False)


# ── how it is written ────────────────────────────────────────────────────────────────────────────


class FilterProblems(NamedTuple):
    """What is wrong with a filter, with the path of each problem in it."""

    problems: list[Problem]


class _ConditionReader:
    """Reads a filter, and notes what is wrong with it."""

    def __init__(self, place: _Place) -> None:
        self.problems: list[Problem] = []
        self.conditions = 0
        self._place = place

    def note(self, path: _Place, text: str) -> None:
        self.problems.append(Problem((*self._place, *path), text, "payload_filter"))

    def object(self, members: Mapping[str, Any], path: _Place) -> _AllMet:
        """Read an object of members and of the operators that combine conditions."""
        return _AllMet(tuple(self._members(members, path)))

    def value(self, value: Any, path: _Place) -> _Condition:
        """Read what stands for a member: a plain value, a list, or an object."""
        if isinstance(value, list):
            if not value:
                self.note(path, "an empty list asks for nothing; write `$eq` to compare with one")
            return _AllMet(tuple(self.value(each, (*path, at)) for at, each in enumerate(value)))
        if not isinstance(value, dict):
            return _AtValue((_ValueTest("$eq", self.operand(value, path)),))
        if not value:
            self.note(path, "an empty object asks for nothing; write `$exists` for any value")
        if any(name.startswith("$") and name not in _COMBINING for name in value):
            return self._operators(value, path)
        return self.object(value, path)

    def operand(self, value: Any, path: _Place) -> Any:
        """Read a value to compare with."""
        self.conditions += 1
        if isinstance(value, dict | list):
            pairs = value.items() if isinstance(value, dict) else enumerate(value)
            read = {key: self._within(each, (*path, key)) for key, each in pairs}
            return read if isinstance(value, dict) else list(read.values())
        return self._plain(value, path)

    def _within(self, value: Any, path: _Place) -> Any:
        return self.operand(value, path) if self._is_within(path) else None

    def _plain(self, value: Any, path: _Place) -> Any:
        if isinstance(value, str) and len(value) > TEXT_MAX:
            self.note(path, f"must have at most {TEXT_MAX:,} characters")
        if isinstance(value, bool) or not isinstance(value, int | float):
            return value
        number = Decimal(repr(value))
        digits = len(number.as_tuple().digits)
        if digits > (_WHOLE_DIGITS_MAX if isinstance(value, int) else _EXACT_DIGITS):
            self.note(path, 'has too many digits to be exact; write it as a text: "0.123"')
        return number

    def _members(self, members: Mapping[str, Any], path: _Place) -> Iterator[_Condition]:
        for name, value in members.items():
            place = (*path, name)
            if not self._is_within(place):
                return
            if name in _COMBINING:
                yield self._combined(name, value, place)
            elif name.startswith("$"):
                self._note_operator(name, place)
            else:
                if len(name) > TEXT_MAX:
                    self.note(path, f"a name must have at most {TEXT_MAX:,} characters")
                yield _AtMember(name, self.value(value, place))

    def _is_within(self, path: _Place) -> bool:
        if len(path) == DEPTH_MAX + 1:
            self.note(path, f"is nested deeper than {DEPTH_MAX} levels")
        return len(path) <= DEPTH_MAX

    def _note_operator(self, name: str, path: _Place) -> None:
        if name in OPERATORS or name in _ALIASES:
            self.note(path, 'compares a member, so it stands within one: {"amount": {"$gte": 5}}')
        else:
            self.note(path, _unknown(name))

    def _combined(self, name: str, value: Any, path: _Place) -> _Condition:
        if name == "$not":
            return _NotMet(self.value(value, path))
        if not isinstance(value, list) or not value:
            self.note(path, "must be a list of conditions")
            return _AllMet(())
        conditions = tuple(self.value(each, (*path, at)) for at, each in enumerate(value))
        return _OneMet(conditions) if name == "$or" else _AllMet(conditions)

    def _operators(self, operators: Mapping[str, Any], path: _Place) -> _Condition:
        tests: list[_ValueTest] = []
        others: list[_Condition] = []
        for written, operand in operators.items():
            name, place = _ALIASES.get(written, written), (*path, written)
            if name in _COMBINING:
                others.append(self._combined(name, operand, place))
            elif name == "$exists":
                others.append(_Exists(self._flag(operand, place)))
            elif name in _NEGATED:
                others.append(_NotMet(_AtValue((self._test(_NEGATED[name], operand, place),))))
            elif name in OPERATORS:
                tests.append(self._test(name, operand, place))
            elif name.startswith("$"):
                self.note(place, _unknown(name))
            else:
                self.note(place, "members and operators may not stand in one object; use `$and`")
        return _AllMet((*((_AtValue(tuple(tests)),) if tests else ()), *others))

    def _flag(self, operand: Any, path: _Place) -> bool:
        if not isinstance(operand, bool):
            self.note(path, "must be true or false")
        return operand is True

    def _test(self, name: str, operand: Any, path: _Place) -> _ValueTest:
        if name == "$in" and not isinstance(operand, list):
            name = "$contains"  # as Hookdeck has it: a text in a text, or a value in a list
            if not isinstance(operand, str):
                self.note(path, "must be a list of values, or a text to search for")
        elif name == "$in" and not 0 < len(operand) <= CHOICES_MAX:
            self.note(path, f"must hold 1 to {CHOICES_MAX} values")
        elif name == "$in":
            self.conditions -= len(operand)  # they are one condition
        elif name in _ORDERS and (
            isinstance(operand, bool) or not isinstance(operand, str | int | float)
        ):
            self.note(path, "must be a number or a text")
        elif name in _EDGES and not isinstance(operand, str):
            self.note(path, "must be a text")
        return _ValueTest(name, self.operand(operand, path))


_COMBINING = (*_LISTS, "$not")
_NEGATED = {"$neq": "$eq", "$nin": "$in"}


def _unknown(name: str) -> str:
    near = nearest(name, OPERATORS, cutoff=_NEAR)
    rest = hint(near) if near else f"; there are {', '.join(OPERATORS)}"
    return f"there is no operator {name[:64]!r}{rest}"


def read_payload_filter(
    members: Mapping[str, Any], place: _Place = ()
) -> PayloadFilter | FilterProblems:
    """Compile a filter as its owner wrote it; else say what is wrong, with paths below `place`."""
    reader = _ConditionReader(place)
    condition = reader.object(members, ())
    if reader.conditions > CONDITIONS_MAX:
        reader.note((), f"must have at most {CONDITIONS_MAX} conditions")
    if reader.problems:
        return FilterProblems(reader.problems[:_PROBLEMS_MAX])
    return PayloadFilter(condition)
