"""The port to the database for the erasure of a person from rows that stay.

It promises what outbound.py promises. The caller says how a row reads without the person; of each
only the named texts are taken over. Each promise below has a test of that name in tests/store,
which runs over every database.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from tillbell.model.audit import AuditedAct
from tillbell.model.callbacks import Callback
from tillbell.model.messages import Message
from tillbell.model.transactions import AuditEntry, MoneyConflict, Transition


class ErasureStore(Protocol):
    """Writes that take a person out of rows that otherwise never change."""

    async def erase_money_texts(
        self,
        app_id: str,
        transitions: Sequence[Transition],
        entries: Sequence[AuditEntry],
        conflicts: Sequence[MoneyConflict],
    ) -> None:
        """Replace texts of the books.

        Of transitions: reason, raw status, message, details, each by nothing. Of audit entries:
        the reason by `(erased)`, the details by nothing. Of conflicts: why, reference, resolution
        reason. The database refuses any other change, and these unless they are made here.
        """
        ...

    async def erase_callback_texts(self, callback: Callback, dedupe_key: str | None) -> None:
        """Replace `why`, `verdict_why` and `dedupe_key` of a callback.

        If its key is erased, `dedupe_key` is what it was: the key is free then.
        """
        ...

    async def erase_message_labels(self, message: Message) -> None:
        """Replace event id, channels, tags and order key of a message; the last of deliveries too.

        An event id that is erased is free then.
        """
        ...

    async def redact_acts(self, acts: Sequence[AuditedAct], redaction: AuditedAct) -> None:
        """Replace the actor's name, target, reason, changes and details of audit entries.

        The proof of the log still holds: `redaction` is added, with a hash for each entry. Entries
        that are gone stay so.
        """
        ...
