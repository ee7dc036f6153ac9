"""What a replay would do, before it is done."""

from __future__ import annotations

from collections.abc import Iterator

from tillbell.model.callbacks import Callback, Outcome
from tillbell.receive.reprocess import ReparsedCallback, UnreadableRequest
from tillbell.receive.verify_and_parse import CallbackReading
from tillbell.web.api.callback_view import reading_out, verdict_word
from tillbell.web.api.shapes.callbacks import DifferenceOut, PreviewOut

_DECIDED_ON_RECEIPT = (Outcome.UNAUTHENTICATED, Outcome.MALFORMED, Outcome.IGNORED)


def preview_out(again: ReparsedCallback | UnreadableRequest) -> PreviewOut:
    """Show how a stored callback reads now."""
    callback = again.callback
    if isinstance(again, UnreadableRequest):
        return PreviewOut(
            callback_id=callback.id, possible=False, why=again.why, reading=None, differences=[]
        )
    reading = again.reading
    return PreviewOut(
        callback_id=callback.id,
        possible=reading.outcome is None,
        why=reading.why,
        reading=reading_out(reading),
        differences=list(_differences(callback, reading)),
    )


def _differences(callback: Callback, reading: CallbackReading) -> Iterator[DifferenceOut]:
    """Compare what was found when it came with what is found now.

    What processing will make of it is decided on the state of that moment, so of outcomes only
    those are compared that are known before.
    """
    at_the_door = callback.outcome if callback.outcome in _DECIDED_ON_RECEIPT else None
    is_ours = at_the_door is not Outcome.IGNORED or callback.dedupe_key is None
    pairs = (
        ("verdict", _verdict(callback), _verdict(reading)),
        ("trust", _word(callback), _word(reading)),
        ("outcome", at_the_door if is_ours else None, reading.outcome),
        ("dedupeKey", callback.dedupe_key, reading.dedupe_key),
    )
    for name, before, after in pairs:
        if before != after:
            yield DifferenceOut(name=name, before=before, after=after)


def _verdict(found: Callback | CallbackReading) -> str:
    return verdict_word(is_refused=found.trust is None)


def _word(found: Callback | CallbackReading) -> str | None:
    return found.trust.word if found.trust is not None else None
