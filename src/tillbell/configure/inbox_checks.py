"""Checks of what an inbox answers: anybody may ask for it, on the address of the gateway's pages.

So an answer may not frame a response, set a cookie or a policy of the browser, send the reader
elsewhere, or make a proxy in front of us fetch a file. Which headers it may have is a list.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from tillbell.errors import Problem

HEADERS_MAX = 20
NAME_MAX = 64
VALUE_MAX = 1_024
BODY_MAX = 16_384  # characters
DELAY_MAX_MS = 30_000
REQUESTS_MAX = 500
RETENTION_DAYS_MAX = 30
NO_BODY = frozenset({204, 205, 304})  # statuses whose answers have none

_NAME = re.compile(r"[A-Za-z0-9-]+")
_VALUE = re.compile(r"[\x21-\x7e]([\x20-\x7e\t]*[\x21-\x7e])?|")
_MEDIA_TYPE = re.compile(r"[a-z0-9.+-]+/[a-z0-9.+*-]+(; ?[a-z0-9-]+=\"?[A-Za-z0-9._-]+\"?)*")
_ALLOWED = frozenset(
    {"allow", "content-language", "etag", "last-modified", "retry-after", "warning"}
)
_ALLOWED_PREFIXES = ("access-control-", "ratelimit", "webhook-", "svix-", "x-")
_PROXY = "a proxy may act on it"
_BROWSER = "a browser acts on it"
_REFUSED_PREFIXES = {
    "x-accel-": _PROXY,
    "x-sendfile": _PROXY,
    "x-lighttpd-": _PROXY,
    "x-reproxy-": _PROXY,
    "x-forwarded-": _PROXY,
    "x-original-": _PROXY,
    "x-rewrite-": _PROXY,
    "x-litespeed-": _PROXY,
    "x-content-type-options": _BROWSER,
    "x-frame-options": _BROWSER,
    "x-xss-protection": _BROWSER,
    "x-dns-prefetch": _BROWSER,
    "x-permitted-": _BROWSER,
    "x-ua-": _BROWSER,
    "x-request-id": "Tillbell sets it",
    "x-inbox-": "Tillbell sets it",
    "access-control-allow-credentials": _BROWSER,
}


def check_inbox_answer(
    status: int, headers: Sequence[tuple[str, str]], content_type: str, body: str
) -> list[Problem]:
    """Return the problems of an answer; [] if it may be given."""
    problems = list(_header_problems(headers))
    if not _MEDIA_TYPE.fullmatch(content_type):
        text = "must be a media type, such as application/json or text/plain; charset=utf-8"
        problems.append(_problem("content_type", text, "contentType"))
    if body and status in NO_BODY:
        problems.append(_problem("body", f"an answer {status} has no body; leave it empty", "body"))
    return problems


def _header_problems(headers: Sequence[tuple[str, str]]) -> Iterator[Problem]:
    if len(headers) > HEADERS_MAX:
        yield _problem("header_count", f"at most {HEADERS_MAX} headers", "headers")
    names: set[str] = set()
    for name, value in headers[:HEADERS_MAX]:
        shown = name[:NAME_MAX]
        if text := _name_problem(name) or ("is given twice" if name.lower() in names else ""):
            yield _problem("header_name", text, "headers", shown)
        elif len(value) > VALUE_MAX or not _VALUE.fullmatch(value):
            text = f"must be one line of printable ASCII, at most {VALUE_MAX} characters"
            yield _problem("header_value", text, "headers", shown)
        names.add(name.lower())


def _name_problem(name: str) -> str:
    """Say why a header may not be in an answer; "" if it may."""
    if len(name) > NAME_MAX or not _NAME.fullmatch(name):
        return f"a name is 1 to {NAME_MAX} letters, digits and hyphens"
    lower = name.lower()
    for prefix, reason in _REFUSED_PREFIXES.items():
        if lower.startswith(prefix):
            return f"cannot be set: {reason}"
    if lower in _ALLOWED or lower.startswith(_ALLOWED_PREFIXES):
        return ""
    if lower == "content-type":
        return "is a member of its own: contentType"
    return (
        "cannot be set; the answer of an inbox may have Access-Control-…, RateLimit…, Webhook-…, "
        "X-… and Allow, Content-Language, ETag, Last-Modified, Retry-After, Warning"
    )


def _problem(kind: str, text: str, *where: str) -> Problem:
    return Problem(("body", "answer", *where), text, kind)
