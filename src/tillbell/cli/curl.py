"""Writing a request as a command for a shell, without the secret."""

from __future__ import annotations

import json
import re
from urllib.parse import quote, quote_plus

from tillbell.providers.base import Incoming

VARIABLE = "TILLBELL_TRIGGER_SECRET"


def as_curl(request: Incoming, secret: str) -> str:
    """Write a `curl` command that sends exactly this request.

    Some providers send the secret itself. The shell then fills it in from the variable; where it
    is written in another way (percent-encoded, escaped), `***` stands for it and you must.
    """
    has_type = request.header("content-type") is not None or not request.body
    headers = request.headers if has_type else (*request.headers, ("content-type", ""))
    parts = [f"curl -gi -X {request.method} {_quoted(request.url, secret)}"]
    parts += [f"-H {_quoted(f'{name}: {value}'.rstrip(), secret)}" for name, value in headers]
    if request.body:
        parts.append(f"--data-raw {_quoted(request.body.decode(), secret)}")
    return " \\\n  ".join(parts)


def _quoted(text: str, secret: str) -> str:
    """Quote for a shell, with the secret's places left to a variable."""
    if not secret:
        return _in_quotes(text)
    spellings = {quote_plus(secret), quote(secret, safe=""), json.dumps(secret)[1:-1]} - {secret}
    for spelling in spellings:
        text = text.replace(spelling, "***")
    pieces = [piece for piece in re.split(f"({re.escape(secret)})", text) if piece]
    return "".join(f'"${VARIABLE}"' if one == secret else _in_quotes(one) for one in pieces)


def _in_quotes(text: str) -> str:
    return "'" + text.replace("'", "'\\''") + "'"
