"""Traces: what names one person, whether a text or payload has any of it, and how it reads without.

An address names a person wherever it stands. A name or a street may be another's too, so it counts
only in what holds no other e-mail address.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any, NamedTuple
from urllib.parse import unquote_plus

ERASED = "(erased)"  # what is read where a person was named
_LONG = 6  # characters of an id that is no accident where it stands
_ID_NAMES = ("id", "uid", "number", "reference")  # how names of members with ids end
_ESCAPES = re.compile(r"\\|%|\+")  # of JSON, and of forms and URLs
_EMAIL = re.compile(r"[^\s\"'<>()\[\],;:=]+@[^\s\"'<>()\[\],;:=]+\.\w+")


class Traces(NamedTuple):
    """Ids, which are compared as a whole, and texts, looked for in all. Texts in small letters."""

    ids: frozenset[str]
    texts: frozenset[str]  # e-mail addresses, telephone numbers
    names: frozenset[str] = frozenset()  # of the person, and streets

    def found_in(self, body: bytes) -> bool:
        """Tell whether a body names the person, however its characters are written."""
        text = body.decode("utf-8", "replace")
        lower = text.lower()
        if any(each in lower for each in self.texts):
            return True
        is_named = any(each in lower for each in self.names)
        has_id = any(each in text for each in self.ids)
        if not is_named and not has_id and not _ESCAPES.search(text):
            return False
        try:
            document = json.loads(text, parse_int=str, parse_float=str)
        except (ValueError, RecursionError):
            return self._in_plain(text) or self._in_plain(unquote_plus(text))
        values = list(_values("", document))
        whole = "\n".join(value for _, value in values).lower()
        return self._in_text(whole) or any(self._is_id(name, value) for name, value in values)

    def _in_plain(self, text: str) -> bool:
        return self._in_text(text.lower()) or any(
            each in text for each in self.ids if _is_long(each)
        )

    def without(self, value: Any, name: str = "") -> Any:
        """Return a value of JSON in which each text that names the person reads `(erased)`.

        `name` is that of the member which has the value: a short id counts only as one of an id.
        """
        if isinstance(value, dict):
            return {self.without(key): self.without(each, key) for key, each in value.items()}
        if isinstance(value, (list, tuple)):
            return [self.without(each, name) for each in value]
        if isinstance(value, str) and (self._is_id(name, value) or self._in_text(value.lower())):
            return ERASED
        return value

    def _in_text(self, lower: str) -> bool:
        if any(each in lower for each in self.texts):
            return True
        if not any(each in lower for each in self.names):
            return False
        return all(each in self.texts for each in _EMAIL.findall(lower))

    def _is_id(self, name: str, value: str) -> bool:
        is_named = _is_long(value) or name.lower().endswith(_ID_NAMES)
        return is_named and value in self.ids


def _is_long(id_: str) -> bool:
    return len(id_) >= _LONG


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
