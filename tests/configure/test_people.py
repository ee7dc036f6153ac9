"""People: the first account, signing in and out, and what slows down who guesses."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any, NamedTuple

import pytest

from tests.configure.processes import Process
from tillbell.configure.passwords import HashCost, Passwords
from tillbell.configure.people import (
    IDLE_LIFE,
    LINK_LIFE,
    SESSION_LIFE,
    LinkGone,
    NewAccount,
    NewSession,
    People,
    Visitor,
    WrongPassword,
)
from tillbell.configure.people_admin import EVERYTHING, INVITATION_LIFE, Granter, PeopleAdmin
from tillbell.configure.sign_in_throttle import TRIES_OF_ACCOUNT, TRIES_OF_ADDRESS, WAIT
from tillbell.errors import ConflictError, Forbidden, Invalid, NotFound, TooMany
from tillbell.ids import IdMaker
from tillbell.model.audit import AuditedAct
from tillbell.model.people import Role
from tillbell.rules.filters.clauses import ListFilter
from tillbell.rules.rights import Rights
from tillbell.storage.ports.database import Database
from tillbell.storage.ports.outbound import Page
from tillbell.testing import ManualClock

CHEAP = HashCost(passes=1, memory_kib=8)
SECOND = 1_000_000
PASSWORD = "correct horse battery"
ANA = NewAccount("Ana@Shop.example ", "Ana Petrović", PASSWORD)
HOME = Visitor("203.0.113.7", "Firefox", "req_1")
ELSEWHERE = Visitor("198.51.100.4", "curl", "req_2")


async def acts(store: Database) -> list[AuditedAct]:
    """Return the whole audit log, oldest first."""
    page = Page(ascending=True)
    return (await store.filtered_audit(None, ListFilter(), page, page.limit)).rows


class Pair(NamedTuple):
    """Two processes of one store, and what is stored."""

    one: People
    two: People
    store: Any
    clock: ManualClock
    ids: IdMaker

    async def log(self) -> list[AuditedAct]:
        for people in (self.one, self.two):
            await people.wait_idle()
        return [entry for entry in await acts(self.store) if entry.action.startswith("person.")]

    @property
    def admin(self) -> PeopleAdmin:
        return PeopleAdmin(self.store, self.clock, self.ids)

    async def password_link(self, email: str) -> str:
        person = await self.admin.person_of_email(email)
        return (await self.admin.new_link(EVERYTHING, person)).token

    async def sign_out_everywhere(self, email: str) -> int:
        person = await self.admin.person_of_email(email)
        return await self.admin.sign_out_everywhere(EVERYTHING, person)

    async def owner(self) -> NewSession:
        """Create Ana, signed in at home."""
        token = await self.one.new_setup_link()
        assert token is not None
        return await self.one.create_first(token, ANA, HOME)


@pytest.fixture
def pair(processes: tuple[Process, Process], clock: ManualClock) -> Pair:
    ids = IdMaker()
    one, two = (People(p.store, clock, ids, Passwords(CHEAP)) for p in processes)
    return Pair(one, two, processes[0].store, clock, ids)


async def wrong(people: People, email: str, visitor: Visitor) -> str:
    """Sign in with a wrong password; return what is said."""
    with pytest.raises((WrongPassword, TooMany)) as refused:
        await people.sign_in(email, "wrong horse battery", visitor)
    return str(refused.value)


async def test_the_owner_comes_by_the_link_and_is_signed_in_at_every_process(pair: Pair) -> None:
    created = await pair.owner()

    person = created.person
    assert (person.email, person.name, person.role) == (
        "ana@shop.example",
        "Ana Petrović",
        Role.OWNER,
    )
    signed_in = await pair.two.signed_in(created.token)
    assert signed_in is not None
    assert signed_in.person == person
    assert (signed_in.session.address, signed_in.session.user_agent) == ("203.0.113.7", "Firefox")
    assert await pair.two.new_setup_link() is None
    linked, entry = await pair.log()
    assert (linked.action, linked.actor.id) == ("person.setup-link", "system")
    assert (entry.action, entry.actor.id, entry.actor.name) == (
        "person.create",
        person.id,
        "ana@shop.example",
    )
    assert (entry.actor.address, entry.actor.request_id) == ("203.0.113.7", "req_1")
    # Neither the tokens nor the password are stored.
    stored = repr((await pair.store.person(person.id), signed_in, await pair.log()))
    assert created.token not in stored
    assert PASSWORD not in stored


async def test_of_two_owners_at_the_same_time_one_wins(pair: Pair) -> None:
    links = [await pair.one.new_setup_link(), await pair.two.new_setup_link()]

    outcomes = await asyncio.gather(
        *(
            people.create_first(str(token), ANA._replace(email=f"{n}@shop.example"), HOME)
            for n, (people, token) in enumerate(zip((pair.one, pair.two), links, strict=True))
        ),
        return_exceptions=True,
    )

    assert sorted(type(outcome).__name__ for outcome in outcomes) == ["LinkGone", "NewSession"]
    assert len(await pair.one.everybody()) == 1


async def test_a_link_ends_after_a_day_and_a_new_one_leaves_the_old_one_valid(pair: Pair) -> None:
    old = str(await pair.one.new_setup_link())
    pair.clock.advance(LINK_LIFE / SECOND - 1)
    young = str(await pair.two.new_setup_link())
    assert (await pair.one.link(old)).person_id == ""
    pair.clock.advance(1)

    for gone in (old, "never", ""):
        with pytest.raises(LinkGone):
            await pair.one.link(gone)
        with pytest.raises(LinkGone):
            await pair.one.create_first(gone, ANA, HOME)
    with pytest.raises(LinkGone):  # it is not for that
        await pair.one.choose_password(young, PASSWORD, HOME)
    await pair.one.create_first(young, ANA, HOME)


async def test_what_is_wrong_with_a_new_account_is_said_by_field(pair: Pair) -> None:
    token = str(await pair.one.new_setup_link())
    with pytest.raises(Invalid) as refused:
        await pair.one.create_first(token, NewAccount("ana", " ", "short"), HOME)

    assert [problem.loc for problem in refused.value.problems] == [
        ("email",),
        ("name",),
        ("password",),
    ]
    await pair.one.create_first(token, ANA, HOME)  # the link is still good


async def test_a_session_ends_when_it_is_idle_and_after_its_time(pair: Pair) -> None:
    token = (await pair.owner()).token
    idle_s = IDLE_LIFE / SECOND
    pair.clock.advance(idle_s - 1)
    assert await pair.two.signed_in(token) is not None  # a use, which moves the end on
    pair.clock.advance(idle_s - 1)
    assert await pair.one.signed_in(token) is not None
    pair.clock.advance(idle_s)
    assert await pair.one.signed_in(token) is None

    fresh = (await pair.one.sign_in(ANA.email, PASSWORD, HOME)).token
    for _ in range(SESSION_LIFE // (IDLE_LIFE - SECOND)):
        pair.clock.advance(idle_s - 1)
        assert await pair.one.signed_in(fresh) is not None
    pair.clock.advance(idle_s - 1)
    assert await pair.one.signed_in(fresh) is None


async def test_a_sign_in_has_a_new_token_and_ends_the_session_before(pair: Pair) -> None:
    first = await pair.owner()

    second = await pair.two.sign_in(" ANA@shop.example", PASSWORD, HOME, replaces=first.token)

    assert second.token != first.token
    assert await pair.one.signed_in(first.token) is None
    assert await pair.one.signed_in(second.token) is not None
    for unknown in ("", "x", first.token + "x"):
        assert await pair.one.signed_in(unknown) is None


async def test_signing_out_ends_the_session_everywhere_at_once(pair: Pair) -> None:
    first = await pair.owner()
    second = await pair.two.sign_in(ANA.email, PASSWORD, ELSEWHERE)
    third = await pair.two.sign_in(ANA.email, PASSWORD, ELSEWHERE)
    signed_in = await pair.one.signed_in(first.token)
    assert signed_in is not None

    assert await pair.one.rights_of_session(first.token) == Rights(Role.OWNER)
    await pair.one.sign_out(signed_in, HOME)
    assert await pair.two.rights_of_session(first.token) is None
    assert await pair.two.signed_in(first.token) is None
    assert await pair.two.signed_in(second.token) is not None

    assert await pair.sign_out_everywhere("ana@shop.example") == 2
    assert await pair.two.signed_in(second.token) is await pair.two.signed_in(third.token) is None
    assert [entry.action for entry in await pair.log()] == [
        "person.setup-link",
        "person.create",
        "person.sign-in",
        "person.sign-in",
        "person.sign-out",
        "person.sign-out-everywhere",
    ]
    assert (await pair.log())[-1].actor.id == "system"


async def test_a_new_password_ends_what_the_old_one_opened(pair: Pair) -> None:
    first = await pair.owner()
    token = await pair.password_link(ANA.email)
    with pytest.raises(Invalid):
        await pair.two.choose_password(token, "ana@shop.example", HOME)

    changed = await pair.two.choose_password(token, "another horse battery", HOME)

    assert await pair.one.signed_in(first.token) is None
    assert await pair.one.signed_in(changed.token) is not None
    with pytest.raises(WrongPassword):
        await pair.one.sign_in(ANA.email, PASSWORD, HOME)
    await pair.one.sign_in(ANA.email, "another horse battery", HOME)
    with pytest.raises(LinkGone):
        await pair.two.choose_password(token, "a third horse battery", HOME)
    with pytest.raises(LinkGone):
        await pair.one.create_first(token, ANA, HOME)


async def test_what_belongs_to_nobody_is_not_found(pair: Pair) -> None:
    acts: list[Callable[[str], Awaitable[object]]] = [
        pair.password_link,
        pair.sign_out_everywhere,
    ]
    for act in acts:
        with pytest.raises(NotFound, match="Nobody has the e-mail address"):
            await act("b@c.example")


async def test_hashes_are_renewed_at_a_sign_in_when_their_cost_has_changed(pair: Pair) -> None:
    created = await pair.owner()
    before = created.person.password_hash
    dearer = People(pair.store, pair.clock, IdMaker(), Passwords(HashCost(passes=2, memory_kib=16)))

    await dearer.sign_in(ANA.email, PASSWORD, HOME)

    person = await pair.store.person(created.person.id)
    assert person.password_hash != before
    assert "m=16,t=2,p=1" in person.password_hash
    await pair.one.sign_in(ANA.email, PASSWORD, HOME)


# ── throttle ─────────────────────────────────────────────────────────────────────────────────────


async def test_a_wrong_password_and_an_unknown_address_are_answered_alike(pair: Pair) -> None:
    await pair.owner()
    said = {
        email: [await wrong(pair.one, email, Visitor(address)) for _ in range(TRIES_OF_ACCOUNT + 1)]
        for email, address in ((ANA.email, "192.0.2.1"), ("nobody@shop.example", "192.0.2.2"))
    }

    assert said[ANA.email] == said["nobody@shop.example"]
    assert said[ANA.email] == [
        "E-mail or password is wrong. After 4 more tries we wait 5 minutes.",
        "E-mail or password is wrong. After 3 more tries we wait 5 minutes.",
        "E-mail or password is wrong. After 2 more tries we wait 5 minutes.",
        "E-mail or password is wrong. After 1 more try we wait 5 minutes.",
        "E-mail or password is wrong. That was the last try; try again in 5 minutes.",
        "Too many tries. Nothing is lost: try again in 5 minutes.",
    ]
    failed = [entry for entry in await pair.log() if entry.action == "person.sign-in-failed"]
    assert [(entry.actor.id, entry.target != "", entry.changes) for entry in failed] == [
        ("anonymous", True, {"tries": [None, 1]}),
        ("anonymous", True, {"tries": [None, 5]}),
    ]


async def test_who_guesses_from_elsewhere_does_not_keep_the_owner_out(pair: Pair) -> None:
    await pair.owner()
    for number in range(TRIES_OF_ACCOUNT):
        await wrong(pair.one, ANA.email, Visitor(f"192.0.2.{number}"))
    with pytest.raises(TooMany) as refused:  # with the right password too, from a new address
        await pair.one.sign_in(ANA.email, PASSWORD, ELSEWHERE)
    assert refused.value.retry_after_s == WAIT // SECOND

    await pair.one.sign_in(ANA.email, PASSWORD, HOME)  # but not from where the owner has been

    pair.clock.advance(WAIT / SECOND)
    await pair.one.sign_in(ANA.email, PASSWORD, ELSEWHERE)


async def test_an_address_that_tries_many_accounts_has_to_wait(pair: Pair) -> None:
    await pair.owner()
    for number in range(TRIES_OF_ADDRESS):
        await wrong(pair.one, f"{number}@shop.example", ELSEWHERE)

    with pytest.raises(TooMany):
        await pair.one.sign_in(ANA.email, PASSWORD, ELSEWHERE)
    await pair.one.sign_in(ANA.email, PASSWORD, HOME)
    [entry] = [entry for entry in await pair.log() if entry.action == "person.sign-in-failed"]
    assert (entry.target, entry.actor.address, entry.changes) == (
        "",
        ELSEWHERE.address,
        {"tries": [None, TRIES_OF_ADDRESS]},
    )


async def test_tries_at_the_same_time_are_all_counted(pair: Pair) -> None:
    await pair.owner()
    outcomes = await asyncio.gather(
        *(pair.one.sign_in(ANA.email, "wrong horse battery", ELSEWHERE) for _ in range(12)),
        return_exceptions=True,
    )

    names = [type(outcome).__name__ for outcome in outcomes]
    assert names.count("WrongPassword") == TRIES_OF_ACCOUNT
    assert names.count("TooMany") == 12 - TRIES_OF_ACCOUNT


async def test_who_has_signed_in_begins_to_count_anew(pair: Pair) -> None:
    await pair.owner()
    for _ in range(3):
        for _ in range(TRIES_OF_ACCOUNT - 1):
            await wrong(pair.one, ANA.email, HOME)
        await pair.one.sign_in(ANA.email, PASSWORD, HOME)


async def test_an_invited_person_comes_in_once_with_the_role_that_was_given(pair: Pair) -> None:
    await pair.owner()
    first = await pair.admin.invite(EVERYTHING, " Bo@Shop.example", None, {"app_1": Role.OPERATOR})
    again = await pair.admin.new_link(EVERYTHING, first.person)
    with pytest.raises(LinkGone):  # the new invitation has ended the one before
        await pair.one.link(first.token)
    with pytest.raises(WrongPassword):
        await pair.one.sign_in("bo@shop.example", "", HOME)

    created = await pair.two.accept_invitation(again.token, "Bo", "another horse battery", HOME)

    signed_in = await pair.one.signed_in(created.token)
    assert signed_in is not None
    assert (signed_in.person.email, signed_in.person.name) == ("bo@shop.example", "Bo")
    assert await pair.one.rights_of_session(created.token) == Rights(
        app_roles={"app_1": Role.OPERATOR}
    )
    for _ in range(2):
        with pytest.raises(LinkGone):
            await pair.one.accept_invitation(again.token, "Eve", "another horse battery", ELSEWHERE)
    with pytest.raises(ConflictError, match="has the address"):
        await pair.admin.invite(EVERYTHING, "bo@shop.example", Role.VIEWER, {})
    late = await pair.admin.invite(EVERYTHING, "late@shop.example", Role.VIEWER, {})
    pair.clock.advance(INVITATION_LIFE / SECOND - 1)
    await pair.one.link(late.token)
    pair.clock.advance(1)
    with pytest.raises(LinkGone):
        await pair.one.accept_invitation(late.token, "Late", "another horse battery", HOME)
    assert {"person.invite", "person.invite-again", "person.accept"} <= {
        entry.action for entry in await pair.log()
    }
    assert again.token not in repr(await pair.log())


async def test_nobody_gives_or_takes_more_than_it_has_and_an_owner_stays(pair: Pair) -> None:
    ana = (await pair.owner()).person
    admin = Granter(("write", "key:admin", "person:admin"))
    of_one = admin._replace(app_id="app_1")
    for granter, role, places in (
        (admin, Role.OWNER, {}),
        (of_one, Role.VIEWER, {}),
        (of_one, None, {"app_2": Role.VIEWER}),
        (Granter(("read", "person:admin")), Role.OPERATOR, {}),
    ):
        with pytest.raises(Forbidden):
            await pair.admin.invite(granter, "eve@shop.example", role, places)
    bo = (await pair.admin.invite(of_one, "bo@shop.example", None, {"app_1": Role.ADMIN})).person
    with pytest.raises(Invalid):
        await pair.admin.set_roles(admin, bo, None, {})
    for act in (pair.admin.disable, pair.admin.remove, pair.admin.new_link):
        with pytest.raises(Forbidden):
            await act(admin, ana)
        with pytest.raises(Forbidden):
            await act(of_one._replace(app_id="app_2"), bo)
    for act in (pair.admin.disable, pair.admin.remove):
        with pytest.raises(ConflictError, match="last owner"):
            await act(EVERYTHING, ana)
    with pytest.raises(ConflictError, match="last owner"):
        await pair.admin.set_roles(EVERYTHING, ana, Role.ADMIN, {})

    # Somebody who has not accepted yet is no owner who could help.
    cy = await pair.admin.invite(EVERYTHING, "cy@shop.example", Role.OWNER, {})
    with pytest.raises(ConflictError, match="last owner"):
        await pair.admin.remove(EVERYTHING, ana)
    await pair.one.accept_invitation(cy.token, "Cy", "another horse battery", HOME)
    await pair.admin.set_roles(EVERYTHING, ana, Role.ADMIN, {})
    with pytest.raises(ConflictError, match="meanwhile"):
        await pair.admin.set_roles(EVERYTHING, ana, Role.VIEWER, {})


async def test_who_is_disabled_or_removed_is_out_at_once(pair: Pair) -> None:
    await pair.owner()
    invited = await pair.admin.invite(EVERYTHING, "bo@shop.example", Role.VIEWER, {})
    bo = await pair.one.accept_invitation(invited.token, "Bo", "another horse battery", HOME)
    person = await pair.admin.person_of_email("bo@shop.example")

    disabled = await pair.admin.disable(EVERYTHING, person)
    assert await pair.two.signed_in(bo.token) is None
    with pytest.raises(WrongPassword):
        await pair.two.sign_in("bo@shop.example", "another horse battery", HOME)
    enabled = await pair.admin.enable(EVERYTHING, disabled)
    assert await pair.two.signed_in(bo.token) is None
    again = await pair.two.sign_in("bo@shop.example", "another horse battery", HOME)
    await pair.admin.remove(EVERYTHING, enabled)
    assert await pair.one.signed_in(again.token) is None
    with pytest.raises(WrongPassword):
        await pair.two.sign_in("bo@shop.example", "another horse battery", ELSEWHERE)
