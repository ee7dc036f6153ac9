"""Raw payloads: a text that is sent as it is, under a content type of its own.

Svix's SDKs ask for it with `transformationsParams`: `rawPayload` is the body, and
`headers.content-type` its type (`application/json` if it is left out). The other members there are
for transformations, of which there are none here.
"""

from __future__ import annotations

import json
import re
from typing import Any, NamedTuple, NoReturn

from tillbell.errors import Invalid, Problem
from tillbell.rules.delivery.payload import KEY_MAX, longest_key, too_deep

JSON = "application/json"
CONTENT_TYPE_MAX = 256
_MEMBER = "transformationsParams"
_TOKEN = r"[!#$%&'*+.^_`|~0-9A-Za-z-]+"  # noqa: S105 - RFC 9110 §5.6.2
_CONTENT_TYPE = re.compile(rf"{_TOKEN}/{_TOKEN}( *;[ -~]*)?")


class RawPayload(NamedTuple):
    """What is sent. `content_type` is None for a JSON object as `application/json`."""

    body: bytes
    content_type: str | None


def read_raw_payload(params: Any, payload: bytes) -> RawPayload:
    """Read `transformationsParams` of a request; `payload` is sent if they hold no other.

    `Invalid` if a member that is read has the wrong form.
    """
    if not isinstance(params, dict):
        raise Invalid(Problem(("body", _MEMBER), "must be an object", "type_error"))
    content_type = _content_type(params.get("headers"))
    text = params.get("rawPayload")
    if text is None:
        return RawPayload(payload, content_type if content_type != JSON else None)
    body = _encoded(text)
    content_type = content_type or JSON
    is_usual = content_type == JSON and is_json_object(body)
    return RawPayload(body, None if is_usual else content_type)


def is_json_object(payload: bytes) -> bool:
    """Tell whether a payload is a JSON object within the limits that every payload has.

    >>> is_json_object(b' {"a": 1}'), is_json_object(b"[1]"), is_json_object(b"a=1")
    (True, False, False)
    """
    if too_deep(payload):
        return False
    try:
        value = json.loads(payload.decode(), parse_constant=_refuse_constant)
    except (ValueError, RecursionError):  # no UTF-8, no JSON, or a number of thousands of digits
        return False
    return isinstance(value, dict) and longest_key(value) <= KEY_MAX


def _refuse_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is no JSON number")


def _encoded(text: Any) -> bytes:
    if not isinstance(text, str):
        raise Invalid(Problem(("body", _MEMBER, "rawPayload"), "must be a text", "type_error"))
    try:
        return text.encode()
    except UnicodeEncodeError as error:
        message = "has an unpaired surrogate"
        raise Invalid(Problem(("body", _MEMBER, "rawPayload"), message, "surrogate")) from error


def _content_type(headers: Any) -> str | None:
    members = headers if isinstance(headers, dict) else {}
    for name, value in members.items():
        if name.lower() == "content-type" and value is not None:
            place = ("body", _MEMBER, "headers", name)
            is_text = isinstance(value, str) and len(value) <= CONTENT_TYPE_MAX
            if not is_text or not _CONTENT_TYPE.fullmatch(value):
                message = f"must be like text/plain, with at most {CONTENT_TYPE_MAX} characters"
                raise Invalid(Problem(place, message, "content_type"))
            return str(value)
    return None
