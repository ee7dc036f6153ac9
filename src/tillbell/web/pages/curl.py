"""Commands that pages show: they work as they are, with the key in `TILLBELL_KEY`."""

from __future__ import annotations

import re
import shlex
from collections.abc import Mapping

from tillbell.config import Settings
from tillbell.web.edge.paths import BASE
from tillbell.web.pages.visible_text import HIDDEN

_INLINE_MAX = 8 * 1024  # bytes of a body that stands in a command
_SIGNATURE = re.compile(r"signature|hmac|(^|-)sign$", re.IGNORECASE)  # names of such headers
_MESSAGE = (
    '{"eventType": "order.paid", "eventId": "order-1001-paid",\n'
    '       "payload": {"type": "order.paid", "data": {"id": "1001", "amount": "149.99",'
    ' "currency": "EUR"}}}'
)


def api_url(settings: Settings) -> str:
    """Return the URL of the API, as others reach it."""
    return f"{settings.public_url or settings.local_url}{BASE}"


def create_application(base: str) -> str:
    """Return the command that creates an application."""
    return _post(f"{base}/app", '{"name": "My shop", "uid": "shop"}')


def create_endpoint(base: str, app: str) -> str:
    """Return the command that creates an endpoint."""
    body = '{"url": "https://your-server.example/hooks", "description": "Warehouse"}'
    return _post(f"{base}/app/{app}/endpoint", body)


def publish(base: str, app: str) -> str:
    """Return the command that publishes a message."""
    return _post(f"{base}/app/{app}/msg", _MESSAGE)


def create_transaction(base: str, app: str) -> str:
    """Return the command that creates a pay-in."""
    body = '{"direction": "pay_in", "amount": "149.99", "currency": "EUR", "uid": "PAY-1001"}'
    return _post(f"{base}/app/{app}/transaction", body)


def to_inbox(url: str) -> str:
    """Return the command that sends something to an inbox."""
    return f"curl -sS {url} -H 'Content-Type: application/json' \\\n  -d '{{\"hello\": \"inbox\"}}'"


def wait_for_request(base: str, inbox_id: str) -> str:
    """Return the command that waits for the next request to an inbox."""
    url = f"{base}/inbox/{inbox_id}/request?wait_ms=10000"
    return f'curl -sS "{url}" \\\n  -H "Authorization: Bearer $TILLBELL_KEY"'


def put(url: str, body: str) -> str:
    """Return the command that puts a record."""
    return _post(url, body).replace("curl -s ", "curl -s -X PUT ", 1)


def sent_request(
    url: str, content_type: str, headers: Mapping[str, str], body: bytes | None
) -> str:
    """Return the command that sends what an attempt has sent.

    `SECRET` and `SIGNATURE` stand for what must not be copied along: a command is soon passed on.
    A body that is long, or that cannot be copied from a page without loss, is in a file.
    """
    lines = [f"curl -sS -i --globoff -X POST {shlex.quote(url)}"]
    for name, value in {"Content-Type": content_type, **headers}.items():
        shown = "SIGNATURE" if _SIGNATURE.search(name) else value.replace("***", "SECRET")
        lines.append(f"-H {shlex.quote(f'{name}: {shown}' if shown else f'{name};')}")
    lines.append(_data(body))
    return " \\\n  ".join(lines)


def _data(body: bytes | None) -> str:
    in_file = "--data-binary @body.json"
    if body is None or len(body) > _INLINE_MAX:
        return in_file
    text = body.decode("utf-8", "surrogateescape")
    return in_file if HIDDEN.search(text) else f"--data-raw {shlex.quote(text)}"


def _post(url: str, body: str) -> str:
    return (
        f"curl -s {url} \\\n"
        '  -H "Authorization: Bearer $TILLBELL_KEY" \\\n'
        f"  -H 'Content-Type: application/json' \\\n  -d '{body}'"
    )
