"""`signature explain` finds the mistake that was made."""

import base64
import hashlib
import hmac
import json
from typing import Any

import pytest
from standardwebhooks import Webhook

from tests.cases import each
from tillbell import ed25519
from tillbell.cli.causes import ReceivedSignature, explain_signature

SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
NOW = 1_760_000_000
BODY = json.dumps({"b": 1, "a": "é", "c": [1, 2]}, ensure_ascii=False).encode()
KEY = base64.b64decode(SECRET.removeprefix("whsec_"))


def mac(key: bytes, content: bytes) -> bytes:
    return hmac.digest(key, content, hashlib.sha256)


def content_of(body: bytes = BODY) -> bytes:
    return f"msg_1.{NOW}.".encode() + body


def text_of(digest: bytes) -> str:
    return "v1," + base64.b64encode(digest).decode()


GOOD = ReceivedSignature(SECRET, "msg_1", str(NOW), text_of(mac(KEY, content_of())), BODY)


def test_the_reference_implementation_agrees() -> None:
    from datetime import UTC, datetime

    made = Webhook(SECRET).sign("msg_1", datetime.fromtimestamp(NOW, UTC), BODY.decode())
    assert explain_signature(GOOD._replace(signature=made), NOW).is_valid


def test_what_is_right_has_no_cause() -> None:
    assert explain_signature(GOOD, NOW) == (True, [])
    assert explain_signature(GOOD._replace(signature=f"v1,AAAA {GOOD.signature}"), NOW).is_valid


def test_the_public_key_verifies_what_its_secret_signed() -> None:
    secret = ed25519.new_secret(b"s" * 32)
    encoded = base64.b64encode(ed25519.signer(secret)(content_of())).decode()
    signed = GOOD._replace(secret=ed25519.public_text(secret), signature=f"v1,AAAA v1a,{encoded}")
    assert explain_signature(signed, NOW) == (True, [])
    for change, cause in (
        ({"body": BODY + b"\n"}, "has an extra line end"),
        ({"id": "msg_2"}, "no usual mistake"),
        ({"signature": f"v1,{encoded}"}, "no usual mistake"),
        ({"signature": "v1a,@"}, "no usual mistake"),
        ({"secret": "whpk_AAAA"}, "has 32 bytes, this one has 3"),
        ({"secret": "whpk_%"}, "not base64"),
    ):
        is_valid, causes = explain_signature(signed._replace(**change), NOW)
        assert not is_valid
        assert cause in causes[0]


def remade(**options: object) -> bytes:
    return json.dumps(json.loads(BODY), **options).encode()  # type: ignore[arg-type]


@each(
    ("change", "said"),
    [
        ({"timestamp": str(NOW * 1000)}, "milliseconds"),
        ({"timestamp": "yesterday"}, "not a whole number"),
        ({"timestamp": "9" * 5000}, "not a whole number"),
        ({"secret": "whsec_c2hvcnQ="}, "random bytes; this has 5 bytes"),
        ({"secret": "whsec_" + base64.b64encode(b"y" * 32).decode()}, "the secret is another one"),
        ({"id": "msg_2"}, "the id is not that"),
        ({"secret": SECRET + "\n"}, "white space around it"),
        ({"signature": text_of(mac(SECRET.encode(), content_of()))}, "whole text with whsec_"),
        ({"signature": text_of(mac(SECRET[6:].encode(), content_of()))}, "text after whsec_"),
        ({"signature": text_of(mac(KEY, BODY))}, "only the body was signed"),
        ({"signature": GOOD.signature[3:]}, "version is missing"),
        ({"signature": mac(KEY, content_of()).hex()}, "hexadecimal"),
        ({"signature": GOOD.signature.rstrip("=")}, "padding"),
        ({"body": BODY + b"\n"}, "an extra line end"),
        ({"body": b"\xef\xbb\xbf" + BODY}, "byte order mark"),
        ({"body": b"  " + BODY + b" "}, "white space around"),
        ({"body": BODY.decode("latin-1").encode()}, "Latin-1"),
        ({"body": remade(separators=(",", ":"), ensure_ascii=False)}, "spaces removed"),
    ],
)
def test_the_mistake_is_named(change: dict[str, Any], said: str) -> None:
    found = explain_signature(GOOD._replace(**change), NOW)
    assert not found.is_valid
    assert any(said in cause for cause in found.causes), found.causes


@pytest.mark.parametrize(
    ("signed_body", "said"),
    [
        (BODY + b"\n", "lacks the line end"),
        (remade(separators=(",", ":"), ensure_ascii=False), "spaces added"),
        (remade(ensure_ascii=True), "escapes decoded"),
        (remade(ensure_ascii=False, sort_keys=True), "keys moved"),
    ],
)
def test_what_was_done_to_the_body_is_named(signed_body: bytes, said: str) -> None:
    signature = text_of(mac(KEY, content_of(signed_body)))
    found = explain_signature(GOOD._replace(signature=signature), NOW)
    assert any(said in cause for cause in found.causes), found.causes


@pytest.mark.parametrize(
    ("now", "said"), [(NOW + 301, "301 s old"), (NOW - 301, "301 s in the future")]
)
def test_a_right_signature_of_the_wrong_time_is_refused(now: int, said: str) -> None:
    found = explain_signature(GOOD, now)
    assert not found.is_valid
    assert [said in cause for cause in found.causes] == [True]


@pytest.mark.parametrize("body", [b"", b"\xff\xfe", b"not json", b"[" * 100_000])
def test_no_body_is_too_strange(body: bytes) -> None:
    assert not explain_signature(GOOD._replace(body=body), NOW).is_valid
