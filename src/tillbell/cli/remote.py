"""`tillbell send` and `tillbell key …`: use the API of a running gateway.

The gateway is that of the settings (`public_url`, or host and port). The key is
`TILLBELL_ADMIN_KEY`, or in the file named by `TILLBELL_ADMIN_KEY_FILE`. Keys are never flags,
because every user of the machine can read flags.
"""

from __future__ import annotations

import json
import sys
import urllib.parse
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from cyclopts import Parameter

from tillbell.cli.flags import Flags, load_settings
from tillbell.errors import Misconfigured

if TYPE_CHECKING:
    from tillbell.cli.client import ApiClient


def send(
    app: str,
    event_type: str,
    *,
    payload: Annotated[str | None, Parameter(allow_leading_hyphen=True)] = None,
    event_id: str | None = None,
    flags: Flags | None = None,
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
    message = _api(flags).call("POST", f"/app/{_quoted(app)}/msg", body)
    print(f"{message['id']} {message['eventType']}")


def why(app: str, message: str, endpoint: str | None = None, *, flags: Flags | None = None) -> None:
    """Tell why a message has not reached an endpoint, or that it has.

    Parameters
    ----------
    app
        Id or uid of the application.
    message
        Id or event id of the message.
    endpoint
        Id or uid of the endpoint. Without it every endpoint of the application is told.
    """
    path = f"/app/{_quoted(app)}/msg/{_quoted(message)}"
    if endpoint is not None:
        fates = [_api(flags).call("GET", f"{path}/endpoint/{_quoted(endpoint)}/why")]
    else:
        fates = _api(flags).call("GET", f"{path}/why")["data"]
    for fate in fates:
        times = [f"{name} {fate[key]}" for name, key in _TIMES if fate[key] is not None]
        print("  ".join([*filter(None, [fate.get("endpointId")]), fate["code"], *times]))
        print(f"  {fate['text']}")


def release(flags: Flags | None = None) -> None:
    """Let a gateway send that was started with --hold, with all its processes."""
    _api(flags).call("POST", "/hold/release")
    print("released: deliveries are sent")


def create_key(name: str, *, scopes: list[str] | None = None, flags: Flags | None = None) -> None:
    """Create an API key and print it. It is shown only this once.

    Parameters
    ----------
    name
        A name for people: what the key is for.
    scopes
        What it may do: admin, write, read, publish. Default: write.
    """
    key = _api(flags).call("POST", "/key", {"name": name, "scopes": scopes or ["write"]})
    print(f"{key['id']}  {key['key']}")


def list_keys(flags: Flags | None = None) -> None:
    """List API keys: id, last four characters, scopes, name."""
    api, after = _api(flags), ""
    while True:
        page = api.call("GET", f"/key?limit=250{after}")
        for key in page["data"]:
            print(f"{key['id']}  …{key['last4']}  {','.join(key['scopes']):10}  {key['name']}")
        if page["done"]:
            return
        after = f"&iterator={urllib.parse.quote(page['iterator'])}"


def delete_key(key_id: str, flags: Flags | None = None) -> None:
    """Delete an API key; it stops working at once.

    Parameters
    ----------
    key_id
        The id that `tillbell key list` shows.
    """
    _api(flags).call("DELETE", f"/key/{_quoted(key_id)}")


_TIMES = (("since", "since"), ("next attempt", "nextAt"))


def _quoted(value: str) -> str:
    return urllib.parse.quote(value, safe="")


def _api(flags: Flags | None) -> ApiClient:
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
