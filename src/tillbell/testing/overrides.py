"""Overrides of members of a sample: `data.object.amount=100`.

A path has names separated by dots, indexes for items of a list, and `?` before a parameter of the
query. Only the last name may be new, so that a misspelt parent is an error.
"""

from __future__ import annotations

import difflib
import json
from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Any, NamedTuple

from tillbell.errors import Misconfigured
from tillbell.providers.kit.base import SimulationCase


class Override(NamedTuple):
    """The path of a member, and the text of its new value."""

    path: str
    text: str


def read_override(assignment: str) -> Override:
    """Return the override of `a.b=c`; `Misconfigured` if the text has another form.

    >>> read_override("data.0.note=a=b")
    Override(path='data.0.note', text='a=b')
    """
    path, equals, text = assignment.partition("=")
    if not equals or not all(path.split(".")):
        raise Misconfigured(f"{assignment!r} is not an override; write a.b=c")
    return Override(path, text)


def overridden(case: SimulationCase, override: Override) -> SimulationCase:
    """Return a case with one member changed; `Misconfigured` if its parent does not exist."""
    path, text = override
    if path.startswith("?"):
        return case._replace(query={**case.query, path[1:]: text})
    return case._replace(fields=_changed(case.fields, path.split("."), override))


def value_of(text: str, former: object = None) -> Any:
    """Return the JSON value of a text; the text itself if it is not JSON.

    Numbers keep their digits. A number that replaces a text stays text, because providers
    distinguish `"49.90"` from `49.90` and a shell removes the quotes.
    """
    try:
        value = json.loads(text, parse_float=Decimal, parse_constant=str)
    except ValueError:
        return text
    is_number = isinstance(value, (int, Decimal)) and not isinstance(value, bool)
    return text if is_number and isinstance(former, str) else value


def _changed(value: Any, path: Sequence[str], override: Override) -> Any:
    if not path:
        return value_of(override.text, value)
    if isinstance(value, Mapping):
        return _changed_member(value, path, override)
    if isinstance(value, list):
        return _changed_item(value, path, override)
    raise Misconfigured(f"{override.path}: {path[0]!r} cannot stand in a {type(value).__name__}")


def _changed_member(value: Mapping[str, Any], path: Sequence[str], override: Override) -> Any:
    name, *rest = path
    if rest and name not in value:
        near = difflib.get_close_matches(name, value, n=1)
        hint = f"did you mean {near[0]!r}?" if near else f"there are {', '.join(value) or 'none'}"
        raise Misconfigured(f"{override.path}: there is no member {name!r}; {hint}")
    return {**value, name: _changed(value.get(name), rest, override)}


def _changed_item(value: Sequence[Any], path: Sequence[str], override: Override) -> Any:
    name, *rest = path
    if not (name.isascii() and name.isdigit() and int(name) < len(value)):
        raise Misconfigured(f"{override.path}: {name!r} is not an index from 0 to {len(value) - 1}")
    at = int(name)
    return [*value[:at], _changed(value[at], rest, override), *value[at + 1 :]]
