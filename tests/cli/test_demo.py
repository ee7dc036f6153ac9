"""The demo shows a retry, loses nothing and leaves nothing behind."""

import re
from pathlib import Path

from tests.cli.conftest import tillbell
from tillbell.cli.demo_cast import STORY, SUBSCRIBERS, Books
from tillbell.profiles import PROFILES


def test_the_demo_delivers_everything_and_cleans_up(tmp_path: Path) -> None:
    shown = tillbell("demo", "--messages", "8", TMPDIR=str(tmp_path))
    assert shown.returncode == 0, shown.stdout + shown.stderr
    assert "Traceback" not in shown.stderr
    assert "\x1b" not in shown.stdout
    assert re.search(r"^<-- \[503\] erp .* retry in \d s$", shown.stdout, re.MULTILINE)
    assert re.search(r"^<-- \[200\] erp .*\(attempt \d\)$", shown.stdout, re.MULTILINE)
    closing = re.search(
        r"^published 8 · delivered (\d+) · retried (\d+) · failed 0 · lost 0$",
        shown.stdout,
        re.MULTILINE,
    )
    assert closing
    assert int(closing[1]) > 8
    assert not list(tmp_path.iterdir())


def test_every_subscriber_speaks_of_what_it_wants() -> None:
    for subscriber in SUBSCRIBERS:
        profile = PROFILES[subscriber.profile]
        for event_type in subscriber.event_types:
            assert profile.parts(event_type, [event_type])


def test_the_story_has_something_for_everybody() -> None:
    for subscriber in SUBSCRIBERS:
        assert set(subscriber.event_types) & set(STORY)


def test_what_a_subscriber_has_not_written_down_is_lost() -> None:
    books = Books()
    books.note_published("order.paid", "msg_1")
    assert books.lost == {(uid, "msg_1") for uid in ("ledger", "erp", "storefront", "school")}
    books.received.add(("erp", "msg_1"))
    assert ("erp", "msg_1") not in books.lost
