"""Headers that owners add to an endpoint: which may be sent, and which are secret.

They are sent unchanged with every attempt, so they must not be able to change the request's
framing, routing, origin or signature (RFC 9110 §5, RFC 9112 §9).
"""

from __future__ import annotations

import re
from collections.abc import Mapping

from tillbell.errors import Problem

HEADERS_MAX = 32
VALUE_MAX = 4096
NAME_MAX = 128

_TOKEN = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")  # RFC 9110 §5.6.2
_VALUE = re.compile(r"[\x21-\x7e]([\x20-\x7e\t]*[\x21-\x7e])?|")
_FRAMING = "it frames or routes the request"
_ORIGIN = "it tells where the request came from"
_OURS = "Tillbell sets it"
_RESERVED = {
    **dict.fromkeys(("host", "content-length", "transfer-encoding", "connection"), _FRAMING),
    **dict.fromkeys(("keep-alive", "te", "trailer", "upgrade", "expect", "via"), _FRAMING),
    **dict.fromkeys(("http2-settings", "range", "if-match", "if-none-match"), _FRAMING),
    **dict.fromkeys(("forwarded", "x-real-ip", "true-client-ip", "client-ip"), _ORIGIN),
    **dict.fromkeys(("content-type", "content-encoding", "accept-encoding"), _OURS),
    **dict.fromkeys(("user-agent", "date"), _OURS),
}
_RESERVED_PREFIXES = {
    "x-forwarded-": _ORIGIN,
    "proxy-": _FRAMING,
    "webhook-": _OURS,
    "svix-": _OURS,
    "x-svix-": _OURS,
    "x-amzn-": _ORIGIN,
    "tillbell-": _OURS,
}
_SECRET = frozenset({"authorization", "proxy-authorization", "cookie", "set-cookie"})
_SECRET_WORDS = re.compile(
    r"secret|passw|passphrase|token|credential|session"
    r"|(^|[-_.])(auth|key|keys|apikey|pwd|pass|jwt|bearer)($|[-_.])|apikey|authorization"
)


def check_custom_headers(headers: Mapping[str, str]) -> list[Problem]:
    """Return the problems of an endpoint's headers; [] if all may be sent."""
    problems = []
    if len(headers) > HEADERS_MAX:
        problems.append(_problem((), f"At most {HEADERS_MAX} headers.", "header_count"))
    names: set[str] = set()
    for name, value in headers.items():
        problem = _check_name(name, names) or _check_value(name, value)
        names.add(name.lower())
        if problem:
            problems.append(problem)
    return problems


def is_secret_header(name: str) -> bool:
    """Return whether a header's value must never be shown again.

    >>> is_secret_header("X-API-Key"), is_secret_header("X-Shop")
    (True, False)
    """
    lower = name.lower()
    return lower in _SECRET or _SECRET_WORDS.search(lower) is not None


def _check_name(name: str, names: set[str]) -> Problem | None:
    shown = name[:NAME_MAX]
    lower = name.lower()
    if len(name) > NAME_MAX or not _TOKEN.fullmatch(name):
        text = f"A header name is 1 to {NAME_MAX} letters, digits and -_.!#$%&'*+^`|~."
        return _problem((shown,), text, "header_name")
    if reason := _reserved(lower):
        return _problem((shown,), f"{shown} cannot be set: {reason}.", "header_reserved")
    if lower in names:
        return _problem((shown,), f"{shown} is given twice.", "header_twice")
    return None


def _reserved(lower: str) -> str:
    # Some servers read `_` as `-`, so `X_Forwarded_For` is reserved like `X-Forwarded-For`.
    name = lower.replace("_", "-")
    reasons = (reason for prefix, reason in _RESERVED_PREFIXES.items() if name.startswith(prefix))
    return _RESERVED.get(name) or next(reasons, "")


def _check_value(name: str, value: str) -> Problem | None:
    if len(value) > VALUE_MAX:
        text = f"{name}: a value has at most {VALUE_MAX} characters."
        return _problem((name,), text, "header_value")
    if not _VALUE.fullmatch(value):
        text = f"{name}: a value is one line of printable ASCII without blanks around it."
        return _problem((name,), text, "header_value")
    return None


def _problem(path: tuple[str, ...], message: str, kind: str) -> Problem:
    return Problem(("body", "headers", *path), message, kind)
