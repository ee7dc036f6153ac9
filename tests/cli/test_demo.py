"""The demo shows a retry, loses nothing and leaves nothing behind."""

import errno
import os
import pty
import re
import signal
import subprocess
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.cli.conftest import PROGRAM, environment, tillbell
from tests.patience import PATIENCE_S
from tillbell.cli.demo_subscribers import EVENTS, SUBSCRIBERS, DemoJournal, event_of
from tillbell.profiles import PROFILES

_BROWSER: dict[str, Any] = {
    "headers": {"accept": "text/html"},
    "follow_redirects": True,
    "timeout": PATIENCE_S,
}


def test_the_demo_delivers_everything_and_cleans_up(tmp_path: Path) -> None:
    shown = tillbell("demo", "--messages", "8", TMPDIR=str(tmp_path))
    assert shown.returncode == 0, shown.stdout + shown.stderr
    assert "Traceback" not in shown.stderr
    assert "\x1b" not in shown.stdout
    assert re.search(r"^<-- \[503\] erp .* retry in \d s$", shown.stdout, re.MULTILINE)
    assert re.search(r"^<-- \[200\] erp .*\(attempt \d\)$", shown.stdout, re.MULTILINE)
    closing = re.search(
        r"^published 5 · callbacks 5 · delivered (\d+) · retried (\d+) · failed \d+ · lost 0$",
        shown.stdout,
        re.MULTILINE,
    )
    assert closing
    assert int(closing[1]) > 10
    assert re.search(r"^=== PAY-1 Pending → Approved$", shown.stdout, re.MULTILINE)
    assert shown.stdout.count("=== PAY-1 Pending → Approved") == 1
    assert shown.stdout.count("--> allsecure PAY-1 approved") == 2
    assert not list(tmp_path.iterdir())


@pytest.mark.slow
def test_on_a_terminal_the_demo_goes_on_and_its_link_signs_in() -> None:
    terminal, its_end = pty.openpty()
    command, variables = [PROGRAM, "demo"], environment(NO_COLOR="1")
    with (
        subprocess.Popen(command, stdout=its_end, env=variables) as process,
        os.fdopen(terminal, encoding="utf-8", newline="") as shown,
    ):
        os.close(its_end)
        link = next(found[1] for line in shown if (found := re.search(r"Open (\S+) to", line)))
        with httpx.Client(**_BROWSER) as browser:
            next(line for line in shown if "[503] old-warehouse" in line)
            home = browser.get(link)
            assert home.url.path == "/"
            assert "Old warehouse" in home.text
        process.send_signal(signal.SIGINT)
        rest = _until_closed(shown)
    assert process.returncode == 0, rest
    assert "lost 0" in rest


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


def _until_closed(shown: Iterable[str]) -> str:
    """Read a terminal to its end, which Linux tells as an error."""
    lines = []
    try:
        for line in shown:
            lines.append(line)
    except OSError as error:
        if error.errno != errno.EIO:
            raise
    return "".join(lines)
