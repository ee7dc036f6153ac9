"""The receivers' library accepts what is genuine, refuses the rest, and never crashes."""

from __future__ import annotations

import base64
import hashlib
import hmac
import subprocess
import sys
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.cases import each
from tests.verify.requests import (
    BODY,
    HEADERS,
    ID,
    NOW_S,
    SECRET,
    SIGNATURE,
    accept,
    reason,
    signed,
)
from tillbell import ed25519
from tillbell.verify import VerificationError, Verified, verify

OTHER = "whsec_C2FVsBQIhrscChlQIMV+b5sSYspob7oD"
PROFILES = ("standard", "svix", "cloudevents", "shoppex", "zenofy", "mozarto", "mozarto-legacy")
ED_PUBLIC = "whpk_1SiA4o9hyqTCpIqC5V9HUakiiaeACeqfZTInDBbOir4="
ED_SIGNATURE = (
    "v1a,hnO3f9T8Ytu9HwrXslvumlUpqtNVqkhqw/enGzPCXe5BdqzCInXqYXFymVJaA7AZdpXwVLPo3mNl8EM+m7TBAg=="
)


def with_(**changed: str) -> dict[str, str]:
    """Change headers of the vector: `with_(id="x")`."""
    return {**HEADERS, **{f"webhook-{name}": value for name, value in changed.items()}}


def test_vector_of_the_specification() -> None:
    assert accept() == Verified(ID, NOW_S, "standard", BODY)


def test_ed25519_vector() -> None:
    assert accept(with_(signature=ED_SIGNATURE), ED_PUBLIC).id == ID
    assert reason(with_(signature=ED_SIGNATURE), ED_PUBLIC, body=b"{}") == "no_match"
    assert reason(with_(signature="v1a,AAAA v1a,! v1a,"), ED_PUBLIC) == "no_match"


def test_svix_headers_are_the_same_under_another_name() -> None:
    headers = {name.replace("webhook", "svix"): value for name, value in HEADERS.items()}
    assert accept(headers).id == ID
    assert accept(headers, profile="svix").id == ID


@each(
    "headers",
    [
        {name.upper(): value for name, value in HEADERS.items()},
        {name.title(): value for name, value in HEADERS.items()},
        list(HEADERS.items()),
        iter(HEADERS.items()),
        [(name.encode(), value.encode()) for name, value in HEADERS.items()],
        {f"HTTP_{name.upper().replace('-', '_')}": value for name, value in HEADERS.items()}
        | {"wsgi.input": object(), "SERVER_PORT": 80},
        {name: f" {value}\t" for name, value in HEADERS.items()},
    ],
)
def test_headers_of_any_framework_are_read(headers: Any) -> None:
    assert accept(headers).id == ID


@pytest.mark.parametrize("body", [bytearray(BODY), memoryview(BODY)])
def test_buffers_are_bytes(body: Any) -> None:
    assert accept(body=body).body == BODY


@pytest.mark.parametrize("body", [BODY.decode(), None, {"test": 2432232314}])
def test_a_body_that_is_not_bytes_is_refused(body: Any) -> None:
    assert reason(body=body) == "body_not_bytes"


@each("missing", HEADERS)
@each("empty", [{}, {"present": ""}])
def test_each_header_is_needed(missing: str, empty: dict[str, str]) -> None:
    headers = {name: value for name, value in HEADERS.items() if name != missing}
    assert reason(headers | dict.fromkeys([missing] if empty else [], "")) == "missing_header"


@pytest.mark.parametrize("repeated", HEADERS)
def test_a_repeated_header_is_refused_even_with_equal_values(repeated: str) -> None:
    pairs = [*HEADERS.items(), (repeated.upper(), HEADERS[repeated])]
    assert reason(pairs) == "repeated_header"


@pytest.mark.parametrize("drift_s", [-300, -299, 0, 299, 300])
def test_clocks_may_differ_by_the_tolerance(drift_s: int) -> None:
    assert accept(now=NOW_S + drift_s).timestamp == NOW_S


@each(
    ("now", "tolerance_s", "why"),
    [
        (NOW_S + 301, 300, "too_old"),
        (NOW_S - 301, 300, "too_new"),
        (NOW_S + 2, 1, "too_old"),
        (NOW_S, float("nan"), "too_old"),
        (float("nan"), 300, "too_old"),
        (float("inf"), 300, "too_old"),
        (float("-inf"), 300, "too_new"),
        (NOW_S, -1, "too_old"),
    ],
)
def test_the_window_holds_both_ways(now: float, tolerance_s: float, why: str) -> None:
    assert reason(now=now, tolerance_s=tolerance_s) == why


def test_the_machines_clock_is_used_unless_told() -> None:
    with pytest.raises(VerificationError) as refusal:
        verify(BODY, HEADERS, SECRET)
    assert refusal.value.reason == "too_old"


@each(
    "timestamp",
    ["1614265330.0", "1.614e9", "-1", "+1614265330", "1_614_265_330", "٣", "nan", "1" * 13, "x"],
)
def test_timestamps_are_plain_digits(timestamp: str) -> None:
    assert reason(with_(timestamp=timestamp)) == "bad_timestamp"


@pytest.mark.parametrize("id_", [f"{ID}.1", ".", "x" * 257])
def test_ids_that_could_reach_into_the_signed_content_are_refused(id_: str) -> None:
    assert reason(with_(id=id_)) == "bad_id"


@each(
    "signature",
    [
        "v1",
        "v1,",
        "v1,v1,v1",
        ",",
        "v2," + SIGNATURE[3:],
        "v1a," + SIGNATURE[3:],
        SIGNATURE[3:],
        SIGNATURE.rstrip("="),
        SIGNATURE + "=",
        SIGNATURE.replace("+", "-"),
        SIGNATURE[:-2] + "F=",
        SIGNATURE.upper(),
        "V" + SIGNATURE[1:],
        SIGNATURE + "," + SIGNATURE,
        "v1,é",
        "v1,\udc80",
    ],
)
def test_a_signature_has_one_spelling(signature: str) -> None:
    assert reason(with_(signature=signature)) == "no_match"


def test_any_of_ten_signatures_may_match_and_an_eleventh_is_too_many() -> None:
    wrong = "v1," + base64.b64encode(b"x" * 32).decode()
    assert accept(with_(signature=" ".join([wrong] * 9 + [SIGNATURE]))).id == ID
    assert reason(with_(signature=" ".join([SIGNATURE] * 11))) == "too_many_signatures"


@pytest.mark.parametrize("secret", [[OTHER, SECRET], (SECRET, OTHER), f"{SECRET}\n", SECRET[6:]])
def test_any_of_several_secrets_may_match(secret: Any) -> None:
    assert accept(secret=secret).id == ID


@each("profile", PROFILES)
@each("secret", ["", " ", [], None, [SECRET, ""], [None], "whsec_", b"bytes"])
def test_an_unset_secret_accepts_nothing(profile: str, secret: Any) -> None:
    headers = {
        **signed(BODY, secret="whsec_"),
        "authorization": "",
        "x-webhook-secret": "",
        "x-shoppex-signature": hmac.new(b"", BODY, hashlib.sha512).hexdigest(),
    }
    assert reason(headers, secret, profile=profile) == "no_secret"


@pytest.mark.parametrize("secret", ["whsec_!", "whsk_AAAA", "whpk_", "\udc80"])
def test_a_broken_secret_is_told(secret: str) -> None:
    assert reason(secret=secret) == "bad_secret"


def test_an_unknown_profile_is_refused() -> None:
    assert reason(profile="github") == "unknown_profile"


PLATFORM_HEADERS = {
    "shoppex": {"X-Shoppex-Signature": hmac.new(SECRET.encode(), BODY, hashlib.sha512).hexdigest()},
    "zenofy": {"X-Webhook-Secret": SECRET},
    "mozarto": {"Authorization": SECRET},
    "mozarto-legacy": {"Authorization": f"Bearer {SECRET}"},
}


@pytest.mark.parametrize("profile", PLATFORM_HEADERS)
def test_what_the_platform_itself_sends_is_accepted_without_a_time(profile: str) -> None:
    verified = accept(PLATFORM_HEADERS[profile], profile=profile)
    assert (verified.id, verified.timestamp) == (None, None)


@pytest.mark.parametrize("profile", PLATFORM_HEADERS)
def test_a_signature_beside_the_platforms_header_must_hold_too(profile: str) -> None:
    both = PLATFORM_HEADERS[profile] | HEADERS
    assert accept(both, profile=profile).timestamp == NOW_S
    assert reason(both, profile=profile, now=NOW_S + 301) == "too_old"
    assert reason(both | {"webhook-signature": "v1,no"}, profile=profile) == "no_match"
    assert reason(HEADERS, profile=profile) == "missing_header"


@each("profile", PLATFORM_HEADERS)
@each("spoil", [str.swapcase, lambda text: text + "x", lambda text: text[:-1]])
def test_a_platforms_header_must_be_exact(profile: str, spoil: Any) -> None:
    name, value = next(iter(PLATFORM_HEADERS[profile].items()))
    assert reason({name: spoil(value)}, profile=profile) == "no_match"


def test_a_bare_password_is_no_bearer_token_and_the_reverse() -> None:
    assert reason({"Authorization": SECRET}, profile="mozarto-legacy") == "no_match"
    assert reason({"Authorization": f"Bearer {SECRET}"}, profile="mozarto") == "no_match"
    assert accept({"Authorization": f"bearer {SECRET}"}, profile="mozarto-legacy").id is None


@each(
    ("body", "event_type"),
    [
        (b'{"type": "order.paid"}', "order.paid"),
        (b'{"type": 5}', None),
        (b"[]", None),
        (b"\xff", None),
        (b"not json", None),
        (b"[" * 100_000, None),
        (b"1" * 5000, None),
    ],
)
def test_a_genuine_body_of_any_kind_is_accepted(body: bytes, event_type: str | None) -> None:
    verified = accept(signed(body), body=body)
    assert (verified.body, verified.event_type) == (body, event_type)


header_text = st.text(max_size=40) | st.sampled_from([*HEADERS.values(), SECRET, "Bearer x"])
header_name = st.sampled_from(
    [*HEADERS, "svix-id", "svix-timestamp", "svix-signature", "Authorization", "HTTP_WEBHOOK_ID",
     "X-Webhook-Secret", "X-Shoppex-Signature"]
)  # fmt: skip
pairs = st.lists(st.tuples(header_name, header_text), max_size=8)
byte_pairs = st.lists(st.tuples(header_name.map(str.encode), st.binary(max_size=40)), max_size=8)


@given(
    st.binary(max_size=200),
    pairs | byte_pairs | st.dictionaries(header_name, header_text),
    st.sampled_from([SECRET, OTHER, ED_PUBLIC, "text", [SECRET, ED_PUBLIC]]),
    st.sampled_from(PROFILES),
)
def test_nothing_a_sender_writes_raises_anything_else(
    body: bytes, headers: Any, secret: Any, profile: str
) -> None:
    try:
        verified = verify(body, headers, secret, profile=profile, now=NOW_S)
    except VerificationError:
        return
    # Only a shared secret, which the sender was given, can be right by luck.
    assert profile in ("zenofy", "mozarto", "mozarto-legacy")
    assert verified.body == body


@given(st.binary(max_size=300), st.integers(0, 10**9), st.integers(0, 255))
def test_no_changed_byte_goes_unseen(body: bytes, place: int, byte: int) -> None:
    whole = b"{" + body
    changed = bytearray(whole)
    changed[place % len(whole)] = byte
    headers = signed(whole)
    assert reason(headers, body=bytes(changed)) == ("" if changed == whole else "no_match")


def test_hmac_receivers_load_nothing_but_the_standard_library() -> None:
    program = (
        "import sys; from tillbell.verify import verify;"
        f"verify({BODY!r}, {HEADERS!r}, {SECRET!r}, now={NOW_S});"
        "print(sorted({'cryptography', 'msgspec', 'pydantic', 'fastapi'} & set(sys.modules)))"
    )
    ran = subprocess.run([sys.executable, "-c", program], capture_output=True, check=True)
    assert ran.stdout.strip() == b"[]"


def test_a_secret_key_verifies_as_its_public_key_does() -> None:
    secret = ed25519.new_secret(b"s" * 32)
    content = f"{ID}.{NOW_S}.".encode() + BODY
    signature = "v1a," + base64.b64encode(ed25519.signer(secret)(content)).decode()
    for key in (secret, ed25519.public_text(secret)):
        assert accept(with_(signature=f"v1,AAAA {signature}"), key).id == ID
