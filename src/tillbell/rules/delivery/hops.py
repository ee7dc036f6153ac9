"""Hops: counts the gateways that a message has come through, to stop loops.

Every delivery has the header `Tillbell-Delivery`, which counts as one hop. A message that follows
from such a callback stores the count as a tag, and its deliveries send it as `Tillbell-Hops`.
Callbacks of providers have neither header.

```
provider ─▶ A ──Tillbell-Delivery──▶ B ──Tillbell-Hops: 2──▶ A ──Tillbell-Hops: 3──▶ B: cut
            0                        1                       2                       3
```
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

HOPS_MAX = 3  # a callback with so many hops is not processed

_HEADER = "tillbell-hops"
_DELIVERY = "tillbell-delivery"
_TAG = "tillbell-hops:"
_DIGITS_MAX = 3


def hops_of(headers: Iterable[tuple[str, str]]) -> int:
    """Return the hops of a request. An unreadable count is `HOPS_MAX`."""
    own_headers = [(name, value) for name, value in headers if name in (_HEADER, _DELIVERY)]
    if not own_headers:
        return 0
    counts = [_count(value.strip()) for name, value in own_headers if name == _HEADER]
    return max(counts, default=1)


def _count(text: str) -> int:
    is_number = text.isascii() and text.isdigit() and len(text) <= _DIGITS_MAX
    return int(text) if is_number else HOPS_MAX


def hop_tags(hops: int) -> tuple[str, ...]:
    """Return the tags of a message that follows from a callback with so many hops."""
    return (f"{_TAG}{hops + 1}",) if hops else ()


def hop_line(tags: Sequence[str]) -> str:
    """Return the header line for a message with these tags; "" if it has no hops."""
    hop_tag = next((tag for tag in tags if tag.startswith(_TAG)), None)
    return f"Tillbell-Hops: {_count(hop_tag.removeprefix(_TAG))}\r\n" if hop_tag else ""
