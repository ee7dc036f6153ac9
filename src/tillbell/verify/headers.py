"""Headers of a request in the forms that frameworks use."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from tillbell.verify.outcome import VerificationError

Text = str | bytes
Headers = Mapping[str, str] | Mapping[bytes, bytes] | Iterable[tuple[Text, object]]
_WSGI = "HTTP_"


class HeaderView:
    """Header values by lower-case name.

    Accepts mappings, pairs, the byte pairs of an ASGI scope, and a WSGI environment or
    Django's `META`, where `webhook-id` is spelled `HTTP_WEBHOOK_ID`.
    """

    def __init__(self, headers: Headers) -> None:
        pairs = headers.items() if hasattr(headers, "items") else headers
        self._values: dict[str, list[str]] = {}
        for name, value in pairs:
            # A WSGI environment also holds objects; only text can be a header.
            if isinstance(name, str | bytes) and isinstance(value, str | bytes):
                self._values.setdefault(_name(_text(name)), []).append(_text(value).strip(" \t"))

    def __contains__(self, name: str) -> bool:
        return name in self._values

    def one(self, name: str) -> str:
        """Return a header that must exist exactly once: of two, neither can be trusted."""
        values = self._values.get(name)
        if not values or not values[0]:
            raise VerificationError("missing_header", f"the request has no {name} header")
        if len(values) > 1:
            raise VerificationError("repeated_header", f"the request repeats {name}")
        return values[0]


def _name(name: str) -> str:
    if name.startswith(_WSGI):
        name = name.removeprefix(_WSGI).replace("_", "-")
    return name.lower()


def _text(value: Text) -> str:
    return value.decode("latin-1") if isinstance(value, bytes) else value
