"""Messages out: one file a dialect, all of one shape (base.py).

A new dialect is a class in a file of its own and one entry in `_ALL`.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from tillbell.profiles.base import Profile
from tillbell.profiles.cloudevents import CloudEvents
from tillbell.profiles.mozarto import Mozarto
from tillbell.profiles.mozarto_legacy import MozartoLegacy
from tillbell.profiles.shoppex import Shoppex
from tillbell.profiles.standard import Standard, Svix
from tillbell.profiles.zenofy import Zenofy

_ALL: tuple[Profile, ...] = (
    Standard(),
    Svix(),
    Shoppex(),
    Zenofy(),
    Mozarto(),
    MozartoLegacy(),
    CloudEvents(),
)

PROFILES: Mapping[str, Profile] = MappingProxyType({profile.name: profile for profile in _ALL})


def profile(name: str) -> Profile:
    """Return the profile of that name; `KeyError` for a name that was never checked."""
    return PROFILES[name]
