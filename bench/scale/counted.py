"""The PostgreSQL store with its waits counted: how often a commit waits for the server."""

from __future__ import annotations

from tillbell.storage.postgres.connection import PostgresLink, open_link
from tillbell.storage.postgres.database import PostgresDatabase
from tillbell.storage.postgres.pipeline import Burst


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
        self._burst = CountedBurst(self.connection, self.connection.patience_s)

    def script(self, text: str) -> None:
        """See `Link.script`."""
        Trips.count += 1
        super().script(text)


class CountedDatabase(PostgresDatabase):
    """The store, on counted links."""

    def _connect(self) -> PostgresLink:
        link = CountedLink(open_link(self._url).connection)
        link.own()
        return link
