"""Checks that the audit log is whole: that no row was altered, removed or put in between."""

from __future__ import annotations

from typing import NamedTuple

from tillbell.rules.audit_chain import ChainBounds, ChainBreak, ChainCheck
from tillbell.storage.ports.overviews import OverviewLists

ROWS_AT_ONCE = 1_000
_TRIES = 3


class AuditProof(NamedTuple):
    """What a check found. `break_` is None if all rows fit."""

    bounds: ChainBounds
    checked: int  # rows that fit, before the first that does not
    redacted: int  # of them, those from which a person was erased
    break_: ChainBreak | None


async def check_audit_log(store: OverviewLists) -> AuditProof:
    """Read the whole log and check it. Rows that come meanwhile are not looked at."""
    tries = 0
    while True:
        tries += 1
        bounds = await store.audit_bounds()
        check = ChainCheck(bounds)
        while check.break_ is None and check.last.sequence < bounds.head.sequence:
            rows = await store.audit_rows(check.last.sequence, ROWS_AT_ONCE)
            check.add(rows)
            if not rows:
                break
        check.end()
        proof = AuditProof(bounds, check.checked, check.redacted, check.break_)
        # While it was read, old rows may have been cut off, or a person erased from rows: then
        # there is another anchor, or the entry that says so stands behind the head.
        if check.break_ is None or tries == _TRIES or await store.audit_bounds() == bounds:
            return proof
