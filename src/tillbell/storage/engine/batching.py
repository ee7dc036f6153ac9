"""Which writes are treated differently, and why (writer.py)."""

from __future__ import annotations

from tillbell.storage.engine.group_commit import Kinds
from tillbell.storage.operations.callbacks import receive
from tillbell.storage.operations.claims import claim
from tillbell.storage.operations.decisions import change
from tillbell.storage.operations.membership import sign_in
from tillbell.storage.operations.messages import publish, release, renew, settle

KINDS = Kinds(
    # There are many of them, and none can depend on another one.
    hot=frozenset({publish, settle, receive, change}),
    # They refuse nobody, so a commit of such alone is likely to succeed as a whole.
    sure=frozenset({publish, settle, receive, change, claim, renew, release, sign_in}),
    # Nobody holds a request open for these, and an outcome given up for lost would cost an attempt.
    patient=frozenset({settle, claim, renew, release, sign_in}),
)
