"""Settings: which source wins, what is refused, and that no secret is shown."""

import os
from dataclasses import fields
from pathlib import Path

import pytest

from tests.cases import each
from tillbell.config import FIELDS, Settings, load
from tillbell.errors import Misconfigured
from tillbell.setting_text import as_text
from tillbell.vault import Secret


def write_toml(folder: Path, text: str) -> Path:
    path = folder / "tillbell.toml"
    path.write_text(text)
    return path


def test_defaults_are_safe(tmp_path: Path) -> None:
    settings = load({"data_dir": tmp_path}, {}).settings
    assert settings.host == "127.0.0.1"
    assert not settings.allows_http
    assert settings.allowed_cidrs == ()
    assert settings.sqlite_path == tmp_path / "tillbell.db"


def test_a_user_without_a_home_must_say_where_it_is_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("XDG_DATA_HOME", raising=False)
    monkeypatch.setenv("HOME", "none")  # not absolute: as good as none
    monkeypatch.setattr(os, "getuid", lambda: 2_000_000_007)  # whom the system does not know
    assert load({"data_dir": tmp_path}, {}).settings.data_dir == tmp_path
    with pytest.raises(Misconfigured, match="data_dir: must be set"):
        load({}, {})


def test_the_strongest_source_wins(tmp_path: Path) -> None:
    write_toml(tmp_path, "port = 1\nlane_window = 2\nmax_in_flight = 100")
    environ = {"PORT": "3", "TILLBELL_LANE_WINDOW": "4", "TILLBELL_DATA_DIR": str(tmp_path)}
    loaded = load({"max_in_flight": 50}, environ)
    settings = loaded.settings
    assert (settings.port, settings.lane_window, settings.max_in_flight) == (3, 4, 50)
    assert loaded.origins["port"] == "env PORT"
    assert loaded.origins["lane_window"] == "env TILLBELL_LANE_WINDOW"
    assert loaded.origins["max_in_flight"] == "flag --max-in-flight"
    assert loaded.origins["host"] == "default"


def test_our_variable_beats_the_common_one() -> None:
    environ = {"PORT": "1", "TILLBELL_PORT": "2", "DATABASE_URL": "sqlite:////tmp/a.db"}
    settings = load({}, environ).settings
    assert settings.port == 2
    assert settings.sqlite_path == Path("/tmp/a.db")


@pytest.mark.parametrize("through", ["flag", "variable"])
def test_a_settings_file_can_be_named(tmp_path: Path, through: str) -> None:
    named = tmp_path / "other.toml"
    named.write_text('port = 77\nallow_cidrs = ["10.0.0.0/8"]\ndev = true\nretry_schedule = [1, 2]')
    flags = {"config": named} if through == "flag" else {}
    environ = {"TILLBELL_CONFIG": str(named)} if through == "variable" else {}
    settings = load(flags, environ).settings
    assert settings.port == 77
    assert settings.allow_cidrs == ("10.0.0.0/8",)
    assert settings.retry_schedule == (1, 2)
    assert settings.dev


def test_a_named_settings_file_must_exist(tmp_path: Path) -> None:
    with pytest.raises(Misconfigured, match="No such file"):
        load({"config": tmp_path / "none.toml"}, {})


def test_a_secret_may_stand_in_a_file(tmp_path: Path) -> None:
    (tmp_path / "key").write_text("tb_0123456789abcdef\n")
    loaded = load({}, {"TILLBELL_ADMIN_KEY_FILE": str(tmp_path / "key")})
    assert loaded.settings.admin_key == Secret("tb_0123456789abcdef")
    assert loaded.origins["admin_key"] == "env TILLBELL_ADMIN_KEY_FILE"


def test_a_value_and_its_file_together_are_refused(tmp_path: Path) -> None:
    (tmp_path / "key").write_text("x")
    environ = {"TILLBELL_ADMIN_KEY": "y", "TILLBELL_ADMIN_KEY_FILE": str(tmp_path / "key")}
    with pytest.raises(Misconfigured, match="both set"):
        load({}, environ)


def test_an_empty_variable_counts_as_unset() -> None:
    environ = {"TILLBELL_ADMIN_KEY": "", "TILLBELL_PORT": "", "PORT": "", "TILLBELL_CONFIG": ""}
    settings = load({}, environ).settings
    assert settings.admin_key is None
    assert settings.port == 8420


@pytest.mark.parametrize("role", ["all", "api", "worker"])
def test_on_a_shared_store_every_role_and_number_of_processes_will_do(role: str) -> None:
    environ = {"DATABASE_URL": "postgresql://db/x", "TILLBELL_ROLE": role}
    settings = load({"processes": 4}, environ).settings
    assert (settings.role, settings.processes) == (role, 4)


def test_dev_allows_http_and_this_machine_only() -> None:
    settings = load({"dev": True, "allow_cidrs": "10.1.0.0/16"}, {}).settings
    assert settings.allows_http
    assert settings.allowed_cidrs == ("10.1.0.0/16", "127.0.0.0/8", "::1/128")


@each(
    ("environ", "said"),
    [
        ({"TILLBELL_PROT": "1"}, "did you mean TILLBELL_PORT"),
        ({"TILLBELL_ADMINKEY": "1"}, "did you mean TILLBELL_ADMIN_KEY"),
        ({"TILLBELL_ADMINKEY_FILE": "/x"}, "did you mean TILLBELL_ADMIN_KEY"),
        ({"TILLBELL_XYZZY": "1"}, "unknown variable TILLBELL_XYZZY"),
        ({"TILLBELL_PORT": "http"}, "port .env TILLBELL_PORT.: 'http' is not a whole number"),
        ({"TILLBELL_PORT": "70000"}, "70000 is not between 0 and 65535"),
        ({"TILLBELL_DEV": "maybe"}, "neither true nor false"),
        ({"TILLBELL_ROLE": "boss"}, "not one of all, api, worker"),
        ({"TILLBELL_RETRY_SCHEDULE": "5,-1"}, "-1 is not between"),
        ({"TILLBELL_RETRY_SCHEDULE": "5,x"}, "'x' is not a whole number"),
        ({"TILLBELL_ALLOW_CIDRS": "10.0.0.1/8"}, "host bits set"),
        ({"TILLBELL_DNS_SERVERS": "dns.example"}, "dns_servers"),
        ({"TILLBELL_PUBLIC_URL": "shop.example"}, "not an http or https address"),
        ({"TILLBELL_PROCESSES": "2"}, "one process"),
        ({"TILLBELL_ROLE": "worker"}, "store that processes share"),
        (
            {
                "DATABASE_URL": "postgresql://db/x",
                "TILLBELL_ROLE": "worker",
                "TILLBELL_HTTP_PROCESSES": "1",
            },
            "a worker answers only how it is",
        ),
        (
            {
                "DATABASE_URL": "postgresql://db/x",
                "TILLBELL_PROCESSES": "2",
                "TILLBELL_HTTP_PROCESSES": "1",
            },
            "each of several processes accepts connections itself",
        ),
        ({"DATABASE_URL": "postgresql://"}, "must look like postgresql://"),
        ({"DATABASE_URL": "mysql://db/x"}, "must look like sqlite"),
        ({"TILLBELL_DATABASE_REPLICA_URL": "postgresql://db/x"}, "SQLite store has no replica"),
        (
            {"DATABASE_URL": "postgresql://db/x", "TILLBELL_DATABASE_REPLICA_URL": "db/x"},
            "database_replica_url: must look like postgresql://",
        ),
        ({"TILLBELL_ADMIN_KEY": "short"}, "16 characters"),
        ({"TILLBELL_HISTORY_RETENTION_DAYS": "5"}, "less than body_retention_days"),
        ({"TILLBELL_MAX_IN_FLIGHT": "5"}, "more than max_in_flight"),
        ({"TILLBELL_USER_AGENT": "a\r\nb: c"}, "control character"),
        ({"TILLBELL_MASTER_KEY_FILE": "/nowhere/at/all"}, "cannot read /nowhere/at/all"),
    ],
)
def test_a_wrong_setting_is_named_in_one_line(environ: dict[str, str], said: str) -> None:
    with pytest.raises(Misconfigured, match=said) as caught:
        load({}, environ)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("toml", "said"),
    [
        ("prt = 1", "unknown setting 'prt' in .*tillbell.toml; did you mean port"),
        ("port = ", "not valid TOML"),
        ("port = true", "whole number"),
        ("host = 3", "must be text"),
    ],
)
def test_a_wrong_settings_file_is_named(tmp_path: Path, toml: str, said: str) -> None:
    write_toml(tmp_path, toml)
    with pytest.raises(Misconfigured, match=said):
        load({"data_dir": tmp_path}, {})


def test_secrets_print_masked_everywhere() -> None:
    environ = {"TILLBELL_ADMIN_KEY": "tb_canary_0123456789", "TILLBELL_MASTER_KEY": "canary"}
    settings = load({}, environ).settings
    shown = [repr(settings), str(settings), *(as_text(getattr(settings, n)) for n in FIELDS)]
    assert "canary" not in "".join(shown)
    assert as_text(settings.admin_key) == "***"


def test_a_bad_secret_is_not_quoted_in_its_error() -> None:
    with pytest.raises(Misconfigured) as caught:
        load({}, {"TILLBELL_ADMIN_KEY": "canary\x00canary"})
    assert "canary" not in str(caught.value)


def test_every_setting_is_documented_and_numbers_are_limited() -> None:
    for declared in fields(Settings):
        assert declared.metadata["doc"].endswith("."), declared.name
        if isinstance(declared.default, int) and not isinstance(declared.default, bool):
            assert declared.metadata["limits"], declared.name
