"""Every pair of changes of one thing at the same moment: as if one had come after the other.

The first has read when the second begins and ends; so the first must be made over what the second
left, or be refused. Two processes, whose memories know nothing of each other.
"""

from __future__ import annotations

import random
from collections.abc import Awaitable, Callable, Mapping
from itertools import product
from typing import Any, NamedTuple

import msgspec

from tests.configure.processes import Act, Process, interrupted, outcome
from tests.scale import full_or_tenth, seed
from tillbell.model.records import Application, Record

FEW = 30  # pairs that `make test` tries of each subject


class Thing(NamedTuple):
    """What is changed: in which application, by which id and uid."""

    scope: str
    id: str
    uid: str = "thing"


Change = Callable[[Process, Thing], Awaitable[object]]
Made = Callable[[Process, str], Awaitable[Record]]
Shown = Callable[[Process, Record], Any]


class Subject(NamedTuple):
    """One kind of record: how one is made, what is done to it, and how it is compared."""

    kind: type[Record]
    make: Made
    changes: Mapping[str, Change]
    show: Shown


async def assert_every_pair_is_one_after_the_other(
    subject: Subject, processes: tuple[Process, Process]
) -> None:
    """Do each pair, of many a few, at once, and compare with the same two one after the other."""
    wrong = []
    pairs = list(product(subject.changes, repeat=2))
    count = min(len(pairs), max(FEW, full_or_tenth(len(pairs))))
    for number, (first, second) in enumerate(random.Random(seed()).sample(pairs, count)):
        pair = subject.changes[first], subject.changes[second]
        at_once = await _together(subject, processes, f"a{number}", *pair)
        later = await in_order(subject, processes[0], f"b{number}", *pair)
        earlier = await in_order(subject, processes[0], f"c{number}", *reversed(pair))
        earlier = list(reversed(earlier[0])), earlier[1]
        if at_once not in (later, earlier):
            wrong.append((first, second, at_once, later, earlier))
    assert not wrong, "\n".join(map(str, wrong))


async def _together(
    subject: Subject, processes: tuple[Process, Process], app: str, first: Change, second: Change
) -> tuple[list[str], Any]:
    ours, theirs = processes
    thing = await make_thing(subject, ours, app)
    await know(processes, thing)
    outcomes = await interrupted(
        ours.store, subject.kind, bound(first, ours, thing), bound(second, theirs, thing)
    )
    return outcomes, await shown(subject, ours, thing)


async def in_order(
    subject: Subject, process: Process, app: str, first: Change, second: Change
) -> tuple[list[str], Any]:
    thing = await make_thing(subject, process, app)
    outcomes = [await outcome(bound(change, process, thing)) for change in (second, first)]
    return outcomes, await shown(subject, process, thing)


def bound(change: Change, process: Process, thing: Thing) -> Act:
    return lambda: change(process, thing)


async def make_thing(subject: Subject, process: Process, app: str) -> Thing:
    record = await subject.make(process, app)
    return Thing(record.scope, record.id, record.uid or "")


async def know(processes: tuple[Process, Process], thing: Thing) -> None:
    """Let both have everything in memory."""
    for process in processes:
        await process.directory.load()
        await process.sources.load()
        await process.directory.view(thing.scope)


async def shown(subject: Subject, process: Process, thing: Thing) -> Any:
    """Return what is stored, and that the memory shows nothing else."""
    name = thing.uid or thing.id
    stored = await process.store.get(subject.kind, name, thing.scope)
    return subject.show(process, stored) if stored is not None else None


def plain(_: Process, record: Record) -> dict[str, Any]:
    """Return what does not differ from one of its kind to another."""
    fields = msgspec.structs.asdict(record)
    for name in ("id", "scope", "uid", "hash", "last4", "app_id", "token", "token_hash"):
        fields.pop(name, None)
    return fields


async def application(process: Process, uid: str) -> Application:
    return await process.applications.create({"name": "shop", "uid": uid})
