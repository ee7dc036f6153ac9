"""Verify and parse: who sent a callback, and what does it say?

Used when a callback comes and when it is reprocessed. Pure, except that it logs. An error in an
adapter is a bug of Tillbell and affects only this callback. If verifying fails, nothing is proven.
If parsing fails, the callback is kept and can be replayed after a repair.
"""

from __future__ import annotations

import hashlib
from functools import lru_cache
from typing import Any, NamedTuple

from tillbell.logs import log_event
from tillbell.model.callbacks import Notice, Outcome
from tillbell.model.construct import with_quick_replace
from tillbell.model.sources import Trust
from tillbell.providers.kit.base import Incoming, IntakeStatus, Unreadable, Verdict
from tillbell.receive.source_cache import CompiledSource
from tillbell.rules.delivery.hops import HOPS_MAX, hops_of
from tillbell.rules.payments.masking import mask_text, mask_tree

KEY_MAX = 256  # characters of a dedupe key; of a longer one a hash is stored
WHY_MAX = 500  # characters

# Fields of notices in which people and providers write what they like. References are not masked.
_TEXT_FIELDS = ("raw_status", "substate", "message", "reason", "subject", "sender", "url", "text")
_MASKED_FIELDS = (*_TEXT_FIELDS, "details", "metadata", "data")
_IDENTIFIERS = frozenset({"id", "number", "reference", "productid", "sessionid", "deviceid"})


SIMULATED_WHY = "It was simulated by a test of its source, so nothing follows from it."


@with_quick_replace
class CallbackReading(NamedTuple):
    """What a callback says, and how well it is proven. With an `outcome` it is not processed."""

    trust: Trust | None  # None: refused
    verdict_why: str
    notices: tuple[Notice, ...] = ()
    dedupe_key: str | None = None
    outcome: Outcome | None = None
    why: str = ""  # of the outcome

    @property
    def intake_status(self) -> IntakeStatus:
        """How far the callback got, for the adapter's answer."""
        if self.outcome is Outcome.MALFORMED:
            return IntakeStatus.MALFORMED
        return IntakeStatus.STORED if self.trust is not None else IntakeStatus.REFUSED

    @property
    def is_proven(self) -> bool:
        """Whether a stranger could not have sent it."""
        return self.trust is not None and self.trust > Trust.NETWORK

    def as_simulated(self) -> CallbackReading:
        """Return it as a test stores it: nothing follows, and no real one is its duplicate."""
        return CallbackReading(
            Trust.SIMULATED, self.verdict_why, outcome=Outcome.NOTED, why=SIMULATED_WHY
        )


def verify_and_parse(
    compiled: CompiledSource, incoming: Incoming, proven: Trust | None = None
) -> CallbackReading:
    """Verify a callback, then parse it.

    `proven` is how well it was proven when it came. That stays, even if the secrets have changed.
    """
    reading = verify(compiled, incoming, proven)
    return reading if reading.outcome is not None else parse(compiled, incoming, reading)


def verify(
    compiled: CompiledSource, incoming: Incoming, proven: Trust | None = None
) -> CallbackReading:
    """Verify a callback. With an outcome it is not parsed; else `parse` completes the reading."""
    verdict, refusal = _verified(compiled, incoming)
    verdict_why = plain_text(verdict.why)
    trust = verdict.trust if verdict.trust is not None else proven
    if trust is None:
        return CallbackReading(None, verdict_why, outcome=refusal, why=verdict_why)
    ignored = _reason_ignored(compiled, incoming)
    if ignored:
        return CallbackReading(trust, verdict_why, outcome=Outcome.IGNORED, why=ignored)
    return CallbackReading(trust, verdict_why)


def parse(
    compiled: CompiledSource, incoming: Incoming, verified: CallbackReading
) -> CallbackReading:
    """Add to the reading of a verified callback what it says."""
    malformed = verified._replace(outcome=Outcome.MALFORMED)
    try:
        parsed = compiled.provider.parse(incoming, compiled.setup_at(incoming.received_at))
    except Unreadable as error:
        return malformed._replace(why=plain_text(str(error)))
    except Exception as error:  # noqa: BLE001 - supervised: a genuine callback must not be lost
        log_event("callback.error", provider=compiled.provider.name, exc_info=error)
        return malformed._replace(why=_own_fault(error))
    notices = tuple([_without_cards(notice) for notice in parsed.notices])
    key = _dedupe_key(parsed.dedupe_key, incoming)
    return verified._replace(notices=notices, dedupe_key=key)


def add_advice(
    compiled: CompiledSource, incoming: Incoming, reading: CallbackReading
) -> CallbackReading:
    """Add to an unproven reading what its source may declare wrongly, if that can be found out.

    Slow, because it tries many signatures: call it on a thread, and not for every request.
    """
    explain = compiled.provider.explain
    if explain is None or reading.is_proven or reading.outcome is Outcome.MALFORMED:
        return reading
    if not compiled.allows(incoming.peer):
        return reading
    try:
        verdict = explain(incoming, compiled.setup_at(incoming.received_at))
    except Exception as error:  # noqa: BLE001 - supervised: the reading is valid without advice
        log_event("callback.error", provider=compiled.provider.name, exc_info=error)
        return reading
    why = plain_text(verdict.why)
    is_refused = reading.outcome is Outcome.UNAUTHENTICATED
    return reading._replace(verdict_why=why, why=why if is_refused else reading.why)


@lru_cache(maxsize=256)  # adapters say the same of most callbacks
def plain_text(text: str) -> str:
    """Return a text as one line that may be stored and shown: no card number, not too long."""
    printable = text.encode("utf-8", "replace").decode().replace("\0", "")
    return mask_text(" ".join(printable.split()))[:WHY_MAX]


def _verified(compiled: CompiledSource, incoming: Incoming) -> tuple[Verdict, Outcome]:
    """Return the verdict, and the outcome if it is a refusal."""
    if not compiled.allows(incoming.peer):
        return Verdict(None, _elsewhere(incoming.peer)), Outcome.UNAUTHENTICATED
    try:
        verdict = compiled.provider.verify(incoming, compiled.setup_at(incoming.received_at))
        return verdict, Outcome.UNAUTHENTICATED
    except Unreadable as error:
        return Verdict(None, str(error)), Outcome.MALFORMED
    except Exception as error:  # noqa: BLE001 - supervised: a verifier that fails proves nothing
        log_event("callback.error", provider=compiled.provider.name, exc_info=error)
        return Verdict(None, _own_fault(error)), Outcome.UNAUTHENTICATED


def _elsewhere(peer: str) -> str:
    return (
        f"It comes from {peer or 'an unknown address'}, which is not in the source's "
        "allowedNetworks."
    )


def _reason_ignored(compiled: CompiledSource, incoming: Incoming) -> str:
    """Say why a genuine callback is not processed; "" if it is."""
    if not compiled.source.is_enabled:
        return "The source is disabled."
    hops = hops_of(incoming.headers)
    if hops >= HOPS_MAX:
        return (
            f"It came through {hops} Tillbell gateways, so it may be in a loop. Check whether an "
            "endpoint delivers to this source."
        )
    return ""


def _own_fault(error: Exception) -> str:
    return f"Tillbell could not read it ({type(error).__name__}); see its log, then replay it."


def _dedupe_key(parsed_key: str | None, incoming: Incoming) -> str | None:
    """Return the dedupe key as it is stored; None if the callback is never a duplicate.

    The adapter says `None` if the whole request is the key, and "" if there is none.
    """
    if parsed_key is None:
        query = incoming.target.partition("?")[2]
        parts = (incoming.method.encode(), query.encode("latin-1", "replace"), incoming.body)
        return _hashed(b"\0".join(parts))
    is_short = len(parsed_key) <= KEY_MAX
    if is_short and parsed_key.isprintable() and mask_text(parsed_key) == parsed_key:
        return parsed_key or None
    return _hashed(parsed_key.encode("utf-8", "surrogatepass"))


def _hashed(content: bytes) -> str:
    return f"sha256:{hashlib.sha256(content).hexdigest()}"


def _without_cards(notice: Notice) -> Notice:
    """Return a notice with card numbers masked, where it holds any."""
    values: dict[str, Any] = {
        name: value for name in _MASKED_FIELDS if (value := getattr(notice, name, None))
    }
    masked = {name: mask_tree(value, unmasked=_IDENTIFIERS) for name, value in values.items()}
    return notice if masked == values else notice._replace(**masked)
