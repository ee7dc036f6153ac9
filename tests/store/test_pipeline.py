"""Statements sent at once: their answers, what fails among them, and how seldom one waits."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import closing, suppress

import psycopg
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from psycopg.pq import TransactionStatus

from tests.store.inbound_harness import InboundHarness
from tests.store.outbound_harness import BODY, SUCCEEDED, OutboundHarness
from tillbell.errors import StoreUnavailable
from tillbell.model.messages import Delivery
from tillbell.storage.ports.outbound import DuplicateEventId, Publication, PublicationStored
from tillbell.storage.postgres import binary_arrays
from tillbell.storage.postgres.connection import PostgresConnection, connect_postgres
from tillbell.storage.postgres.database import PostgresDatabase
from tillbell.storage.postgres.pipeline import Pipeline
from tillbell.storage.session.connection import NotCommitted
from tillbell.testing import ManualClock

PATIENCE_S = 30.0


@pytest.fixture
def connection(postgres_url: str) -> Iterator[psycopg.Connection]:
    with closing(psycopg.connect(postgres_url, autocommit=True)) as made:
        made.execute("CREATE TEMP TABLE numbers (number bigint PRIMARY KEY, word text)")
        yield made


@pytest.fixture
def burst(connection: psycopg.Connection) -> Iterator[Pipeline]:
    made = Pipeline(connection, PATIENCE_S)
    made.open()
    yield made
    with suppress(psycopg.Error):
        made.close()


# ── answers ──────────────────────────────────────────────────────────────────────────────────────


def test_each_answer_is_that_of_its_statement(burst: Pipeline) -> None:
    answers = [burst.send("SELECT $1::bigint * 2", [n]) for n in range(200)]
    inserted = burst.send(
        "INSERT INTO numbers SELECT * FROM unnest($1::bigint[], $2::text[])",
        [binary_arrays.numbers([1, 2, 3]), binary_arrays.texts(["a", None, "ü"])],
    )
    found = burst.send("SELECT number, word FROM numbers ORDER BY number", [])

    assert [answer.fetchall() for answer in answers] == [[(2 * n,)] for n in range(200)]
    assert inserted.rowcount == 3
    assert found.fetchall() == [(1, "a"), (2, None), (3, "ü")]


def test_every_type_comes_back(burst: Pipeline) -> None:
    row = burst.send(
        "SELECT $1::text, $2::bytea, $3::bigint, ($3::bigint)::int, ($3::bigint)::smallint, "
        "true, NULL::text, $4::bigint",
        ["ü\0x", b"\0\xff", -7, True],
    )

    assert row.fetchall() == [("ü\ufffdx", b"\0\xff", -7, -7, -7, True, None, 1)]


def test_what_no_statement_is_bound_to_is_refused(burst: Pipeline) -> None:
    with pytest.raises(TypeError, match="float"):
        burst.send("SELECT $1", [1.5])


def test_more_goes_both_ways_than_the_socket_holds(burst: Pipeline) -> None:
    """Neither side waits for the other to read first."""
    word = "x" * 100_000
    answers = [burst.send("SELECT $1::text", [word]) for _ in range(200)]

    assert {answer.fetchall()[0][0] for answer in answers} == {word}


# ── arrays ───────────────────────────────────────────────────────────────────────────────────────

_INT8 = st.integers(-(2**63), 2**63 - 1) | st.booleans() | st.none()
_TEXT = st.text(st.characters(exclude_categories=["Cs"])) | st.none()


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.tuples(_TEXT, _INT8, st.binary() | st.none())))
def test_an_array_is_what_it_was_made_of(
    burst: Pipeline, rows: list[tuple[str | None, int | None, bytes | None]]
) -> None:
    words, integers, raws = [list(one) for one in zip(*rows, strict=True)] or ([], [], [])
    made = [binary_arrays.texts(words), binary_arrays.numbers(integers), binary_arrays.blobs(raws)]
    found = burst.send("SELECT * FROM unnest($1::text[], $2::bigint[], $3::bytea[])", made)
    sizes = burst.send(
        "SELECT coalesce(array_length($1::text[], 1), 0), coalesce(array_lower($1::text[], 1), 1)",
        made[:1],
    )

    stored = [word if word is None else word.replace("\0", "\ufffd") for word in words]
    assert found.fetchall() == list(zip(stored, integers, raws, strict=True))
    assert sizes.fetchall() == [(len(rows), 1)]


# ── what fails ───────────────────────────────────────────────────────────────────────────────────


def test_what_fails_fails_all_after_it_and_the_commit(
    connection: psycopg.Connection, burst: Pipeline
) -> None:
    burst.send("BEGIN", [])
    burst.send("INSERT INTO numbers (number) VALUES ($1)", [1])
    burst.send("INSERT INTO numbers (number) VALUES ($1)", [1])
    burst.send("SELECT no_such_function()", [])
    burst.send("COMMIT", [])
    with pytest.raises(psycopg.errors.UniqueViolation):
        burst.sync()
    burst.close()
    assert connection.info.transaction_status == TransactionStatus.INERROR
    connection.execute("ROLLBACK")

    assert connection.execute("SELECT count(*) FROM numbers").fetchone() == (0,)


def test_a_statement_whose_preparation_never_came_about_is_prepared_again(
    connection: psycopg.Connection, burst: Pipeline
) -> None:
    burst.send("SELECT no_such_function()", [])
    burst.send("SELECT $1::bigint + 1", [1])
    with pytest.raises(psycopg.errors.UndefinedFunction):
        burst.sync()

    assert burst.send("SELECT $1::bigint + 1", [1]).fetchall() == [(2,)]
    assert burst.send("SELECT $1::bigint + 1", [2]).fetchall() == [(3,)]
    with pytest.raises(psycopg.errors.UndefinedFunction):
        burst.send("SELECT no_such_function()", []).fetchall()


def test_a_statement_that_the_server_has_forgotten_fails_once(
    connection: psycopg.Connection, burst: Pipeline
) -> None:
    assert burst.send("SELECT $1::bigint", [1]).fetchall() == [(1,)]
    burst.close()
    connection.execute("DEALLOCATE ALL")
    burst.open()
    with pytest.raises(psycopg.errors.InvalidSqlStatementName):
        burst.send("SELECT $1::bigint", [2]).fetchall()

    assert burst.send("SELECT $1::bigint", [3]).fetchall() == [(3,)]


def test_one_that_is_given_up_leaves_the_connection_as_it_was(
    connection: psycopg.Connection, burst: Pipeline
) -> None:
    burst.send("BEGIN", [])
    burst.send("INSERT INTO numbers (number) VALUES ($1)", [1])
    burst.send("INSERT INTO numbers (number) VALUES ($1)", [1])
    burst.close()
    connection.execute("ROLLBACK")
    burst.open()

    assert burst.send("SELECT count(*) FROM numbers", []).fetchall() == [(0,)]


def test_a_server_that_has_gone_away_is_noticed_before_anything_is_sent(
    postgres_url: str, connection: psycopg.Connection, burst: Pipeline
) -> None:
    assert burst.send("SELECT $1::bigint", [1]).fetchall() == [(1,)]
    burst.close()
    with psycopg.connect(postgres_url, autocommit=True) as other:
        pid = connection.info.backend_pid
        assert other.execute("SELECT pg_terminate_backend(%s, 10000)", [pid]).fetchone() == (True,)

    with pytest.raises(psycopg.OperationalError):
        burst.open()


def test_one_alone_is_asked_and_answered(connection: psycopg.Connection) -> None:
    alone = Pipeline(connection, PATIENCE_S)
    found = alone.query_each("SELECT $1::text", [["x"], ["y"]])
    assert [answer.fetchall() for answer in found] == [[("x",)], [("y",)]]
    with pytest.raises(psycopg.errors.DivisionByZero):
        alone.query_each("SELECT 1 / $1::bigint", [[1], [0], [1]])
    assert not alone.is_open
    assert connection.execute("SELECT 1").fetchone() == (1,)


def test_one_that_dies_while_it_works_is_an_error_of_the_environment(
    postgres_url: str, connection: psycopg.Connection, burst: Pipeline
) -> None:
    burst.send("BEGIN", [])
    answer = burst.send("SELECT pg_terminate_backend(pg_backend_pid()), pg_sleep(60)", [])
    with pytest.raises(psycopg.OperationalError):
        answer.fetchall()


def test_a_server_that_says_nothing_is_given_up(connection: psycopg.Connection) -> None:
    impatient = Pipeline(connection, 0.2)
    impatient.open()
    with pytest.raises(psycopg.OperationalError, match=r"no answer for 0\.2 s"):
        impatient.send("SELECT pg_sleep(5)", []).fetchall()


@pytest.fixture
def link(postgres_url: str) -> Iterator[PostgresConnection]:
    with closing(connect_postgres(postgres_url)) as made:
        made.enable_pipeline()
        made.configure_writer()
        yield made


def test_of_a_server_that_has_died_nothing_is_known_and_the_link_is_of_no_use(
    postgres_url: str, link: PostgresConnection
) -> None:
    pid = link.connection.info.backend_pid
    link.begin(at_once=True)
    asked = link.query_later("database_time")
    with psycopg.connect(postgres_url, autocommit=True) as other:
        other.execute("SELECT pg_terminate_backend(%s, 10000)", [pid])
    with pytest.raises(StoreUnavailable):
        asked.rows()
    with pytest.raises(StoreUnavailable):
        link.rollback()


def test_a_failure_that_nobody_has_seen_is_that_of_the_commit(link: PostgresConnection) -> None:
    link.begin(at_once=True)
    link.execute_each("delete_record", [("kind", "scope", "id")])  # there is no such table
    with pytest.raises(NotCommitted):
        link.commit()
    link.rollback()

    assert len(link.query("database_time")) == 1


# ── the store ────────────────────────────────────────────────────────────────────────────────────


@pytest.fixture
async def outbound(
    used_schema: Callable[[], str], clock: ManualClock
) -> AsyncIterator[OutboundHarness]:
    database = PostgresDatabase(used_schema(), clock)
    await database.open()
    yield OutboundHarness(database, clock)
    await database.close()


@pytest.fixture
def waits(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """A number for each wait for the server."""
    seen: list[int] = []
    exchange = Pipeline.sync

    def counted(self: Pipeline) -> None:
        seen.append(len(seen))
        exchange(self)

    monkeypatch.setattr(Pipeline, "sync", counted)
    return seen


async def _handed_over(outbound: OutboundHarness) -> list[Delivery]:
    return [await outbound.hand_over() for _ in range(5)]


async def test_messages_and_results_of_a_commit_wait_for_the_server_twice(
    outbound: OutboundHarness, waits: list[int]
) -> None:
    held = await _handed_over(outbound)
    waits.clear()
    messages = [outbound.message() for _ in range(20)]
    published = [
        outbound.store.publish(Publication(m, {"": BODY}, [outbound.leased(m, outbound.endpoint)]))
        for m in messages
    ]
    settled = [outbound.store.finish_attempt(outbound.result(delivery)) for delivery in held]

    assert await asyncio.gather(*published) == [PublicationStored()] * 20
    assert await asyncio.gather(*settled) == [True] * 5
    assert len(waits) == 2


async def test_messages_alone_wait_once_and_once_more_for_their_event_ids(
    outbound: OutboundHarness, waits: list[int]
) -> None:
    await asyncio.gather(*(outbound.publish() for _ in range(20)))
    assert len(waits) == 1
    messages = [outbound.message(event_id=f"order-{n}") for n in range(20)]
    again = [outbound.message(event_id=m.event_id) for m in messages]
    made = [outbound.store.publish(Publication(m, {"": BODY}, [])) for m in messages + again]

    assert await asyncio.gather(*made) == [PublicationStored()] * 20 + [
        DuplicateEventId(m.id) for m in messages
    ]
    assert len(waits) == 3


async def test_a_claim_waits_thrice(outbound: OutboundHarness, waits: list[int]) -> None:
    """For the leases that ran out, for what is due, and for the commit."""
    await asyncio.gather(*(outbound.publish() for _ in range(3)))
    waits.clear()

    assert len(await outbound.claim()) == 3
    assert len(waits) == 3


async def test_callbacks_wait_twice(outbound: OutboundHarness, waits: list[int]) -> None:
    """For who holds their dedupe keys, and for the commit."""
    inbound = InboundHarness(outbound)
    await inbound.receive("event-1")
    waits.clear()
    await asyncio.gather(*(inbound.receive(f"event-{n}") for n in range(1, 6)))

    assert len(waits) == 2


async def test_one_that_is_stale_fails_alone(outbound: OutboundHarness) -> None:
    held = await _handed_over(outbound)
    stale = outbound.result(held[2]._replace(token=held[2].token + 1))
    results = [outbound.result(delivery) for delivery in held]
    results[2] = stale

    settled = await asyncio.gather(*map(outbound.store.finish_attempt, results))

    assert settled == [True, True, False, True, True]
    states = [(await outbound.reread(delivery)).state for delivery in held]
    assert [state is SUCCEEDED for state in states] == settled
    assert (await outbound.store.counts()).sending == 1


async def test_one_that_is_wrong_fails_alone(outbound: OutboundHarness) -> None:
    good = [Publication(outbound.message(), {"": BODY}, []) for _ in range(3)]
    wrong = good[0]._replace(message=good[0].message._replace(created_at=2**70))
    outcomes = await asyncio.gather(
        *map(outbound.store.publish, [good[0], wrong, good[1], good[2]]), return_exceptions=True
    )

    assert [outcomes[0], *outcomes[2:]] == [PublicationStored()] * 3
    assert isinstance(outcomes[1], Exception)
