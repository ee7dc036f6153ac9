"""The chain of the audit log: each row's hash covers the row and the hash of the row before.

So a row that was altered, removed or put in between does not fit any more. Whoever can write to the
database can also compute the chain anew; a head that was noted elsewhere shows that.

The hash of a row is SHA-256, in hexadecimal, of the hash of the row before, a line feed, and the
members of the row as a JSON array in UTF-8: without spaces, texts as they are stored.

A person may be erased from rows: texts that name them are replaced. The row keeps its hash, so the
chain goes on, and gets a **redaction**: the hash of what it reads now, behind its own hash. It
counts only if a later row of the chain, the act `REDACT`, names it with that redaction. So who
replaces anything leaves a row in the log, and who has the old text can prove it by the old hash.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Sequence
from typing import NamedTuple

NO_HASH = "0" * 64  # of the row before the first
REDACT = "audit.redact"  # the act that says from which rows a person was erased
_ACTION, _DETAILS = 8, 15  # members of a row


class ChainLink(NamedTuple):
    """A place in the chain: the number of a row and its hash."""

    sequence: int
    hash: str


class ChainBounds(NamedTuple):
    """Where the chain begins and ends: the last row that was cut off, and the newest row."""

    anchor: ChainLink
    head: ChainLink


class ChainedRow(NamedTuple):
    """A row of the log as it is stored: `members` are all of its columns but the last two."""

    link: ChainLink
    id: str
    members: Sequence[str | int | None]
    redaction: str | None = None


class ChainBreak(NamedTuple):
    """Where the chain is broken. `id`: of the row there; "" if it is missing."""

    sequence: int
    id: str
    why: str


def row_hash(previous: str, members: Sequence[str | int | None]) -> str:
    """Return the hash of a row behind the row with the hash `previous`.

    >>> row_hash(NO_HASH, [1, "aud_1", None])[:16]
    '7ce534a836467dd3'
    """
    text = json.dumps(list(members), ensure_ascii=False, separators=(",", ":"))
    return hashlib.sha256(f"{previous}\n{text}".encode()).hexdigest()


class ChainCheck:
    """Checks rows in the order of their numbers, behind the anchor, up to the head."""

    def __init__(self, bounds: ChainBounds) -> None:
        self._bounds = bounds
        self._last = bounds.anchor
        self.break_: ChainBreak | None = None  # the first one
        self.checked = 0
        self.redacted = 0
        # Redacted rows that no act has named yet, by id and redaction.
        self._unnamed: dict[tuple[str, str], int] = {}

    @property
    def last(self) -> ChainLink:
        """Return the last row that fits."""
        return self._last

    def add(self, rows: Iterable[ChainedRow]) -> None:
        """Check more rows, unless the chain is broken already."""
        for row in rows:
            if self.break_ is not None or row.link.sequence > self._bounds.head.sequence:
                return
            self.break_ = self._fault(row)
            if self.break_ is None:
                self._last = row.link
                self.checked += 1
                self._note_redactions(row)

    def end(self) -> None:
        """Check that the rows have reached the head."""
        head = self._bounds.head
        if self.break_ is not None:
            return
        if self._last == head:
            self._check_redactions()
        elif self._last.sequence < head.sequence:
            self.break_ = ChainBreak(self._last.sequence + 1, "", "a row is missing")
        else:
            self.break_ = ChainBreak(head.sequence, "", "the noted head is another one")

    def _fault(self, row: ChainedRow) -> ChainBreak | None:
        expected = self._last.sequence + 1
        if row.link.sequence != expected:
            return ChainBreak(expected, "", "a row is missing")
        before = self._last.hash if row.redaction is None else row.link.hash
        if row_hash(before, row.members) != (row.redaction or row.link.hash):
            return ChainBreak(expected, row.id, "the row does not fit its hash and the row before")
        return None

    def _note_redactions(self, row: ChainedRow) -> None:
        if row.redaction is not None:
            self._unnamed[row.id, row.redaction] = row.link.sequence
            self.redacted += 1
        elif row.members[_ACTION] == REDACT:
            for id_, redaction in json.loads(str(row.members[_DETAILS]))["rows"].items():
                self._unnamed.pop((id_, redaction), None)

    def _check_redactions(self) -> None:
        if self._unnamed:
            (id_, _), sequence = min(self._unnamed.items(), key=lambda item: item[1])
            text = "the row was redacted, and no later row says so"
            self.break_ = ChainBreak(sequence, id_, text)
