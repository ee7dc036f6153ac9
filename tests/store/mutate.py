"""Plant faults in the statements and see whether the tests notice.

    python -m tests.store.mutate [name …]

Each mutant runs the conformance suite and the simulation in a process of its own. A mutant
that survives names the test that is missing.
"""

from __future__ import annotations

import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple

import pytest

from tillbell.storage.sqlite import connection

FOLDER = Path(__file__).parent


class Mutant(NamedTuple):
    """One fault: in this statement, this text for that one."""

    fault: str
    statement: str
    text: str
    instead: str


MUTANTS = [
    Mutant("settle ignores the token", "finish_attempt", "token = to_.column3 AND ", ""),
    Mutant("settle ignores the state", "finish_attempt", " AND state = 'sending'", ""),
    Mutant("accepts newer tokens", "finish_attempt", "token = to_.column3", "token >= to_.column3"),
    Mutant("accepts older tokens", "finish_attempt", "token = to_.column3", "token <= to_.column3"),
    Mutant(
        "settle forgets the due time",
        "finish_attempt",
        "iif(to_.column4 = 'waiting', to_.column5, due_at)",
        "due_at",
    ),
    Mutant(
        "settle moves terminal due times",
        "finish_attempt",
        "iif(to_.column4 = 'waiting', to_.column5, due_at)",
        "to_.column5",
    ),
    Mutant("settle leaves the attempt open", "finish_attempt", ", started_at = NULL", ""),
    Mutant("counting mixes endpoints", "by_state", "d.endpoint_id = :endpoint_id AND ", ""),
    Mutant("counting mixes applications", "by_state", " AND d.app_id = :app_id", ""),
    Mutant("counting misses the first", "by_state", "d.id >= :low", "d.id > :low"),
    Mutant(
        "tried and untried are the same",
        "deliveries_of_endpoint",
        "AND (:tried IS NULL OR",
        "AND (1 OR :tried IS NULL OR",
    ),
    Mutant("the lease is not applied", "lease", "due_at = to_.column3", "due_at = due_at"),
    Mutant("the lease does not count attempts", "lease", "attempts + 1", "attempts"),
    Mutant("the lease does not count tries", "lease", "tries = to_.column5", "tries = tries"),
    Mutant("the lease keeps its token", "lease", "token + 1", "token"),
    Mutant("the lease has no start", "lease", "started_at = to_.column4", "started_at = NULL"),
    Mutant("due is < for waiting", "due_deliveries", "due_at <= ?3", "due_at < ?3"),
    Mutant("what is not due is claimed", "due_deliveries", "AND d.due_at <= ?3 ", "AND ?3 "),
    Mutant("what does not wait is claimed", "due_deliveries", " AND d.state = 'waiting'", ""),
    Mutant("due is < for lost leases", "expired_leases", "due_at <= ?1", "due_at < ?1"),
    Mutant("lost leases stay lost", "expired_leases", "'sending'", "'none'"),
    Mutant("running leases are claimed", "expired_leases", "AND due_at <= ?1 ", "AND ?1 "),
    Mutant(
        "the newest lost lease goes first", "expired_leases", "ORDER BY due_at", "ORDER BY -due_at"
    ),
    Mutant("the order key is ignored", "due_deliveries", "d.held = 0 AND ", ""),
    Mutant("newest due first", "due_deliveries", "ORDER BY d.due_at", "ORDER BY -d.due_at"),
    Mutant("any due first", "due_deliveries", "ORDER BY d.due_at, ", "ORDER BY "),
    Mutant(
        "claims ignore the variant", "due_deliveries", "b.variant = d.variant", "b.variant = ''"
    ),
    Mutant(
        "lost claims ignore the variant",
        "deliveries_with_expired_leases",
        "b.variant = d.variant",
        "b.variant = ''",
    ),
    Mutant(
        "an order key is shared by endpoints",
        "hold_back_order_key",
        "endpoint_id = ?2 AND ",
        "?2 <> '' AND ",
    ),
    Mutant("the line is never held", "hold_back_order_key", "held = 1", "held = 0"),
    Mutant(
        "the last of the line goes first",
        "release_next_of_order_key",
        "ORDER BY id",
        "ORDER BY id DESC",
    ),
    Mutant(
        "the line does not wait for the one being sent",
        "release_next_of_order_key",
        "state = 'sending')",
        "state = 'none')",
    ),
    Mutant("the line does not move", "release_next_of_order_key", "SET held = 0", "SET held = 1"),
    Mutant("renew ignores the token", "renew", " AND token = to_.column3", ""),
    Mutant("renew ignores the state", "renew", " AND state = 'sending'", ""),
    Mutant("release ignores the token", "release", "token = ?3 AND ", ""),
    Mutant("release ignores the state", "release", " AND state = 'sending'", ""),
    Mutant("release counts the attempt", "release", "attempts - 1", "attempts"),
    Mutant("release counts the try", "release", "tries - 1", "tries"),
    Mutant("release keeps the due time", "release", "due_at = ?4", "due_at = due_at"),
    Mutant("orphans lose a try", "requeue", "tries = ?4", "tries = tries + 0 * ?4"),
    Mutant("orphans keep their lease", "requeue", "due_at = ?3", "due_at = due_at"),
    Mutant("orphans keep their state", "requeue", "state = 'waiting', ", ""),
    Mutant("dedupe across applications", "find_event_ids", "m.app_id = wanted.column1 AND ", ""),
    Mutant("no dedupe", "find_event_ids", "?1, ?2", "?1, ?2 || 'x'"),
    Mutant("idempotency keys forgotten", "find_idempotency_keys", "?1", "?1 || 'x'"),
    Mutant("answers forgotten", "find_idempotency", "key = ?1", "key = ?1 || 'x'"),
    Mutant("bodies do not expire", "insert_body", "?4, ?5", "?4, iif(?5, NULL, NULL)"),
    Mutant("added bodies do not expire", "add_body", "payload.expires_at FROM", "NULL FROM"),
    Mutant(
        "deleted payloads come back",
        "add_body",
        "payload.variant = ''",
        "1 UNION ALL SELECT ?2, ?3, ?4, NULL WHERE 1",
    ),
    Mutant(
        "deliveries added to any application", "may_add_delivery", "app_id = ?2 AND", "?2 <> '' AND"
    ),
    Mutant("existing deliveries added again", "may_add_delivery", "NOT EXISTS", "EXISTS"),
    Mutant("resend begins a new run always", "resend", "iif(state = 'waiting', tries, 0)", "0"),
    Mutant(
        "resend goes on with the old run", "resend", "iif(state = 'waiting', tries, 0)", "tries"
    ),
    Mutant("resend loses the place", "resend", "min(due_at, ?3)", "?3"),
    Mutant(
        "resend keeps the due time", "resend", "min(due_at, ?3), ?3)", "min(due_at, ?3), due_at)"
    ),
    Mutant("resend is not manual", "resend", "trigger = ?4", "trigger = iif(?4, trigger, trigger)"),
    Mutant("discard takes running leases", "discardable", " AND due_at <= ?3", " AND ?3"),
    Mutant("discard leaves lost leases", "discardable", "state = 'sending'", "state = 'none'"),
    Mutant(
        "discard takes any endpoint",
        "discardable",
        "endpoint_id = ?2 AND app_id = ?1 AND state = 'waiting'",
        "state = 'waiting'",
    ),
    Mutant("discard has no limit", "discardable", "LIMIT ?4", "LIMIT ?4 * 1000"),
    Mutant("an ended delivery keeps its start", "end", ", started_at = NULL", ""),
    Mutant("expunge ignores the application", "message_exists", "app_id = ?1 AND", "?1 <> '' AND"),
    Mutant(
        "expunging an answer ignores the application",
        "expunge_attempt",
        " AND app_id = ?1",
        " AND ?1 <> ''",
    ),
    Mutant("an own expiry does not overrule age", "expired_bodies", " AND expires_at IS NULL", ""),
    Mutant("expiry is one off", "expired_bodies", "expires_at <= ?2", "expires_at < ?2"),
    Mutant(
        "bodies go from under an attempt",
        "expired_bodies",
        "d.state = 'sending'",
        "d.state = 'none'",
    ),
    Mutant("lost leases keep bodies for ever", "expired_bodies", " AND d.due_at > ?2", ""),
    Mutant(
        "any variant goes from under an attempt",
        "expired_bodies",
        "d.variant = stale.variant AND ",
        "d.variant <> stale.variant AND ",
    ),
    Mutant(
        "deliveries without body wait on", "messages_without_body", "'waiting', 'sending'", "'none'"
    ),
    Mutant(
        "deliveries of other bodies fail",
        "messages_without_body",
        "d.variant = ?3 AND",
        "?3 IS NOT NULL AND",
    ),
    Mutant(
        "purge takes open deliveries",
        "delete_deliveries",
        "AND state NOT IN ('waiting', 'sending')",
        "",
    ),
    Mutant(
        "purge takes attempts of open deliveries",
        "delete_attempts",
        "AND d.state NOT IN ('waiting', 'sending')",
        "",
    ),
    Mutant("purge has no limit for attempts", "delete_attempts", "LIMIT ?2", "LIMIT ?2 * 1000"),
    Mutant("purge takes messages in use", "expired_messages", "NOT EXISTS", "1 OR NOT EXISTS"),
    Mutant(
        "purge looks at one application",
        "expired_messages",
        "app_id > apps.app_id",
        "app_id > '~'",
    ),
    Mutant("purge takes young messages", "expired_messages", "AND m.id < ?1", "AND m.id <> ?1"),
    Mutant(
        "idempotency keys never go", "delete_idempotency", "created_at < ?1", "created_at < 0 * ?1"
    ),
    Mutant(
        "idempotency keys go early", "delete_idempotency", "created_at < ?1", "created_at <= ?1"
    ),
    Mutant(
        "counters are off",
        "add_totals",
        "failed = failed + excluded.failed",
        "failed = excluded.failed",
    ),
    Mutant(
        "counters never fall",
        "add_totals",
        "waiting + excluded.waiting",
        "waiting + max(0, excluded.waiting)",
    ),
    Mutant("totals mix endpoints", "totals", "endpoint_id = ?2 AND", "?2 IS NOT NULL AND"),
    Mutant("totals mix applications", "totals", "app_id = ?1 AND", "?1 IS NOT NULL AND"),
    Mutant("totals count an hour too many", "totals", "hour < ?4", "hour <= ?4"),
    Mutant("totals miss the first hour", "totals", "hour >= ?3", "hour > ?3"),
    Mutant(
        "uids are shared by scopes", "record_id_of_uid", "scope = ?2 AND ", "?2 IS NOT NULL AND "
    ),
    Mutant("a uid clashes with itself", "record_id_of_uid", " AND id <> ?4", " AND ?4 <> ''"),
    Mutant("a uid is never taken", "record_id_of_uid", "uid = ?3", "uid = ?3 || 'x'"),
    Mutant("a uid wins over an id", "record", "DESC", "ASC"),
    Mutant("records of any scope", "record", "scope = ?2 AND", "?2 IS NOT NULL AND"),
    Mutant("putting does not rename", "put_record", "uid = excluded.uid, ", ""),
    Mutant("removing ignores the scope", "delete_record", "scope = ?2 AND", "?2 IS NOT NULL AND"),
    Mutant("an application leaves its things", "delete_scope", "scope = ?1", "scope = ?1 || 'x'"),
    Mutant(
        "lanes forget leases",
        "due_lanes",
        "WHERE state = 'sending' AND endpoint_id",
        "WHERE state = 'none' AND endpoint_id",
    ),
    Mutant("lanes are due when held ones are", "due_lanes", " AND d.held = 0", ""),
    Mutant(
        "lanes start over",
        "due_lanes",
        "state = 'waiting' AND endpoint_id > :after",
        "state = 'waiting' AND :after >= ''",
    ),
    Mutant(
        "next due forgets leases", "next_due", "WHERE state = 'sending'", "WHERE state = 'none'"
    ),
    Mutant("next due of held ones", "next_due", " AND d.held = 0", ""),
    Mutant(
        "messages of any application by event id",
        "message",
        "m.app_id = :app_id AND",
        ":app_id <> '' AND",
    ),
    Mutant("an event id wins over an id", "message", "DESC", "ASC"),
    Mutant(
        "deliveries of any application", "delivery", " AND d.app_id = :app_id", " AND :app_id <> ''"
    ),
    Mutant(
        "attempts of any application", "attempt", " AND a.app_id = :app_id", " AND :app_id <> ''"
    ),
    Mutant(
        "a message shows any endpoint's attempts",
        "attempts_of_message",
        "OR a.endpoint_id = :endpoint_id",
        "OR 1",
    ),
    Mutant(
        "the first attempt is taken for the last",
        "select_deliveries",
        "ORDER BY a.id DESC",
        "ORDER BY a.id",
    ),
    Mutant(
        "missing looks at any endpoint", "messages_with_sent_flag", ":endpoint_tail || '~'", "'~'"
    ),
    Mutant("filters ignore channels", "messages", "WHERE value = :channel", "WHERE :channel <> ''"),
    Mutant(
        "filters take tags for channels", "messages", "json_each(m.tags)", "json_each(m.channels)"
    ),
    Mutant("attempts ignore success", "attempts_of_endpoint", "= :succeeded)", "<> 2)"),
    Mutant(
        "attempts repeat where a page begins",
        "attempts_of_endpoint",
        "> (:low_at, :low)",
        ">= (:low_at, :low)",
    ),
    Mutant(
        "attempts repeat where a page ends",
        "attempts_of_endpoint",
        "< (:high_at, :high)",
        "<= (:high_at, :high)",
    ),
]


def plant(mutant: Mutant) -> None:
    """Put the fault into every form of its statement."""
    planted = 0
    known = connection.sql._statements
    for key, text in known.items():
        if key[0] == mutant.statement and mutant.text in text:
            known[key] = text.replace(mutant.text, mutant.instead)
            planted += 1
    assert planted, f"{mutant.fault}: {mutant.text!r} is not in {mutant.statement}"


def run_one(number: int) -> int:
    """Run the tests with one fault planted (none: -1); 0 if they did not notice."""
    if number >= 0:
        plant(MUTANTS[number])
    skipped = [f"--ignore={FOLDER / name}" for name in ("test_statements.py", "test_sqlite.py")]
    options = ["-x", "-q", "-p", "no:cacheprovider", "--timeout=20"]
    return pytest.main([str(FOLDER), *skipped, *options])


def judge(number: int) -> str:
    """Run one mutant in its own process."""
    command = [sys.executable, "-m", "tests.store.mutate", "--one", str(number)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if "is not in" in done.stderr:
        return "not planted"
    return "survived" if done.returncode == 0 else "killed"


def main(wanted: list[str]) -> int:
    """Judge all mutants, or those whose fault contains one of the words."""
    chosen = [
        n for n, m in enumerate(MUTANTS) if not wanted or any(word in m.fault for word in wanted)
    ]
    if judge(-1) != "survived":
        print("The tests fail without any fault planted: nothing can be said.")
        return 2
    with ThreadPoolExecutor(2) as pool:
        verdicts = list(pool.map(judge, chosen))
    for number, verdict in zip(chosen, verdicts, strict=True):
        print(f"{verdict:12} {MUTANTS[number].statement:24} {MUTANTS[number].fault}")
    print(f"{verdicts.count('killed')} of {len(verdicts)} killed")
    return int(verdicts.count("killed") != len(verdicts))


if __name__ == "__main__":
    arguments = sys.argv[1:]
    sys.exit(run_one(int(arguments[1])) if arguments[:1] == ["--one"] else main(arguments))
