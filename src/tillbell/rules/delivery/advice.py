"""Advice on failed attempts: one line for each status and failure, and what to do next."""

from __future__ import annotations

_BY_STATUS = {
    400: "The receiver found the request wrong (400). Compare its parser with the payload.",
    401: "The receiver did not accept our proof (401). Check that it uses this endpoint's secret.",
    403: "The receiver forbids the request (403). Look for a firewall or a CSRF check in its way.",
    404: "Nothing listens at this path (404). Correct the endpoint's URL.",
    405: "The path does not take POST (405). Correct the endpoint's URL or the receiver's route.",
    408: "The receiver says the request took too long (408). It is tried again.",
    410: "The receiver says it is gone for good (410). The endpoint was disabled.",
    413: "The receiver finds the body too large (413). Raise its limit.",
    415: "The receiver does not take this content type (415). Let it accept the profile's.",
    429: "The receiver asks for fewer requests (429). Set a rate on the endpoint.",
    502: "A proxy in front of the receiver got no valid answer from it (502). It is tried again.",
    503: "The receiver is not available (503). It is tried again.",
    504: "A proxy in front of the receiver waited too long for it (504). It is tried again.",
}

# What to do about a failure, beside what happened.
_BY_FAILURE = {
    "blocked_url": "Correct the endpoint's URL.",
    "blocked_address": "Correct the endpoint's URL, or allow the address in the settings.",
    "blocked_header": "Remove the header from the endpoint.",
    "unusable": "Set the endpoint's secret and profile again.",
    "dns_error": "Correct the host of the URL, or its DNS records.",
    "dns_timeout": "Check the name servers of the host. It is tried again.",
    "connect_timeout": "Check that a firewall lets this server in. It is tried again.",
    "connect_refused": "Start the receiver, or correct the port of the URL.",
    "connect_error": "Check the network between this server and the receiver.",
    "tls_error": "Correct the receiver's certificate or its TLS settings.",
    "client_certificate_required": "Let the receiver take requests without one: they are signed.",
    "timeout": "Let the receiver answer before it does the work. It is tried again.",
    "reset": "Look into the log of the receiver, or of a proxy in front of it. It is tried again.",
    "protocol_error": "Check that the URL leads to a server that speaks HTTP/1.1.",
    "overloaded": "If it comes often, let the server open more files.",
    "held": "Release the server when it may send.",
    "payload_deleted": "Publish the message again if it is still needed.",
    "template_failed": "Correct the endpoint's text template, then edit and resend the message.",
    "interrupted": "It is made again.",
    "internal_error": "It is tried again; please report it.",
}


def advise_failure(error: str, detail: str) -> str:
    """Return what happened, `detail`, with what to do about a failure of this class.

    >>> advise_failure("blocked_url", "The URL has no host.")
    "The URL has no host. Correct the endpoint's URL."
    """
    end = "" if detail.endswith((".", "?")) else "."
    return f"{detail}{end} {_BY_FAILURE[error]}"


def advise(status: int, success: str) -> str:
    """Return the advice for an answer that was not accepted.

    >>> advise(404, "2xx")
    "Nothing listens at this path (404). Correct the endpoint's URL."
    """
    advice = _BY_STATUS.get(status)
    if advice is not None:
        return advice
    if 200 <= status <= 299:
        return f"The receiver answered {status}; this endpoint's success rule is {success}."
    if 300 <= status <= 399:
        return f"The receiver redirects ({status}). Redirects are not followed: use the final URL."
    if 400 <= status <= 499:
        return f"The receiver refused the request ({status}). Its log should say why."
    if 500 <= status <= 599:
        return f"The receiver failed ({status}). Its log should say why; it is tried again."
    return f"The receiver answered with an unexpected status ({status})."
