"""The PostgreSQL store with its waits counted: how often a commit waits for the server."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from tillbell.storage.burst import Burst
from tillbell.storage.postgres import PostgresDatabase
from tillbell.storage.postgres_link import PostgresLink, open_link


class Trips:
    """How many round trips there were."""

    count = 0


class CountedBurst(Burst):
    """A burst that counts its exchanges."""

    def exchange(self) -> None:
        """See `Burst.exchange`."""
        Trips.count += 1
        super().exchange()


class CountedLink(PostgresLink):
    """A link that counts how often it waits for the server."""

    def own(self) -> None:
        """See `PostgresLink.own`."""
        super().own()
        self._burst = CountedBurst(self.connection.pgconn, self.connection.patience_s)

    def _execute(self, text: str, bindings: Sequence[Any]) -> Any:
        if self._burst is None or not self._burst.is_open:
            Trips.count += 1
        return super()._execute(text, bindings)


class CountedDatabase(PostgresDatabase):
    """The store, on counted links."""

    def _connect(self) -> PostgresLink:
        return CountedLink(open_link(self._url).connection)
