"""The PostgreSQL store with its waits counted: how often a commit waits for the server."""

from __future__ import annotations

from tillbell.storage.postgres.connection import PostgresConnection, connect_postgres
from tillbell.storage.postgres.database import PostgresDatabase
from tillbell.storage.postgres.pipeline import Pipeline


class Trips:
    """How many round trips there were."""

    count = 0


class CountedPipeline(Pipeline):
    """A pipeline that counts how often it waits for the server."""

    def sync(self) -> None:
        """Send what is queued and read the answers: one round trip."""
        Trips.count += 1
        super().sync()


class CountedConnection(PostgresConnection):
    """A connection that counts how often it waits for the server."""

    def enable_pipeline(self) -> None:
        """Use a pipeline that counts."""
        super().enable_pipeline()
        self._pipeline = CountedPipeline(self.connection, self.connection.timeout_s)

    def execute_script(self, text: str) -> None:
        """Execute statements without bindings: one round trip."""
        Trips.count += 1
        super().execute_script(text)


class CountedDatabase(PostgresDatabase):
    """The store, on counted connections."""

    def _connect(self) -> PostgresConnection:
        connection = CountedConnection(connect_postgres(self._url).connection)
        connection.enable_pipeline()
        return connection
