"""The demo shows a retry, loses nothing and leaves nothing behind."""

import re
from pathlib import Path

from tests.cli.conftest import tillbell
from tillbell.cli.demo_subscribers import EVENTS, SUBSCRIBERS, DemoJournal, event_of
from tillbell.profiles import PROFILES


def test_the_demo_delivers_everything_and_cleans_up(tmp_path: Path) -> None:
    shown = tillbell("demo", "--messages", "8", TMPDIR=str(tmp_path))
    assert shown.returncode == 0, shown.stdout + shown.stderr
    assert "Traceback" not in shown.stderr
    assert "\x1b" not in shown.stdout
    assert re.search(r"^<-- \[503\] erp .* retry in \d s$", shown.stdout, re.MULTILINE)
    assert re.search(r"^<-- \[200\] erp .*\(attempt \d\)$", shown.stdout, re.MULTILINE)
    closing = re.search(
        r"^published 5 · callbacks 5 · delivered (\d+) · retried (\d+) · failed 0 · lost 0$",
        shown.stdout,
        re.MULTILINE,
    )
    assert closing
    assert int(closing[1]) > 10
    assert re.search(r"^=== PAY-1 Pending → Approved$", shown.stdout, re.MULTILINE)
    assert shown.stdout.count("=== PAY-1 Pending → Approved") == 1
    assert shown.stdout.count("--> allsecure PAY-1 approved") == 2
    assert not list(tmp_path.iterdir())


def test_every_subscriber_speaks_of_what_it_wants() -> None:
    for subscriber in SUBSCRIBERS:
        profile = PROFILES[subscriber.profile]
        for event_type in subscriber.event_types:
            assert profile.parts(event_type, [event_type])


def test_the_events_have_something_for_everybody() -> None:
    for subscriber in SUBSCRIBERS:
        assert set(subscriber.event_types) & set(EVENTS) or subscriber.uid == "treasury"


def test_an_event_is_read_from_each_profile() -> None:
    mozarto = b'{"transaction_status":"On Hold","merchantReference":"PAY-1"}'
    assert event_of("mozarto", mozarto) == "transaction.on_hold PAY-1"
    standard = b'{"type":"email.bounced","data":{"id":"em-3"}}'
    assert event_of("standard", standard) == "email.bounced em-3"
    assert event_of("shoppex", b'{"event":"order:paid","data":{}}') == ""


def test_what_a_subscriber_has_not_received_is_lost() -> None:
    journal = DemoJournal()
    journal.note_published("order.paid", "msg_1")
    assert journal.lost == {(uid, "msg_1") for uid in ("ledger", "erp", "storefront", "school")}
    journal.received.add(("erp", "msg_1"))
    assert ("erp", "msg_1") not in journal.lost
