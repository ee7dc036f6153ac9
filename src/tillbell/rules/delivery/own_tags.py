"""Tags that only Tillbell sets: they begin with `tillbell-`, which publishers may not use.

An **example** shows one endpoint what a type looks like. It is signed like any message, so its
tag and its header say that nothing has happened, and no poller reads it.

An **edited** message is one that a person has changed and sent to one endpoint alone. Its second
tag names the message that it was made of. No poller reads it: it is no news for others.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

EXAMPLE_TAG = "tillbell-example"
EDITED_TAG = "tillbell-edited"

_PREFIX = "tillbell-"


def check_own_tags(tags: Iterable[str]) -> str | None:
    """Return what is wrong with the tags of a publisher; None if they are not Tillbell's."""
    own = next((tag for tag in tags if tag.lower().startswith(_PREFIX)), None)
    return None if own is None else f"tags that begin with {_PREFIX} are set by Tillbell only"


def edited_tags(message_id: str) -> tuple[str, str]:
    """Return the tags of a message that was made of another by hand."""
    return (EDITED_TAG, f"{EDITED_TAG}:{message_id}")


def is_for_one(tags: Sequence[str]) -> bool:
    """Tell whether a message is for one endpoint alone, and no news for pollers."""
    return EXAMPLE_TAG in tags or EDITED_TAG in tags


def example_line(tags: Sequence[str]) -> str:
    """Return the header line of a message with these tags; "" if it is no example."""
    return "Tillbell-Example: true\r\n" if EXAMPLE_TAG in tags else ""
