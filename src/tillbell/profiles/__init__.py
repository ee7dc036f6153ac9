"""Profiles: the formats in which endpoints receive messages.

A profile is a class in a file of its own (shape: base.py) and one entry in `_ALL`.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from tillbell.profiles.base import Profile
from tillbell.profiles.cloudevents import CloudEvents
from tillbell.profiles.discord import Discord
from tillbell.profiles.mozarto import Mozarto
from tillbell.profiles.mozarto_legacy import MozartoLegacy
from tillbell.profiles.shoppex import Shoppex
from tillbell.profiles.slack import Slack
from tillbell.profiles.standard import Standard, Svix
from tillbell.profiles.teams import Teams
from tillbell.profiles.zenofy import Zenofy

_ALL: tuple[Profile, ...] = (
    Standard(),
    Svix(),
    Shoppex(),
    Zenofy(),
    Mozarto(),
    MozartoLegacy(),
    CloudEvents(),
    Slack(),
    Discord(),
    Teams(),
)

PROFILES: Mapping[str, Profile] = MappingProxyType({profile.name: profile for profile in _ALL})


def profile(name: str) -> Profile:
    """Return the profile of a name; `KeyError` if there is none."""
    return PROFILES[name]
