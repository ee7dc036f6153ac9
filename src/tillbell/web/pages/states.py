"""What each status looks like: a tone, an icon and a word. Never a colour alone."""

from __future__ import annotations

from typing import NamedTuple

from tillbell.model.messages import Delivery, DeliveryState


class Look(NamedTuple):
    """How a status is shown."""

    tone: str  # ok, bad, warn, info, hold, idle
    icon: str
    word: str


_TABLE = """
waiting         idle  clock     Waiting
sending         info  sending   Sending
succeeded       ok    ok        Succeeded
failed          bad   bad       Failed
retrying        warn  refresh   Waiting, failed before
discarded       idle  ban       Discarded
accepted        ok    ok        Accepted
refused         bad   bad       Refused
throttled       warn  gauge     Throttled
gone            bad   gone      Gone
timed_out       bad   timeout   Timed out
unreachable     bad   plug      Unreachable
blocked         hold  shield    Blocked
interrupted     idle  bolt      Interrupted
active          ok    ok        Active
disabled        idle  ban       Disabled
paused          warn  pause     Paused
probing         warn  problem   Failing, probing
failing         bad   problem   Failing
Pending         idle  clock     Pending
Processing      info  sending   Processing
On_Hold         hold  pause     On Hold
Approved        ok    ok        Approved
Declined        bad   bad       Declined
Failed          bad   alert     Failed
Cancelled       idle  ban       Cancelled
Rejected        bad   ban       Rejected
applied         ok    ok        Applied
duplicate       idle  duplicate Duplicate
stale           idle  late      Stale
conflict        hold  review    Conflict
illegal         warn  alert     Illegal
unmatched       warn  question  Unmatched
unmapped        warn  question  Unmapped
mismatch        hold  notequal  Mismatch
noted           idle  info      Noted
ignored         idle  ban       Ignored
unauthenticated bad   key       Unauthenticated
malformed       bad   braces    Malformed
running         info  sending   Running
finished        ok    ok        Done
canceled        idle  ban       Canceled
signed          ok    ok        Signed
pending         idle  clock     Pending
paid            ok    ok        Paid
underpaid       warn  notequal  Underpaid
overpaid        warn  notequal  Overpaid
cancelled       idle  ban       Cancelled
refunded        idle  left      Refunded
partially_refunded warn left    Partly refunded
disputed        hold  review    Disputed
created         idle  clock     Created
trialing        info  clock     Trial
suspended       warn  pause     Suspended
expired         idle  ban       Expired
in_transit      info  truck     In transit
exception       bad   alert     Problem on the way
delivered       ok    ok        Delivered
returned        warn  left      Returned
consented       ok    check     May be written to
not_consented   idle  ban       May not be written to
"""
STATES = {
    name.replace("_", " ") if name == "On_Hold" else name: Look(tone, icon, word)
    for name, tone, icon, word in (line.split(maxsplit=3) for line in _TABLE.strip().splitlines())
}
UNKNOWN = Look("idle", "question", "Unknown")


def look(state: str) -> Look:
    """Return how a status is shown; one without an entry is shown by its own name."""
    return STATES.get(state) or UNKNOWN._replace(word=state)


def state_of(delivery: Delivery) -> str:
    """Return how a delivery is shown: one that waits after a failed attempt in its own way."""
    is_retried = delivery.state is DeliveryState.WAITING and delivery.attempts > 0
    return "retrying" if is_retried else delivery.state
