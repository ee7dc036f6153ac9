"""The merchant's own reference: one configured field of a callback, never a guess among several."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from tillbell.providers.kit.base import ProviderSetting, SourceSetup
from tillbell.providers.kit.reading import object_member, present_values, text


def reference_setting(default: str, about: str) -> ProviderSetting:
    """Return the setting that names the field: a path with dots, `payment.notes.order_id`.

    `about` says in which fields the provider returns what the merchant sent.
    """
    return ProviderSetting("reference", about, default=default)


def merchant_reference(
    members: Mapping[str, Any], setup: SourceSetup, setting: ProviderSetting
) -> tuple[str, ...]:
    """Return the value of the configured field as `References.ours`; nothing if it is missing."""
    path = setup.config.get(setting.name)
    *parents, name = (path if isinstance(path, str) and path else str(setting.default)).split(".")
    for parent in parents:
        members = object_member(members, parent)
    return present_values(text(members, name))
