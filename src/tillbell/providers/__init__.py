"""Callbacks in: one file a provider, all of one shape (base.py).

A new provider is a file of its own and one entry in `_ALL`.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from tillbell.providers import (
    allsecure,
    chipcard,
    dexpress,
    github,
    mozarto,
    payone,
    resend,
    shoppex,
    standardwebhooks,
    vercel_analytics,
    vercel_speed_insights,
    zenofy,
)
from tillbell.providers.base import Provider

_ALL: tuple[Provider, ...] = (
    allsecure.PROVIDER,
    chipcard.PROVIDER,
    dexpress.PROVIDER,
    github.PROVIDER,
    mozarto.PROVIDER,
    payone.PROVIDER,
    resend.PROVIDER,
    shoppex.PROVIDER,
    standardwebhooks.PROVIDER,
    vercel_analytics.PROVIDER,
    vercel_speed_insights.PROVIDER,
    zenofy.PROVIDER,
)

PROVIDERS: Mapping[str, Provider] = MappingProxyType({found.name: found for found in _ALL})
