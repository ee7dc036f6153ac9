"""`tillbell send` and `tillbell key …`: use the API of a running gateway.

The gateway is that of the settings (`public_url`, or host and port). The key is
`TILLBELL_ADMIN_KEY`, or in the file named by `TILLBELL_ADMIN_KEY_FILE`. Keys are never flags,
because every user of the machine can read flags.
"""

from __future__ import annotations

import json
import re
import sys
import threading
import urllib.parse
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from cyclopts import Parameter

from tillbell.cli.flags import RemoteFlags, load_settings
from tillbell.clock import DAY, SystemClock, iso
from tillbell.errors import Misconfigured

if TYPE_CHECKING:
    from tillbell.cli.client import ApiClient


def send(
    app: str,
    event_type: str,
    *,
    payload: Annotated[str | None, Parameter(allow_leading_hyphen=True)] = None,
    event_id: str | None = None,
    flags: RemoteFlags | None = None,
) -> None:
    """Publish a message.

    Parameters
    ----------
    app
        Id or uid of the application.
    event_type
        E.g. order.paid.
    payload
        JSON, @FILE, or - for standard input. Without it the catalogue's sample is sent.
    event_id
        Your own id of the message. A second message with the same id is refused.
    """
    body = {"eventType": event_type, "payload": _payload(payload, event_type)}
    if event_id is not None:
        body["eventId"] = event_id
    message = api_of(flags).call("POST", f"/app/{_quoted(app)}/msg", body)
    print(f"{message['id']} {message['eventType']}")


def why(
    app: str,
    message: str | None = None,
    endpoint: str | None = None,
    *,
    flags: RemoteFlags | None = None,
) -> None:
    """Tell why a message has not reached an endpoint, or that it has.

    Parameters
    ----------
    app
        Id or uid of the application. It may be left out before the id of a message.
    message
        Id or event id of the message.
    endpoint
        Id or uid of the endpoint. Without it every endpoint of the application is told.
    """
    api = api_of(flags)
    if endpoint is None and app.startswith(_MESSAGE_ID):
        app, message, endpoint = _app_of(api, app), app, message
    if message is None:
        raise Misconfigured("name a message: tillbell why APP MESSAGE [ENDPOINT]")
    path = f"/app/{_quoted(app)}/msg/{_quoted(message)}"
    if endpoint is not None:
        fates = [api.call("GET", f"{path}/endpoint/{_quoted(endpoint)}/why")]
    else:
        fates = api.call("GET", f"{path}/why")["data"]
    for fate in fates:
        times = [f"{name} {fate[key]}" for name, key in _TIMES if fate[key] is not None]
        print("  ".join([*filter(None, [fate.get("endpointId")]), fate["code"], *times]))
        print(f"  {fate['text']}")


def _app_of(api: ApiClient, message_id: str) -> str:
    """Return the application of a message; `Misconfigured` if the key finds no such message."""
    hits = api.call("GET", f"/search?q={_quoted(message_id)}")["data"]
    app = next((str(hit["appId"]) for hit in hits if hit["type"] == "message"), None)
    if app is None:
        raise Misconfigured(f"there is no message {message_id}, or the key may not see it")
    return app


def release(flags: RemoteFlags | None = None) -> None:
    """Let a gateway send that was started with --hold, with all its processes."""
    api_of(flags).call("POST", "/hold/release")
    print("released: deliveries are sent")


@Parameter(name="*")
@dataclass(frozen=True, kw_only=True)
class KeyOptions:
    """What a new key may do, where, and for how long."""

    scopes: Annotated[tuple[str, ...], Parameter(negative="")] = ("write",)
    """What it may do: admin, write, read, publish, or RESOURCE:read, RESOURCE:write."""
    app: str | None = None
    """Id or uid of the only application that it may use."""
    expires: str | None = None
    """When it ends: a time (2027-01-31T12:00:00Z), or days from now (30d)."""
    rate_limit: int | None = None
    """Requests a second; 0 is no limit. Default: as the server is set."""


def create_key(
    name: str, *, options: KeyOptions | None = None, flags: RemoteFlags | None = None
) -> None:
    """Create an API key and print it. It is shown only this once.

    Parameters
    ----------
    name
        A name for people: what the key is for.
    """
    options = options or KeyOptions()
    body: dict[str, Any] = {"name": name, "scopes": list(options.scopes), "appId": options.app}
    body["rateLimit"] = options.rate_limit
    body["expiresAt"] = _expiry(options.expires) if options.expires else None
    key = api_of(flags).call("POST", "/key", body)
    print(f"{key['id']}  {key['key']}")


def _expiry(text: str) -> str:
    """Return a time as the API reads it: as it is, or so many days from now."""
    days = re.fullmatch(r"(\d{1,4})d", text)
    return iso(SystemClock().now() + int(days[1]) * DAY) if days else text


def list_keys(flags: RemoteFlags | None = None) -> None:
    """List API keys: id, last characters, scopes, application, expiry, last use, name."""
    api, after = api_of(flags), ""
    while True:
        page = api.call("GET", f"/key?limit=250{after}")
        for key in page["data"]:
            print(
                f"{key['id']}  …{key['last4']}  {','.join(key['scopes']):10}"
                f"  {key['appId'] or 'every application'}  expires {_day(key['expiresAt'])}"
                f"  used {_day(key['lastUsedAt'])}  {key['name']}"
            )
        if page["done"]:
            return
        after = f"&iterator={urllib.parse.quote(page['iterator'])}"


def _day(time: str | None) -> str:
    return time[:16] if time else "never"


def reseal(flags: RemoteFlags | None = None) -> int:
    """Seal every stored secret under the newest master key, so that older keys can go.

    A run that was interrupted continues by itself. Exit code 1 if a secret could not be opened.
    """
    api = api_of(flags)
    task = api.call("POST", "/reseal")
    while task["status"] == "running":
        threading.Event().wait(ASK_AGAIN_S)
        task = api.call("GET", f"/background-task/{task['id']}")
    data = task["data"]
    unreadable = data.get("skipped", {}).get("unreadable", 0)
    print(f"{data.get('count', 0)} sealed anew, {unreadable} could not be opened")
    return 0 if task["status"] == "finished" and not unreadable else 1


def delete_key(key_id: str, flags: RemoteFlags | None = None) -> None:
    """Delete an API key; it stops working at once.

    Parameters
    ----------
    key_id
        The id that `tillbell key list` shows.
    """
    api_of(flags).call("DELETE", f"/key/{_quoted(key_id)}")


ASK_AGAIN_S = 0.2  # whether a task has finished
_MESSAGE_ID = "msg_"  # how ids of messages begin
_TIMES = (("since", "since"), ("next attempt", "nextAt"))


def _quoted(value: str) -> str:
    return urllib.parse.quote(value, safe="")


def api_of(flags: RemoteFlags | None) -> ApiClient:
    """Return a client of the gateway of the settings, with its admin key."""
    from tillbell.cli.client import ApiClient

    settings = load_settings(flags).settings
    if settings.admin_key is None:
        raise Misconfigured("set TILLBELL_ADMIN_KEY (or …_FILE) to a key of the gateway")
    return ApiClient(settings.public_url or settings.local_url, settings.admin_key)


def _payload(payload: str | None, event_type: str) -> Any:
    if payload is None:
        from tillbell.catalog import CATALOG

        if event_type not in CATALOG:
            raise Misconfigured(f"{event_type} has no sample; give --payload")
        return CATALOG[event_type].sample
    try:
        text = sys.stdin.read() if payload == "-" else _text(payload)
        return json.loads(text)
    except (OSError, ValueError) as error:
        raise Misconfigured(f"payload: {error}") from error


def _text(value: str) -> str:
    return Path(value[1:]).read_text(encoding="utf-8") if value.startswith("@") else value
