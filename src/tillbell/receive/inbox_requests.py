"""Requests to inboxes: stored and sealed before they are answered, opened to be shown."""

from __future__ import annotations

import asyncio
from collections import Counter
from typing import NamedTuple

import msgspec

from tillbell.clock import DAY, SECOND, Clock, Micros
from tillbell.model.inboxes import Inbox, InboxRequest, NewInboxRequest
from tillbell.providers.kit.base import Incoming
from tillbell.receive.inbox_cache import INBOX_PATH
from tillbell.receive.inbox_news import InboxNews
from tillbell.storage.ports.database import Database
from tillbell.vault import Vault

BYTES_MAX = 64 * 2**20  # of the bodies that one inbox holds
DELAYED_MAX = 200  # answers of this process that wait
DELAYED_OF_ONE = 20  # of one inbox


class InboxHead(NamedTuple):
    """A request without its body: the target and the header lines as they were sent."""

    target: bytes  # path and query
    headers: tuple[tuple[bytes, bytes], ...]  # name and value, in their order and spelling
    address: str  # of the client, through trusted proxies only
    is_proxied: bool

    @property
    def path(self) -> str:
        """What stands behind the inbox's URL, with the slash; "" for nothing."""
        path = self.target.partition(b"?")[0].decode("latin-1")
        behind = path.partition(INBOX_PATH)[2]
        return "".join(behind.partition("/")[1:])

    @property
    def query(self) -> str:
        """The query as it was sent, without the question mark."""
        return self.target.partition(b"?")[2].decode("latin-1")


class OpenedRequest(NamedTuple):
    """A stored request, opened. `body` is None if it was not read."""

    row: InboxRequest
    head: InboxHead
    body: bytes | None

    def incoming(self, origin: str) -> Incoming:
        """Return it as an adapter takes it, at the time at which it came."""
        return Incoming(
            method=self.row.method,
            target=self.head.target.decode("latin-1"),
            headers=tuple(
                (name.decode("latin-1").lower(), value.decode("latin-1"))
                for name, value in self.head.headers
            ),
            body=self.body or b"",
            received_at=self.row.received_at,
            peer=self.head.address,
            origin=origin,
            is_proxied=self.head.is_proxied,
        )


_encode = msgspec.msgpack.encode
_decode = msgspec.msgpack.Decoder(InboxHead).decode


def sealed_for(inbox_id: str, received_at: Micros) -> str:
    """Return the context for which a request is sealed. Its id is not known before the commit."""
    return f"{inbox_id} {received_at}"


class InboxIntake:
    """Takes requests to inboxes."""

    def __init__(self, database: Database, vault: Vault, news: InboxNews) -> None:
        self._database = database
        self._vault = vault
        self._news = news

    async def store(
        self, inbox: Inbox, method: str, head: InboxHead, body: bytes, now: Micros
    ) -> InboxRequest | None:
        """Store a request; None if its inbox is gone."""
        context = sealed_for(inbox.id, now)
        stored = await self._database.add_inbox_request(
            NewInboxRequest(
                inbox_id=inbox.id,
                app_id=inbox.scope,
                received_at=now,
                expires_at=now + inbox.retention_days * DAY,
                method=method,
                size=len(body),
                head=self._vault.seal_bytes(_encode(head), context),
                body=self._vault.seal_bytes(body, context),
                requests_max=inbox.requests_max,
                bytes_max=BYTES_MAX,
            )
        )
        if stored is not None:
            self._news.tell(inbox.id)
        return stored

    def opened(self, row: InboxRequest) -> OpenedRequest:
        """Open a stored request. `Misconfigured` as `Vault.open` raises it."""
        context = sealed_for(row.inbox_id, row.received_at)
        head = _decode(self._vault.open_bytes(row.head, context))
        body = self._vault.open_bytes(row.body, context) if row.body is not None else None
        return OpenedRequest(row, head, body)


class AnswerDelays:
    """Answers of inboxes that wait for as long as their owners chose. They hold no request."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._waiting = Counter[str]()  # by inbox
        self._stopped = asyncio.Event()

    def stop(self) -> None:
        """End all delays: the process stops."""
        self._stopped.set()

    async def wait(self, inbox: Inbox) -> bool:
        """Wait as long as the inbox says; False at once if too many answers wait already."""
        if not inbox.answer_delay_ms:
            return True
        is_full = self._waiting[inbox.id] >= DELAYED_OF_ONE
        if is_full or self._waiting.total() >= DELAYED_MAX:
            return False
        self._waiting[inbox.id] += 1
        is_over = asyncio.Event()
        at = self._clock.now() + inbox.answer_delay_ms * SECOND // 1000
        alarm = self._clock.call_at(at, is_over.set)
        waits = [asyncio.ensure_future(event.wait()) for event in (is_over, self._stopped)]
        try:
            await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
        finally:
            alarm.cancel()
            for each in waits:
                each.cancel()
            self._waiting[inbox.id] -= 1
            if not self._waiting[inbox.id]:
                del self._waiting[inbox.id]
        return True
