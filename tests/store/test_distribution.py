"""Every table that grows can be spread by application, and is asked by application."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator

import psycopg
import pytest

from tillbell.storage.postgres.connection import connect_postgres
from tillbell.storage.session.migrate import migrate
from tillbell.storage.session.statements import load

Connection = psycopg.Connection[tuple[object, ...]]
# Small tables that are the same everywhere, or are in one place only.
APART = {
    "records": "what users configure: every process has it in memory",
    "record_changes": "what every process is to read again",
    "idempotency": "keys of callers; a day of them",
    "members": "the processes",
    "leadership": "one row",
    "migrations": "one row a version",
    "moves": "at most one row",
    "people": "a person sees more than one application",
    "sessions": "of people; those that have ended are deleted",
    "one_time_links": "of people; a day of them",
    "rollup_progress": "one row",
    "audit_chain": "one row",
    "inbox_requests": "an inbox may belong to no application; at most 500 of each",
    "inbox_totals": "one row an inbox",
}
# Statements that look at all applications at once, none of them once a message.
OF_ALL = {
    "to list over all applications, for keys that see all": {
        "all_callbacks",
        "all_conflicts",
        "all_transactions",
        "app_of_endpoint",
        "deliveries",
        "failed_deliveries",
        "filtered_attempts",
        "filtered_attempts_end",
        "filtered_attempts_of_id",
        "audit_rows",
        "filtered_audit",
        "shop_record_of_any_scope",
        "shop_records_of_kind",
        "filtered_callbacks",
        "filtered_deliveries",
        "filtered_deliveries_end",
        "refused_by_source",
    },
    "to find what is to be done": {
        "has_order_keys",
        "transactions_to_check",
        "due_lanes",
        "leased_deliveries",
        "expired_leases",
        "callbacks_to_retry",
        "unprocessed_callbacks",
        "sealed_requests",
    },
    "to find the minutes in which anything was counted": {
        "remove_app_minutes",
        "delete_minutes_of_endpoint",
    },
    "to add statistics up": {
        "next_rollup_minute",
        "rollups_of_hour",
        "rollups_of_minute",
    },
    "to delete what is past its time": {
        "delete_attempts",
        "delete_callbacks",
        "cut_audit_log",
        "delete_deliveries",
        "delete_items",
        "delete_keys",
        "delete_markers",
        "delete_rollup_hours",
        "delete_rollup_minutes",
        "free_event_ids",
        "has_attempts",
        "has_deliveries",
        "has_lasting_bodies",
        "has_open_callbacks",
        "has_open_deliveries",
        "expired_bodies",
        "expired_messages",
        "expired_requests",
        "deliveries_of_expiring_bodies",
    },
}
CATALOGUE = """
SELECT relname,
    EXISTS (SELECT 1 FROM pg_attribute
            WHERE attrelid = c.oid AND attname = 'app_id' AND attnotnull) AS has_key,
    ARRAY(SELECT i.indexrelid::regclass::text FROM pg_index i
          WHERE i.indrelid = c.oid AND i.indisunique AND NOT EXISTS (
              SELECT 1 FROM pg_attribute a WHERE a.attrelid = c.oid AND a.attname = 'app_id'
                AND a.attnum = ANY ((i.indkey::int2[])[0:i.indnkeyatts - 1]))) AS without
FROM pg_class c
WHERE relnamespace = current_schema()::regnamespace AND relkind IN ('r', 'p')
  AND NOT relispartition
"""


@pytest.fixture
def connection(used_schema: Callable[[], str]) -> Iterator[Connection]:
    link = connect_postgres(used_schema())
    migrate(link, "postgres", 0)
    link.query("begin")
    yield link.connection
    link.close()


def catalogue(connection: Connection) -> dict[str, tuple[object, object]]:
    """Return of each table whether it holds its application, and which unique indexes do not."""
    return {str(name): (has, lacking) for name, has, lacking in connection.execute(CATALOGUE)}


def unspreadable(connection: Connection) -> dict[str, tuple[object, object]]:
    found = catalogue(connection)
    return {name: said for name, said in found.items() if name not in APART and said != (True, [])}


def test_every_table_that_grows_holds_its_application_in_every_unique_index(
    connection: Connection,
) -> None:
    assert unspreadable(connection) == {}
    assert APART.keys() <= catalogue(connection).keys()


@pytest.mark.parametrize(
    "table",
    [
        "(id text PRIMARY KEY)",
        "(id text PRIMARY KEY, app_id text NOT NULL)",
        "(id text NOT NULL, app_id text, UNIQUE (app_id, id))",
        "(id text, app_id text NOT NULL, PRIMARY KEY (id, app_id), UNIQUE (id))",
        "(id text NOT NULL, app_id text NOT NULL, UNIQUE (id) INCLUDE (app_id))",
    ],
)
def test_a_table_that_could_not_be_spread_is_found(connection: Connection, table: str) -> None:
    connection.execute(f"CREATE TABLE made_up {table}".encode())

    assert unspreadable(connection).keys() == {"made_up"}


# ── the statements ───────────────────────────────────────────────────────────────────────────────


def names_application(statement: str, spread: set[str]) -> bool:
    """Tell whether a statement says of each spread table that it uses whose rows it means."""
    tables = "|".join(sorted(spread))
    used = len(re.findall(rf"\b(?:FROM|JOIN|UPDATE) (?:{tables})\b", statement))
    said = len(re.findall(r"\bapp_id = ", statement))
    into = re.findall(rf"INSERT INTO (?:{tables})\s*\(([^)]*)\)", statement)
    return said >= used and all("app_id" in columns for columns in into)


def test_a_statement_names_the_application_whose_rows_it_means(connection: Connection) -> None:
    spread = catalogue(connection).keys() - APART.keys()
    unnamed = {
        name.split(":")[0]
        for name, text in load("postgres").all().items()
        if not name.startswith("move_") and not names_application(text, spread)
    }

    known = {name for names in OF_ALL.values() for name in names}
    assert sorted(unnamed - known) == []
    assert sorted(known - unnamed) == []


@pytest.mark.parametrize(
    "statement",
    [
        "SELECT 1 FROM deliveries WHERE id = ?1",
        "SELECT 1 FROM deliveries d JOIN messages m ON m.id = d.id WHERE d.app_id = ?1",
        "UPDATE deliveries SET held = 0 WHERE id = ?1",
        "INSERT INTO deliveries (id) VALUES (?1)",
    ],
)
def test_a_statement_that_names_no_application_is_found(statement: str) -> None:
    assert not names_application(statement, {"deliveries", "messages"})
