"""Why a signature does not match: tries the usual mistakes and names the one that fits.

Each mistake is undone and the signature computed again; a match proves the cause. Nothing here
reads files or the clock.
"""

from __future__ import annotations

import base64
import hmac
import json
from collections.abc import Callable, Iterator
from hashlib import sha256
from typing import NamedTuple

from tillbell import ed25519
from tillbell.rules.delivery.signing import check_standard_secret, standard_signature

TOLERANCE_S = 300


class ReceivedSignature(NamedTuple):
    """A message as its receiver has it."""

    secret: str
    id: str
    timestamp: str
    signature: str
    body: bytes


class SignatureFinding(NamedTuple):
    """Whether the signature is valid, and the causes if it is not."""

    is_valid: bool
    causes: list[str]


def explain_signature(signed: ReceivedSignature, now_s: int) -> SignatureFinding:
    """Return whether a receiver should accept the message, and if not, why."""
    problem = check_verifying_secret(signed.secret.strip())
    if problem:
        return SignatureFinding(False, [f"secret: {problem}"])
    causes = [*_of_timestamp(signed.timestamp, now_s)]
    if not _is_number(signed.timestamp):
        return SignatureFinding(False, causes)
    if _matches(signed):
        return SignatureFinding(not causes, causes)
    mistakes = [*_of_secret(signed), *_of_body(signed)]
    if not _is_public(signed.secret):
        mistakes += _of_header(signed)
    return SignatureFinding(False, causes + (mistakes or [_UNKNOWN]))


def check_verifying_secret(text: str) -> str | None:
    """Return what is wrong with a secret or public key that shall verify; None if it is valid."""
    if not _is_public(text):
        return check_standard_secret(text)
    try:
        ed25519.verifier(text)
    except ValueError as error:
        return str(error)
    return None


def _is_public(text: str) -> bool:
    return text.strip().startswith(ed25519.PUBLIC_PREFIX)


_UNKNOWN = (
    "no usual mistake explains it; most likely the secret is another one (rotated, or of another "
    "endpoint), or the id is not that of the header webhook-id"
)


def _of_timestamp(text: str, now_s: int) -> Iterator[str]:
    if not _is_number(text):
        yield "timestamp: is not a whole number of seconds since 1970"
        return
    age_s = now_s - int(text)
    if int(text) > 10**11:
        yield "timestamp: is in milliseconds; the header has seconds"
    elif age_s > TOLERANCE_S:
        yield (
            f"timestamp: is {age_s} s old; receivers accept {TOLERANCE_S} s "
            "(a replay, or a wrong clock?)"
        )
    elif age_s < -TOLERANCE_S:
        yield f"timestamp: is {-age_s} s in the future; is this machine's clock right?"


def _of_secret(signed: ReceivedSignature) -> Iterator[str]:
    stripped = signed._replace(secret=signed.secret.strip())
    if stripped != signed and _matches(stripped):
        yield "secret: has white space around it, e.g. a line end from a file; strip it"
    content = f"{signed.id}.{signed.timestamp}.".encode() + signed.body
    bare = signed.secret.strip().removeprefix("whsec_")
    for key, mistake in (
        (signed.secret.strip(), "the whole text with whsec_ was used as the key"),
        (bare, "the text after whsec_ was used as the key"),
    ):
        signature = base64.b64encode(hmac.digest(key.encode(), content, sha256)).decode()
        if signature in signed.signature:
            yield f"secret: {mistake}; the key is the bytes after base64-decoding what follows it"
    if _signature_of(signed.body, signed) in signed.signature:
        yield "content: only the body was signed; it must be id.timestamp.body"


def _signature_of(content: bytes, signed: ReceivedSignature) -> str:
    try:
        key = base64.b64decode(signed.secret.strip().removeprefix("whsec_"))
    except ValueError:
        return "\0"  # matches no header
    return base64.b64encode(hmac.digest(key, content, sha256)).decode()


def _of_header(signed: ReceivedSignature) -> Iterator[str]:
    expected = standard_signature(
        [signed.secret.strip()], signed.id, int(signed.timestamp), signed.body
    )
    version, _, encoded = expected.partition(",")
    raw = base64.b64decode(encoded)
    for written, mistake in (
        (encoded, f"the version is missing; it must be {version},<base64>"),
        (raw.hex(), "it is hexadecimal; it must be base64"),
        (
            base64.urlsafe_b64encode(raw).decode(),
            "it is URL-safe base64; it must be standard base64",
        ),
        (encoded.rstrip("="), "the base64 lacks its padding (=)"),
    ):
        if signed.signature.strip().removeprefix(f"{version},") == written:
            yield f"signature: {mistake}"
            return


def _of_body(signed: ReceivedSignature) -> Iterator[str]:
    for change, cause in _CHANGES:
        try:
            body = change(signed.body)
        except (ValueError, RecursionError):
            continue  # not JSON, or not UTF-8: not this mistake
        if body != signed.body and _matches(signed._replace(body=body)):
            yield f"body: {cause}"
            return


def _rewrite(*, separators: tuple[str, str], **options: bool) -> Callable[[bytes], bytes]:
    def change(body: bytes) -> bytes:
        return json.dumps(json.loads(body), separators=separators, **options).encode()  # type: ignore[arg-type]

    return change


_PARSED = "was parsed and written again ({}); verify the bytes as received, then parse"
_SHORT, _WIDE = (",", ":"), (", ", ": ")
_CHANGES: tuple[tuple[Callable[[bytes], bytes], str], ...] = (
    (lambda body: body.removesuffix(b"\n"), "has an extra line end (from an editor or echo?)"),
    (lambda body: body + b"\n", "lacks the line end that was signed"),
    (lambda body: body.strip(), "has white space around it"),
    (lambda body: body.replace(b"\r\n", b"\n"), "has CRLF where LF was signed"),
    (lambda body: body.removeprefix(b"\xef\xbb\xbf"), "begins with a byte order mark"),
    (lambda body: body.decode().encode("latin-1"), "was decoded as Latin-1 and written as UTF-8"),
    (_rewrite(separators=_SHORT, ensure_ascii=False), _PARSED.format("spaces added")),
    (_rewrite(separators=_WIDE, ensure_ascii=False), _PARSED.format("spaces removed")),
    (_rewrite(separators=_SHORT, ensure_ascii=True), _PARSED.format("escapes decoded")),
    (_rewrite(separators=_WIDE, ensure_ascii=True), _PARSED.format("escapes decoded")),
    (
        _rewrite(separators=_SHORT, ensure_ascii=False, sort_keys=True),
        _PARSED.format("keys moved"),
    ),
    (
        _rewrite(separators=_WIDE, ensure_ascii=False, sort_keys=True),
        _PARSED.format("keys moved"),
    ),
)


def _matches(signed: ReceivedSignature) -> bool:
    if check_verifying_secret(signed.secret):
        return False
    if _is_public(signed.secret):
        return any(_is_signed(signed, other) for other in signed.signature.split(" "))
    expected = standard_signature([signed.secret], signed.id, int(signed.timestamp), signed.body)
    offered = signed.signature.split(" ")
    return any(hmac.compare_digest(expected.encode(), other.encode()) for other in offered)


def _is_signed(signed: ReceivedSignature, signature: str) -> bool:
    version, _, encoded = signature.partition(",")
    content = f"{signed.id}.{signed.timestamp}.".encode() + signed.body
    try:
        raw = base64.b64decode(encoded, validate=True)
    except ValueError:
        return False
    return version == "v1a" and ed25519.verifier(signed.secret)(raw, content)


def _is_number(text: str) -> bool:
    return text.isascii() and text.isdigit() and len(text) < 20
