"""Read the story of a transaction, and its standing."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from typing import NamedTuple

from tillbell.model.records import ApiKey
from tillbell.model.transactions import Effect, MoneyConflict, Transaction, Transition
from tillbell.rules.payments.standing import Standing, standing
from tillbell.rules.payments.story import SentMessage, StoryFacts, StoryStep, story_steps
from tillbell.storage.ports.database import Database
from tillbell.storage.ports.inbound import CallbackFilter
from tillbell.storage.ports.outbound import Page

CALLBACKS_MAX = 250  # the latest that a story tells of
CONFLICTS_MAX = 250
_KEY = "key_"  # how the ids of API keys begin


class TransactionStory(NamedTuple):
    """A transaction with all that happened to it."""

    transaction: Transaction
    standing: Standing
    steps: list[StoryStep]  # oldest first
    transitions: Sequence[Transition]
    effects: Sequence[Effect]
    conflicts: Sequence[MoneyConflict]  # newest first
    children: Sequence[Transaction]
    is_whole: bool  # False: it had more callbacks than are told

    @property
    def open_conflicts(self) -> list[MoneyConflict]:
        """What waits for a person."""
        return [conflict for conflict in self.conflicts if conflict.resolved_at is None]


async def transaction_story(
    database: Database, source_name: Callable[[str], str], transaction: Transaction
) -> TransactionStory:
    """Read all that is stored about a transaction. `source_name` names a source by its id."""
    facts = await _facts(database, source_name, transaction)
    unresolved = [conflict for conflict in facts.conflicts if conflict.resolved_at is None]
    was_reported = bool(facts.callbacks) or any(step.raw_status for step in facts.transitions)
    return TransactionStory(
        transaction,
        standing(transaction, unresolved, was_reported=was_reported),
        story_steps(facts),
        facts.transitions,
        facts.effects,
        facts.conflicts,
        facts.children,
        is_whole=len(facts.callbacks) < CALLBACKS_MAX,
    )


async def _facts(
    database: Database, source_name: Callable[[str], str], transaction: Transaction
) -> StoryFacts:
    app_id, id_ = transaction.app_id, transaction.id
    history = database.history
    transitions, effects, callbacks, conflicts, children = await asyncio.gather(
        database.transitions(app_id, id_),
        database.effects(app_id, id_),
        history.callbacks(app_id, CallbackFilter(transaction_id=id_), Page(CALLBACKS_MAX)),
        history.conflicts(app_id, Page(CONFLICTS_MAX), id_),
        database.linked_transactions(app_id, id_),
    )
    sent_by = [step.callback_id for step in transitions if step.callback_id is not None]
    actors = [step.actor for step in transitions] + [each.resolved_by for each in conflicts]
    repeats, messages, names = await asyncio.gather(
        history.repeats(app_id, list(dict.fromkeys([*sent_by, *(c.id for c in callbacks)]))),
        _messages(database, app_id, transitions),
        _key_names(database, actors),
    )
    return StoryFacts(
        transaction=transaction,
        transitions=transitions,
        effects=effects,
        callbacks=callbacks,
        conflicts=conflicts,
        children=children,
        messages=messages,
        repeats=repeats,
        source_name=source_name,
        actor_name=lambda actor: names.get(actor, actor),
    )


async def _messages(
    database: Database, app_id: str, transitions: list[Transition]
) -> dict[str, SentMessage]:
    """Read the messages about a transaction that are still kept."""
    ids = [str(id_) for step in transitions if (id_ := step.details.get("messageId"))]
    messages = await asyncio.gather(*(database.message(app_id, id_) for id_ in ids))
    sent = {}
    for message in messages:
        if message is not None:
            deliveries = await database.deliveries_of_message(app_id, message.id)
            states = tuple(delivery.state for delivery in deliveries)
            sent[message.id] = SentMessage(message.id, message.event_type, states)
    return sent


async def _key_names(database: Database, actors: Sequence[str | None]) -> dict[str, str]:
    """Return the names of the API keys among those who acted, by their ids."""
    ids = sorted({actor for actor in actors if actor is not None and actor.startswith(_KEY)})
    keys = await database.get_many(ApiKey, [("", id_) for id_ in ids]) if ids else {}
    return {id_: f"the key {key.name}" for id_, key in keys.items()}
