"""The PostgreSQL store with its waits counted: how often a commit waits for the server."""

from __future__ import annotations

from tillbell.storage.postgres.connection import PostgresConnection, connect_postgres
from tillbell.storage.postgres.database import PostgresDatabase
from tillbell.storage.postgres.pipeline import Pipeline


class Trips:
    """How many round trips there were."""

    count = 0


class CountedBurst(Pipeline):
    """A burst that counts its exchanges."""

    def sync(self) -> None:
        """See `Pipeline.sync`."""
        Trips.count += 1
        super().exchange()


class CountedLink(PostgresConnection):
    """A link that counts how often it waits for the server."""

    def enable_pipeline(self) -> None:
        """See `PostgresConnection.enable_pipeline`."""
        super().own()
        self._pipeline = CountedBurst(self.connection, self.connection.patience_s)

    def execute_script(self, text: str) -> None:
        """See `DbConnection.execute_script`."""
        Trips.count += 1
        super().script(text)


class CountedDatabase(PostgresDatabase):
    """The store, on counted links."""

    def _connect(self) -> PostgresConnection:
        link = CountedLink(connect_postgres(self._url).connection)
        link.enable_pipeline()
        return link
