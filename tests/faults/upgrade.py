"""A new version on the tables of an old one: much waits, much is stored, load all the while.

The old API process is killed with everything still to be delivered. A worker of the new version
then brings its tables while the old program takes messages and delivers; both work side by side;
the old one is killed and the new one takes its place.
"""

from __future__ import annotations

import threading
import time
from pathlib import Path
from typing import Self

import psycopg
from bench.gateway import READY_S, GatewayProcess
from bench.postgres_server import PostgresServer

from tests.crash.checker import Hurt
from tests.crash.report import Report
from tests.faults.crew import BEHAVIOURS, Crew, serving
from tests.fleet.upgrading import next_version

LOCK_S = 1.0  # for which anybody may wait for another's lock
TOGETHER_S = 10.0
AFTERWARDS_S = 10.0
_RATE = 1_000.0  # events a second, while what is to wait is published
_SAMPLE_S = 0.005
_POLL_S = 0.1
_OLD, _NEW = 0, 1  # workers
_LONGEST = (
    "SELECT coalesce(max(extract(epoch FROM clock_timestamp() - query_start)), 0)::float "
    "FROM pg_stat_activity WHERE wait_event_type = 'Lock'"
)
# Deliveries of another application that have ended, with their messages and attempts.
_HISTORY = """
WITH made AS MATERIALIZED (
    SELECT n, '01k00000000000' || lpad(to_hex(n), 12, '0') AS id
    FROM generate_series(1, %(rows)s) AS numbers (n)),
new_messages AS (
    INSERT INTO messages (id, app_id, event_type, created_at)
    SELECT 'msg_' || id, 'app_history', 'order.paid', n FROM made),
new_deliveries AS (
    INSERT INTO deliveries (id, app_id, endpoint_id, variant, state, due_at, created_at, attempts,
                            tries, token, trigger)
    SELECT 'dlv_' || id || '0000000000000', 'app_history', 'ep_history', '', 'succeeded', n, n,
           1, 1, 1, 'scheduled' FROM made)
INSERT INTO attempts (id, app_id, endpoint_id, event_type, number, trigger, result, started_at,
                      duration_us, url, status_code, error, detail, response)
SELECT 'atm_' || id || '00000000000000000', 'app_history', 'ep_history', 'order.paid', 1,
       'scheduled', 'succeeded', n, 1000, 'https://example.com/hook', 200, '', '', 'ok' FROM made
"""


class _Waits:
    """Looks how long anybody waits for a lock."""

    def __init__(self, server: PostgresServer) -> None:
        self._server = server
        self._is_over = threading.Event()
        self._thread = threading.Thread(target=self._look)
        self.longest_s = 0.0
        self.looks = 0

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._is_over.set()
        self._thread.join()

    def _look(self) -> None:
        with psycopg.connect(self._server.url(), autocommit=True) as connection:
            while not self._is_over.wait(_SAMPLE_S):
                found = connection.execute(_LONGEST).fetchone()
                assert found is not None
                self.longest_s = max(self.longest_s, found[0])
                self.looks += 1


def run(folder: Path, pending: int, rows: int) -> Report:
    """Run the scenario."""
    report = Report(f"upgrade with {pending:,} pending and {rows:,} stored")
    program = str(next_version(folder / "next"))
    with (
        serving("max_wal_size=4GB") as server,
        Crew(folder, [server.url()] * 3, works=False) as crew,
    ):
        _leave_pending(crew, pending)
        crew.gateway.kill()
        crew.hurts.append(Hurt.at(time.monotonic_ns()))
        _store_history(server, rows)
        crew.gateway.start()
        crew.workers[_OLD].start()
        with crew.load(), _Waits(server) as waits:
            _bring_tables(crew.workers[_NEW], program, report)
            report.figure("pending when the tables were there", crew.pending())
            time.sleep(TOGETHER_S)
            _replace(crew, program)
            time.sleep(AFTERWARDS_S)
        report.figure("longest wait for a lock, s", f"{waits.longest_s:.3f} of {waits.looks} looks")
        report.must(
            waits.longest_s <= LOCK_S, f"somebody waited {waits.longest_s:.2f} s for a lock"
        )
        evidence = crew.conclude(report)
        report.must(len(evidence.account.statuses) > pending, "fewer deliveries than there were")
    return report


def _leave_pending(crew: Crew, pending: int) -> None:
    with crew.load(_RATE) as producer:
        while len(producer.acknowledged) * len(BEHAVIOURS) < pending:
            time.sleep(_POLL_S)


def _store_history(server: PostgresServer, rows: int) -> None:
    with psycopg.connect(server.url(), autocommit=True) as connection:
        connection.execute(_HISTORY, {"rows": rows})
        connection.execute("VACUUM ANALYZE")
        connection.execute("CHECKPOINT")


def _bring_tables(worker: GatewayProcess, program: str, report: Report) -> None:
    """Start a worker of the new version, as often as it gives up because a table is in use."""
    worker.environment["PYTHONPATH"] = program
    began, tries = time.monotonic(), 0
    while True:
        tries += 1
        worker.launch()
        try:
            worker.wait_ready(time.monotonic() + READY_S)
        except RuntimeError:
            if "The database is in use" not in worker.log_tail() or tries == 20:
                raise
        else:
            break
    report.figure("starts until the tables were there", tries)
    report.figure("· seconds", f"{time.monotonic() - began:.2f}")


def _replace(crew: Crew, program: str) -> None:
    """Kill what is left of the old program; start the new one in its place."""
    for process in (crew.gateway, crew.workers[_OLD]):
        process.kill()
        crew.hurts.append(Hurt.at(time.monotonic_ns()))
        process.environment["PYTHONPATH"] = program
        process.launch()
    for process in (crew.gateway, crew.workers[_OLD]):
        process.wait_ready(time.monotonic() + READY_S)
