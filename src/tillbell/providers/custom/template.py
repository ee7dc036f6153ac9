r"""What a sender signs, as the owner of a custom source writes it: `{timestamp}.{body}`.

| variable | stands for |
| --- | --- |
| `{body}` | the body, byte for byte |
| `{sha256(body)}` `{sha512(body)}` `{md5(body)}` | its hash in hex |
| `{crc32(body)}` | its CRC-32 as a decimal number |
| `{method}` `{path}` `{target}` `{url}` | `POST`, the path, path and query, the public URL |
| `{header:Name}` `{query:name}` `{field:/pointer}` | a value of the request |
| `{timestamp}` `{id}` | the check's signed time as it was written, the event's id |
| `{secret}` | the secret, for plain hashes |

`\n` is a line end, `\\` a backslash, `{{` and `}}` are braces. A template is split into parts once
and then only filled in; nothing of it is code.

**Borders.** A signature proves the bytes that were joined, not where one value ends and the next
begins. So a value from the request may not hold the text that separates it from its neighbour, and
where nothing separates them, the signature counts as less than signed (`is_separated`).
"""

from __future__ import annotations

import re
import zlib
from collections.abc import Callable, Mapping
from functools import lru_cache
from types import MappingProxyType
from typing import NamedTuple

from tillbell.providers.custom.locations import RequestContent, RequestPlace, place
from tillbell.providers.kit.proof import digest, key_bytes

TEMPLATE_MAX = 1_000  # characters
PARTS_MAX = 60
BODIES_MAX = 2  # how often {body} may stand in it
_CUT = re.compile(r"\{\{|\}\}|\\n|\\\\|\{[^{}]*\}|[^{}\\]+|.", re.DOTALL)
_ESCAPES = {"{{": "{", "}}": "}", "\\n": "\n", "\\\\": "\\"}
_FREE = frozenset({"header", "query", "field", "id"})  # the sender chooses their length
_ADDRESSES = frozenset({"target", "url"})  # of these the sender chooses only the query
_WHOLE = frozenset({"body", "sha256(body)", "sha512(body)"})


class Ambiguous(Exception):
    """A value holds the text that separates it from the next, so its end is not certain."""


class TemplatePart(NamedTuple):
    """A piece of a template: text as it is (`kind` ""), or a variable."""

    kind: str
    text: str = ""
    where: RequestPlace | None = None


class TemplateValues(NamedTuple):
    """What a template is filled with."""

    content: RequestContent
    secret: str = ""
    timestamp: str = ""
    id: str = ""


class Template(NamedTuple):
    """A template, split into its parts."""

    parts: tuple[TemplatePart, ...]

    def render(self, values: TemplateValues) -> bytes:
        """Fill the template in. Raises `Ambiguous`, and `Unreadable` if a field is needed."""
        pieces = [_value(part, values) for part in self.parts]
        for number, part in enumerate(self.parts):
            if part.kind in _FREE or part.kind in _ADDRESSES or part.kind == "timestamp":
                self._check_borders(number, pieces)
        return b"".join(pieces)

    def uses(self, kind: str) -> bool:
        """Tell whether the template has this variable."""
        return any(part.kind == kind for part in self.parts)

    def covers(self, where: RequestPlace) -> bool:
        """Tell whether a change at this place would change the result."""
        kinds = {part.kind for part in self.parts}
        if where in {part.where for part in self.parts}:
            return True
        if where.kind == "field":
            return bool(kinds & _WHOLE)
        return where.kind == "query" and bool(kinds & _ADDRESSES)

    @property
    def is_separated(self) -> bool:
        """Whether every value that a sender may choose is separated from its neighbours."""
        for part, following in zip(self.parts, self.parts[1:], strict=False):
            if part.kind in _FREE and following.kind:
                return False
            if part.kind and following.kind in _FREE:
                return False
            if part.kind == "body" and following.kind in _ADDRESSES:
                return False
        return True

    def _check_borders(self, number: int, pieces: list[bytes]) -> None:
        part, value = self.parts[number], pieces[number]
        if part.kind in _ADDRESSES:
            value = b"".join(value.partition(b"?")[1:])
        for near in (number - 1, number + 1):
            is_inside = 0 < near < len(pieces) - 1  # text at an end separates nothing
            if is_inside and not self.parts[near].kind and pieces[near] in value:
                raise Ambiguous(f"{{{part.text}}} holds what parts it from the next value.")
        after = self.parts[number + 1].kind if number + 1 < len(pieces) else ""
        if after != "body":
            return
        if part.kind in _ADDRESSES and value:
            raise Ambiguous("The body follows the URL at once, so the URL may have no query.")
        if part.kind == "timestamp" and pieces[number + 1][:1].isdigit():
            raise Ambiguous("The body follows the time at once, so it may not begin with a digit.")


@lru_cache(maxsize=1024)
def template(text: str) -> Template:
    """Split a template into its parts; `ValueError` says what is wrong with it."""
    if not 0 < len(text) <= TEMPLATE_MAX:
        raise ValueError(f"a template has 1 to {TEMPLATE_MAX} characters")
    parts: list[TemplatePart] = []
    for piece in _CUT.findall(text):
        part = _part(piece)
        if not part.kind and parts and not parts[-1].kind:
            part = TemplatePart("", parts.pop().text + part.text)
        parts.append(part)
    if len(parts) > PARTS_MAX:
        raise ValueError(f"a template has at most {PARTS_MAX} parts")
    if sum(part.kind == "body" for part in parts) > BODIES_MAX:
        raise ValueError(f"{{body}} may stand there at most {BODIES_MAX} times")
    return Template(tuple(parts))


def template_problem(text: str) -> str | None:
    """Say what is wrong with a template; None if nothing is."""
    try:
        template(text)
    except ValueError as error:
        return str(error)
    return None


def _part(piece: str) -> TemplatePart:
    if piece in _ESCAPES:
        return TemplatePart("", _ESCAPES[piece])
    if piece in ("{", "}", "\\"):
        raise ValueError(f"{piece} stands alone; write {piece * 2} to mean it")
    if not piece.startswith("{"):
        return TemplatePart("", piece)
    name = piece[1:-1]
    kind, colon, field = name.partition(":")
    if colon and kind in ("header", "query"):
        return TemplatePart(kind, name, place(name))
    if colon and kind == "field":
        where = place(field)
        if where.kind != "field":
            raise ValueError(f"{piece} names no field; write {{field:/pointer}}")
        return TemplatePart(kind, name, where)
    if name not in _VALUES:
        known = ", ".join(f"{{{variable}}}" for variable in _VALUES)
        raise ValueError(
            f"{piece[:50]} is no variable; there are {known}, {{header:Name}}, {{query:name}} "
            "and {field:/pointer}"
        )
    return TemplatePart(name, name)


# ── values ───────────────────────────────────────────────────────────────────────────────────────


def _hashed(algorithm: str) -> Callable[[TemplateValues], bytes]:
    return lambda values: digest(algorithm, values.content.incoming.body).hex().encode()


def _latin(text: str) -> bytes:
    """Return the bytes of a header or target as they came."""
    return text.encode("latin-1", "replace")


_VALUES: Mapping[str, Callable[[TemplateValues], bytes]] = MappingProxyType(
    {
        "body": lambda values: values.content.incoming.body,
        "method": lambda values: _latin(values.content.incoming.method),
        "url": lambda values: _latin(values.content.incoming.url),
        "path": lambda values: _latin(values.content.incoming.target.partition("?")[0]),
        "target": lambda values: _latin(values.content.incoming.target),
        "timestamp": lambda values: _latin(values.timestamp),
        "id": lambda values: key_bytes(values.id),
        "secret": lambda values: key_bytes(values.secret),
        "sha256(body)": _hashed("sha256"),
        "sha512(body)": _hashed("sha512"),
        "md5(body)": _hashed("md5"),
        "crc32(body)": lambda values: str(zlib.crc32(values.content.incoming.body)).encode(),
    }
)


def _value(part: TemplatePart, values: TemplateValues) -> bytes:
    if not part.kind:
        return key_bytes(part.text)
    if part.where is None:
        return _VALUES[part.kind](values)
    written = values.content.raw(part.where)
    return _latin(written) if part.where.kind == "header" else key_bytes(written)
