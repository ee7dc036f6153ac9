"""Signatures are those of the specification, and secrets are read as owners mean them."""

from __future__ import annotations

import base64
import hashlib
import hmac
from datetime import UTC, datetime

import pytest
import standardwebhooks
from hypothesis import given
from hypothesis import strategies as st
from tests.cases import each

from tillbell import ed25519
from tillbell.rules.delivery import signing

ID, TIMESTAMP, BODY = "msg_p5jXN8AQM9LWM0D4loKWxJek", 1614265330, b'{"test": 2432232314}'
HMAC_SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
HMAC_SIGNATURE = "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="
PAIR = "6Xb/dCcHpPea21PS1N9VY/NZW723CEc77N4rJCubMbfVKIDij2HKpMKkioLlX0dRqSKJp4AJ6p9lMicMFs6Kvg=="
ED_SECRET = "whsk_" + PAIR
ED_PUBLIC = "whpk_1SiA4o9hyqTCpIqC5V9HUakiiaeACeqfZTInDBbOir4="
ED_SIGNATURE = (
    "v1a,hnO3f9T8Ytu9HwrXslvumlUpqtNVqkhqw/enGzPCXe5BdqzCInXqYXFymVJaA7AZdpXwVLPo3mNl8EM+m7TBAg=="
)
SEED_ONLY = "whsk_" + base64.b64encode(base64.b64decode(PAIR)[:32]).decode()


def test_hmac_vector_of_the_specification() -> None:
    assert signing.standard_signature([HMAC_SECRET], ID, TIMESTAMP, BODY) == HMAC_SIGNATURE


@pytest.mark.parametrize("secret", [ED_SECRET, SEED_ONLY])
def test_ed25519_vector(secret: str) -> None:
    assert signing.standard_signature([secret], ID, TIMESTAMP, BODY) == ED_SIGNATURE
    assert ed25519.public_text(secret) == ED_PUBLIC


def test_every_secret_signs_once_in_order() -> None:
    signature = signing.standard_signature([ED_SECRET, HMAC_SECRET], ID, TIMESTAMP, BODY)
    assert signature == f"{ED_SIGNATURE} {HMAC_SIGNATURE}"


def test_no_secret_no_signature() -> None:
    assert signing.standard_signature([], ID, TIMESTAMP, BODY) == ""


@given(st.binary(min_size=1, max_size=200), st.text(max_size=30), st.binary(max_size=2000))
def test_cached_states_sign_as_hmac_does(key: bytes, id_: str, body: bytes) -> None:
    secret = signing.new_standard_secret(key)
    content = f"{id_}.{TIMESTAMP}.".encode() + body
    digest = hmac.new(key, content, hashlib.sha256).digest()
    expected = "v1," + base64.b64encode(digest).decode()
    # Twice: the second comes from the cached state, which the first must not have touched.
    for _ in range(2):
        assert signing.standard_signature([secret], id_, TIMESTAMP, body) == expected
        assert signing.hmac_sha256(key, content) == digest


@given(st.text(alphabet=st.characters(codec="utf-8"), max_size=300), st.binary(max_size=500))
def test_sha512_is_keyed_with_the_text_itself(secret: str, body: bytes) -> None:
    expected = hmac.new(secret.encode(), body, hashlib.sha512).hexdigest()
    assert signing.hmac_sha512_hex(secret, body) == expected


@given(st.binary(min_size=32, max_size=32), st.text(st.characters(codec="utf-8"), max_size=99))
def test_reference_library_agrees(entropy: bytes, text: str) -> None:
    secret = signing.new_standard_secret(entropy)
    at = datetime.fromtimestamp(TIMESTAMP, UTC)
    expected = standardwebhooks.Webhook(secret).sign(ID, at, text)
    assert signing.standard_signature([secret], ID, TIMESTAMP, text.encode()) == expected


def test_plain_text_secret_is_its_own_key() -> None:
    digest = hmac.new(b"plain password", f"a.1.{'x'}".encode(), hashlib.sha256).digest()
    expected = "v1," + base64.b64encode(digest).decode()
    assert signing.standard_signature(["plain password"], "a", 1, b"x") == expected


@each(
    "secret",
    [
        HMAC_SECRET,
        HMAC_SECRET.removeprefix("whsec_"),
        signing.new_standard_secret(b"k" * 24),
        signing.new_standard_secret(b"k" * 64),
        signing.new_standard_secret(b"k" * 32).rstrip("="),
        ED_SECRET,
        SEED_ONLY,
        ed25519.new_secret(b"s" * 32),
    ],
)
def test_good_secrets_pass(secret: str) -> None:
    assert signing.check_standard_secret(secret) is None


@each(
    ("secret", "complaint"),
    [
        ("", "0 bytes"),
        ("whsec_", "0 bytes"),
        ("whsec_c2hvcnQ=", "5 bytes"),
        (signing.new_standard_secret(b"k" * 65), "65 bytes"),
        ("whsec_not base64 at all, not even close", "base64"),
        ("whsec_" + "é" * 40, "base64"),
        ("correct horse battery staple", "base64"),
        (HMAC_SECRET + "\n", "base64"),
        (ED_PUBLIC, "public key"),
        ("whsk_AAAA", "3"),
        ("whsk_!", "base64"),
        ("whsk_" + base64.b64encode(b"s" * 64).decode(), "second half"),
    ],
)
def test_bad_secrets_are_told_what_is_wrong(secret: str, complaint: str) -> None:
    assert complaint in (signing.check_standard_secret(secret) or "")


@given(st.text(max_size=120))
def test_any_text_is_judged_not_raised(text: str) -> None:
    for prefix in ("", "whsec_", "whsk_", "whpk_"):
        complaint = signing.check_standard_secret(prefix + text)
        assert complaint is None or complaint


@pytest.mark.parametrize("text", [HMAC_SECRET, ED_SECRET, "short", "not base64!"])
def test_only_whole_keys_gain_the_prefix(text: str) -> None:
    assert signing.normal_standard_secret(text) == text


def test_left_out_prefix_is_added() -> None:
    bare = HMAC_SECRET.removeprefix("whsec_")
    assert signing.normal_standard_secret(bare) == HMAC_SECRET


def test_public_key_verifies_what_the_secret_signed() -> None:
    secret = ed25519.new_secret(b"s" * 32)
    signature = ed25519.signer(secret)(b"content")
    for text in (secret, ed25519.public_text(secret)):
        assert ed25519.verifier(text)(signature, b"content")
        assert not ed25519.verifier(text)(signature, b"other content")
        assert not ed25519.verifier(text)(b"", b"content")


def test_a_text_without_a_public_key_is_refused() -> None:
    with pytest.raises(ValueError, match="32 bytes"):
        ed25519.verifier("whpk_AAAA")
    with pytest.raises(ValueError, match="starts with whsk_"):
        ed25519.public_text("whsec_AAAA")
