"""The story of a transaction: who told us what, what was believed and why, and what it moved."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from enum import StrEnum
from typing import NamedTuple

from tillbell.clock import Micros
from tillbell.model.callbacks import Callback, Outcome, Repeats
from tillbell.model.messages import DeliveryState
from tillbell.model.transactions import (
    Direction,
    Effect,
    MoneyConflict,
    Transaction,
    Transition,
)
from tillbell.money import format_amount

JANITOR = "janitor"  # the actor of status checks
_DIRECTIONS = {Direction.PAY_IN: "pay-in", Direction.PAY_OUT: "pay-out"}


class StepKind(StrEnum):
    """What a step of a story is."""

    CREATED = "created"
    CALLBACK = "callback"  # a provider said something
    ACTION = "action"  # a person, an API key or a status check did something
    EFFECT = "effect"  # an account changed
    MESSAGE = "message"  # subscribers were told
    CONFLICT = "conflict"  # something waits for a person
    DECISION = "decision"  # a person decided a conflict
    LINKED = "linked"  # a refund, chargeback or the like of it


class StoryStep(NamedTuple):
    """One step, for a person. `word` is a status, an outcome or a state; "" if there is none."""

    at: Micros
    kind: StepKind
    title: str
    text: str
    word: str = ""
    is_change: bool = True  # False: it was heard, and changed nothing
    callback_id: str | None = None
    message_id: str | None = None
    transaction_id: str | None = None  # of a linked one
    conflict_id: str | None = None


class SentMessage(NamedTuple):
    """A message about a transaction, and how its deliveries stand."""

    id: str
    event_type: str
    states: tuple[DeliveryState, ...]


class StoryFacts(NamedTuple):
    """All that is stored about a transaction. `source_name` names a source by its id.

    `repeats`: how often callbacks came again, by their ids. `actor_name` names who acted.
    """

    transaction: Transaction
    transitions: Sequence[Transition]
    effects: Sequence[Effect]
    callbacks: Sequence[Callback]
    conflicts: Sequence[MoneyConflict]
    children: Sequence[Transaction]
    messages: Mapping[str, SentMessage]
    repeats: Mapping[str, Repeats]
    source_name: Callable[[str], str]
    actor_name: Callable[[str], str]


def story_steps(facts: StoryFacts) -> list[StoryStep]:
    """Return the steps of a story, oldest first. What one commit did stands together."""
    steps = [
        *_transition_steps(facts),
        *_effect_steps(facts),
        *_message_steps(facts),
        *_callback_steps(facts),
        *_repeat_steps(facts),
        *_conflict_steps(facts),
        *_linked_steps(facts),
    ]
    return sorted(steps, key=lambda step: step.at)


def _transition_steps(facts: StoryFacts) -> Iterator[StoryStep]:
    callbacks = {callback.id: callback for callback in facts.callbacks}
    for transition in facts.transitions:
        callback = callbacks.get(transition.callback_id or "")
        is_first = transition.previous_status is None
        yield StoryStep(
            at=transition.at,
            kind=_transition_kind(transition),
            title=_transition_title(facts, transition, callback),
            text=" · ".join(_transition_texts(facts, transition, is_first=is_first)),
            word=transition.status,
            callback_id=transition.callback_id,
        )


def _transition_kind(transition: Transition) -> StepKind:
    if transition.callback_id is not None:
        return StepKind.CALLBACK
    return StepKind.CREATED if transition.previous_status is None else StepKind.ACTION


def _transition_title(facts: StoryFacts, transition: Transition, callback: Callback | None) -> str:
    word = transition.raw_status or transition.substate or transition.status
    if transition.callback_id is not None:
        return f"{_source_of(facts, callback)}: {word}"
    if transition.previous_status is None:
        return "Created"
    if transition.actor == JANITOR:
        return f"Status check: {word}"
    return f"By hand: {transition.status}"


def _source_of(facts: StoryFacts, callback: Callback | None) -> str:
    """Name who sent a callback; one that is no longer kept was sent by the provider."""
    if callback is not None:
        return facts.source_name(callback.source_id)
    return facts.transaction.provider or "The provider"


def _transition_texts(
    facts: StoryFacts, transition: Transition, *, is_first: bool
) -> Iterator[str]:
    if is_first:
        transaction = facts.transaction
        asked = _amount(transaction.amount, transaction.currency)
        yield f"{_DIRECTIONS[transaction.direction]} of {asked}"
    if transition.actor is not None and transition.actor != JANITOR:
        yield f"by {facts.actor_name(transition.actor)}"
    if transition.trust is not None:
        yield transition.trust
    if transition.substate:
        yield transition.substate
    if transition.reason:
        yield transition.reason
    if transition.message:
        yield transition.message
    if transition.supersedes is not None:
        yield f"corrects step {transition.supersedes}"
    yield f"step {transition.sequence}"


def _effect_steps(facts: StoryFacts) -> Iterator[StoryStep]:
    for effect in facts.effects:
        yield StoryStep(
            at=effect.at,
            kind=StepKind.EFFECT,
            title=f"Effect: {effect.kind} {_amount(effect.amount, effect.currency)}",
            text="Once: the database refuses a second one.",
        )


def _message_steps(facts: StoryFacts) -> Iterator[StoryStep]:
    for transition in facts.transitions:
        message = facts.messages.get(str(transition.details.get("messageId", "")))
        if message is not None:
            yield StoryStep(
                at=transition.at,
                kind=StepKind.MESSAGE,
                title=f"{message.event_type} published",
                text=_reached(message.states),
                word=_worst(message.states),
                message_id=message.id,
            )


def _reached(states: Sequence[DeliveryState]) -> str:
    if not states:
        return "No endpoint takes it."
    reached = sum(state is DeliveryState.SUCCEEDED for state in states)
    word = "endpoint has" if len(states) == 1 else "endpoints have"
    return f"{reached} of {len(states)} {word} it."


def _worst(states: Sequence[DeliveryState]) -> str:
    order = (
        DeliveryState.FAILED,
        DeliveryState.SENDING,
        DeliveryState.WAITING,
        DeliveryState.SUCCEEDED,
        DeliveryState.DISCARDED,
    )
    return str(min(states, key=order.index)) if states else ""


def _callback_steps(facts: StoryFacts) -> Iterator[StoryStep]:
    """Yield the callbacks that made no step: repeats, late news, what only a person may believe."""
    with_steps = {transition.callback_id for transition in facts.transitions}
    with_conflicts = {conflict.callback_id for conflict in facts.conflicts}
    for callback in facts.callbacks:
        if callback.id in with_steps:
            continue
        trust = callback.trust.word if callback.trust is not None else "refused"
        yield StoryStep(
            at=callback.received_at,
            kind=StepKind.CALLBACK,
            title=f"{facts.source_name(callback.source_id)}: callback",
            text=f"{trust} · {callback.why or 'It is not processed yet.'}",
            word=str(callback.outcome or ""),
            is_change=callback.id in with_conflicts,
            callback_id=callback.id,
        )


def _repeat_steps(facts: StoryFacts) -> Iterator[StoryStep]:
    """Yield one step for each callback that its provider sent again, at the time of the last."""
    sources = {callback.id: facts.source_name(callback.source_id) for callback in facts.callbacks}
    words = {step.callback_id: step.raw_status or "callback" for step in facts.transitions}
    for id_, repeats in facts.repeats.items():
        often = "once" if repeats.times == 1 else f"{repeats.times} times"
        source = sources.get(id_) or _source_of(facts, None)
        yield StoryStep(
            at=repeats.last_at,
            kind=StepKind.CALLBACK,
            title=f"{source}: {words.get(id_, 'callback')} repeated {often}",
            text="The time is that of the last one. It said the same, and changed nothing.",
            word=Outcome.DUPLICATE,
            is_change=False,
            callback_id=id_,
        )


def _conflict_steps(facts: StoryFacts) -> Iterator[StoryStep]:
    for conflict in facts.conflicts:
        yield StoryStep(
            at=conflict.at,
            kind=StepKind.CONFLICT,
            title=f"A person is asked: {conflict.status}?",
            text=conflict.why,
            word="" if conflict.resolution else "conflict",
            callback_id=conflict.callback_id,
            conflict_id=conflict.id,
        )
        if conflict.resolved_at is not None:
            is_kept = conflict.resolution == "keep"
            by = f"by {facts.actor_name(conflict.resolved_by)} · " if conflict.resolved_by else ""
            yield StoryStep(
                at=conflict.resolved_at,
                kind=StepKind.DECISION,
                title="Kept as it was" if is_kept else "The news was accepted",
                text=f"{by}{conflict.resolution_reason or ''}",
                conflict_id=conflict.id,
            )


def _linked_steps(facts: StoryFacts) -> Iterator[StoryStep]:
    for child in facts.children:
        yield StoryStep(
            at=child.created_at,
            kind=StepKind.LINKED,
            title=f"{child.kind.replace('_', ' ').capitalize()}"
            f" of {_amount(child.amount, child.currency)}",
            text=child.reason or child.raw_status or "",
            word=child.status,
            transaction_id=child.id,
        )


def _amount(minor: int, currency: str) -> str:
    return f"{format_amount(minor, currency)} {currency}"
