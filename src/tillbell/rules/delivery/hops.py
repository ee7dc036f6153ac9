"""Hops: how many gateways like this one a message has come through, so that a loop is cut.

Every delivery of ours carries `Tillbell-Delivery`, so whoever receives it knows of one hop
without anything more being said. Only what follows from such a callback carries its count: as
a tag of the message, and from there as `Tillbell-Hops` in its deliveries. What comes from a
provider has neither, and costs nothing.

```
provider ─▶ A ──Tillbell-Delivery──▶ B ──Tillbell-Hops: 2──▶ A ──Tillbell-Hops: 3──▶ B: cut
            0                        1                       2                       3
```
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

HOPS_MAX = 3  # a callback that has come through so many is not processed

_HEADER = "tillbell-hops"
_DELIVERY = "tillbell-delivery"
_TAG = "tillbell-hops:"
_DIGITS_MAX = 3


def hops_of(headers: Iterable[tuple[str, str]]) -> int:
    """Count the gateways that a request came through. What cannot be read counts as too many."""
    found = [(name, value) for name, value in headers if name in (_HEADER, _DELIVERY)]
    told = [value.strip() for name, value in found if name == _HEADER]
    if not told:
        return 1 if found else 0
    return max(map(_count, told))


def _count(text: str) -> int:
    is_number = text.isascii() and text.isdigit() and len(text) <= _DIGITS_MAX
    return int(text) if is_number else HOPS_MAX


def hop_tags(hops: int) -> tuple[str, ...]:
    """Return the tags of a message that follows from a callback that came through so many."""
    return (f"{_TAG}{hops + 1}",) if hops else ()


def hop_line(tags: Sequence[str]) -> str:
    """Write the header line of a delivery whose message has these tags; "" if it needs none."""
    told = next((tag for tag in tags if tag.startswith(_TAG)), None)
    return f"Tillbell-Hops: {_count(told.removeprefix(_TAG))}\r\n" if told else ""
