"""The check of each profile.

A platform's own header must always be valid. A `webhook-signature` must be valid too if there is
one. Requests of the platform itself have none; then the result has no timestamp.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from tillbell.rules.delivery.signing import hmac_sha512_hex
from tillbell.verify.outcome import VerificationError, Verified
from tillbell.verify.standard import VerificationRequest, check_standard, same

_BEARER = "bearer "
Check = Callable[[VerificationRequest], None]


def check_profile(profile: str, request: VerificationRequest) -> Verified:
    """Verify a request by its profile."""
    if profile in STANDARD:
        is_svix = "webhook-signature" not in request.headers and "svix-id" in request.headers
        signed = check_standard(request, "svix-" if is_svix else "webhook-")
        return Verified(signed.id, signed.timestamp, profile, request.body)
    check = PLATFORMS.get(profile)
    if check is None:
        raise VerificationError("unknown_profile", f"no profile {str(profile)[:40]!r}")
    check(request)
    if "webhook-signature" not in request.headers:
        return Verified(None, None, profile, request.body)
    signed = check_standard(request)
    return Verified(signed.id, signed.timestamp, profile, request.body)


def _shoppex(request: VerificationRequest) -> None:
    value = request.headers.one("x-shoppex-signature")
    if not any(same(hmac_sha512_hex(s, request.body), value) for s in request.secrets):
        raise VerificationError("no_match", "X-Shoppex-Signature does not match the body")


def _zenofy(request: VerificationRequest) -> None:
    _compare(request, request.headers.one("x-webhook-secret"))


def _mozarto(request: VerificationRequest) -> None:
    _compare(request, request.headers.one("authorization"))


def _mozarto_legacy(request: VerificationRequest) -> None:
    value = request.headers.one("authorization")
    if value[: len(_BEARER)].lower() != _BEARER:
        raise VerificationError("no_match", "Authorization is not a bearer token")
    _compare(request, value[len(_BEARER) :])


def _compare(request: VerificationRequest, value: str) -> None:
    if not any(same(secret, value) for secret in request.secrets):
        raise VerificationError("no_match", "the shared secret is another")


STANDARD = ("standard", "svix", "cloudevents", "slack", "discord", "teams")
PLATFORMS: Mapping[str, Check] = {
    "shoppex": _shoppex,
    "zenofy": _zenofy,
    "mozarto": _mozarto,
    "mozarto-legacy": _mozarto_legacy,
}
