"""Writes a request as a curl command, without the secret."""

from __future__ import annotations

import json
import re
from urllib.parse import quote, quote_plus

from tillbell.providers.kit.base import Incoming

VARIABLE = "TILLBELL_TRIGGER_SECRET"


def as_curl(request: Incoming, secret: str) -> str:
    """Return a `curl` command that sends exactly this request.

    Some requests contain the secret itself. Then the command reads it from the shell variable
    TILLBELL_TRIGGER_SECRET. Where the secret is percent-encoded or escaped, the command contains
    `***`, which the user must replace.
    """
    parts = [f"curl -gi -X {request.method} {_quoted(request.url, secret)}"]
    parts += [f"-H {_quoted(_header(*pair), secret)}" for pair in request.headers]
    if request.body and request.header("content-type") is None:
        parts.append("-H 'content-type:'")  # else curl sends its default
    if request.body:
        parts.append(f"--data-raw {_quoted(request.body.decode(), secret)}")
    return " \\\n  ".join(parts)


def _header(name: str, value: str) -> str:
    return f"{name}: {value}" if value else f"{name};"  # "name:" would remove it


def _quoted(text: str, secret: str) -> str:
    """Quote for a shell; the secret becomes a variable."""
    if not secret:
        return _in_quotes(text)
    for spelling in _other_spellings(secret):
        text = text.replace(spelling, "***")
    pieces = [piece for piece in re.split(f"({re.escape(secret)})", text) if piece]
    return "".join(f'"${VARIABLE}"' if piece == secret else _in_quotes(piece) for piece in pieces)


def _other_spellings(secret: str) -> set[str]:
    in_json = {json.dumps(secret, ensure_ascii=is_ascii)[1:-1] for is_ascii in (True, False)}
    return {quote_plus(secret), quote(secret, safe=""), *in_json} - {secret}


def _in_quotes(text: str) -> str:
    return "'" + text.replace("'", "'\\''") + "'"
