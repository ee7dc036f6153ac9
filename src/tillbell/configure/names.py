"""Reserved uids."""

from __future__ import annotations

import re

from tillbell.deliver.config_cache import OPERATIONAL
from tillbell.errors import Invalid, Problem

_OWN_ID = re.compile(r"[a-z]{2,5}_[0-9a-hjkmnp-tv-z]{26}")


def checked_uid(uid: str | None) -> str | None:
    """Return a uid.

    `Invalid` if it is reserved, if it looks like an id and could be taken for one, and if it is
    `.` or `..`: as part of a path HTTP clients take it for another folder.
    """
    if uid is not None and (uid in (OPERATIONAL, ".", "..") or _OWN_ID.fullmatch(uid)):
        raise Invalid(Problem(("body", "uid"), "is reserved; choose another", "uid_reserved"))
    return uid
