"""A hash inside the form: all values in the order of their names, then the secret.

Nothing separates the values, so it is not proven where one ends: `amount=10`, `created=0…` has the
same hash as `amount=100`, `created=…`, and a part of a value can be moved to an extra field. So
amounts are compared with our own record, and adapters look at unknown fields.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from decimal import Decimal
from typing import Any

from tillbell.providers.kit.base import Unreadable
from tillbell.providers.kit.proof import digest, key_bytes


def written(fields: Mapping[str, Any]) -> dict[str, str]:
    """Return the fields as the text that was hashed: untrimmed; `Unreadable` if one is nested."""
    return {name: _written(name, value) for name, value in fields.items()}


def sorted_hash(
    algorithm: str, fields: Mapping[str, str], secret: str, without: Collection[str]
) -> bytes:
    """Hash the values, ordered by name (ASCII), then the secret; `without` some fields."""
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
