"""Which writes are treated differently, and why (writer.py)."""

from __future__ import annotations

from tillbell.storage.engine.group_commit import BatchPolicy
from tillbell.storage.operations.callbacks import receive
from tillbell.storage.operations.claims import claim
from tillbell.storage.operations.decisions import commit_changes
from tillbell.storage.operations.membership import heartbeat
from tillbell.storage.operations.messages import finish_attempt, publish, release, renew

BATCH_POLICY = BatchPolicy(
    # There are many of them, and none can depend on another one.
    batched=frozenset({publish, finish_attempt, receive, commit_changes}),
    # They refuse nobody, so a commit of such alone is likely to succeed as a whole.
    optimistic=frozenset(
        {publish, finish_attempt, receive, commit_changes, claim, renew, release, heartbeat}
    ),
    # Nobody holds a request open for these, and an outcome given up for lost would cost an attempt.
    no_timeout=frozenset({finish_attempt, claim, renew, release, heartbeat}),
)
