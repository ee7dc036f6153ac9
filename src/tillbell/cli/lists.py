"""`tillbell list` and `tillbell resend`: what pages list and do, in a terminal."""

from __future__ import annotations

import json
import urllib.parse
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any, Literal

from cyclopts import Parameter

from tillbell.cli.flags import RemoteFlags
from tillbell.cli.remote import api_of

if TYPE_CHECKING:
    from tillbell.cli.client import ApiClient

ListKind = Literal[
    "message", "delivery", "attempt", "callback", "transaction", "conflict", "endpoint", "audit"
]
_HIDDEN = "\N{REPLACEMENT CHARACTER}"
_PAGE = 250  # rows of one request
# Which members are shown of each kind, in this order.
_COLUMNS = {
    "message": ("timestamp", "id", "eventType", "eventId"),
    "delivery": ("createdAt", "id", "eventType", "endpointId", "state", "attempts"),
    "attempt": ("timestamp", "id", "endpointId", "result", "responseStatusCode", "detail"),
    "callback": ("receivedAt", "id", "provider", "outcome", "transactionId", "why"),
    "transaction": ("createdAt", "id", "uid", "direction", "status", "amount", "currency"),
    "conflict": ("at", "id", "kind", "severity", "transactionId", "why"),
    "endpoint": ("id", "uid", "status", "failingSince", "url"),
    "audit": ("at", "actorName", "action", "target", "reason"),
}


@Parameter(name="*")
@dataclass(frozen=True, kw_only=True)
class ListOptions:
    """Which rows are listed."""

    app: str | None = None
    """Id or uid of an application. Without it, those of all applications."""
    filter: str | None = None
    """As the pages take it: "status:failed code:410 since:24h"."""
    limit: int = 50
    """How many rows at most."""


def list_(
    kind: ListKind,
    *,
    options: ListOptions | None = None,
    as_json: Annotated[bool, Parameter(("--json",), negative="")] = False,
    flags: RemoteFlags | None = None,
) -> None:
    """List messages, deliveries, attempts, callbacks and so on, newest first.

    Parameters
    ----------
    kind
        What is listed.
    as_json
        Write each row as a JSON object in a line of its own.
    """
    for row in _rows(api_of(flags), kind, options or ListOptions()):
        if as_json:
            print(json.dumps(row, ensure_ascii=False))
        else:
            print("  ".join(shown(row.get(name)) for name in _COLUMNS[kind]))


def resend(app: str, message: str, endpoint: str, *, flags: RemoteFlags | None = None) -> None:
    """Send a message to an endpoint again, or for the first time.

    Parameters
    ----------
    app
        Id or uid of the application.
    message
        Id or event id of the message.
    endpoint
        Id or uid of the endpoint.
    """
    names = (urllib.parse.quote(name, safe="") for name in (app, message, endpoint))
    path = "/app/{}/msg/{}/endpoint/{}/resend".format(*names)
    api_of(flags).call("POST", path)
    print("it is sent now")


def _rows(api: ApiClient, kind: str, options: ListOptions) -> Iterator[dict[str, Any]]:
    """Yield the rows of a list, page by page."""
    asked = {"app": options.app, "filter": options.filter}
    limit = options.limit
    query = {name: value for name, value in asked.items() if value is not None}
    while limit > 0:
        query["limit"] = str(min(limit, _PAGE))
        page = api.call("GET", f"/{kind}?{urllib.parse.urlencode(query)}")
        yield from page["data"]
        limit -= len(page["data"])
        if page["done"] or not page["iterator"]:
            return
        query["iterator"] = page["iterator"]


def shown(value: Any) -> str:
    """Return a value as text in one line, without what a terminal would act on."""
    text = "–" if value is None else str(value)
    return "".join(
        letter if letter.isprintable() else "\N{REPLACEMENT CHARACTER}" for letter in text
    )
