"""A secret that a header carries as it is: it proves who sent the request, not what was sent.

Every proxy on the way sees it, and whoever has it can prove anything, so it never moves money by
itself.
"""

from __future__ import annotations

from collections.abc import Sequence

from tillbell.model.sources import Trust
from tillbell.providers.kit.base import SourceSetup, Verdict
from tillbell.providers.kit.proof import same_text, secret_problem, verify_with_secrets

UNSECURED = Verdict(Trust.NONE, "The source has no secret, so anybody could have sent it.")


def verify(setup: SourceSetup, header: str, carried: Sequence[str | None]) -> Verdict:
    """Compare each spelling that the header may hold; a source without secret trusts nothing."""
    if not setup.secrets:
        return UNSECURED
    if not any(carried):
        return Verdict(None, f"The header {header} is missing or stands twice.")
    return verify_with_secrets(
        setup.secrets,
        lambda secret: any(same_text(text, secret) for text in carried),
        header,
        Trust.SECRET,
    )


def header_problem(secret: str) -> str | None:
    """Say what is wrong with a secret that is sent in a header (RFC 9110 section 5.5)."""
    if not (secret.isascii() and secret.isprintable()):
        return "the secret travels in a header, so it may hold printable ASCII only"
    return secret_problem(secret)
