"""Sending a request in a test."""

from __future__ import annotations

from dataclasses import dataclass

from tests.patience import PATIENCE_S
from tillbell.http.address_policy import AddressPolicy, Target
from tillbell.http.client import HttpClient
from tillbell.model.messages import Reply

_OPEN = AddressPolicy(("127.0.0.0/8", "::1/128"), allow_http=True)


def head_of(target: Target, *headers: str) -> bytes:
    lines = ["", *headers, ""] if headers else ["", ""]
    request_line = b"POST " + target.path + b" HTTP/1.1\r\nHost: " + target.host_header
    return request_line + "\r\n".join(lines).encode()


@dataclass
class Post:
    """Posts to URLs of loopback receivers."""

    sender: HttpClient

    async def __call__(
        self, url: str, body: bytes = b"{}", *headers: str, timeout_s: float = PATIENCE_S
    ) -> Reply:
        target = _OPEN.check_url(url)
        return await self.sender.send(target, head_of(target, *headers), body, timeout_s)
