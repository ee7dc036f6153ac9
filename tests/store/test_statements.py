"""The statements themselves: each is used, and none reads a table from end to end."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import apsw
import pytest

import tillbell.storage
from tests.cases import each
from tillbell.storage.session.migrate import migrate
from tillbell.storage.session.statements import Statements, load
from tillbell.storage.sqlite.connection import open_writer

sql = load("sqlite")
SOURCES = Path(tillbell.storage.__file__).parent
GROWING = (
    "messages|bodies|deliveries|attempts|totals|idempotency|records|shop_records|[mdab]"
    "|callbacks|callback_requests|callback_keys|callback_waits|seen_items"
    "|payment_attempts|sessions|one_time_links"
    "|transactions|transitions|effects|conflicts|audit|[cktsefuwix]|child|parent|sibling"
)
SCAN = re.compile(rf"^SCAN (?:{GROWING})(?: USING (?:COVERING )?INDEX (\w+))?$")
# Read as a whole on purpose: no longer than what is in flight.
SHORT_INDEXES = {"deliveries_leased"}
QUERIES = {
    name: text
    for name, text in sql.all().items()
    if re.match(r"SELECT|WITH|UPDATE|DELETE|INSERT(?!.*VALUES)", text, re.DOTALL)
    and "sqlite_schema" not in text
}


@pytest.fixture(scope="module")
def connection(tmp_path_factory: pytest.TempPathFactory) -> Iterator[apsw.Connection]:
    link = open_writer(tmp_path_factory.mktemp("plans") / "x.db")
    migrate(link, "sqlite", 0)
    yield link.connection
    link.close()


def planned(connection: apsw.Connection, text: str) -> list[str]:
    """Return the lines of a statement's plan."""
    numbers = [int(number) for number in re.findall(r"\?(\d+)", text)]
    nothing = [None] * max(numbers) if numbers else _Nothing()
    return [row[3] for row in connection.execute("EXPLAIN QUERY PLAN " + text, nothing)]


@each("name", QUERIES)
def test_no_statement_reads_a_growing_table_from_end_to_end(
    connection: apsw.Connection, name: str
) -> None:
    if name in ("applied_migrations", "has_order_keys"):  # a handful of rows; stops at the first
        return
    plan = planned(connection, QUERIES[name])
    scans = [match for line in plan if (match := SCAN.match(line))]

    assert {match[1] for match in scans} <= SHORT_INDEXES, plan


def test_a_message_is_found_without_reading_the_others(connection: apsw.Connection) -> None:
    assert "SEARCH m USING PRIMARY KEY (app_id=? AND id=?)" in planned(
        connection, QUERIES["message"]
    )


def test_due_lanes_do_not_read_what_has_ended(connection: apsw.Connection) -> None:
    plan = planned(connection, QUERIES["due_lanes"])
    assert not [line for line in plan if "deliveries_endpoint (endpoint_id>?)" in line], plan


@each("name", [name for name in QUERIES if name.startswith("attempts_of_")])
def test_attempts_of_one_thing_do_not_read_those_of_all(
    connection: apsw.Connection, name: str
) -> None:
    plan = planned(connection, QUERIES[name])
    assert not [line for line in plan if "attempts_started" in line], plan


# Sorted on purpose: of one message, whose attempts stand together by id and are few; and records
# that one text names.
SHORT_LISTS = {"attempts_of_message", "shop_records_named"}
PAGED = [
    name
    for name, text in QUERIES.items()
    if text.rstrip(";").endswith(":limit") and name.split(":")[0] not in SHORT_LISTS
]


@each("name", PAGED)
def test_no_list_is_sorted_before_it_is_cut(connection: apsw.Connection, name: str) -> None:
    plan = planned(connection, QUERIES[name])

    sorts = [line for line in plan if re.search("TEMP B-TREE FOR ORDER BY", line)]
    assert sorts == []


# What only one of them needs: a copy while it is in use, a file of its own; settings that stay,
# locks; other processes, partitions.
PRIVATE = {"begin_reading", "configure", "configure_reader", "copy_anew", "lock_keys"} | {
    "begin_configured",
    "begin_read",
    "configure_connection",
}
OF_MANY = {
    name
    for file in ("cluster.sql", "partitions.sql")
    for name in re.findall(r"-- name: (\w+)", (SOURCES / "postgres/sql" / file).read_text())
}


def test_every_database_has_the_same_statements() -> None:
    only_one = {name.split(":")[0] for name in set(sql.all()) ^ set(load("postgres").all())}

    # A move goes one way: what leaves has statements of its own, and what comes in.
    is_of_move = re.compile(r"move_|\w+_move\b").match
    assert {name for name in only_one if not is_of_move(name)} == PRIVATE | OF_MANY


@pytest.mark.parametrize("dialect", ["sqlite", "postgres"])
def test_every_statement_is_used(dialect: str) -> None:
    program = "".join(path.read_text() for path in SOURCES.rglob("*.py"))
    names = {name.split(":")[0] for name in load(dialect).all()}

    assert {name for name in names if f'"{name}"' not in program} == set()


def test_a_choice_makes_a_statement_in_every_form() -> None:
    text = (
        "-- fragment: columns\na, b\n\n"
        "-- name: x\n-- form {order} down: DESC\n-- form {order} up: ASC\n"
        "-- form {w} plain: p\n-- form {w} equal: q = 1\n"
        "-- Says what it does.\nSELECT {columns} WHERE {w} ORDER BY a {order};\n"
    )
    statements = Statements([text])

    assert statements("x", "up", "plain") == "SELECT a, b WHERE p ORDER BY a ASC;"
    assert statements("x", "down", "equal") == "SELECT a, b WHERE q = 1 ORDER BY a DESC;"


class _Nothing(dict[str, None]):
    """Binds NULL to every name."""

    def __missing__(self, key: str) -> None:
        return None
