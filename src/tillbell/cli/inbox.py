"""`tillbell inbox …`: URLs that keep every request as it came, in a terminal."""

from __future__ import annotations

import json
import urllib.parse
from dataclasses import dataclass
from typing import Annotated, Any

from cyclopts import Parameter

from tillbell.cli.flags import RemoteFlags
from tillbell.cli.lists import shown
from tillbell.cli.remote import api_of

_WAIT_MAX_S = 8  # less than the client waits for an answer


@Parameter(name="*")
@dataclass(frozen=True, kw_only=True)
class InboxOptions:
    """What a new inbox is called and answers."""

    name: str = "Inbox"
    """A name for people."""
    app: str | None = None
    """Id or uid of the application that it belongs to. Without it, to none."""
    status: int = 200
    """Status code of its answer."""
    body: str = ""
    """Body of its answer."""
    delay_ms: int = 0
    """Milliseconds after which it answers."""


def create(*, options: InboxOptions | None = None, flags: RemoteFlags | None = None) -> None:
    """Make an inbox; print its id and its URL."""
    options = options or InboxOptions()
    answer = {"status": options.status, "body": options.body, "delayMs": options.delay_ms}
    body = {"name": options.name, "appId": options.app, "answer": answer}
    inbox = api_of(flags).call("POST", "/inbox", body)
    print(f"{inbox['id']}  {inbox['url']}")


def list_inboxes(flags: RemoteFlags | None = None) -> None:
    """List inboxes: id, requests that have come, name, URL."""
    api, after = api_of(flags), ""
    while True:
        page = api.call("GET", f"/inbox?limit=250{after}")
        for inbox in page["data"]:
            columns = (inbox["id"], inbox["received"], inbox["name"], inbox["url"])
            print("  ".join(map(shown, columns)))
        if page["done"]:
            return
        after = f"&iterator={urllib.parse.quote(page['iterator'])}"


def show(
    inbox_id: str,
    *,
    limit: int = 20,
    wait: int = 0,
    as_json: Annotated[bool, Parameter(("--json",), negative="")] = False,
    flags: RemoteFlags | None = None,
) -> None:
    """List the requests of an inbox, newest first.

    Parameters
    ----------
    inbox_id
        The id that `tillbell inbox list` shows.
    limit
        How many requests at most.
    wait
        Seconds to wait for a first request if none is stored; at most 8.
    as_json
        Write each request as a JSON object in a line of its own.
    """
    query = urllib.parse.urlencode({"limit": limit, "wait_ms": min(wait, _WAIT_MAX_S) * 1000})
    page = api_of(flags).call("GET", f"{_path(inbox_id)}/request?{query}")
    for row in page["data"]:
        print(json.dumps(row, ensure_ascii=False) if as_json else _line(row))


def delete(inbox_id: str, flags: RemoteFlags | None = None) -> None:
    """Delete an inbox with its requests; its URL stops working at once.

    Parameters
    ----------
    inbox_id
        The id that `tillbell inbox list` shows.
    """
    api_of(flags).call("DELETE", _path(inbox_id))


def _line(row: dict[str, Any]) -> str:
    where = row["path"] or "/"
    target = f"{where}?{row['query']}" if row["query"] else where
    body = row["body"] if row["body"] is not None else f"({row['size']} bytes)"
    columns = (row["receivedAt"], row["id"], row["method"], target, body)
    return "  ".join(map(shown, columns))


def _path(inbox_id: str) -> str:
    return f"/inbox/{urllib.parse.quote(inbox_id, safe='')}"
