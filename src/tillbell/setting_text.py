"""Reads the value of a setting from text or TOML, and writes it as text.

Flags and variables are text; TOML has text, numbers, booleans and lists. Both are read to the same
values. `ValueError` says what is wrong with a value. `msgspec.convert` is not used: it refuses
`yes` and `on`, takes `5.0` for a whole number, and its messages do not name the wrong value.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from pathlib import Path

from tillbell.vault import Secret

_WORDS_FOR_BOOL = {
    "1": True, "true": True, "yes": True, "on": True,
    "0": False, "false": False, "no": False, "off": False,
}  # fmt: skip

# Passwords in the URL of a database: before the host, and among the parameters.
_PASSWORDS = re.compile(r"(?<=://)([^:/?#]*):.*@|(?<=[?&])(password=)[^&]*")


def is_whole_number(text: str) -> bool:
    """Tell whether a text is a number in decimal digits, perhaps after a minus.

    >>> [is_whole_number(text) for text in ("5", "-5", "1_0", "+5", " 5", "", "5.0")]
    [True, True, False, False, False, False, False]
    """
    return re.fullmatch("-?[0-9]{1,18}", text) is not None


def parse(declared: object, value: object) -> object:
    """Return a raw value as one of the declared type."""
    return _PARSERS[declared](value)


def as_text(value: object) -> str:
    """Return a value as the text that sets it; secrets are masked.

    >>> as_text((5, 300)), as_text(True), as_text(None)
    ('5,300', 'true', '')
    """
    if isinstance(value, tuple):
        return ",".join(map(str, value))
    if isinstance(value, bool):
        return str(value).lower()
    return "" if value is None else str(value)


def shown(value: object) -> str:
    """Return a value as people may see it: passwords in URLs are masked too.

    >>> shown("postgresql://tillbell:secret@db/shop?password=x")
    'postgresql://tillbell:***@db/shop?password=***'
    """
    return _PASSWORDS.sub(
        lambda match: f"{match[1]}:***@" if match[2] is None else f"{match[2]}***", as_text(value)
    )


def _text(value: object) -> str:
    if not isinstance(value, str | Path):
        raise ValueError("must be text")  # noqa: TRY004 - one class for every bad value
    text = str(value).strip()
    if not text.isprintable():
        raise ValueError("has a control character in it")
    return text


def _number(value: object) -> int:
    if isinstance(value, bool) or not isinstance(value, int | str):
        raise ValueError("must be a whole number")  # noqa: TRY004 - one class for every bad value
    if isinstance(value, str) and not is_whole_number(value):
        raise ValueError(f"{value!r} is not a whole number")
    return int(value)


def _switch(value: object) -> bool:
    switch = _WORDS_FOR_BOOL.get(str(value).strip().lower())
    if switch is None:
        raise ValueError(f"{value!r} is neither true nor false")
    return switch


def _items(value: object) -> list[object]:
    if isinstance(value, list | tuple):
        return list(value)
    return [item.strip() for item in str(value).split(",") if item.strip()]


_PARSERS: Mapping[object, Callable[[object], object]] = {
    str: _text,
    int: _number,
    bool: _switch,
    Path: lambda value: Path(_text(value)).expanduser().absolute(),
    Secret | None: lambda value: value if isinstance(value, Secret) else Secret(_text(value)),
    tuple[str, ...]: lambda value: tuple(_text(item) for item in _items(value)),
    tuple[int, ...] | None: lambda value: tuple(_number(item) for item in _items(value)),
}
