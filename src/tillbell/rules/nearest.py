"""Near misses: which known name a wrong one was probably meant to be."""

from __future__ import annotations

import difflib
from collections.abc import Iterable


def nearest(name: str, known: Iterable[str], *, cutoff: float = 0.6) -> str | None:
    """Return the most similar known name, whatever its case; None if none is similar.

    >>> nearest("filterType", ["filterTypes", "url"]), nearest("colour", ["filterTypes", "url"])
    ('filterTypes', None)
    """
    by_fold = {candidate.lower(): candidate for candidate in sorted(known)}
    near = difflib.get_close_matches(name[:256].lower(), by_fold, n=1, cutoff=cutoff)
    return by_fold[near[0]] if near else None


def hint(near: str | None) -> str:
    """Return the end of a sentence that names a near miss.

    >>> hint("limit"), hint(None)
    ('; did you mean `limit`?', '')
    """
    return f"; did you mean `{near}`?" if near else ""
