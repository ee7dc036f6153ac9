"""Changing members of a sample: `data.object.amount=100`.

A path names members by dots, items of a list by their index, and a parameter of the query by `?`.
Only the last name may be new, so that a misspelt parent is an error and not another member.
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
    """A member, and the text of what it is to be."""

    path: str
    text: str


def read_override(given: str) -> Override:
    """Read `a.b=c`; `Misconfigured` if it is not of this shape.

    >>> read_override("data.0.note=a=b")
    Override(path='data.0.note', text='a=b')
    """
    path, equals, text = given.partition("=")
    if not equals or not all(path.split(".")):
        raise Misconfigured(f"{given!r} is not an override; write a.b=c")
    return Override(path, text)


def overridden(case: SimulationCase, override: Override) -> SimulationCase:
    """Return a case with one member changed; `Misconfigured` names the path that is not there."""
    path, text = override
    if path.startswith("?"):
        return case._replace(query={**case.query, path[1:]: text})
    return case._replace(fields=_changed(case.fields, path.split("."), override))


def value_of(text: str, former: object = None) -> Any:
    """Return the JSON value that is written there, else the text itself.

    Numbers keep their digits. Where a text stood, a number stays text: `"49.90"` in quotes and
    without are the same to who writes a command line, and not to a provider.
    """
    try:
        value = json.loads(text, parse_float=Decimal, parse_constant=str)
    except ValueError:
        return text
    is_number = isinstance(value, (int, Decimal)) and not isinstance(value, bool)
    return text if is_number and isinstance(former, str) else value


def _changed(held: Any, path: Sequence[str], override: Override) -> Any:
    if not path:
        return value_of(override.text, held)
    if isinstance(held, Mapping):
        return _changed_member(held, path, override)
    if isinstance(held, list):
        return _changed_item(held, path, override)
    raise Misconfigured(f"{override.path}: {path[0]!r} cannot stand in a {type(held).__name__}")


def _changed_member(held: Mapping[str, Any], path: Sequence[str], override: Override) -> Any:
    name, *rest = path
    if rest and name not in held:
        near = difflib.get_close_matches(name, held, n=1)
        hint = f"did you mean {near[0]!r}?" if near else f"there are {', '.join(held) or 'none'}"
        raise Misconfigured(f"{override.path}: there is no member {name!r}; {hint}")
    return {**held, name: _changed(held.get(name), rest, override)}


def _changed_item(held: Sequence[Any], path: Sequence[str], override: Override) -> Any:
    name, *rest = path
    if not (name.isascii() and name.isdigit() and int(name) < len(held)):
        raise Misconfigured(f"{override.path}: {name!r} is not an index from 0 to {len(held) - 1}")
    at = int(name)
    return [*held[:at], _changed(held[at], rest, override), *held[at + 1 :]]
