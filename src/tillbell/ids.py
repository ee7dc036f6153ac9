"""Ids: prefixed, unguessable, sorted by time of creation.

An id is `<prefix>_` and 26 lower-case Crockford base32 characters that hold a
UUIDv7 (RFC 9562: 48 bits of milliseconds, then random bits). Ids of one process
sort in the order of creation even within a millisecond.

The id of a delivery is derived from its message and endpoint, so a second one cannot
exist. The id of an attempt begins with that of its delivery, so deliveries and attempts
of a message are neighbours in a sorted index.
"""

from __future__ import annotations

import random
import secrets

from tillbell.clock import Micros

_ALPHABET = "0123456789abcdefghjkmnpqrstvwxyz"
_PAIRS = [a + b for a in _ALPHABET for b in _ALPHABET]
_RANDOM_BITS = 74
_TIME_SHIFTS = (40, 30, 20, 10, 0)
_TAIL_SHIFTS = (70, 60, 50, 40, 30, 20, 10, 0)  # 16 letters, 80 bits
_CURSOR_SHIFTS = (50, 40, 30, 20, 10, 0)
_CURSOR_TIME = 12  # letters
_CURSOR_LENGTH = _CURSOR_TIME + 41  # letters of an attempt's id without its prefix
_STEP = 1 << 16  # ids of messages drop the lower 16 bits and must differ too
_BLOCK_BYTES = 4096


class IdMaker:
    """Makes sortable ids; one per process.

    Random bytes are read from the system in blocks that last for some hundred ids.
    """

    def __init__(self) -> None:
        self._last_ms = 0
        self._time_text = ""
        self._tail = 0
        self._block = b""
        self._used = 0

    def new(self, prefix: str, now: Micros) -> str:
        """Return an id, e.g. `new("ep", now)` → `ep_01k…`."""
        tail = self._next(now)
        letters = [_PAIRS[tail >> shift & 1023] for shift in _TAIL_SHIFTS]
        return f"{prefix}_{self._time_text}" + "".join(letters)

    def new_message(self, now: Micros) -> str:
        """Return a message's id. Its last 16 characters are hex digits, which is faster."""
        number = self._next(now)
        return f"msg_{self._time_text}{number >> 16:016x}"

    def _next(self, now: Micros) -> int:
        """Return the next number: ids sort within a millisecond and when the clock steps back."""
        ms = now // 1000
        if ms > self._last_ms:
            self._last_ms = ms
            head = ms << 2  # 48 bits in ten letters of five
            self._time_text = "".join([_PAIRS[head >> shift & 1023] for shift in _TIME_SHIFTS])
            self._tail = self._random(10) >> 1  # the first bit stays free for counting up
        self._tail += _STEP + self._random(6)
        return self._tail

    def _random(self, length: int) -> int:
        start = self._used
        if start + length > len(self._block):
            self._block = secrets.token_bytes(_BLOCK_BYTES)
            start = 0
        self._used = start + length
        return int.from_bytes(self._block[start : self._used], "big")


def _text(value: int) -> str:
    value <<= 8  # 122 bits to 130: 26 characters
    return "".join([_PAIRS[(value >> shift) & 1023] for shift in range(120, -1, -10)])


def first_of(prefix: str, at: Micros) -> str:
    """Return the lowest id that can be made at `at`: a bound for "older than"."""
    return f"{prefix}_{_text((at // 1000) << _RANDOM_BITS)}"


def made_at(id_: str) -> Micros:
    """Return when an id was made, to the millisecond; of a delivery or attempt: its message.

    >>> made_at(first_of("msg", 1_760_000_000_123_000))
    1760000000123000
    """
    start = id_.index("_") + 1
    value = 0
    for letter in id_[start : start + 10]:  # 50 bits, of which the first 48 are milliseconds
        value = value << 5 | _ALPHABET.index(letter)
    return (value >> 2) * 1000


def span(prefix: str, id_: str) -> tuple[str, str]:
    """Return exclusive bounds of all ids that have this prefix and continue this id.

    >>> span("dlv", "msg_01k0000000000000000000000a")
    ('dlv_01k0000000000000000000000a', 'dlv_01k0000000000000000000000a~')
    """
    stem = f"{prefix}_{id_[id_.index('_') + 1 :]}"
    return stem, stem + "~"


def delivery_id(message_id: str, endpoint_id: str, part: int = 0) -> str:
    """Return the id of the delivery of a message to an endpoint.

    `part` numbers the parts that a profile makes of one message (Shoppex: `order:paid` and
    `order:paid:product`); nearly always 0.

    >>> delivery_id("msg_01k0000000000000000000000a", "ep_01k111111111111111222222222b")
    'dlv_01k0000000000000000000000a222222222b0'
    """
    return f"dlv_{message_id[4:]}{endpoint_id[-10:]}{_ALPHABET[part]}"


def attempt_id(delivery: str, number: int) -> str:
    """Return the id of a delivery's attempt; numbers count from 1."""
    return f"atmpt_{delivery[4:]}{_PAIRS[number >> 10 & 1023]}{_PAIRS[number & 1023]}"


def inbox_request_id(inbox_id: str, number: int) -> str:
    """Return the id of a request to an inbox; numbers count from 1, up to 40 bits.

    >>> inbox_request_id("inb_01k0000000000000000000000a", 33)
    'irq_01k0000000000000000000000a00000011'
    """
    letters = [_PAIRS[number >> shift & 1023] for shift in (30, 20, 10, 0)]
    return f"irq_{inbox_id[4:]}" + "".join(letters)


def attempt_cursor(attempt: str, started_at: Micros) -> str:
    """Return an attempt's place in a list by time: its start, then its id.

    >>> attempt_cursor("atmpt_01k0000000000000000000000a222222222b00001", 1_760_000_000_123_000)
    'atmpt_01j0pqqczr3r01k0000000000000000000000a222222222b00001'
    """
    time_text = "".join([_PAIRS[started_at >> shift & 1023] for shift in _CURSOR_SHIFTS])
    return f"atmpt_{time_text}{attempt[6:]}"


def read_attempt_cursor(cursor: str) -> tuple[Micros, str]:
    """Return start and id of the attempt that a cursor names. `ValueError` if it is no cursor."""
    prefix, _, rest = cursor.partition("_")
    if prefix != "atmpt" or len(rest) != _CURSOR_LENGTH:
        raise ValueError("not the cursor of an attempt")
    started_at = 0
    for letter in rest[:_CURSOR_TIME]:
        started_at = started_at << 5 | _ALPHABET.index(letter)
    return started_at, f"atmpt_{rest[_CURSOR_TIME:]}"


def record_cursor(id_: str, updated_at: Micros) -> str:
    """Return a record's place in a list by its last change: that time, then its id.

    >>> record_cursor("ord_01k0000000000000000000000a", 1_760_000_000_123_000)
    'ord_01j0pqqczr3r01k0000000000000000000000a'
    """
    prefix, _, rest = id_.partition("_")
    time_text = "".join([_PAIRS[updated_at >> shift & 1023] for shift in _CURSOR_SHIFTS])
    return f"{prefix}_{time_text}{rest}"


def read_record_cursor(cursor: str) -> tuple[Micros, str]:
    """Return the time of the change and the id that a cursor names; any text is taken.

    >>> read_record_cursor("ord_01j0pqqczr3r01k0000000000000000000000a")
    (1760000000123000, 'ord_01k0000000000000000000000a')
    """
    prefix, _, rest = cursor.partition("_")
    updated_at = 0
    for letter in rest[:_CURSOR_TIME]:
        updated_at = updated_at << 5 | max(_ALPHABET.find(letter), 0)
    return updated_at, f"{prefix}_{rest[_CURSOR_TIME:]}"


def new_request_id() -> str:
    """Return an id for one HTTP request, which is in its answer and in logs. It opens nothing.

    It asks the system for no random bytes: that gives up the interpreter's lock, and to get it back
    takes 12 us a request under load.
    """
    return f"req_{random.getrandbits(96):024x}"


def token(length_bytes: int = 32) -> bytes:
    """Return random bytes for a secret."""
    return secrets.token_bytes(length_bytes)
