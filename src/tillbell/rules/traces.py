"""Traces: what names one person, and whether a text or payload has any of it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any, NamedTuple

_LONG = 6  # characters of an id that is no accident where it stands
_ID_NAMES = ("id", "uid", "number", "reference")  # how names of members with ids end


class Traces(NamedTuple):
    """Ids, which are compared as a whole, and texts such as e-mail addresses, looked for in all."""

    ids: frozenset[str]
    texts: frozenset[str]  # in small letters

    def found_in(self, body: bytes) -> bool:
        """Tell whether a body names the person, however its characters are written."""
        text = body.decode("utf-8", "replace")
        lower = text.lower()
        if any(each in lower for each in self.texts):
            return True
        has_id = any(each in text for each in self.ids)
        if not has_id and "\\" not in text:
            return False
        try:
            document = json.loads(text, parse_int=str, parse_float=str)
        except (ValueError, RecursionError):
            return any(each in text for each in self.ids if len(each) >= _LONG)
        return any(self._is_trace(name, value) for name, value in _values("", document))

    def _is_trace(self, name: str, value: str) -> bool:
        if any(each in value.lower() for each in self.texts):
            return True
        is_named = len(value) >= _LONG or name.lower().endswith(_ID_NAMES)
        return is_named and value in self.ids


def _values(name: str, value: Any) -> Iterator[tuple[str, str]]:
    """Return each text and number in a document with the name of its member."""
    pending = [(name, value)]
    while pending:
        name, value = pending.pop()
        if isinstance(value, dict):
            pending += value.items()
            yield from (("", key) for key in value)
        elif isinstance(value, list):
            pending += [(name, item) for item in value]
        elif isinstance(value, str):
            yield name, value
