"""Read a callback: who sent it, what does it say? Pure; used when it comes and when it is replayed.

An adapter that fails is a fault of ours and costs nothing but this callback: a verifier that
fails proves nothing, a parser that fails leaves the callback in the log, where it can be
replayed when it is mended.
"""

from __future__ import annotations

import hashlib
from typing import Any, NamedTuple

from tillbell.logs import log_event
from tillbell.model.callbacks import Notice, Outcome
from tillbell.model.sources import Trust
from tillbell.providers.kit.base import Incoming, IntakeStatus, Unreadable, Verdict
from tillbell.receive.source_cache import CompiledSource
from tillbell.rules.delivery.hops import HOPS_MAX, hops_of
from tillbell.rules.payments.masking import mask_text, mask_tree

KEY_MAX = 256  # characters of a dedupe key that is kept as it is
WHY_MAX = 500

# Of a notice: what people and providers write freely. References are left alone.
_WORDS = ("raw_status", "substate", "message", "reason", "subject", "sender", "url", "text")
_FREE = (*_WORDS, "details", "metadata", "data")
_IDENTIFIERS = frozenset({"id", "number", "reference", "productid", "sessionid", "deviceid"})


class CallbackReading(NamedTuple):
    """What a callback turned out to be. With an `outcome` it goes no further."""

    trust: Trust | None
    verdict_why: str
    notices: tuple[Notice, ...] = ()
    dedupe_key: str | None = None
    outcome: Outcome | None = None
    why: str = ""  # of the outcome

    @property
    def intake_status(self) -> IntakeStatus:
        """How far it got, as the adapter's answer wants to know."""
        if self.outcome is Outcome.MALFORMED:
            return IntakeStatus.MALFORMED
        return IntakeStatus.STORED if self.trust is not None else IntakeStatus.REFUSED

    @property
    def is_proven(self) -> bool:
        """Whether a stranger could not have sent it."""
        return self.trust is not None and self.trust > Trust.NETWORK


def verify_and_parse(
    live: CompiledSource, incoming: Incoming, proven: Trust | None = None
) -> CallbackReading:
    """Verify, then parse. What was `proven` when it came stays so, whatever the secrets are now."""
    verdict, refusal = _verified(live, incoming)
    why = plain_notice(verdict.why)
    trust = verdict.trust if verdict.trust is not None else proven
    if trust is None:
        return CallbackReading(None, why, outcome=refusal, why=why)
    stopped = _without_notices(live, incoming)
    if stopped:
        return CallbackReading(trust, why, outcome=Outcome.IGNORED, why=stopped)
    try:
        parsed = live.provider.parse(incoming, live.setup_at(incoming.received_at))
    except Unreadable as error:
        return CallbackReading(trust, why, outcome=Outcome.MALFORMED, why=plain_notice(str(error)))
    except Exception as error:  # noqa: BLE001 - supervised: a genuine callback must not be lost
        log_event("callback.error", provider=live.provider.name, exc_info=error)
        return CallbackReading(
            trust, why, outcome=Outcome.MALFORMED, why=_with_our_references(error)
        )
    notices = tuple(_without_cards(notice) for notice in parsed.notices)
    return CallbackReading(trust, why, notices, _key(parsed.dedupe_key, incoming))


def explained(
    live: CompiledSource, incoming: Incoming, reading: CallbackReading
) -> CallbackReading:
    """Return the reading of a refused callback with advice on its source, where there is any.

    It tries many signatures: for a thread, and not for each request of a stranger.
    """
    explain = live.provider.explain
    if explain is None or reading.is_proven or reading.outcome is Outcome.MALFORMED:
        return reading
    try:
        verdict = explain(incoming, live.setup_at(incoming.received_at))
    except Exception as error:  # noqa: BLE001 - supervised: what was read stands
        log_event("callback.error", provider=live.provider.name, exc_info=error)
        return reading
    why = plain_notice(verdict.why)
    is_refused = reading.outcome is Outcome.UNAUTHENTICATED
    return reading._replace(verdict_why=why, why=why if is_refused else reading.why)


def plain_notice(text: str) -> str:
    """Return one line that may be stored and shown: no card number, not too long."""
    printable = text.encode("utf-8", "replace").decode().replace("\0", "")
    return mask_text(" ".join(printable.split()))[:WHY_MAX]


def _verified(live: CompiledSource, incoming: Incoming) -> tuple[Verdict, Outcome]:
    """Return the verdict, and how the callback ends if it is refused."""
    try:
        verdict = live.provider.verify(incoming, live.setup_at(incoming.received_at))
        return verdict, Outcome.UNAUTHENTICATED
    except Unreadable as error:
        return Verdict(None, str(error)), Outcome.MALFORMED
    except Exception as error:  # noqa: BLE001 - supervised: whatever fails proves nothing
        log_event("callback.error", provider=live.provider.name, exc_info=error)
        return Verdict(None, _with_our_references(error)), Outcome.UNAUTHENTICATED


def _without_notices(live: CompiledSource, incoming: Incoming) -> str:
    """Say why a genuine callback is not looked at; "" if it is."""
    if not live.source.is_enabled:
        return "The source is switched off."
    hops = hops_of(incoming.headers)
    if hops >= HOPS_MAX:
        return (
            f"It has come through {hops} gateways like this one, which looks like a loop: does an "
            "endpoint deliver to this source?"
        )
    return ""


def _with_our_references(error: Exception) -> str:
    return f"Tillbell could not read it ({type(error).__name__}); see its log, then replay it."


def _key(named: str | None, incoming: Incoming) -> str | None:
    """Return the dedupe key as it is stored; None: never a duplicate."""
    if named is None:
        query = incoming.target.partition("?")[2]
        parts = (incoming.method.encode(), query.encode("latin-1", "replace"), incoming.body)
        return _hashed(b"\0".join(parts))
    if len(named) <= KEY_MAX and named.isprintable() and mask_text(named) == named:
        return named or None
    return _hashed(named.encode("utf-8", "surrogatepass"))


def _hashed(content: bytes) -> str:
    return f"sha256:{hashlib.sha256(content).hexdigest()}"


def _without_cards(notice: Notice) -> Notice:
    values: dict[str, Any] = {
        name: getattr(notice, name) for name in _FREE if name in notice._fields
    }
    masked = {name: mask_tree(value, kept=_IDENTIFIERS) for name, value in values.items()}
    return notice if masked == values else notice._replace(**masked)
