"""The message of the bench: 1,024 bytes of JSON with its sequence number at a fixed place.

Sender and receiver know the form, so the receiver can compare every byte it got
with what was sent at the price of two memory comparisons.
"""

from __future__ import annotations

import json

BODY_BYTES = 1024
_DIGITS = 10
_HEAD = b'{"sequence":"'
_END = len(_HEAD) + _DIGITS


def _tail() -> bytes:
    items = [{"productId": f"prod_{n:04}", "quantity": n, "unitPrice": "19.90"} for n in range(8)]
    order = {"id": "ord_1042", "status": "paid", "amount": "149.99", "currency": "EUR"}
    text = json.dumps({"type": "order.paid", "data": {**order, "items": items}, "note": ""})
    # The opening brace goes: what is left continues the object that _HEAD opens.
    start = b'","' + text[2:-2].encode()
    return start + b"." * (BODY_BYTES - _END - len(start) - 2) + b'"}'


_TAIL = _tail()


def body_of(sequence: int) -> bytes:
    """Return the payload with that number, always `BODY_BYTES` long."""
    return b"%s%0*d%s" % (_HEAD, _DIGITS, sequence, _TAIL)


def sequence_of(body: bytes) -> int:
    """Return the number of a payload, or -1 unless every byte is as `body_of` made it."""
    if body[: len(_HEAD)] != _HEAD or body[_END:] != _TAIL:
        return -1
    digits = body[len(_HEAD) : _END]
    return int(digits) if digits.isdigit() else -1


def around_sequence(before: bytes, after: bytes) -> tuple[bytes, bytes]:
    """Return what stands before and after the ten digits when a request wraps a payload."""
    return before + _HEAD, _TAIL + after
