"""The smaller commands, run as a user runs them."""

from __future__ import annotations

import json
import re
import sqlite3
import subprocess
from pathlib import Path
from urllib.parse import urlsplit

import httpx
import pytest
from bench.postgres_server import free_port

from tests.cli.conftest import PROGRAM, Served, environment, own_process, tillbell
from tests.cli.test_serve import key_in
from tests.patience import PATIENCE_S
from tillbell.cli.client import ApiClient
from tillbell.vault import Secret

SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
UNSIGNED = ("--timestamp", "1", "--signature", "v1,AA==")


def test_version_and_help() -> None:
    assert own_process("version").stdout == tillbell("--version").stdout
    helped = tillbell("--help")
    assert helped.returncode == 0
    for command in (
        "serve",
        "demo",
        "send",
        "backup",
        "healthcheck",
        "signature",
        "key",
        "config",
        "why",
    ):
        assert command in helped.stdout


@pytest.mark.parametrize(
    "arguments",
    [("sevre",), ("serve", "--prot", "1"), ("backup",), ("demo", "--messages", "0"), ("key", "x")],
)
def test_a_wrong_command_line_is_exit_code_2(arguments: tuple[str, ...]) -> None:
    refused = tillbell(*arguments)
    assert refused.returncode == 2
    assert "Traceback" not in refused.stderr


def test_a_process_ends_with_the_code_and_the_text_of_its_command() -> None:
    for arguments, code in (
        (("sevre",), 2),
        (("signature", "verify", "{}", "--secret", SECRET, "--id", "m", *UNSIGNED), 1),
    ):
        ended, run_here = own_process(*arguments), tillbell(*arguments)
        assert (ended.returncode, run_here.returncode) == (code, code)
        assert (ended.stdout, ended.stderr) == (run_here.stdout, run_here.stderr)


def test_config_show_tells_value_and_origin_and_masks_secrets(tmp_path: Path) -> None:
    shown = tillbell(
        "config", "show", "--port", "1234", "--data-dir", str(tmp_path),
        TILLBELL_ADMIN_KEY="canary-canary-canary", TILLBELL_LANE_WINDOW="7",
    )  # fmt: skip
    rows = {line.split()[0]: line for line in shown.stdout.splitlines()}
    assert re.search(r"1234 +flag --port", rows["port"])
    assert re.search(r"7 +env TILLBELL_LANE_WINDOW", rows["lane_window"])
    assert re.search(r"\*\*\* +env TILLBELL_ADMIN_KEY", rows["admin_key"])
    assert "canary" not in shown.stdout + shown.stderr


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("postgresql://till:canary@db/till", "postgresql://till:***@db/till"),
        ("postgresql://till:can@ry@db:5432/till", "postgresql://till:***@db:5432/till"),
        ("postgresql://db/till?user=u&password=canary", "postgresql://db/till?user=u&password=***"),
        ("postgresql://till@db/till", "postgresql://till@db/till"),
    ],
)
def test_config_show_masks_the_password_of_the_database(url: str, shown: str) -> None:
    told = json.loads(tillbell("config", "show", "--json", DATABASE_URL=url).stdout)
    assert told["database_url"]["value"] == shown


def test_config_show_can_write_json() -> None:
    shown = json.loads(tillbell("config", "show", "--json").stdout)
    assert shown["host"] == {"value": "127.0.0.1", "origin": "default"}


def test_healthcheck_tells_by_exit_code(running: Served) -> None:
    well = tillbell("healthcheck", TILLBELL_PORT=running.port)
    assert well.returncode == 0
    assert '"status":"ready"' in well.stdout
    assert tillbell("healthcheck", "--live", TILLBELL_PORT=running.port).stdout == "ok\n"
    gone = tillbell("healthcheck", TILLBELL_PORT=str(free_port()))
    assert gone.returncode == 1
    assert "no gateway answers" in gone.stderr


def test_keys_can_be_made_listed_and_deleted(running: Served) -> None:
    admin = running.environment(key_in(running.said))
    made = tillbell(
        "key", "create", "a bot", "--scopes", "read", "--expires", "30d", "--rate-limit", "5",
        **admin,
    )  # fmt: skip
    id_, key = made.stdout.split()
    listed = tillbell("key", "list", **admin).stdout
    (line,) = [line for line in listed.splitlines() if line.startswith(id_)]
    assert f"…{key[-4:]}" in line
    assert re.search(r"read +every application +expires 20\d\d-\S+ +used never +a bot", line)
    assert key not in listed
    assert "403" in tillbell("key", "list", **running.environment(key)).stderr
    assert tillbell("key", "delete", id_, **admin).returncode == 0
    assert "401" in tillbell("key", "list", **running.environment(key)).stderr


def test_an_inbox_is_made_shown_and_deleted(running: Served) -> None:
    admin = running.environment(key_in(running.said))
    made = tillbell("inbox", "create", "--name", "First look", "--status", "202", **admin)
    id_, public = made.stdout.split()
    url = f"http://127.0.0.1:{running.port}{urlsplit(public).path}"
    assert httpx.post(f"{url}/orders?a=1", content=b"two\nlines").status_code == 202
    assert "First look" in tillbell("inbox", "list", **admin).stdout
    (line,) = tillbell("inbox", "show", id_, "--wait", "5", **admin).stdout.splitlines()
    assert line.endswith("POST  /orders?a=1  two\N{REPLACEMENT CHARACTER}lines")
    shown = json.loads(tillbell("inbox", "show", id_, "--json", **admin).stdout)
    assert shown["body"] == "two\nlines"
    assert tillbell("inbox", "delete", id_, **admin).returncode == 0
    assert httpx.post(url).status_code == 404


def test_the_flags_of_a_command_are_those_that_matter_for_it() -> None:
    for command, wanted, foreign in (
        ("send", "--port", "--processes"),
        ("backup", "--database-url", "--retry-schedule"),
        ("healthcheck", "--port", "--allow-http"),
        ("why", "--public-url", "--dev"),
        ("serve", "--hold", "--expires"),
    ):
        helped = tillbell(command, "--help").stdout
        assert wanted in helped
        assert foreign not in helped, command


def test_listen_shows_what_is_delivered_and_that_it_is_signed(running: Served) -> None:
    admin = running.environment(key_in(running.said))
    assert tillbell("listen", "nowhere", **admin).returncode == 1
    api = ApiClient(f"http://127.0.0.1:{running.port}", Secret(key_in(running.said)))
    api.call("POST", "/app", {"name": "Heard", "uid": "heard"})
    with subprocess.Popen(
        [PROGRAM, "listen", "heard", "--times", "1"],
        env=environment(**admin), stdout=subprocess.PIPE, text=True,
    ) as listening:  # fmt: skip
        assert listening.stdout is not None
        assert "listens at http://127.0.0.1:" in listening.stdout.readline()
        sent = tillbell("send", "heard", "order.paid", **admin).stdout.split()[0]
        assert listening.stdout.readline() == f"{sent}  signature verified  answered 200\n"
        assert listening.wait(PATIENCE_S) == 0
    assert api.call("GET", "/app/heard/endpoint")["data"] == []


def test_lists_are_read_by_a_filter_and_a_wrong_one_is_marked(running: Served) -> None:
    admin = running.environment(key_in(running.said))
    api = ApiClient(f"http://127.0.0.1:{running.port}", Secret(key_in(running.said)))
    api.call("POST", "/app", {"name": "Listed", "uid": "listed"})
    sent = [tillbell("send", "listed", "order.paid", **admin).stdout.split()[0] for _ in range(2)]
    listed = tillbell("list", "message", "--filter", "type:order.*", "--limit", "1", **admin)
    assert sent[1] in listed.stdout
    assert len(listed.stdout.splitlines()) == 1
    rows = tillbell("list", "message", "--app", "listed", "--json", **admin).stdout.splitlines()
    assert [json.loads(row)["id"] for row in rows] == sent[::-1]
    wrong = tillbell("list", "message", "--filter", "typ:order.paid", **admin)
    assert wrong.returncode == 1
    assert "character 1" in wrong.stderr
    assert "404" in tillbell("resend", "listed", "msg_0", "down", **admin).stderr
    api.call("POST", "/app/listed/endpoint", {"url": "http://127.0.0.1:49151/", "uid": "late"})
    asked = tillbell("why", sent[0], "late", **admin)
    assert asked.stdout.startswith("created_later"), asked.stderr
    assert asked.stdout == tillbell("why", "listed", sent[0], "late", **admin).stdout
    assert "no message msg_0" in tillbell("why", "msg_0", "late", **admin).stderr


def test_reseal_says_how_much_it_sealed(running: Served) -> None:
    admin = running.environment(key_in(running.said))
    done = tillbell("reseal", **admin)
    assert (done.returncode, done.stdout) == (0, "0 sealed anew, 0 could not be opened\n")


def test_send_publishes_a_message(running: Served) -> None:
    admin = running.environment(key_in(running.said))
    absent = tillbell("send", "shop", "order.paid", **admin)
    assert absent.returncode == 1
    assert "404" in absent.stderr
    asked = tillbell("why", "shop", "msg_1", "erp", **admin)
    assert (asked.returncode, asked.stdout) == (1, "")
    assert "404" in asked.stderr
    assert tillbell("send", "shop", "no.such", **admin).returncode == 2
    assert tillbell("send", "shop", "x", "--payload", "{", **admin).returncode == 2
    assert "TILLBELL_ADMIN_KEY" in tillbell("send", "shop", "order.paid").stderr


def test_a_backup_is_whole_and_never_written_over(running: Served, tmp_path: Path) -> None:
    target = tmp_path / "backup.db"
    folder = ("--data-dir", str(running.data_dir))
    assert tillbell("backup", str(target), *folder).returncode == 0
    database = sqlite3.connect(target)
    assert database.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
    database.close()
    again = tillbell("backup", str(target), *folder)
    assert again.returncode == 2
    assert "exists" in again.stderr
    none = tillbell("backup", str(tmp_path / "b"), "--data-dir", str(tmp_path / "empty"))
    assert none.returncode == 2


def test_a_backup_of_postgresql_points_to_its_own_tools_and_not_at_its_password(
    tmp_path: Path,
) -> None:
    url = "postgresql://tillbell:canary-password@127.0.0.1:1/tillbell"
    refused = tillbell("backup", str(tmp_path / "b"), DATABASE_URL=url)
    assert refused.returncode == 2
    assert "pg_dump or pg_basebackup" in refused.stderr
    assert len(refused.stderr.splitlines()) == 1
    assert not (tmp_path / "b").exists()
    assert "canary" not in refused.stderr + refused.stdout


def test_a_signature_made_here_verifies_here(tmp_path: Path) -> None:
    (tmp_path / "body").write_bytes(b'{"a": "\xc3\xa9"}\n')
    (tmp_path / "secret").write_text(SECRET + "\n")
    body, secret = f"@{tmp_path / 'body'}", f"@{tmp_path / 'secret'}"
    signed = tillbell("signature", "sign", body, "--secret", secret, "--id", "msg_1")
    head = dict(line.split(": ", 1) for line in signed.stdout.splitlines())
    flags = ("--secret", SECRET, "--id", "msg_1", "--timestamp", head["webhook-timestamp"])
    signature = ("--signature", head["webhook-signature"])
    assert tillbell("signature", "verify", body, *flags, *signature).returncode == 0
    wrong = tillbell("signature", "verify", "{}", *flags, *signature)
    assert (wrong.returncode, wrong.stdout) == (1, "not valid\n")
    no_secret = tillbell(
        "signature", "verify", body, *signature, "--secret", "nonsense", *flags[2:]
    )
    assert no_secret.returncode == 2
    assert "secret: " in no_secret.stderr
    assert "not valid" not in no_secret.stdout + no_secret.stderr
    stripped = tillbell(
        "signature", "explain", "-", *flags, *signature, stdin='{"a": "é"}', PYTHONUTF8="1"
    )
    assert stripped.returncode == 1
    assert "lacks the line end" in stripped.stdout
