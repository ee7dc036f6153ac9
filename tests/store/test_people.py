"""People, their sessions and one-time links."""

from __future__ import annotations

import asyncio

import pytest

from tillbell.model.audit import Actor, AuditedAct
from tillbell.model.people import LinkPurpose, OneTimeLink, Person, Role, Session
from tillbell.storage.ports.database import Database
from tillbell.storage.ports.outbound import ALL
from tillbell.storage.ports.people import CheckedPassword, PersonChange, SignOn, SignOnEnd
from tillbell.testing import ManualClock

DAY = 86_400_000_000
ANA = Person("per_1", "ana@shop.example", "Ana", "hash-1", Role.OWNER, 1_000)


def link(id_: str, purpose: LinkPurpose = LinkPurpose.SETUP, person_id: str = "") -> OneTimeLink:
    return OneTimeLink(id_, purpose, person_id, 0, DAY)


def session(id_: str, at: int = 1_000, address: str = "203.0.113.7") -> Session:
    return Session(id_, ANA.id, at, at, at + DAY, at + DAY // 2, address, "Firefox")


def entry(id_: str) -> AuditedAct:
    return AuditedAct(id_, "", 1, Actor(ANA.id, ANA.email), "person.x", ANA.id)


async def noted(store: Database) -> list[str]:
    """Return the ids of all audit entries."""
    return [row.id for row in await store.audit_rows(0, 100)]


@pytest.fixture
async def with_ana(store: Database) -> Database:
    """A store with one person, whose session is `s0`."""
    await store.add_link(link("setup"), [])
    assert await store.add_first_person(ANA, "setup", session("s0"), [])
    return store


async def test_the_first_person_comes_by_a_link_and_uses_up_all_of_them(store: Database) -> None:
    assert await store.add_link(link("one"), [])
    assert await store.add_link(link("two"), [entry("aud_1")])

    assert await store.add_first_person(ANA, "two", session("s0"), [entry("aud_2")])

    assert await store.person(ANA.id) == await store.person_of_email(ANA.email) == ANA
    assert await store.all_people(ALL) == [ANA]
    assert await store.session("s0") == (session("s0"), ANA)
    assert await store.one_time_link("one") is await store.one_time_link("two") is None
    assert await noted(store) == ["aud_1", "aud_2"]
    assert not await store.add_link(link("three"), [entry("aud_3")])
    assert not await store.add_first_person(
        ANA._replace(id="per_2", email="b@c.d"), "one", session("s1"), [entry("aud_4")]
    )
    assert await noted(store) == ["aud_1", "aud_2"]
    assert await store.session("s1") is None


@pytest.mark.parametrize(
    "used", ["other", "expired", "of another purpose"], ids=lambda used: used.replace(" ", "-")
)
async def test_a_link_that_is_gone_makes_nobody(store: Database, used: str) -> None:
    await store.add_link(OneTimeLink("expired", LinkPurpose.SETUP, "", 0, 1_000), [])
    await store.add_link(link("of another purpose", LinkPurpose.PASSWORD, "per_9"), [])

    assert not await store.add_first_person(ANA, used, session("s0"), [entry("aud_1")])

    assert await store.all_people(ALL) == []
    assert await store.session("s0") is None
    assert await noted(store) == []


async def test_of_two_first_persons_at_the_same_time_one_wins(store: Database) -> None:
    for name in ("one", "two"):
        await store.add_link(link(name), [])

    won = await asyncio.gather(
        *(
            store.add_first_person(
                ANA._replace(id=f"per_{name}", email=f"{name}@shop.example"),
                name,
                session(name)._replace(person_id=f"per_{name}"),
                [],
            )
            for name in ("one", "two")
        )
    )

    assert sorted(won) == [False, True]
    assert len(await store.all_people(ALL)) == 1


async def test_a_sign_in_stores_its_session_and_ends_the_one_it_replaces(
    with_ana: Database,
) -> None:
    store = with_ana
    password = CheckedPassword("hash-1", "hash-2")

    assert await store.add_session(session("s1", 2_000), password, "s0", [entry("aud_1")])

    stored = ANA._replace(last_sign_in_at=2_000, password_hash="hash-2")
    assert await store.session("s1") == (session("s1", 2_000), stored)
    assert await store.session("s0") == (session("s0")._replace(revoked_at=2_000), stored)
    assert {one.id for one in await store.sessions_of(ANA.id)} == {"s0", "s1"}
    assert await noted(store) == ["aud_1"]
    # The password that was checked has changed meanwhile.
    assert not await store.add_session(session("s2", 3_000), password, "s1", [entry("aud_2")])
    assert await store.session("s2") is None
    assert await store.session("s1") == (session("s1", 2_000), stored)
    assert await noted(store) == ["aud_1"]


async def test_a_new_password_ends_all_sessions_and_links_of_its_person(
    with_ana: Database,
) -> None:
    store = with_ana
    for name in ("one", "two"):
        assert await store.add_link(link(name, LinkPurpose.PASSWORD, ANA.id), [])

    assert not await store.set_password("gone", "hash-2", session("s1", 2_000), [entry("aud_1")])
    assert not await store.set_password("one", "hash-2", session("s1", DAY), [entry("aud_1")])
    assert await store.set_password("two", "hash-2", session("s1", 2_000), [entry("aud_2")])

    stored = ANA._replace(last_sign_in_at=2_000, password_hash="hash-2")
    assert await store.session("s1") == (session("s1", 2_000), stored)
    assert await store.session("s0") == (session("s0")._replace(revoked_at=2_000), stored)
    assert await store.one_time_link("one") is await store.one_time_link("two") is None
    assert await noted(store) == ["aud_2"]


async def test_a_recovery_link_signs_in_once_or_asks_for_the_code(with_ana: Database) -> None:
    store = with_ana
    for name in ("one", "two"):
        assert await store.add_link(link(name, LinkPurpose.RECOVERY, ANA.id), [])
    await store.add_link(link("password", LinkPurpose.PASSWORD, ANA.id), [])
    await store.add_link(link("theirs", LinkPurpose.RECOVERY, "per_2"), [])

    refused = [("gone", 2_000), ("one", DAY), ("password", 2_000), ("theirs", 2_000)]
    for name, at in refused:
        assert not await store.sign_in_by_link(name, session("s1", at), [entry("aud_1")])
    assert await store.sign_in_by_link("one", session("s1", 2_000), [entry("aud_2")])
    assert not await store.sign_in_by_link("one", session("s2", 2_000), [entry("aud_3")])

    stored = ANA._replace(last_sign_in_at=2_000)
    assert await store.session("s1") == (session("s1", 2_000), stored)
    step = link("step", LinkPurpose.SECOND_STEP, ANA.id)._replace(created_at=3_000)
    assert await store.sign_in_by_link("two", step, [])
    assert await store.one_time_link("step") == step
    assert await store.one_time_link("two") is None
    assert await store.session("s2") is None
    assert await noted(store) == ["aud_2"]
    await store.add_link(link("three", LinkPurpose.RECOVERY, ANA.id), [])
    other = ANA._replace(id="per_2", email="bo@shop.example", oidc_id="https://id.example 2")
    await store.add_person(other, None, [])
    out = stored._replace(disabled_at=4_000)
    assert await store.change_person(stored, out, 4_000, []) is PersonChange.DONE
    assert not await store.sign_in_by_link("three", session("s3", 5_000), [])


async def test_a_sign_on_stores_who_is_new_or_changed_and_ends_once(with_ana: Database) -> None:
    store, way = with_ana, link("way", LinkPurpose.SIGN_ON)
    bo = Person("per_2", "bo@shop.example", "Bo", "", Role.VIEWER, 2_000, 2_000, oidc_id="i bo")
    first = session("s1", 2_000)._replace(person_id=bo.id)

    assert await store.sign_on(SignOn(None, bo, way, first), [entry("aud_1")]) is SignOnEnd.DONE
    assert await store.person_of_identity("i bo") == bo
    assert await store.person_of_identity("") is None
    replayed = SignOn(bo, bo, way, first._replace(id="s2"))
    assert await store.sign_on(replayed, [entry("aud_2")]) is SignOnEnd.REPLAYED
    again = SignOn(bo, bo, way._replace(id="way 2"), first._replace(id="s3"), "s1")
    assert await store.sign_on(again, []) is SignOnEnd.DONE
    ended = await store.session("s1")
    assert ended is not None
    assert ended[0].revoked_at == 2_000

    taken = SignOn(None, bo._replace(id="per_3"), link("way 3"), first._replace(id="s4"))
    assert await store.sign_on(taken, [entry("aud_3")]) is SignOnEnd.MOVED
    stale = SignOn(bo._replace(version=9), bo, link("way 4"), first._replace(id="s5"))
    assert await store.sign_on(stale, [entry("aud_4")]) is SignOnEnd.MOVED
    ana = ANA._replace(oidc_id="i ana")
    lower = SignOn(ANA, ana._replace(role=Role.ADMIN), link("way 5"), session("s6", 3_000))
    assert await store.sign_on(lower, [entry("aud_5")]) is SignOnEnd.LAST_OWNER
    assert await store.session("s6") is None
    step = link("step", LinkPurpose.SECOND_STEP, ANA.id)
    assert await store.sign_on(SignOn(ANA, ana, link("way 6"), step), []) is SignOnEnd.DONE
    stored = await store.person_of_identity("i ana")
    assert stored == ana._replace(last_sign_in_at=step.created_at, version=2)
    assert await store.one_time_link("step") == step
    assert await noted(store) == ["aud_1"]


async def test_who_accepts_an_invitation_by_a_sign_on_has_no_other_link(
    with_ana: Database,
) -> None:
    store = with_ana
    bo = Person("per_2", "bo@shop.example", "", "", Role.VIEWER, 2_000)
    await store.add_person(bo, link("invited", LinkPurpose.INVITATION, bo.id), [])
    after = bo._replace(name="Bo", oidc_id="i bo")
    begins = session("s1")._replace(person_id=bo.id)

    step = SignOn(bo, after, link("way", LinkPurpose.SIGN_ON), begins)
    assert await store.sign_on(step, []) is SignOnEnd.DONE

    assert await store.one_time_link("invited") is None
    assert await store.person(bo.id) == after._replace(last_sign_in_at=1_000, version=2)


async def test_of_two_sign_ons_of_one_way_at_the_same_time_one_is_done(store: Database) -> None:
    bo = Person("per_2", "bo@shop.example", "Bo", "", Role.VIEWER, 2_000, 2_000, oidc_id="i bo")
    steps = [
        SignOn(
            None,
            bo._replace(id=f"per_{name}", email=f"{name}@shop.example", oidc_id=name),
            link("way", LinkPurpose.SIGN_ON),
            session(name)._replace(person_id=f"per_{name}"),
        )
        for name in ("a", "b")
    ]

    ends = await asyncio.gather(*(store.sign_on(step, []) for step in steps))

    assert sorted(ends) == [SignOnEnd.DONE, SignOnEnd.REPLAYED]
    assert len(await store.all_people(ALL)) == 1


async def test_a_link_of_another_person_changes_no_password(with_ana: Database) -> None:
    await with_ana.add_link(link("theirs", LinkPurpose.PASSWORD, "per_2"), [])

    assert not await with_ana.set_password("theirs", "hash-2", session("s1", 2_000), [])

    assert await with_ana.person(ANA.id) == ANA


async def test_a_use_moves_the_idle_expiry_unless_the_session_is_revoked(
    with_ana: Database,
) -> None:
    store = with_ana
    await store.note_session_use("s0", 5_000, 9_000)
    used = session("s0")._replace(last_used_at=5_000, idle_expires_at=9_000)
    assert await store.session("s0") == (used, ANA)

    assert await store.revoke_session("s0", 6_000, [entry("aud_1")])
    assert not await store.revoke_session("s0", 7_000, [entry("aud_2")])
    await store.note_session_use("s0", 8_000, 12_000)

    assert await store.session("s0") == (used._replace(revoked_at=6_000), ANA)
    assert await noted(store) == ["aud_1"]


async def test_all_sessions_of_a_person_end_together(with_ana: Database) -> None:
    store = with_ana
    await store.add_session(session("s1"), CheckedPassword("hash-1", "hash-1"), "", [])

    assert await store.revoke_sessions_of(ANA.id, 5_000, [entry("aud_1")]) == 2
    assert await store.revoke_sessions_of(ANA.id, 6_000, [entry("aud_2")]) == 0

    assert {one.revoked_at for one in await store.sessions_of(ANA.id)} == {5_000}
    assert await noted(store) == ["aud_1"]


async def test_an_address_is_known_by_the_sessions_that_began_there(with_ana: Database) -> None:
    assert await with_ana.is_known_address(ANA.id, "203.0.113.7")
    assert not await with_ana.is_known_address(ANA.id, "203.0.113.8")
    assert not await with_ana.is_known_address("per_2", "203.0.113.7")


async def test_what_has_expired_is_deleted_and_nothing_else(
    with_ana: Database, clock: ManualClock
) -> None:
    store = with_ana
    await store.add_session(session("s1", 2_000), CheckedPassword("hash-1", "hash-1"), "s0", [])
    await store.add_link(link("password", LinkPurpose.PASSWORD, ANA.id), [])
    await store.add_audit_entries([entry("aud_1")])

    assert await store.purge_people(now=DAY + 1_000, limit=10) == 2
    assert await store.purge_people(now=DAY + 1_000, limit=10) == 0

    assert await store.session("s0") is None
    assert await store.session("s1") is not None
    assert await store.one_time_link("password") is None
    assert [one.email for one in await store.all_people(ALL)] == [ANA.email]
    assert await noted(store) == ["aud_1"]
