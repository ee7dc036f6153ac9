"""Failures of TLS in plain words.

A receiver that ends TLS says why with an alert (RFC 8446 6.2). OpenSSL names it in the text of its
error, after the version that introduced it: `tlsv13 alert certificate required`.
"""

from __future__ import annotations

import re
import ssl
from typing import NamedTuple

_ALERT = re.compile(r"\] (?:sslv3|tlsv1|tlsv13|ssl/tls) (?:alert )?([a-z_ ]+)")
_WE_SEND_NONE = "The receiver requires a client certificate, and Tillbell does not send one"
_CLIENT_CERTIFICATE = frozenset({"certificate required", "bad certificate", "no certificate"})
_ALERTS = {
    "handshake failure": "it shares no cipher with us, or it requires a client certificate, which "
    "Tillbell does not send",
    "insufficient security": "it wants stronger ciphers than we offer",
    "protocol version": "it does not speak TLS 1.2 or newer",
    "unrecognized name": "it does not know the host name of the URL",
    "no application protocol": "it does not speak HTTP/1.1",
    "access denied": "it denies us access",
    "internal error": "it had an error of its own",
}
_OTHER_REASONS = {
    "WRONG_VERSION_NUMBER": "the port does not speak TLS",
    "UNSUPPORTED_PROTOCOL": "the receiver does not speak TLS 1.2 or newer",
    "UNEXPECTED_EOF_WHILE_READING": "the receiver closed the connection (does it speak TLS?)",
}


class TlsFailure(NamedTuple):
    """It unpacks as the `error` and `detail` of a reply."""

    error: str  # tls_error or client_certificate_required
    detail: str


def explain_tls_failure(error: ssl.SSLError, where: str) -> TlsFailure:
    """Say why TLS with the receiver at `where` ended."""
    if isinstance(error, ssl.SSLCertVerificationError):
        text = f"The certificate of {where} is not valid: {error.verify_message}."
        return TlsFailure("tls_error", text)
    alert = _ALERT.search(str(error))
    if alert is None:
        reason = error.reason or "unknown reason"
        text = _OTHER_REASONS.get(reason, reason.replace("_", " ").lower())
        return TlsFailure("tls_error", f"TLS with {where} failed: {text}.")
    name = alert[1].strip()
    if name in _CLIENT_CERTIFICATE:
        text = f"{_WE_SEND_NONE} (TLS alert of {where}: {name})."
        return TlsFailure("client_certificate_required", text)
    meaning = f": {_ALERTS[name]}" if name in _ALERTS else ""
    return TlsFailure("tls_error", f"{where} ended TLS with the alert {name!r}{meaning}.")
