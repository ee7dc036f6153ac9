"""Secrets at rest: sealed to their row, opened only with the right key."""

import base64
import stat
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.cases import each
from tillbell.config import load
from tillbell.errors import Misconfigured
from tillbell.vault import (
    SealMismatch,
    Secret,
    Vault,
    WrongMasterKey,
    hash_key,
    key_id,
    new_api_key,
    parse_key,
)

OLD = bytes(range(0, 256, 8))
NEW = bytes(range(1, 257, 8))


@given(text=st.text(), context=st.text())
def test_what_was_sealed_opens(text: str, context: str) -> None:
    sealed = Vault(NEW).seal(text, context)
    assert Vault(NEW).open(sealed, context) == text


def test_no_plaintext_is_in_what_is_stored() -> None:
    secret = "whsec_c2VjcmV0LWNhbmFyeS1zZWNyZXQ="
    sealed = Vault(NEW).seal(secret, "ep_1")
    raw = base64.urlsafe_b64decode(sealed.rpartition(".")[2] + "==")
    assert secret not in sealed
    assert secret.encode() not in raw


def test_the_same_secret_twice_looks_different() -> None:
    vault = Vault(NEW)
    assert vault.seal("x", "ep_1") != vault.seal("x", "ep_1")


def test_swapped_rows_are_detected() -> None:
    vault = Vault(NEW)
    first, second = vault.seal("one", "ep_1"), vault.seal("two", "ep_2")
    for sealed, context in ((first, "ep_2"), (second, "ep_1")):
        with pytest.raises(SealMismatch, match=f"{context} was altered or belongs to another"):
            vault.open(sealed, context)


def test_a_swap_is_detected_after_the_secret_was_opened_once() -> None:
    vault = Vault(NEW)
    sealed = vault.seal("one", "ep_1")
    assert vault.open(sealed, "ep_1") == "one"
    with pytest.raises(SealMismatch):
        vault.open(sealed, "ep_2")


@given(position=st.integers(0, 200), bit=st.integers(0, 7))
def test_any_changed_bit_is_detected(position: int, bit: int) -> None:
    vault = Vault(NEW)
    head, _, packed = vault.seal("a secret of some length", "ep_1").rpartition(".")
    raw = bytearray(base64.urlsafe_b64decode(packed + "=" * (-len(packed) % 4)))
    raw[position % len(raw)] ^= 1 << bit
    changed = base64.urlsafe_b64encode(raw).decode().rstrip("=")
    with pytest.raises(SealMismatch):
        vault.open(f"{head}.{changed}", "ep_1")


@each("text", ["", "plain", "v1", "v2.aa.bb", "v1.{id}", "v1.{id}.", "v1.{id}.!"])
def test_what_is_not_a_sealed_text_is_said_to_be_none(text: str) -> None:
    with pytest.raises(SealMismatch):
        Vault(NEW).open(text.format(id=key_id(NEW)), "ep_1")


def test_a_wrong_master_key_is_told_from_a_damaged_secret() -> None:
    sealed = Vault(OLD).seal("x", "ep_1")
    with pytest.raises(WrongMasterKey, match=f"master key {key_id(OLD)}.*TILLBELL_MASTER_KEY"):
        Vault(NEW).open(sealed, "ep_1")


def test_errors_do_not_tell_the_secret() -> None:
    sealed = Vault(OLD).seal("canary", "ep_1")
    with pytest.raises(Misconfigured) as caught:
        Vault(NEW).open(sealed, "ep_1")
    assert "canary" not in str(caught.value)


def test_older_keys_open_and_rewrap_ends_their_use() -> None:
    sealed = Vault(OLD).seal("x", "ep_1")
    both = Vault(NEW, OLD)
    assert both.open(sealed, "ep_1") == "x"
    again = both.rewrap(sealed, "ep_1")
    assert Vault(NEW).open(again, "ep_1") == "x"
    assert both.rewrap(again, "ep_1") == again


def test_a_key_is_made_once_and_only_its_owner_can_read_it(tmp_path: Path) -> None:
    settings = load({"data_dir": tmp_path}, {}).settings
    sealed = Vault.from_settings(settings).seal("x", "ep_1")
    assert Vault.from_settings(settings).open(sealed, "ep_1") == "x"
    assert stat.S_IMODE((tmp_path / "master.key").stat().st_mode) == 0o600
    assert [p.name for p in tmp_path.iterdir()] == ["master.key"]


def test_a_missing_key_is_not_replaced_once_there_is_a_database(tmp_path: Path) -> None:
    settings = load({"data_dir": tmp_path}, {}).settings
    settings.sqlite_path.write_text("")
    with pytest.raises(Misconfigured, match=r"put .*master\.key back"):
        Vault.from_settings(settings)
    assert not (tmp_path / "master.key").exists()


def test_a_damaged_key_file_is_never_replaced(tmp_path: Path) -> None:
    (tmp_path / "master.key").write_text("oops")
    with pytest.raises(Misconfigured, match="32 bytes"):
        Vault.from_settings(load({"data_dir": tmp_path}, {}).settings)
    assert (tmp_path / "master.key").read_text() == "oops"


def test_the_first_configured_key_seals_and_the_others_open(tmp_path: Path) -> None:
    text = f"{NEW.hex()}, {base64.b64encode(OLD).decode()}"
    vault = Vault.from_settings(load({"data_dir": tmp_path, "master_key": text}, {}).settings)
    assert vault.open(Vault(OLD).seal("x", "c"), "c") == "x"
    assert Vault(NEW).open(vault.seal("y", "c"), "c") == "y"
    assert not list(tmp_path.iterdir())


@each(
    "text",
    [
        "",
        "changeme",
        "0" * 64,
        "00" * 16 + "ff" * 16,
        base64.b64encode(b"\0" * 32).decode(),
        base64.b64encode(b"correct horse battery staple 123").decode(),
        base64.b64encode(OLD[:31]).decode(),
        "zz" * 32,
    ],
)
def test_a_weak_master_key_is_refused(text: str) -> None:
    with pytest.raises(Misconfigured, match="openssl rand -base64 32"):
        parse_key(text)


def test_a_key_may_be_hex_or_either_base64() -> None:
    key = b"\xff\xfb" + OLD[2:]
    for text in (key.hex(), base64.b64encode(key).decode(), base64.urlsafe_b64encode(key).decode()):
        assert parse_key(text) == key
        assert parse_key(text.rstrip("=")) == key


def test_api_keys_are_long_distinct_and_easy_to_copy() -> None:
    made = {new_api_key() for _ in range(100)}
    assert len(made) == 100
    assert all(key.startswith("tb_") and key[3:].isalnum() and len(key) == 43 for key in made)


def test_of_an_api_key_only_a_hash_is_needed() -> None:
    text = new_api_key()
    assert hash_key(text) == hash_key(text)
    assert text[3:] not in hash_key(text)


def test_a_secret_prints_masked() -> None:
    secret = Secret("canary")
    assert "canary" not in f"{secret} {secret!r} {[secret]}"
    assert secret.reveal() == "canary"
    assert secret == Secret("canary")
    assert secret != Secret("other")
    assert secret != "canary"
