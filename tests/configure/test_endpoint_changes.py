"""Changes of endpoints at the same moment, by their owners and by what receivers answer."""

from __future__ import annotations

from itertools import product
from typing import Any

import pytest

from tests.configure.pairs import (
    Change,
    Subject,
    Thing,
    application,
    assert_every_pair_is_one_after_the_other,
    bound,
    in_order,
    know,
    make_thing,
    plain,
    shown,
)
from tests.configure.processes import Process, outcome
from tests.scale import soak
from tests.store.outbound_harness import BODY
from tillbell.clock import DAY
from tillbell.configure.endpoints import EndpointChanges
from tillbell.deliver.attempt import JudgedAttempt
from tillbell.deliver.lane import Lane
from tillbell.errors import Invalid
from tillbell.model.endpoints import AttemptFailure, Endpoint, EndpointHealth, EndpointStatus
from tillbell.model.messages import (
    Attempt,
    Claim,
    Delivery,
    DeliveryState,
    Message,
    Result,
    Trigger,
)
from tillbell.model.records import Record
from tillbell.storage.ports.outbound import FinishedAttempt

URL = "https://shop.example/hook"
FIRST_SECRET = "whsec_" + "QUJD" * 8
NEW_SECRET = "whsec_" + "REVG" * 8


_as_created: dict[str, Endpoint] = {}  # by id


async def make_endpoint(process: Process, app: str) -> Endpoint:
    shop = await application(process, app)
    fields = {"url": URL, "uid": "thing", "profile": "cloudevents", "description": "as it was"}
    changes = EndpointChanges(fields, secret=FIRST_SECRET, headers={"x-a": "0"})
    endpoint = await process.endpoints.create(shop.id, changes)
    _as_created[endpoint.id] = endpoint
    return endpoint


def patched(**fields: Any) -> Change:
    return lambda process, thing: process.endpoints.patch(
        thing.scope, thing.id, EndpointChanges(fields)
    )


async def rotate_endpoint(process: Process, thing: Thing) -> None:
    key = await process.endpoints.rotate(thing.scope, thing.id, NEW_SECRET)
    assert key == NEW_SECRET


async def set_headers(process: Process, thing: Thing) -> None:
    await process.endpoints.set_headers(thing.scope, thing.id, {"x-b": "1"})


async def patch_headers(process: Process, thing: Thing) -> None:
    await process.endpoints.patch_headers(thing.scope, thing.id, {"x-c": "2"}, ["x-a"])


async def upsert_endpoint(process: Process, thing: Thing) -> None:
    fields = {"url": URL, "metadata": {"a": "b"}}
    await process.endpoints.upsert(thing.scope, thing.uid, EndpointChanges(fields))


async def remove_endpoint(process: Process, thing: Thing) -> None:
    await process.endpoints.remove(thing.scope, thing.id)


def attempted(result: Result, failing_since: int | None = None) -> Change:
    """Let an attempt end that was made with the endpoint as it was at first."""

    async def end(process: Process, thing: Thing) -> None:
        now = process.clock.now()
        health = EndpointHealth(id=thing.id, scope=thing.scope)
        if failing_since is not None:
            failure = AttemptFailure(at=now - 1, status=500, error="", text="")
            health = health.but(
                failing_since=now - failing_since,
                dense_since=now - failing_since,
                last_failure=failure,
                warned=("1h", "1d", "4d"),
                warned_at=now - DAY,
            )
        lane = Lane(process.compile(_as_created[thing.id]), health, window=0)
        message = Message("msg_1", thing.scope, "order.paid", now)
        state = DeliveryState.FAILED
        delivery = Delivery("dlv_1", thing.scope, thing.id, message.id, "", state, now, now)
        attempt = Attempt(
            "atm_1", delivery.id, thing.scope, thing.id, message.id, message.event_type, 1,
            Trigger.SCHEDULED, result, now, 1, URL, 500,
        )  # fmt: skip
        settlement = FinishedAttempt(delivery.id, 1, attempt, state, now, None)
        process.health.attempt_ended(
            lane, Claim(delivery, message, BODY), JudgedAttempt(settlement, result, "")
        )
        await process.health.wait_idle()

    return end


def show_endpoint(process: Process, record: Record) -> dict[str, Any]:
    assert isinstance(record, Endpoint)
    texts = [process.vault.open(secret.sealed, record.id) for secret in record.secrets]
    known = [text if text in (FIRST_SECRET, NEW_SECRET) else "made" for text in texts]
    opened = list(zip(known, (secret.expires_at for secret in record.secrets), strict=True))
    headers = process.endpoints.opened_headers(record)
    return plain(process, record) | {"secrets": opened, "headers": headers}


ENDPOINTS = Subject(
    Endpoint,
    make_endpoint,
    {
        "patch": patched(description="changed"),
        "move": patched(url="https://new.example/hook"),
        "patch with handshake": patched(handshake=True),
        "disable": patched(status=EndpointStatus.DISABLED, status_reason="owner"),
        "resume": patched(status=EndpointStatus.ACTIVE, status_reason=None),
        "rotate": rotate_endpoint,
        "set headers": set_headers,
        "patch headers": patch_headers,
        "410": attempted(Result.GONE),
        "pause": attempted(Result.REFUSED, failing_since=6 * DAY),
        "upsert": upsert_endpoint,
        "remove": remove_endpoint,
    },
    show_endpoint,
)


@soak
async def test_changes_of_an_endpoint(processes: tuple[Process, Process]) -> None:
    await assert_every_pair_is_one_after_the_other(ENDPOINTS, processes)


async def test_what_happens_to_an_endpoint_during_a_handshake(
    processes: tuple[Process, Process],
) -> None:
    """The change that waits for the receiver is made over what was stored meanwhile.

    By another process or by the same one: nobody waits for the receiver but who asked for it.
    """
    ours = processes[0]
    wrong = []
    ask = ENDPOINTS.changes["patch with handshake"]
    for (name, change), process in product(ENDPOINTS.changes.items(), processes):
        app = f"{name}-{processes.index(process)}".replace(" ", "-")
        thing = await make_thing(ENDPOINTS, ours, f"a-{app}")
        await know(processes, thing)
        ours.handshake.meanwhile = bound(change, process, thing)
        outcomes = ["", await outcome(bound(ask, ours, thing))]
        found = outcomes, await shown(ENDPOINTS, ours, thing)
        after_each_other = await in_order(ENDPOINTS, ours, f"b-{app}", ask, change)
        if found != after_each_other or ours.handshake.meanwhile is not None:
            wrong.append((name, found, after_each_other))
    assert not wrong, "\n".join(map(str, wrong))


async def test_a_url_that_an_older_version_saved_can_stay(
    processes: tuple[Process, Process],
) -> None:
    """It is checked again only when it changes, and then it is written in its one form."""
    process, _ = processes
    shop = await application(process, "app_old")
    old = "https://Shop.example/hooks/{id}"
    legacy = Endpoint(id="ep_old", scope=shop.id, url=old, uid="old")
    await process.directory.add(legacy)

    kept = await process.endpoints.patch(shop.id, legacy.id, EndpointChanges({"description": "b"}))
    await process.endpoints.upsert(shop.id, "old", EndpointChanges({"url": old}))
    with pytest.raises(Invalid, match="%7B"):
        await process.endpoints.patch(shop.id, legacy.id, EndpointChanges({"url": old + "/b"}))
    changes = EndpointChanges({"url": "HTTPS://Shop.example./new"})
    moved = await process.endpoints.patch(shop.id, legacy.id, changes)

    assert (kept.url, moved.url) == (old, "https://shop.example/new")
