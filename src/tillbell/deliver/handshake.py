"""Handshake: ask a receiver whether it accepts CloudEvents from this server.

An `OPTIONS` request carries `WebHook-Request-Origin`; the receiver agrees with a 2xx whose
`WebHook-Allowed-Origin` is that origin or `*`. It may grant a rate with `WebHook-Allowed-Rate`, in
requests a minute. Permission by a later call
(`WebHook-Request-Callback`) is not supported: without an answer now the endpoint is not saved.

Source: CloudEvents HTTP 1.1 Web Hooks 1.0.2, section 4 (abuse protection).
"""

from __future__ import annotations

import re
from typing import NamedTuple

from tillbell.http.address_policy import AddressPolicy
from tillbell.http.answer_head import final_head
from tillbell.http.client import HttpClient
from tillbell.model.messages import Reply

TIMEOUT_S = 10.0
_ALLOWED = re.compile(rb"(?im)^webhook-allowed-origin:[ \t]*([!-~]+)[ \t]*\r?$")
_RATE = re.compile(rb"(?im)^webhook-allowed-rate:[ \t]*([0-9]{1,9})[ \t]*\r?$")


class Permission(NamedTuple):
    """What a receiver answered."""

    refusal: str | None  # why it does not agree, as text for a person
    allowed_rate: int | None = None  # requests a minute; None: any number


class Handshake:
    """Asks in the name of one origin, the host that others know this server by."""

    def __init__(
        self, http_client: HttpClient, policy: AddressPolicy, origin: str, user_agent: str
    ) -> None:
        self._http_client = http_client
        self._policy = policy
        self._origin = origin
        self._user_agent = user_agent

    async def ask(self, url: str) -> Permission:
        """Ask a receiver. `Invalid` if the URL may not be called."""
        target = self._policy.check_url(url)
        head = (
            b"OPTIONS " + target.path + b" HTTP/1.1\r\nHost: " + target.host_header + b"\r\n"
            b"User-Agent: " + self._user_agent.encode() + b"\r\n"
            b"WebHook-Request-Origin: " + self._origin.encode() + b"\r\n"
        )
        reply = await self._http_client.send(target, head, b"", TIMEOUT_S)
        return _judge(reply, self._origin)


def _judge(reply: Reply, origin: str) -> Permission:
    if reply.error:
        return Permission(f"The receiver did not answer the handshake: {reply.detail}")
    head = final_head(reply.head)
    match = _ALLOWED.search(head)
    allowed = match[1].decode("ascii").lower() if match else ""
    rate = _RATE.search(head)
    if rate and int(rate[1]) == 0:
        return Permission("The receiver allows no requests (WebHook-Allowed-Rate: 0).")
    if 200 <= reply.status <= 299 and allowed in ("*", origin.lower()):
        return Permission(None, int(rate[1]) if rate else None)
    header = f"WebHook-Allowed-Origin: {allowed[:100]}" if allowed else "no WebHook-Allowed-Origin"
    return Permission(
        f"The receiver answered OPTIONS with {reply.status} and {header}; "
        f"it must be 2xx and allow {origin} or *."
    )
