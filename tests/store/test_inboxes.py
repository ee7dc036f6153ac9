"""Requests to inboxes: numbered in the order of their commits, bounded, gone with their inbox."""

from __future__ import annotations

import asyncio

from tillbell.model.inboxes import Inbox, InboxTotals, NewInboxRequest
from tillbell.model.records import Application
from tillbell.storage.ports.database import Database
from tillbell.storage.ports.inboxes import InboxFilter
from tillbell.storage.ports.outbound import Page

APP = "app_01k0000000000000000000000a"
ID = "inb_01k0000000000000000000000a"
OTHER = "inb_01k0000000000000000000000b"
WHOLE = InboxFilter(body_max=1 << 20)
OLDEST_FIRST = Page(100, ascending=True)


def inbox(id_: str, app_id: str = "") -> Inbox:
    return Inbox(id=id_, scope=app_id, name="Inbox", token="t", token_hash=id_)


def request(inbox_id: str = ID, body: bytes = b"{}", **changes: object) -> NewInboxRequest:
    fields = {
        "inbox_id": inbox_id,
        "app_id": "",
        "received_at": 1_000,
        "expires_at": 9_000,
        "method": "POST",
        "size": len(body),
        "head": b"head",
        "body": body,
        "requests_max": 100,
        "bytes_max": 1_000_000,
    }
    return NewInboxRequest(**fields | changes)  # type: ignore[arg-type]


async def bodies(store: Database, inbox_id: str = ID) -> list[bytes | None]:
    return [row.body for row in await store.inbox_requests(inbox_id, WHOLE, OLDEST_FIRST)]


async def test_add_inbox_request(store: Database) -> None:
    assert await store.add_inbox_request(request()) is None, "there is no such inbox"
    await store.put(inbox(ID), inbox(OTHER))
    stored = await asyncio.gather(
        *(store.add_inbox_request(request(body=b"%d" % number)) for number in range(20)),
        store.add_inbox_request(request(OTHER)),
    )
    rows = await store.inbox_requests(ID, WHOLE, OLDEST_FIRST)
    assert [row.number for row in rows] == [*range(1, 21)]
    assert {row.body for row in rows} == {b"%d" % number for number in range(20)}
    assert {row.id for row in rows} | {stored[-1].id if stored[-1] else ""} == {
        row.id for row in stored if row
    }
    assert [row.id for row in rows] == sorted(row.id for row in rows)
    assert await store.inbox_totals([ID, "inb_none", OTHER]) == [
        InboxTotals(20),
        InboxTotals(),
        InboxTotals(1),
    ]


async def test_the_oldest_requests_go(store: Database) -> None:
    await store.put(inbox(ID))
    for number in range(5):
        await store.add_inbox_request(request(body=b"%d" % number, requests_max=3))
    assert await bodies(store) == [b"2", b"3", b"4"]
    await store.add_inbox_request(request(body=b"123456", bytes_max=8))
    assert await bodies(store) == [b"3", b"4", b"123456"]
    await store.add_inbox_request(request(body=b"larger than all", bytes_max=8))
    assert await bodies(store) == [b"larger than all"]
    assert await store.inbox_totals([ID]) == [InboxTotals(received=7, dropped=6)]


async def test_inbox_requests(store: Database) -> None:
    await store.put(inbox(ID), inbox(OTHER))
    for number in range(1, 6):
        body = b"x" * number
        await store.add_inbox_request(request(body=body, received_at=number * 10))
        await store.add_inbox_request(request(OTHER, body=b"other"))
    newest = await store.inbox_requests(ID, WHOLE, Page(2))
    assert [row.number for row in newest] == [5, 4]
    older = await store.inbox_requests(ID, WHOLE, Page(9, newest[-1].id))
    assert [row.number for row in older] == [3, 2, 1]
    back = await store.inbox_requests(ID, WHOLE, Page(1, older[0].id, backwards=True))
    assert [row.number for row in back] == [4]
    behind = Page(9, older[0].id, ascending=True)
    assert [row.number for row in await store.inbox_requests(ID, WHOLE, behind)] == [4, 5]
    filter_ = InboxFilter(since=20, until=40, body_max=2)
    assert [
        (row.number, row.body) for row in await store.inbox_requests(ID, filter_, OLDEST_FIRST)
    ] == [(2, b"xx"), (3, None)]
    one = await store.inbox_request(ID, older[0].id)
    assert one is not None
    assert (one.number, one.body, one.head) == (3, b"xxx", b"head")
    assert await store.inbox_request(OTHER, older[0].id) is None
    foreign = Page(9, "irq_01k0000000000000000000000000000001")
    assert await store.inbox_requests(ID, WHOLE, foreign) == []


async def test_delete_inbox_request(store: Database) -> None:
    await store.put(inbox(ID), inbox(OTHER))
    first, second = [await store.add_inbox_request(request()) for _ in range(2)]
    assert first is not None
    assert second is not None
    assert not await store.delete_inbox_request(OTHER, first.id)
    assert await store.delete_inbox_request(ID, first.id)
    assert not await store.delete_inbox_request(ID, first.id)
    assert [row.id for row in await store.inbox_requests(ID, WHOLE, Page(10))] == [second.id]


async def test_clear_inbox(store: Database) -> None:
    await store.put(inbox(ID), inbox(OTHER))
    for inbox_id in (ID, ID, OTHER):
        await store.add_inbox_request(request(inbox_id))
    assert await store.clear_inbox(ID) == 2
    assert await bodies(store) == []
    assert await bodies(store, OTHER) == [b"{}"]
    after = await store.add_inbox_request(request())
    assert after is not None
    assert after.number == 3
    assert await store.inbox_totals([ID]) == [InboxTotals(received=3, dropped=0)]


async def test_requests_go_with_their_inbox_and_application(store: Database) -> None:
    await store.put(Application(id=APP, name="Shop"))
    await store.put(inbox(ID, APP))
    await store.put(inbox(OTHER))
    await store.add_inbox_request(request(app_id=APP))
    await store.add_inbox_request(request(OTHER))
    await store.remove(Application, APP)
    assert await bodies(store) == []
    assert await store.inbox_totals([ID]) == [InboxTotals()]
    assert await store.add_inbox_request(request(app_id=APP)) is None
    await store.remove(Inbox, OTHER)
    assert await bodies(store, OTHER) == []
    assert await store.inbox_totals([OTHER]) == [InboxTotals()]


async def test_purge_inboxes(store: Database) -> None:
    await store.put(inbox(ID))
    for expires_at in (10, 20, 30):
        await store.add_inbox_request(request(body=b"%d" % expires_at, expires_at=expires_at))
    assert await store.purge_inboxes(now=25, limit=1) == 1
    assert await store.purge_inboxes(now=25, limit=9) == 1
    assert await store.purge_inboxes(now=25, limit=9) == 0
    assert await bodies(store) == [b"30"]
    assert await store.inbox_totals([ID]) == [InboxTotals(received=3, dropped=0)]


async def test_replace_inbox_requests(store: Database) -> None:
    await store.put(inbox(ID))
    await store.add_inbox_request(request(body=b"1"))
    await store.add_inbox_request(request(body=b"2"))
    first, second = await store.sealed_inbox_requests("", 9)
    assert (first.inbox_id, first.received_at, first.head, first.body) == (ID, 1_000, b"head", b"1")
    assert await store.sealed_inbox_requests(first.id, 9) == [second]
    gone = second._replace(id="irq_gone", body=b"gone")
    await store.replace_inbox_requests([first._replace(head=b"new", body=b"anew"), gone])
    assert await store.sealed_inbox_requests("", 9) == [
        first._replace(head=b"new", body=b"anew"),
        second,
    ]
