"""`tillbell people`: who may sign in. The commands open the store; the gateway may be running."""

from __future__ import annotations

import getpass
import os
import socket
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, NamedTuple, TypeVar

from tillbell.cli.flags import StoreFlags, load_settings
from tillbell.model.people import Role

if TYPE_CHECKING:
    from tillbell.clock import Micros
    from tillbell.config import Settings
    from tillbell.configure.people import People
    from tillbell.configure.people_admin import Granter, PeopleAdmin
    from tillbell.model.audit import Actor
    from tillbell.storage.ports.database import Database

T = TypeVar("T")


def list_people(flags: StoreFlags | None = None) -> None:
    """List people: e-mail, role, since when, last sign-in, name."""
    from tillbell.configure.people import rights_of

    settings = load_settings(flags).settings
    for person in _run(settings, lambda beside: beside.people.everybody()):
        state = "  DISABLED" if person.disabled_at is not None else ""
        print(
            f"{person.email}  {rights_of(person)}  since {_day(person.created_at)}"
            f"  signed in {_day(person.last_sign_in_at)}  {person.name}{state}"
        )


def setup_link(flags: StoreFlags | None = None) -> int:
    """Print a link to make the owner account. It works once, for a day.

    Exit code 1 if there is an account already.
    """
    settings = load_settings(flags).settings
    token = _run(settings, lambda beside: beside.people.new_setup_link())
    if token is None:
        print("There is an account already; `tillbell people list` shows it.")
        return 1
    print(link_of(_address(settings), token))
    return 0


def invite(
    email: str, *, role: Role, app: tuple[str, ...] = (), flags: StoreFlags | None = None
) -> None:
    """Print a link that lets a person make an account. It works once, for seven days.

    Parameters
    ----------
    email
        The e-mail address that the person will sign in with.
    role
        What the person may do.
    app
        Id or uid of an application that the role is for; repeat it for several. Without it, the
        role is for all applications.
    """

    async def work(beside: Beside) -> str:
        apps = [await beside.application(name) for name in app]
        general, own = (None, dict.fromkeys(apps, role)) if apps else (role, {})
        return (await beside.admin.invite(beside.granter, email, general, own)).token

    settings = load_settings(flags).settings
    print(link_of(_address(settings), _run(settings, work)))


def reset_password(email: str, flags: StoreFlags | None = None) -> None:
    """Print a link to choose a new password. It works once, for a day.

    The old password works until then; after it, all sessions of the person have ended. For somebody
    who has not accepted an invitation it is a new invitation.

    Parameters
    ----------
    email
        Whose: the e-mail address that the person signs in with.
    """

    async def work(beside: Beside) -> str:
        person = await beside.admin.person_of_email(email)
        return (await beside.admin.new_link(beside.granter, person)).token

    settings = load_settings(flags).settings
    print(link_of(_address(settings), _run(settings, work)))


def recovery_link(email: str, flags: StoreFlags | None = None) -> None:
    """Print a link that signs an owner in without a password. It works once, for an hour.

    For when the identity provider lets nobody in, and there are no passwords. A second factor is
    asked for all the same.

    Parameters
    ----------
    email
        Whose: the e-mail address of an owner.
    """

    async def work(beside: Beside) -> str:
        person = await beside.admin.person_of_email(email)
        return (await beside.admin.recovery_link(person)).token

    settings = load_settings(flags).settings
    print(link_of(_address(settings), _run(settings, work)))


def sign_out(email: str, flags: StoreFlags | None = None) -> None:
    """End every session of a person, in all processes at once.

    Parameters
    ----------
    email
        Whose: the e-mail address that the person signs in with.
    """

    async def work(beside: Beside) -> int:
        person = await beside.admin.person_of_email(email)
        return await beside.admin.sign_out_everywhere(beside.granter, person)

    count = _run(load_settings(flags).settings, work)
    print(f"{count} {'session' if count == 1 else 'sessions'} ended")


def reset_totp(email: str, flags: StoreFlags | None = None) -> None:
    """Turn off the second factor of a person who has lost it; its sessions end.

    Parameters
    ----------
    email
        Whose: the e-mail address that the person signs in with.
    """

    async def work(beside: Beside) -> None:
        await beside.admin.reset_totp(beside.granter, await beside.admin.person_of_email(email))

    _run(load_settings(flags).settings, work)
    print(f"{email} signs in with the password alone")


def remove(email: str, flags: StoreFlags | None = None) -> None:
    """Remove a person; its sessions end in all processes at once. Not the last owner.

    Parameters
    ----------
    email
        Whom: the e-mail address that the person signs in with.
    """

    async def work(beside: Beside) -> None:
        await beside.admin.remove(beside.granter, await beside.admin.person_of_email(email))

    _run(load_settings(flags).settings, work)
    print(f"{email} is removed")


def link_of(address: str, token: str) -> str:
    """Return the URL of a one-time link."""
    return f"{address}/setup/{token}"


class Beside(NamedTuple):
    """What the commands use of a store that a gateway may have open too."""

    people: People
    admin: PeopleAdmin
    granter: Granter  # who has the machine may do everything
    database: Database

    async def application(self, name: str) -> str:
        """Return the id of an application by its id or uid."""
        from tillbell.errors import NotFound
        from tillbell.model.records import Application

        app = await self.database.get(Application, name, "")
        if app is None:
            raise NotFound(f"There is no application {name}.")
        return app.id


def _run(settings: Settings, work: Callable[[Beside], Awaitable[T]]) -> T:
    import asyncio

    return asyncio.run(_with_people(settings, work))


async def _with_people(settings: Settings, work: Callable[[Beside], Awaitable[T]]) -> T:
    from tillbell.clock import SystemClock
    from tillbell.configure.passwords import Passwords
    from tillbell.configure.people import People
    from tillbell.configure.people_admin import EVERYTHING, PeopleAdmin
    from tillbell.deliver.audit import acting_as
    from tillbell.ids import IdMaker
    from tillbell.storage.opening import store_at

    clock, ids = SystemClock(), IdMaker()
    database = store_at(settings.database_url, clock, has_pooler=settings.database_pooler)
    await database.open_beside()
    try:
        people = People(database, clock, ids, Passwords())
        admin = PeopleAdmin(database, clock, ids, allows_passwords=settings.password_sign_in)
        beside = Beside(people, admin, EVERYTHING, database)
        with acting_as(command_actor()):
            return await work(beside)
    finally:
        await database.close()


def command_actor() -> Actor:
    """Return who runs this command: the user of the operating system, on this machine."""
    from tillbell.model.audit import Actor, ActorKind

    try:
        user = getpass.getuser()
    except (OSError, KeyError):  # a container's user may have no name
        user = str(os.getuid())
    return Actor(
        id=f"command:{user}",
        name=f"{user}@{socket.gethostname()}",
        kind=ActorKind.COMMAND,
        user_agent="tillbell command line",
    )


def _address(settings: Settings) -> str:
    return settings.public_url or settings.local_url


def _day(at: Micros | None) -> str:
    from tillbell.clock import iso

    return "never" if at is None else iso(at)[:16]
