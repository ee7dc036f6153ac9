"""Changes of sources, applications, event types and keys at the same moment."""

from __future__ import annotations

import asyncio
from typing import Any

from tests.configure.pairs import (
    Subject,
    Thing,
    application,
    assert_every_pair_is_one_after_the_other,
    bound,
    plain,
)
from tests.configure.processes import Process, interrupted, outcome
from tests.scale import soak
from tillbell.clock import DAY, HOUR
from tillbell.configure.openapi_events import DescribedType
from tillbell.configure.sources import SourceChanges
from tillbell.model.records import ApiKey, Application, EventType, KeyUse, Record
from tillbell.model.sources import Source
from tillbell.vault import hash_key

# ── sources ──────────────────────────────────────────────────────────────────────────────────────


async def make_source(process: Process, app: str) -> Source:
    shop = await application(process, app)
    changes = SourceChanges({"name": "till", "uid": "thing"})
    live = await process.source_settings.create(shop.id, "github", ["old secret 123456"], changes)
    return live.source


async def rename_source(process: Process, thing: Thing) -> None:
    await process.source_settings.patch(thing.scope, thing.id, SourceChanges({"name": "changed"}))


async def disable_source(process: Process, thing: Thing) -> None:
    changes = SourceChanges({"is_enabled": False})
    await process.source_settings.patch(thing.scope, thing.id, changes)


async def configure_source(process: Process, thing: Thing) -> None:
    config = {"confirm": "review", "lookupHeaders": {"x-key": "secret"}}
    await process.source_settings.patch(thing.scope, thing.id, SourceChanges({}, config))


async def configure_source_otherwise(process: Process, thing: Thing) -> None:
    changes = SourceChanges({}, {"lateSuccess": "accept_verified"})
    await process.source_settings.patch(thing.scope, thing.id, changes)


async def rotate_source(process: Process, thing: Thing) -> None:
    await process.source_settings.rotate(thing.scope, thing.id, "new secret 1234567")


async def remove_source(process: Process, thing: Thing) -> None:
    await process.source_settings.remove(thing.scope, thing.id)


def show_source(process: Process, record: Record) -> dict[str, Any]:
    assert isinstance(record, Source)
    secrets = [(process.vault.open(s.sealed, record.id), s.expires_at) for s in record.secrets]
    sealed = {
        name: process.vault.open(text, record.id) for name, text in record.sealed_config.items()
    }
    return plain(process, record) | {"secrets": secrets, "sealed_config": sealed}


SOURCES = Subject(
    Source,
    make_source,
    {
        "rename": rename_source,
        "disable": disable_source,
        "configure": configure_source,
        "configure otherwise": configure_source_otherwise,
        "rotate": rotate_source,
        "remove": remove_source,
    },
    show_source,
)


@soak
async def test_changes_of_a_source(processes: tuple[Process, Process]) -> None:
    await assert_every_pair_is_one_after_the_other(SOURCES, processes)


async def test_of_two_sources_at_once_not_both_become_the_default(
    processes: tuple[Process, Process],
) -> None:
    ours, theirs = processes
    one, other = await make_source(ours, "one"), await make_source(theirs, "other")
    default = SourceChanges({"is_default": True, "name": "changed"})

    outcomes = await interrupted(
        ours.store,
        Source,
        lambda: ours.source_settings.patch(one.scope, one.id, default),
        lambda: theirs.source_settings.patch(other.scope, other.id, default),
    )

    stored = sorted(await ours.directory.read_all(Source), key=lambda source: source.id != one.id)
    assert outcomes == ["", "ConflictError"]
    assert [(source.is_default, source.name) for source in stored] == [
        (False, "till"),
        (True, "changed"),
    ]


# ── applications ─────────────────────────────────────────────────────────────────────────────────


async def rename_application(process: Process, thing: Thing) -> None:
    await process.applications.patch(thing.id, {"name": "changed"})


async def limit_application(process: Process, thing: Thing) -> None:
    await process.applications.patch(thing.id, {"throttle_rate": 5})


async def upsert_application(process: Process, thing: Thing) -> None:
    await process.applications.upsert(thing.uid, {"name": "replaced", "metadata": {"a": "b"}})


async def get_application(process: Process, thing: Thing) -> None:
    await process.applications.get_or_create(thing.uid, {"name": "made"})


async def remove_application(process: Process, thing: Thing) -> None:
    await process.applications.remove(thing.id)


APPLICATIONS = Subject(
    Application,
    application,
    {
        "rename": rename_application,
        "limit": limit_application,
        "upsert": upsert_application,
        "get or create": get_application,
        "remove": remove_application,
    },
    plain,
)


@soak
async def test_changes_of_an_application(processes: tuple[Process, Process]) -> None:
    await assert_every_pair_is_one_after_the_other(APPLICATIONS, processes)


async def test_what_two_want_to_make_at_once_is_made_once(
    processes: tuple[Process, Process],
) -> None:
    ours, theirs = processes
    for name in ("upsert", "get or create"):
        thing = Thing("", "", name.replace(" ", "-"))
        change = APPLICATIONS.changes[name]
        first, second = bound(change, ours, thing), bound(change, theirs, thing)
        outcomes = await interrupted(ours.store, Application, first, second)

        assert outcomes == ["", ""], name
        assert await ours.store.get(Application, thing.uid) is not None
    assert len(await ours.directory.read_all(Application)) == 2


# ── event types ──────────────────────────────────────────────────────────────────────────────────


async def make_event_type(process: Process, name: str) -> EventType:
    return await process.event_types.create(f"order.{name}", {"description": "as it was"})


async def describe(process: Process, thing: Thing) -> None:
    await process.event_types.patch(thing.uid, {"description": "changed"})


async def group(process: Process, thing: Thing) -> None:
    await process.event_types.patch(thing.uid, {"group_name": "orders"})


async def create_again(process: Process, thing: Thing) -> None:
    await process.event_types.create(thing.uid, {"description": "made anew"})


async def upsert_event_type(process: Process, thing: Thing) -> None:
    await process.event_types.upsert(thing.uid, {"description": "replaced", "deprecated": True})


async def import_event_types(process: Process, thing: Thing) -> None:
    described = [DescribedType(thing.uid, {"description": "imported", "archived": False}, ())]
    await process.event_types.import_all(described, replace_all=True, is_dry_run=False)


async def archive(process: Process, thing: Thing) -> None:
    await process.event_types.archive(thing.uid)


async def expunge(process: Process, thing: Thing) -> None:
    await process.event_types.remove(thing.uid)


EVENT_TYPES = Subject(
    EventType,
    make_event_type,
    {
        "describe": describe,
        "group": group,
        "create": create_again,
        "upsert": upsert_event_type,
        "import": import_event_types,
        "archive": archive,
        "expunge": expunge,
    },
    plain,
)


async def test_an_import_and_who_is_faster_are_one_after_the_other(
    processes: tuple[Process, Process],
) -> None:
    ours, theirs = processes
    for name, faster in (("new", upsert_event_type), ("known", describe)):
        uid = f"import.{name}"
        if name == "known":
            await ours.event_types.create(uid, {"description": "as it was", "group_name": "kept"})
        thing = Thing("", "", uid)
        first, second = bound(import_event_types, ours, thing), bound(faster, theirs, thing)
        assert await interrupted(ours.store, EventType, first, second) == ["", ""], name
        stored = await ours.store.get(EventType, uid)
        assert stored is not None
        assert (stored.description, stored.version) == ("imported", 3 if name == "known" else 2)


@soak
async def test_changes_of_an_event_type(processes: tuple[Process, Process]) -> None:
    await assert_every_pair_is_one_after_the_other(EVENT_TYPES, processes)


# ── keys ─────────────────────────────────────────────────────────────────────────────────────────


async def make_token(process: Process, app: str) -> ApiKey:
    shop = await application(process, app)
    ends_at = process.clock.now() + 7 * DAY
    return (await process.api_keys.create_token(shop.id, ("ViewBase",), None, ends_at)).key


async def revoke(process: Process, thing: Thing) -> None:
    key = await process.store.get(ApiKey, thing.id, thing.scope)
    if key is not None:
        await process.api_keys.revoke(key)


async def end_soon(process: Process, thing: Thing) -> None:
    await process.api_keys.end_tokens(thing.scope, (), HOUR)


async def end_later(process: Process, thing: Thing) -> None:
    await process.api_keys.end_tokens(thing.scope, (), 2 * HOUR)


KEYS = Subject(ApiKey, make_token, {"revoke": revoke, "soon": end_soon, "later": end_later}, plain)


@soak
async def test_changes_of_a_token(processes: tuple[Process, Process]) -> None:
    await assert_every_pair_is_one_after_the_other(KEYS, processes)


async def test_a_key_that_is_used_while_it_is_revoked_stays_revoked(
    processes: tuple[Process, Process],
) -> None:
    ours, theirs = processes
    key = await make_token(ours, "shop")
    outcomes = await interrupted(
        ours.store,
        KeyUse,
        lambda: ours.key_usage.record_use(key),
        lambda: theirs.api_keys.revoke(key),
    )

    assert outcomes == ["", ""]
    assert await ours.store.get(ApiKey, key.id, key.scope) is None
    assert await outcome(lambda: ours.api_keys.key(key.id)) == "NotFound"


async def test_of_two_uses_the_later_one_is_noted(processes: tuple[Process, Process]) -> None:
    ours, theirs = processes
    key = await make_token(ours, "shop")

    async def use_later() -> None:
        theirs.clock.advance(60)
        await theirs.key_usage.record_use(key)

    await interrupted(ours.store, KeyUse, lambda: ours.key_usage.record_use(key), use_later)

    assert await ours.key_usage.last_used_at(key) == theirs.clock.now()


async def test_a_first_start_of_several_processes_creates_one_admin_key(
    processes: tuple[Process, Process],
) -> None:
    starts = [process.api_keys.ensure_admin(None) for process in processes * 4]
    texts = [text for text in await asyncio.gather(*starts) if text is not None]

    (key,) = await processes[0].directory.read_all(ApiKey)
    assert [hash_key(text) for text in texts] == [key.hash]
    await processes[0].api_keys.revoke(key)
    assert await processes[1].api_keys.ensure_admin(None) is not None
