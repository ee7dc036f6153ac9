"""The merchant's own reference: one configured field of a callback, never a guess among several."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
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
    return own_reference(members, setup, (str(setting.default),))


def own_reference_setting(tried: Sequence[str]) -> ProviderSetting:
    """Return the setting for providers where merchants use several fields.

    By default the first of `tried` that is there is the reference, and nothing else.
    """
    about = (
        "The one field that holds your own reference, as a path with dots. "
        f"By default the first of these that is there: {', '.join(tried)}."
    )
    return ProviderSetting("reference", about)


def own_reference(
    members: Mapping[str, Any], setup: SourceSetup, tried: Sequence[str]
) -> tuple[str, ...]:
    """Return the merchant's reference as `References.ours`; nothing if there is none."""
    path = setup.config.get("reference")
    paths = [path] if isinstance(path, str) and path else tried
    values = present_values(*(_at(members, path) for path in paths))
    return values[:1]


def _at(members: Mapping[str, Any], path: str) -> str | None:
    *parents, name = path.split(".")
    for parent in parents:
        members = object_member(members, parent)
    return text(members, name)
