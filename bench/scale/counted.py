"""The PostgreSQL store with its statements counted: what crosses the wire, and how often."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from tillbell.storage.link import Bindings, Row
from tillbell.storage.postgres import PostgresDatabase
from tillbell.storage.postgres_link import PostgresLink, open_link


class CountedLink(PostgresLink):
    """A link that counts how often it waits for the server."""

    round_trips = 0

    def rows(self, name: str, bindings: Bindings = (), *chosen: int) -> list[Row]:
        """See `Link.rows`."""
        CountedLink.round_trips += 1
        return super().rows(name, bindings, *chosen)

    def many(self, name: str, bindings: Iterable[Sequence[Any]]) -> int:
        """See `Link.many`; the driver sends them all, then reads all answers."""
        CountedLink.round_trips += 1
        return super().many(name, bindings)

    def bulk(self, name: str, bindings: Sequence[Sequence[Any]]) -> int:
        """See `Link.bulk`."""
        CountedLink.round_trips += 1
        return super().bulk(name, bindings)

    def lock(self, keys: Iterable[tuple[str, ...]]) -> None:
        """See `Link.lock`."""
        CountedLink.round_trips += 1
        super().lock(keys)

    def notify(self, text: str) -> None:
        """See `Link.notify`."""
        CountedLink.round_trips += 1
        super().notify(text)


class CountedDatabase(PostgresDatabase):
    """The store, on counted links."""

    def _connect(self) -> PostgresLink:
        return CountedLink(open_link(self._url).connection)
