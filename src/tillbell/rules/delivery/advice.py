"""Advice on refused attempts: one line for each status, what happened and what to do next."""

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
