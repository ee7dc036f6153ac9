"""`tillbell audit …`: the proof of the audit log of a running gateway."""

from __future__ import annotations

from tillbell.cli.flags import RemoteFlags
from tillbell.cli.remote import api_of


def verify(flags: RemoteFlags | None = None) -> int:
    """Check the whole audit log. Exit code 1 if an entry was altered, removed or put in between."""
    proof = api_of(flags).call("GET", "/audit/verify")
    head, broken = proof["head"], proof["brokenAt"]
    if broken is None:
        print(f"whole: {proof['checked']} entries, up to {head['sequence']} {head['hash']}")
        return 0
    place = " ".join(filter(None, [str(broken["sequence"]), broken["id"]]))
    print(f"broken at entry {place}: {broken['why']}; {proof['checked']} before it fit")
    return 1


def head(flags: RemoteFlags | None = None) -> None:
    """Print number and hash of the newest entry, to be noted elsewhere."""
    link = api_of(flags).call("GET", "/audit/head")
    print(f"{link['sequence']} {link['hash']}")
