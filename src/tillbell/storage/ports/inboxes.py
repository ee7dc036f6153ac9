"""The port to the database for the requests that came to inboxes.

It promises what outbound.py promises. An inbox itself is a record. Each promise below has a test of
that name in tests/store, which runs over every database.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple, Protocol

from tillbell.clock import Micros
from tillbell.model.inboxes import (
    InboxRequest,
    InboxTotals,
    NewInboxRequest,
    SealedInboxRequest,
)
from tillbell.storage.ports.outbound import Page


class InboxFilter(NamedTuple):
    """Which requests are listed: `since` ≤ received < `until`."""

    since: Micros | None = None
    until: Micros | None = None
    body_max: int = 0  # bodies of at most so many bytes are read; others are None


class InboxStore(Protocol):
    """Reads and writes of requests to inboxes."""

    async def add_inbox_request(self, request: NewInboxRequest) -> InboxRequest | None:
        """Store a request under the next number; None, and nothing is stored, without its inbox.

        The number rises in the order of the commits, by whichever process. The oldest requests go
        until the inbox holds at most so many, and so many bytes, as the request says. The request
        itself stays, whatever its size.
        """
        ...

    async def inbox_requests(
        self, inbox_id: str, filter_: InboxFilter, page: Page
    ) -> list[InboxRequest]:
        """List the requests of an inbox, newest first unless `ascending`."""
        ...

    async def inbox_request(self, inbox_id: str, request_id: str) -> InboxRequest | None:
        """Return a request of an inbox with its body."""
        ...

    async def inbox_totals(self, inbox_ids: Sequence[str]) -> list[InboxTotals]:
        """Return the totals of inboxes, in that order. Clearing and retention lower none."""
        ...

    async def clear_inbox(self, inbox_id: str) -> int:
        """Delete all requests of an inbox; return how many. The numbers go on."""
        ...

    async def delete_inbox_request(self, inbox_id: str, request_id: str) -> bool:
        """Delete one request of an inbox; False if it has none with that id."""
        ...

    async def sealed_inbox_requests(self, after: str, limit: int) -> list[SealedInboxRequest]:
        """Return sealed requests of all inboxes by their ids, after that id."""
        ...

    async def replace_inbox_requests(self, requests: Sequence[SealedInboxRequest]) -> None:
        """Store requests that were sealed anew. One that is gone stays so."""
        ...

    async def purge_inboxes(self, *, now: Micros, limit: int) -> int:
        """Delete at most `limit` requests that have expired; return how many."""
        ...
