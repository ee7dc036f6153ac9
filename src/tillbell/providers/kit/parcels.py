"""What carriers' words mean: one of our states of a parcel, with a substate and a sentence."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

from tillbell.providers.kit.base import ProviderSetting
from tillbell.rules.payments.lifecycles import STATES

STATUSES = ProviderSetting(
    "statuses",
    'Own meanings of status words: {"33": "in_transit/customs"}. They win over the table.',
    "object",
)


class ParcelMeaning(NamedTuple):
    """What a carrier's word means: our state, a substate, a sentence for a person."""

    status: str
    substate: str | None = None
    message: str | None = None


def meaning_of(
    word: str, table: Mapping[str, ParcelMeaning], config: Mapping[str, Any]
) -> ParcelMeaning | None:
    """Look a word up, first in the owner's table; None if it is in neither, or means no state."""
    own_words = config.get(STATUSES.name)
    written = own_words.get(word) if isinstance(own_words, Mapping) else None
    if isinstance(written, str):
        status, _, substate = written.partition("/")
        return ParcelMeaning(status, substate or None) if status in STATES else None
    return table.get(word)
