"""Where something stands in a request, as the owner of a custom source writes it.

| text | means |
| --- | --- |
| `/payment/id` | a JSON pointer (RFC 6901) into the body |
| `orderId` | a field of the body: a form's, or a member of the JSON at its top |
| `header:X-Event-Id` | a header |
| `query:order` | a parameter of the query |

XML is read as JSON would be: an element by its name without namespace, an attribute as `@name`,
an element's text beside attributes as `#text`, repeated elements as a list:
`/order/payment/amount/@value`.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import lru_cache
from typing import TYPE_CHECKING, Any, NamedTuple

from tillbell.providers.kit import reading
from tillbell.providers.kit.base import Incoming, Unreadable

if TYPE_CHECKING:
    from xml.etree.ElementTree import Element

PLACE_MAX = 200  # characters
_LEVELS = 16  # of XML
_START = {"header": "header:", "query": "query:"}


class RequestPlace(NamedTuple):
    """One place, parsed."""

    kind: str  # "header", "query" or "field"
    name: str  # a header's in lower case; a field's is a JSON pointer or a plain name


@lru_cache(maxsize=4096)
def place(text: str) -> RequestPlace:
    """Read a place; `ValueError` says what is wrong with it."""
    if not 0 < len(text) <= PLACE_MAX or not text.isprintable():
        raise ValueError(f"a place has 1 to {PLACE_MAX} printable characters")
    for kind, start in _START.items():
        if text.startswith(start):
            name = text.removeprefix(start)
            if not name:
                raise ValueError(f"after {start} comes a name")
            return RequestPlace(kind, name.lower() if kind == "header" else name)
    if text == "/":
        raise ValueError("after / comes a name: /payment/id")
    return RequestPlace("field", text)


def place_problem(text: str) -> str | None:
    """Say what is wrong with a place; None if nothing is."""
    try:
        place(text)
    except ValueError as error:
        return str(error)
    return None


class RequestContent:
    """A request whose body is parsed once, when it is first needed."""

    def __init__(self, incoming: Incoming, format_: str = "auto") -> None:
        self.incoming = incoming
        self._format = format_
        self._document: Any = None

    @property
    def document(self) -> Any:
        """The body, read as the format says. Raises `Unreadable`."""
        if self._document is None:
            self._document = _document(self.incoming, self._format)
        return self._document

    def find(self, where: RequestPlace) -> Any:
        """Return what stands at a place; None if there is nothing."""
        if where.kind == "header":
            return self.incoming.header(where.name)
        if where.kind == "query":
            return reading.query(self.incoming.target).get(where.name)
        if where.name.startswith("/"):
            return by_pointer(self.document, where.name)
        return self.document.get(where.name) if isinstance(self.document, dict) else None

    def text(self, where: RequestPlace | None) -> str | None:
        """Return what stands at a place as text: None if it is missing, blank or nested."""
        return None if where is None else reading.text({"": self.find(where)}, "")

    def raw(self, where: RequestPlace) -> str:
        """Return a value as it was signed: untrimmed; "" if it is missing or nested."""
        return as_signed(self.find(where))

    def leaves(self, most: int) -> tuple[str, ...]:
        """Return the texts and numbers of body and query, each once, up to a count."""
        texts: dict[str, None] = {}
        for value in _leaves([self.document, reading.query(self.incoming.target)]):
            if len(texts) >= most:
                break
            texts[value] = None
        return tuple(texts)


def as_signed(value: Any) -> str:
    """Return a value as the text that is signed: untrimmed; "" for null and what is nested."""
    if isinstance(value, bool):
        return str(value).lower()
    return "" if value is None or isinstance(value, dict | list) else str(value)


def by_pointer(document: Any, pointer: str) -> Any:
    """Return what a JSON pointer (RFC 6901) names; None if there is nothing."""
    value = document
    for token in pointer.split("/")[1:]:
        name = token.replace("~1", "/").replace("~0", "~")
        if isinstance(value, dict):
            value = value.get(name)
        elif isinstance(value, list) and name.isascii() and name.isdigit() and len(name) < 10:
            value = value[int(name)] if int(name) < len(value) else None
        else:
            return None
    return value


def _document(incoming: Incoming, format_: str) -> Any:
    if format_ == "auto":
        format_ = _guessed(incoming)
    if format_ == "query":
        return reading.query(incoming.target)
    if format_ == "xml":
        root = reading.xml(incoming.body)
        return {_name(root): _members(root, _LEVELS)}
    if format_ == "form":
        return reading.form(incoming.body)
    return reading.json_value(incoming.body)


def _guessed(incoming: Incoming) -> str:
    """Return the format by content type and first byte; the query is never guessed."""
    kind = (incoming.header("content-type") or "").lower()
    start = incoming.body.lstrip()[:1]
    if "json" in kind or start in (b"{", b"["):
        return "json"
    return "xml" if "xml" in kind or start == b"<" else "form"


def _members(element: Element, levels: int) -> Any:
    if levels == 0:
        raise Unreadable(f"The XML nests deeper than {_LEVELS}.")
    members: dict[str, Any] = {f"@{_local(name)}": value for name, value in element.attrib.items()}
    for child in element:
        name, value = _name(child), _members(child, levels - 1)
        present = members.get(name)
        if isinstance(present, list):
            present.append(value)
        else:
            members[name] = value if name not in members else [present, value]
    written = (element.text or "").strip()
    if not members:
        return written
    return {**members, "#text": written} if written else members


def _name(element: Element) -> str:
    return _local(str(element.tag))


def _local(name: str) -> str:
    return name.rpartition("}")[2]


def _leaves(value: Any) -> Iterator[str]:
    if isinstance(value, dict | list):
        for member in value.values() if isinstance(value, dict) else value:
            yield from _leaves(member)
        return
    written = reading.text({"": value}, "")
    if written is not None and len(written) <= reading.KEY_MAX:
        yield written
