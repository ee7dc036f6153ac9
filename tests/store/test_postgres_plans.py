"""How PostgreSQL goes about the hot statements: by indexes, and in their order."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator

import psycopg
import pytest

from tests.cases import each
from tillbell.storage.postgres.connection import connect_postgres
from tillbell.storage.session.migrate import migrate
from tillbell.storage.session.statements import load

sql = load("postgres")
# Each reads rows by the thousand from tables with millions.
HOT = (
    *(
        "due_deliveries",
        "expired_leases",
        "deliveries_with_expired_leases",
        "lease",
        "finish_attempt",
        "renew",
        "release",
    ),
    *(
        "dedupe_key_owners",
        "callback_states",
        "transaction_states",
        "store_conclusion",
        "known_item_keys",
    ),
    *(
        "same_linked_transaction",
        "refundable_amount",
        "order_key_of",
        "resendable",
        "body",
        "callback_request",
    ),
)
POINTS = (
    *(
        "candidate_transactions",
        "find_candidates",
        "callbacks_awaiting",
        "transaction",
        "callback",
        "message",
        "linked_transactions",
        "conflict",
    ),
    *("transitions", "effects", "callback_request", "record", "transaction_id_of_uid"),
)
WHOSE = {"app_id", "source_id", "kind", "scope"}  # these alone do not say which
EVERY = sorted(
    name
    for name, text in sql.all().items()
    if re.match(r"SELECT|WITH|UPDATE|DELETE|INSERT", text)
    and re.search(r"\?\d|(?<!:):[a-z]", text)  # it is bound to something
    # Those are of a whole application, or of all.
    and name != "last_shop_change"  # one row, the last of its index
    and not name.startswith(("remove_", "delete_scope", "move_read_"))
    and name not in ("end_application_removal", "end_erasure")
)
LISTS = ("due_lanes", "next_due")
_NAMED = re.compile(r"(?<!:):([a-z_]+)\b")


@pytest.fixture(scope="module")
def connection(
    fresh_schema: Callable[[], str],
) -> Iterator[psycopg.Connection[tuple[object, ...]]]:
    """A connection within a transaction of the writer, to a database with nothing in it."""
    link = connect_postgres(fresh_schema())
    migrate(link, "postgres", 0)
    link.query("begin")
    yield link.connection
    link.close()


def plan(connection: psycopg.Connection[tuple[object, ...]], name: str, *forms: str) -> str:
    """Return the plan that is kept for a statement, whatever it is bound to."""
    text = re.sub(r"\?(\d+)", r"$\1", sql(name, *forms)).rstrip(";")
    for number, named in enumerate(dict.fromkeys(_NAMED.findall(text)), 1):
        text = re.sub(rf"(?<!:):{named}\b", f"${number}", text)
    count = max(map(int, re.findall(r"\$(\d+)", text)))
    connection.execute(f"PREPARE planned AS {text}".encode(), prepare=False)
    try:
        nothing = ", ".join(["NULL"] * count)
        rows = connection.execute(f"EXPLAIN EXECUTE planned({nothing})".encode(), prepare=False)
        return "\n".join(str(line) for (line,) in rows)
    finally:
        connection.execute(b"DEALLOCATE planned")


@each("name", HOT + POINTS)
def test_a_plan_made_while_a_table_is_empty_does_not_read_it_from_end_to_end(
    connection: psycopg.Connection[tuple[object, ...]], name: str
) -> None:
    assert "Seq Scan on" not in plan(connection, name)
    assert "->  Hash  (" not in plan(connection, name)


@each("name", LISTS)
def test_lanes_are_found_by_skipping_through_an_index(
    connection: psycopg.Connection[tuple[object, ...]], name: str
) -> None:
    assert "deliveries_default_endpoint_id_held_due_at_id_idx" in plan(connection, name)
    assert "Seq Scan on deliveries" not in plan(connection, name)


def test_what_a_lane_is_due_is_not_sorted(
    connection: psycopg.Connection[tuple[object, ...]],
) -> None:
    assert "Sort" not in plan(connection, "due_deliveries")


def test_attempts_of_an_endpoint_are_read_by_time(
    connection: psycopg.Connection[tuple[object, ...]],
) -> None:
    steps = plan(connection, "attempts_of_endpoint", "descending")
    assert "attempts_default_app_id_endpoint_id_started_at_id_idx" in steps
    assert "Join Filter" not in steps
    assert "Sort" not in steps


@each("statement", EVERY)
def test_nobody_walks_over_all_that_an_application_has(
    connection: psycopg.Connection[tuple[object, ...]], statement: str
) -> None:
    """Such a plan is as cheap as a good one while there is little, and it is kept."""
    name, *forms = statement.split(":")
    found = plan(connection, name, *forms)
    conditions = re.findall(r"Index Cond: (.*)", found)
    keys = [{*re.findall(r"(\w+)\)? [=<>]", condition)} for condition in conditions]
    walks = [one for one in keys if one and one <= WHOSE]

    assert walks == [], found
