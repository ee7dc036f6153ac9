"""Commands that pages show: they work as they are, with the key in `TILLBELL_KEY`."""

from __future__ import annotations

from tillbell.config import Settings
from tillbell.web.edge.paths import BASE

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


def keep_conflict(base: str, app: str, conflict_id: str) -> str:
    """Return the command that keeps a transaction as it is. `accept` in its place believes."""
    return _post(f"{base}/app/{app}/conflict/{conflict_id}/keep", '{"reason": "why you keep it"}')


def _post(url: str, body: str) -> str:
    return (
        f"curl -s {url} \\\n"
        '  -H "Authorization: Bearer $TILLBELL_KEY" \\\n'
        f"  -H 'Content-Type: application/json' \\\n  -d '{body}'"
    )
