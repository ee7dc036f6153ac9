"""A hash inside the form: the values in the order of their names, without separators, + secret.

Because nothing separates the values, their borders are not proven: `amount=10`, `created=0…`
hash like `amount=100`, `created=…`, and a part of a value can be moved to a field that nobody
asked for. So amounts are compared with our own record, and fields nobody knows are looked at.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from decimal import Decimal
from typing import Any

from tillbell.providers.kit.base import Unreadable
from tillbell.providers.kit.proof import digest, key_bytes


def written(found: Mapping[str, Any]) -> dict[str, str]:
    """Return the fields as the text that was hashed: untrimmed; `Unreadable` if one is nested."""
    return {name: _written(name, value) for name, value in found.items()}


def sorted_hash(
    algorithm: str, fields: Mapping[str, str], secret: str, without: Collection[str]
) -> bytes:
    """Hash the values of all fields but some, ordered by name (ASCII), then the secret."""
    values = [value for name, value in sorted(fields.items()) if name not in without]
    return digest(algorithm, key_bytes("".join((*values, secret))))


def _written(name: str, value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str | int | Decimal):
        return str(value)
    raise Unreadable(f"The field {name!r} is no text.")
