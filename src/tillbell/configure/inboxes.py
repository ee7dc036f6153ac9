"""Changes of inboxes."""

from __future__ import annotations

import base64
from collections.abc import Mapping
from typing import Any

import msgspec

from tillbell.configure.inbox_checks import check_inbox_answer
from tillbell.configure.parts import Parts
from tillbell.deliver.audit import acting_as
from tillbell.errors import ConflictError, Invalid, NotFound
from tillbell.ids import token
from tillbell.model.audit import SYSTEM
from tillbell.model.inboxes import Inbox
from tillbell.receive.inbox_cache import InboxCache
from tillbell.vault import hash_key

TOKEN_BYTES = 24
INBOXES_MAX = 500  # of one application, and of those that belong to none


class InboxSettings:
    """Creates, changes and removes inboxes."""

    def __init__(self, parts: Parts, inboxes: InboxCache) -> None:
        self._directory, self._clock, self._ids, self._vault, _ = parts
        self._inboxes = inboxes

    async def create(self, app_id: str, fields: Mapping[str, Any]) -> Inbox:
        """Add an inbox to an application; "": to none. `fields` are those of the record."""
        if len(self._inboxes.of_scope(app_id)) >= INBOXES_MAX:
            raise ConflictError(f"There are {INBOXES_MAX} inboxes already; delete one.")
        now = self._clock.now()
        id_ = self._ids.new("inb", now)
        text = base64.urlsafe_b64encode(token(TOKEN_BYTES)).decode()
        blank = Inbox(
            id=id_,
            scope=app_id,
            created_at=now,
            updated_at=now,
            name="Inbox",
            token=self._vault.seal(text, id_),
            token_hash=hash_key(text),
        )
        inbox = _checked(msgspec.structs.replace(blank, **fields))
        await self._directory.add(inbox)
        return inbox

    async def patch(self, inbox: Inbox, fields: Mapping[str, Any]) -> Inbox:
        """Change the named fields. `NotFound` if the inbox is gone."""

        def changed(current: Inbox) -> Inbox:
            return _checked(msgspec.structs.replace(current, **fields))

        return (await self._directory.change(Inbox, inbox.scope, inbox.id, changed)).record

    async def remove(self, inbox: Inbox) -> None:
        """Remove an inbox with its requests. `NotFound` if it is gone."""
        if not await self._directory.remove(Inbox, inbox.id, inbox.scope):
            raise NotFound("There is no such inbox.")

    async def remove_expired(self) -> None:
        """Remove the inboxes whose time is over."""
        with acting_as(SYSTEM):
            for inbox in self._inboxes.expired(self._clock.now()):
                await self._directory.remove(Inbox, inbox.id, inbox.scope)


def _checked(inbox: Inbox) -> Inbox:
    problems = check_inbox_answer(
        inbox.answer_status, inbox.answer_headers, inbox.answer_content_type, inbox.answer_body
    )
    if problems:
        raise Invalid(*problems)
    return inbox
