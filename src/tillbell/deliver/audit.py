"""What the audit log says of an act, and who does it.

Who acts is known where a request is answered; a change is stored far from there. So it is kept in a
context variable, which each request has for itself.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

import msgspec

from tillbell.clock import Clock
from tillbell.ids import IdMaker
from tillbell.model.alerts import AlertSubscription
from tillbell.model.audit import SYSTEM, Actor, AuditedAct
from tillbell.model.endpoints import Endpoint
from tillbell.model.inboxes import Inbox
from tillbell.model.records import ApiKey, Application, EventType, Record, Release, Retention
from tillbell.model.sources import Source

NOUNS: dict[type[Record], str] = {
    Application: "application",
    Endpoint: "endpoint",
    Source: "source",
    Inbox: "inbox",
    EventType: "event-type",
    ApiKey: "api-key",
    Release: "hold-release",
    Retention: "retention",
    AlertSubscription: "alert",
}
SECRET = "(secret)"  # noqa: S105 - what is shown in place of one
_UNSAID = frozenset({"id", "scope", "version", "created_at", "updated_at", "last4"})
# Members that hold secrets, or what one could be guessed from.
_SECRET = frozenset({"secrets", "headers", "token", "token_hash", "sealed_config", "hash"})

_actor: ContextVar[Actor] = ContextVar("actor", default=SYSTEM)


@contextmanager
def acting_as(actor: Actor) -> Iterator[None]:
    """Let all changes within the block be those of this actor."""
    before = _actor.set(actor)
    try:
        yield
    finally:
        _actor.reset(before)


def current_actor() -> Actor:
    """Return who acts here; Tillbell itself if nobody else does."""
    return _actor.get()


class AuditWriter:
    """Makes the entries of acts."""

    def __init__(self, clock: Clock, ids: IdMaker) -> None:
        self._clock = clock
        self._ids = ids

    def of_change(self, before: Record | None, after: Record | None) -> list[AuditedAct]:
        """Return the entry of a change, if its kind of record is audited and anything changed."""
        record = after or before
        if record is None or type(record) not in NOUNS:
            return []
        changes = changes_between(before, after)
        if not changes:
            return []
        verb = "create" if before is None else "delete" if after is None else "update"
        return [self._entry(record, verb, changes)]

    def of_secret_read(self, record: Record) -> AuditedAct:
        """Return the entry of a look at a record's secret."""
        return self._entry(record, "read-secret", {})

    def of_test(self, record: Record, problem: str | None) -> AuditedAct:
        """Return the entry of a test of a record, with how it ended; None: well."""
        return self._entry(record, "test", {"problem": [None, problem]} if problem else {})

    def of_export(self, list_: str, app_id: str, query: dict[str, str]) -> AuditedAct:
        """Return the entry of an export of a list; of every application for ""."""
        changes = {name: [None, value] for name, value in query.items()}
        return self.act(f"{list_}.export", app_id, app_id=app_id, changes=changes)

    def act(
        self,
        action: str,
        target: str,
        *,
        app_id: str = "",
        changes: dict[str, Any] | None = None,
        actor: Actor | None = None,
    ) -> AuditedAct:
        """Return the entry of an act, by who acts here unless an actor is given.

        `changes`: member → [before, after]; no value may be a secret.
        """
        now = self._clock.now()
        return AuditedAct(
            id=self._ids.new("aud", now),
            app_id=app_id,
            at=now,
            actor=actor or current_actor(),
            action=action,
            target=target,
            changes=changes or {},
        )

    def _entry(self, record: Record, verb: str, changes: dict[str, Any]) -> AuditedAct:
        app_id = record.id if isinstance(record, Application) else record.scope
        action = f"{NOUNS[type(record)]}.{verb}"
        return self.act(action, record.id, app_id=app_id, changes=changes)


def changes_between(before: Record | None, after: Record | None) -> dict[str, list[Any]]:
    """Return the members that differ, each with its value before and after; secrets without.

    >>> one = Application(id="app_1", name="Shop")
    >>> changes_between(one, msgspec.structs.replace(one, name="My shop"))
    {'name': ['Shop', 'My shop']}
    """
    old, new = _members(before), _members(after)
    return {
        name: _shown(name, old.get(name), new.get(name))
        for name in (old if before is not None else new)
        if name not in _UNSAID and old.get(name) != new.get(name)
    }


def _members(record: Record | None) -> dict[str, Any]:
    members: dict[str, Any] = msgspec.to_builtins(record) if record is not None else {}
    return members


def _shown(name: str, before: Any, after: Any) -> list[Any]:
    if name not in _SECRET:
        return [before, after]
    return [SECRET if value else None for value in (before, after)]
