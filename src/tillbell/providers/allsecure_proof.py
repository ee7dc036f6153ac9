"""How AllSecure Exchange signs, and how its old XML says what JSON says today.

    message   = method ⏎ hash of the body ⏎ content type ⏎ date ⏎ target
    signature = base64( HMAC-SHA512( shared secret, message ) )

In `X-Signature`; on old connectors in `Authorization: Gateway <key>:<signature>`, with one more
line end before the target. The hash is SHA-512 in hex, MD5 on old set-ups. Source:
documentation.ixopay.com (additional security), with a published example.
"""

from __future__ import annotations

import base64
from collections.abc import Iterator, Mapping
from email.utils import format_datetime, parsedate_to_datetime
from typing import TYPE_CHECKING, Any, NamedTuple

from tillbell.clock import Micros, from_datetime, to_datetime
from tillbell.model.sources import Trust
from tillbell.providers.kit.base import Incoming, SimulationCase, SourceSetup, Unreadable, Verdict
from tillbell.providers.kit.proof import (
    NO_SECRET,
    clock_problem,
    digest,
    from_base64,
    is_one_of,
    key_bytes,
    mac,
    verify_with_secrets,
)
from tillbell.providers.kit.requests import json_body, request

if TYPE_CHECKING:
    from xml.etree.ElementTree import Element

CONTENT_TYPE = "application/json; charset=utf-8"
MAX_AGE_S = 300
_SCHEMES = ("gateway", "exchange")


class _Written(NamedTuple):
    """A signature as it came, and what it may cover."""

    signature: bytes
    is_legacy: bool


class _Covered(NamedTuple):
    """One reading of what was signed: proxies add dates, old set-ups hash otherwise."""

    message: bytes
    date: str


def is_return(incoming: Incoming) -> bool:
    """Tell whether the payer's browser carried it."""
    return incoming.method != "POST"


def verify(incoming: Incoming, setup: SourceSetup) -> Verdict:
    """Compare the signature of a server's callback. A return of a browser has none."""
    if is_return(incoming):
        return Verdict(Trust.NONE, "A browser carried it, so nothing is proven.")
    if not any(setup.secrets):
        return NO_SECRET
    written = _written(incoming)
    if written is None:
        return Verdict(None, "There is no X-Signature, and no old Authorization with one.")
    algorithms = ["sha512", "md5"] if setup.config.get("allowMd5BodyHash") else ["sha512"]
    for algorithm in algorithms:
        for covered in _readings(incoming, algorithm, written):
            verdict = _compared(setup, written, covered)
            if verdict.trust is not None:
                return _in_time(verdict, covered.date, incoming.received_at, setup.config)
    return _refusal(incoming, setup, written)


def signature(secret: str, covered: bytes) -> str:
    """Write the signature of a message."""
    return base64.b64encode(mac("sha512", key_bytes(secret), covered)).decode()


def message(incoming: Incoming, algorithm: str, content_type: str, date: str) -> bytes:
    """Write what is signed today."""
    hashed = digest(algorithm, incoming.body).hex()
    lines = (incoming.method, hashed, content_type, date, incoming.target)
    return "\n".join(lines).encode("latin-1", "replace")


def sign(case: SimulationCase, setup: SourceSetup, url: str) -> Incoming:
    """Post the fields as JSON, signed; or open the address as a browser does."""
    if case.method != "POST":
        return request(case, url, b"", {})
    date = format_datetime(to_datetime(case.at).replace(microsecond=0), usegmt=True)
    headers = {"content-type": CONTENT_TYPE, "date": date}
    made = request(case, url, json_body(dict(case.fields)), headers)
    sent = dict(made.headers)
    covered = message(made, "sha512", sent["content-type"], sent["date"])
    signed = signature(setup.secrets[0], covered) if setup.secrets else ""
    return made._replace(headers=(*made.headers, ("x-signature", signed)))


# ── comparing ────────────────────────────────────────────────────────────────────────────────────


def _written(incoming: Incoming) -> _Written | None:
    today = incoming.header("x-signature")
    if today is not None:
        given = from_base64(today)
        return _Written(given, is_legacy=False) if given else None
    for name in ("authorization", "x-authorization"):
        scheme, _, rest = (incoming.header(name) or "").partition(" ")
        given = from_base64(rest.rpartition(":")[2])
        if scheme.lower() in _SCHEMES and given:
            return _Written(given, is_legacy=True)
    return None


def _readings(incoming: Incoming, algorithm: str, written: _Written) -> Iterator[_Covered]:
    """Go through the dates and content types that the signature may mean."""
    dates = [incoming.header(name) for name in ("x-date", "date")]
    types = dict.fromkeys((incoming.header("content-type") or "", CONTENT_TYPE))
    for date in dict.fromkeys(date for date in dates if date is not None):
        for content_type in types:
            covered = message(incoming, algorithm, content_type, date)
            if written.is_legacy:
                before, _, target = covered.rpartition(b"\n")
                covered = before + b"\n\n" + target
            yield _Covered(covered, date)


def _compared(setup: SourceSetup, written: _Written, covered: _Covered) -> Verdict:
    def is_right(secret: str) -> bool:
        return is_one_of([written.signature], [mac("sha512", key_bytes(secret), covered.message)])

    return verify_with_secrets(setup.secrets, is_right, "The signature")


def _refusal(incoming: Incoming, setup: SourceSetup, written: _Written) -> Verdict:
    """Name the likely cause, where it is cheap to find."""
    plain = Verdict(None, "The signature does not match. Check the source's secret.")
    found = [_compared(setup, written, one) for one in _readings(incoming, "sha512", written)]
    if not found:
        return Verdict(None, "The header Date, which is signed, is missing or stands twice.")
    if not setup.config.get("allowMd5BodyHash"):
        old = _readings(incoming, "md5", written)
        if any(_compared(setup, written, one).trust is not None for one in old):
            why = "It is signed over the body's MD5, as old set-ups do; see allowMd5BodyHash."
            return Verdict(None, why)
    return next((verdict for verdict in found if "space" in verdict.why), plain)


def _in_time(verdict: Verdict, date: str, now: Micros, config: Mapping[str, Any]) -> Verdict:
    """Look at the signed date: too old is told, and refused where the owner wants it."""
    limit_s = config.get("maxAge", MAX_AGE_S)
    problem = clock_problem(_instant(date), now, limit_s)
    if problem is None:
        return verdict
    if config.get("maxAgeMode") == "refuse":
        return Verdict(None, problem)
    return verdict._replace(why=f"{verdict.why} {problem} This is only reported.")


def _instant(date: str) -> Micros | None:
    """Read an HTTP date (RFC 9110 5.6.7); None if it is none."""
    try:
        return from_datetime(parsedate_to_datetime(date))
    except (ValueError, TypeError, OverflowError):
        return None


# ── the old XML ──────────────────────────────────────────────────────────────────────────────────

_TODAY = {
    "referenceId": "uuid",
    "transactionId": "merchantTransactionId",
    "originalReferenceId": "originalUuid",
    "originalTransactionId": "originalMerchantTransactionId",
    "chargebackReferenceId": "chargebackUuid",
}
_LEVELS = 4  # callback / returnData / creditcardData / type


def legacy_fields(root: Element) -> dict[str, Any]:
    """Return the old XML by the names that JSON has today; `Unreadable` if it is another."""
    if _name(root) != "callback":
        raise Unreadable("The XML is no callback.")
    found = _members(root, _LEVELS)
    errors = found.pop("errors", None)
    error = errors.get("error") if isinstance(errors, dict) else None
    card = found.get("returnData")
    if isinstance(card, dict) and isinstance(card.get("creditcardData"), dict):
        found["returnData"] = card["creditcardData"]
    return {**(error if isinstance(error, dict) else {}), **found}


def _members(element: Element, levels: int) -> dict[str, Any]:
    """Read an element's children. Of several errors the first counts; else none stands twice."""
    found: dict[str, Any] = {}
    for child in element:
        name = _name(child)
        name = _TODAY.get(name, name)
        if name in ("error", "extraData") and name in found:
            continue
        if name in found:
            raise Unreadable(f"The element {name[:40]} stands twice.")
        found[name] = _members(child, levels - 1) if len(child) and levels else child.text
    return found


def _name(element: Element) -> str:
    """Return the name without its namespace."""
    return str(element.tag).rpartition("}")[2]
