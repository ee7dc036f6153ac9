"""`tillbell signature …`: sign a message, verify a signature, or explain why it does not match.

Secrets and bodies may be given as @FILE, so that other users do not see them in the process list.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated

from cyclopts import Parameter

from tillbell.cli.causes import ReceivedSignature, check_verifying_secret, explain_signature
from tillbell.cli.value_or_file import read_value_or_file
from tillbell.clock import SECOND, SystemClock
from tillbell.errors import Misconfigured
from tillbell.rules.delivery.signing import check_standard_secret, standard_signature

Content = Annotated[str, Parameter(allow_leading_hyphen=True)]  # "-" is standard input


def sign(body: Content, *, secret: str, id: str = "msg_test", timestamp: int | None = None) -> None:  # noqa: A002 - a flag's name
    """Write the three headers of a signed message.

    Parameters
    ----------
    body
        The body, @FILE, or - for standard input.
    secret
        whsec_… or whsk_…, or @FILE.
    id
        The message's id.
    timestamp
        Seconds since 1970. Default: now.
    """
    text = _usable_secret(secret, check_standard_secret)
    at = _now_s() if timestamp is None else timestamp
    print(f"webhook-id: {id}")
    print(f"webhook-timestamp: {at}")
    print(f"webhook-signature: {standard_signature([text], id, at, read_value_or_file(body))}")


def verify(body: Content, *, secret: str, id: str, timestamp: str, signature: str) -> int:  # noqa: A002 - a flag's name
    """Check a signature; exit code 1 if a receiver should refuse the message.

    Parameters
    ----------
    body
        The body as received, @FILE, or - for standard input.
    secret
        whsec_… or whsk_…, the public key whpk_…, or @FILE.
    id
        The header webhook-id.
    timestamp
        The header webhook-timestamp.
    signature
        The header webhook-signature.
    """
    finding = explain_signature(
        ReceivedSignature(
            _usable_secret(secret, check_verifying_secret),
            id,
            timestamp,
            signature,
            read_value_or_file(body),
        ),
        _now_s(),
    )
    print("valid" if finding.is_valid else "not valid")
    return 0 if finding.is_valid else 1


def explain(body: Content, *, secret: str, id: str, timestamp: str, signature: str) -> int:  # noqa: A002 - a flag's name
    """Find out why a signature does not match: secret, timestamp, header or body.

    Parameters
    ----------
    body
        The body as received, @FILE, or - for standard input.
    secret
        whsec_… or whsk_…, the public key whpk_…, or @FILE.
    id
        The header webhook-id.
    timestamp
        The header webhook-timestamp.
    signature
        The header webhook-signature.
    """
    finding = explain_signature(
        ReceivedSignature(
            read_value_or_file(secret).decode(), id, timestamp, signature, read_value_or_file(body)
        ),
        _now_s(),
    )
    print("valid: the secret, the timestamp and the body fit" if finding.is_valid else "not valid")
    for cause in finding.causes:
        print(f"- {cause}")
    return 0 if finding.is_valid else 1


def _usable_secret(secret: str, check: Callable[[str], str | None]) -> str:
    """Read a secret. `Misconfigured` if the check says what is wrong with it."""
    text = read_value_or_file(secret).decode().strip()
    if problem := check(text):
        raise Misconfigured(f"secret: {problem}")
    return text


def _now_s() -> int:
    return SystemClock().now() // SECOND
